"""A task from outside the package: a folder with a model, a preprocessor and a spec."""

from toy_task.model import DuplicateDetector

__all__ = ["DuplicateDetector"]
