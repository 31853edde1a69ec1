"""Students with some of their teacher's layers."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from kerasbert.errors import InputError


def student_from(
    teacher: Any,
    num_layers: int,
    *,
    dtype: Any = None,
    sequence_length: int | None = None,
    head: Mapping[str, Any] | None = None,
    **overrides: Any,
) -> Any:
    """Copies an encoder or a task with fewer layers, evenly spaced.

    As in DistilBERT, §3 ("Student initialization"): 6 of 12 layers are 0, 2, 4, 7, 9 and 11, as in
    its authors' `extract_distilbert.py`. Embeddings, pooler and head are copied. If layers share
    weights, all weights are kept, and fewer passes are made.

    Examples:
        >>> import kerasbert
        >>> config = kerasbert.BackboneConfig.from_preset("bert_mini", vocabulary_size=100)
        >>> teacher = kerasbert.TextClassifier(kerasbert.Backbone(config), ["bad", "good"])
        >>> student = kerasbert.distillation.student_from(teacher, num_layers=2)
        >>> student.backbone.config.num_layers, student.classes
        (2, ['bad', 'good'])

    Args:
        teacher: a `Backbone` or a task.
        num_layers: number of layers, from 1 to the teacher's.
        dtype: a Keras dtype policy; None: the teacher's.
        sequence_length: of a task; None: the teacher's.
        head: constructor arguments of the task that differ from the teacher's, such as
            `{"dropout": 0.0}`.
        **overrides: fields of `BackboneConfig` that do not affect weights, such as `dropout=0.0`.

    Returns:
        A model of the teacher's class.

    Raises:
        InputError: the teacher has fewer layers, or more groups of shared layers.
    """
    backbone = getattr(teacher, "backbone", teacher)
    config = backbone.config
    least = config.num_groups or 1
    if not least <= num_layers <= config.num_layers:
        raise InputError(
            f"num_layers must be in [{least}, {config.num_layers}], found {num_layers}"
        )
    small = dataclasses.replace(config, num_layers=num_layers, **overrides)
    policy = dtype or backbone.embeddings.dtype_policy
    student = type(backbone)(small, dtype=policy, name=backbone.name)
    if teacher is not backbone:
        student = type(teacher)(
            student,
            tokenizer=teacher.tokenizer,
            sequence_length=sequence_length or teacher.sequence_length,
            name=teacher.name,
            **{**teacher.head_config(), **(head or {})},
        )
    layers = _origins(config, num_layers)
    weights = teacher.plain_weights()
    for variable in student.weights:
        top, _, rest = variable.path.partition("/")
        variable.assign(weights[f"{layers.get(top, top)}/{rest}"])
    if teacher is not backbone:
        student.mark_uninitialized(teacher.uninitialized_weights)
    return student


def _origins(config, num_layers: int) -> dict[str, str]:
    """Returns the teacher's layer for each of the student's layers, by name."""
    if config.num_groups:
        return {}
    size = config.layers_per_group
    passes = np.round(np.linspace(0, config.num_layers - 1, num_layers)).astype(int)
    return {
        f"layer_{position * size + inner}": f"layer_{taken * size + inner}"
        for position, taken in enumerate(passes)
        for inner in range(size)
    }
