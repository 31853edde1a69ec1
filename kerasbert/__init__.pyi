# Written by tests/stubs.py.

from kerasbert import checkpoints as checkpoints
from kerasbert import data as data
from kerasbert import distillation as distillation
from kerasbert import families as families
from kerasbert import layers as layers
from kerasbert import loading as loading
from kerasbert import metrics as metrics
from kerasbert import serving as serving
from kerasbert import tasks as tasks
from kerasbert import text as text
from kerasbert import training as training
from kerasbert.backbone import Backbone as Backbone
from kerasbert.config import BackboneConfig as BackboneConfig
from kerasbert.errors import InputError as InputError
from kerasbert.loading import list_presets as list_presets
from kerasbert.loading import load as load
from kerasbert.loading import tokenizer_from_preset as tokenizer_from_preset
from kerasbert.tasks.masked_lm.model import MaskedLM as MaskedLM
from kerasbert.tasks.multiple_choice.model import MultipleChoice as MultipleChoice
from kerasbert.tasks.pretrainer.model import Pretrainer as Pretrainer
from kerasbert.tasks.question_answerer.model import QuestionAnswerer as QuestionAnswerer
from kerasbert.tasks.replaced_token_detector.model import ReplacedTokenDetector as ReplacedTokenDetector
from kerasbert.tasks.text_classifier.model import TextClassifier as TextClassifier
from kerasbert.tasks.text_embedder.model import TextEmbedder as TextEmbedder
from kerasbert.tasks.token_classifier.model import TokenClassifier as TokenClassifier

__version__: str

__all__ = [
    "Backbone",
    "BackboneConfig",
    "InputError",
    "MaskedLM",
    "MultipleChoice",
    "Pretrainer",
    "QuestionAnswerer",
    "ReplacedTokenDetector",
    "TextClassifier",
    "TextEmbedder",
    "TokenClassifier",
    "list_presets",
    "load",
    "tokenizer_from_preset",
]
