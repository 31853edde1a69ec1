"""Hidden states and attention of a task, from the same layers and weights."""

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from kerasbert.features import ATTENTION_WEIGHTS, HIDDEN_STATES, PADDING_MASK, SEQUENCE_OUTPUT


def named(outputs: Any) -> dict[str, Any]:
    """Returns a task's outputs, losses or labels as a dict by name."""
    return dict(outputs) if isinstance(outputs, dict) else {"logits": outputs}


def watcher(
    task: Any, layers: Any, hidden: str | None, attention: str | None
) -> Callable[..., Any]:
    """Returns a function from features and `training` to what a student learns from.

    It returns the task's outputs by name, hidden states `(*mask, width)` and attention
    probabilities `(*mask[:-1], heads, tokens, tokens)` of `layers`, float32, where `mask` is the
    shape of the features. Layer 0, the embeddings, has no attention.
    """
    if not (hidden or attention):
        return lambda features, training: (named(task(features, training=training)), [], [])
    model, layers = with_states(task), list(layers)
    rank = len(task.inputs[0].shape)

    def watch(features, training):
        shape = ops.shape(features[PADDING_MASK])
        rows = {name: features[name] for name in model.input}
        several = len(shape) > rank  # texts per example
        if several:
            rows = {name: ops.reshape(x, (-1, *ops.shape(x)[2:])) for name, x in rows.items()}
        by_name = model(rows, training=training)

        def shaped(x, *rest):
            return ops.cast(ops.reshape(x, (*shape[:-1], *rest)), "float32")

        outputs = named(by_name["outputs"])
        if several:
            outputs = {name: shaped(x, x.shape[-1]) for name, x in outputs.items()}
        states, weights = by_name[HIDDEN_STATES], by_name[ATTENTION_WEIGHTS]
        tokens = shape[-1]
        return (
            outputs,
            [shaped(states[i], tokens, states[i].shape[-1]) for i in layers if hidden],
            [
                shaped(weights[i - 1], weights[i - 1].shape[1], tokens, tokens)
                for i in layers
                if attention and i > 0
            ],
        )

    return watch


def with_states(task: Any) -> keras.Model:
    """Returns a model of the same layers and weights with hidden states and attention as outputs.

    Args:
        task: a task; it does not change.

    Returns:
        A functional model from the task's features to `outputs`, the task's outputs, and its
        encoder's `hidden_states` and `attention_weights` (see `Backbone`).

    Examples:
        >>> import numpy as np
        >>> import kerasbert
        >>> config = kerasbert.BackboneConfig.from_preset("bert_tiny", vocabulary_size=100)
        >>> task = kerasbert.TextClassifier(kerasbert.Backbone(config), 2)
        >>> model = kerasbert.distillation.with_states(task)
        >>> token_ids = np.array([[2, 7, 9, 3]])
        >>> features = {
        ...     "token_ids": token_ids,
        ...     "padding_mask": np.ones_like(token_ids),
        ...     "segment_ids": np.zeros_like(token_ids),
        ... }
        >>> outputs = model(features)
        >>> len(outputs["hidden_states"]), outputs["attention_weights"][0].shape
        (3, TensorShape([1, 2, 4, 4]))
    """
    backbone = task.backbone
    encoder = backbone if backbone.config.return_hidden_states else _encoder_with_states(backbone)
    by_name = {}

    def call(layer, *args, **kwargs):
        if layer is not backbone:
            return layer(*args, **kwargs)
        positions = kwargs.pop("output_positions", None)
        by_name.update(encoder(*args, **kwargs))
        outputs = {name: by_name[name] for name in backbone.output}
        if positions is not None:
            x, positions = outputs[SEQUENCE_OUTPUT], ops.expand_dims(positions, -1)
            outputs[SEQUENCE_OUTPUT] = ops.take_along_axis(x, positions, axis=1)
        return outputs

    again = _called_again(task, call)
    more = {name: by_name[name] for name in (HIDDEN_STATES, ATTENTION_WEIGHTS)}
    return keras.Model(again.input, {"outputs": again.output, **more})


def _encoder_with_states(backbone) -> keras.Model:
    # Each block gets a layer around it: Keras expects all calls of a layer to have equal outputs.
    blocks = {id(block): _WithWeights(block) for block in backbone.blocks}
    states, attention = [], []

    def call(layer, *args, **kwargs):
        if id(layer) not in blocks:
            return layer(*args, **kwargs)
        if not states:
            states.append(args[0])
        x, weights = blocks[id(layer)](*args, **kwargs)
        states.append(x)
        attention.append(weights)
        return x

    again: Any = _called_again(backbone, call)
    more = {HIDDEN_STATES: states, ATTENTION_WEIGHTS: attention}
    return keras.Model(again.input, {**again.output, **more})


def _called_again(model: keras.Model, call: Callable) -> keras.Model:
    """Clones a functional model with the same layers, called by `call(layer, *args, **kwargs)`."""
    # Not compiled, because Keras compiles clones of compiled models.
    plain = keras.Model(model.input, model.output)
    return keras.models.clone_model(plain, clone_function=lambda layer: layer, call_function=call)


class _WithWeights(keras.layers.Layer):
    """A transformer block that also returns its attention probabilities."""

    def __init__(self, block):
        super().__init__(dtype=block.dtype_policy, name=f"{block.name}_with_weights")
        self.block = block
        self.built = True

    def call(self, x, padding_mask=None, training=None):
        return self.block(x, padding_mask, training=training, return_weights=True)

    def compute_output_spec(self, x, padding_mask=None, training=None):
        return self.block.compute_output_spec(x, padding_mask, return_weights=True)
