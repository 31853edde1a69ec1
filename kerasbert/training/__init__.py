"""Optimizers, schedules, distillation, and what a training run writes down."""


def __getattr__(name: str):
    if name not in ("Distiller", "distil", "student_from"):
        raise AttributeError(f"module 'kerasbert.training' has no attribute {name!r}")
    from kerasbert.training import distillation

    return getattr(distillation, name)
