"""The config of an encoder."""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any, Self

from kerasbert import families
from kerasbert.errors import InputError, shown
from kerasbert.layers.embeddings import POSITIONS
from kerasbert.layers.initializers import ACTIVATIONS


@dataclasses.dataclass(frozen=True, kw_only=True)
class BackboneConfig:
    """The config of a `Backbone`: all arguments that define an encoder.

    Examples:
        >>> import kerasbert
        >>> config = kerasbert.BackboneConfig(
        ...     vocabulary_size=32_000,
        ...     num_layers=4,
        ...     hidden_dim=256,
        ...     num_heads=4,
        ...     intermediate_dim=1024,
        ... )
        >>> config.max_sequence_length, config.activation
        (512, 'gelu_tanh')
        >>> kerasbert.BackboneConfig.from_preset("bert_base", vocabulary_size=32_000).num_layers
        12

    Args:
        family: string, a name in `kerasbert.families.FAMILIES`, which determines the names in
            checkpoints of other libraries.
        vocabulary_size: integer, the number of rows of the token embeddings.
        num_layers: integer, the number of layers (or, with `layers_per_group`, groups of layers)
            that a sequence passes through.
        hidden_dim: integer, the size of a token's vector.
        num_heads: integer, the number of attention heads, which divides `hidden_dim`.
        intermediate_dim: integer, the size of the feed-forward layers.
        max_sequence_length: integer, the maximum number of tokens of a sequence.
        num_segments: integer, the number of rows of the segment embeddings (BERT's
            `type_vocab_size`); 0 for none.
        num_task_types: integer, the number of rows of ERNIE's task-type embeddings; 0 for none.
        task_type: integer, the row of the task-type embeddings to use.
        positions: "learned", "learned_offset" (RoBERTa) or "sinusoidal"; see `Embeddings`.
        padding_id: integer, the id of the padding token.
        embedding_dim: integer, the size of the embeddings if they are projected to `hidden_dim`
            (ALBERT, ELECTRA), or None for no projection.
        num_groups: integer, the number of groups of layers with their own weights, over which the
            passes are distributed in order (ALBERT, §3.1); None if every layer has its own weights.
        layers_per_group: integer, the number of layers in a group.
        activation: string, a name in `kerasbert.layers.initializers.ACTIVATIONS`: "gelu_tanh"
            (BERT's own), "gelu" (exact), "relu", ...
        dropout: float, the rate after embeddings, attention and feed-forward layers.
        attention_dropout: float, the rate on attention probabilities.
        layer_norm_epsilon: float, added to the variance.
        initializer_range: float, the standard deviation of the initial weights.
        pooler: whether there is a pooler; without one, there is no `pooled_output`.
        classifier_activation: string, the activation of the layer that classifiers apply to the
            first token instead of the pooler (RoBERTa, DistilBERT, ELECTRA); None if they use the
            pooler.
        return_hidden_states: whether the outputs include every layer's output and attention
            weights.

    Raises:
        InputError: an argument is invalid; the message names it.
    """

    family: str = "bert"
    vocabulary_size: int
    num_layers: int
    hidden_dim: int
    num_heads: int
    intermediate_dim: int
    max_sequence_length: int = 512
    num_segments: int = 2
    num_task_types: int = 0
    task_type: int = 0
    positions: str = "learned"
    padding_id: int = 0
    embedding_dim: int | None = None
    num_groups: int | None = None
    layers_per_group: int = 1
    activation: str = "gelu_tanh"
    dropout: float = 0.1
    attention_dropout: float = 0.1
    layer_norm_epsilon: float = 1e-12
    initializer_range: float = 0.02
    pooler: bool = True
    classifier_activation: str | None = None
    return_hidden_states: bool = False

    def __post_init__(self) -> None:
        self._check_numbers()
        self._check_names()

    def _check_numbers(self) -> None:
        for name, least in _INTEGERS.items():
            value = getattr(self, name)
            if name in _OPTIONAL and value is None:
                continue
            if not isinstance(value, int) or isinstance(value, bool) or value < least:
                kind = "a positive integer" if least else "an integer of 0 or more"
                raise InputError(f"{name} must be {kind}, found {shown(value)}")
            if value > _MOST:
                raise InputError(f"{name} must be {_MOST} or less, found {shown(value)}")
        if self.hidden_dim % self.num_heads:
            raise InputError(f"num_heads={self.num_heads} does not divide {self.hidden_dim=}")
        if self.num_groups and self.num_groups > self.num_layers:
            raise InputError(
                f"num_groups must be num_layers={self.num_layers} or less, found {self.num_groups}"
            )
        if self.num_task_types and self.task_type >= self.num_task_types:
            raise InputError(
                f"task_type must be less than num_task_types={self.num_task_types}, found "
                f"{self.task_type}"
            )
        for name, limit in _RATES.items():
            value = getattr(self, name)
            number = isinstance(value, int | float) and not isinstance(value, bool)
            if not (number and 0 <= value < limit):
                raise InputError(f"{name} must be in [0, {limit}), found {shown(value)}")

    def _check_names(self) -> None:
        for name, known in (
            ("positions", POSITIONS),
            ("activation", ACTIVATIONS),
            ("classifier_activation", (None, *ACTIVATIONS)),
            ("family", families.FAMILIES),
            ("pooler", (True, False)),
            ("return_hidden_states", (True, False)),
        ):
            if getattr(self, name) not in tuple(known):
                listed = ", ".join(map(str, known))
                wrong = shown(getattr(self, name))
                raise InputError(f"{name} must be one of {listed}, found {wrong}")

    @property
    def num_own_layers(self) -> int:
        """The number of layers with their own weights.

        Examples:
            >>> config.num_own_layers
            4
            >>> kerasbert.BackboneConfig.from_preset("albert_base").num_own_layers
            1
        """
        return (self.num_groups or self.num_layers) * self.layers_per_group

    @property
    def layer_order(self) -> list[int]:
        """The indices of the layers whose weights are used, in order.

        Groups change at the same passes as in ALBERT (google-research/albert, `transformer_model`).

        Examples:
            >>> config.layer_order
            [0, 1, 2, 3]
            >>> kerasbert.BackboneConfig.from_preset("albert_base").layer_order
            [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
        """
        passes, groups, size = (
            self.num_layers,
            self.num_groups or self.num_layers,
            self.layers_per_group,
        )
        return [
            int(i / (passes / groups)) * size + inner
            for i in range(passes)
            for inner in range(size)
        ]

    @classmethod
    def from_preset(cls, name: str, **overrides: Any) -> Self:
        """Returns a named architecture, such as "bert_tiny", with the given arguments changed.

        Args:
            name: string, see `kerasbert.list_presets()`.
            **overrides: arguments of `BackboneConfig`.

        Raises:
            InputError: there is no such architecture; the message lists all of them.

        Examples:
            >>> config = kerasbert.BackboneConfig.from_preset("bert_tiny", vocabulary_size=8000)
            >>> config.num_layers, config.hidden_dim, config.vocabulary_size
            (2, 128, 8000)
        """
        if name not in families.PRESETS:
            raise InputError(
                f"there is no preset {name!r}; expected one of "
                f"{', '.join(sorted(families.PRESETS))}"
            )
        return cls(**{**families.PRESETS[name], **overrides})

    @classmethod
    def from_stored(cls, encoder_config: Mapping[str, Any], source: str, **overrides: Any) -> Self:
        """Returns the config of a stored model, with the given arguments changed.

        Args:
            encoder_config: dict, the stored arguments.
            source: string, the file, for messages.
            **overrides: arguments of `BackboneConfig`.

        Raises:
            InputError: an argument is missing, unknown or invalid; the message names file and key.

        Examples:
            >>> import dataclasses
            >>> stored = dataclasses.asdict(config)
            >>> kerasbert.BackboneConfig.from_stored(stored, "config.json") == config
            True
            >>> kerasbert.BackboneConfig.from_stored({"num_layers": 2}, "config.json")
            Traceback (most recent call last):
            kerasbert.errors.InputError: config.json: the backbone lacks hidden_dim, ...
        """
        encoder_config = {**encoder_config, **overrides}
        known = {field.name: field.default for field in dataclasses.fields(cls)}
        required = {name for name, default in known.items() if default is dataclasses.MISSING}
        if unknown := sorted(encoder_config.keys() - known.keys()):
            raise InputError(f"{source}: unknown backbone setting {', '.join(unknown)}")
        if missing := sorted(required - encoder_config.keys()):
            raise InputError(f"{source}: the backbone lacks {', '.join(missing)}")
        try:
            return cls(**encoder_config)
        except InputError as error:
            raise InputError(f"{source}: {error}") from None


# The minimum of every integer argument.
_INTEGERS = {
    "vocabulary_size": 1,
    "num_layers": 1,
    "hidden_dim": 1,
    "num_heads": 1,
    "intermediate_dim": 1,
    "max_sequence_length": 1,
    "num_segments": 0,
    "num_task_types": 0,
    "task_type": 0,
    "padding_id": 0,
    "embedding_dim": 1,
    "num_groups": 1,
    "layers_per_group": 1,
}
_OPTIONAL = ("embedding_dim", "num_groups")
_MOST = 2**31 - 1  # ids and shapes have 32 bits
# The exclusive limit of every other number.
_RATES = {
    "dropout": 1,
    "attention_dropout": 1,
    "layer_norm_epsilon": 1,
    "initializer_range": math.inf,
}


def check_sequence_length(length: int, config: BackboneConfig) -> None:
    """Raises `InputError` for a maximum number of tokens per row that an encoder can't have."""
    limit = config.max_sequence_length
    if not 4 <= length <= limit:
        raise InputError(f"sequence_length must be in [4, {limit}], found {length}")


def check_tokenizer(tokenizer: Any, config: BackboneConfig) -> None:
    """Raises `InputError` for what is no tokenizer, or for one that does not match an encoder."""
    if not hasattr(tokenizer, "vocabulary_size"):
        raise InputError(
            f"tokenizer must be a kerasbert.text.Tokenizer, found {shown(tokenizer)}; "
            "kerasbert.text.tokenizer_from_preset loads one"
        )
    size = tokenizer.vocabulary_size
    # Smaller is fine: some tables are padded to a round number of rows.
    if size > config.vocabulary_size:
        raise InputError(
            f"the tokenizer has {size} tokens, the backbone {config.vocabulary_size} token "
            f"embeddings; from_preset(..., backbone={{'vocabulary_size': {size}}}) resizes them"
        )
    if config.positions == "learned_offset" and tokenizer.pad_id != config.padding_id:
        raise InputError(
            f"the tokenizer's padding has the id {tokenizer.pad_id}, but the backbone's positions "
            f"need {config.padding_id}"
        )
