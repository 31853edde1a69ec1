"""Models remember the columns that they were fine-tuned on; other programs read them by default."""

import json
import shutil
import types

import pytest

from kerasbert import InputError, MaskedLM, TextClassifier, TokenClassifier, load
from kerasbert.recipes.convert import convert
from kerasbert.recipes.data_format import data_format, with_columns_of
from kerasbert.recipes.distill import distill
from kerasbert.recipes.evaluate import evaluate
from kerasbert.recipes.finetune import finetune
from kerasbert.recipes.options import (
    ConvertOptions,
    DistillOptions,
    EvaluateOptions,
    FinetuneOptions,
    PredictOptions,
)
from kerasbert.recipes.predict import predict
from kerasbert.tasks.registry import get_spec, spec_names

REVIEWS = "stars,review\ngood,a good cat\nbad,a bad dog\ngood,the cat\n"


@pytest.fixture(scope="module")
def trained(tokenizer, tiny_backbone, tmp_path_factory):
    """A classifier that was fine-tuned on other columns, in a directory that was moved."""
    root = tmp_path_factory.mktemp("trained")
    body = tiny_backbone(tokenizer, pooler=True)
    MaskedLM(body, tokenizer=tokenizer).save_to_preset(root / "init")
    (root / "train.csv").write_text(REVIEWS)
    result = finetune(
        FinetuneOptions(
            init=str(root / "init"),
            train=str(root / "train.csv"),
            text_column="review",
            label_column="stars",
            epochs=1,
            batch_size=2,
            output=str(root / "run"),
        )
    )
    shutil.move(result["model"], root / "moved")
    return str(root / "moved")


def predicted(model, path, **flags):
    output = path.with_name("out.jsonl")
    options = {"model": model, "input": str(path), "output": str(output), **flags}
    predict(PredictOptions(include_text=True, **options))
    lines = output.read_text().splitlines()
    output.unlink()
    return [json.loads(line)["text"] for line in lines]


def test_evaluate_and_predict_need_no_columns(trained, tmp_path, capsys):
    path = tmp_path / "dev.csv"
    path.write_text(REVIEWS)
    found = evaluate(EvaluateOptions(model=trained, data=str(path)))
    given = {"text_column": "review", "label_column": "stars"}
    again = evaluate(EvaluateOptions(model=trained, data=str(path), **given))
    assert json.dumps(found) == json.dumps(again)  # NaN is equal, too
    assert found["examples"] == 3
    used = "--text_column=review --label_column=stars"
    line = f"{path}: read with {used}, as the files that the model was fine-tuned on"
    assert capsys.readouterr().err.splitlines().count(line) == 1  # not where they are given
    assert predicted(trained, path) == ["a good cat", "a bad dog", "the cat"]


@pytest.mark.parametrize(
    ("content", "flags", "texts"),
    [
        ("text,stars\nthe dog,good\n", {}, ["the dog"]),  # a usual name
        ("text,review\nthe dog,a cat\n", {}, ["a cat"]),
        ("text,review\nthe dog,a cat\n", {"text_column": "text"}, ["the dog"]),
        ("a cat,good\n", {"column_names": "review,x"}, ["a cat"]),
    ],
)
def test_columns_of_other_files(trained, tmp_path, content, flags, texts):
    path = tmp_path / "in.csv"
    path.write_text(content)
    assert predicted(trained, path, **flags) == texts


def test_a_file_without_these_columns(trained, tmp_path):
    path = tmp_path / "in.csv"
    path.write_text("title,stars\na cat,good\n")
    message = (
        f"^{path}: has no column 'review', which the model was fine-tuned on, nor text or sentence "
        "or text_a or sentence1; the columns are title, stars .set --text_column; "
    )
    with pytest.raises(InputError, match=message):
        predicted(trained, path)
    path.write_text("review,rating\na cat,good\n")
    message = (
        f"^{path}: has no column 'stars', which the model was fine-tuned on, nor label; the "
        "columns are review, rating .set --label_column; "
    )
    with pytest.raises(InputError, match=message):
        evaluate(EvaluateOptions(model=trained, data=str(path)))


def test_students_remember_the_columns_of_their_teacher(trained, tmp_path):
    (tmp_path / "train.csv").write_text(REVIEWS)
    options = {
        "teacher": trained,
        "student_layers": 1,
        "train": [str(tmp_path / "train.csv")],
        "validation": str(tmp_path / "train.csv"),
        "epochs": 1,
        "batch_size": 2,
    }
    result = distill(DistillOptions(**options, output=str(tmp_path / "run")))
    columns = {"text_column": "review", "label_column": "stars"}
    assert load(result["model"]).data_format == columns
    distill(DistillOptions(**options, alpha=1.0, dry_run=True, output=str(tmp_path / "other")))


def test_what_is_written_and_read(trained, tmp_path, tokenizer):
    columns = {"text_column": "review", "label_column": "stars"}
    model = load(trained)
    assert model.data_format == columns
    assert model.add_tokens(["[E1]"]).data_format == columns
    other = TokenClassifier.from_preset(trained, classes=["O", "B-pet"])
    assert other.data_format == {}  # whose files have other columns
    flags = {"input": trained, "output": str(tmp_path / "hf"), "format": "hf"}
    assert "data_format" in convert(ConvertOptions(**flags))["left_out"]
    assert load(tmp_path / "hf").data_format == {}


def test_a_damaged_setting_is_refused(tiny_backbone, tokenizer, tmp_path):
    model = TextClassifier(tiny_backbone(tokenizer, pooler=True), ["n", "y"], tokenizer=tokenizer)
    model.save_to_preset(tmp_path / "plain")
    assert "data_format" not in json.loads((tmp_path / "plain" / "config.json").read_text())
    model.data_format = {"text_column": 3}
    model.save_to_preset(tmp_path / "model")
    with pytest.raises(
        InputError, match=r"config\.json: data_format\.text_column must be a string"
    ):
        load(tmp_path / "model")


# === Every task ===

GIVEN = {
    "text_column": "a",
    "text_pair_column": "b",
    "label_column": "1",
    "label_separator": ";",
    "max_score": 5.0,
    "word_column": 2,
    "comment_prefix": "%",
    "column_names": "a,b,1",
}


@pytest.mark.parametrize("name", spec_names())
def test_every_task_remembers_the_columns_that_it_reads(name):
    spec = get_spec(name)
    names = {option for option in GIVEN if option in spec.data_options} - {"column_names"}
    given = {option: GIVEN[option] for option in names}
    options = FinetuneOptions(task=name, init="i", train="t", output="o", strict=True, **given)
    assert data_format(options, spec) == given
    assert data_format(FinetuneOptions(task=name, init="i", train="t", output="o"), spec) == {}


PAIRS = "x\ty\tz\na\tb\t4\n"
WORDS = "% a comment\nx cat N B-pet\n"
SEVERAL = '{"x": "a", "y": ["n"]}\n'


@pytest.mark.parametrize(
    ("task", "kept", "file", "content", "used"),
    [
        ("regression", {"text_column": "x", "text_pair_column": "y", "label_column": "z"}, "d.tsv",
         PAIRS, {"text_column", "text_pair_column", "label_column"}),
        ("embedding", {"text_column": "x", "text_pair_column": "y", "label_column": "z",
         "max_score": 5.0}, "d.tsv", PAIRS,
         {"text_column", "text_pair_column", "label_column", "max_score"}),
        ("embedding", {"text_column": "x", "max_score": 5.0}, "d.tsv", "x\tanswer\na\tb\n",
         {"text_column"}),  # no scores to divide
        ("embedding", {"text_column": "x", "max_score": 5.0}, "d.tsv", "query\tanswer\na\tb\n",
         set()),
        ("embedding", {"text_column": "x", "text_pair_column": "y", "label_column": "sim",
         "max_score": 5.0}, "d.tsv", "x\ty\tscore\na\tb\t1\n",
         {"text_column", "text_pair_column"}),  # other scores
        ("multi_label", {"text_column": "x", "label_column": "y", "label_separator": ";"},
         "d.tsv", "x\tlabel\na\tn\n", {"text_column"}),
        ("multi_label", {"text_column": "x", "label_column": "y,z", "label_separator": ";"},
         "d.tsv", PAIRS, {"text_column", "label_column", "label_separator"}),
        ("multi_label", {"text_column": "x", "label_column": "y"}, "d.jsonl", SEVERAL,
         {"text_column", "label_column"}),
        ("masked_lm", {"text_column": "x"}, "d.tsv", PAIRS, {"text_column"}),
        ("masked_lm", {"text_column": "x"}, "d.txt", "a\n", set()),
        ("token_classification", {"word_column": 1, "label_column": "3", "comment_prefix": "%"},
         "d.conll", WORDS, {"word_column", "label_column", "comment_prefix"}),
        ("token_classification", {"word_column": 1}, "d.jsonl", "{}\n", set()),
        ("question_answering", {}, "d.json", "{}", set()),
    ],
)  # fmt: skip
def test_what_is_used_of_it(task, kept, file, content, used, tmp_path):
    (tmp_path / file).write_text(content)
    model = types.SimpleNamespace(data_format=kept)
    options = EvaluateOptions(model="m", data=str(tmp_path / file))
    found = with_columns_of(model, options, get_spec(task), options.data, labels=True)
    names = [name for name in GIVEN if getattr(found, name) is not None]
    assert {name: getattr(found, name) for name in names} == {name: kept[name] for name in used}


def test_columns_that_predictions_do_not_need():
    """Such as the second text of an embedder, and labels."""
    kept = {"text_column": "x", "text_pair_column": "gone"}
    spec = get_spec("text_classification")
    model = types.SimpleNamespace(data_format=kept, pair=False)
    options = PredictOptions(model="m", input="tfds:x:test", output="o.jsonl")
    found = with_columns_of(model, options, spec, options.input, labels=False)
    assert (found.text_column, found.text_pair_column) == ("x", "gone")  # TFDS is not looked at
    options = PredictOptions(model="m", input="t.tsv", output="o.jsonl", glue="sst2")
    assert with_columns_of(model, options, spec, options.input, labels=False) is options


def test_words_of_predictions(tmp_path):
    model = types.SimpleNamespace(data_format={"word_column": 1, "label_column": "3"})
    spec = get_spec("token_classification")
    for file, expected in (("d.conll", 1), ("d.tsv", None), ("d.jsonl", None)):
        options = PredictOptions(model="m", input=file, output="o.jsonl")
        found = with_columns_of(model, options, spec, file, labels=False)
        assert found.word_column == expected
