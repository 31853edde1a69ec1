"""Token classification: a class for each word of a sentence."""

from kerasbert.tasks.token_classifier.model import TokenClassifier

__all__ = ["TokenClassifier"]
