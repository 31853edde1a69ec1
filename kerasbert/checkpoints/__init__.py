"""Models on disk <-> config, named weights and vocabulary. Knows formats, not models."""

from kerasbert.checkpoints.native import Preset, load, save

__all__ = ["Preset", "load", "save"]
