"""Keras layers of BERT models; they depend on no model and no checkpoint."""

from kerasbert.layers.attention import SelfAttention
from kerasbert.layers.choices import ChoiceScores
from kerasbert.layers.chunks import FoldChunks, PoolChunks
from kerasbert.layers.dropout import Dropout
from kerasbert.layers.embeddings import Embeddings
from kerasbert.layers.heads import MLMHead, Pooler
from kerasbert.layers.pooling import PoolTokens
from kerasbert.layers.transformer import TransformerBlock

__all__ = [
    "ChoiceScores",
    "Dropout",
    "Embeddings",
    "FoldChunks",
    "MLMHead",
    "PoolChunks",
    "PoolTokens",
    "Pooler",
    "SelfAttention",
    "TransformerBlock",
]
