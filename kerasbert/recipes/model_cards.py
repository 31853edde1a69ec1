"""What training programs write in the model card."""

import collections
import dataclasses
import pathlib
from collections.abc import Mapping
from typing import Any

from kerasbert.checkpoints import ModelCard
from kerasbert.options import default
from kerasbert.recipes.options import TrainingOptions
from kerasbert.recipes.training import INPUTS

_ALWAYS = ("task", "epochs", "steps", "batch_size", "learning_rate", "sequence_length", "seed")
_PUBLIC = ("hf://", "hf:", "kaggle://", "tfds:")
# Options that name files, which the card lists by their names alone.
_PATHS = (*INPUTS, "continue_from", "output")


def model_card(
    options: TrainingOptions,
    report: Mapping[str, Any],
    *,
    initial: str | None = None,
    train: Mapping[str, int] | None = None,
    validation: Mapping[str, int] | None = None,
    unit: str = "examples",
) -> ModelCard:
    """Returns the card of a run.

    Args:
        options: options of the run.
        report: metrics of the last or best evaluation, or none.
        initial: model that training began with.
        train: number of training examples by path.
        validation: number of validation examples by path.
        unit: what the numbers count.
    """
    kept = options.settings.keys() - set(_PATHS)
    settings = {
        field.name: getattr(options, field.name)
        for field in dataclasses.fields(options)
        if field.name in kept
        and (field.name in _ALWAYS or getattr(options, field.name) != default(field))
    }
    return ModelCard(
        initial=initial and _shown(initial),
        datasets=["nyu-mll/glue"] if getattr(options, "glue", None) else [],
        train=_by_name(train or {}),
        validation=_by_name(validation or {}),
        metrics={k.removeprefix("val_"): v for k, v in report.items() if k.startswith("val_")},
        settings={name: value for name, value in settings.items() if value is not None},
        unit=unit,
    )


def _by_name(counts: Mapping[str, int]) -> dict[str, int]:
    """Returns counts by the shown names of their paths, with folders where names are the same."""
    names = {path: _shown(path) for path in counts}
    for depth in range(2, 1 + max((len(pathlib.Path(path).parts) for path in counts), default=0)):
        uses = collections.Counter(names.values())
        for path in [path for path in counts if uses[names[path]] > 1]:
            names[path] = pathlib.PurePath(*pathlib.Path(path).parts[-depth:]).as_posix()
    named = collections.Counter()
    for path, count in counts.items():
        named[names[path]] += count
    return dict(named)


def _shown(path: str) -> str:
    """Returns the name of a public data set or model as it is, and the last part of a path."""
    if path.startswith(_PUBLIC):
        return path
    parts = pathlib.Path(path)
    return parts.parent.name if parts.name == "model" and parts.parent.name else parts.name
