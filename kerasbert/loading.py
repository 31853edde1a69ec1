"""Loads models of any kind by directory or name."""

import os
from typing import Any

from kerasbert import checkpoints, families, renamed
from kerasbert.backbone import Backbone
from kerasbert.errors import InputError
from kerasbert.tasks import registry
from kerasbert.tasks.task import Task
from kerasbert.text.tokenizer import Tokenizer


def list_presets() -> list[str]:
    """Returns the names of the built-in architectures, sorted.

    `kerasbert presets` prints them with their sizes, and checkpoints that are known to load.

    Examples:
        >>> import kerasbert
        >>> "bert_base" in kerasbert.list_presets()
        True
    """
    return sorted(families.PRESETS)


def load(
    directory: str | os.PathLike[str] | checkpoints.Preset, **overrides: Any
) -> Task | Backbone:
    """Loads a model as what it was saved as, a task or a `Backbone`.

    No weight is random, unless `load_weights` is False: an incomplete head, one that `overrides`
    would replace, or one that was saved before any training of it, is refused.

    Examples:
        >>> import kerasbert
        >>> config = kerasbert.BackboneConfig.from_preset("bert_tiny", vocabulary_size=100)
        >>> classifier = kerasbert.TextClassifier(kerasbert.Backbone(config), ["bad", "good"])
        >>> names = classifier.save_to_preset("opinions")
        >>> model = kerasbert.load("opinions")
        >>> type(model).__name__, model.classes
        ('TextClassifier', ['bad', 'good'])

    Args:
        directory: as in `Backbone.from_preset`.
        **overrides: arguments of the class's `from_preset`.

    Returns:
        The model with its weights.

    Raises:
        InputError: the directory does not contain a model that can be loaded.
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
            f"{preset.directory}: holds a {name}, for which kerasbert has no task; {remedy}"
        )
    kind = registry.task_class(name) if name else Backbone
    model = kind.from_preset(preset, **overrides)
    if isinstance(model, Task) and overrides.get("load_weights", True):
        _refuse_random_weights(model, preset)
    return model


def _refuse_random_weights(model: Task, preset: checkpoints.Preset) -> None:
    name, left = type(model).__name__, model.uninitialized_weights
    if new := [path for path in left if path not in preset.uninitialized]:
        raise InputError(
            f"{preset.source}: has no weights {', '.join(new)} for a {name}; {name}.from_preset "
            "initializes them at random, Backbone.from_preset loads the encoder alone"
        )
    if random := model.random_weights_in_use:
        raise InputError(
            f"{preset.source}: holds random weights {', '.join(random)}, which training has not "
            f"changed; train them (kerasbert finetune --init, or fit after {name}.from_preset)"
        )


def load_task(directory: str | os.PathLike[str], *tasks: type[Task], **overrides: Any) -> Task:
    """Loads a model as `load` does; it must be one of `tasks`, and have a tokenizer.

    Raises:
        InputError: the directory contains another kind of model, or no tokenizer.
    """
    model = load(directory, **overrides)
    if not isinstance(model, tasks):
        wanted = " or a ".join(task.__name__ for task in tasks)
        raise InputError(f"{directory}: holds a {type(model).__name__}, not a {wanted}")
    model.check_takes_text()
    return model


@renamed.argument("directory", "preset")
def tokenizer_from_preset(preset: str | os.PathLike[str]) -> Tokenizer:
    """Loads the tokenizer of a model in any format that `Backbone.from_preset` reads.

    Args:
        preset: as in `Backbone.from_preset`.

    Returns:
        A `kerasbert.text.Tokenizer`.

    Raises:
        InputError: there is no such model, or its kind of tokenizer is not supported.

    Examples:
        >>> import kerasbert
        >>> words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "fine", "day"]
        >>> tokenizer = kerasbert.text.WordPieceTokenizer(words)
        >>> config = kerasbert.BackboneConfig.from_preset("bert_tiny", vocabulary_size=len(words))
        >>> backbone = kerasbert.Backbone(config)
        >>> names = backbone.save_to_preset("encoder", tokenizer=tokenizer)
        >>> same = kerasbert.tokenizer_from_preset("encoder")
        >>> same(["A fine day"]).to_list()
        [[5, 6, 7]]
    """
    return checkpoints.load_tokenizer(preset)
