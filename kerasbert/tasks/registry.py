"""The registry of tasks.

It imports no task, so that help texts and errors appear at once: the modules of a task are imported
on first use.
"""

import importlib
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from kerasbert.errors import InputError


class Entry(NamedTuple):
    """Where a task is defined, and the names that the programs know it by.

    Attributes:
        folder: package with the task's class and its module `spec`.
        specs: names of the specs in `spec.SPECS`; values of `--task`.
        metrics: names of the metrics in `spec.METRICS`, if any; values of `--metric`.
    """

    folder: str
    specs: tuple[str, ...] = ()
    metrics: tuple[str, ...] = ()


#: All tasks by class name. To add a task, add a folder and a line here; `register` adds one from
#: outside the package.
TASKS: dict[str, Entry] = {
    "TextClassifier": Entry(
        "kerasbert.tasks.text_classifier", ("text_classification", "multi_label", "regression")
    ),
    "QuestionAnswerer": Entry(
        "kerasbert.tasks.question_answerer", ("question_answering",), ("squad1", "squad2")
    ),
    "TokenClassifier": Entry(
        "kerasbert.tasks.token_classifier", ("token_classification",), ("seqeval",)
    ),
    "MultipleChoice": Entry("kerasbert.tasks.multiple_choice", ("multiple_choice",)),
    "TextEmbedder": Entry("kerasbert.tasks.text_embedder", ("embedding",)),
    "MaskedLM": Entry("kerasbert.tasks.masked_lm", ("masked_lm",)),
    "Pretrainer": Entry("kerasbert.tasks.pretrainer"),
    "ReplacedTokenDetector": Entry("kerasbert.tasks.replaced_token_detector"),
}


def register(
    name: str, folder: str, specs: tuple[str, ...] = (), metrics: tuple[str, ...] = ()
) -> None:
    """Registers a task from outside the package, in this process only.

    Args:
        name: name of the task's class.
        folder: as in `Entry`.
        specs: as in `Entry`.
        metrics: as in `Entry`.

    Raises:
        InputError: a task, spec or metric of that name exists already.

    Examples:
        Afterwards `kerasbert.load` and `--task` know the task of another package, here one with the
        modules that CONTRIBUTING.md describes in the package `their_package.duplicates`:

        >>> import kerasbert
        >>> kerasbert.tasks.register(
        ...     "DuplicateDetector", "their_package.duplicates", specs=("duplicates",)
        ... )
        >>> kerasbert.tasks.register("DuplicateDetector", "their_package.duplicates")
        Traceback (most recent call last):
        kerasbert.errors.InputError: there is a 'DuplicateDetector' already
    """
    for known, new in ((TASKS, (name,)), (spec_names(), specs), (metric_names(), metrics)):
        if taken := sorted(set(known) & set(new)):
            raise InputError(f"there is a {taken[0]!r} already")
    TASKS[name] = Entry(folder, specs, metrics)


def spec_names() -> list[str]:
    """Returns the values of `--task`."""
    return [name for entry in TASKS.values() for name in entry.specs]


def metric_names() -> list[str]:
    """Returns the values of `--metric`."""
    return [name for entry in TASKS.values() for name in entry.metrics]


def task_class(name: str) -> type[Any]:
    """Returns the class of a task."""
    return getattr(importlib.import_module(TASKS[name].folder), name)


def _spec_module(entry: Entry):
    return importlib.import_module(f"{entry.folder}.spec")


def get_specs() -> Iterator[Any]:
    """Yields all `TaskSpec`s, including those that `--task` does not offer."""
    for entry in TASKS.values():
        yield from _spec_module(entry).SPECS


def get_spec(name: str) -> Any:
    """Returns the `TaskSpec` for a value of `--task`."""
    entry = next(entry for entry in TASKS.values() if name in entry.specs)
    return next(spec for spec in _spec_module(entry).SPECS if spec.name == name)


def get_metric(name: str) -> Callable[..., Any]:
    """Returns the function for a value of `--metric`; see `kerasbert.tasks.spec.Metric`."""
    entry = next(entry for entry in TASKS.values() if name in entry.metrics)
    return _spec_module(entry).METRICS[name]


def spec_of(model: Any) -> Any:
    """Returns the `TaskSpec` of a model.

    Raises:
        InputError: the programs do not support this kind of model.
    """
    entry = TASKS.get(type(model).__name__)
    for spec in _spec_module(entry).SPECS if entry else ():
        if spec.is_of(model):
            return spec
    raise InputError(f"no program supports {type(model).__name__} models")
