"""A text, or a pair of texts -> one of several classes, any number of them, or a number."""

from kerasbert.tasks.text_classifier.model import TextClassifier

__all__ = ["TextClassifier"]
