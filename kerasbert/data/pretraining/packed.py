"""Rows that are filled with documents, one after the other, without padding."""

from types import ModuleType
from typing import Any

import numpy as np

from kerasbert.data import graph_ops
from kerasbert.data.corpus.reader import Corpus
from kerasbert.data.pretraining.windows import shuffled_starts
from kerasbert.lazy import tensorflow as tf

#: What is at a position of a row.
TOKEN, CLS, SEP = 0, 1, 2


class PackedRows:
    """Divides a corpus into rows of equal length that may hold several documents.

    The corpus is read as one sequence, in which each document is `[CLS] tokens [SEP]`, and cut into
    rows. A row that begins inside a document has `[CLS]` as its first token, and one that ends
    inside has `[SEP]` as its last, instead of the tokens there, which other epochs use: each has
    another order and other cuts. All functions take O(log documents) per token. The index of
    documents is in memory, 8 bytes each.

    Args:
        ops: `graph_ops` or `array_ops`.
        corpus: `Corpus`.
        length: integer, the number of tokens of a row, with special tokens.
        seed: integer, determines the order.

    Attributes:
        count: integer, the number of rows of an epoch.
    """

    def __init__(self, ops: ModuleType, corpus: Corpus, length: int, seed: int):
        self._ops = ops
        self._length = length
        self._seed = seed
        # The position of each document in the sequence with [CLS] and [SEP].
        begins = corpus.sentences[corpus.documents]
        begins += 2 * np.arange(len(begins))
        self._total = int(begins[-1])
        self._begins = begins
        if ops is graph_ops:  # an array would be a constant of the graph, which can't be large
            with tf.device("CPU"):
                self._begins = tf.constant(begins)
        self.count = max(1, self._total // length)

    def rows(self, index: Any) -> tuple[Any, ...]:
        """Returns what is in rows: three of (rows, length).

        Args:
            index: int64, (rows,), the number of each row, counted from the first epoch on.

        Returns:
            The position of each token in the corpus, int64; `TOKEN`, `CLS` or `SEP`, int32, where
            the position only counts for `TOKEN`; and ascending numbers of documents in the row.
        """
        ops, length = self._ops, self._length
        starts = shuffled_starts(ops, index, self.count, length, self._seed)
        column = ops.arange(length, "int64")[np.newaxis]
        at = (starts[:, np.newaxis] + column) % self._total
        document = ops.last_at_or_before(self._begins, at)
        begin, end = (ops.gather(self._begins, document + more) for more in (0, 1))
        position = at - 2 * document - 1  # without [CLS] and [SEP] of the documents before
        kind = ops.where((at == end - 1) | (column == length - 1), SEP, TOKEN)
        # A row that ends with the first token of a document has [SEP] there, too.
        kind = ops.where(((at == begin) & (column < length - 1)) | (column == 0), CLS, kind)
        number = ops.cast(ops.cumsum(ops.cast(at == begin, "int32")), "int32")
        return ops.where(kind == TOKEN, position, 0), ops.cast(kind, "int32"), number
