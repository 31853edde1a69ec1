"""The options of the programs, each a dataclass named after its program.

They are the registry of programs: a class with a `program` here, and a module of its name in
`kerasbert.recipes`, are a command of `kerasbert`. Nothing heavy is imported here, so that help and
errors appear at once.
"""

import re

from kerasbert.recipes.options.corpus import (
    BuildVocabOptions,
    CorpusInfoOptions,
    JoinCorpusOptions,
    PrepareCorpusBeamOptions,
    PrepareCorpusOptions,
)
from kerasbert.recipes.options.fine_tuning import DistillOptions, EpochOptions, FinetuneOptions
from kerasbert.recipes.options.installation import DoctorOptions, PresetsOptions
from kerasbert.recipes.options.models import (
    EXPORT_PRECISIONS,
    FORMATS,
    ConvertOptions,
    EvaluateOptions,
    ExportOptions,
    ModelOptions,
    PredictOptions,
    ServingKitOptions,
    UploadOptions,
)
from kerasbert.recipes.options.pretraining import PretrainOptions
from kerasbert.recipes.options.quickstart import QuickstartOptions
from kerasbert.recipes.options.selection import FindDuplicatesOptions
from kerasbert.recipes.options.serving import LoadTestOptions, QueryOptions, ServeOptions
from kerasbert.recipes.options.shared import STAGES, check_preset
from kerasbert.recipes.options.training import (
    OPTIMIZERS,
    POLICIES,
    SCHEDULES,
    STRATEGIES,
    TrainingOptions,
)

__all__ = [
    "EXPORT_PRECISIONS",
    "FORMATS",
    "OPTIMIZERS",
    "POLICIES",
    "SCHEDULES",
    "STAGES",
    "STRATEGIES",
    "BuildVocabOptions",
    "ConvertOptions",
    "CorpusInfoOptions",
    "DistillOptions",
    "DoctorOptions",
    "EpochOptions",
    "EvaluateOptions",
    "ExportOptions",
    "FindDuplicatesOptions",
    "FinetuneOptions",
    "JoinCorpusOptions",
    "LoadTestOptions",
    "ModelOptions",
    "PredictOptions",
    "PrepareCorpusBeamOptions",
    "PrepareCorpusOptions",
    "PresetsOptions",
    "PretrainOptions",
    "QueryOptions",
    "QuickstartOptions",
    "ServeOptions",
    "ServingKitOptions",
    "TrainingOptions",
    "UploadOptions",
    "check_preset",
    "programs",
]


def programs() -> dict[str, type]:
    """Returns the options class of every program, by the program's name; in the order of stages."""
    found = {
        re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name.removesuffix("Options")).lower(): kind
        for name, kind in globals().items()
        if name.endswith("Options") and "program" in vars(kind)
    }
    order = {name: (STAGES.index(kind.program.stage), name) for name, kind in found.items()}
    return {name: found[name] for name in sorted(found, key=order.__getitem__)}
