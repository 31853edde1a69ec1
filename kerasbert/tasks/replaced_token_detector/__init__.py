"""Replaced token detection, the objective of ELECTRA's discriminator."""

from kerasbert.tasks.replaced_token_detector.model import ReplacedTokenDetector, TokenCrossentropy

__all__ = ["ReplacedTokenDetector", "TokenCrossentropy"]
