"""Runs exports by `saved_model.c`, with the packages installed here or with other releases'."""

import io
import os
import pathlib
import shutil
import subprocess
from collections.abc import Mapping, Sequence

import numpy as np
import pytest
import tensorflow as tf

from kerasbert.features import LIST_COLUMNS
from kerasbert.serving import signatures

_SOURCE = pathlib.Path(__file__).with_name("saved_model.c")
_PACKAGES = pathlib.Path(tf.__file__).parents[1]
#: The text ops that TensorFlow Serving 2.12 to 2.19 does not link: `ops_lib` in tensorflow-text's
#: BUILD has them since 2.20.
_NOT_LINKED = ("_trimmer_ops.so", "_utf8_binarize_op.so")


class Program:
    """The compiled program.

    Args:
        directory: where to compile it.
        packages: directory with `tensorflow` and `tensorflow_text`, as in a wheel.
        all_text_ops: whether to load all text ops, or just those of TensorFlow Serving 2.12.
    """

    def __init__(self, directory: pathlib.Path, packages=_PACKAGES, all_text_ops: bool = False):
        compiler = shutil.which("cc")
        if not compiler:
            pytest.skip("there is no C compiler")
        tensorflow = pathlib.Path(packages) / "tensorflow"
        operations = sorted((tensorflow.parent / "tensorflow_text/python").glob("*/_*.so"))
        self._libraries = [
            path for path in operations if all_text_ops or path.name not in _NOT_LINKED
        ]
        self._program = directory / "saved_model"
        links = [f"-l:libtensorflow_{name}.so.2" for name in ("cc", "framework")]
        loader = [f"-L{tensorflow}", f"-Wl,-rpath,{tensorflow}", "-Wl,--allow-shlib-undefined"]
        words = [f"-I{tensorflow / 'include'}", _SOURCE, "-o", self._program, *loader, *links]
        subprocess.run([compiler, "-std=c11", "-Wall", "-Werror", *words], check=True)

    def _run(self, what, request: bytes = b"") -> bytes:
        ended = subprocess.run(
            [self._program, what, *self._libraries],
            input=request,
            capture_output=True,
            env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
            timeout=300,
        )
        assert ended.returncode == 0, ended.stderr.decode()[-2000:]
        return ended.stdout

    def ops(self):
        """Returns all registered ops, an `OpList`."""
        from tensorflow.core.framework import op_def_pb2

        return op_def_pb2.OpList.FromString(self._run("--ops"))

    def answers(self, directory: pathlib.Path, columns: Mapping[str, Sequence]) -> dict:
        """Returns the outputs of an export's default signature, by name."""
        signature = signatures.read(directory)["serving_default"]
        request = [_tensor("input", signature.inputs[name]) for name in columns]
        parts = zip(request, map(_strings, columns, columns.values()), strict=True)
        names = sorted(signature.outputs)
        outputs = [_tensor("output", signature.outputs[name]) for name in names]
        asked = b" ".join([*(part for pair in parts for part in pair), *outputs])
        found = io.BytesIO(self._run(directory, asked))
        answers = {name: _array(found) for name in names}
        assert not found.read()
        return answers


def _tensor(kind: str, info) -> bytes:
    operation, index = info.name.split(":")
    return f"{kind} {operation} {index}".encode()


def _strings(name: str, column: Sequence) -> bytes:
    if name in LIST_COLUMNS:
        width = max(map(len, column))
        column = [[*row, *[""] * (width - len(row))] for row in column]
    array = np.array(column)
    texts = [text if isinstance(text, bytes) else text.encode() for text in array.ravel().tolist()]
    head = " ".join(map(str, [array.ndim, *array.shape]))
    return b" ".join([head.encode(), *(b"%d %b" % (len(text), text) for text in texts)])


def _array(file: io.BytesIO) -> np.ndarray:
    number, _, *shape = map(int, file.readline().split())
    dtype = tf.as_dtype(number).as_numpy_dtype
    return np.array([_value(file, dtype) for _ in range(np.prod(shape))], dtype).reshape(shape)


def _value(file: io.BytesIO, dtype):
    if dtype is not object:
        return dtype(file.readline())
    length = b""
    while not length.endswith(b" "):
        length += file.read(1)
    text = file.read(int(length))
    assert file.read(1) == b"\n"
    return text
