"""What is suggested for a mistyped name."""

import pytest

from kerasbert import suggestions

NAMES = ["learning_rate", "epochs", "TextClassifier", "bert_base"]


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("learning-rate", ["learning_rate"]),
        ("LearningRate", ["learning_rate"]),
        ("lerning_rate", ["learning_rate"]),
        ("epoch", ["epochs"]),
        ("text_classifier", ["TextClassifier"]),
        ("lr", ["learning_rate"]),  # a synonym
        ("xyz", []),
        ("", []),
    ],
)
def test_nearest(word, expected):
    assert suggestions.nearest(word, NAMES, {"lr": "learning_rate"}) == expected


def test_several_are_asked_for():
    near = suggestions.nearest("bert_bas", ["bert_base", "bert_bases", "xyz"], most=3)
    assert near == ["bert_base", "bert_bases"]
    assert suggestions.did_you_mean(near) == "did you mean bert_base or bert_bases?"
    assert suggestions.did_you_mean([]) == ""


def test_similar_paths(tmp_path, monkeypatch):
    for name in ("train.tsv", "dev.tsv", "Readme"):
        (tmp_path / name).write_text("")
    found = suggestions.similar_paths(f"{tmp_path}/trian.tsv")
    assert found == [f"{tmp_path}/train.tsv"]
    assert suggestions.similar_paths(f"{tmp_path}/README/") == [f"{tmp_path}/Readme"]
    assert suggestions.similar_paths(f"{tmp_path}/none/train.tsv") == []
    assert suggestions.similar_paths("\0") == []
    monkeypatch.chdir(tmp_path)
    assert suggestions.similar_paths("trian.tsv") == ["train.tsv"]
