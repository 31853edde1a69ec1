"""A question and a context -> the span of the context that answers it."""

from kerasbert.tasks.question_answerer.model import Answer, QuestionAnswerer

__all__ = ["Answer", "QuestionAnswerer"]
