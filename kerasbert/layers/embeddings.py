"""Token + position + segment embeddings."""

from typing import Any

import keras
from keras import ops

from kerasbert.layers.dropout import Dropout
from kerasbert.layers.initializers import kernel_initializer
from kerasbert.layers.normalization import LayerNorm
from kerasbert.layers.state import table_of

_SHARED = (
    "token_embedding",
    "segment_embedding",
    "task_type_embedding",
    "position_embedding",
    "layer_norm",
)
POSITIONS = ("learned", "learned_offset", "sinusoidal")


@keras.saving.register_keras_serializable("kerasbert")
class Embeddings(keras.layers.Layer):
    """Sums token, position and segment embeddings, then LayerNorm and dropout (BERT, figure 2).

    Call: `(token_ids, segment_ids, padding_mask)`, int32 (batch, sequence) each -> float (batch,
    sequence, hidden). Segment ids are 0 if absent, or if the table has one row. The padding mask
    only matters for "learned_offset" positions, and is 1 if absent. `position_ids`, int32 (batch,
    sequence), are the positions in tables of learned positions, by default 0, 1, 2, ... In
    `training`, vectors are dropped.

    Examples:
        >>> import numpy as np
        >>> import kerasbert
        >>> layer = kerasbert.layers.Embeddings(vocabulary_size=100, hidden_dim=32)
        >>> layer(np.array([[2, 7, 9, 3]])).shape
        TensorShape([1, 4, 32])

    Args:
        vocabulary_size: rows of the token table.
        hidden_dim: width of the output.
        max_sequence_length: maximum number of tokens.
        num_segments: rows of the segment table (BERT's `type_vocab_size`); 0: no table.
        num_task_types: rows of the task-type table (ERNIE 2.0, §3.2); 0: no table.
        task_type: row of the task-type table that is added to every token.
        positions: "learned" (BERT); "learned_offset", where the first token has row
            `padding_id + 1` and padding has row `padding_id` (RoBERTa; fairseq's
            `LearnedPositionalEmbedding`); or "sinusoidal" (Vaswani et al. 2017, §3.5; no weights).
        padding_id: see `positions`.
        embedding_dim: width of the tables, followed by a projection to `hidden_dim` (ALBERT, §3.1);
            None: `hidden_dim`, without a projection.
        dropout: dropout rate after LayerNorm.
        layer_norm_epsilon: epsilon of LayerNorm.
        initializer_range: standard deviation of the initial tables.
        **kwargs: as in `keras.layers.Layer`, such as `name` and `dtype`.

    Raises:
        ValueError: `positions` is unknown, or a sequence is too long.
    """

    def __init__(
        self,
        vocabulary_size: int,
        hidden_dim: int,
        max_sequence_length: int = 512,
        num_segments: int = 2,
        num_task_types: int = 0,
        task_type: int = 0,
        positions: str = "learned",
        padding_id: int = 0,
        embedding_dim: int | None = None,
        dropout: float = 0.1,
        layer_norm_epsilon: float = 1e-12,
        initializer_range: float = 0.02,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        if positions not in POSITIONS:
            raise ValueError(f"positions must be one of {POSITIONS}, found {positions!r}")
        self.vocabulary_size = vocabulary_size
        self.hidden_dim = hidden_dim
        self.max_sequence_length = max_sequence_length
        self.num_segments = num_segments
        self.num_task_types = num_task_types
        self.task_type = task_type
        self.positions = positions
        self.padding_id = padding_id
        self.embedding_dim = embedding_dim
        self.layer_norm_epsilon = layer_norm_epsilon
        self.initializer_range = initializer_range
        self.width = embedding_dim or hidden_dim

        # === Layers ===
        initializer = kernel_initializer(initializer_range)
        policy = self.dtype_policy

        def table(rows, name):
            return keras.layers.Embedding(
                rows, self.width, embeddings_initializer=initializer, dtype=policy, name=name
            )

        self.token_embedding = table(vocabulary_size, "token_embedding")
        self.segment_embedding = table(num_segments, "segment_embedding") if num_segments else None
        self.task_type_embedding = (
            table(num_task_types, "task_type_embedding") if num_task_types else None
        )
        if positions == "sinusoidal":
            from keras_hub.layers import SinePositionEncoding

            # In half precision, positions beyond a few hundred would be equal.
            self.position_embedding = SinePositionEncoding(dtype="float32")
        else:
            self.position_embedding = table(
                max_sequence_length + self._first_position, "position_embedding"
            )
        self.layer_norm = LayerNorm(epsilon=layer_norm_epsilon, dtype=policy, name="layer_norm")
        self.dropout = Dropout(dropout, dtype=policy, name="dropout")
        self.projection = None
        if embedding_dim:
            self.projection = keras.layers.Dense(
                hidden_dim, kernel_initializer=initializer, dtype=policy, name="projection"
            )

    @property
    def _first_position(self) -> int:
        return self.padding_id + 1 if self.positions == "learned_offset" else 0

    def share(self, other: "Embeddings") -> None:
        """Replaces tables and LayerNorm by those of built embeddings of the same width.

        Args:
            other: the built `Embeddings`.
        """
        for name in _SHARED:
            delattr(self, name)
            setattr(self, name, getattr(other, name))

    def build(
        self,
        token_ids_shape: tuple[Any, ...],
        segment_ids_shape: tuple[Any, ...] | None = None,
        padding_mask_shape: tuple[Any, ...] | None = None,
    ) -> None:
        """Creates the weights, as Keras asks for."""
        for table in (self.token_embedding, self.segment_embedding, self.task_type_embedding):
            if table and not table.built:  # it may be shared
                table.build(token_ids_shape)
        if self.positions != "sinusoidal" and not self.position_embedding.built:
            self.position_embedding.build((token_ids_shape[-1],))
        if not self.layer_norm.built:
            self.layer_norm.build((*token_ids_shape, self.width))
        if self.projection:
            self.projection.build((None, self.width))
        self.built = True

    def call(
        self,
        token_ids: Any,
        segment_ids: Any = None,
        padding_mask: Any = None,
        training: bool | None = None,
        position_ids: Any = None,
    ) -> Any:
        """Computes the layer; see the class for arguments and outputs."""
        length = ops.shape(token_ids)[1]
        if isinstance(length, int) and length > self.max_sequence_length:
            raise ValueError(
                f"sequences have {length} tokens, but max_sequence_length is "
                f"{self.max_sequence_length}"
            )
        x = self.token_embedding(token_ids)
        x = x + self._positions(x, length, padding_mask, position_ids)
        if self.segment_embedding:
            x = x + self._segments(segment_ids)
        if self.task_type_embedding:
            x = x + self.task_type_embedding(ops.full((1, 1), self.task_type, dtype="int32"))
        x = self.dropout(self.layer_norm(x), training=training)
        return self.projection(x) if self.projection else x

    def _positions(self, x, length, padding_mask, position_ids):
        if self.positions == "sinusoidal":
            rows = ops.cast(self.position_embedding(x), self.compute_dtype)
            if position_ids is None:
                return rows
            return ops.take_along_axis(rows, position_ids[..., None], axis=1)
        # A slice that exceeds the table is an error on every device; a gather on GPUs would
        # return zeros.
        rows = length + self._first_position
        table = table_of(self.position_embedding, self.compute_dtype)
        table = ops.slice(table, (0, 0), (rows, self.width))
        if position_ids is not None:
            return ops.take(table, position_ids + self._first_position, axis=0)
        if self.positions == "learned" or padding_mask is None:
            return table[self._first_position :]
        unpadded = ops.cast(padding_mask, "int32")
        return ops.take(table, ops.cumsum(unpadded, axis=1) * unpadded + self.padding_id, axis=0)

    def _segments(self, segment_ids):
        table = table_of(self.segment_embedding, self.compute_dtype)
        if segment_ids is None or self.num_segments == 1:
            return table[:1]  # both texts of a pair are in the only segment
        # A product with a one-hot matrix, because the gradient of a gather of thousands of tokens
        # from two rows is slow everywhere (google-research/bert, `embedding_postprocessor`).
        one_hot = ops.one_hot(segment_ids, self.num_segments, dtype=self.compute_dtype)
        return ops.matmul(one_hot, table)

    def compute_output_shape(
        self,
        token_ids_shape: tuple[Any, ...],
        segment_ids_shape: tuple[Any, ...] | None = None,
        padding_mask_shape: tuple[Any, ...] | None = None,
    ) -> tuple[Any, ...]:
        """Returns the shape of the output, as Keras asks for."""
        return (*token_ids_shape, self.hidden_dim)

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments of the constructor, in JSON types."""
        return {
            **super().get_config(),
            "vocabulary_size": self.vocabulary_size,
            "hidden_dim": self.hidden_dim,
            "max_sequence_length": self.max_sequence_length,
            "num_segments": self.num_segments,
            "num_task_types": self.num_task_types,
            "task_type": self.task_type,
            "positions": self.positions,
            "padding_id": self.padding_id,
            "embedding_dim": self.embedding_dim,
            "dropout": self.dropout.rate,
            "layer_norm_epsilon": self.layer_norm_epsilon,
            "initializer_range": self.initializer_range,
        }
