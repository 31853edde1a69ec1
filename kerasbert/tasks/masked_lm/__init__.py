"""Masked language model: guesses the tokens that are hidden from it."""

from kerasbert.tasks.masked_lm.model import Guess, MaskedLM

__all__ = ["Guess", "MaskedLM"]
