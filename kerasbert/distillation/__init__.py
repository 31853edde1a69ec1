"""A small model learns what a big one answers, and how it comes to it."""

from collections.abc import Mapping

import keras

from kerasbert import renamed
from kerasbert.distillation.distiller import Distiller
from kerasbert.distillation.losses import ATTENTION, HIDDEN
from kerasbert.distillation.states import with_states
from kerasbert.distillation.students import student_from

__all__ = ["ATTENTION", "HIDDEN", "Distiller", "distill", "student_from", "with_states"]


def distill(
    teacher,
    student,
    x,
    y=None,
    *,
    temperature: float = 2.0,
    alpha: float | None = None,
    hidden: str | None = None,
    attention: str | None = None,
    layer_map: Mapping[int, int] | None = None,
    hidden_weight: float = 1.0,
    attention_weight: float = 1.0,
    optimizer=None,
    accumulation_steps: int = 1,
    **fit,
) -> keras.callbacks.History:
    """Trains a task to answer as another one does; see `Distiller`.

    The teacher stays as it is. The student is compiled afterwards, with what its `compile` has for
    defaults.

    Args:
        teacher: a trained task.
        student: a task of the same class, whose outputs mean the same; of any family and size.
        x: what the student's `fit` takes.
        y: labels, or None.
        temperature: see `Distiller`.
        alpha: see `Distiller`; None: 0.5 if `x` comes with labels, otherwise 1.
        hidden: see `Distiller`.
        attention: see `Distiller`.
        layer_map: see `Distiller`.
        hidden_weight: see `Distiller`.
        attention_weight: see `Distiller`.
        optimizer: Keras's; None: the student's default.
        accumulation_steps: see `ExactModel.compile`.
        **fit: other arguments of `fit`, such as `epochs`, `batch_size`, `validation_data`.

    Returns:
        What `fit` returns: the losses and metrics of every epoch.

    Raises:
        InputError: the two don't go together; the message says why.
    """
    if alpha is None:
        alpha = 0.5 if _has_labels(x, y) else 1.0
    with student.distribute_strategy.scope():
        distiller = Distiller(
            teacher,
            student,
            temperature=temperature,
            alpha=alpha,
            hidden=hidden,
            attention=attention,
            layer_map=layer_map,
            hidden_weight=hidden_weight,
            attention_weight=attention_weight,
        )
        distiller.compile(optimizer, accumulation_steps=accumulation_steps)
    try:
        return distiller.fit(x, y, **fit)
    finally:
        with student.distribute_strategy.scope():
            student.compile()


def _has_labels(x, y) -> bool:
    spec = getattr(x, "element_spec", None)
    return y is not None or (isinstance(spec, tuple) and len(spec) > 1)


def __getattr__(name: str):
    if name == "distil":
        renamed.warn("kerasbert.distillation.distil", "kerasbert.distillation.distill")
        return distill
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
