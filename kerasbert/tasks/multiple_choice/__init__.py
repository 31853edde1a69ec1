"""Multiple choice: which of several choices goes with a text."""

from kerasbert.tasks.multiple_choice.model import MultipleChoice

__all__ = ["MultipleChoice"]
