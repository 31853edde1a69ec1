"""Model cards: the hub reads them, the same model gives the same bytes, edited ones are kept."""

import json
import re

import huggingface_hub
import keras
import pytest
import yaml

import kerasbert
from kerasbert import TextClassifier, load
from kerasbert.checkpoints import ModelCard, cards
from kerasbert.recipes.convert import ConvertOptions, convert
from kerasbert.recipes.finetune import FinetuneOptions, finetune
from kerasbert.recipes.model_cards import model_card

TASKS = {
    "TextClassifier": {"classes": ["bad", "good"]},
    "TokenClassifier": {"classes": ["O", "B-PER"]},
    "QuestionAnswerer": {},
    "MultipleChoice": {},
    "TextEmbedder": {},
    "MaskedLM": {},
    "Pretrainer": {},
    "ReplacedTokenDetector": {},
}
TEXTS, LABELS = ["a good cat", "a bad dog"] * 4, ["good", "bad"] * 4


@pytest.fixture
def make(tiny_backbone, tokenizer):
    def make(name="TextClassifier", **settings):
        backbone = tiny_backbone(tokenizer, pooler=True)
        settings = {**TASKS[name], **settings}
        return getattr(kerasbert, name)(backbone, tokenizer=tokenizer, **settings)

    return make


def header(directory):
    content = (directory / "README.md").read_text()
    return yaml.safe_load(content.split("---\n")[1])


def data_of(directory):
    """The header as Hugging Face's library reads and checks it."""
    return huggingface_hub.ModelCard.load(directory / "README.md").data


@pytest.mark.parametrize("name", TASKS)
def test_every_task_has_a_card_whose_code_runs(name, make, tmp_path):
    make(name).save_to_preset(tmp_path / "model")
    content = (tmp_path / "model/README.md").read_text()
    data = data_of(tmp_path / "model")
    assert (data.license, data.library_name) == ("unknown", "kerasbert")
    assert data.tags == ["keras", "kerasbert", "bert"]
    assert content.count("fill in") == 3
    assert f"\n# {name}\n" in content
    if name != "ReplacedTokenDetector":
        assert f"pipeline_tag: {data.pipeline_tag}\n" in content
    (code,) = re.findall(r"```python\n(.*?)```", content, re.DOTALL)
    exec(code.replace("PATH", str(tmp_path / "model")), {})


def test_a_backbone_has_one(tiny_backbone, tokenizer, tmp_path):
    tiny_backbone(tokenizer).save_to_preset(tmp_path / "hf", format="hf", tokenizer=tokenizer)
    data = data_of(tmp_path / "hf")
    assert (data.library_name, data.pipeline_tag) == ("transformers", "feature-extraction")
    content = (tmp_path / "hf/README.md").read_text()
    assert f"| tokenizer | WordPieceTokenizer, {tokenizer.vocabulary_size} tokens |" in content
    assert 'transformers.pipeline("feature-extraction", model="PATH")' in content


def test_the_same_model_has_the_same_card(make, tmp_path):
    task = make()
    for name in ("a", "b"):
        task.save_to_preset(tmp_path / name, card=ModelCard(train={"x.csv": 3}))
    first, second = ((tmp_path / name / "README.md").read_bytes() for name in ("a", "b"))
    assert first == second


def test_a_card_has_no_scores_of_fit(make, tmp_path):
    """A callback may have restored other weights than those of the last epoch."""
    task = make()
    task.compile(keras.optimizers.SGD(0.1))
    task.fit(TEXTS, LABELS, validation_data=(TEXTS, LABELS), verbose=0)
    assert task.history.history["val_accuracy"]
    task.save_to_preset(tmp_path / "model")
    assert "accuracy" not in (tmp_path / "model/README.md").read_text()


def test_what_a_user_says(make, tmp_path):
    card = ModelCard(
        license="apache-2.0",
        language=["en", "no"],
        datasets=["stanfordnlp/sst2"],
        initial="hf://google-bert/bert-base-uncased@main",
        validation={"dev.tsv": 872},
        metrics={"accuracy": 0.91234567, "macro_f1": 0.9, "pearson": float("nan"), "loss": 0.3},
    )
    make().save_to_preset(tmp_path / "model", card=card)
    data = data_of(tmp_path / "model")
    assert (data.license, data.language) == ("apache-2.0", ["en", "no"])
    assert (data.base_model, data.datasets) == (
        "google-bert/bert-base-uncased",
        ["stanfordnlp/sst2"],
    )
    assert data.metrics == ["accuracy", "f1"]
    results = [(one.dataset_name, one.metric_type, one.metric_value) for one in data.eval_results]
    assert results == [("dev.tsv", "accuracy", 0.9123), ("dev.tsv", "f1", 0.9)]
    content = (tmp_path / "model/README.md").read_text()
    assert "fill in" not in content
    assert "published under Apache-2.0" in content


def test_any_names(make, tmp_path):
    """Names of classes and files can't end a cell, a line or the header."""
    strange = ["---", "a|b", "c\nd", "`<!--", "\ud800", "é", "# x: [1]", 'q"']
    card = ModelCard(train=dict.fromkeys(strange, 1), validation=dict.fromkeys(strange, 1))
    card = cards.ModelCard(**{**vars(card), "metrics": {"f1": 1.0}, "datasets": strange})
    classes = [name for name in strange if name != "\ud800"]
    make(classes=classes).save_to_preset(tmp_path / "model", card=card)
    data = data_of(tmp_path / "model")
    assert [name for name in data.datasets if name in strange] == [
        name for name in strange if name.isprintable()
    ]
    content = (tmp_path / "model/README.md").read_text()
    (labels,) = (line for line in content.splitlines() if line.startswith("| labels |"))
    assert labels == r'| labels | ---, a\|b, c\\nd, \`\<!--, é, # x: \[1\], q" |'


def test_an_edited_card_is_kept(make, tmp_path):
    make().save_to_preset(tmp_path / "model")
    path = tmp_path / "model/README.md"
    written = path.read_text()
    assert not cards.is_edited(written)
    assert cards.write(path.parent, written)
    edited = written.replace("license: unknown", "license: mit")
    path.write_text(edited)
    assert cards.is_edited(edited)
    assert not cards.write(path.parent, written)
    assert path.read_text() == edited
    assert cards.is_edited("# A card of somebody else\n")


def test_convert_keeps_what_a_card_says(make, tmp_path):
    """What the model says itself is that of the converted model."""
    card = ModelCard(
        license="mit",
        language=["en"],
        initial="hf://google-bert/bert-base-uncased",
        train={"x.csv": 3},
        validation={"dev.csv": 2},
        metrics={"f1": 0.9},
        settings={"epochs": 2},
    )
    make().save_to_preset(tmp_path / "model", card=card)
    path = tmp_path / "model/README.md"

    def converted(name, model="model", **changes):
        changes = {"format": "hf", **changes}
        convert(ConvertOptions(input=str(tmp_path / model), output=str(tmp_path / name), **changes))
        return (tmp_path / name / "README.md").read_text()

    first = converted("one", vocabulary_size=1000, max_sequence_length=20)
    assert not cards.is_edited(first)
    assert first == load(tmp_path / "one").card_text(card, format="hf")
    assert "| maximum length | 20 tokens |" in first
    assert "transformers.pipeline" in first
    assert header(tmp_path / "one")["library_name"] == "transformers"
    back = converted("back", "one", format="kerasbert")
    assert back == load(tmp_path / "back").card_text(card)
    assert "transformers" not in back
    path.write_text(path.read_text().replace("license: mit", "license: apache-2.0"))
    second = converted("two", max_sequence_length=20)
    assert second == path.read_text().replace("_name: kerasbert", "_name: transformers")
    path.unlink()  # as in models of earlier versions
    assert load(path.parent).classes == ["bad", "good"]
    assert converted("three") == load(tmp_path / "three").card_text(format="hf")


def test_convert_keeps_the_card_of_an_encoder(tiny_backbone, tokenizer, tmp_path):
    card = ModelCard(license="mit", train={"wiki": 3}, unit="documents")
    tiny_backbone(tokenizer).save_to_preset(tmp_path / "a", tokenizer=tokenizer, card=card)
    paths = {"input": str(tmp_path / "a"), "output": str(tmp_path / "b")}
    convert(ConvertOptions(**paths, format="hf", vocabulary_size=1000))
    backbone = kerasbert.Backbone.from_preset(tmp_path / "b")
    expected = backbone.card_text(card, tokenizer=tokenizer, format="hf")
    assert (tmp_path / "b/README.md").read_text() == expected


@pytest.mark.parametrize("monitor", [None, "val_accuracy"])
def test_finetune_says_what_it_did(make, tmp_path, monitor):
    make().save_to_preset(tmp_path / "mine" / "model")
    for name in ("train", "dev"):
        rows = "".join(f"{text}\t{label}\n" for text, label in zip(TEXTS, LABELS, strict=True))
        (tmp_path / f"{name}.tsv").write_text(f"text\tlabel\n{rows}")
    result = finetune(
        FinetuneOptions(
            init=str(tmp_path / "mine" / "model"),
            train=str(tmp_path / "train.tsv"),
            validation=str(tmp_path / "dev.tsv"),
            output=str(tmp_path / "run"),
            epochs=2,
            batch_size=4,
            monitor=monitor,
        )
    )
    directory = tmp_path / "run/model"
    content = (directory / "README.md").read_text()
    assert "| train.tsv | training | 8 |\n| dev.tsv | validation | 8 |" in content
    assert "| initialized from | mine |" in content
    assert "| epochs | 2 |" in content
    assert f"| macro_f1 | {result['scores']['macro_f1']:.4g} |" in content
    assert str(tmp_path) not in content  # nothing about this machine
    assert not cards.is_edited(content)
    (results,) = header(directory)["model-index"]
    (one,) = results["results"]
    assert one["dataset"] == {"name": "dev.tsv", "type": "tsv"}
    scores = {metric["name"]: metric["value"] for metric in one["metrics"]}
    assert scores["accuracy"] == float(f"{result['accuracy']:.4g}")
    assert data_of(directory).pipeline_tag == "text-classification"
    assert isinstance(load(directory), TextClassifier)
    assert json.loads((directory / "config.json").read_text())["task"] == "TextClassifier"


def test_data_of_the_same_name(tmp_path):
    def shown(*paths):
        options = FinetuneOptions(init="x", train="x", output="x")
        counts = {path: count for count, path in enumerate(paths, 1)}
        return model_card(options, {}, train=counts, validation=counts).train

    assert shown("en/train", "zh/train", "dev") == {"en/train": 1, "zh/train": 2, "dev": 3}
    assert shown(f"{tmp_path}/a/b/x", f"{tmp_path}/a/c/x") == {"b/x": 1, "c/x": 2}
    assert shown("x", "a/x", "b/a/x") == {"x": 1, "a/x": 2, "b/a/x": 3}
    assert shown("a/x", "./a/x", "hf:a/x") == {"a/x": 3, "hf:a/x": 3}
