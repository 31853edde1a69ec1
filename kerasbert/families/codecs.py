"""Conversion of values of settings between a format and kerasbert.

A codec that only one family needs is defined in that family's module.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from kerasbert.errors import InputError

_MOST_CLASSES = 1_000_000
_PROBLEM_TYPES = ("single_label_classification", "multi_label_classification", "regression")


class Codec(NamedTuple):
    """The conversion of a setting in both directions.

    Attributes:
        read: function from the format's value and its whole config to our value.
        write: function from our value and all our settings to the format's value.
        reads_missing: whether `read` handles a missing key.
    """

    read: Callable
    write: Callable
    reads_missing: bool = False


def by_name(names: Mapping[str, str]) -> Codec:
    """Returns the codec of activations for a table of a format's names and ours."""
    written = {ours: theirs for theirs, ours in reversed([*names.items()])}

    def read(value, config):
        if value not in names:
            raise InputError(
                f"the activation {value!r} is not supported; expected one of {', '.join(names)}"
            )
        return names[value]

    def write(value, encoder_config):
        if value not in written:
            raise InputError(
                f"the format does not support the activation {value!r}, only {', '.join(written)} "
                "(set activation= when loading, or kerasbert convert --activation)"
            )
        return written[value]

    return Codec(read, write)


def _read_labels(value, config):
    if value is None:  # files of 2019 store the number of classes
        count = config.get("num_labels") or config.get("_num_labels") or 2
        return [f"LABEL_{i}" for i in _indices(count)]
    by_index = {int(key): label for key, label in value.items()}
    if sorted(by_index) != list(range(len(by_index))):
        raise InputError(f"must contain the classes 0 to {len(by_index) - 1}")
    # transformers writes labels as they are in a dataset, for example integers.
    labels = [by_index[index] for index in range(len(by_index))]
    if not all(isinstance(label, str | int | float) for label in labels):
        raise InputError("a label must be a string or a number")
    return [str(label) for label in labels]


def _read_problem_type(value, config):
    """Returns the problem type; if it is missing, the one that transformers assumes."""
    labels = _read_labels(config.get("id2label"), config)
    problem_type = value or ("regression" if len(labels) == 1 else "single_label_classification")
    if problem_type not in _PROBLEM_TYPES:
        raise InputError(f"expected one of {', '.join(_PROBLEM_TYPES)}")
    return problem_type


def _indices(count) -> range:
    """Returns the indices of the classes, of which only the number is stored."""
    if type(count) is not int or not 1 <= count <= _MOST_CLASSES:
        raise InputError(f"{count!r} is not a number of classes from 1 to {_MOST_CLASSES:,}")
    return range(count)


AS_IS = Codec(lambda value, config: value, lambda value, encoder_config: value)
#: The names of activations in transformers.
ACTIVATION = by_name(
    {
        "gelu": "gelu",
        "gelu_python": "gelu",
        "gelu_new": "gelu_tanh",
        "gelu_pytorch_tanh": "gelu_tanh",
        "gelu_python_tanh": "gelu_tanh",
        "gelu_accurate": "gelu_tanh",
        "gelu_fast": "gelu_tanh",
        "relu": "relu",
        "silu": "silu",
        "swish": "silu",
        "tanh": "tanh",
    }
)
#: The names of classes, by index.
LABELS = Codec(
    _read_labels,
    lambda classes, encoder_config: {str(i): name for i, name in enumerate(classes)},
    reads_missing=True,
)
#: The number of classes, without names.
COUNT = Codec(
    lambda count, config: [str(i) for i in _indices(count)],
    lambda classes, encoder_config: len(classes),
)
PROBLEM_TYPE = Codec(_read_problem_type, lambda value, encoder_config: value, reads_missing=True)
#: The width of the embeddings, in formats that project them only if it differs from that of the
#: layers.
WIDTH_IF_PROJECTED = Codec(
    lambda width, config: None if width == config["hidden_size"] else width,
    lambda width, encoder_config: width or encoder_config["hidden_dim"],
)
