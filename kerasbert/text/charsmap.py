"""The rules by which a SentencePiece model normalizes a text, without the model."""

from __future__ import annotations

import functools

import numpy as np

from kerasbert.errors import InputError
from kerasbert.lazy import tensorflow as tf
from kerasbert.lazy import tensorflow_text as tf_text
from kerasbert.text.normalization import literal
from kerasbert.text.offsets import at_places, count_at_most
from kerasbert.text.spans import Normalized

_BYTES = [bytes([byte]) for byte in range(256)]
_SIDES = ("left", "right")


class Charsmap:
    """Normalizes texts as a SentencePiece model does, and says where every byte comes from.

    White space is neither added nor joined nor replaced.

    Args:
        rules: the model's `precompiled_charsmap`; empty for none.
        model: the op of a model with these rules whose pieces are the 256 bytes.
    """

    def __init__(self, rules: bytes, model: tf_text.SentencepieceTokenizer):
        self._rules = rules
        self.model = model

    def normalize(self, text: Normalized) -> Normalized:
        """Goes on with texts that something else has normalized before."""
        ids, starts, ends = self.model.tokenize_with_offsets(text.texts)
        starts, ends = (tf.cast(x.values, tf.int64) for x in (starts, ends))
        # The bytes of a character but for the last have no length of their own.
        last = tf.maximum(starts, ends - 1)
        rows = ids.value_rowids()
        begins = tf.range(tf.size(rows, tf.int64)) - tf.gather(ids.row_starts(), rows)

        def original(values, offsets):
            units = count_at_most(text.begins, ids.with_values(offsets)) - 1
            return at_places(values, units)

        spelled = ids.with_values(tf.gather(tf.constant(_BYTES), ids.values - 1))
        return Normalized(
            tf.strings.reduce_join(spelled, axis=1),
            ids.with_values(begins),
            original(text.starts, starts),
            original(text.ends, last),
        )

    def sources(self, characters: set[str]) -> str:
        """A pattern of what a text must hold to get any of these characters by a rule; "": no rule.

        What is dropped counts too, since its neighbours then meet.
        """
        kept = {
            key.decode(errors="replace")[-1]
            for key, value in self._decoded.items()
            if not value or not characters.isdisjoint(value.decode())
        }
        return f"[{''.join(literal(c) for c in sorted(kept))}]" if kept else ""

    @functools.cached_property
    def _decoded(self) -> dict[bytes, bytes]:
        """What becomes of what."""
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
    """The rules as they are stored: a double array (of `darts-clone`), and the values' texts.

    A unit of 32 bits says by which byte it is reached (0 to 7), whether a key ends there (8) and
    where its children are (9 to 31): each at that place but for the byte that leads to it, the
    value of the key at the place itself. Places may share their children.

    Attributes:
        texts: the values, each with a NUL behind it.
        base: by unit, where its children are.
        ends_key: by unit, whether a key ends there.
        values: by unit, where in `texts` the value starts that it stands for, if it does.
        label: by unit, the byte that leads to it; another number where none does.
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
        """The children of some units, and for each the place of its parent among them."""
        first, last = (np.searchsorted(self._reached_from, self.base[units], x) for x in _SIDES)
        counts = last - first
        parents = np.repeat(np.arange(len(units)), counts)
        before = np.repeat(np.cumsum(counts) - counts, counts)
        return parents, self._reached[np.repeat(first, counts) + np.arange(len(parents)) - before]


def check_rules(rules: bytes, source: str) -> None:
    """Refuses rules that the library would follow out of its memory, or never to an end.

    It looks at no bounds itself: it trusts whoever compiled the rules.

    Raises:
        InputError: they are not what SentencePiece compiles; the message names `source`.
    """
    if rules and (problem := _problem(rules)):
        raise InputError(f"{source}: has damaged rules of normalization ({problem})")


# Of the usual rules 13, 4, 225,276 and 33.
_LONGEST_KEY, _MOST_PREFIXES, _MOST_KEYS, _LONGEST_VALUE = 256, 32, 2_000_000, 1_000


def _problem(rules: bytes) -> str | None:
    size = int.from_bytes(rules[:4], "little")
    if not 0 < size < len(rules) - 4 or size % 4 or rules[-1]:
        return "they are cut off"
    trie = _Trie(rules)
    # By unit that is reached: by how many keys, and how many shorter keys the longest has in it.
    units, keys, prefixes = (np.zeros(1, np.int64) for _ in range(3))
    keys += 1
    values = []
    for _ in range(_LONGEST_KEY):
        # The library looks for a byte where its child would be.
        if max(trie.base[units] | 0xFF) >= len(trie.base):
            return "a place is out of bounds"
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
            return "too many keys, or one in another"
    return f"a key of more than {_LONGEST_KEY} bytes"


def _problem_of_values(starts: np.ndarray, texts: bytes) -> str | None:
    """What is wrong with the texts that start at these places."""
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
    return "a value starts inside of a character" if (data[starts] >> 6 == 2).any() else None
