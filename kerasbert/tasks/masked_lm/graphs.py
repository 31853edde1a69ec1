"""The encoder at the mask tokens of texts, traced once."""

from collections.abc import Callable

import tensorflow as tf

from kerasbert.layers.inference import inference_mode


def at_masks(task, preprocessor) -> Callable:
    """The function from strings to what `MaskedLMPreprocessor.at_masks` gives; counts as a list."""
    traced = tf.function(
        inference_mode()(lambda text: preprocessor.at_masks(task, text)),
        input_signature=[tf.TensorSpec([None], tf.string)],
        autograph=False,
    )

    def vectors(texts) -> tuple:
        found, counts = traced(tf.constant(texts, tf.string))
        return found, counts.numpy().tolist()

    return vectors
