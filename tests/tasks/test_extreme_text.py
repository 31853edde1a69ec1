"""Exports with extreme inputs: a megabyte, thousands of strings, bytes that are not text."""

import numpy as np
import pytest
import tensorflow as tf

from kerasbert import (
    MaskedLM,
    MultipleChoice,
    QuestionAnswerer,
    TextClassifier,
    TextEmbedder,
    TokenClassifier,
)

MEGABYTE = "the quick cat sees a river. " * 37_500
STRANGE = ["", " ", b"\xff\xfe\x00\x80", b"caf\xe9", "\x00", "\u200b", "\U0010ffff", "[MASK] [SEP]"]
MANY = 3000

TASKS = {
    "classifier": lambda *a, **k: TextClassifier(*a, ["x", "y"], **k),
    "pairs": lambda *a, **k: TextClassifier(*a, ["x", "y"], pair=True, **k),
    "chunks": lambda *a, **k: TextClassifier(*a, ["x", "y"], long_text="attention", **k),
    "regression": lambda *a, **k: TextClassifier(*a, problem_type="regression", **k),
    "tagger": lambda *a, **k: TokenClassifier(*a, ["O", "B-x"], **k),
    "answerer": lambda *a, **k: QuestionAnswerer(*a, stride=100, **k),
    "unsure answerer": lambda *a, **k: QuestionAnswerer(
        *a, stride=100, no_answer_threshold=0.5, **k
    ),
    "choices": MultipleChoice,
    "embedder": TextEmbedder,
    "masks": MaskedLM,
}


@pytest.fixture(scope="module", params=TASKS)
def ask(request, tokenizer, tiny_backbone):
    """Returns, by task, a function from texts to the outputs of its export."""
    backbone = tiny_backbone(tokenizer, max_sequence_length=128, pooler=True)
    task = TASKS[request.param](backbone, tokenizer=tokenizer, sequence_length=128)
    names, function = task.serving_signature()
    function = tf.function(function, autograph=False, reduce_retracing=True)

    def ask(texts):
        inputs = {name: tf.constant(texts) for name in names}
        if "choices" in inputs:
            inputs["choices"] = tf.stack([inputs["choices"], inputs["choices"][::-1]], axis=1)
        return {name: value.numpy() for name, value in function(*inputs.values()).items()}

    return ask


def check(outputs, rows):
    for name, value in outputs.items():
        assert value.shape[:1] == (rows,), name
        if value.dtype.kind == "f":
            assert np.isfinite(value).all(), name
        elif value.dtype.kind == "O":
            assert all(isinstance(one.decode(), str) for one in value.ravel()), name


def test_strange_bytes(ask):
    check(ask(STRANGE), len(STRANGE))
    for text in STRANGE:
        check(ask([text]), 1)


def test_a_megabyte(ask):
    check(ask(["a cat", MEGABYTE]), 2)


def test_thousands(ask):
    check(ask(["a cat sees the river", "", "dog"] * (MANY // 3)), MANY)


def test_nothing(ask):
    check(ask(np.zeros([0], object).astype(bytes)), 0)
