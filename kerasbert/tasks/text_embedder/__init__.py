"""A text -> a vector; what belongs together is near."""

from kerasbert.tasks.text_embedder.model import TextEmbedder

__all__ = ["TextEmbedder"]
