"""Writes a function from strings to named outputs as a SavedModel, and checks it first."""

from __future__ import annotations

import contextlib
import logging
import os
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from kerasbert import _compat, files
from kerasbert.features import LIST_COLUMNS
from kerasbert.lazy import tensorflow as tf
from kerasbert.serving import exports
from kerasbert.serving.client import METADATA, answer_rows, ask_fresh_process, sha256_of_files
from kerasbert.serving.signatures import DEFAULT

#: Texts that an export is checked with in a fresh process: short, long, empty, in several scripts,
#: with control characters.
SAMPLES = ("A short text.", "", "Größe 東京 naïve\u200b ½", "word " * 600, "[MASK] [SEP] #!?")
_TOLERANCE = 1e-4


def write(
    path: str | os.PathLike[str],
    function: Callable[..., dict[str, Any]],
    inputs: Sequence[str],
    metadata: dict[str, Any],
    *,
    resources: Sequence[Any],
    signatures: Mapping[str, tuple[dict[str, Any], Callable[..., dict[str, Any]]]],
    examples: Mapping[str, tuple[dict[str, Any], Callable[..., dict[str, Any]]]],
    plain: Callable[..., dict[str, Any]],
    tolerance: float,
    check: bool,
    overwrite: bool,
) -> None:
    """Writes a SavedModel whose `serving_default` takes one string tensor per input.

    Args:
        path: version directory to write.
        function: maps string tensors, in the order of `inputs`, to a dict of tensors whose first
            dimension is the batch.
        inputs: names of the inputs, raw keys of `kerasbert.features`, which define their shapes.
        metadata: JSON object to store as `assets.extra/kerasbert.json`.
        resources: objects without variables that `function` uses, such as a tokenizer's model.
        signatures: further signatures by name: specs of their tensors by name, and a function.
        examples: checks of `signatures`, by name: input tensors, and a function that computes the
            expected outputs.
        plain: computes what `function` does, without its shortcuts, to check it.
        tolerance: of `examples` and `plain`, relative to the largest output.
        check: whether to compare the answers of a fresh process with `function`'s.
        overwrite: whether to replace an existing export.

    Raises:
        InputError: `path` exists and `overwrite` is off or it is no export, or it can't be written.
        RuntimeError: a check failed; nothing is written.
    """
    module: Any = tf.Module()
    module.resources = list(resources)
    specs = list(string_specs(inputs).values())
    module.serve = tf.function(function, input_signature=specs, autograph=False)
    concrete = {
        name: tf.function(one, autograph=False).get_concrete_function(**tensors)
        for name, (tensors, one) in signatures.items()
    }
    for name, (example, compute) in examples.items():
        with _float32_products():
            _check_outputs(name, concrete[name](**example), compute(**example), tolerance)
    concrete[DEFAULT] = module.serve.get_concrete_function()
    # Weights that no graph uses are not stored.
    module.weights = [variable for one in concrete.values() for variable in _variables(one)]
    with files.new_directory(
        path, overwrite=overwrite, check=exports.check_replaceable
    ) as directory:
        with files.writing(directory, tf.errors.OpError), _quiet():
            tf.saved_model.save(module, str(directory), signatures=concrete)
        fingerprint = directory / exports.FINGERPRINT
        if fingerprint.exists():  # TensorFlow only warns if it cannot compute one
            fingerprint.write_bytes(_compat.stable_fingerprint(fingerprint.read_bytes()))
        extra = directory / METADATA
        extra.parent.mkdir(exist_ok=True)
        integrity = {
            "versions": {"tensorflow": tf.__version__},
            "files": sha256_of_files(directory),
        }
        files.write_json(extra, {"format": "kerasbert-export", **metadata, **integrity})
        if check:
            samples = _samples(inputs)
            with _float32_products():
                outputs = module.serve(*_tensors(samples))
                _check_outputs(DEFAULT, outputs, plain(*_tensors(samples)), tolerance)
            _check(directory, answer_rows(outputs), samples)


def string_specs(inputs: Sequence[str]) -> dict[str, Any]:
    """Returns the specs of inputs by name: strings, (batch,) or, of lists, (batch, strings)."""
    shapes = {name: [None, None] if name in LIST_COLUMNS else [None] for name in inputs}
    return {name: tf.TensorSpec(shapes[name], tf.string, name=name) for name in inputs}


@contextlib.contextmanager
def _quiet():
    """Keeps TensorFlow from reporting the hidden directory that it writes to, in notebooks."""
    logger = tf.get_logger()
    before = logger.level
    logger.setLevel(max(before, logging.WARNING))
    try:
        yield
    finally:
        logger.setLevel(before)


def _variables(function) -> list:
    """Returns the variables of a concrete function, in the order of their first use.

    TensorFlow keeps them in a set, whose order differs between processes; this order makes
    exports of the same model identical.
    """
    order = {id(tensor): number for number, tensor in enumerate(function.captured_inputs)}
    return sorted(function.variables, key=lambda variable: order[id(variable.handle)])


def _samples(inputs: Sequence[str]) -> dict[str, list]:
    """Returns the texts that an export is checked with, for each input."""
    lists = [[sample, SAMPLES[0]] for sample in SAMPLES]
    return {name: lists if name in LIST_COLUMNS else list(SAMPLES) for name in inputs}


def _tensors(columns: Mapping[str, list]) -> list:
    return [tf.constant(column) for column in columns.values()]


def _check_outputs(signature: str, outputs: Mapping, right: Mapping, share: float) -> None:
    """Compares floats with expected ones that were computed in another way.

    What follows from them, such as the name of the best class, may differ if two are nearly equal.
    """
    for name, expected in right.items():
        if not expected.dtype.is_floating:
            continue
        found, expected = outputs[name].numpy(), expected.numpy()
        if found.shape != expected.shape:
            raise RuntimeError(
                f"the export's {signature} gives {name} of the shape {found.shape}, the model "
                f"{expected.shape}"
            )
        limit = share * max(1e-6, np.abs(expected).max(initial=0.0))
        difference = np.abs(found - expected).max(initial=0.0)
        if not difference <= limit:  # also true for NaN
            raise RuntimeError(
                f"the export's {signature} gives {name} that differ by up to {difference:.2g} from "
                f"the model's, which reach {np.abs(expected).max():.2g}"
            )


def _check(directory: pathlib.Path, live: list[dict], samples: Mapping[str, list]) -> None:
    """Compares the answers with those of a fresh process."""
    fresh = ask_fresh_process(directory, dict(samples))
    for sample, ours, theirs in zip(SAMPLES, live, fresh, strict=True):
        if not _same(ours, theirs):
            raise RuntimeError(
                f"the export answers {theirs} in a fresh process, the model {ours} to {sample!r}"
            )


@contextlib.contextmanager
def _float32_products():
    """Context in which GPUs multiply in full float32, as in the fresh process.

    By default they round factors to 10 bits (TF32), and differences then depend on the batch.
    """
    before = tf.config.experimental.tensor_float_32_execution_enabled()
    tf.config.experimental.enable_tensor_float_32_execution(False)
    try:
        yield
    finally:
        tf.config.experimental.enable_tensor_float_32_execution(before)


def _same(ours: dict, theirs: dict) -> bool:
    def equal(a, b):
        if isinstance(a, float):
            return bool(np.isclose(a, b, atol=_TOLERANCE))
        if isinstance(a, list):
            return len(a) == len(b) and all(map(equal, a, b))
        return a == b

    return ours.keys() == theirs.keys() and all(equal(ours[key], theirs[key]) for key in ours)
