"""Which weights of a task are trained."""

from collections.abc import Sequence

from kerasbert.errors import InputError
from kerasbert.layers.state import TrainableStateMixin, freeze


class TrainableWeightsMixin(TrainableStateMixin):
    """The trainable weights of a task, freezing, and quantization."""

    @property
    def trainable_weights(self):
        """As Keras has it, less a pooler that the head does not use."""
        return self._in_use(super().trainable_weights)

    @property
    def trainable_variables(self):
        """As Keras has it, less a pooler that the head does not use."""
        return self._in_use(super().trainable_variables)

    def _in_use(self, variables: list) -> list:
        # A weight without a gradient would make Keras warn at every fit.
        if self.needs_pooler(self.backbone.config):
            return variables
        return [variable for variable in variables if not variable.path.startswith("pooler/")]

    def freeze(self, layers: int = 0, names: Sequence[str] = ()) -> list[str]:
        """Keeps weights as they are in training; to be called before `compile`.

        `trainable = True`, of the task or of a layer, makes them train again.

        Args:
            layers: the embeddings and so many layers from the bottom.
            names: beginnings of the paths of weights, such as "layer_0" or "layer_0/attention".

        Returns:
            The paths of the weights that stay.

        Raises:
            InputError: there are fewer layers, or no weight with such a name.
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

    def quantize(self, mode=None, config=None, **kwargs):
        """As in `TrainableStateMixin`."""
        super().quantize(mode, config, **kwargs)
        self._forget_graphs()


def _is_under(path: str, name: str) -> bool:
    return path == name or path.startswith(f"{name.rstrip('/')}/")
