# Written by tests/stubs.py.

from kerasbert.tasks.masked_lm.guesses import Guess as Guess
from kerasbert.tasks.masked_lm.model import MaskedLM as MaskedLM
from kerasbert.tasks.multiple_choice.model import Choice as Choice
from kerasbert.tasks.multiple_choice.model import MultipleChoice as MultipleChoice
from kerasbert.tasks.pretrainer.model import Pretrainer as Pretrainer
from kerasbert.tasks.question_answerer.model import Answer as Answer
from kerasbert.tasks.question_answerer.model import QuestionAnswerer as QuestionAnswerer
from kerasbert.tasks.registry import register as register
from kerasbert.tasks.replaced_token_detector.model import ReplacedTokenDetector as ReplacedTokenDetector
from kerasbert.tasks.results import Results as Results
from kerasbert.tasks.task import Task as Task
from kerasbert.tasks.text_classifier.model import TextClassifier as TextClassifier
from kerasbert.tasks.text_embedder.model import TextEmbedder as TextEmbedder
from kerasbert.tasks.token_classifier.entities import Entity as Entity
from kerasbert.tasks.token_classifier.entities import TaggedWord as TaggedWord
from kerasbert.tasks.token_classifier.model import TokenClassifier as TokenClassifier

__all__ = [
    "Answer",
    "Choice",
    "Entity",
    "Guess",
    "MaskedLM",
    "MultipleChoice",
    "Pretrainer",
    "QuestionAnswerer",
    "ReplacedTokenDetector",
    "Results",
    "TaggedWord",
    "Task",
    "TextClassifier",
    "TextEmbedder",
    "TokenClassifier",
    "register",
]
