"""The facts that tell one encoder from another."""

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
    """Everything that makes one encoder differ from another.

    Attributes:
        family: a name in `kerasbert.families.FAMILIES`; says what other people's checkpoints call
            things.
        vocabulary_size: rows of the token table.
        num_layers: how many times a sequence passes through a layer (or, with `layers_per_group`, a
            group of layers).
        hidden_dim: width of a token's vector.
        num_heads: attention heads; divides `hidden_dim`.
        intermediate_dim: width inside the feed-forward layers.
        max_sequence_length: the longest sequence.
        num_segments: rows of the segment table (BERT's `type_vocab_size`); 0: no table.
        num_task_types: rows of ERNIE's task-type table; 0: no table.
        task_type: the row of that table in use.
        positions: "learned", "learned_offset" (RoBERTa's) or "sinusoidal"; see `Embeddings`.
        padding_id: the id of the padding token.
        embedding_dim: width of the embeddings where they are projected to `hidden_dim` (ALBERT,
            ELECTRA); None: no projection.
        num_groups: groups of layers with weights of their own; the passes are spread over them in
            order (ALBERT, §3.1); None: every layer has its own.
        layers_per_group: layers that one pass goes through.
        activation: a name in `kerasbert.layers.initializers.ACTIVATIONS`: "gelu_tanh" (BERT's own),
            "gelu" (exact), "relu", ...
        dropout: rate after embeddings, attention and feed-forward.
        attention_dropout: rate on attention probabilities.
        layer_norm_epsilon: added to the variance.
        initializer_range: standard deviation of the initial weights.
        pooler: whether there is one; without, there is no `pooled_output`.
        classifier_activation: of the layer that a classifier has on the first token where it does
            not use the pooler (RoBERTa, DistilBERT, ELECTRA); None: it uses the pooler.
        return_hidden_states: give every layer's output and attention weights too.
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

    def __post_init__(self):
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
        if self.num_task_types and self.task_type >= self.num_task_types:
            raise InputError(
                f"there is no row {self.task_type} in {self.num_task_types} task types"
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
    def layer_order(self) -> list[int]:
        """Which layer's weights are used, one after the other.

        Groups change where ALBERT changes them (google-research/albert, `transformer_model`).
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
    def from_stored(cls, encoder_config: Mapping[str, Any], source: str, **overrides) -> Self:
        """Returns the config of a stored model, with some facts changed.

        Args:
            encoder_config: the stored arguments.
            source: where, for messages.
            **overrides: facts to change.

        Raises:
            InputError: a setting is missing, unknown or impossible; the message names file and key.
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


# The least value of every integer among the facts.
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
_MOST = 2**31 - 1  # ids and shapes are of 32 bits
# What every other number must be below.
_RATES = {
    "dropout": 1,
    "attention_dropout": 1,
    "layer_norm_epsilon": 1,
    "initializer_range": math.inf,
}
