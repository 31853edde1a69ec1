"""Makes Keras losses and metrics work on outputs that are logits.

Most of them expect probabilities by default. Those that are given by name are configured for logits
or wrapped here. Those that cannot be are refused, so that no score is silently computed from logits
as if they were probabilities.
"""

from collections.abc import Callable
from typing import Any, Self

import keras
from keras import ops

from kerasbert.errors import InputError
from kerasbert.tasks.cross_entropy import flat_weights

# Keras losses that have `from_logits`, by the activation that turns the outputs to probabilities.
_CROSS_ENTROPIES = {
    "softmax": (
        "SparseCategoricalCrossentropy",
        "CategoricalCrossentropy",
        "CategoricalFocalCrossentropy",
    ),
    "sigmoid": ("BinaryCrossentropy", "BinaryFocalCrossentropy"),
}
# Losses that only take probabilities.
_OF_PROBABILITIES = (
    keras.losses.CategoricalGeneralizedCrossEntropy,
    keras.losses.Dice,
    keras.losses.KLDivergence,
    keras.losses.Poisson,
    keras.losses.Tversky,
)
# Metrics whose labels are class indices; the first two depend only on the order of the scores.
_BY_ORDER = (keras.metrics.SparseCategoricalAccuracy, keras.metrics.SparseTopKCategoricalAccuracy)
_OF_INDICES = (*_BY_ORDER, keras.metrics.SparseCategoricalCrossentropy)
# Binary metrics.
_BINARY = (
    keras.metrics.AUC,
    keras.metrics.BinaryAccuracy,
    keras.metrics.BinaryCrossentropy,
    keras.metrics.BinaryIoU,
    keras.metrics.FalseNegatives,
    keras.metrics.FalsePositives,
    keras.metrics.Precision,
    keras.metrics.PrecisionAtRecall,
    keras.metrics.Recall,
    keras.metrics.RecallAtPrecision,
    keras.metrics.SensitivityAtSpecificity,
    keras.metrics.SpecificityAtSensitivity,
    keras.metrics.TrueNegatives,
    keras.metrics.TruePositives,
)
# Metrics that compare labels with predicted labels, and the alternative that takes scores.
_OF_LABELS = {
    keras.metrics.Accuracy: "'accuracy'",
    keras.metrics.IoU: "OneHotIoU",
    keras.metrics.MeanIoU: "OneHotMeanIoU",
}


# === Losses ===


def loss_of(
    loss: Any, outputs: str | None, owner: str, reduction: str = "sum_over_batch_size"
) -> Any:
    """Resolves a loss of Keras's `compile` for a task's outputs.

    Args:
        loss: loss of one output as Keras takes it: a name, a function, a class or an object.
        outputs: activation that turns outputs into probabilities, "softmax" or "sigmoid"; None if
            outputs are no logits.
        owner: name of the task, for messages.
        reduction: reduction of a loss that is given by name.

    Raises:
        InputError: the loss takes probabilities, or suits another kind of outputs.
    """
    if isinstance(loss, str) and loss.lower() in ("crossentropy", "ce"):
        loss = _CROSS_ENTROPIES[outputs][0] if outputs else "CategoricalCrossentropy"
    named = isinstance(loss, str | type)  # Keras would create it with its defaults
    resolved = keras.losses.get(loss)
    kind = _loss_class(resolved)
    if kind is None:
        return resolved
    if kind in _OF_PROBABILITIES:
        if not outputs:
            return resolved
        raise InputError(
            f"loss {kind.__name__} takes probabilities, and the outputs of {owner} are logits; "
            f"{_CROSS_ENTROPIES[outputs][0]} suits them"
        )
    if not named and isinstance(resolved, keras.losses.Loss):
        if resolved.get_config()["from_logits"]:
            return resolved
        raise InputError(
            f"loss {kind.__name__}(from_logits=False) takes probabilities, which the outputs of "
            f"{owner} are not; make it with from_logits=True, or give its name"
        )
    suitable = _CROSS_ENTROPIES.get(outputs or "", ())
    if kind.__name__ not in suitable:
        wanted = f"takes {' or '.join(suitable)}" if suitable else "has no classes"
        raise InputError(f"loss {kind.__name__}: {owner} {wanted}")
    return kind(from_logits=True, reduction=reduction)


def _loss_class(loss) -> type | None:
    """Returns the Keras class of a loss that takes probabilities or logits; None for others."""
    names = [name for names in _CROSS_ENTROPIES.values() for name in names]
    kinds = [*(getattr(keras.losses, name) for name in names), *_OF_PROBABILITIES]
    if isinstance(loss, keras.losses.Loss):
        return type(loss) if type(loss) in kinds else None
    return next((kind for kind in kinds if kind().fn is loss), None)


# === Metrics ===


def metric_of(metric: Any, outputs: str | None, owner: str, accuracy: Callable[..., Any]) -> Any:
    """Resolves a metric of Keras's `compile` for a task's outputs.

    Args:
        metric: metric as Keras takes it: a name, a function, a class or an object.
        outputs: as in `loss_of`.
        owner: name of the task, for messages.
        accuracy: maps a name to the metric that "accuracy" means for this task, or to None.

    Raises:
        InputError: the metric cannot be computed on these outputs.
    """
    if isinstance(metric, str) and metric.lower() in ("accuracy", "acc"):
        resolved = accuracy(metric)
        if resolved is None:
            raise InputError(f"metric {metric!r} is for classes, which {owner} does not have")
        return resolved
    resolved: Any = keras.metrics.get(metric)
    if isinstance(metric, str) and isinstance(resolved, keras.metrics.Metric):
        resolved.name = metric  # as in Keras
    if not isinstance(resolved, keras.metrics.Metric) and _is_keras(resolved):
        # A function of Keras becomes the metric of the same name.
        resolved = keras.metrics.get(resolved.__name__)
    if not outputs or not _is_keras(type(resolved)) or type(resolved) in _BY_ORDER:
        return resolved
    if type(resolved) is keras.metrics.MeanMetricWrapper:  # wraps a function of the user's
        return resolved
    if type(resolved) in _OF_LABELS:
        raise InputError(
            f"metric {type(resolved).__name__} compares labels with labels; for the outputs of "
            f"{owner} there is {_OF_LABELS[type(resolved)]}"
        )
    if resolved.get_config().get("from_logits"):
        return resolved
    if type(resolved) is keras.metrics.SparseCategoricalCrossentropy and outputs == "softmax":
        return keras.metrics.SparseCategoricalCrossentropy(from_logits=True, name=resolved.name)
    return FromLogits(resolved, outputs)


def _is_keras(thing) -> bool:
    return getattr(thing, "__module__", "").split(".")[0] == "keras"


@keras.saving.register_keras_serializable("kerasbert", name="OfProbabilities")
class FromLogits(keras.metrics.Metric):
    """Applies an activation to logits before a Keras metric sees them.

    For "sigmoid" outputs, the metric sees every probability. For "softmax" outputs with two
    classes, a binary metric such as AUC or Precision sees the probability of the second class and
    the label 0 or 1, as in scikit-learn's binary scores, unless it has a `class_id`. Metrics on
    class indices see indices; all others see one-hot labels and the probabilities of all classes.

    Args:
        metric: a Keras metric.
        outputs: "softmax" (over the last axis) or "sigmoid".
        name: metric name; None: the wrapped metric's.
    """

    def __init__(self, metric: keras.metrics.Metric, outputs: str, name: str | None = None):
        super().__init__(name=name or metric.name)
        self.metric = metric
        self.outputs = outputs

    @property
    def variables(self) -> Any:
        """Returns the variables of the wrapped metric."""
        return self.metric.variables

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Adds a batch of labels and logits."""
        convert = _of_softmax if self.outputs == "softmax" else _of_sigmoid
        self.metric.update_state(*convert(self.metric, y_true, y_pred, sample_weight))

    def result(self) -> Any:
        """Returns the result of the wrapped metric."""
        return self.metric.result()

    def reset_state(self) -> None:
        """Resets the wrapped metric."""
        self.metric.reset_state()

    def get_config(self) -> dict[str, Any]:
        """Returns the wrapped metric and the activation."""
        metric = keras.saving.serialize_keras_object(self.metric)
        return {"name": self.name, "metric": metric, "outputs": self.outputs}

    @classmethod
    def from_config(cls, config: Any) -> Self:
        """Creates the metric from the result of `get_config`."""
        return cls(**{**config, "metric": keras.saving.deserialize_keras_object(config["metric"])})


def _of_sigmoid(metric, y_true, logits, sample_weight) -> tuple:
    labels = ops.cast(y_true, "float32")
    probabilities = ops.sigmoid(ops.cast(logits, "float32"))
    if sample_weight is None or len(sample_weight.shape) < len(logits.shape):
        return labels, probabilities, sample_weight
    # Every probability has its own weight.
    labels, probabilities = (ops.reshape(one, (-1, 1)) for one in (labels, probabilities))
    return labels, probabilities, ops.reshape(sample_weight, (-1,))


def _chooses_classes(metric) -> bool:
    """Whether a metric is computed of one class, or of the best ones, and needs all of them."""
    return any(getattr(metric, name, None) is not None for name in ("class_id", "top_k"))


def _of_softmax(metric, y_true, logits, sample_weight) -> tuple:
    """Returns labels, probabilities and weights, one row per text or token."""
    *positions, classes = ops.shape(logits)
    probabilities = ops.softmax(ops.reshape(ops.cast(logits, "float32"), (-1, classes)))
    y_true = ops.convert_to_tensor(y_true)
    if len(y_true.shape) == len(logits.shape) and y_true.shape[-1] != 1:
        y_true = ops.argmax(y_true, axis=-1)  # one-hot labels
    labels = ops.reshape(ops.cast(y_true, "int32"), (-1,))
    sample_weight = flat_weights(sample_weight, positions)
    if isinstance(metric, _OF_INDICES):
        return labels, probabilities, sample_weight
    is_binary = isinstance(metric, _BINARY) and not _chooses_classes(metric)
    if is_binary and logits.shape[-1] == 2:
        return labels[:, None], probabilities[:, 1:], sample_weight
    return ops.one_hot(labels, classes), probabilities, sample_weight
