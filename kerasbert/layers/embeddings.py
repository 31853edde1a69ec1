"""Token + position + segment embeddings."""

import keras
from keras import ops

from kerasbert.layers.initializers import kernel_initializer

POSITIONS = ("learned", "sinusoidal")


@keras.saving.register_keras_serializable("kerasbert")
class Embeddings(keras.layers.Layer):
    """Sums token, position and segment embeddings, normalizes, drops out (BERT, §3, figure 2).

    Call: `(token_ids, segment_ids)`, int32, both (batch, sequence) -> (batch, sequence, hidden).

    Args:
        vocabulary_size: rows of the token table.
        hidden_dim: width of the output.
        max_sequence_length: the longest sequence; rows of a learned position table.
        num_segments: rows of the segment table (BERT's `type_vocab_size`).
        positions: "learned" (BERT) or "sinusoidal" (Vaswani et al. 2017, §3.5; no weights).
        dropout: rate after the normalization.
        layer_norm_epsilon: added to the variance.
        initializer_range: standard deviation of the initial tables.
    """

    def __init__(
        self,
        vocabulary_size: int,
        hidden_dim: int,
        max_sequence_length: int = 512,
        num_segments: int = 2,
        positions: str = "learned",
        dropout: float = 0.1,
        layer_norm_epsilon: float = 1e-12,
        initializer_range: float = 0.02,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if positions not in POSITIONS:
            raise ValueError(f"positions must be one of {POSITIONS}, found {positions!r}")
        self.vocabulary_size = vocabulary_size
        self.hidden_dim = hidden_dim
        self.max_sequence_length = max_sequence_length
        self.num_segments = num_segments
        self.positions = positions
        self.layer_norm_epsilon = layer_norm_epsilon
        self.initializer_range = initializer_range

        # === Layers ===
        def table(rows, name):
            initializer = kernel_initializer(initializer_range)
            return keras.layers.Embedding(
                rows,
                hidden_dim,
                embeddings_initializer=initializer,
                dtype=self.dtype_policy,
                name=name,
            )

        self.token_embedding = table(vocabulary_size, "token_embedding")
        self.segment_embedding = table(num_segments, "segment_embedding")
        if positions == "learned":
            self.position_embedding = table(max_sequence_length, "position_embedding")
        else:
            from keras_hub.layers import SinePositionEncoding

            self.position_embedding = SinePositionEncoding(dtype=self.dtype_policy)
        self.layer_norm = keras.layers.LayerNormalization(
            epsilon=layer_norm_epsilon, dtype=self.dtype_policy, name="layer_norm"
        )
        self.dropout = keras.layers.Dropout(dropout, dtype=self.dtype_policy, name="dropout")

    def build(self, token_ids_shape, segment_ids_shape=None):
        self.token_embedding.build(token_ids_shape)
        self.segment_embedding.build(token_ids_shape)
        if self.positions == "learned":
            self.position_embedding.build((token_ids_shape[-1],))
        self.layer_norm.build((*token_ids_shape, self.hidden_dim))
        self.built = True

    def call(self, token_ids, segment_ids, training=None):
        length = ops.shape(token_ids)[1]
        if isinstance(length, int) and length > self.max_sequence_length:
            raise ValueError(
                f"sequences have {length} tokens, but max_sequence_length is "
                f"{self.max_sequence_length}"
            )
        x = self.token_embedding(token_ids)
        if self.positions == "learned":
            position = self.position_embedding(ops.arange(length, dtype="int32"))
        else:
            position = self.position_embedding(x)
        x = x + position + self._segments(segment_ids)
        return self.dropout(self.layer_norm(x), training=training)

    def _segments(self, segment_ids):
        # A product with a one-hot matrix, since the gradient of a gather from two rows by
        # thousands of tokens is slow everywhere (google-research/bert, `embedding_postprocessor`).
        one_hot = ops.one_hot(segment_ids, self.num_segments, dtype=self.compute_dtype)
        return ops.matmul(one_hot, ops.cast(self.segment_embedding.embeddings, self.compute_dtype))

    def compute_output_shape(self, token_ids_shape, segment_ids_shape=None):
        return (*token_ids_shape, self.hidden_dim)

    def get_config(self):
        return {
            **super().get_config(),
            "vocabulary_size": self.vocabulary_size,
            "hidden_dim": self.hidden_dim,
            "max_sequence_length": self.max_sequence_length,
            "num_segments": self.num_segments,
            "positions": self.positions,
            "dropout": self.dropout.rate,
            "layer_norm_epsilon": self.layer_norm_epsilon,
            "initializer_range": self.initializer_range,
        }
