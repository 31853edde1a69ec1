"""Text embeddings: vectors that are close to each other for related texts."""

from kerasbert.tasks.text_embedder.model import TextEmbedder

__all__ = ["TextEmbedder"]
