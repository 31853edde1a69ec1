"""Which tasks there are: a line for each.

Nothing heavy is imported here, so that help and refusals come at once; what a task is made of is
imported when it is asked for.
"""

import importlib
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from kerasbert.errors import InputError


class Entry(NamedTuple):
    """Where a task is, and what the programs call what it does.

    Attributes:
        folder: the package with the task's class, and with its module `spec`.
        specs: the names in `spec.SPECS`, which `--task` takes.
        metrics: the names in `spec.METRICS`, which `--metric` takes; if there are any.
    """

    folder: str
    specs: tuple[str, ...] = ()
    metrics: tuple[str, ...] = ()


#: Every task by the name of its class. A new task is a folder, and a line here; `register` adds one
#: from outside of the package.
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
    """Adds a task that is not a part of kerasbert, for as long as the process lasts.

    Args:
        name: of the task's class.
        folder: as in `Entry`.
        specs: as in `Entry`.
        metrics: as in `Entry`.

    Raises:
        InputError: there is a task, a spec or a metric of that name already.
    """
    for known, new in ((TASKS, (name,)), (spec_names(), specs), (metric_names(), metrics)):
        if taken := sorted(set(known) & set(new)):
            raise InputError(f"there is a {taken[0]!r} already")
    TASKS[name] = Entry(folder, specs, metrics)


def spec_names() -> list[str]:
    """What `--task` takes."""
    return [name for entry in TASKS.values() for name in entry.specs]


def metric_names() -> list[str]:
    """What `--metric` takes."""
    return [name for entry in TASKS.values() for name in entry.metrics]


def task_class(name: str) -> type:
    """The class of a task."""
    return getattr(importlib.import_module(TASKS[name].folder), name)


def _spec_module(entry: Entry):
    return importlib.import_module(f"{entry.folder}.spec")


def get_specs() -> Iterator[Any]:
    """The `TaskSpec` of every `--task`, and of what has none."""
    for entry in TASKS.values():
        yield from _spec_module(entry).SPECS


def get_spec(name: str) -> Any:
    """The `TaskSpec` of a `--task`."""
    entry = next(entry for entry in TASKS.values() if name in entry.specs)
    return next(spec for spec in _spec_module(entry).SPECS if spec.name == name)


def get_metric(name: str) -> Callable:
    """The function of a `--metric`, see `kerasbert.tasks.spec.Metric`."""
    entry = next(entry for entry in TASKS.values() if name in entry.metrics)
    return _spec_module(entry).METRICS[name]


def spec_of(model) -> Any:
    """The `TaskSpec` of a model.

    Raises:
        InputError: it has none.
    """
    entry = TASKS.get(type(model).__name__)
    for spec in _spec_module(entry).SPECS if entry else ():
        if spec.is_of(model):
            return spec
    raise InputError(f"there is no job for a {type(model).__name__}")
