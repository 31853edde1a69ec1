"""`compile` for tasks: Keras losses and metrics on logits, and layer-wise learning rates."""

from collections.abc import Callable
from typing import Any

from kerasbert.errors import InputError
from kerasbert.tasks.from_logits import loss_of, metric_of
from kerasbert.tasks.text_model import TextModel


class CompiledOnLogits(TextModel):
    """Implements `compile` for all tasks; `outputs_activation` says what the logits mean."""

    def compile(
        self,
        optimizer: Any,
        loss: Any,
        metrics: Any = None,
        weighted_metrics: Any = None,
        *,
        layer_decay: float | None = None,
        **kwargs: Any,
    ) -> None:
        """Compiles the model as in Keras; see also `ExactModel.compile`.

        Losses and metrics that are given by name, such as "sparse_categorical_crossentropy",
        "accuracy" or "AUC", are configured for outputs that are logits. By default, most of
        Keras's expect probabilities.

        Args:
            optimizer: as in Keras.
            loss: as in Keras.
            metrics: as in Keras. If only some positions of a row count, such as the used ones
                of `mask_positions`, these metrics are weighted too. None, without
                `weighted_metrics`: the task's own; `[]`: none.
            weighted_metrics: as in Keras.
            layer_decay: factor between the learning rates of two neighboring layers, from the
                head down to the embeddings (ELECTRA's `layerwise_lr_decay`). None: all layers
                have the same rate.
            **kwargs: as in `ExactModel.compile`.

        Raises:
            InputError: a Keras loss or metric cannot be computed on these outputs.

        Examples:
            Every task has defaults, and takes Keras's losses and metrics by name:

            >>> task.compile()
            >>> task.compile("adam", metrics=["accuracy", "AUC"], layer_decay=0.9)
        """
        if metrics is None and weighted_metrics is None:
            metrics = self._default_metrics()
        if self.outputs_for and metrics:
            if weighted_metrics:
                raise InputError(
                    f"metrics of {self.name} are weighted ones, too: leave metrics out, or "
                    "weighted_metrics"
                )
            metrics, weighted_metrics = None, metrics
        super().compile(
            optimizer=optimizer,
            loss=self._losses_on_logits(loss),
            metrics=self._metrics_on_logits(metrics),
            weighted_metrics=self._metrics_on_logits(weighted_metrics),
            **kwargs,
        )
        self.optimizer.rate_factors = {}
        if layer_decay is not None:
            top = len(self.backbone.blocks) + 1
            self.optimizer.rate_factors = {
                v.path: layer_decay ** (top - _depth(v.path, top)) for v in self.weights
            }
        self.layer_decay = layer_decay
        self._forget_graphs()

    def _default_metrics(self) -> Any:
        """Returns the metrics of a model that is compiled without any, as `compile` takes them."""
        return None

    def _losses_on_logits(self, loss):
        # If only some positions count, the loss is the mean over those.
        reduction = "mean_with_sample_weight" if self.outputs_for else "sum_over_batch_size"

        def one(loss):
            return loss_of(loss, self.outputs_activation, self.name, reduction)

        if isinstance(self.output, dict) and isinstance(loss, str | type):
            return {name: one(loss) for name in self.output}
        return _map_nested(one, loss)

    def _metrics_on_logits(self, metrics):
        def one(metric):
            activation, name = self.outputs_activation, self.name
            return metric_of(metric, activation, name, self.accuracy_metric)

        if metrics and isinstance(self.output, dict) and _are_named(metrics):
            return {name: [one(metric) for metric in metrics] for name in self.output}
        return _map_nested(one, metrics)

    def check_class_weight(self) -> None:
        """Raises `InputError` unless each example has one class."""
        if self.outputs_for:
            raise InputError(
                f"class_weight is for examples that have one class each, and {self.name} learns "
                "labels of tokens; give weights of tokens as sample_weight"
            )
        if self.outputs_are != "classes":
            raise InputError(
                f"class_weight is for examples that have one class each, and those of {self.name} "
                "have none; give weights of examples as sample_weight"
            )

    def get_compile_config(self) -> dict[str, Any]:
        """Returns the config of `ExactModel` and `layer_decay`."""
        config = super().get_compile_config()
        if config and self.layer_decay is not None:
            config = {**config, "layer_decay": self.layer_decay}
        return config


def _depth(path: str, top: int) -> int:
    """Returns the depth of a weight: embeddings 0, layer i at i + 1, pooler and head `top`."""
    part = path.split("/")[0]
    if part == "embeddings":
        return 0
    return int(part.removeprefix("layer_")) + 1 if part.startswith("layer_") else top


def _map_nested(function: Callable, structure):
    """Applies a function to the leaves of dicts, lists and tuples; None stays None."""
    if isinstance(structure, dict):
        return {key: _map_nested(function, value) for key, value in structure.items()}
    if isinstance(structure, list | tuple):
        return [_map_nested(function, value) for value in structure]
    return None if structure is None else function(structure)


def _are_named(metrics) -> bool:
    """Whether `metrics` is a list of names and classes, so that each output can have its own."""
    return isinstance(metrics, list | tuple) and all(isinstance(one, str | type) for one in metrics)
