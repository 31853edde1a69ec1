"""A sentence -> a class for each of its words."""

from kerasbert.tasks.token_classifier.model import TokenClassifier

__all__ = ["TokenClassifier"]
