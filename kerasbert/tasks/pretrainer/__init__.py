"""Masked language model + next sentence prediction: how BERT learns from plain text."""

from kerasbert.tasks.pretrainer.model import Pretrainer

__all__ = ["Pretrainer"]
