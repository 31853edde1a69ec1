"""Preprocessing for replaced token detection."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from kerasbert.features import PADDING_MASK, TEXT, TOKEN_IDS
from kerasbert.lazy import tensorflow as tf
from kerasbert.tasks.preprocessor import Preprocessor


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class ReplacedTokenDetectorPreprocessor(Preprocessor):
    """Turns texts into features; see `ReplacedTokenDetector`."""

    def serving_signature(self, task: Any) -> tuple[tuple[str, ...], Callable[..., Any]]:
        """Maps `text` to `tokens`, `scores` (probabilities of "replaced") and `lengths`."""

        def detect(text):
            features = self.features(text)
            is_token = tf.cast(features[PADDING_MASK], tf.bool)
            tokens = tf.gather(tf.constant(self.tokenizer.vocabulary), features[TOKEN_IDS])
            scores = tf.sigmoid(task(features, training=False))
            return {
                "tokens": tf.where(is_token, tokens, ""),
                "scores": tf.where(is_token, scores, 0.0),
                "lengths": tf.reduce_sum(features[PADDING_MASK], axis=1),
            }

        return (TEXT,), detect
