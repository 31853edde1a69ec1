"""Multiple choice: which of several choices goes with a text."""

from kerasbert.tasks.multiple_choice.model import Choice, MultipleChoice

__all__ = ["Choice", "MultipleChoice"]
