"""Losses and an accuracy function for training text embeddings."""

from typing import Any

import keras
from keras import ops

#: The most that cosines of equal texts differ by rounding.
TIE = 1e-6


def cosines(embeddings: Any) -> Any:
    """Returns the cosine similarity of each example's first two texts.

    Args:
        embeddings: float (batch, texts, dim).

    Returns:
        Cosines, float (batch,).
    """
    unit = ops.normalize(embeddings, axis=-1)
    return ops.sum(unit[:, 0] * unit[:, 1], axis=-1)


def cosines_to_all(embeddings: Any) -> Any:
    """Returns the cosines of each example's first text to the other texts of the global batch.

    Under `tf.distribute` the other texts are gathered from all replicas, with gradients, so that a
    text's negatives do not depend on the number of replicas.

    Args:
        embeddings: float (batch, texts, dim), with two or more texts per example.

    Returns:
        Tuple of cosines, float (batch, (texts - 1) * global batch), to the second texts of all
        examples, then to their third texts and so on; and the column of each example's own second
        text, int32 (batch,).
    """
    unit = ops.normalize(embeddings, axis=-1)
    others, first = _of_all_replicas(unit[:, 1:])
    others = ops.reshape(ops.transpose(others, (1, 0, 2)), (-1, embeddings.shape[-1]))
    own = first + ops.arange(ops.shape(embeddings)[0], dtype="int32")
    return ops.matmul(unit[:, 0], ops.transpose(others)), own


def _of_all_replicas(x):
    """Returns the rows of all replicas, and the index of this replica's first row."""
    if keras.backend.backend() != "tensorflow":
        return x, 0  # there are no replicas
    import tensorflow as tf  # not required by other backends

    context = tf.distribute.get_replica_context()
    if context is None or context.num_replicas_in_sync == 1:
        return x, 0
    sizes = context.all_gather(tf.shape(x)[:1], axis=0)
    first = tf.reduce_sum(sizes[: context.replica_id_in_sync_group])
    return context.all_gather(x, axis=0), first


@keras.saving.register_keras_serializable("kerasbert")
class InBatchNegatives(keras.losses.Loss):
    """Contrastive loss with in-batch negatives.

    Cross-entropy of each text's positive among the other texts of the global batch: InfoNCE (van
    den Oord et al. 2018, eq. 4) on cosines, as in SimCSE (Gao et al. 2021, eqs. 1 and 5), and in
    sentence-transformers' `MultipleNegativesRankingLoss`, whose scale is 1 / temperature.

    Call arguments: labels, which are ignored; embeddings, float (batch, texts, dim), of a text, its
    positive and any number of hard negatives.

    Args:
        temperature: number that cosines are divided by.
    """

    def __init__(self, temperature: float = 0.05, name: str = "in_batch_negatives", **kwargs: Any):
        super().__init__(name=name, **kwargs)
        self.temperature = temperature

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Returns the loss of each example, (batch,)."""
        scores, own = cosines_to_all(y_pred)
        return ops.sparse_categorical_crossentropy(own, scores / self.temperature, from_logits=True)

    def get_config(self) -> dict[str, Any]:
        """Returns the config."""
        return {**super().get_config(), "temperature": self.temperature}


@keras.saving.register_keras_serializable("kerasbert")
class CosineError(keras.losses.Loss):
    """Squared difference of each pair's cosine and its gold score (Sentence-BERT, §3).

    Call arguments: scores in [-1, 1], (batch,); embeddings, float (batch, 2, dim).
    """

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Returns the loss of each example, (batch,)."""
        scores = ops.reshape(ops.cast(y_true, y_pred.dtype), (-1,))  # (batch, 1), too
        return ops.square(cosines(y_pred) - scores)


@keras.saving.register_keras_serializable("kerasbert")
def found_partner(y_true: Any, y_pred: Any) -> Any:
    """Returns 1.0 if a text's positive is the nearest of the global batch, else 0.0: (batch,).

    No text is nearer than an equal one.
    """
    scores, own = cosines_to_all(y_pred)
    of_own = ops.take_along_axis(scores, ops.cast(own, "int32")[:, None], axis=-1)[:, 0]
    return ops.cast(of_own >= ops.max(scores, axis=-1) - TIE, "float32")
