"""LayerNorm."""

import keras

from kerasbert.layers.inference import is_only_inference


@keras.saving.register_keras_serializable("kerasbert")
class LayerNorm(keras.layers.LayerNormalization):
    """Keras's LayerNormalization of the last axis (Ba et al. 2016)."""

    def call(self, inputs):
        """Normalizes each vector."""
        return self._fusable(inputs) if is_only_inference() else super().call(inputs)

    def _fusable(self, inputs):
        """The same in the form of which TensorFlow makes a single operation of oneDNN's.

        Where it does not, it is right too: BatchNorm of a batch that is one row.
        """
        import tensorflow as tf

        x = tf.cast(inputs, self.compute_dtype)
        rows = tf.size(x) // x.shape[-1]
        normalized = tf.raw_ops.FusedBatchNormV3(
            x=tf.reshape(x, [1, rows, x.shape[-1], 1]),
            scale=tf.fill([rows], 1.0),
            offset=tf.fill([rows], 0.0),
            mean=tf.constant([], tf.float32),
            variance=tf.constant([], tf.float32),
            epsilon=self.epsilon,
            data_format="NCHW",
            is_training=True,
        )
        gamma, beta = (tf.cast(variable, x.dtype) for variable in (self.gamma, self.beta))
        return tf.reshape(normalized.y, tf.shape(x)) * gamma + beta
