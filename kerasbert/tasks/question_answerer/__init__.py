"""Question answering: the span of a context that answers a question."""

from kerasbert.tasks.question_answerer.model import Answer, QuestionAnswerer

__all__ = ["Answer", "QuestionAnswerer"]
