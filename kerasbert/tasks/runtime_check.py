"""Checks an export for another runtime, in a fresh process without kerasbert and TensorFlow."""

from __future__ import annotations

import dataclasses
import json
import pathlib
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from kerasbert.features import (
    CONTEXT,
    MASK_POSITIONS,
    PADDING_MASK,
    QUESTION,
    SEGMENT_IDS,
    TOKEN_IDS,
    WORDS,
)
from kerasbert.lazy import tensorflow as tf
from kerasbert.serving import runtimes
from kerasbert.serving.saved_model import SAMPLES
from kerasbert.tasks.outputs import softmax

_TOLERANCE = {"float32": 1e-4, "int8": 0.1}  # relative to the largest output
_SHOWN = 2_000


def check(task: Any, directory: pathlib.Path, settings: Mapping[str, Any]) -> None:
    """Compares ids and outputs of a fresh process with those of the model, layer by layer.

    Args:
        task: the model.
        directory: the export's directory.
        settings: the content of its `export.json`.

    Raises:
        RuntimeError: they differ, or the export does not load.
    """
    columns = list(_batches(_texts(settings), settings["shape"]))
    with tempfile.TemporaryDirectory() as temporary:
        examples, outputs = (pathlib.Path(temporary) / name for name in ("in.npz", "out.npz"))
        random = _features(task, settings["features"])
        np.savez(examples, **{f"0/{name}": value for name, value in random.items()})
        examples.with_suffix(".json").write_text(json.dumps(columns))
        _run(directory, examples, outputs)
        with np.load(outputs) as found:
            arrays = dict(found)
    preprocessor = dataclasses.replace(
        task.preprocessor, sequence_length=settings["sequence_length"]
    )
    for number, texts in enumerate([None, *columns]):
        features = _part(arrays, f"{number}/features/")
        if texts:
            _check_features(features, _expected_features(preprocessor, texts), texts)
        _check_outputs(
            _part(arrays, f"{number}/outputs/"),
            _expected_outputs(task, features),
            _TOLERANCE[settings["precision"]],
        )


def _part(arrays: Mapping, prefix: str) -> dict:
    return {
        name.removeprefix(prefix): value
        for name, value in arrays.items()
        if name.startswith(prefix)
    }


def _run(directory: pathlib.Path, examples: pathlib.Path, outputs: pathlib.Path) -> None:
    child = subprocess.run(
        # -P: the folder of kerasbert's module is no place to import from.
        [sys.executable, "-P", runtimes.__file__, directory, examples, outputs],
        capture_output=True,
        text=True,
    )
    if child.returncode:
        raise RuntimeError(f"the export fails in a fresh process:\n{child.stderr[-_SHOWN:]}")


# === Examples ===


def _features(task, shapes: Mapping) -> dict:
    """Returns random features, in which rows have different numbers of tokens."""
    numbers = np.random.default_rng(0)
    config = task.backbone.config
    batch, length = shapes[TOKEN_IDS]
    batch, length = batch or 3, length or min(16, task.sequence_length)
    counts = np.linspace(length, 2, batch).astype(int)[:, np.newaxis]
    highest = {
        TOKEN_IDS: config.vocabulary_size,
        SEGMENT_IDS: max(1, config.num_segments),
        MASK_POSITIONS: 2,
    }
    sizes = {name: (batch, size[1] or length) for name, size in shapes.items()}
    features = {
        name: numbers.integers(0, highest[name], sizes[name]).astype("int32")
        for name in shapes
        if name != PADDING_MASK
    }
    return {**features, PADDING_MASK: (np.arange(length) < counts).astype("int32")}


def _texts(settings: Mapping) -> dict[str, list]:
    """Returns texts for each of an export's inputs."""
    inputs = settings["inputs"]
    if WORDS in inputs:
        return {WORDS: [text.split()[:2] for text in SAMPLES]}
    if CONTEXT in inputs:  # which must fit beside its question
        return {QUESTION: list(SAMPLES), CONTEXT: ["", "a", "", "é", "b"]}
    return {name: list(SAMPLES[:: 1 - 2 * number]) for number, name in enumerate(inputs)}


def _batches(texts: dict[str, list], shape) -> Iterator[dict]:
    size = shape[0] if shape else len(SAMPLES)
    for begin in range(0, len(SAMPLES), size):
        yield {name: column[begin : begin + size] for name, column in texts.items()}


# === What is right ===


def _expected_features(preprocessor, texts: Mapping) -> dict:
    """Returns the features that the model's own text ops compute."""
    packer, tokenizer = preprocessor.packer, preprocessor.tokenizer
    if WORDS in texts:
        words = tf.ragged.constant(texts[WORDS], tf.string, ragged_rank=1)
        ids = words.with_values(tokenizer.tokenize_words(words.values)).merge_dims(1, 2)
        return packer.pack(ids, pad_to_longest=True)
    columns = {name: tf.constant(column, tf.string) for name, column in texts.items()}
    if QUESTION in texts:
        asked = preprocessor.question_ids(columns[QUESTION])
        return packer.pack(asked, tokenizer.tokenize(columns[CONTEXT]), pad_to_longest=True)
    if hasattr(preprocessor, "at_masks"):
        return packer(*columns.values(), tokenize=tokenizer.tokenize_with_mask)
    return preprocessor.features(**columns)


def _check_features(found: Mapping, expected: Mapping, texts: Mapping) -> None:
    for name, tensor in expected.items():
        wanted = tensor.numpy()
        rows, length = wanted.shape
        unused = found[name][:, length:], found[PADDING_MASK][rows:, 2:]
        if not np.array_equal(found[name][:rows, :length], wanted) or (
            name == PADDING_MASK and any(part.any() for part in unused)
        ):
            raise RuntimeError(
                f"encode.py gives other {name} than the model for {str(texts)[:200]}"
            )


def _expected_outputs(task, features: Mapping) -> dict:
    """Returns the outputs of the model, computed layer by layer, and what follows in NumPy."""
    outputs = task({name: tf.constant(one) for name, one in features.items()}, training=False)
    if isinstance(outputs, dict):
        return {name: output.numpy() for name, output in outputs.items()}
    logits = outputs.numpy().astype("float64")
    if task.outputs_activation == "softmax":
        return {"scores": softmax(logits)}
    if task.outputs_activation == "sigmoid":
        return {"scores": 1 / (1 + np.exp(-logits))}
    if task.outputs_are == "numbers":
        return {"value": logits[:, 0]} if logits.shape[-1] == 1 else {"values": logits}
    return {task.output_name: logits}


def _check_outputs(found: Mapping, expected: Mapping, tolerance: float) -> None:
    if found.keys() != expected.keys():
        raise RuntimeError(f"the export has the outputs {[*found]}, the model {[*expected]}")
    for name, wanted in expected.items():
        given = found[name]
        if given.shape != wanted.shape or not np.isfinite(given).all():
            raise RuntimeError(
                f"the export gives {name} of the shape {given.shape}, the model {wanted.shape}, or "
                "a number that is not finite"
            )
        difference = np.abs(given - wanted).max(initial=0.0)
        largest = np.abs(wanted).max(initial=0.0)
        if difference > tolerance * max(1e-6, largest):
            raise RuntimeError(
                f"the export gives {name} that differ by up to {difference:.2g} from the model's, "
                f"which reach {largest:.2g}"
            )
