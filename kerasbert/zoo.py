"""Names and directories -> models: the only place where everything meets."""

import os

from kerasbert import checkpoints, families
from kerasbert.backbone import Backbone
from kerasbert.errors import InputError
from kerasbert.tasks import (
    MaskedLM,
    MultipleChoice,
    Pretrainer,
    QuestionAnswerer,
    ReplacedTokenDetector,
    Task,
    TextClassifier,
    TextEmbedder,
    TokenClassifier,
)

TASKS = {
    task.__name__: task
    for task in (
        MaskedLM,
        MultipleChoice,
        Pretrainer,
        QuestionAnswerer,
        ReplacedTokenDetector,
        TextClassifier,
        TextEmbedder,
        TokenClassifier,
    )
}


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
    if name is not None and name not in TASKS:
        takers = [task for task in TASKS if name in TASKS[task].heads_from]
        remedy = f"load what you need of it with the from_preset of Backbone or {', '.join(TASKS)}"
        if takers:
            remedy = f"{' or '.join(takers)}.from_preset loads it, head included"
        raise InputError(
            f"{preset.directory}: holds a {name}, which is no task of its own here; {remedy}"
        )
    model = (TASKS[name] if name else Backbone).from_preset(preset, **overrides)
    if new := getattr(model, "new_weights", ()):
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


def tokenizer_from_preset(directory: str | os.PathLike):
    """The tokenizer of a model in any format that `Backbone.from_preset` reads.

    Raises:
        InputError: there is no such model, or its tokenizer is none of kerasbert's.
    """
    return checkpoints.load_tokenizer(directory)
