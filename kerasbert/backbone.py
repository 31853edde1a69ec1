"""The one body that every family shares, and the facts that tell them apart."""

import dataclasses
import os
from typing import Any, Self

import keras

from kerasbert import checkpoints, families
from kerasbert import features as keys
from kerasbert.errors import InputError
from kerasbert.layers import Embeddings, Pooler, TransformerBlock


@dataclasses.dataclass(frozen=True, kw_only=True)
class BackboneConfig:
    """Everything that makes one encoder differ from another.

    Attributes:
        vocabulary_size: rows of the token table.
        num_layers: transformer blocks.
        hidden_dim: width of a token's vector.
        num_heads: attention heads; divides `hidden_dim`.
        intermediate_dim: width inside the feed-forward layers.
        max_sequence_length: the longest sequence.
        num_segments: rows of the segment table (BERT's `type_vocab_size`).
        positions: "learned" or "sinusoidal".
        activation: "gelu_tanh" (BERT's own), "gelu" (exact) or "relu".
        dropout: rate after embeddings, attention and feed-forward.
        attention_dropout: rate on attention probabilities.
        layer_norm_epsilon: added to the variance.
        initializer_range: standard deviation of the initial weights.
    """

    vocabulary_size: int
    num_layers: int
    hidden_dim: int
    num_heads: int
    intermediate_dim: int
    max_sequence_length: int = 512
    num_segments: int = 2
    positions: str = "learned"
    activation: str = "gelu_tanh"
    dropout: float = 0.1
    attention_dropout: float = 0.1
    layer_norm_epsilon: float = 1e-12
    initializer_range: float = 0.02

    def __post_init__(self):
        for name in (
            "vocabulary_size",
            "num_layers",
            "hidden_dim",
            "num_heads",
            "intermediate_dim",
            "max_sequence_length",
            "num_segments",
        ):
            value = getattr(self, name)
            if not isinstance(value, int) or value < 1:
                raise InputError(f"{name} must be a positive integer, found {value!r}")
        if self.hidden_dim % self.num_heads:
            raise InputError(f"num_heads={self.num_heads} does not divide {self.hidden_dim=}")
        for name in ("dropout", "attention_dropout"):
            if not 0 <= getattr(self, name) < 1:
                raise InputError(f"{name} must be in [0, 1), found {getattr(self, name)!r}")

    @classmethod
    def from_preset(cls, name: str, **overrides) -> Self:
        """Returns the architecture called `name`, such as "bert_tiny", with some facts changed.

        Raises:
            InputError: there is no such architecture; the message lists those there are.
        """
        if name not in families.PRESETS:
            raise InputError(
                f"there is no preset {name!r}; there are {', '.join(sorted(families.PRESETS))}"
            )
        return cls(**{**families.PRESETS[name], **overrides})

    @classmethod
    def from_stored(cls, preset: checkpoints.Preset, **overrides) -> Self:
        """Returns the config of a stored model, with some facts changed.

        Raises:
            InputError: a setting is missing or unknown; the message names file and key.
        """
        facts = {**preset.config.get("backbone", {}), **overrides}
        known = {field.name: field.default for field in dataclasses.fields(cls)}
        required = {name for name, default in known.items() if default is dataclasses.MISSING}
        if unknown := sorted(facts.keys() - known.keys()):
            raise InputError(f"{preset.source}: unknown backbone setting {', '.join(unknown)}")
        if missing := sorted(required - facts.keys()):
            raise InputError(f"{preset.source}: the backbone lacks {', '.join(missing)}")
        return cls(**facts)


@keras.saving.register_keras_serializable("kerasbert")
class Backbone(keras.Model):
    """A BERT encoder as a functional Keras model.

    Call: a dict of `token_ids`, `padding_mask`, `segment_ids`, int32 (batch, sequence) ->
    `sequence_output` (batch, sequence, hidden) and `pooled_output` (batch, hidden). A missing
    `segment_ids` means zeros, a missing `padding_mask` ones.

    Args:
        config: the facts.
        dtype: a Keras dtype policy, such as "mixed_bfloat16"; None: the global one.
    """

    def __init__(self, config: BackboneConfig, *, dtype=None, name="backbone"):
        # === Layers ===
        embeddings = Embeddings(
            vocabulary_size=config.vocabulary_size,
            hidden_dim=config.hidden_dim,
            max_sequence_length=config.max_sequence_length,
            num_segments=config.num_segments,
            positions=config.positions,
            dropout=config.dropout,
            layer_norm_epsilon=config.layer_norm_epsilon,
            initializer_range=config.initializer_range,
            dtype=dtype,
            name="embeddings",
        )
        blocks = [
            TransformerBlock(
                num_heads=config.num_heads,
                intermediate_dim=config.intermediate_dim,
                activation=config.activation,
                dropout=config.dropout,
                attention_dropout=config.attention_dropout,
                layer_norm_epsilon=config.layer_norm_epsilon,
                initializer_range=config.initializer_range,
                dtype=dtype,
                name=f"layer_{index}",
            )
            for index in range(config.num_layers)
        ]
        pooler = Pooler(config.initializer_range, dtype=dtype, name="pooler")

        # === Functional model ===
        inputs = feature_inputs()
        x = embeddings(inputs[keys.TOKEN_IDS], inputs[keys.SEGMENT_IDS])
        for block in blocks:
            x = block(x, inputs[keys.PADDING_MASK])
        outputs = {keys.SEQUENCE_OUTPUT: x, keys.POOLED_OUTPUT: pooler(x)}
        super().__init__(inputs=inputs, outputs=outputs, name=name)

        # === Config ===
        self.config = config
        self.embeddings = embeddings

    def __call__(self, inputs, *args, **kwargs):
        """Runs the encoder; features that may be absent are filled in."""
        return super().__call__(keys.with_defaults(inputs), *args, **kwargs)

    @property
    def token_embedding(self) -> keras.layers.Embedding:
        """The layer whose table turns ids into vectors."""
        return self.embeddings.token_embedding

    def get_config(self) -> dict:
        """The facts and the dtype policy, in JSON types."""
        return {
            "config": dataclasses.asdict(self.config),
            "dtype": keras.saving.serialize_keras_object(self.embeddings.dtype_policy),
            "name": self.name,
        }

    @classmethod
    def from_config(cls, config: dict, custom_objects=None) -> Self:
        """The inverse of `get_config`."""
        return cls(
            BackboneConfig(**config["config"]),
            dtype=keras.saving.deserialize_keras_object(config["dtype"]),
            name=config["name"],
        )

    @classmethod
    def from_preset(cls, directory: str | os.PathLike, *, dtype=None, **overrides: Any) -> Self:
        """Loads an encoder from a directory that a backbone or a task was saved to.

        Args:
            directory: what `save_to_preset` wrote.
            dtype: a Keras dtype policy for computing; the weights stay float32.
            **overrides: facts of `BackboneConfig` to change, such as `dropout=0.0`.

        Raises:
            InputError: the directory does not hold such a model; the message says what is wrong.
        """
        preset = checkpoints.load(directory)
        backbone = cls(BackboneConfig.from_stored(preset, **overrides), dtype=dtype)
        preset.assign(backbone.weights)
        return backbone

    def save_to_preset(self, directory: str | os.PathLike, *, tokenizer=None) -> None:
        """Writes config, weights and, if given, the tokenizer; whole or not at all.

        Raises:
            InputError: `directory` exists already.
        """
        checkpoints.save(
            directory,
            {"task": None, "backbone": dataclasses.asdict(self.config)},
            self.weights,
            tokenizer,
        )


def feature_inputs() -> dict[str, keras.KerasTensor]:
    """The symbolic inputs of an encoder, (batch, sequence) int32 each."""
    names = (keys.TOKEN_IDS, keys.PADDING_MASK, keys.SEGMENT_IDS)
    return {name: keras.Input((None,), dtype="int32", name=name) for name in names}
