"""The signatures of an export that show tokens and attention."""

import numpy as np
import pytest
import tensorflow as tf
import urllib3
from served_tasks import TASKS

from kerasbert import (
    InputError,
    MaskedLM,
    MultipleChoice,
    QuestionAnswerer,
    TextClassifier,
    TextEmbedder,
    TokenClassifier,
)
from kerasbert.layers.attention import SelfAttention
from kerasbert.layers.inference import is_inference_mode
from kerasbert.serving import saved_model
from kerasbert.serving.client import SavedModelClient
from kerasbert.tasks import inspection

LONG = "one two three four " * 20


@pytest.fixture(scope="module")
def read(tokenizer, tiny_backbone):
    """Returns a function from a task's class and its inputs to the sequences that it reads."""

    def read(make, columns, **settings):
        task = make(tiny_backbone(tokenizer), tokenizer=tokenizer, **settings)
        specs, function = inspection.tokenize(task)
        assert specs.keys() == columns.keys()
        traced = tf.function(function, autograph=False).get_concrete_function(**specs)
        outputs = traced(**{name: tf.constant(column) for name, column in columns.items()})
        tokens, ids, lengths = (
            outputs[name].numpy() for name in ("tokens", "token_ids", "lengths")
        )
        assert tokens.shape == ids.shape == outputs["segment_ids"].shape
        for row, all_lengths in zip(tokens, lengths, strict=True):
            for sequence, length in zip(row, all_lengths, strict=True):
                assert all(sequence[:length])
                assert not any(sequence[length:])
        found = [
            [
                [token.decode() for token in sequence[:length]]
                for sequence, length in zip(row, all_lengths, strict=True)
                if length
            ]
            for row, all_lengths in zip(tokens, lengths, strict=True)
        ]
        return task, found, ids

    return read


def with_special(tokenizer, *texts):
    tokens = ["[CLS]"]
    for text in texts:
        (ids,) = tokenizer.tokenize([text]).to_list()
        tokens += [*map(tokenizer.id_to_token, ids), "[SEP]"]
    return tokens


def test_tokens_of_texts_and_pairs(read, tokenizer):
    texts = ["A good dog!", "", "x 中国 zebra"]
    one = [[with_special(tokenizer, text)] for text in texts]
    assert one[2][0][1:4] == ["x", "中", "国"]
    assert read(TextEmbedder, {"text": texts})[1] == one
    _, found, _ = read(TextEmbedder, {"text": texts}, prompt="song ")
    assert found == [[with_special(tokenizer, f"song {text}")] for text in texts]
    columns = {"text": texts, "text_pair": texts[::-1]}
    _, found, _ = read(TextClassifier, columns, classes=["a", "b"], pair=True)
    assert found == [
        [with_special(tokenizer, *both)] for both in zip(texts, texts[::-1], strict=True)
    ]


def test_masks_and_choices(read, tokenizer):
    _, ((found,),), _ = read(MaskedLM, {"text": ["a [MASK] dog"]})
    assert found == ["[CLS]", "a", "[MASK]", "dog", "[SEP]"]
    columns = {"text": ["a dog", "x"], "choices": [["good", "bad"], ["one", ""]]}
    _, found, _ = read(MultipleChoice, columns)
    assert found == [
        [with_special(tokenizer, "a dog", choice) for choice in ("good", "bad")],
        [with_special(tokenizer, "x", "one")],
    ]


def test_chunks_of_long_texts(read, tokenizer):
    settings = {"classes": ["a", "b"], "long_text": "mean", "sequence_length": 24}
    _, (long, short), _ = read(TextClassifier, {"text": [LONG, "a"]}, **settings)
    assert short == [with_special(tokenizer, "a")]
    assert [token for chunk in long for token in chunk[1:-1]] == LONG.split()
    assert all(chunk[0] == "[CLS]" and chunk[-1] == "[SEP]" for chunk in long)
    assert max(map(len, long)) == 24


def test_windows_are_those_of_the_model(read):
    """Training reads the same windows."""
    texts = [LONG, "", "a dog"]
    settings = {"classes": ["O", "X"], "sequence_length": 24}
    task, found, ids = read(TokenClassifier, {"text": texts}, **settings)
    assert [len(row) for row in found] == [7, 1, 1]
    preprocessor = task.preprocessor
    words = [text.split() for text in texts]
    rows = preprocessor.rows(words, [["O"] * len(one) for one in words])
    windows = preprocessor.training_examples(0, rows.x, rows.y, rows.sample_weight)[0]
    windows = windows["token_ids"].numpy()
    flat = [window for row, kept in zip(ids, found, strict=True) for window in row[: len(kept)]]
    np.testing.assert_array_equal(flat, windows)

    columns = {"question": ["good dog?", "x"], "context": [LONG, "a"]}
    task, found, ids = read(QuestionAnswerer, columns, sequence_length=24, stride=8)
    rows = task.preprocessor.rows(columns)
    windows = task.preprocessor.training_examples(0, rows.x, None, None)[0]["token_ids"].numpy()
    flat = [window for row, kept in zip(ids, found, strict=True) for window in row[: len(kept)]]
    np.testing.assert_array_equal(flat, windows)
    assert len(found[0]) > 5


@pytest.fixture(scope="module")
def exported(tokenizer, tiny_backbone, tmp_path_factory):
    """A classifier, exported with attention."""
    backbone = tiny_backbone(tokenizer, initializer_range=0.5, num_layers=3)
    task = TextClassifier(backbone, ["a", "b"], tokenizer=tokenizer)
    directory = tmp_path_factory.mktemp("attention") / "1"
    task.export(directory, attention=True, check=False)
    return task, directory


@pytest.mark.full
def test_check_compares_attention(exported, tmp_path, monkeypatch):
    task, _ = exported
    task.export(tmp_path / "1", attention=True)
    right = SelfAttention.call

    def call(self, *arguments, **options):
        found = right(self, *arguments, **options)
        if options.get("return_weights") and is_inference_mode():
            return found[0], found[1] * 0.9
        return found

    monkeypatch.setattr(SelfAttention, "call", call)
    with pytest.raises(RuntimeError, match=r"attention gives attention_weights that differ"):
        task.export(tmp_path / "2", attention=True)


def test_attention_is_that_of_the_model(exported, tokenizer, tiny_backbone):
    task, directory = exported
    client = SavedModelClient(directory)
    config = task.backbone.config
    assert client.metadata["attention"] == {
        "layers": config.num_layers,
        "heads": config.num_heads,
    }
    again = tiny_backbone(tokenizer, num_layers=3, return_hidden_states=True)
    again.set_weights(task.backbone.get_weights())
    texts = ["a good dog", "x"]
    features = task.preprocessor(texts)
    expected = [weights.numpy() for weights in again(features)["attention_weights"]]
    attention = client._model.signatures["attention"]
    for layer in range(config.num_layers):
        numbers = {"layer": tf.constant([layer] * 2), "sequence": tf.constant([0, 0])}
        found = attention(text=tf.constant(texts), **numbers)["attention_weights"].numpy()
        assert found.shape == (2, config.num_heads, 5, 5)
        np.testing.assert_allclose(found[0], expected[layer][0], atol=1e-5)
        np.testing.assert_allclose(found[1, :, :3], expected[layer][1, :, :3], atol=1e-5)
    layers = [0, config.num_layers - 1]  # each row has its own
    found = attention(
        text=tf.constant(texts), layer=tf.constant(layers), sequence=tf.constant([0, 0])
    )["attention_weights"]
    np.testing.assert_allclose(found[0], expected[0][0], atol=1e-5)
    np.testing.assert_allclose(found[1, :, :3], expected[-1][1, :, :3], atol=1e-5)


def test_attention_is_served(exported, start_server):
    _, directory = exported
    server = start_server(directory, "heads")

    def ask(**numbers):
        body = {"signature_name": "attention", "inputs": {"text": ["a dog"], **numbers}}
        found = urllib3.request("POST", f"{server.rest}:predict", json=body, retries=False)
        return found.status, found.json()

    status, found = ask(layer=[1], sequence=[0])
    assert status == 200
    weights = np.array(found["outputs"])
    np.testing.assert_allclose(weights.sum(-1), 1, atol=1e-5)
    for numbers, message in (
        ({"layer": [9], "sequence": [0]}, "layer must be in [0, 2]"),
        ({"layer": [-1], "sequence": [0]}, "layer must be in [0, 2]"),
        ({"layer": [0], "sequence": [1]}, "sequence must be one that tokenize returns"),
        ({"layer": [0], "sequence": [-1]}, "sequence must be one that tokenize returns"),
        (
            {"text": ["a"] * 2, "layer": [0] * 2, "sequence": [0] * 2},
            "attention takes one row per request, found 2",
        ),
        ({"text": [], "layer": [], "sequence": []}, "attention takes one row per request, found 0"),
        ({"layer": [0.5], "sequence": [0]}, "layer must be int32, found 0.5"),
        ({"layer": [0]}, "must have the keys"),
    ):
        status, found = ask(**numbers)
        assert status == 400
        assert message in found["error"]


def test_attention_of_a_sequence_that_only_others_have(tokenizer, tiny_backbone):
    task = TokenClassifier(
        tiny_backbone(tokenizer), ["O", "X"], tokenizer=tokenizer, sequence_length=24
    )
    function = inspection.attention(task).function
    columns = {"text": tf.constant([LONG, "a"]), "layer": tf.constant([0, 0])}
    assert function(**columns, sequence=tf.constant([1, 0]))["attention_weights"].shape[0] == 2
    with pytest.raises(tf.errors.InvalidArgumentError, match="sequence must be one that tokenize"):
        function(**columns, sequence=tf.constant([0, 1]))


@pytest.mark.parametrize("name", TASKS)
def test_examples_of_attention_are_taken(tokenizer, tiny_backbone, name):
    """Exports are checked with them."""
    task = TASKS[name](tiny_backbone(tokenizer), tokenizer=tokenizer)
    inputs = inspection.example(task, saved_model.SAMPLES)
    found = inspection.attention(task).function(**inputs)["attention_weights"]
    assert len(found) == len(saved_model.SAMPLES)


def test_backbone_that_returns_attention_exports_it(tokenizer, tiny_backbone, tmp_path):
    backbone = tiny_backbone(tokenizer, return_hidden_states=True)
    task = TextClassifier(backbone, ["a", "b"], tokenizer=tokenizer)
    task.export(tmp_path / "1", check=False)
    assert "attention" in SavedModelClient(tmp_path / "1")._model.signatures
    with pytest.raises(InputError, match="exists already"):
        task.export(tmp_path / "1", attention=True, check=False)
