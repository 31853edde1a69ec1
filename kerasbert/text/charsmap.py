"""The normalization rules of a SentencePiece model, applied without the model."""

from __future__ import annotations

import functools

import numpy as np

from kerasbert.errors import InputError
from kerasbert.lazy import tensorflow as tf
from kerasbert.lazy import tensorflow_text as tf_text
from kerasbert.text.normalization import literal
from kerasbert.text.offsets import at_positions, count_at_most
from kerasbert.text.spans import Normalized

_BYTES = [bytes([byte]) for byte in range(256)]
_SIDES = ("left", "right")


class Charsmap:
    """Normalizes texts as a SentencePiece model does, and maps each byte to its origin.

    White space is neither added nor merged nor replaced.

    Args:
        rules: bytes, the model's `precompiled_charsmap`; empty for none.
        model: the op of a model with these rules whose pieces are the 256 bytes.
    """

    def __init__(self, rules: bytes, model: tf_text.SentencepieceTokenizer):
        self._rules = rules
        self.model = model

    def normalize(self, text: Normalized) -> Normalized:
        """Normalizes texts that may already have been normalized by other steps."""
        ids, starts, ends = self.model.tokenize_with_offsets(text.texts)
        starts, ends = (tf.cast(x.values, tf.int64) for x in (starts, ends))
        # Only the last byte of a character has a length in the op's offsets.
        last = tf.maximum(starts, ends - 1)
        rows = ids.value_rowids()
        begins = tf.range(tf.size(rows, tf.int64)) - tf.gather(ids.row_starts(), rows)

        def original(values, offsets):
            units = count_at_most(text.begins, ids.with_values(offsets)) - 1
            return at_positions(values, units)

        spelled = ids.with_values(tf.gather(tf.constant(_BYTES), ids.values - 1))
        return Normalized(
            tf.strings.reduce_join(spelled, axis=1),
            ids.with_values(begins),
            original(text.starts, starts),
            original(text.ends, last),
        )

    def sources(self, characters: set[str]) -> str:
        """Returns a pattern of the characters that rules turn into any of `characters`.

        A text that does not match it does not get one of them by a rule. Dropped characters match
        too, because dropping one makes its neighbors adjacent. The pattern is "" if no rule
        applies.
        """
        kept = {
            key.decode(errors="replace")[-1]
            for key, value in self._decoded.items()
            if not value or not characters.isdisjoint(value.decode())
        }
        return f"[{''.join(literal(c) for c in sorted(kept))}]" if kept else ""

    @functools.cached_property
    def _decoded(self) -> dict[bytes, bytes]:
        """The rules as a dict from source bytes to replacement bytes."""
        if not self._rules:
            return {}
        trie = _Trie(self._rules)
        rules, keys, units = {}, [b""], np.zeros(1, np.int64)
        while len(units):
            for position in np.flatnonzero(trie.ends_key[units]):
                start = int(trie.values[trie.base[units[position]]])
                rules[keys[position]] = trie.texts[start : trie.texts.index(b"\0", start)]
            parents, units = trie.children(units)
            steps = zip(parents.tolist(), trie.label[units].tolist(), strict=True)
            keys = [keys[parent] + _BYTES[byte] for parent, byte in steps]
        return rules


class _Trie:
    """The stored form of the rules: a double array (of `darts-clone`) and the replacement texts.

    Each unit has 32 bits: the byte that leads to it (bits 0 to 7), whether a key ends there (bit
    8), and the base of its children (bits 9 to 31). A child is stored at the base XOR its byte, and
    the value of a key at the base itself. Units can share children.

    Attributes:
        texts: the replacements, each followed by a NUL.
        base: int64, (units,). The base of each unit's children.
        ends_key: bool, (units,). Whether a key ends at the unit.
        values: int64, (units,). The start of the value in `texts`, for units that store one.
        label: int64, (units,). The byte that leads to the unit; above 255 for units without one.
    """

    def __init__(self, rules: bytes):
        size = int.from_bytes(rules[:4], "little")
        array = np.frombuffer(rules, "<u4", size // 4, offset=4).astype(np.int64)
        self.texts = rules[4 + size :]
        number = np.arange(len(array))
        self.base = number ^ (array >> 10 << (array >> 6 & 8))
        self.ends_key = (array >> 8 & 1).astype(bool)
        self.values = array & 0x7FFFFFFF
        self.label = array & (1 << 31 | 0xFF)
        reached = number[(self.label > 0) & (self.label < 256)]
        order = np.argsort(reached ^ self.label[reached], kind="stable")
        self._reached = reached[order]
        self._reached_from = self._reached ^ self.label[self._reached]

    def children(self, units: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Returns the children of `units`, and the index in `units` of each child's parent."""
        first, last = (np.searchsorted(self._reached_from, self.base[units], x) for x in _SIDES)
        counts = last - first
        parents = np.repeat(np.arange(len(units)), counts)
        before = np.repeat(np.cumsum(counts) - counts, counts)
        return parents, self._reached[np.repeat(first, counts) + np.arange(len(parents)) - before]


def check_rules(rules: bytes, source: str) -> None:
    """Checks rules that would make the library read out of bounds or run without end.

    The library checks no bounds itself; it trusts the compiler of the rules.

    Args:
        rules: bytes, a `precompiled_charsmap`.
        source: string, the name of the file in messages.

    Raises:
        InputError: SentencePiece cannot have compiled these rules.
    """
    if rules and (problem := _problem(rules)):
        raise InputError(f"{source}: damaged normalization rules ({problem})")


# The usual rules have 13, 4, 225,276 and 33.
_LONGEST_KEY, _MOST_PREFIXES, _MOST_KEYS, _LONGEST_VALUE = 256, 32, 2_000_000, 1_000


def _problem(rules: bytes) -> str | None:
    size = int.from_bytes(rules[:4], "little")
    if not 0 < size < len(rules) - 4 or size % 4 or rules[-1]:
        return "they are truncated"
    trie = _Trie(rules)
    # For each unit reached: the number of its keys, and the number of shorter keys within the
    # longest.
    units, keys, prefixes = (np.zeros(1, np.int64) for _ in range(3))
    keys += 1
    values = []
    for _ in range(_LONGEST_KEY):
        # The library reads the position of a child for any byte.
        if max(trie.base[units] | 0xFF) >= len(trie.base):
            return "an index is out of bounds"
        ends = units[trie.ends_key[units]]
        values.append(trie.values[trie.base[ends]])
        parents, children = trie.children(units)
        if not len(children):
            return _problem_of_values(np.unique(np.concatenate(values)), trie.texts)
        units, positions = np.unique(children, return_inverse=True)
        keys = np.bincount(positions, keys[parents]).astype(np.int64)
        longest = np.zeros(len(units), np.int64)
        np.maximum.at(longest, positions, prefixes[parents])
        prefixes = longest + trie.ends_key[units]
        if keys.sum() > _MOST_KEYS or prefixes.max() > _MOST_PREFIXES:
            return "too many keys, or too many keys within one key"
    return f"a key of more than {_LONGEST_KEY} bytes"


def _problem_of_values(starts: np.ndarray, texts: bytes) -> str | None:
    """Returns a description of the first problem of the values that start at `starts`, or None."""
    if not len(starts):
        return None
    if starts[-1] >= len(texts):
        return "a value is out of bounds"
    try:
        texts.decode()
    except UnicodeDecodeError:
        return "a value is not UTF-8"
    data = np.frombuffer(texts, np.uint8)
    ends = np.flatnonzero(data == 0)
    if (ends[np.searchsorted(ends, starts)] - starts).max() > _LONGEST_VALUE:
        return f"a value of more than {_LONGEST_VALUE:,} bytes"
    return "a value starts inside a character" if (data[starts] >> 6 == 2).any() else None
