"""Pretraining as in BERT: masked language modeling and next sentence prediction."""

from kerasbert.tasks.pretrainer.model import Pretrainer

__all__ = ["Pretrainer"]
