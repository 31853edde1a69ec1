"""`tf_model.h5`, as transformers wrote it in TensorFlow until version 4, by PyTorch's names.

The file is read as data, with h5py. It has a group for each layer, with the weights that the layer
uses, so that some stand there several times:

    mlm___cls/tf_bert_for_pre_training/bert/embeddings/word_embeddings/weight:0
    bert/tf_bert_for_pre_training/bert/encoder/layer_._0/output/dense/kernel:0
"""

import os
import re

import numpy as np

from kerasbert.checkpoints.h5_file import h5_shapes, reading
from kerasbert.errors import InputError

_ENDINGS = {"kernel": "weight", "gamma": "weight", "beta": "bias", "embeddings": "weight"}


def read_tf_file(path: str | os.PathLike) -> dict[str, np.ndarray]:
    """Reads the weights of a file that `save_pretrained` of a TensorFlow model wrote.

    Args:
        path: the file.

    Returns:
        Arrays by the names that the PyTorch model has for them, laid out as there.

    Raises:
        InputError: the file is damaged, or has two weights of the same name.
    """
    import h5py

    tensors: dict[str, np.ndarray] = {}

    def collect(full, item):
        if not isinstance(item, h5py.Dataset):
            return
        name, array = _as_pytorch(full, item[()])
        if not np.array_equal(tensors.setdefault(name, array), array):
            raise InputError(f"{path}: has two different weights called {name}")

    h5_shapes(path)
    with reading(path), h5py.File(path, "r") as file:
        file.visititems(collect)
    return tensors


def _as_pytorch(name: str, array: np.ndarray) -> tuple[str, np.ndarray]:
    """A weight as transformers' PyTorch class has it."""
    _, _, name = name.removesuffix(":0").partition("/")  # the layer's group
    name = re.sub(r"/[^/]*___", "/", name).replace("_._", "/")
    parts = name.split("/")[1:]  # without the model
    if parts and parts[-1] == "kernel" and array.ndim == 2:
        array = array.T
    if parts:
        parts[-1] = _ENDINGS.get(parts[-1], parts[-1])
    return ".".join(parts), array
