"""Batches for MLM + NSP, each a pure function of (seed, step)."""

import dataclasses
import math

import numpy as np
import tensorflow as tf

from kerasbert import features as keys
from kerasbert.data.corpus import Corpus, Place
from kerasbert.errors import InputError
from kerasbert.text.packing import TextPacker
from kerasbert.text.wordpiece import WordPieceTokenizer

OBJECTIVES = ("nsp", "sop")


@dataclasses.dataclass(frozen=True)
class Masking:
    """Chooses and hides tokens as BERT does (§3.1): 80 % [MASK], 10 % random, 10 % as they are.

    Attributes:
        mask_id: the id of [MASK].
        special: bool, (vocabulary,): ids that are neither hidden nor put in at random.
        continues_word: bool, (vocabulary,): pieces that go on with a word.
        rate: share of a row's ordinary tokens that is predicted, at least one.
        whole_word: hide all pieces of a word or none (google-research/bert, README, 2019-05-31).
    """

    mask_id: int
    special: np.ndarray
    continues_word: np.ndarray
    rate: float = 0.15
    whole_word: bool = False

    @classmethod
    def of(cls, tokenizer: WordPieceTokenizer, rate: float = 0.15, whole_word: bool = False):
        """The masking that fits a tokenizer."""
        if not 0 < rate < 1:
            raise InputError(f"mask_rate must be between 0 and 1, found {rate}")
        special = np.zeros(tokenizer.vocabulary_size, bool)
        special[tokenizer.special_token_ids] = True
        return cls(tokenizer.mask_id, special, tokenizer.continues_word, rate, whole_word)

    def __call__(self, features: dict, seed: tf.Tensor) -> tuple[dict, tf.Tensor, tf.Tensor]:
        """Masks a batch; the same (features, seed) always give the same result.

        Args:
            features: `token_ids` (batch, sequence) and whatever else; `sequence` is static.
            seed: integers, (2,).

        Returns:
            The features with masked `token_ids` and with `mask_positions`; the original ids at
            those positions, int32 (batch, masked); their weights, float32 (batch, masked), 1 or,
            in places that are not used, 0. `masked` is `rate` of the sequence, rounded up.
        """
        ids = features[keys.TOKEN_IDS]
        width = max(1, math.ceil(self.rate * ids.shape[1]))
        choice, change, random = tf.unstack(tf.random.experimental.stateless_split(seed, 3))
        positions, used = self._choose(ids, width, choice)

        originals = tf.gather(ids, positions, batch_dims=1)
        dice = tf.random.stateless_uniform(tf.shape(positions), change)
        ordinary = tf.constant(np.flatnonzero(~self.special), tf.int32)
        drawn = tf.random.stateless_uniform(
            tf.shape(positions), random, 0, tf.size(ordinary), dtype=tf.int32
        )
        hidden = tf.where(dice < 0.8, self.mask_id, originals)
        hidden = tf.where(dice >= 0.9, tf.gather(ordinary, drawn), hidden)

        rows = tf.broadcast_to(tf.range(tf.shape(ids)[0])[:, tf.newaxis], tf.shape(positions))
        places = tf.stack([tf.boolean_mask(rows, used), tf.boolean_mask(positions, used)], axis=1)
        masked = tf.tensor_scatter_nd_update(ids, places, tf.boolean_mask(hidden, used))
        zero = tf.zeros_like(positions)
        features = {
            **features,
            keys.TOKEN_IDS: tf.ensure_shape(masked, ids.shape),
            keys.MASK_POSITIONS: tf.where(used, positions, zero),
        }
        return features, tf.where(used, originals, zero), tf.cast(used, tf.float32)

    def _choose(self, ids, width, seed) -> tuple[tf.Tensor, tf.Tensor]:
        """Positions in rising order, (batch, width), and which of them are used."""
        length = ids.shape[1]
        candidate = ~tf.gather(tf.constant(self.special), ids)
        count = tf.reduce_sum(tf.cast(candidate, tf.float32), axis=1, keepdims=True)
        budget = tf.cast(tf.minimum(tf.maximum(tf.round(self.rate * count), 1.0), count), tf.int32)

        # Every piece draws a lot, the lowest are taken, special tokens come last.
        lot = tf.random.stateless_uniform(tf.shape(ids), seed)
        position = tf.broadcast_to(tf.range(length), tf.shape(ids))
        last_piece = position
        if self.whole_word:  # pieces share the lot of their word's first piece
            continues = candidate & tf.gather(tf.constant(self.continues_word), ids)
            word = tf.cumsum(tf.cast(~continues, tf.int32), axis=1)
            lot = tf.gather(lot, tf.searchsorted(word, word), batch_dims=1)
            last_piece = tf.searchsorted(word, word, side="right") - 1
        rank = tf.argsort(tf.argsort(tf.where(candidate, lot, 2.0), axis=1, stable=True), axis=1)
        taken = tf.gather(rank, last_piece, batch_dims=1) < budget  # no word is taken in part

        chosen = tf.sort(tf.where(taken, position, length), axis=1)[:, :width]
        used = chosen < length
        return tf.where(used, chosen, 0), used


def examples_from_text(
    packer: TextPacker, masking: Masking, seed: tuple, text, text_pair=None, nsp_labels=None
) -> tuple[dict, dict, dict]:
    """Pretraining examples of a batch of strings; in the graph.

    A text without a pair is cut in the middle. Unless labels are given, the second parts of about
    half of the rows are swapped for those of other rows.

    Args:
        packer: tokenizes and packs.
        masking: hides tokens.
        seed: two integers; decides everything that is drawn.
        text: string tensor, (batch,).
        text_pair: string tensor, (batch,), or None.
        nsp_labels: integers, (batch,), 1 where `text_pair` does not follow `text`, or None.

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
        rows = first.nrows(tf.int32)
        # Rows trade in a ring, so none that trades keeps its own second part.
        trading = tf.where(tf.random.stateless_uniform([rows], pairing_seed) < 0.5)[:, 0]
        ring = tf.tensor_scatter_nd_update(
            tf.range(rows), trading[:, tf.newaxis], tf.cast(tf.roll(trading, 1, 0), tf.int32)
        )
        nsp_labels = tf.cast(ring != tf.range(rows), tf.int32)
        second = tf.gather(second, ring)
    features = packer.pack(first, second)
    return _example(*masking(features, masking_seed), nsp_labels)


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
        {keys.MLM_LOGITS: mask_ids, keys.NSP_LOGITS: nsp_labels},
        {keys.MLM_LOGITS: mask_weights, keys.NSP_LOGITS: ones},
    )


@dataclasses.dataclass(frozen=True)
class Window:
    """Two stretches of a corpus that make one example.

    Attributes:
        first: place, start and end of the first text.
        second: place, start and end of the second text.
        label: 0 if they are as in the document, 1 if not.
    """

    first: tuple[Place, int, int]
    second: tuple[Place, int, int]
    label: int


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
        if objective == "nsp" and corpus.documents < 2:
            raise InputError(
                f"{corpus.directory}: has one document; next sentence prediction needs two or more"
            )
        self.corpus = corpus
        self.batch_size = batch_size
        self.seed = seed
        self.objective = objective
        self.packer = TextPacker(corpus.tokenizer, sequence_length)
        self.masking = Masking.of(corpus.tokenizer, mask_rate, whole_word)
        self._room = sequence_length - 3  # [CLS] a [SEP] b [SEP]
        self.windows = max(1, corpus.tokens // self._room)
        self._draw_and_mask = tf.function(
            self._batch, input_signature=[tf.TensorSpec([], tf.int64)]
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
        numbers = tf.data.Dataset.range(start, end)
        batches = numbers.map(self._batch, num_parallel_calls=2, deterministic=True)
        return batches.prefetch(4)

    def _batch(self, step: tf.Tensor) -> tuple[dict, dict, dict]:
        index = step * self.batch_size + tf.range(self.batch_size, dtype=tf.int64)
        epoch = index // self.windows
        fixed = tf.fill(tf.shape(epoch), tf.constant(self.seed, tf.int64))
        shuffle_seed = tf.stack([fixed, epoch, tf.zeros_like(epoch)], axis=1)
        # The op itself: its wrapper, tf.random.experimental.index_shuffle, takes but one seed.
        window = tf.raw_ops.RandomIndexShuffle(
            index=index % self.windows, seed=shuffle_seed, max_index=tf.constant(self.windows - 1, tf.int64), rounds=4
        )
        first, first_lengths, second, second_lengths, labels = tf.numpy_function(
            self._draw, [step, epoch, window], [tf.int32, tf.int64, tf.int32, tf.int64, tf.int32]
        )

        def rows(tokens, lengths):
            lengths = tf.ensure_shape(lengths, [self.batch_size])
            return tf.RaggedTensor.from_row_lengths(tf.ensure_shape(tokens, [None]), lengths)

        features = self.packer.pack(rows(first, first_lengths), rows(second, second_lengths))
        features = {
            name: tf.ensure_shape(value, [self.batch_size, self.packer.sequence_length])
            for name, value in features.items()
        }
        labels = tf.ensure_shape(labels, [self.batch_size])
        seed = tf.stack([tf.constant(self.seed, tf.int64), step])
        return _example(*self.masking(features, seed), labels)

    # === Windows, in NumPy on the mapped files ===

    def _draw(self, step, epochs, windows):
        random = np.random.default_rng([self.seed, int(step)])
        # Each epoch moves all windows by another distance.
        shifts = {
            epoch: int(np.random.default_rng([self.seed, epoch, 1]).integers(self._room))
            for epoch in set(epochs.tolist())
        }
        starts = [
            (window * self._room + shifts[epoch]) % self.corpus.tokens
            for epoch, window in zip(epochs.tolist(), windows.tolist(), strict=True)
        ]
        drawn = [self._window(token, random) for token in starts]
        first = [window.first for window in drawn]
        second = [window.second for window in drawn]
        labels = np.array([window.label for window in drawn], np.int32)
        return *self._read(first), *self._read(second), labels

    def _read(self, parts) -> tuple[np.ndarray, np.ndarray]:
        tokens = np.concatenate([self.corpus.read(*part) for part in parts]).astype(np.int32)
        return tokens, np.array([end - start for _, start, end in parts], np.int64)

    def _window(self, token: int, random: np.random.Generator) -> Window:
        """The window whose first sentence holds this token of the corpus, or an earlier one."""
        place = self.corpus.place(token)
        bounds = self.corpus.sentence_bounds(place)
        start = self._start(bounds, place)
        end = min(start + self._room, int(bounds[-1]))
        middle, aligned = _cut(bounds, start, end, random)
        first, second = (place, start, middle), (place, middle, end)
        label = int(random.integers(2))
        if label and self.objective == "sop":
            first, second = second, first
        elif label:
            second = self._elsewhere(place, end - middle, aligned, random)
        return Window(first, second, label)

    def _start(self, bounds: np.ndarray, place: Place) -> int:
        """The start of the place's sentence, or of an earlier one that fills the row."""
        start = bounds[place.sentence - place.first]
        filling = np.searchsorted(bounds, bounds[-1] - self._room, side="right") - 1
        return int(min(start, bounds[max(filling, 0)]))

    def _elsewhere(self, place: Place, length: int, aligned: bool, random) -> tuple[Place, int, int]:
        """`length` tokens, or as many as there are, of another document."""
        for _ in range(100):
            token = int(random.integers(self.corpus.tokens))
            other = self.corpus.place(token)
            if other.document != place.document:
                break
        else:
            raise InputError(f"{self.corpus.directory}: one document is nearly all of the corpus")
        bounds = self.corpus.sentence_bounds(other)
        latest = max(int(bounds[0]), int(bounds[-1]) - length)
        if aligned:
            start = int(bounds[random.integers(np.searchsorted(bounds[:-1], latest, "right"))])
        else:
            start = int(random.integers(bounds[0], latest + 1))
        return other, start, min(start + length, int(bounds[-1]))


def _cut(bounds: np.ndarray, start: int, end: int, random) -> tuple[int, bool]:
    """Where a window is cut in two, and whether that is between sentences."""
    inside = bounds[np.searchsorted(bounds, start, "right") : np.searchsorted(bounds, end)]
    if len(inside):
        return int(inside[random.integers(len(inside))]), True
    return int(random.integers(start, end)) if end - start > 1 else start, False


def most_frequent_token(corpus: Corpus) -> int:
    """The ordinary token that a guess without a model would always name."""
    counts = corpus.token_counts()
    counts[corpus.tokenizer.special_token_ids] = 0
    return int(np.argmax(counts))
