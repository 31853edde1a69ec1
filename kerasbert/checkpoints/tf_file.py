"""`tf_model.h5`, written by TensorFlow models of transformers until version 4, by PyTorch names.

The file is read as data, with h5py. It has a group for each layer, which contains the weights that
the layer uses, so that some weights are stored several times:

    mlm___cls/tf_bert_for_pre_training/bert/embeddings/word_embeddings/weight:0
    bert/tf_bert_for_pre_training/bert/encoder/layer_._0/output/dense/kernel:0
"""

import os
import re

import numpy as np

from kerasbert.checkpoints.h5_file import h5_shapes, reading
from kerasbert.errors import InputError

_ENDINGS = {"kernel": "weight", "gamma": "weight", "beta": "bias", "embeddings": "weight"}


def read_tf_file(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """Reads a weight file that `save_pretrained` of a TensorFlow model wrote.

    Args:
        path: path of the file.

    Returns:
        Dict of arrays with the names and the layout of the PyTorch model.

    Raises:
        InputError: the file is damaged, or has two different weights with the same name.
    """
    import h5py

    tensors: dict[str, np.ndarray] = {}

    def collect(full, item):
        if not isinstance(item, h5py.Dataset):
            return
        name, array = _as_pytorch(full, item[()])
        if not np.array_equal(tensors.setdefault(name, array), array):
            raise InputError(f"{path}: contains two different weights with the name {name}")

    h5_shapes(path)
    with reading(path), h5py.File(path, "r") as file:
        file.visititems(collect)
    return tensors


def _as_pytorch(name: str, array: np.ndarray) -> tuple[str, np.ndarray]:
    """Converts the name and the layout of a weight to those of PyTorch."""
    _, _, name = name.removesuffix(":0").partition("/")  # the layer's group
    name = re.sub(r"/[^/]*___", "/", name).replace("_._", "/")
    parts = name.split("/")[1:]  # without the model's name
    if parts and parts[-1] == "kernel" and array.ndim == 2:
        array = array.T
    if parts:
        parts[-1] = _ENDINGS.get(parts[-1], parts[-1])
    return ".".join(parts), array
