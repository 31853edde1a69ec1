"""Which weights of a task are trained."""

from collections.abc import Sequence

from kerasbert.errors import InputError
from kerasbert.layers.state import TrainableStateMixin, freeze


class TrainableWeightsMixin(TrainableStateMixin):
    """The trainable weights of a task, freezing, and quantization."""

    @property
    def trainable_weights(self):
        """As in Keras, without a pooler that the head does not use."""
        return self._in_use(super().trainable_weights)

    @property
    def trainable_variables(self):
        """As in Keras, without a pooler that the head does not use."""
        return self._in_use(super().trainable_variables)

    def _in_use(self, variables: list) -> list:
        # A weight without a gradient would make Keras warn at every fit.
        if self.needs_pooler(self.backbone.config):
            return variables
        return [variable for variable in variables if not variable.path.startswith("pooler/")]

    def freeze(self, layers: int = 0, names: Sequence[str] = ()) -> list[str]:
        """Freezes weights; call it before `compile`.

        `trainable = True`, on the task or on a layer, unfreezes them.

        Args:
            layers: freeze the embeddings and this many layers, from the bottom.
            names: freeze weights whose paths begin with these, such as "layer_0/attention".

        Returns:
            The paths of all frozen weights.

        Raises:
            InputError: there are fewer layers, or no such weight.
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
