"""Distances between the outputs, hidden states and attention of a student and its teacher.

Each function takes the teacher's and the student's values, (..., n), and returns (...). References:
Hinton et al. 2015, "Distilling the Knowledge in a Neural Network"; DistilBERT (Sanh et al. 2019);
TinyBERT (Jiao et al. 2020); MobileBERT (Sun et al. 2020).
"""

from typing import Any

import keras
from keras import ops


def soft_cross_entropy(teacher: Any, student: Any, temperature: float) -> Any:
    """Cross-entropy of the softmaxes of logits divided by `temperature`, times its square.

    Hinton et al., §2 and §2.1; DistilBERT, §2. The square keeps the scale of the gradient.
    """
    soft = ops.softmax(teacher / temperature)
    loss: Any = keras.losses.categorical_crossentropy(soft, student / temperature, from_logits=True)
    return temperature**2 * loss


def soft_binary_cross_entropy(teacher: Any, student: Any, temperature: float) -> Any:
    """Like `soft_cross_entropy`, with a sigmoid for each logit; averaged over logits."""
    soft = ops.sigmoid(teacher / temperature)
    loss: Any = keras.losses.binary_crossentropy(soft, student / temperature, from_logits=True)
    return temperature**2 * loss


def squared_distance(teacher: Any, student: Any) -> Any:
    """Squared Euclidean distance of two vectors (Reimers and Gurevych 2020, eq. 1)."""
    return ops.sum(ops.square(teacher - student), axis=-1)


def cosine_distance(teacher: Any, student: Any) -> Any:
    """One minus the cosine of two vectors (DistilBERT, §3)."""
    return 1 + keras.losses.cosine_similarity(teacher, student)


def attention_distance(teacher: Any, student: Any) -> Any:
    """Squared distance of attention, (..., heads, tokens, tokens) -> (..., tokens), head-averaged.

    TinyBERT, eq. 7, on probabilities, and summed over a row instead of averaged, so that it does
    not depend on padding.
    """
    return ops.mean(squared_distance(teacher, student), axis=-2)


def attention_divergence(teacher: Any, student: Any) -> Any:
    """Kullback-Leibler divergence of attention; shapes as in `attention_distance`.

    MobileBERT, §3.3, attention transfer.
    """
    return ops.mean(keras.losses.kl_divergence(teacher, student), axis=-2)


# Losses by `Task.outputs_are`.
SOFT = {
    "classes": soft_cross_entropy,
    "tokens": soft_cross_entropy,
    "labels": soft_binary_cross_entropy,
    "numbers": lambda teacher, student, temperature: keras.losses.mean_squared_error(
        teacher, student
    ),
    "vector": lambda teacher, student, temperature: squared_distance(teacher, student),
}
HIDDEN = {"mse": keras.losses.mean_squared_error, "cosine": cosine_distance}
ATTENTION = {"mse": attention_distance, "kl": attention_divergence}
