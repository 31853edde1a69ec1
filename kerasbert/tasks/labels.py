"""Class names, class indices and class weights."""

import operator
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from kerasbert.data.inputs import as_string, is_missing, plain, shown_classes
from kerasbert.errors import InputError

#: Names that other libraries give to the argument `classes`.
OTHER_NAMES = ("num_classes", "num_labels", "n_classes", "id2label", "labels", "class_names")


def class_names(task: str, classes: Any, at_least: int = 2) -> list[str]:
    """Returns the names of classes.

    Args:
        task: name of the task, for messages.
        classes: the names in order (strings, whole numbers or bools), the number of classes, or a
            dict from indices to names (transformers' `id2label`).
        at_least: smallest number of classes.

    Raises:
        InputError: there are too few classes, a name occurs twice, or the type is another one.
    """
    if classes is None:
        raise InputError(f"{task} needs classes: their names, or how many there are")
    if isinstance(classes, str | bytes | bool | float | set | frozenset):
        raise InputError(
            f"classes must be a list of names, or how many there are; found {classes!r} "
            f"({type(classes).__name__})"
        )
    if isinstance(classes, Mapping):
        classes = _by_index(classes)
    names = range(classes) if _is_integer(classes) else plain(classes)
    for name in names:
        if not isinstance(name, str | bytes | bool | np.bool_) and not _is_integer(name):
            raise InputError(f"classes must be names or whole numbers, found {name!r}")
    names = [name.decode() if isinstance(name, bytes) else str(name) for name in names]
    if len(names) < at_least or len(set(names)) != len(names):
        raise InputError(f"classes must be {at_least} or more different names, found {names}")
    return names


def _by_index(classes: Mapping) -> list:
    by_index = {int(key): name for key, name in classes.items() if re.fullmatch(r"\d+", str(key))}
    if sorted(by_index) != list(range(len(classes))):
        raise InputError(
            f"classes as a dict must have the keys 0 to {len(classes) - 1} and names as values, "
            f"found {dict(classes)!r}"
        )
    return [by_index[index] for index in range(len(classes))]


def are_numbers(classes: Sequence[str]) -> bool:
    """Whether all class names are whole numbers; a number then is a name and no index."""
    return all(re.fullmatch(r"-?\d+", name) for name in classes)


def class_index(label: Any, classes: Sequence[str], known: Mapping[str, int]) -> int | None:
    """Returns the index of a class, given by name or index; None if there is no such class.

    Whole numbers and bools are names if all class names are whole numbers, else indices.

    Args:
        label: a string, a number or a bool.
        classes: the class names in order.
        known: from class name to index.
    """
    label = as_string(label)
    if isinstance(label, str):
        return known.get(label)
    if isinstance(label, bool | np.bool_):
        if str(label) in known or not (len(classes) == 2 or are_numbers(classes)):
            return known.get(str(label))
        label = int(label)
    if isinstance(label, float | np.floating) and float(label).is_integer():
        label = int(label)
    if not _is_integer(label):
        return None
    if are_numbers(classes):
        return known.get(str(int(label)))
    return int(label) if 0 <= label < len(classes) else None


def class_indices(name: str, labels: Any, classes: Sequence[str]) -> np.ndarray:
    """Converts labels to class indices.

    Args:
        name: name of the argument, for messages.
        labels: one name or index per example, in any form that `plain` takes; see `class_index`.
        classes: the class names in order.

    Returns:
        int32, (examples,).

    Raises:
        InputError: a label is none of the classes.
    """
    labels = plain(labels)
    if isinstance(labels, Mapping):
        raise InputError(f"{name} must be one label for each example, found a dict")
    if isinstance(labels, np.ndarray):
        if labels.ndim == 2 and labels.shape[1] == 1:
            labels = labels[:, 0]
        labels = list(labels)
    known = {one: location for location, one in enumerate(classes)}
    encoded = np.zeros(len(labels), "int32")
    indices: dict = {}  # a cache: labels repeat
    for location, label in enumerate(labels):
        key = (type(label), label) if getattr(label, "__hash__", None) else None
        if key not in indices or key is None:
            index = class_index(label, classes, known)
            if index is None:
                raise InputError(unknown_label(f"{name}[{location}]", label, classes))
            indices[key] = index
        encoded[location] = indices[key]
    return encoded


def unknown_label(where: str, label: Any, classes: Sequence[str]) -> str:
    """Returns the message for a label that is none of the classes."""
    label = as_string(label)
    if is_missing(label):
        return f"{where} is missing ({label!r}); the classes are {shown_classes(classes)}"
    label = label.item() if isinstance(label, np.generic) else label
    if _is_integer(label) and not are_numbers(classes):
        return (
            f"{where} is {label}, but indices of the {len(classes)} classes "
            f"{shown_classes(classes)} go from 0 to {len(classes) - 1}"
        )
    return f"{where} is {label!r}, which is none of the classes {shown_classes(classes)}"


def class_weight_table(class_weight: Any, classes: Sequence[str]) -> np.ndarray:
    """Returns the weight of each class.

    Args:
        class_weight: dict from class (see `class_index`) to weight, with 1 for classes that are not
            in it; or a list with one weight per class, in order.
        classes: the class names in order.

    Returns:
        float32, (classes,).

    Raises:
        InputError: a key is none of the classes, or a weight is negative or not finite.
    """
    weights = np.ones(len(classes), "float32")
    if not isinstance(class_weight, Mapping):
        class_weight = plain(class_weight)
        if len(class_weight) != len(classes):
            raise InputError(
                f"class_weight has {len(class_weight)} weights for the {len(classes)} classes "
                f"{shown_classes(classes)}"
            )
        class_weight = dict(zip(classes, class_weight, strict=True))
    known = {name: location for location, name in enumerate(classes)}
    for label, weight in class_weight.items():
        index = class_index(label, classes, known)
        if index is None:
            raise InputError(unknown_label("a class of class_weight", label, classes))
        try:
            weights[index] = float(weight)
        except (TypeError, ValueError):
            raise InputError(
                f"class_weight of {label!r} must be a number, found {weight!r}"
            ) from None
    if not (np.isfinite(weights) & (weights >= 0)).all():
        raise InputError(f"class_weight must be numbers of 0 or more, found {weights.tolist()}")
    return weights


def weights_by_class(labels: Any, table: np.ndarray, sample_weight: Any = None) -> np.ndarray:
    """Returns the weight of each label's class, times its own weight.

    Args:
        labels: class indices of any shape.
        table: weight of each class, (classes,).
        sample_weight: weights of the labels or, with fewer axes, of their rows; None: 1.

    Returns:
        float32, of the shape of the labels.
    """
    weights = table[np.asarray(labels)]
    if sample_weight is None:
        return weights
    own = np.asarray(sample_weight, "float32")
    return weights * own.reshape(own.shape + (1,) * (weights.ndim - own.ndim))


def _is_integer(value: Any) -> bool:
    try:
        operator.index(value)
    except TypeError:
        return False
    return not isinstance(value, bool | np.bool_)
