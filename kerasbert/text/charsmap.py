"""The rules by which a SentencePiece model normalizes a text, without the model."""

import functools

import numpy as np
import tensorflow as tf
import tensorflow_text as tf_text

from kerasbert.text.added_tokens import Normalized
from kerasbert.text.normalization import literal
from kerasbert.text.offsets import at_places, count_at_most

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
        found = {
            key.decode()[-1]
            for key, value in self._decoded.items()
            if not value or not characters.isdisjoint(value.decode())
        }
        return f"[{''.join(literal(c) for c in sorted(found))}]" if found else ""

    @functools.cached_property
    def _decoded(self) -> dict[bytes, bytes]:
        """What becomes of what; read from the double array (of `darts-clone`) that the rules are.

        A unit of 32 bits says by which byte it is reached (0 to 7), whether a key ends there (8)
        and where its children are (9 to 31): each at that place but for the byte that leads to it,
        the value of the key at the place itself.
        """
        if not self._rules:
            return {}
        size = int.from_bytes(self._rules[:4], "little")
        array = np.frombuffer(self._rules, "<u4", size // 4, offset=4).astype(np.int64)
        texts = self._rules[4 + size :]
        number = np.arange(len(array))
        base = number ^ (array >> 10 << (array >> 6 & 8))
        label = array & (1 << 31 | 0xFF)
        reached = number[(label > 0) & (label < 256)]
        reached = reached[np.argsort(reached ^ label[reached], kind="stable")]
        reached_from = reached ^ label[reached]

        rules, keys, units = {}, [b""], np.zeros(1, np.int64)
        while len(units):
            for place in np.flatnonzero(array[units] >> 8 & 1):
                start = int(array[base[units[place]]]) & 0x7FFFFFFF
                rules[keys[place]] = texts[start : texts.index(b"\0", start)]
            first, last = (np.searchsorted(reached_from, base[units], side) for side in _SIDES)
            counts = last - first
            parents = np.repeat(np.arange(len(units)), counts)
            before = np.repeat(np.cumsum(counts) - counts, counts)
            units = reached[np.repeat(first, counts) + np.arange(len(parents)) - before]
            steps = zip(parents.tolist(), label[units].tolist(), strict=True)
            keys = [keys[parent] + _BYTES[byte] for parent, byte in steps]
        return rules
