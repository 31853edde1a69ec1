"""Freezing weights of a task, and quantization."""

from collections.abc import Sequence
from typing import Any

from kerasbert.errors import InputError
from kerasbert.layers.state import TrainableStateMixin, freeze


class TrainableWeightsMixin(TrainableStateMixin):
    """Selects the trainable weights of a task, freezes weights, and quantizes."""

    @property
    def trainable_weights(self) -> Any:
        """Keras's trainable weights, without a pooler that the head does not use."""
        return self._in_use(super().trainable_weights)

    @property
    def trainable_variables(self) -> Any:
        """Keras's trainable variables, without a pooler that the head does not use."""
        return self._in_use(super().trainable_variables)

    def _in_use(self, variables: list) -> list:
        # Keras would warn about weights without gradient in every `fit`.
        if self.needs_pooler(self.backbone.config):
            return variables
        return [variable for variable in variables if not variable.path.startswith("pooler/")]

    def freeze(self, layers: int = 0, names: Sequence[str] = ()) -> list[str]:
        """Freezes weights; call it before `compile`.

        `trainable = True`, on the task or on a layer, unfreezes them.

        Args:
            layers: number of layers to freeze from the bottom, together with the embeddings.
            names: prefixes of weight paths, such as "layer_0" or "layer_0/attention".

        Returns:
            The paths of all frozen weights.

        Raises:
            InputError: there are fewer layers, or no weight with such a prefix.

        Examples:
            >>> before = len(task.trainable_weights)
            >>> frozen = task.freeze(layers=1)
            >>> len(task.trainable_weights) == before - len(frozen)
            True
            >>> task.trainable = True  # trains all of them again
        """
        blocks = self.backbone.blocks
        if not 0 <= layers <= len(blocks):
            raise InputError(f"{self.name} has {len(blocks)} layers, so {layers} can't be frozen")
        names = list(names)
        if layers:
            names += ["embeddings", *(f"layer_{index}" for index in range(layers))]
        variables_of = {
            name: [v for v in self.weights if _is_under(v.path, name)] for name in names
        }
        for name, variables in variables_of.items():
            if not variables:
                tops = dict.fromkeys(v.path.split("/")[0] for v in self.weights)
                raise InputError(f"no weight is called {name!r}; there are {', '.join(tops)}")
        freeze(self, [variable for variables in variables_of.values() for variable in variables])
        return [v.path for v in self.weights if not v.trainable]

    def quantize(self, mode: Any = None, config: Any = None, **kwargs: Any) -> None:
        """Quantizes the weights to integers as in Keras, for predictions in less memory.

        A quantized model can predict, be exported, and be saved as `.keras`; presets store floats.

        Args:
            mode: "int8" or "int4".
            config: Keras's config of such a quantization, instead of `mode`.
            **kwargs: as in Keras.

        Raises:
            InputError: the mode is not supported.

        Examples:
            >>> small = kerasbert.TextClassifier(kerasbert.Backbone(config), 2)
            >>> small.quantize("int8")
            >>> small({"token_ids": [[2, 5, 7, 8, 3]]}).shape
            TensorShape([1, 2])
        """
        random = self.uninitialized_weights
        super().quantize(mode, config, **kwargs)
        self.mark_uninitialized(random)  # they have other values now
        self._forget_graphs()


def _is_under(path: str, name: str) -> bool:
    return path == name or path.startswith(f"{name.rstrip('/')}/")
