"""The nine tasks of GLUE (Wang et al. 2019): their columns, classes and metrics."""

import dataclasses
from collections.abc import Mapping

from kerasbert.errors import InputError


@dataclasses.dataclass(frozen=True, kw_only=True)
class GlueTask:
    """The format and the metrics of one task.

    Attributes:
        columns: the columns of the text, the second text (or None) and the label in the TSV files.
        column_names: all columns of the TSV files, if their first line does not name them; else
            None.
        tfds_columns: the columns of the text, the second text and the label in TensorFlow Datasets.
        classes: dict from the labels in the TSV files to the class names of TensorFlow Datasets, in
            the order of their indices; None if the label is a number.
        metrics: the official metrics, as names of `TextClassifier.score`.
    """

    columns: tuple[str, str | None, str]
    column_names: tuple[str, ...] | None = None
    tfds_columns: tuple[str, str | None, str]
    classes: Mapping[str, str] | None
    metrics: tuple[str, ...]


_SENTENCE = ("sentence", None, "label")
_SENTENCES = ("sentence1", "sentence2", "label")
_ENTAILMENT = {name: name for name in ("entailment", "not_entailment")}

TASKS = {
    "cola": GlueTask(
        columns=_SENTENCE,
        column_names=("source", "label", "mark", "sentence"),
        tfds_columns=_SENTENCE,
        classes={"0": "unacceptable", "1": "acceptable"},
        metrics=("matthews",),
    ),
    "sst2": GlueTask(
        columns=_SENTENCE,
        tfds_columns=_SENTENCE,
        classes={"0": "negative", "1": "positive"},
        metrics=("accuracy",),
    ),
    "mrpc": GlueTask(
        columns=("#1 String", "#2 String", "Quality"),
        tfds_columns=_SENTENCES,
        classes={"0": "not_equivalent", "1": "equivalent"},
        metrics=("f1", "accuracy"),
    ),
    "qqp": GlueTask(
        columns=("question1", "question2", "is_duplicate"),
        tfds_columns=("question1", "question2", "label"),
        classes={"0": "not_duplicate", "1": "duplicate"},
        metrics=("f1", "accuracy"),
    ),
    "stsb": GlueTask(
        columns=("sentence1", "sentence2", "score"),
        tfds_columns=_SENTENCES,
        classes=None,
        metrics=("pearson", "spearman"),
    ),
    "mnli": GlueTask(
        columns=("sentence1", "sentence2", "gold_label"),
        tfds_columns=("premise", "hypothesis", "label"),
        classes={name: name for name in ("entailment", "neutral", "contradiction")},
        metrics=("accuracy",),
    ),
    "qnli": GlueTask(
        columns=("question", "sentence", "label"),
        tfds_columns=("question", "sentence", "label"),
        classes=_ENTAILMENT,
        metrics=("accuracy",),
    ),
    "rte": GlueTask(
        columns=_SENTENCES, tfds_columns=_SENTENCES, classes=_ENTAILMENT, metrics=("accuracy",)
    ),
    "wnli": GlueTask(
        columns=_SENTENCES,
        tfds_columns=_SENTENCES,
        classes={"0": "not_entailment", "1": "entailment"},
        metrics=("accuracy",),
    ),
}


def task(name: str) -> GlueTask:
    """Returns a task by its name, which is also its name in TensorFlow Datasets.

    Raises:
        InputError: there is no such task.
    """
    # In TensorFlow Datasets, MNLI's two evaluation sets are also separate tasks.
    known = TASKS.get(name.removesuffix("_matched").removesuffix("_mismatched"))
    if known is None:
        raise InputError(f"GLUE has no task {name!r}; its tasks are {', '.join(TASKS)}")
    return known
