"""Batches for MLM + NSP, each a pure function of (seed, step)."""

from __future__ import annotations

import math

import numpy as np

from kerasbert.data.corpus import Corpus
from kerasbert.data.masking import Masking
from kerasbert.data.text_batches import convert
from kerasbert.errors import InputError
from kerasbert.features import MLM_LOGITS, NSP_LOGITS
from kerasbert.lazy import tensorflow as tf
from kerasbert.text.packing import TextPacker

OBJECTIVES = ("nsp", "sop")


def masked_text(packer: TextPacker, masking: Masking, seed: tuple, text, text_pair=None):
    """Masks a batch of strings; in the graph.

    Args:
        packer: tokenizes and packs.
        masking: hides tokens.
        seed: two integers; decides everything that is drawn.
        text: string tensor, (batch,).
        text_pair: string tensor, (batch,), or None.

    Returns:
        As `Masking` does: features, the hidden ids, their weights.
    """
    features = packer(text, text_pair, pad_to_longest=False)
    return masking(features, tf.stack([tf.cast(s, tf.int64) for s in seed]))


def examples_from_text(
    packer: TextPacker,
    masking: Masking,
    seed: tuple,
    text,
    text_pair=None,
    nsp_labels=None,
    objective: str = "nsp",
) -> tuple[dict, dict, dict]:
    """Pretraining examples of a batch of strings; in the graph.

    A text without a pair is cut in the middle. Unless labels are given, in about half of the rows
    the second part is swapped for that of another row ("nsp") or the parts trade places ("sop").

    Args:
        packer: tokenizes and packs.
        masking: hides tokens.
        seed: two integers; decides everything that is drawn.
        text: string tensor, (batch,).
        text_pair: string tensor, (batch,), or None.
        nsp_labels: integers, (batch,), 1 where `text_pair` does not follow `text`, or None.
        objective: "nsp" or "sop".

    Returns:
        Features, labels by output, sample weights by output.
    """
    masking_seed, pairing_seed = tf.unstack(
        tf.random.experimental.stateless_split(tf.stack([tf.cast(s, tf.int64) for s in seed]), 2)
    )
    first = packer.tokenizer.tokenize(text)
    if text_pair is None:
        first, second = _halves(first)
    else:
        second = packer.tokenizer.tokenize(text_pair)
    if nsp_labels is None:
        swapped = tf.random.stateless_uniform([first.nrows(tf.int32)], pairing_seed) < 0.5
        swap = _trade_places if objective == "sop" else _trade_seconds
        first, second, nsp_labels = swap(first, second, swapped)
    features = packer.pack(first, second)
    return _example(*masking(features, masking_seed), nsp_labels)


def _trade_seconds(first: tf.RaggedTensor, second: tf.RaggedTensor, swapped: tf.Tensor):
    # In a ring, so no row that trades keeps its own second part.
    trading = tf.where(swapped)[:, 0]
    ring = tf.tensor_scatter_nd_update(
        tf.range(tf.size(swapped)),
        trading[:, tf.newaxis],
        tf.cast(tf.roll(trading, 1, 0), tf.int32),
    )
    labels = tf.cast(ring != tf.range(tf.size(swapped)), tf.int32)
    return first, tf.gather(second, ring), labels


def _trade_places(first: tf.RaggedTensor, second: tf.RaggedTensor, swapped: tf.Tensor):
    both = tf.concat([first, second], axis=0)
    rows = tf.range(tf.size(swapped))
    other = rows + tf.size(swapped)
    first, second = (
        tf.gather(both, tf.where(swapped, *choice)) for choice in ((other, rows), (rows, other))
    )
    return first, second, tf.cast(swapped, tf.int32)


def _halves(ids: tf.RaggedTensor) -> tuple[tf.RaggedTensor, tf.RaggedTensor]:
    lengths = ids.row_lengths()
    middle = (lengths + 1) // 2
    parts = tf.reshape(tf.stack([middle, lengths - middle], axis=1), [-1])
    halves = tf.RaggedTensor.from_row_lengths(ids.flat_values, parts)
    return halves[::2], halves[1::2]


def _example(features, mask_ids, mask_weights, nsp_labels) -> tuple[dict, dict, dict]:
    ones = tf.ones_like(nsp_labels, tf.float32)
    return (
        features,
        {MLM_LOGITS: mask_ids, NSP_LOGITS: nsp_labels},
        {MLM_LOGITS: mask_weights, NSP_LOGITS: ones},
    )


class PretrainingBatches:
    """Draws batches from a corpus: batch number `step` depends on (seed, step) and nothing else.

    The corpus is cut into windows of as many tokens as a row holds; every epoch goes through them
    in another order and from another starting point. A window starts with a sentence, stays in
    one document and is cut in two at a sentence end. For "nsp" (BERT, §3.1) the second part is, for
    half of the examples, replaced by a stretch of the same length from another document; for "sop"
    (ALBERT, §3.1) the parts trade places.

    Args:
        corpus: the corpus.
        batch_size: examples a batch.
        sequence_length: tokens a row.
        seed: decides order, pairs and masks.
        objective: "nsp" or "sop".
        mask_rate: see `Masking`.
        whole_word: see `Masking`.

    Raises:
        InputError: the corpus can't give such batches.
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
    ):
        if objective not in OBJECTIVES:
            raise InputError(f"objective must be one of {OBJECTIVES}, found {objective!r}")
        if sequence_length < 8:
            raise InputError(f"sequence_length must be 8 or more, found {sequence_length}")
        if batch_size < 1:
            raise InputError(f"batch_size must be 1 or more, found {batch_size}")
        if objective == "nsp" and corpus.num_documents < 2:
            raise InputError(
                f"{corpus.directory}: has one document; next sentence prediction needs two or more"
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
        self._draw_and_mask = tf.function(
            self._batch, input_signature=[tf.TensorSpec([], tf.int64)], autograph=False
        )

    @property
    def steps_per_epoch(self) -> int:
        """Batches in which every window is drawn once."""
        return math.ceil(self.windows / self.batch_size)

    def batch(self, step: int) -> tuple[dict, dict, dict]:
        """Batch number `step`, from 0: features, labels by output, sample weights by output."""
        return self._draw_and_mask(tf.constant(step, tf.int64))

    def dataset(self, start: int = 0, steps: int | None = None) -> tf.data.Dataset:
        """Batches from number `start` on: `steps` of them, or without end."""
        end = np.iinfo(np.int64).max if steps is None else start + steps
        return convert(tf.data.Dataset.range(start, end), self._draw_and_mask)

    def _batch(self, step: tf.Tensor) -> tuple[dict, dict, dict]:
        step_seed = tf.stack([tf.constant(self.seed, tf.int64), step])
        masking_seed, pairing_seed = tf.unstack(
            tf.random.experimental.stateless_split(step_seed, 2)
        )
        first, second, labels = self._pairs(self._tokens(step), pairing_seed)
        features = self.packer.pack(self.corpus.read(*first), self.corpus.read(*second))
        features = {
            name: tf.ensure_shape(value, [self.batch_size, self.packer.sequence_length])
            for name, value in features.items()
        }
        return _example(*self.masking(features, masking_seed), labels)

    def _tokens(self, step: tf.Tensor) -> tf.Tensor:
        """The token, counted over the corpus, at which each window of a batch is looked for."""
        index = step * self.batch_size + tf.range(self.batch_size, dtype=tf.int64)
        epoch = index // self.windows
        seed = tf.fill([self.batch_size], tf.constant(self.seed, tf.int64))

        def shuffled(index, size, use):
            # The op itself: its wrapper, tf.random.experimental.index_shuffle, takes but one seed.
            return tf.raw_ops.RandomIndexShuffle(
                index=index,
                seed=tf.stack(
                    [seed, epoch, tf.fill([self.batch_size], tf.constant(use, tf.int64))], 1
                ),
                max_index=tf.constant(size - 1, tf.int64),
                rounds=16,  # with 4, few windows are hardly shuffled
            )

        window = shuffled(index % self.windows, self.windows, 0)
        # Each epoch moves all windows by another distance, so that they are cut elsewhere.
        shift = shuffled(epoch % self._room, self._room, 1)
        return (window * self._room + shift) % self.corpus.num_tokens

    def _pairs(self, tokens: tf.Tensor, seed: tf.Tensor):
        """Start and end of the first parts and of the second parts, and the labels."""
        draw = _Draws(seed, self.batch_size)
        document = self._document(tokens)
        start, end = self._window(tokens, document)
        middle, between_sentences = self._cut(start, end, draw)
        labels = tf.cast(draw.below(2), tf.int32)
        swapped = labels == 1
        if self.objective == "sop":
            first = tf.where(swapped, middle, start), tf.where(swapped, end, middle)
            second = tf.where(swapped, start, middle), tf.where(swapped, middle, end)
            return first, second, labels
        other = self._elsewhere(document, end - middle, between_sentences, draw)
        second = tf.where(swapped, other[0], middle), tf.where(swapped, other[1], end)
        return (start, middle), second, labels

    def _document(self, tokens: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """First sentence, and one past the last, of the documents that hold these tokens."""
        sentence = _last_at_or_before(self.corpus.sentences, tokens)
        document = _last_at_or_before(self.corpus.documents, sentence)
        bounds = self.corpus.documents
        return tf.gather(bounds, document), tf.gather(bounds, document + 1)

    def _window(self, tokens, document) -> tuple[tf.Tensor, tf.Tensor]:
        """From the start of the token's sentence, or of an earlier one, as much as a row holds.

        An earlier one where the document ends too soon to fill the row.
        """
        sentences = self.corpus.sentences
        document_end = tf.gather(sentences, document[1])
        latest = tf.minimum(tokens, document_end - self._room)
        sentence = tf.maximum(_last_at_or_before(sentences, latest), document[0])
        start = tf.gather(sentences, sentence)
        return start, tf.minimum(start + self._room, document_end)

    def _cut(self, start, end, draw: _Draws) -> tuple[tf.Tensor, tf.Tensor]:
        """Where windows are cut in two, and whether that is between sentences."""
        sentences = self.corpus.sentences
        first = _last_at_or_before(sentences, start) + 1
        count = _last_at_or_before(sentences, end - 1) + 1 - first
        inside = tf.gather(sentences, first + draw.below(tf.maximum(count, 1)))
        anywhere = start + 1 + draw.below(tf.maximum(end - start - 1, 1))
        return tf.where(count > 0, inside, tf.minimum(anywhere, end)), count > 0

    def _elsewhere(self, document, length, between_sentences, draw: _Draws):
        """Start and end of `length` tokens, or as many as there are, of other documents."""
        sentences = self.corpus.sentences
        begin, end = tf.gather(sentences, document[0]), tf.gather(sentences, document[1])
        # One of the tokens of all other documents, each as likely as the next.
        token = draw.below(self.corpus.num_tokens - (end - begin))
        first, last = self._document(tf.where(token < begin, token, token + end - begin))
        begin, end = tf.gather(sentences, first), tf.gather(sentences, last)
        latest = tf.maximum(begin, end - length)
        choices = _last_at_or_before(sentences, latest) + 1 - first
        sentence = tf.gather(sentences, first + draw.below(choices))
        start = tf.where(between_sentences, sentence, begin + draw.below(latest - begin + 1))
        return start, tf.minimum(start + length, end)


def _last_at_or_before(bounds: tf.Tensor, places: tf.Tensor) -> tf.Tensor:
    """For each place, the index of the last of the rising `bounds` that is not beyond it."""
    return tf.searchsorted(bounds, places, "right", tf.int64) - 1


class _Draws:
    """Independent random integers, one a row, all from one seed."""

    def __init__(self, seed: tf.Tensor, rows: int):
        self._seed = seed
        self._rows = rows

    def below(self, limit) -> tf.Tensor:
        """int64, (rows,), from 0 to below `limit`, a scalar or (rows,)."""
        self._seed, seed = tf.unstack(tf.random.experimental.stateless_split(self._seed, 2))
        uniform = tf.random.stateless_uniform([self._rows], seed, dtype=tf.float64)
        limit = tf.cast(limit, tf.int64)
        return tf.minimum(tf.cast(uniform * tf.cast(limit, tf.float64), tf.int64), limit - 1)


def most_frequent_token(corpus: Corpus) -> int:
    """The ordinary token that a guess without a model would always name."""
    counts = corpus.token_counts()
    counts[corpus.tokenizer.special_token_ids] = 0
    return int(np.argmax(counts))
