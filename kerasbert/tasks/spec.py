"""How the programs read, train on, score and write the data of a task."""

import dataclasses
import inspect
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from kerasbert.data.examples import Examples
from kerasbert.data.options import ColumnOptions, DataOptions
from kerasbert.data.tables import KNOWN_COLUMNS, check_distinct, find_column
from kerasbert.errors import InputError
from kerasbert.options import default
from kerasbert.tasks.task import Task
from kerasbert.training.progress import EvaluationProgress, log, progress_bar

#: Further keys of an example to predict, besides those of `kerasbert.features`: its number, from 1,
#: and its id in the file.
ROW, ID = "row", "id"


class InputFormat(NamedTuple):
    """A file format of inputs that only one task reads; every task reads tables.

    Attributes:
        read: reads a path to raw columns, one of which may be `ID`.
        options: fields of `ColumnOptions` that `read` uses.
    """

    read: Callable[[Any, ColumnOptions], Mapping[str, Sequence[Any]]]
    options: tuple[str, ...] = ()


class OutputFormat(NamedTuple):
    """A file format of predictions that only one task writes.

    Attributes:
        checker: creates a function that is called with each example in turn, and returns why the
            format cannot store its prediction, or None.
        write: writes all predictions atomically.
    """

    checker: Callable[[], Callable[[dict[str, Any]], str | None]]
    write: Callable[[Any, Iterable[dict[str, Any]]], None]


class Metric(Protocol):
    """Scores a file of predictions as the task's official script does."""

    def __call__(
        self, data: str, predictions: str, options: DataOptions, no_answer: str | None
    ) -> dict[str, Any]:
        """Reads both files and compares them.

        Args:
            data: path of the labeled examples.
            predictions: path of the predictions.
            options: columns and format of the files.
            no_answer: path of the no-answer probabilities, or None.
        """
        ...


class TaskSpec:
    """Describes one kind of data; a task has one subclass per kind in its `spec.py`.

    Required are the attributes up to `primary_metric` (except `data_options`), `read` and
    `answers`.

    Attributes:
        name: value of `--task`.
        task: class of the model.
        data_options: fields of `DataOptions` that `read` uses, besides `strict`.
        primary_metric: the metric of `Task.score` that is reported first.
        problem_type: `problem_type` of the models, if their class has several.
        tuned_setting: name of the model setting that `validate` tunes, if any.
        student_settings: constructor arguments that a student does not copy from its teacher in
            distillation.
        usual_columns: the column names that are accepted for `text`, `text_pair` and `label`.
        input_formats: input formats besides tables, by file extension.
        output_formats: output formats besides JSON lines and CSV, by file extension.
    """

    name: str
    task: type[Task]
    data_options: tuple[str, ...] = ()
    primary_metric: str
    problem_type: str | None = None
    tuned_setting: str | None = None
    student_settings: tuple[str, ...] = ("dropout",)
    usual_columns: Mapping[str, Sequence[str]] = {**KNOWN_COLUMNS, "label": ("label",)}
    input_formats: Mapping[str, InputFormat] = {}
    output_formats: Mapping[str, OutputFormat] = {}

    def is_of(self, model: Task) -> bool:
        """Whether this spec describes the model's data."""
        return (
            type(model) is self.task and getattr(model, "problem_type", None) == self.problem_type
        )

    def accepts(self, argument: str) -> bool:
        """Whether the model's constructor has an argument of this name."""
        return argument in inspect.signature(self.task.__init__).parameters

    @property
    def has_classes(self) -> bool:
        """Whether labels are class names."""
        return self.accepts("classes")

    # === Training data ===

    def read(self, path: str, options: DataOptions) -> Examples:
        """Reads a file of labeled examples."""
        raise NotImplementedError

    def examples(
        self, path: str, options: DataOptions, classes: Sequence[str] | None = None
    ) -> Examples:
        """Reads a file and logs how many examples were skipped.

        Args:
            path: file to read.
            options: columns and format of the file.
            classes: class names; examples with other labels are skipped.
        """
        self.check(options)
        examples = self.read(path, options)
        if classes and self.has_classes:
            examples = examples.of_classes(classes)
        examples.problems.report(log)
        return examples

    def check(self, options: DataOptions) -> None:
        """Raises `InputError` if an option is given that this task does not support."""
        for field in dataclasses.fields(DataOptions):
            given = getattr(options, field.name) != default(field)
            if given and field.name not in (*self.data_options, "strict"):
                raise InputError(f"--{field.name} is not supported by the task {self.name}")

    def check_validation(self, train: Examples, validation: Examples | None) -> None:
        """Raises `InputError` if validation data do not match the training data."""
        if validation and train.labels and not validation.labels:
            raise InputError(f"{validation.source}: has no scores, but {train.source} has")

    def model_kwargs(self, train: Examples) -> dict[str, Any]:
        """Returns the constructor arguments that the training data determine."""
        return {"classes": train.classes} if self.has_classes else {}

    def results(self, model: Task) -> dict[str, Any]:
        """Returns what `finetune` reports about a trained model, besides its scores."""
        return {"classes": list(model.classes)} if self.has_classes else {}

    # === Scores ===

    def has_loss(self, model: Task, examples: Examples) -> bool:
        """Whether the model's loss can be computed on these examples."""
        return True

    def baseline(self, train: Examples, validation: Examples) -> dict[str, Any]:
        """Returns the scores of a constant prediction, with the keys of `Task.score`."""
        return {}

    def scores(self, model: Task, examples: Examples, *, batch_size: int = 32) -> dict[str, Any]:
        """Returns the compiled Keras metrics and the task's official metrics.

        The stored `tuned_setting` is used as it is, and is part of the results.
        """
        labels = examples.labels or None
        metrics = {}
        with progress_bar("score"):
            if self.has_loss(model, examples):
                metrics = model.evaluate(
                    examples.texts,
                    labels,
                    batch_size,
                    verbose=0,
                    callbacks=[EvaluationProgress(batch_size)],
                    return_dict=True,
                )
            return metrics | model.score(examples.texts, labels, batch_size=batch_size)

    def can_tune(self, examples: Examples) -> bool:
        """Whether `validate` can tune the `tuned_setting` on these examples."""
        return False

    def validate(self, model: Task, examples: Examples, *, batch_size: int = 32) -> dict[str, Any]:
        """Tunes the `tuned_setting` on validation data and returns the scores.

        These scores are therefore the best over all settings; use `scores` for a test set.
        """
        return self.scores(model, examples, batch_size=batch_size)

    def evaluate(
        self,
        model: Task,
        path: str,
        options: DataOptions,
        *,
        batch_size: int | None = None,
        tune: bool = False,
        batches: int = 32,
        seed: int = 1,
        source: str = "the model",
    ) -> dict[str, Any]:
        """Scores a model on a file, and the baseline next to it.

        Args:
            model: a compiled model.
            path: file of labeled examples.
            options: columns and format of the file.
            batch_size: examples per batch.
            tune: whether to tune the `tuned_setting` on this file.
            batches: number of batches to draw, if the file is a corpus.
            seed: seed of the drawn batches, if the file is a corpus.
            source: path of the model, for messages.
        """
        examples = self.examples(path, options, getattr(model, "classes", None))
        extra: dict[str, Any] = {"baseline": self.baseline(examples, examples)}
        if tune:
            if not self.can_tune(examples):
                raise InputError(
                    f"--tune_threshold: {path} has no questions without an answer, from which a "
                    "threshold could be found"
                )
            extra["threshold_tuned_on"] = path
        measure = self.validate if tune else self.scores
        scores = measure(model, examples, batch_size=batch_size or 32)
        counts = {"examples": len(examples), "left_out": examples.num_skipped}
        return {**counts, **scores, **extra}

    # === Predictions ===

    def text_columns(self, model: Task) -> tuple[str, ...]:
        """Returns the keys of the raw columns that a table of inputs needs."""
        assert model.preprocessor is not None
        return model.preprocessor.text_columns[0]

    def find_columns(
        self,
        model: Task,
        path: str | os.PathLike[str],
        there: list[str],
        named: Mapping[str, str | None],
    ) -> dict[str, str]:
        """Finds the columns of a table that the model reads, by their keys.

        Args:
            model: the model that reads them.
            path: the table, for messages.
            there: the table's column names.
            named: column names by key that the user has given.

        Raises:
            InputError: a column is missing, or two keys refer to the same one.
        """
        wanted = self.text_columns(model)
        chosen = {key: find_column(key, there, named.get(key), path) for key in wanted}
        check_distinct(chosen, path)
        return chosen

    def unlabelled(self, model: Task, columns: dict[str, list[Any]]) -> dict[str, list[Any]]:
        """Converts raw columns that were read for prediction to inputs of `Preprocessor.rows`."""
        return columns

    def answers(self, model: Task, columns: Mapping[str, Sequence[Any]]) -> list[dict[str, Any]]:
        """Predicts raw columns, and returns one JSON object per example."""
        raise NotImplementedError
