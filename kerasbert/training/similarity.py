"""What embeddings of texts that belong together learn from."""

import keras
from keras import ops


def cosines(embeddings):
    """Cosines of each example's first text and its second: (batch, texts, dim) -> (batch,)."""
    unit = ops.normalize(embeddings, axis=-1)
    return ops.sum(unit[:, 0] * unit[:, 1], axis=-1)


def cosines_to_all(embeddings):
    """Cosines of each example's first text and the other texts of the global batch.

    Under `tf.distribute` the other texts come from all replicas, and gradients go back to them, so
    that a text's negatives do not depend on how many replicas there are.

    Args:
        embeddings: (batch, texts, dim), two texts or more: what one example has.

    Returns:
        Cosines (batch, (texts - 1) * global batch): first everybody's second text, then everybody's
        third and so on; and for each example where among them its own second text is, (batch,).
    """
    unit = ops.normalize(embeddings, axis=-1)
    others, first = _of_all_replicas(unit[:, 1:])
    others = ops.reshape(ops.transpose(others, (1, 0, 2)), (-1, embeddings.shape[-1]))
    own = first + ops.arange(ops.shape(embeddings)[0], dtype="int32")
    return ops.matmul(unit[:, 0], ops.transpose(others)), own


def _of_all_replicas(x):
    """The rows of all replicas, and which is the first of this one's."""
    if keras.backend.backend() != "tensorflow":
        return x, 0  # there is no strategy
    import tensorflow as tf  # other backends do without it

    context = tf.distribute.get_replica_context()
    if context is None or context.num_replicas_in_sync == 1:
        return x, 0
    sizes = context.all_gather(tf.shape(x)[:1], axis=0)
    first = tf.reduce_sum(sizes[: context.replica_id_in_sync_group])
    return context.all_gather(x, axis=0), first


@keras.saving.register_keras_serializable("kerasbert")
class InBatchNegatives(keras.losses.Loss):
    """Cross-entropy of finding each text's own partner among those of the batch.

    InfoNCE (van den Oord et al. 2018, eq. 4) on cosines, as SimCSE has it (Gao et al. 2021, eqs. 1
    and 5); sentence-transformers' `MultipleNegativesRankingLoss`, whose scale is one over the
    temperature.

    Call: labels are not looked at; embeddings, float (batch, texts, dim): a text, its partner and,
    if there are more, texts that are nobody's partner.

    Args:
        temperature: what cosines are divided by.
    """

    def __init__(self, temperature: float = 0.05, name: str = "in_batch_negatives", **kwargs):
        super().__init__(name=name, **kwargs)
        self.temperature = temperature

    def call(self, y_true, y_pred):
        """The loss of each example, (batch,)."""
        scores, own = cosines_to_all(y_pred)
        return ops.sparse_categorical_crossentropy(own, scores / self.temperature, from_logits=True)

    def get_config(self):
        """The temperature."""
        return {**super().get_config(), "temperature": self.temperature}


@keras.saving.register_keras_serializable("kerasbert")
class CosineError(keras.losses.Loss):
    """The squared difference of each pair's cosine and its gold score (Sentence-BERT, §3).

    Call: scores in [-1, 1], (batch,); embeddings, float (batch, 2, dim).
    """

    def call(self, y_true, y_pred):
        """The loss of each example, (batch,)."""
        return ops.square(cosines(y_pred) - ops.cast(y_true, y_pred.dtype))


@keras.saving.register_keras_serializable("kerasbert")
def found_partner(y_true, y_pred):
    """Whether each text's own partner is the nearest of the global batch: 0.0 or 1.0, (batch,)."""
    scores, own = cosines_to_all(y_pred)
    return ops.cast(ops.argmax(scores, axis=-1) == ops.cast(own, "int32"), "float32")
