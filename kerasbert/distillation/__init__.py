"""Knowledge distillation: training a small model to imitate a large one."""

from collections.abc import Mapping
from typing import Any

import keras

from kerasbert import renamed
from kerasbert.data.inputs import is_stream
from kerasbert.distillation.distiller import Distiller
from kerasbert.distillation.losses import ATTENTION, HIDDEN
from kerasbert.distillation.states import with_states
from kerasbert.distillation.students import student_from
from kerasbert.tasks.streams import peek

__all__ = ["ATTENTION", "HIDDEN", "Distiller", "distill", "student_from", "with_states"]


def distill(
    teacher: Any,
    student: Any,
    x: Any,
    y: Any = None,
    *,
    temperature: float = 2.0,
    alpha: float | None = None,
    hidden: str | None = None,
    attention: str | None = None,
    layer_map: Mapping[int, int] | None = None,
    hidden_weight: float = 1.0,
    attention_weight: float = 1.0,
    optimizer: Any = None,
    accumulation_steps: int = 1,
    **fit: Any,
) -> keras.callbacks.History:
    """Trains a task to imitate another one; see `Distiller`.

    The teacher does not change. Afterwards the student is compiled with its defaults.

    Examples:
        The weights of this teacher are random; take a trained task.

        >>> import kerasbert
        >>> words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "dull", "fine", "day"]
        >>> tokenizer = kerasbert.text.WordPieceTokenizer(words)
        >>> config = kerasbert.BackboneConfig.from_preset("bert_tiny", vocabulary_size=len(words))
        >>> teacher = kerasbert.TextClassifier(
        ...     kerasbert.Backbone(config), ["bad", "good"], tokenizer=tokenizer
        ... )
        >>> student = kerasbert.distillation.student_from(teacher, num_layers=1)
        >>> history = kerasbert.distillation.distill(
        ...     teacher, student, ["a fine day", "a dull day"], epochs=2, verbose=0
        ... )
        >>> sorted(history.history)  # of the teacher's and the student's answers
        ['agreement', 'loss']

    Args:
        teacher: a trained task.
        student: a task of the same class with equivalent outputs, of any family and size.
        x: inputs as the student's `fit` takes them.
        y: labels, or None.
        temperature: as in `Distiller`.
        alpha: as in `Distiller`; None: 0.5 if `x` has labels, otherwise 1.
        hidden: as in `Distiller`.
        attention: as in `Distiller`.
        layer_map: as in `Distiller`.
        hidden_weight: as in `Distiller`.
        attention_weight: as in `Distiller`.
        optimizer: a Keras optimizer; None: the student's default.
        accumulation_steps: as in `ExactModel.compile`.
        **fit: other arguments of `fit`, such as `epochs`, `batch_size`, `validation_data`.

    Returns:
        The `History` of `fit`: the losses and metrics of every epoch.

    Raises:
        InputError: teacher and student do not match; the message says why.
    """
    has_labels = _has_labels(x, y)
    if is_stream(x):
        found = peek(x)
        x, has_labels = found.stream, found.y is not None
    if alpha is None:
        alpha = 0.5 if has_labels else 1.0
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
