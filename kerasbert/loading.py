"""Names and directories -> models: the only place where everything meets."""

import os

from kerasbert import checkpoints, families, renamed
from kerasbert.backbone import Backbone
from kerasbert.errors import InputError
from kerasbert.tasks import registry
from kerasbert.tasks.task import Task


def list_presets() -> list[str]:
    """The names of the known architectures."""
    return sorted(families.PRESETS)


def load(directory: str | os.PathLike | checkpoints.Preset, **overrides) -> Task | Backbone:
    """Loads whatever is in a directory, as what it was saved as.

    Nothing of what it returns is new: a head that is not whole, or that `overrides` would replace,
    is refused.

    Args:
        directory: as in `Backbone.from_preset`.
        **overrides: passed to the class's `from_preset`.

    Raises:
        InputError: the directory does not hold a model that can be loaded.
    """
    preset = checkpoints.load(directory)
    name = preset.config["task"]
    if name is not None and name not in registry.TASKS:
        known = sorted(registry.TASKS)
        takers = [task for task in known if name in registry.task_class(task).heads_from]
        remedy = f"load what you need of it with the from_preset of Backbone or {', '.join(known)}"
        if takers:
            remedy = f"{' or '.join(takers)}.from_preset loads it, head included"
        raise InputError(
            f"{preset.directory}: holds a {name}, which is no task of its own here; {remedy}"
        )
    kind = registry.task_class(name) if name else Backbone
    model = kind.from_preset(preset, **overrides)
    if new := getattr(model, "uninitialized_weights", ()):
        raise InputError(
            f"{preset.source}: holds no {', '.join(new)} of such a {name}; {name}.from_preset "
            "makes them new, Backbone.from_preset loads the encoder alone"
        )
    return model


def load_task(directory: str | os.PathLike, *tasks: type[Task], **overrides) -> Task:
    """As `load`, for a directory that must hold one of `tasks`.

    Raises:
        InputError: it holds something else.
    """
    model = load(directory, **overrides)
    if not isinstance(model, tasks):
        wanted = " or a ".join(task.__name__ for task in tasks)
        raise InputError(f"{directory}: holds a {type(model).__name__}, not a {wanted}")
    return model


@renamed.argument("directory", "preset")
def tokenizer_from_preset(preset: str | os.PathLike):
    """The tokenizer of a model in any format that `Backbone.from_preset` reads.

    Raises:
        InputError: there is no such model, or its tokenizer is none of kerasbert's.
    """
    return checkpoints.load_tokenizer(preset)
