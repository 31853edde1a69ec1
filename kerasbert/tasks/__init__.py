"""Backbone + head + text, one file per task, written once for all families."""

from kerasbert.tasks.masked_lm import Guess, MaskedLM
from kerasbert.tasks.multiple_choice import MultipleChoice
from kerasbert.tasks.pretrainer import Pretrainer
from kerasbert.tasks.question_answerer import Answer, QuestionAnswerer
from kerasbert.tasks.replaced_token_detector import ReplacedTokenDetector
from kerasbert.tasks.task import Task
from kerasbert.tasks.text_classifier import TextClassifier
from kerasbert.tasks.text_embedder import TextEmbedder
from kerasbert.tasks.token_classifier import TokenClassifier
from kerasbert.tasks.token_classifier.entities import Entity, TaggedWord

__all__ = [
    "Answer",
    "Entity",
    "Guess",
    "MaskedLM",
    "MultipleChoice",
    "Pretrainer",
    "QuestionAnswerer",
    "ReplacedTokenDetector",
    "TaggedWord",
    "Task",
    "TextClassifier",
    "TextEmbedder",
    "TokenClassifier",
]
