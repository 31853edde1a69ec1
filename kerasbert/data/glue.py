"""GLUE's nine tasks (Wang et al. 2019): what their files call things, and how each is scored."""

import dataclasses
from collections.abc import Mapping

from kerasbert.errors import InputError


@dataclasses.dataclass(frozen=True, kw_only=True)
class GlueTask:
    """One task.

    Attributes:
        columns: the columns of its TSV files with the text, the second text (or None) and the
            label.
        column_names: all columns of a file whose first line does not name them; None: it does.
        tfds_columns: the same three in TensorFlow Datasets.
        classes: by what the TSV files call them, the names of the classes in the order of their
            indices, as TensorFlow Datasets has both; None: the label is a number.
        metrics: what the benchmark reports, by the names of `TextClassifier.score`.
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
    """The task of a name, which is also its name in TensorFlow Datasets.

    Raises:
        InputError: there is no such task.
    """
    # TensorFlow Datasets has MNLI's two evaluation sets as tasks of their own, too.
    known = TASKS.get(name.removesuffix("_matched").removesuffix("_mismatched"))
    if known is None:
        raise InputError(f"GLUE has no task {name!r}; it has {', '.join(TASKS)}")
    return known
