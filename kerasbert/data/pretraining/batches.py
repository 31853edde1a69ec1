"""Pretraining batches for MLM and NSP or SOP, each a pure function of (seed, step).

They are drawn by a TensorFlow graph or, if Keras uses another backend, by NumPy. Both draw the same
batches.
"""

import functools
import math
from typing import Any

import keras
import numpy as np

from kerasbert.data import array_ops, graph_ops
from kerasbert.data.corpus.reader import Corpus
from kerasbert.data.pretraining.masking import Masking
from kerasbert.data.text_batches import convert
from kerasbert.errors import InputError
from kerasbert.features import MLM_LOGITS, NSP_LOGITS
from kerasbert.lazy import tensorflow as tf
from kerasbert.text.packing import TextPacker, pack_stretches

OBJECTIVES = ("nsp", "sop")


class PretrainingBatches:
    """Draws batches from a corpus; a batch depends only on the seed and its step.

    The corpus is divided into windows of as many tokens as fit into a row. Every epoch uses all
    windows in another order and with other boundaries. A window starts with a sentence, stays
    within one document and is split in two at the end of a sentence. For "nsp" (BERT, §3.1), the
    second part is replaced in half of the examples by as many tokens of another document; for "sop"
    (ALBERT, §3.1), the parts are swapped.

    Args:
        corpus: `Corpus`.
        batch_size: integer, the number of examples per batch.
        sequence_length: integer, the number of tokens per row.
        seed: integer, determines order, pairs and masks.
        objective: "nsp" or "sop".
        mask_rate: see `Masking`.
        whole_word: see `Masking`.
        with_numpy: whether NumPy draws the batches. Defaults to True if the backend of Keras is not
            TensorFlow.

    Raises:
        InputError: an argument is out of range, or the corpus has too few documents for "nsp".
    """

    def __init__(
        self,
        corpus: Corpus,
        batch_size: int,
        sequence_length: int,
        *,
        seed: int = 0,
        objective: str = "nsp",
        mask_rate: float = 0.15,
        whole_word: bool = False,
        with_numpy: bool | None = None,
    ):
        if objective not in OBJECTIVES:
            raise InputError(f"objective must be one of {OBJECTIVES}, found {objective!r}")
        if sequence_length < 8:
            raise InputError(f"sequence_length must be 8 or more, found {sequence_length}")
        if batch_size < 1:
            raise InputError(f"batch_size must be 1 or more, found {batch_size}")
        if objective == "nsp" and corpus.num_documents < 2:
            raise InputError(
                f"{corpus.directory}: has one document; next sentence prediction needs at least two"
            )
        self.corpus = corpus
        self.batch_size = batch_size
        self.seed = seed
        self.objective = objective
        self.packer = TextPacker(corpus.tokenizer, sequence_length)
        counts = corpus.token_counts() if whole_word else None
        self.masking = Masking.of(corpus.tokenizer, mask_rate, whole_word, counts)
        self._room = self.packer.pair_room
        self.windows = max(1, corpus.num_tokens // self._room)
        if with_numpy is None:
            with_numpy = keras.backend.backend() != "tensorflow"
        self._ops = array_ops if with_numpy else graph_ops
        self._sentences, self._documents = (
            (corpus.sentences, corpus.documents) if with_numpy else corpus.index_tensors
        )
        self._draw_and_mask = self._batch if with_numpy else self._graph()

    def _graph(self):
        return tf.function(
            self._batch, input_signature=[tf.TensorSpec([], tf.int64)], autograph=False
        )

    @property
    def steps_per_epoch(self) -> int:
        """The number of batches that contain every window once."""
        return math.ceil(self.windows / self.batch_size)

    def batch(self, step: int) -> tuple[dict, dict, dict]:
        """Returns batch number `step`, from 0: features, labels and sample weights by output."""
        return self._draw_and_mask(np.int64(step))

    def dataset(self, start: int = 0, steps: int | None = None):
        """Returns the batches from number `start` on.

        Args:
            start: integer, the step of the first batch.
            steps: integer, the number of batches, or None for an infinite dataset.

        Returns:
            A `tf.data.Dataset`; with NumPy, a `DrawnBatches`.
        """
        if self._ops is array_ops:
            return DrawnBatches(self.batch, start, steps)
        end = np.iinfo(np.int64).max if steps is None else start + steps
        return convert(tf.data.Dataset.range(start, end), self._draw_and_mask)

    def _batch(self, step) -> tuple[dict, dict, dict]:
        ops = self._ops
        masking_seed, pairing_seed = ops.split_seed(ops.seed_of(self.seed, step), 2)
        first, second, labels = self._pairs(self._tokens(step), pairing_seed)
        features, ids, weights = self.masking(self._packed(first, second), masking_seed)
        every = ops.cast(labels < 2, "float32")
        return (
            features,
            {MLM_LOGITS: ids, NSP_LOGITS: labels},
            {MLM_LOGITS: weights, NSP_LOGITS: every},
        )

    def _packed(self, first: tuple, second: tuple) -> dict:
        """Returns the features of pairs of token ranges of the corpus."""
        corpus, length = self.corpus, self.packer.sequence_length
        if self._ops is array_ops:
            return pack_stretches(corpus.tokens_at, first, second, corpus.tokenizer, length)
        features = self.packer.pack(corpus.read(*first), corpus.read(*second))
        shape = [self.batch_size, length]
        return {name: tf.ensure_shape(value, shape) for name, value in features.items()}

    def _tokens(self, step):
        """Returns the position in the corpus from which each window of a batch is determined."""
        ops = self._ops
        index = step * self.batch_size + ops.arange(self.batch_size, "int64")
        epoch = index // self.windows
        window = ops.shuffled(index % self.windows, self.seed, epoch, 0, self.windows)
        # Each epoch shifts all windows by another distance, which changes their boundaries.
        shift = ops.shuffled(epoch % self._room, self.seed, epoch, 1, self._room)
        return (window * self._room + shift) % self.corpus.num_tokens

    def _pairs(self, tokens, seed):
        """Returns start and end of the first and of the second parts, and the labels."""
        ops = self._ops
        draw = _Draws(ops, seed, tokens)
        document = self._document(tokens)
        start, end = self._window(tokens, document)
        middle, between_sentences = self._cut(start, end, draw)
        labels = ops.cast(draw.below(2), "int32")
        swapped = labels == 1
        if self.objective == "sop":
            first = ops.where(swapped, middle, start), ops.where(swapped, end, middle)
            second = ops.where(swapped, start, middle), ops.where(swapped, middle, end)
            return first, second, labels
        other = self._elsewhere(document, end - middle, between_sentences, draw)
        second = ops.where(swapped, other[0], middle), ops.where(swapped, other[1], end)
        return (start, middle), second, labels

    def _document(self, tokens) -> tuple:
        """Returns the first sentence, and the end (exclusive), of the documents of these tokens."""
        ops = self._ops
        sentence = ops.last_at_or_before(self._sentences, tokens)
        document = ops.last_at_or_before(self._documents, sentence)
        bounds = self._documents
        return ops.gather(bounds, document), ops.gather(bounds, document + 1)

    def _window(self, tokens, document) -> tuple:
        """Returns start and end of the windows, as long as fits into a row.

        A window starts with the token's sentence, or with an earlier one if the document ends too
        soon to fill the row.
        """
        ops = self._ops
        sentences = self._sentences
        document_end = ops.gather(sentences, document[1])
        latest = ops.minimum(tokens, document_end - self._room)
        sentence = ops.maximum(ops.last_at_or_before(sentences, latest), document[0])
        start = ops.gather(sentences, sentence)
        return start, ops.minimum(start + self._room, document_end)

    def _cut(self, start, end, draw: "_Draws") -> tuple:
        """Returns the position where windows are split, and whether it is between sentences."""
        ops = self._ops
        sentences = self._sentences
        first = ops.last_at_or_before(sentences, start) + 1
        count = ops.last_at_or_before(sentences, end - 1) + 1 - first
        inside = ops.gather(sentences, first + draw.below(ops.maximum(count, 1)))
        anywhere = start + 1 + draw.below(ops.maximum(end - start - 1, 1))
        return ops.where(count > 0, inside, ops.minimum(anywhere, end)), count > 0

    def _elsewhere(self, document, length, between_sentences, draw: "_Draws"):
        """Returns start and end of at most `length` tokens of other documents."""
        ops = self._ops
        sentences = self._sentences
        begin, end = (
            ops.gather(sentences, document[0]),
            ops.gather(sentences, document[1]),
        )
        # A token of all other documents, drawn uniformly.
        token = draw.below(self.corpus.num_tokens - (end - begin))
        first, last = self._document(ops.where(token < begin, token, token + end - begin))
        begin, end = ops.gather(sentences, first), ops.gather(sentences, last)
        latest = ops.maximum(begin, end - length)
        choices = ops.last_at_or_before(sentences, latest) + 1 - first
        sentence = ops.gather(sentences, first + draw.below(choices))
        start = ops.where(between_sentences, sentence, begin + draw.below(latest - begin + 1))
        return start, ops.minimum(start + length, end)


class _Draws:
    """Independent random integers for each row, derived from one seed."""

    def __init__(self, ops, seed, rows):
        self._ops = ops
        self._seed = seed
        self._rows = rows

    def below(self, limit):
        """Returns int64, (rows,), from 0 to below `limit`, a scalar or (rows,)."""
        self._seed, seed = self._ops.split_seed(self._seed, 2)
        uniform = self._ops.uniform(self._rows, seed, "float64")
        limit = self._ops.cast(limit, "int64")
        drawn = self._ops.cast(uniform * self._ops.cast(limit, "float64"), "int64")
        return self._ops.minimum(drawn, limit - 1)


class DrawnBatches(keras.utils.PyDataset):
    """Batches that are drawn on access, with the methods of a dataset that pretraining needs.

    Args:
        batch: function from an integer step to a batch.
        start: integer, the step of the first batch.
        steps: integer, the number of batches, or None for infinitely many.
    """

    def __init__(self, batch: Any, start: int = 0, steps: int | None = None):
        super().__init__()
        self.batch, self.start, self.steps = batch, start, steps

    @property
    def num_batches(self) -> int | None:
        """The number of batches; None for infinitely many."""
        return self.steps

    def __getitem__(self, index: int) -> tuple:
        """Returns batch number `index`, counted from `start`."""
        return self.batch(self.start + index)

    def take(self, count: int) -> "DrawnBatches":
        """Returns the first `count` batches."""
        return DrawnBatches(self.batch, self.start, count)

    def cache(self) -> "DrawnBatches":
        """Returns the same batches, each drawn only once."""
        return DrawnBatches(functools.cache(self.batch), self.start, self.steps)

    def as_numpy_iterator(self):
        """Iterates over the batches."""
        return iter(self)


def most_frequent_token(corpus: Corpus) -> int:
    """Returns the most frequent ordinary token of a corpus, the prediction of the baseline."""
    counts = corpus.token_counts()
    counts[corpus.tokenizer.special_token_ids] = 0
    return int(np.argmax(counts))
