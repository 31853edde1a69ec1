"""State of layers besides the values of weights: frozen, quantized, or with LoRA adapters."""

import contextlib
import gc
import warnings
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import keras
import numpy as np

from kerasbert import _compat
from kerasbert.errors import InputError

#: Quantization modes that all layers, exports and files support.
QUANTIZATIONS = ("int8", "int4")


@contextlib.contextmanager
def _quick_collections() -> Iterator[None]:
    """Context in which collecting garbage ignores what is there already.

    Keras collects for each layer that it quantizes: half a second each, with TensorFlow's objects.
    """
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


class TrainableStateMixin(keras.Model):
    """A model that stores which layers are frozen or quantized, and that can be unfrozen.

    On TensorFlow, Keras ignores an attribute that is set to its current value, so
    `model.trainable = True` would not reach frozen layers of a trainable model.
    """

    def __setattr__(self, name: Any, value: Any) -> None:
        if name != "trainable":
            super().__setattr__(name, value)
            return
        for layer in _compat.layers_of(self):
            _compat.set_trainable(layer, bool(value))

    def quantize(self, mode: Any = None, config: Any = None, **kwargs: Any) -> None:
        """Quantizes the model as in Keras, with mode "int8" or "int4" or such a config.

        A quantized model can predict, be exported, and be saved as `.keras`; presets store floats.

        Args:
            mode: "int8" or "int4".
            config: Keras's config of such a quantization, instead of `mode`.
            **kwargs: as in Keras.

        Raises:
            InputError: the mode is not supported.

        Examples:
            >>> small = kerasbert.Backbone(config)
            >>> small.quantize("int8")
            >>> small({"token_ids": [[2, 7, 9, 3]]})["sequence_output"].shape
            TensorShape([1, 4, 128])
        """
        kind = getattr(config, "mode", None) if mode is None else mode
        if kind not in QUANTIZATIONS:
            raise InputError(f"quantize takes {' or '.join(QUANTIZATIONS)}, found {kind!r}")
        with warnings.catch_warnings(), _quick_collections():
            # Keras warns about every layer that has nothing to quantize, such as Dropout.
            warnings.filterwarnings("ignore", ".*does not have a `quantize`")
            super().quantize(mode, config=config, **kwargs)

    def plain_weights(self) -> dict[str, np.ndarray]:
        """Returns the weights by path, with LoRA adapters merged into them.

        Raises:
            InputError: weights are quantized.

        Examples:
            >>> weights = kerasbert.Backbone(config).plain_weights()
            >>> len(weights["embeddings/token_embedding/embeddings"]) == config.vocabulary_size
            True
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


def freeze(model: keras.Model, variables: Iterable[Any]) -> None:
    """Freezes variables; a layer without other variables becomes not trainable."""
    for variable in variables:
        variable.trainable = False
    for layer in _compat.layers_of(model):
        if layer.weights and not any(variable.trainable for variable in layer.weights):
            layer.trainable = False


def state_of(model: keras.Model) -> dict[str, Any]:
    """Returns the state of layers in JSON types, for `restore_state`."""
    layers = [layer for layer in _compat.layers_of(model) if layer.weights]
    serialize = keras.saving.serialize_keras_object
    quantized = {one.path: serialize(one.quantization_config) for one in layers if _mode(one)}
    adapted = {id(_table(layer)) for layer in layers if _is_adapted(layer)}
    frozen = [v.path for v in model.weights if not v.trainable and id(v) not in adapted]
    return {"frozen": frozen, "quantized": quantized}


def restore_state(model: keras.Model, state: Mapping[str, Any]) -> None:
    """Restores the state of a model's layers; its weights must be loaded afterwards."""
    quantized, frozen = state["quantized"], set(state["frozen"])
    for layer in list(_compat.layers_of(model)):
        if layer.path in quantized and not _mode(layer):
            layer.quantize(config=keras.saving.deserialize_keras_object(quantized[layer.path]))
    freeze(model, [variable for variable in model.weights if variable.path in frozen])


def has_16_bits(layer: keras.layers.Layer) -> bool:
    """Returns whether a layer computes in bfloat16 or float16."""
    return "16" in (layer.compute_dtype or "")


def is_quantized(*layers: keras.layers.Layer) -> bool:
    """Whether a layer's weights are quantized, so that their values cannot be used directly."""
    return any(_mode(layer) for layer in layers)


def table_of(embedding: keras.layers.Embedding, dtype: Any) -> Any:
    """Returns an embedding's table, (rows, width), dequantized if necessary."""
    if is_quantized(embedding):
        rows = keras.ops.arange(embedding.input_dim, dtype="int32")
        return keras.ops.cast(embedding(rows), dtype)
    return keras.ops.convert_to_tensor(embedding.embeddings, dtype)


def _mode(layer) -> str | None:
    return getattr(layer, "quantization_mode", None)


def _is_adapted(layer) -> bool:
    return getattr(layer, "lora_enabled", False)


def _table(layer):
    """Returns the variable that a LoRA adapter adds to."""
    is_dense = isinstance(layer, keras.layers.Dense)
    return _compat.variable_of(layer, "kernel" if is_dense else "embeddings")
