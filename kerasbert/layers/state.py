"""What a model's layers are, beside the values of their weights: frozen, quantized, adapted."""

import warnings
from collections.abc import Iterable, Mapping

import keras
import numpy as np

from kerasbert import _compat
from kerasbert.errors import InputError

#: Ways to quantize that every layer, export and file here follows.
QUANTIZATIONS = ("int8", "int4")


class TrainableStateMixin(keras.Model):
    """A model that thaws when it is told to, and whose config holds what its layers are.

    Keras on TensorFlow does nothing when an attribute is given the value that it has, so
    `model.trainable = True` leaves what is frozen inside a model that is trainable itself.
    """

    def __setattr__(self, name, value):
        if name != "trainable":
            super().__setattr__(name, value)
            return
        for layer in _compat.layers_of(self):
            _compat.set_trainable(layer, bool(value))

    def quantize(self, mode=None, config=None, **kwargs):
        """Keras's `quantize`, by "int8" or "int4" or a config of these.

        Such a model predicts, exports and is saved as `.keras`; presets hold floats.

        Raises:
            InputError: another mode.
        """
        if mode not in QUANTIZATIONS:
            raise InputError(f"quantize takes {' or '.join(QUANTIZATIONS)}, found {mode!r}")
        with warnings.catch_warnings():
            # Keras warns of every layer that has nothing to quantize, such as Dropout.
            warnings.filterwarnings("ignore", ".*does not have a `quantize`")
            super().quantize(mode, config=config, **kwargs)

    def plain_weights(self) -> dict[str, np.ndarray]:
        """The weights by path, as a model without adapters has them: LoRA's are added to theirs.

        Raises:
            InputError: weights are quantized.
        """
        weights = {variable.path: variable.numpy() for variable in self.weights}
        for layer in _compat.layers_of(self):
            if _mode(layer):
                raise InputError(
                    f"the weights of {layer.path} are {layer.quantization_mode}, where floats are "
                    "needed: do this before quantize; export and .keras files hold such weights"
                )
            if _is_adapted(layer):
                table, is_dense = _table(layer), isinstance(layer, keras.layers.Dense)
                whole = keras.ops.convert_to_numpy(layer.kernel if is_dense else layer.embeddings)
                weights[table.path] = whole.astype(weights[table.path].dtype)
                for name in [path for path in weights if path.startswith(f"{layer.path}/lora_")]:
                    del weights[name]
        return weights


def freeze(model: keras.Model, variables: Iterable) -> None:
    """Keeps variables as they are in training; layers that have no others are not trainable."""
    for variable in variables:
        variable.trainable = False
    for layer in _compat.layers_of(model):
        if layer.weights and not any(variable.trainable for variable in layer.weights):
            layer.trainable = False


def state_of(model: keras.Model) -> dict:
    """What `restore_state` gives to a model of the same layers; JSON types."""
    layers = [layer for layer in _compat.layers_of(model) if layer.weights]
    serialize = keras.saving.serialize_keras_object
    quantized = {one.path: serialize(one.quantization_config) for one in layers if _mode(one)}
    adapted = {id(_table(layer)) for layer in layers if _is_adapted(layer)}
    frozen = [v.path for v in model.weights if not v.trainable and id(v) not in adapted]
    return {"frozen": frozen, "quantized": quantized}


def restore_state(model: keras.Model, state: Mapping) -> None:
    """Makes the layers of a model what they were; its weights are loaded afterwards."""
    quantized, frozen = state["quantized"], set(state["frozen"])
    for layer in list(_compat.layers_of(model)):
        if layer.path in quantized and not _mode(layer):
            layer.quantize(config=keras.saving.deserialize_keras_object(quantized[layer.path]))
    freeze(model, [variable for variable in model.weights if variable.path in frozen])


def is_quantized(*layers: keras.layers.Layer) -> bool:
    """Whether the weights of a layer are no numbers that others may use."""
    return any(_mode(layer) for layer in layers)


def table_of(embedding: keras.layers.Embedding, dtype):
    """All vectors of an embedding, (rows, width), whatever they are stored as."""
    if is_quantized(embedding):
        rows = keras.ops.arange(embedding.input_dim, dtype="int32")
        return keras.ops.cast(embedding(rows), dtype)
    return keras.ops.convert_to_tensor(embedding.embeddings, dtype)


def _mode(layer) -> str | None:
    return getattr(layer, "quantization_mode", None)


def _is_adapted(layer) -> bool:
    return getattr(layer, "lora_enabled", False)


def _table(layer):
    """The variable that an adapter adds to."""
    is_dense = isinstance(layer, keras.layers.Dense)
    return _compat.variable_of(layer, "kernel" if is_dense else "embeddings")
