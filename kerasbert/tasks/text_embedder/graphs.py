"""The vectors of tokens, traced once."""

from collections.abc import Callable

import keras
import tensorflow as tf


def token_vectors(task, preprocessor) -> Callable:
    """The function from strings to texts, vectors of their tokens, and where those are in bytes.

    Texts are bytes; vectors float32 (batch, tokens, dim), of which a row has as many as it has
    starts and ends, in lists.
    """
    model = keras.Model(task.input, task._token_vectors)
    compute = tf.function(
        lambda features: model(features, training=False), reduce_retracing=True, autograph=False
    )

    def vectors(texts) -> tuple:
        text = tf.constant(texts)
        ids, begins, ends = preprocessor.tokenizer.tokenize_with_offsets(text)
        features = preprocessor.packer.pack(ids, pad_to_longest=True)
        if preprocessor.long_text:
            features = {name: value[:, tf.newaxis] for name, value in features.items()}
        found = compute(features).numpy().astype("float32")
        # Without the special tokens at both ends.
        return text.numpy(), found[:, 1:-1], begins.to_list(), ends.to_list()

    return vectors
