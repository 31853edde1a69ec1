"""Functions of text or features to outputs that are traced once."""

import tensorflow as tf

from kerasbert.data.text_batches import dense_spec
from kerasbert.layers.inference import inference_mode


def answer(model, preprocessor, columns: tuple[str, ...]):
    """The function from a batch of such columns of text to a model's outputs."""
    return tf.function(
        inference_mode()(lambda row: model(preprocessor.features(**row), training=False)),
        input_signature=[{name: dense_spec(name) for name in columns}],
        autograph=False,
    )


def forward(model):
    """The function from features to a model's outputs."""
    return tf.function(
        inference_mode()(lambda features: model(features, training=False)),
        reduce_retracing=True,
        autograph=False,  # it warns of a lambda that is decorated
    )
