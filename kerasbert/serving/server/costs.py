"""How many tokens a row may have, without tokenizing it."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from kerasbert.features import CHOICES, TOKEN_IDS
from kerasbert.serving import exports

#: The most tokens of a row that is not cut into windows: all of its choices are computed at once.
MOST_TOKENS = 65_536
_SPECIAL = 4  # at most, of a pair


def sequences(inputs: Mapping[str, np.ndarray]) -> int:
    """Returns how many sequences the model reads: the rows, or all of their choices."""
    numbers = [len(value) for value in inputs.values()]
    if CHOICES in inputs:
        numbers.append(inputs[CHOICES].size)
    if TOKEN_IDS in inputs:
        numbers.append(math.prod(inputs[TOKEN_IDS].shape[:-1]))
    return max(numbers)


def are_cut(inputs: Mapping[str, np.ndarray], metadata: Mapping[str, Any]) -> bool:
    """Returns whether rows are cut into windows, so that they may be of any length.

    Strings are, of tasks that do so; token features are not.
    """
    return exports.reads_windows(metadata) and any(
        value.dtype == object for value in inputs.values()
    )


def of_rows(inputs: Mapping[str, np.ndarray], metadata: Mapping[str, Any]) -> list[int]:
    """Returns an upper bound of the tokens of each row; token features count with their padding.

    A tokenizer makes at most one token of a byte, except of a few ligatures. Windows are as far
    apart as the export's `stride` says, and at most half a window, as if a question filled the
    other half; half a window if the metadata has no stride.

    Args:
        inputs: strings or token features, whose first dimension is the rows.
        metadata: the export's metadata.
    """
    length, prompt = metadata["sequence_length"], len(metadata.get("prompt", "").encode())
    columns = [value.tolist() for value in inputs.values() if value.dtype == object]
    if not columns:
        widest = max(int(np.prod(value.shape[1:])) for value in inputs.values())
        return [widest] * len(next(iter(inputs.values())))
    if are_cut(inputs, metadata):
        stride = metadata.get("stride")
        return [
            _of_windows(prompt + _bytes(row), length, stride) for row in zip(*columns, strict=True)
        ]
    return [_of_row(row, length, prompt) for row in zip(*columns, strict=True)]


def _of_row(row: Sequence, length: int, prompt: int) -> int:
    lists = [part for part in row if isinstance(part, list)]
    if not lists:
        return min(length, prompt + _bytes(row) + _SPECIAL)
    others = _bytes([part for part in row if not isinstance(part, list)])
    # The model reads each choice with the text.
    return sum(min(length, others + len(one) + _SPECIAL) for part in lists for one in part) or 1


def _of_windows(tokens: int, length: int, stride: int | None) -> int:
    """Returns the tokens of all windows, where a question counts once, as a part of the row."""
    room = max(1, length - _SPECIAL)
    half = (room + 1) // 2
    steps = math.ceil(max(0, tokens - room) / min(stride or half, half))
    return (1 + steps) * min(length, tokens + _SPECIAL)


def _bytes(row: Sequence) -> int:
    return sum(_bytes(part) if isinstance(part, list) else len(part) for part in row)
