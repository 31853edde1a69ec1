"""Masked language modeling: predicting the tokens that are masked in a text."""

from kerasbert.tasks.masked_lm.model import Guess, MaskedLM

__all__ = ["Guess", "MaskedLM"]
