"""Word vectors: reading of a file, and the nearest vectors of each."""

import codecs
import os
import re
from collections.abc import Iterator

import numpy as np

from kerasbert import files
from kerasbert.data.corpus.documents import stores
from kerasbert.errors import InputError, shown

#: The words of a file that are read: its first ones, which are usually the most frequent.
MOST_WORDS = 100_000
_MOST_NUMBERS = 4096  # of a vector
_LONGEST_LINE = 1 << 20  # bytes
_HEADER = re.compile(rb"(\d{1,18})\s+(\d{1,18})\s*")
_FINE = 1 << 20
# Products of vectors of this length are integers that float32 holds, and so are their partial sums.
_LENGTH = 4000
_AT_ONCE = 1 << 24  # products
_GROUP = 64


def read_word_vectors(path: str | os.PathLike[str]) -> tuple[list[str], np.ndarray]:
    """Reads a file in the text format of word2vec: a line `word number number ...` for each word.

    A first line with the numbers of words and of dimensions may precede them. `.gz`, `.bz2`, `.xz`
    and `.zst` are decompressed.

    Args:
        path: path of the file.

    Returns:
        The first `MOST_WORDS` words; and their vectors, float32, (words, dimensions).

    Raises:
        InputError: the file can't be read, has no words, or a line is malformed; the message names
            the line.
    """
    if not files.exists(path):
        raise InputError(f"{path}: no such file")
    files.check_file(path)
    words: list[str] = []
    vectors: list[np.ndarray] = []
    expected = size = None
    for number, line in _lines(path):
        if number == 1 and (header := _HEADER.fullmatch(line)):
            expected, size = int(header[1]), _checked_size(f"{path}:1", int(header[2]))
            continue
        word, *numbers = line.split() if size is None else line.strip().rsplit(None, size)
        if size is None:
            size = _checked_size(f"{path}:{number}", len(numbers))
        parts = word.split()  # a few words have spaces, such as GloVe's "at name@domain.com"
        if len(parts) > 1 and parts[-1][-1:].isdigit() and _is_number(parts[-1]):
            numbers = [*parts[1:], *numbers]
        if len(numbers) != size:
            raise InputError(
                f"{path}:{number}: expected a word and {size} numbers, found {len(numbers)} after "
                "the word"
            )
        words.append(_decoded(word, f"{path}:{number}"))
        vectors.append(_vector(numbers, f"{path}:{number}"))
        if len(words) == MOST_WORDS:
            break
    if not words:
        raise InputError(f"{path}: has no word vectors; expected lines `word number number ...`")
    if expected is not None and len(words) < min(expected, MOST_WORDS):
        raise InputError(f"{path}: has {len(words)} words, but its first line says {expected}")
    return words, np.stack(vectors)


def _lines(path) -> Iterator[tuple[int, bytes]]:
    """Yields the numbers and the bytes of the lines that are not blank."""
    with stores.opened(os.fspath(path)) as file:
        number = 0
        while line := file.readline(_LONGEST_LINE + 1):
            number += 1
            if len(line) > _LONGEST_LINE:
                raise InputError(f"{path}:{number}: has more than {_LONGEST_LINE:,} bytes")
            line = line.removeprefix(codecs.BOM_UTF8) if number == 1 else line
            if not line.isspace():
                yield number, line


def _checked_size(where: str, size: int) -> int:
    if not 1 <= size <= _MOST_NUMBERS:
        raise InputError(
            f"{where}: expected a word and 1 to {_MOST_NUMBERS:,} numbers, or a first line with "
            f"their counts, found {size} numbers"
        )
    return size


def _decoded(word: bytes, where: str) -> str:
    try:
        return word.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"{where}: the word is not UTF-8 ({error.reason})") from None


def _vector(numbers: list[bytes], where: str) -> np.ndarray:
    try:
        with np.errstate(over="ignore"):
            vector = np.array([float(number) for number in numbers], np.float32)
    except ValueError:
        wrong = next(number for number in numbers if not _is_number(number))
        raise InputError(f"{where}: expected a number, found {shown(wrong)[1:]}") from None
    if not np.isfinite(vector).all():
        raise InputError(f"{where}: has a number that is infinite, NaN, or too large for float32")
    return vector


def _is_number(text: bytes) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def nearest(vectors: np.ndarray, count: int, least: float) -> np.ndarray:
    """Returns the vectors with the highest cosine similarity to each vector.

    The result does not depend on the processor or the number of threads: directions are rounded to
    integers, by at most 0.000125, whose products are exact.

    Args:
        vectors: float32, (vectors, dimensions).
        count: integer, the most that are returned for each.
        least: float, the least similarity.

    Returns:
        int64, (vectors, count): indices of others, the most similar first, and then -1.
    """
    directions = _directions(vectors)
    groups = -(-len(directions) // _GROUP)
    columns = np.zeros((groups * _GROUP, directions.shape[1]), np.float32)
    columns[: len(directions)] = directions
    found = np.full((len(directions), count), -1)
    rows = max(1, _AT_ONCE // len(columns))
    for first in range(0, len(directions), rows):
        products = directions[first : first + rows] @ columns.T
        row = np.arange(len(products))
        products[row, first + row] = 0  # the vector itself
        # The highest ones are in the groups with the highest maxima; a group is every so many
        # columns, so that maxima are those of whole vectors.
        maxima = products.reshape(-1, _GROUP, groups).max(axis=1)
        group = _highest(maxima, np.broadcast_to(np.arange(groups), maxima.shape), count)
        column = (group[:, np.newaxis] + groups * np.arange(_GROUP)[:, np.newaxis]).reshape(
            len(products), -1
        )
        best = _highest(np.take_along_axis(products, column, axis=1), column, count)
        similar = np.take_along_axis(products, best, axis=1) >= max(least * _LENGTH**2, 1)
        found[first : first + rows, : best.shape[1]] = np.where(similar, best, -1)
    return found


def _directions(vectors: np.ndarray) -> np.ndarray:
    """Returns vectors of integers in the same directions, of length `_LENGTH`, or 0 for 0."""
    directions = np.empty(vectors.shape, np.float32)
    for first in range(0, len(vectors), 4096):
        block = vectors[first : first + 4096].astype(np.float64)
        largest = np.abs(block).max(axis=1, keepdims=True)
        # The sum of their squares is exact, too, in whatever order it is computed.
        fine = np.rint(block / np.where(largest > 0, largest, 1) * _FINE)
        length = np.sqrt(np.square(fine).sum(axis=1, keepdims=True))
        directions[first : first + 4096] = np.rint(fine * (_LENGTH / np.maximum(length, 1)))
    return directions


def _highest(values: np.ndarray, columns: np.ndarray, count: int) -> np.ndarray:
    """Returns the columns of each row's highest values, descending; equal ones in their order."""
    keys = values.astype(np.int64) * (1 << 32) - columns
    count = min(count, keys.shape[1])
    top = np.argpartition(keys, -count, axis=1)[:, -count:]
    order = np.argsort(-np.take_along_axis(keys, top, axis=1), axis=1)
    return np.take_along_axis(columns, np.take_along_axis(top, order, axis=1), axis=1)
