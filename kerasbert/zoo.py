"""Names and directories -> models: the only place where everything meets."""

import os

from kerasbert import checkpoints, families
from kerasbert.backbone import Backbone
from kerasbert.errors import InputError
from kerasbert.tasks import Pretrainer, Task, TextClassifier

TASKS = {task.__name__: task for task in (Pretrainer, TextClassifier)}


def list_presets() -> list[str]:
    """The names of the known architectures."""
    return sorted(families.PRESETS)


def load(directory: str | os.PathLike, **overrides) -> Task | Backbone:
    """Loads whatever was saved to a directory, as the class that it was.

    Args:
        directory: what `save_to_preset` wrote.
        **overrides: passed to the class's `from_preset`.

    Raises:
        InputError: the directory does not hold a model that can be loaded.
    """
    name = checkpoints.load_config(directory)["task"]
    if name is not None and name not in TASKS:
        raise InputError(f"{directory}: holds a {name!r}, which this kerasbert does not know")
    return (TASKS[name] if name else Backbone).from_preset(directory, **overrides)


def load_task(directory: str | os.PathLike, *tasks: type[Task]) -> Task:
    """As `load`, for a directory that must hold one of `tasks`.

    Raises:
        InputError: it holds something else.
    """
    model = load(directory)
    if not isinstance(model, tasks):
        wanted = " or a ".join(task.__name__ for task in tasks)
        raise InputError(f"{directory}: holds a {type(model).__name__}, not a {wanted}")
    return model
