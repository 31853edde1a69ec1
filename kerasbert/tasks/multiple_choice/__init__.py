"""A text and things that may go with it -> which of them does."""

from kerasbert.tasks.multiple_choice.model import MultipleChoice

__all__ = ["MultipleChoice"]
