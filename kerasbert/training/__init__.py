"""Optimizers, learning-rate schedules, the training loop, and the files of a training run."""

from kerasbert import lazy

__getattr__, __dir__, __all__ = lazy.attributes(
    __name__,
    {
        "AdamW": "optimizers",
        "Checkpoints": "checkpoints",
        "Distiller": ".distillation",
        "ExactModel": "exact_model",
        "LAMB": "optimizers",
        "Warmup": "schedules",
        "WarmupStableDecay": "schedules",
        "adamw": "optimizers",
        "averaged_weights": "optimizers",
        "distill": ".distillation",
        "lamb": "optimizers",
        "make_strategy": "strategies",
        "student_from": ".distillation",
        "train": "loop",
    },
    formerly={"distil": "distill"},
)
