"""Converts pairs of texts and the labels "yes" and "no" to features and targets."""

import dataclasses

import numpy as np
import tensorflow as tf

from kerasbert import InputError
from kerasbert.features import TEXT, TEXT_PAIR
from kerasbert.tasks.preprocessor import Preprocessor

ANSWERS = ("no", "yes")


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class DuplicatePreprocessor(Preprocessor):
    text_columns = ((TEXT, TEXT_PAIR),)

    def labels(self, y, columns):
        if unknown := set(y) - set(ANSWERS):
            raise InputError(f"labels must be yes or no, found {min(unknown)!r}")
        return np.array([ANSWERS.index(label) for label in y], "int32")

    def serving_signature(self, task):
        def detect(text, text_pair):
            logits = task(self.features(text, text_pair), training=False)
            return {"score": tf.nn.softmax(logits)[:, 1]}

        return (TEXT, TEXT_PAIR), detect
