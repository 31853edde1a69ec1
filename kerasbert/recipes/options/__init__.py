"""The options of the programs, each a dataclass named after its program.

Nothing heavy is imported here, so that help and errors appear at once.
"""

from kerasbert.recipes.options.corpus import BuildVocabOptions, PrepareCorpusOptions
from kerasbert.recipes.options.fine_tuning import DistillOptions, EpochOptions, FinetuneOptions
from kerasbert.recipes.options.models import (
    EXPORT_PRECISIONS,
    FORMATS,
    ConvertOptions,
    EvaluateOptions,
    ExportOptions,
    ModelOptions,
    PredictOptions,
    QueryOptions,
)
from kerasbert.recipes.options.pretraining import PretrainOptions
from kerasbert.recipes.options.quickstart import QuickstartOptions
from kerasbert.recipes.options.shared import check_preset
from kerasbert.recipes.options.training import (
    DECAYS,
    OPTIMIZERS,
    POLICIES,
    STRATEGIES,
    TrainingOptions,
)

__all__ = [
    "DECAYS",
    "EXPORT_PRECISIONS",
    "FORMATS",
    "OPTIMIZERS",
    "POLICIES",
    "STRATEGIES",
    "BuildVocabOptions",
    "ConvertOptions",
    "DistillOptions",
    "EpochOptions",
    "EvaluateOptions",
    "ExportOptions",
    "FinetuneOptions",
    "ModelOptions",
    "PredictOptions",
    "PrepareCorpusOptions",
    "PretrainOptions",
    "QueryOptions",
    "QuickstartOptions",
    "TrainingOptions",
    "check_preset",
]
