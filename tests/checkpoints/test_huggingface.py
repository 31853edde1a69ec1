"""Against transformers: golden inputs and outputs, made by tests/goldens/make_huggingface.py."""

import json
import pathlib
import re
import shutil

import numpy as np
import pytest
import safetensors.numpy

import kerasbert
from kerasbert import Backbone, InputError, checkpoints

GOLDENS = pathlib.Path(__file__).parents[1] / "goldens" / "huggingface"
# The end of a directory's name -> the task.
TASKS = {
    "pretraining": "Pretrainer",
    "masked_lm": "MaskedLM",
    "masked_lm_untied": "MaskedLM",
    "sequence_classification": "TextClassifier",
    "token_classification": "TokenClassifier",
    "question_answering": "QuestionAnswerer",
    "multiple_choice": "MultipleChoice",
}


def task_of(name):
    if name == "electra_pretraining":
        return "ReplacedTokenDetector"
    return next((task for end, task in TASKS.items() if name.endswith(end)), None)


NAMES = sorted(path.name for path in GOLDENS.iterdir())
HEADS = [name for name in NAMES if task_of(name)]
ENCODERS = [name for name in NAMES if not task_of(name) and name != "bert_next_sentence"]


def golden(name):
    return dict(np.load(GOLDENS / name / "inputs_outputs.npz"))


@pytest.fixture
def edited(tmp_path):
    """From the name of a golden directory and new settings to a copy of it."""

    def copy(name, **changes):
        directory = tmp_path / "edited"
        shutil.copytree(GOLDENS / name, directory, copy_function=shutil.copyfile)
        path = directory / "config.json"
        stored = json.loads(path.read_text())
        kept = {key: value for key, value in changes.items() if value is not None}
        stored = {key: value for key, value in stored.items() if key not in changes} | kept
        path.write_text(json.dumps(stored))
        return directory

    return copy


def features(values):
    found = {"token_ids": values["input_ids"], "padding_mask": values["attention_mask"]}
    if "token_type_ids" in values:
        found["segment_ids"] = values["token_type_ids"]
    return found


def assert_close(ours, theirs):
    np.testing.assert_allclose(np.asarray(ours), theirs, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", ENCODERS)
def test_every_hidden_state(name):
    values = golden(name)
    backbone = Backbone.from_preset(GOLDENS / name, return_hidden_states=True)
    outputs = backbone(features(values))
    assert_close(outputs["sequence_output"], values["last_hidden_state"])
    assert ("pooled_output" in outputs) == ("pooler_output" in values)
    if "pooler_output" in values:
        assert_close(outputs["pooled_output"], values["pooler_output"])
    for kind, ours in (("hidden_state", "hidden_states"), ("attention", "attention_weights")):
        assert len(outputs[ours]) == sum(bool(re.fullmatch(rf"{kind}_\d+", k)) for k in values)
        for i, state in enumerate(outputs[ours]):
            assert_close(state, values[f"{kind}_{i}"])


def logits_of(task, values):
    inputs = features(values)
    if type(task).__name__ in ("MaskedLM", "Pretrainer"):
        batch, length = inputs["token_ids"].shape
        inputs["mask_positions"] = np.arange(length) * np.ones((batch, 1), int)
    return task(inputs)


def theirs(values):
    return {key: value for key, value in values.items() if "logits" in key}


@pytest.mark.parametrize("name", HEADS)
def test_every_head(name):
    values = golden(name)
    task = kerasbert.load(GOLDENS / name)
    assert type(task).__name__ == task_of(name)
    assert task.uninitialized_weights == []
    outputs = logits_of(task, values)
    expected = theirs(values)
    if not isinstance(outputs, dict):
        ((_, value),) = expected.items()
        assert_close(outputs, value)
    else:
        names = {"prediction_logits": "mlm_logits", "seq_relationship_logits": "nsp_logits"}
        names["sop_logits"] = "nsp_logits"
        assert len(expected) == 2
        for key, value in expected.items():
            assert_close(outputs[names.get(key, key)], value)


@pytest.mark.parametrize("family", ["albert", "bert", "electra", "ernie", "roberta"])
def test_dropout_that_transformers_has_not(family, tmp_path):
    name = GOLDENS / f"{family}_question_answering"
    task = kerasbert.QuestionAnswerer.from_preset(name, dropout=0.3)
    with pytest.warns(UserWarning, match="does not store dropout=0.3 .* trains with 0.0"):
        task.save_to_preset(tmp_path / "hf", format="hf")
    assert kerasbert.load(tmp_path / "hf").dropout_rate == 0.0


def test_task_type_that_transformers_has_not(tmp_path):
    backbone = Backbone.from_preset(GOLDENS / "ernie_task_id", task_type=2)
    with pytest.warns(UserWarning, match="does not store task_type=2; loaded again, it is 0"):
        backbone.save_to_preset(tmp_path / "hf", format="hf")
    again = Backbone.from_preset(tmp_path / "hf", task_type=2)
    assert again.config == backbone.config


@pytest.mark.parametrize(
    ("key", "value"),
    [("summary_type", "last"), ("summary_use_proj", False), ("summary_activation", "tanh")],
)
def test_summaries_of_choices_by_electra(key, value, edited):
    directory = edited("electra_multiple_choice", **{key: value})
    with pytest.raises(InputError, match=f"config.json: {key}={value!r}; only .* is supported"):
        kerasbert.load(directory)
    shutil.rmtree(directory)
    assert kerasbert.load(edited("electra_sequence_classification", **{key: value}))


@pytest.mark.parametrize("stored", [{"max_len": 12}, {"max_len": 16, "model_max_length": 12}])
def test_lengths_in_old_files(stored, edited):
    directory = edited("bert")
    (directory / "tokenizer_config.json").write_text(json.dumps(stored))
    assert checkpoints.load(directory).config["sequence_length"] == 12


def test_untied_decoder():
    task = kerasbert.load(GOLDENS / "bert_masked_lm_untied")
    assert task.head_config()["tied"] is False
    assert kerasbert.load(GOLDENS / "bert_masked_lm").head_config()["tied"] is True


def test_next_sentence_head_in_a_pretrainer():
    values = golden("bert_next_sentence")
    task = kerasbert.Pretrainer.from_preset(GOLDENS / "bert_next_sentence")
    assert_close(logits_of(task, values)["nsp_logits"], theirs(values)["logits"])
    assert {path.split("/")[0] for path in task.uninitialized_weights} == {"mlm_head"}


def test_heads_of_other_tasks_are_ignored(edited):
    """As in google-bert/bert-base-uncased, a BertForMaskedLM whose file has the weights of NSP."""
    values = golden("bert_pretraining")
    directory = edited("bert_pretraining", architectures=["BertForMaskedLM"])
    task = kerasbert.load(directory)
    assert isinstance(task, kerasbert.MaskedLM)
    assert_close(logits_of(task, values), values["prediction_logits"])
    left = ("cls.seq_relationship.bias", "cls.seq_relationship.weight")
    assert kerasbert.checkpoints.load(directory).unused_weights == left
    classifier = kerasbert.TextClassifier.from_preset(directory, classes=["bad", "good"])
    assert classifier.uninitialized_weights == ["classifier/kernel", "classifier/bias"]


def test_label_names_come_along():
    for name, count in (("bert_sequence_classification", 3), ("bert_token_classification", 5)):
        stored = json.loads((GOLDENS / name / "config.json").read_text())["id2label"]
        task = kerasbert.load(GOLDENS / name)
        assert task.classes == [stored[str(i)] for i in range(count)]


# What transformers takes for the names of the three classes of the golden classifier.
LABELS = {
    "numbers": ({"id2label": {"0": 0, "1": 1, "2": 2}}, ["0", "1", "2"]),
    "other numbers": ({"id2label": {"2": 0.5, "0": -1, "1": True}}, ["-1", "True", "0.5"]),
    "none": ({"id2label": None, "num_labels": 3}, ["LABEL_0", "LABEL_1", "LABEL_2"]),
    "older": ({"id2label": None, "_num_labels": 3}, ["LABEL_0", "LABEL_1", "LABEL_2"]),
}


@pytest.mark.parametrize("name", LABELS)
def test_labels_of_every_kind_keep_their_head(name, edited, tmp_path):
    changes, classes = LABELS[name]
    task = kerasbert.load(edited("bert_sequence_classification", **changes))
    values = golden("bert_sequence_classification")
    for format in (None, "kerasbert", "hf"):
        if format:
            task.save_to_preset(tmp_path / format, format=format)
            task = kerasbert.load(tmp_path / format)
        assert task.classes == classes
        assert_close(logits_of(task, values), values["logits"])


def test_labels_that_are_numbers_in_kerasbert(tmp_path):
    kerasbert.load(GOLDENS / "bert_token_classification").save_to_preset(tmp_path / "model")
    path = tmp_path / "model" / "config.json"
    stored = json.loads(path.read_text())
    stored["head"]["classes"] = list(range(5))
    stored["version"] = 1  # as such models were stored once
    path.write_text(json.dumps(stored))
    values = golden("bert_token_classification")
    assert_close(logits_of(kerasbert.load(path.parent), values), values["logits"])


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ({"1": "a", "2": "b", "3": "c"}, "id2label=.*: must contain the classes 0 to 2"),
        ({"0": "a", "1": "b", "2": None}, "id2label=.*: a label must be a string or a number"),
        (["a", "b", "c"], "id2label="),
    ],
)
def test_labels_that_name_no_classes(labels, message, edited):
    with pytest.raises(InputError, match=message):
        kerasbert.load(edited("bert_sequence_classification", id2label=labels))


@pytest.mark.parametrize("name", ["bert_sequence_classification", "roberta_masked_lm"])
def test_load_invents_no_head(name, edited):
    directory = edited(name)
    path = directory / "model.safetensors"
    encoder = {k: v for k, v in safetensors.numpy.load_file(path).items() if "bert" in k}
    safetensors.numpy.save_file(encoder, path)
    with pytest.raises(InputError, match=rf"{path}: has no weights .*/kernel, .*from_preset init"):
        kerasbert.load(directory)
    assert getattr(kerasbert, task_of(name)).from_preset(directory).uninitialized_weights


def test_load_replaces_no_head():
    directory = GOLDENS / "bert_sequence_classification"
    for change in ({"classes": ["a", "b", "c"]}, {"problem_type": "regression"}):
        with pytest.raises(
            InputError, match="has no weights classifier/kernel, classifier/bias for"
        ):
            kerasbert.load(directory, **change)


# === Round trips ===


def tensors(directory):
    found = {}
    for path in sorted(directory.glob("*.safetensors")):
        found |= safetensors.numpy.load_file(path)
    return found


@pytest.mark.parametrize("name", NAMES)
def test_back_to_where_it_came_from(name, tmp_path):
    if name == "bert_next_sentence":
        pytest.skip("has no task of its own")
    model = kerasbert.load(GOLDENS / name)
    model.save_to_preset(tmp_path / "kerasbert")
    loaded = kerasbert.load(tmp_path / "kerasbert")
    loaded.save_to_preset(tmp_path / "hf", format="hf")
    before, after = tensors(GOLDENS / name), tensors(tmp_path / "hf")
    for key in before.keys() | after.keys():
        source = before.get(key)
        if "decoder.bias" in key or "predictions.bias" in key or key == "lm_head.bias":
            continue  # several names for one weight, see test_tied_names
        np.testing.assert_array_equal(after[key], source, err_msg=key)
    old, new = (
        json.loads((where / "config.json").read_text())
        for where in (GOLDENS / name, tmp_path / "hf")
    )
    for key in old.keys() & new.keys() - {"transformers_version"}:
        assert new[key] == old[key], key
