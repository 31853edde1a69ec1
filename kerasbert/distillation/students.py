"""A student with a part of its teacher's layers."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from kerasbert.errors import InputError


def student_from(
    teacher,
    num_layers: int,
    *,
    dtype=None,
    sequence_length: int | None = None,
    head: Mapping[str, Any] | None = None,
    **overrides: Any,
):
    """A shallower copy of an encoder or a task, with evenly spaced layers of the teacher.

    DistilBERT, §3 ("Student initialization"); of 12 layers 6 are 0, 2, 4, 7, 9 and 11, those that
    its authors took (`extract_distilbert.py` in transformers' research projects). Embeddings,
    pooler and head are copied. Layers that share weights all stay: there are fewer passes then.

    Args:
        teacher: a `Backbone` or a task.
        num_layers: how many the copy has; from 1 to the teacher's.
        dtype: a Keras dtype policy for computing; None: the teacher's.
        sequence_length: of a task; None: the teacher's.
        head: arguments of a task that are not the teacher's, such as `{"dropout": 0.0}`.
        **overrides: arguments of `BackboneConfig` that no weight depends on, to change them, such
            as `dropout=0.0`.

    Returns:
        What `teacher` is, smaller.

    Raises:
        InputError: there are not so many layers, or fewer than groups of shared ones.
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
    return student


def _origins(config, num_layers: int) -> dict[str, str]:
    """The teacher's layer for each of the student's, by name."""
    if config.num_groups:
        return {}
    size = config.layers_per_group
    passes = np.round(np.linspace(0, config.num_layers - 1, num_layers)).astype(int)
    return {
        f"layer_{position * size + inner}": f"layer_{taken * size + inner}"
        for position, taken in enumerate(passes)
        for inner in range(size)
    }
