"""Replaced token detection, the objective of ELECTRA's discriminator."""

from kerasbert.tasks.replaced_token_detector.model import ReplacedTokenDetector, TokenCrossentropy
from kerasbert.tasks.replaced_token_detector.pretrainer import ReplacedTokenPretrainer

__all__ = ["ReplacedTokenDetector", "ReplacedTokenPretrainer", "TokenCrossentropy"]
