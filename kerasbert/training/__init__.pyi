# Written by tests/stubs.py.

from kerasbert.distillation import distill as distill
from kerasbert.distillation.distiller import Distiller as Distiller
from kerasbert.distillation.students import student_from as student_from
from kerasbert.training.checkpoints import Checkpoints as Checkpoints
from kerasbert.training.exact_model import ExactModel as ExactModel
from kerasbert.training.loop import train as train
from kerasbert.training.optimizers import AdamW as AdamW
from kerasbert.training.optimizers import LAMB as LAMB
from kerasbert.training.optimizers import adamw as adamw
from kerasbert.training.optimizers import averaged_weights as averaged_weights
from kerasbert.training.optimizers import lamb as lamb
from kerasbert.training.schedules import Warmup as Warmup
from kerasbert.training.schedules import WarmupStableDecay as WarmupStableDecay
from kerasbert.training.strategies import make_strategy as make_strategy

__all__ = [
    "AdamW",
    "Checkpoints",
    "Distiller",
    "ExactModel",
    "LAMB",
    "Warmup",
    "WarmupStableDecay",
    "adamw",
    "averaged_weights",
    "distill",
    "lamb",
    "make_strategy",
    "student_from",
    "train",
]
