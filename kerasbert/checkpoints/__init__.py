"""Models on disk <-> config, named weights and vocabulary. Knows formats, not models."""

from kerasbert.checkpoints.native import Preset, load, load_config, save

__all__ = ["Preset", "load", "load_config", "save"]
