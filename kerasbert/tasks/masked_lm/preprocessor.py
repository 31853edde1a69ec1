"""Texts -> what a masked language model reads and learns from; masks that are filled in."""

from __future__ import annotations

import dataclasses
import functools
import math
import re
from collections.abc import Callable
from typing import ClassVar

from kerasbert.backbone import cls_position
from kerasbert.data import text_pretraining
from kerasbert.data.masking import Masking
from kerasbert.errors import InputError
from kerasbert.features import MASK_POSITIONS, SEQUENCE_OUTPUT, TEXT, TEXT_PAIR, TOKEN_IDS
from kerasbert.layers.inference import inference_mode
from kerasbert.lazy import tensorflow as tf
from kerasbert.tasks.preprocessor import Preprocessor
from kerasbert.text.normalization import WHITE_SPACE, drop_invalid_utf8

_SERVED_GUESSES = 5  # guesses for each mask that an export gives


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class MaskedLMPreprocessor(Preprocessor):
    """See `MaskedLM`.

    Attributes:
        mask_rate: share of the tokens to predict.
        whole_word: mask all pieces of a word together.
        seed: for what is drawn at random.
    """

    #: Masks whose logits are in memory together, some 100 KB each.
    masks_at_once: ClassVar[int] = 128

    mask_rate: float = 0.15
    whole_word: bool = False
    seed: int = 0

    text_columns = ((TEXT,), (TEXT, TEXT_PAIR))

    @functools.cached_property
    def masking(self) -> Masking:
        """How text is masked for training."""
        return Masking.of(self.tokenizer, self.mask_rate, self.whole_word)

    def labels(self, y, columns: dict):
        """There are none: the texts are their own labels."""
        raise InputError(f"{self.name} makes its labels from the text; leave y out")

    def targets(self, y, row: dict):
        """As `labels`."""
        return self.labels(y, row)

    def training_examples(self, number, row: dict, y, sample_weight) -> tuple:
        """Masks a batch of texts."""
        return text_pretraining.masked_text(self.packer, self.masking, (self.seed, number), **row)

    def features(self, text, text_pair=None) -> dict:
        """Features of texts with mask tokens in them, and where those are.

        There are as many `mask_positions` a row as may be masked in training; what a row does not
        use points at 0.
        """
        features = self.packer(text, text_pair, tokenize=self.tokenizer.tokenize_with_mask)
        masks = tf.equal(features[TOKEN_IDS], self.tokenizer.mask_id)
        places = tf.range(tf.shape(masks)[1])[tf.newaxis]
        positions = tf.ragged.boolean_mask(tf.broadcast_to(places, tf.shape(masks)), masks)
        width = max(1, math.ceil(self.mask_rate * self.sequence_length))
        return {**features, MASK_POSITIONS: positions.to_tensor(shape=[None, width])}

    def serving_signature(self, task):
        """`text` -> `tokens` and `scores` of the best guesses for every mask token.

        Also `masks`, how many there are, and `sequence`, the text with the best guess in the place
        of each; masks beyond what the model reads stay.
        """

        def fill(text):
            vectors, masks = self.at_masks(task, text)
            scores, ids = _best_guesses(task, vectors, self.masks_at_once)
            most = tf.maximum(tf.reduce_max(tf.concat([masks, [0]], axis=0)), 1)

            def of_texts(values, default):
                rows = tf.RaggedTensor.from_row_lengths(values, masks).to_tensor(default)
                missing = most - tf.shape(rows)[1]
                return tf.pad(rows, [[0, 0], [0, missing], [0, 0]], constant_values=default)

            tokens = tf.gather(tf.constant(self.tokenizer.vocabulary), ids)
            best = tf.RaggedTensor.from_row_lengths(ids[:, 0], masks)
            return {
                "tokens": of_texts(tokens, ""),
                "scores": of_texts(scores, 0.0),
                "masks": masks,
                "sequence": self.filled_in(text, best),
            }

        return (TEXT,), fill

    def at_masks(self, task, text) -> tuple:
        """The vectors at the mask tokens of texts, and how many there are in each; in the graph.

        Returns:
            Floats (masks of all texts, hidden), and int32 (batch,).
        """
        features = self.packer(text, tokenize=self.tokenizer.tokenize_with_mask)
        masked = tf.equal(features[TOKEN_IDS], self.tokenizer.mask_id)
        places = tf.broadcast_to(tf.range(tf.shape(masked)[1])[tf.newaxis], tf.shape(masked))
        places = tf.ragged.boolean_mask(places, masked)
        counts = tf.cast(places.row_lengths(), tf.int32)
        dense = tf.concat([cls_position(features), places.to_tensor()], axis=1)
        vectors = task.backbone(features, output_positions=dense)[SEQUENCE_OUTPUT][:, 1:]
        return tf.boolean_mask(vectors, tf.sequence_mask(counts, tf.shape(vectors)[1])), counts

    def traced_at_masks(self, task) -> Callable:
        """The function from strings to what `at_masks` gives, traced once; counts as a list."""
        traced = tf.function(
            inference_mode()(lambda text: self.at_masks(task, text)),
            input_signature=[tf.TensorSpec([None], tf.string)],
            autograph=False,
        )

        def vectors(texts) -> tuple:
            candidates, counts = traced(tf.constant(texts, tf.string))
            return candidates, counts.numpy().tolist()

        return vectors

    def filled_in(self, text, ids):
        """Texts with pieces, ragged ids (batch, guesses), in the place of their first mask tokens.

        A piece that continues a word joins what stands before it.
        """
        special = self.tokenizer.special_tokens
        parts = tf.strings.split(drop_invalid_utf8(text), special.mask)
        # After another piece it shows whether a piece starts a word: with a space.
        after = tf.fill(tf.shape(ids.values), tf.constant(self.tokenizer.cls_id, ids.dtype))
        spelled = self.tokenizer.detokenize(tf.stack([after, ids.values], axis=1))
        spelled = tf.strings.regex_replace(spelled, "^" + re.escape(special.cls), "")

        starts_word = tf.strings.regex_full_match(spelled, "(?s) .*")
        starts_word |= tf.equal(ids.values, self.tokenizer.mask_id)  # it stays where it is
        guesses = tf.strings.regex_replace(spelled, "^ ", "")

        # What follows each part of a text: a guess, a mask token that is not guessed, or nothing.
        def following(values, default):
            rows = ids.with_values(values).to_tensor(default)
            rows = tf.pad(rows, [[0, 0], [0, 1]], constant_values=default)
            position = tf.minimum(
                tf.ragged.range(parts.row_lengths()), tf.shape(rows, tf.int64)[1] - 1
            )
            return tf.gather(rows, position, batch_dims=1).values

        bare = tf.strings.regex_replace(parts.values, f"[{WHITE_SPACE}]+$", "")
        before = tf.where(following(starts_word, True), parts.values, bare)
        filled = tf.strings.join([before, following(guesses, special.mask)])
        joined = tf.strings.reduce_join(parts.with_values(filled), axis=1)
        # No mask stands after the last part.
        return tf.strings.regex_replace(joined, re.escape(special.mask) + "$", "")

    def with_guesses(self, texts, best) -> list[str]:
        """For each guess its text, with the guess in the place of its mask; other masks stay."""
        mask = self.tokenizer.mask_id
        rows = [
            (texts[number], [mask] * position + [id])
            for number, position, guesses in best
            for id, _ in guesses
        ]
        if not rows:
            return []
        repeated, ids = zip(*rows, strict=True)
        text = tf.convert_to_tensor(repeated, tf.string)
        filled = self.filled_in(text, tf.ragged.constant(ids, tf.int32))
        # A token may be a part of a character.
        return [text.decode("utf-8", "replace") for text in filled.numpy()]


def _best_guesses(task, vectors, at_once: int) -> tuple:
    """Probabilities and ids of the best pieces for masks, (masks, guesses); in the graph.

    A mask has a logit for every piece of the vocabulary: few masks have theirs at a time.
    """
    head, subwords = task.get_layer("mlm_head"), task.tokenizer.vocabulary_size

    def some(start, *before):
        logits = head(vectors[tf.newaxis, start : start + at_once])[0]
        # The table may have rows that no piece belongs to.
        best, ids = tf.math.top_k(logits[:, :subwords], _SERVED_GUESSES)
        scores = tf.exp(best - tf.reduce_logsumexp(logits, axis=1, keepdims=True))
        joined = (tf.concat(pair, axis=0) for pair in zip(before, (scores, ids), strict=True))
        return start + at_once, *joined

    shape = tf.TensorShape([None, _SERVED_GUESSES])
    none = (tf.zeros([0, _SERVED_GUESSES], dtype) for dtype in (tf.float32, tf.int32))
    return tf.while_loop(
        lambda start, *_: start < tf.shape(vectors)[0],
        some,
        (tf.constant(0), *none),
        shape_invariants=(tf.TensorShape([]), shape, shape),
        parallel_iterations=1,
    )[1:]
