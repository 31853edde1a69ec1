"""Text classification: one class, several labels, or numbers for a text or a pair of texts."""

from kerasbert.tasks.text_classifier.model import TextClassifier

__all__ = ["TextClassifier"]
