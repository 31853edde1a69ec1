"""A task as somebody else writes one: a folder with a model, a preprocessor and a spec."""

from toy_task.model import DuplicateDetector

__all__ = ["DuplicateDetector"]
