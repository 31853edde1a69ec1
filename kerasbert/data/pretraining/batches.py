"""Pretraining batches for MLM, alone or with NSP or SOP, each a pure function of (seed, step).

They are drawn by a TensorFlow graph or, if Keras uses another backend, by NumPy. Both draw the same
batches.
"""

import math
from types import ModuleType
from typing import Any

import keras
import numpy as np

from kerasbert.data import array_ops, graph_ops
from kerasbert.data.corpus.reader import CONTINUES, Corpus
from kerasbert.data.pretraining.drawn import DrawnBatches
from kerasbert.data.pretraining.masking import Masking, mask_unit_of
from kerasbert.data.pretraining.mixture import MixedWindows, Mixture, counts_without_words
from kerasbert.data.pretraining.packed import CLS, SEP, TOKEN, PackedRows
from kerasbert.data.pretraining.similar_words import SimilarWords
from kerasbert.data.pretraining.windows import Windows
from kerasbert.data.text_batches import convert
from kerasbert.errors import InputError
from kerasbert.features import (
    DOCUMENT_IDS,
    MASK_POSITIONS,
    MLM_LOGITS,
    NSP_LOGITS,
    ORIGINAL_IDS,
    PADDING_MASK,
    RTD_LOGITS,
    SAMPLING_DRAWS,
    SEGMENT_IDS,
    TOKEN_IDS,
)
from kerasbert.lazy import tensorflow as tf
from kerasbert.text.packing import TextPacker, pack_ranges

#: Beside masked language modeling: next sentence prediction, sentence order prediction, nothing.
OBJECTIVES = ("nsp", "sop", "mlm", "rtd")


class PretrainingBatches:
    """Draws batches from a corpus; a batch depends only on the seed and its step.

    Rows are the windows of the corpus; see `Windows`. A window is split in two at the end of a
    sentence. For "nsp" (BERT, §3.1), the second part is replaced in half of the examples by as many
    tokens of another document; for "sop" (ALBERT, §3.1), the parts are swapped. For "mlm"
    (RoBERTa, §4.2, "DOC-SENTENCES"), a window is not split, and labels and weights are arrays.

    Args:
        corpus: `Corpus`, or a `Mixture` of several.
        batch_size: integer, the number of examples per batch.
        sequence_length: integer, the number of tokens per row.
        seed: integer, determines order, pairs and masks.
        objective: "nsp", "sop", "mlm", or "rtd" (as "mlm", for `ReplacedTokenPretrainer`).
        mask_rate: see `Masking`.
        whole_word: the same as `mask_unit="whole_word"`.
        mask_unit: see `Masking`. The words are those of the corpus if it has them, otherwise the
            tokenizer's. None: "token", or as `whole_word` says.
        similar_words: `SimilarWords` that replace words instead of [MASK], or None.
        pack_documents: bool, whether rows are filled with several documents; see `PackedRows`. The
            objective must be "mlm", and the model is made with `packed=True`.
        first_step: integer, the first step for which batches are drawn.
        first_example: integer, the number of examples of all earlier steps.
        with_numpy: whether NumPy draws the batches. Defaults to True if the backend of Keras is not
            TensorFlow.

    Raises:
        InputError: an argument is out of range, or the corpus has too few documents for "nsp".

    Examples:
        >>> import pathlib
        >>> import kerasbert
        >>> words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "dog", "barks", "."]
        >>> tokenizer = kerasbert.text.WordPieceTokenizer(words)
        >>> text = "The dog barks. The dog.\\n\\nThe dog barks. It barks.\\n"
        >>> size = pathlib.Path("text.txt").write_text(text)
        >>> manifest = kerasbert.data.prepare_corpus(["text.txt"], tokenizer, "corpus")
        >>> corpus = kerasbert.data.Corpus("corpus")
        >>> batches = kerasbert.data.PretrainingBatches(
        ...     corpus, batch_size=2, sequence_length=16, objective="nsp"
        ... )
        >>> features, labels, weights = batches.batch(0)
        >>> features["token_ids"].shape, features["mask_positions"].shape
        (TensorShape([2, 16]), TensorShape([2, 3]))
        >>> sorted(labels)
        ['mlm_logits', 'nsp_logits']

        `Pretrainer.fit` takes them as `fit(batches.dataset(), steps_per_epoch=...)`.
    """

    def __init__(
        self,
        corpus: Corpus | Mixture,
        batch_size: int,
        sequence_length: int,
        *,
        seed: int = 0,
        objective: str = "nsp",
        mask_rate: float = 0.15,
        whole_word: bool = False,
        mask_unit: str | None = None,
        similar_words: SimilarWords | None = None,
        pack_documents: bool = False,
        first_step: int = 0,
        first_example: int = 0,
        with_numpy: bool | None = None,
    ):
        if objective not in OBJECTIVES:
            raise InputError(f"objective must be one of {OBJECTIVES}, found {objective!r}")
        if pack_documents and objective != "mlm":
            raise InputError(
                f"pack_documents: rows of the objective {objective} can't be packed, only mlm's can"
            )
        if similar_words and objective == "rtd":
            raise InputError("similar_words: the objective rtd replaces tokens by its generator's")
        if sequence_length < 8:
            raise InputError(f"sequence_length must be 8 or more, found {sequence_length}")
        if batch_size < 1:
            raise InputError(f"batch_size must be 1 or more, found {batch_size}")
        self.corpus = corpus
        self.batch_size = batch_size
        self.seed = seed
        self.first_step = first_step
        # What the number of an example is beyond `step * batch_size` and its row.
        self._offset = first_example - first_step * batch_size
        self.objective = objective
        self.packer = TextPacker(corpus.tokenizer, sequence_length)
        unit = mask_unit_of(whole_word, mask_unit)
        self._reads_words = corpus.has_words and unit != "token"
        counts = None if unit == "token" else counts_without_words(corpus)
        self.masking = Masking.of(
            corpus.tokenizer,
            mask_rate,
            counts=counts,
            mask_unit=unit,
            knows_words=counts is None,
            similar_words=similar_words,
        )
        if with_numpy is None:
            with_numpy = keras.backend.backend() != "tensorflow"
        self._ops: ModuleType = array_ops if with_numpy else graph_ops
        alone = objective in ("mlm", "rtd")
        room = self.packer.text_room if alone else self.packer.pair_room

        def divided(one: Corpus) -> Windows | PackedRows:
            if pack_documents:
                return PackedRows(self._ops, one, sequence_length, seed)
            return Windows(self._ops, one, room, seed)

        self._windows: Any = (  # its methods are those of the objective
            MixedWindows(corpus, divided, self._ops, seed)
            if isinstance(corpus, Mixture)
            else divided(corpus)
        )
        self.pack_documents = pack_documents
        if objective == "nsp":
            self._windows.check_negatives()
        self._draw_and_mask = self._batch if with_numpy else self._graph()

    def _graph(self):
        return tf.function(
            self._batch, input_signature=[tf.TensorSpec([], tf.int64)], autograph=False
        )

    @property
    def windows(self) -> int:
        """The number of windows of the corpus, or of all corpora of a `Mixture`.

        Examples:
            >>> batches.windows
            1
        """
        return self._windows.count

    @property
    def steps_per_epoch(self) -> int:
        """The number of batches that have as many rows as there are windows.

        They contain every window once, unless the corpus is a `Mixture`; see `epochs`.

        Examples:
            >>> batches.steps_per_epoch
            1
        """
        return math.ceil(self.windows / self.batch_size)

    def epochs(self, steps: int) -> tuple[float, ...]:
        """Returns how often so many batches go through the corpus, or each corpus of a `Mixture`.

        Args:
            steps: integer, the number of batches.

        Returns:
            A number for each corpus.

        Examples:
            >>> batches.epochs(3)
            (6.0,)
        """
        examples = steps * self.batch_size
        if isinstance(self._windows, MixedWindows):
            return self._windows.epochs(examples)
        return (examples / self.windows,)

    def batch(self, step: int) -> tuple[Any, ...]:
        """Returns a batch: features, labels and sample weights.

        Args:
            step: integer, the number of the batch, from 0.

        Returns:
            Features, a dict; labels and weights, also dicts, by output, unless the objective is
            "mlm".

        Examples:
            >>> once, again = batches.batch(5), batches.batch(5)
            >>> bool((once[0]["token_ids"] == again[0]["token_ids"]).numpy().all())
            True
        """
        return self._draw_and_mask(np.int64(step))

    def dataset(self, start: int = 0, steps: int | None = None) -> Any:
        """Returns the batches from number `start` on.

        Args:
            start: integer, the step of the first batch.
            steps: integer, the number of batches, or None for an infinite dataset.

        Returns:
            A `tf.data.Dataset`; with NumPy, a `DrawnBatches`.

        Examples:
            >>> len(list(batches.dataset(steps=3)))
            3
        """
        if self._ops is array_ops:
            return DrawnBatches(self.batch, start, steps)
        end = np.iinfo(np.int64).max if steps is None else start + steps
        return convert(tf.data.Dataset.range(start, end), self._draw_and_mask)

    def _batch(self, step) -> tuple:
        ops = self._ops
        masking_seed, pairing_seed = ops.split_seed(ops.seed_of(self.seed, step), 2)
        index = step * self.batch_size + self._offset + ops.arange(self.batch_size, "int64")
        if self.pack_documents:
            return self._masked_rows(masking_seed, *self._windows.rows(index))
        if self.objective == "mlm":
            return self._masked(masking_seed, self._windows.ranges(index))
        if self.objective == "rtd":
            return self._detection(masking_seed, pairing_seed, self._windows.ranges(index))
        first, second, labels = self._windows.pairs(index, pairing_seed, self.objective)
        features, ids, weights = self._masked(masking_seed, first, second)
        every = ops.cast(labels < 2, "float32")
        return (
            features,
            {MLM_LOGITS: ids, NSP_LOGITS: labels},
            {MLM_LOGITS: weights, NSP_LOGITS: every},
        )

    def _masked(self, seed, *ranges: tuple) -> tuple:
        """Returns the result of `Masking` for rows of one or two token ranges of the corpus."""
        corpus, continues = self.corpus, None
        features = self._packed(ranges, corpus.tokens_at, corpus.read)
        if self._reads_words:
            marks = self._packed(ranges, corpus.word_marks_at, corpus.read_word_marks)
            continues = marks[TOKEN_IDS] == CONTINUES
        return self.masking(features, seed, continues)

    def _detection(self, masking_seed, sampling_seed, ranges: tuple) -> tuple:
        """Returns what `ReplacedTokenPretrainer` is trained on; see there."""
        ops = self._ops
        features, ids, weights = self._masked(masking_seed, ranges)
        # All tokens to predict are [MASK] (ELECTRA, §2): the generator is not fine-tuned.
        positions = features[MASK_POSITIONS]
        masks = ops.cast(positions * 0 + self.masking.mask_id, "int32")
        features = {
            **features,
            TOKEN_IDS: ops.put(features[TOKEN_IDS], positions, masks, weights > 0),
            ORIGINAL_IDS: ids,
            SAMPLING_DRAWS: ops.integers(positions, sampling_seed, 2**31 - 1),
        }
        mask = features[PADDING_MASK]
        return (
            features,
            {MLM_LOGITS: ids, RTD_LOGITS: mask},
            {MLM_LOGITS: weights, RTD_LOGITS: ops.cast(mask, "float32")},
        )

    def _masked_rows(self, seed, positions, kind, documents) -> tuple:
        """Returns the result of `Masking` for packed rows; the arguments are those of `rows`."""
        ops, tokenizer, corpus, continues = self._ops, self.corpus.tokenizer, self.corpus, None

        def values(values_at, read):
            if ops is array_ops:
                return values_at(positions)
            flat = tf.reshape(positions, [-1])
            shape = [self.batch_size, self.packer.sequence_length]
            return tf.reshape(read(flat, flat + 1).flat_values, shape)

        ids = values(corpus.tokens_at, corpus.read)
        ids = ops.where(
            kind == CLS, tokenizer.cls_id, ops.where(kind == SEP, tokenizer.sep_id, ids)
        )
        if self._reads_words:
            marks = values(corpus.word_marks_at, corpus.read_word_marks)
            continues = (marks == CONTINUES) & (kind == TOKEN)
        ones = ops.cast(kind >= 0, "int32")
        features = {
            TOKEN_IDS: ops.cast(ids, "int32"),
            PADDING_MASK: ones,
            SEGMENT_IDS: ones - 1,
            DOCUMENT_IDS: documents,
        }
        return self.masking(features, seed, continues)

    def _packed(self, ranges: tuple, values_at, read) -> dict:
        """Returns the features of rows of token ranges, whose ids the functions read."""
        length = self.packer.sequence_length
        if self._ops is array_ops:
            return pack_ranges(values_at, ranges, self.corpus.tokenizer, length)
        features = self.packer.pack(*(read(*one) for one in ranges))
        shape = [self.batch_size, length]
        return {name: tf.ensure_shape(value, shape) for name, value in features.items()}
