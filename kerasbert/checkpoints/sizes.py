"""Checks of a config against the sizes of files, before anything of that size is allocated."""

from collections.abc import Iterator

from kerasbert.config import BackboneConfig
from kerasbert.errors import InputError

# The deepest published ALBERT has 24 layers.
_MOST_PASSES = 256
# The maximum memory for a file: a multiple of its size, because tied tensors are stored once, and a
# constant.
_TIMES, _SPARE = 3, 100 * 2**20


def check_layers(config: BackboneConfig, tensors: int, source: str) -> None:
    """Raises `InputError` for more layers than tensors, or too many passes through the layers.

    Args:
        config: the stored `BackboneConfig`.
        tensors: integer, the number of tensors in the file.
        source: string, the file in messages.
    """
    layers = config.num_own_layers
    if layers > tensors:
        raise InputError(
            f"{source}: has {tensors} tensors, too few for the {layers} layers of the config"
        )
    # Layers with shared weights could be applied any number of times.
    if (passes := config.num_layers * config.layers_per_group) > max(_MOST_PASSES, layers):
        raise InputError(
            f"{source}: the config has {passes} passes through {layers} layers; at most "
            f"{_MOST_PASSES} are supported"
        )


def check_total(total: int, size: int, source: str) -> None:
    """Raises `InputError` for tensors that would take far more memory than their file's size.

    Args:
        total: integer, the bytes of all tensors in memory.
        size: integer, the bytes of the file.
        source: string, the file in messages.
    """
    if total > _TIMES * size + _SPARE:
        raise InputError(f"{source}: has {size:,} bytes, but its tensors would take {total:,}")


def encoder_shapes(config: BackboneConfig) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Iterates over the paths and shapes of a `Backbone`'s variables."""
    hidden, inner = config.hidden_dim, config.intermediate_dim
    width = config.embedding_dim or hidden
    before = config.padding_id + 1 if config.positions == "learned_offset" else 0
    for name, rows in (
        ("token", config.vocabulary_size),
        ("position", config.positions != "sinusoidal" and config.max_sequence_length + before),
        ("segment", config.num_segments),
        ("task_type", config.num_task_types),
    ):
        if rows:
            yield f"embeddings/{name}_embedding/embeddings", (rows, width)
    yield from _norm("embeddings/layer_norm", width)
    if config.embedding_dim:
        yield from _dense("embeddings/projection", width, hidden)
    for layer in (f"layer_{i}" for i in range(config.num_own_layers)):
        for name in ("query", "key", "value", "output"):
            yield from _dense(f"{layer}/attention/{name}", hidden, hidden)
        yield from _norm(f"{layer}/attention_layer_norm", hidden)
        yield from _dense(f"{layer}/intermediate", hidden, inner)
        yield from _dense(f"{layer}/output", inner, hidden)
        yield from _norm(f"{layer}/output_layer_norm", hidden)
    if config.pooler:
        yield from _dense("pooler/dense", hidden, hidden)


def _dense(path: str, inputs: int, outputs: int):
    return ((f"{path}/kernel", (inputs, outputs)), (f"{path}/bias", (outputs,)))


def _norm(path: str, width: int):
    return ((f"{path}/gamma", (width,)), (f"{path}/beta", (width,)))
