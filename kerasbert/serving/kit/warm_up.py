"""Requests that TensorFlow Serving runs when it loads a model, before the first real one."""

import itertools
import pathlib
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from kerasbert import lazy
from kerasbert.features import LENGTHS, LIST_COLUMNS
from kerasbert.serving import exports, signatures

_WORD = "word "  # no tokenizer makes less than one token of it


def write(directory: pathlib.Path, name: str, batch_size: int, sequence_length: int) -> int:
    """Writes a request of every kind to a version directory.

    Args:
        directory: the version directory.
        name: the model's name.
        batch_size: rows of a full batch.
        sequence_length: maximum tokens per row.

    Returns:
        The number of requests; TensorFlow Serving reads at most 1,000.
    """
    import tensorflow as tf

    logs = lazy.extra("tensorflow_serving.apis.prediction_log_pb2", "'kerasbert[serving]'")
    path, number = directory / exports.WARM_UP, 0
    path.parent.mkdir(exist_ok=True)
    with tf.io.TFRecordWriter(str(path)) as records:
        for signature, inputs in requests(directory, batch_size, sequence_length):
            log = logs.PredictionLog()
            request = log.predict_log.request
            request.model_spec.name, request.model_spec.signature_name = name, signature
            for key, value in inputs.items():
                request.inputs[key].CopyFrom(tf.make_tensor_proto(value))
            records.write(log.SerializeToString())
            number += 1
    return number


def requests(
    directory: pathlib.Path, batch_size: int, sequence_length: int
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yields the name of a signature and its inputs: one row and a full batch, short and long.

    TensorFlow compiles nothing, but at the first request of a shape oneDNN chooses its kernels and
    allocates memory. Exports round shapes up, so that a few requests cover them.
    """
    found = signatures.read(directory)
    lengths = sorted({min(8, sequence_length), sequence_length // 4, sequence_length})
    for (name, one), rows, length in itertools.product(
        sorted(found.items()), (1, batch_size), lengths
    ):
        is_text = signatures.takes_strings(one)
        yield name, (_texts if is_text else _tokens)(one.inputs, rows, length)


def _texts(inputs: Mapping, rows: int, length: int) -> dict:
    """Returns equal texts, and 0 for the numbers of a signature that takes both."""
    text = (_WORD * length).strip()
    return {
        name: np.array([[text, text] if name in LIST_COLUMNS else text] * rows, dtype=object)
        if signatures.is_string(info)
        else np.zeros(rows, np.int32)
        for name, info in inputs.items()
    }


def _tokens(inputs: Mapping, rows: int, length: int) -> dict:
    """Returns token id 0, which is in every vocabulary, and no padding."""
    sizes = {}
    for name, info in inputs.items():
        # Between the rows and the tokens may be choices, or the chunks of a long text.
        between = len(signatures.shape(info)) - (1 if name == LENGTHS else 2)
        sizes[name] = (rows, *([2] * between), *(() if name == LENGTHS else (length,)))
    return {
        name: np.full(size, length if name == LENGTHS else 0, np.int32)
        for name, size in sizes.items()
    }
