"""Preprocessing for masked language models, and replacing mask tokens in texts."""

from __future__ import annotations

import dataclasses
import functools
import math
import re
from collections.abc import Callable
from typing import Any, ClassVar

from kerasbert.backbone import cls_position
from kerasbert.data.pretraining import from_text
from kerasbert.data.pretraining.masking import Masking
from kerasbert.errors import InputError
from kerasbert.features import MASK_POSITIONS, SEQUENCE_OUTPUT, TEXT, TEXT_PAIR, TOKEN_IDS
from kerasbert.layers.inference import inference_mode
from kerasbert.lazy import tensorflow as tf
from kerasbert.tasks.preprocessor import Preprocessor
from kerasbert.text.normalization import WHITE_SPACE, drop_invalid_utf8

_SERVED_GUESSES = 5  # predictions per mask in an export


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class MaskedLMPreprocessor(Preprocessor):
    """Masks texts for training, and finds their mask tokens for prediction; see `MaskedLM`.

    Attributes:
        mask_rate: share of the tokens to predict.
        whole_word: whether to mask all subwords of a word together.
        seed: seed of the masks.
        mask_unit: see `MaskedLM`.
    """

    #: Masks whose logits are in memory at the same time, about 100 KB each.
    masks_at_once: ClassVar[int] = 128

    mask_rate: float = 0.15
    whole_word: bool = False
    seed: int = 0
    mask_unit: str | None = None

    text_columns = ((TEXT,), (TEXT, TEXT_PAIR))

    @functools.cached_property
    def masking(self) -> Masking:
        """The masking for training."""
        return Masking.of(self.tokenizer, self.mask_rate, self.whole_word, mask_unit=self.mask_unit)

    def labels(self, y: Any, columns: dict[str, Any]) -> Any:
        """Raises `InputError`: the texts are their own labels."""
        raise InputError(f"{self.name} makes its labels from the text; leave y out")

    def targets(self, y: Any, row: dict[str, Any]) -> Any:
        """Raises `InputError`, as `labels` does."""
        return self.labels(y, row)

    def training_examples(
        self, number: Any, row: dict[str, Any], y: Any, sample_weight: Any
    ) -> tuple[Any, ...]:
        """Masks a batch of texts; the weight of a text is that of its masks."""
        seed = self.seed, number
        features, ids, weights = from_text.masked_text(self.packer, self.masking, seed, **row)
        if sample_weight is not None:
            weights *= tf.cast(sample_weight, weights.dtype)[:, tf.newaxis]
        return features, ids, weights

    def features(self, text: Any, text_pair: Any = None) -> dict[str, Any]:
        """Returns features of texts that contain mask tokens, with `mask_positions`.

        `mask_positions` has as many columns as can be masked in training; unused entries are 0.
        """
        features = self.packer(text, text_pair, tokenize=self.tokenizer.tokenize_with_mask)
        width = max(1, math.ceil(self.mask_rate * self.sequence_length))
        positions = self._mask_positions(features).to_tensor(shape=[None, width])
        return {**features, MASK_POSITIONS: positions}

    def _mask_positions(self, features: dict[str, Any]) -> Any:
        """Returns the positions of the mask tokens, ragged int32 (batch, masks)."""
        masks = tf.equal(features[TOKEN_IDS], self.tokenizer.mask_id)
        positions = tf.range(tf.shape(masks)[1])[tf.newaxis]
        return tf.ragged.boolean_mask(tf.broadcast_to(positions, tf.shape(masks)), masks)

    def serving_signature(self, task: Any) -> tuple[tuple[str, ...], Callable[..., Any]]:
        """Maps `text` to `tokens` and `scores` of the best predictions for each mask token.

        Other outputs are `masks`, the number of masks per text, and `sequence`, the text with each
        mask replaced by its best prediction. Masks beyond `sequence_length` stay.
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

    def at_masks(self, task: Any, text: Any) -> tuple[Any, ...]:
        """Encodes texts and selects the vectors at their mask tokens, in the graph.

        Returns:
            Vectors, float (masks of all texts, hidden), and the masks per text, int32 (batch,).
        """
        features = self.packer(text, tokenize=self.tokenizer.tokenize_with_mask)
        positions = self._mask_positions(features)
        counts = tf.cast(positions.row_lengths(), tf.int32)
        dense = tf.concat([cls_position(features), positions.to_tensor()], axis=1)
        vectors = task.backbone(features, output_positions=dense)[SEQUENCE_OUTPUT][:, 1:]
        return tf.boolean_mask(vectors, tf.sequence_mask(counts, tf.shape(vectors)[1])), counts

    def traced_at_masks(self, task: Any) -> Callable[..., Any]:
        """Returns `at_masks` as a traced function from strings; the counts are a list."""
        traced = tf.function(
            inference_mode()(lambda text: self.at_masks(task, text)),
            input_signature=[tf.TensorSpec([None], tf.string)],
            autograph=False,
        )

        def vectors(texts) -> tuple:
            found, counts = traced(tf.constant(texts, tf.string))
            return found, counts.numpy().tolist()

        return vectors

    def filled_in(self, text: Any, ids: Any) -> Any:
        """Replaces the first mask tokens of each text by tokens, ragged ids (batch, guesses).

        A token that continues a word is joined to the text before it. A byte-level token may be a
        part of a character: U+FFFD replaces bytes that are not valid UTF-8.
        """
        special = self.tokenizer.special_tokens
        parts = tf.strings.split(drop_invalid_utf8(text), special.mask)
        # Decoding a token after another one shows whether it starts a word: it then has a space.
        after = tf.fill(tf.shape(ids.values), tf.constant(self.tokenizer.cls_id, ids.dtype))
        spelled = self.tokenizer.detokenize(tf.stack([after, ids.values], axis=1))
        spelled = tf.strings.regex_replace(spelled, "^" + re.escape(special.cls), "")

        starts_word = tf.strings.regex_full_match(spelled, r" \C*")  # any bytes
        starts_word |= tf.equal(ids.values, self.tokenizer.mask_id)  # the mask stays
        guesses = tf.strings.regex_replace(spelled, "^ ", "")

        # What follows each segment of a text: a prediction, a mask that stays, or nothing.
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
        # No mask follows the last segment.
        filled = tf.strings.regex_replace(joined, re.escape(special.mask) + "$", "")
        return tf.strings.unicode_transcode(filled, "UTF-8", "UTF-8", errors="replace")

    def with_guesses(self, texts: Any, best: Any) -> list[str]:
        """Returns one text per guess, with its mask replaced; other masks stay."""
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
        return [text.decode("utf-8") for text in filled.numpy()]


def _best_guesses(task, vectors, at_once: int) -> tuple:
    """Returns probabilities and ids of the best tokens, (masks, guesses), in the graph.

    The logits of a mask cover the whole vocabulary, so only `at_once` masks are computed at a time.
    """
    head, subwords = task.get_layer("mlm_head"), task.tokenizer.vocabulary_size

    def some(start, *before):
        logits = head(vectors[tf.newaxis, start : start + at_once])[0]
        # The embedding table may have more rows than the vocabulary has tokens.
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
