"""Losses and metrics of Keras on a task's outputs, which are logits; rates by layer."""

from collections.abc import Callable

from kerasbert.errors import InputError
from kerasbert.tasks.from_logits import loss_of, metric_of
from kerasbert.tasks.text_model import TextModel


class CompiledOnLogits(TextModel):
    """What `compile` of every task has in common; a task says what its outputs are."""

    def compile(
        self,
        optimizer,
        loss,
        metrics=None,
        weighted_metrics=None,
        *,
        layer_decay: float | None = None,
        **kwargs,
    ):
        """Keras's `compile`, see `ExactModel`.

        Losses and metrics of Keras, most of which take probabilities, are made for outputs that are
        logits where they are named, such as "sparse_categorical_crossentropy", "accuracy" or "AUC".

        Args:
            optimizer: Keras's.
            loss: Keras's.
            metrics: Keras's; where a text has several places with outputs, some of which do not
                count, such as those of `mask_positions` that no mask uses, they are
                weighted, too.
            weighted_metrics: Keras's.
            layer_decay: every layer, from the head down, learns at so many times the rate of the
                one above it; the embeddings are the lowest (ELECTRA's
                `layerwise_lr_decay`); None: all at the same.
            **kwargs: as in `ExactModel.compile`.

        Raises:
            InputError: a loss or metric of Keras that makes no sense of the outputs.
        """
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

    def _losses_on_logits(self, loss):
        # A loss that only some places count for is the mean over those.
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
        """Raises `InputError` for examples of several labels, of which Keras takes the highest."""
        if self.outputs_for:
            raise InputError(
                f"class_weight is for examples that have one class each, and {self.name} learns "
                "labels of tokens; give weights of tokens as sample_weight"
            )

    def get_compile_config(self) -> dict:
        """As in `ExactModel`, and `layer_decay`."""
        config = super().get_compile_config()
        if config and self.layer_decay is not None:
            config = {**config, "layer_decay": self.layer_decay}
        return config


def _depth(path: str, top: int) -> int:
    """How far up a weight is: the embeddings 0, the head and the pooler `top`."""
    part = path.split("/")[0]
    if part == "embeddings":
        return 0
    return int(part.removeprefix("layer_")) + 1 if part.startswith("layer_") else top


def _map_nested(function: Callable, structure):
    """What a function makes of everything in dicts, lists and tuples; None stays None."""
    if isinstance(structure, dict):
        return {key: _map_nested(function, value) for key, value in structure.items()}
    if isinstance(structure, list | tuple):
        return [_map_nested(function, value) for value in structure]
    return None if structure is None else function(structure)


def _are_named(metrics) -> bool:
    """Whether it is a list of what can be made once for every output."""
    return isinstance(metrics, list | tuple) and all(isinstance(one, str | type) for one in metrics)
