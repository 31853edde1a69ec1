"""Replaced-token detection: which tokens did a generator put in? How ELECTRA learns."""

from kerasbert.tasks.replaced_token_detector.model import ReplacedTokenDetector, TokenCrossentropy

__all__ = ["ReplacedTokenDetector", "TokenCrossentropy"]
