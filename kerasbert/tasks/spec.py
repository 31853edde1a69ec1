"""What the programs ask of a task: how its data are read, learnt, scored, answered and written."""

import dataclasses
import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple, Protocol

from kerasbert.data.examples import Examples
from kerasbert.data.options import ColumnOptions, DataOptions
from kerasbert.data.tables import find_column
from kerasbert.errors import InputError
from kerasbert.features import TEXT
from kerasbert.options import default
from kerasbert.tasks.task import Task
from kerasbert.training.progress import EvaluationProgress, log, progress_bar

#: Keys of an example to answer, beside those of `kerasbert.features`: its number, from 1, and what
#: its file calls it.
ROW, ID = "row", "id"


class InputFormat(NamedTuple):
    """A kind of file of examples to answer that only one task reads; tables are read for all.

    Attributes:
        read: from a path to raw columns, of which one may be `ID`.
        options: the fields of `ColumnOptions` that it looks at.
    """

    read: Callable[[str, ColumnOptions], Mapping[str, Sequence]]
    options: tuple[str, ...] = ()


class OutputFormat(NamedTuple):
    """A kind of file of answers that only one task has.

    Attributes:
        checker: makes a function from an example to why the format can't hold its answer, or None;
            it is called with one example after the other.
        write: writes the answers, whole or not at all.
    """

    checker: Callable[[], Callable[[dict], str | None]]
    write: Callable[[str, Iterable[dict]], None]


class Metric(Protocol):
    """The scores of somebody's answers, as the task's official script counts them."""

    def __call__(
        self, data: str, predictions: str, options: DataOptions, no_answer: str | None
    ) -> dict:
        """Reads both files and compares them.

        Args:
            data: the file of the right answers.
            predictions: the file of the answers.
            options: what the files hold.
            no_answer: the file of the probabilities that there is no answer, if there is one.
        """


class TaskSpec:
    """One kind of data; a task has a subclass for each in its `spec.py`.

    What is needed are the attributes up to `primary_metric`, `read` and `answers`.

    Attributes:
        name: what `--task` calls it.
        task: the class of the model.
        data_options: the fields of `DataOptions` that `read` looks at, beside `strict`.
        primary_metric: of `Task.score`, the one that is reported first.
        problem_type: of the models, where their class has several.
        tuned_setting: the setting of a model that `validate` finds, if there is one.
        student_settings: arguments of the model that a student in distillation does not have from
            its teacher.
        input_formats: files to answer beside tables, by the ends of their names.
        output_formats: files of answers beside JSON lines and CSV, by the ends of their names.
    """

    name: str
    task: type[Task]
    data_options: tuple[str, ...] = ()
    primary_metric: str
    problem_type: str | None = None
    tuned_setting: str | None = None
    student_settings: tuple[str, ...] = ("dropout",)
    input_formats: Mapping[str, InputFormat] = {}
    output_formats: Mapping[str, OutputFormat] = {}

    def is_of(self, model: Task) -> bool:
        """Whether this is what a model does."""
        return (
            type(model) is self.task and getattr(model, "problem_type", None) == self.problem_type
        )

    def accepts(self, argument: str) -> bool:
        """Whether the model's constructor has an argument of this name."""
        return argument in inspect.signature(self.task.__init__).parameters

    @property
    def has_classes(self) -> bool:
        """Whether labels are names of classes."""
        return self.accepts("classes")

    # === Examples to learn from ===

    def read(self, path: str, options: DataOptions) -> Examples:
        """Reads a file of examples."""
        raise NotImplementedError

    def examples(
        self, path: str, options: DataOptions, classes: Sequence[str] | None = None
    ) -> Examples:
        """Reads a file, and says what was left out.

        Args:
            path: the file.
            options: what it holds.
            classes: of a task that has some: examples with other labels are left out.
        """
        self.check(options)
        examples = self.read(path, options)
        if classes and self.has_classes:
            examples = examples.of_classes(classes)
        examples.problems.report(log)
        return examples

    def check(self, options: DataOptions) -> None:
        """Raises `InputError` for an option that says nothing about such data."""
        for field in dataclasses.fields(DataOptions):
            given = getattr(options, field.name) != default(field)
            if given and field.name not in (*self.data_options, "strict"):
                raise InputError(f"--{field.name}: {self.name} has no such thing")

    def check_validation(self, train: Examples, validation: Examples | None) -> None:
        """Raises `InputError` for validation data of another kind; says what they will not give."""
        if validation and train.labels and not validation.labels:
            raise InputError(f"{validation.source}: has no scores, but {train.source} has")

    def model_kwargs(self, train: Examples) -> dict:
        """What training examples say about the model: arguments of its constructor."""
        return {"classes": train.classes} if self.has_classes else {}

    def results(self, model: Task) -> dict:
        """What `finetune` says about a trained model."""
        return {"classes": list(model.classes)} if self.has_classes else {}

    # === Scores ===

    def has_loss(self, model: Task, examples: Examples) -> bool:
        """Whether there is a loss to report: the model could learn from such examples."""
        return True

    def baseline(self, train: Examples, validation: Examples) -> dict:
        """The scores, by the names of `Task.score`, that a constant answer reaches."""
        return {}

    def scores(self, model: Task, examples: Examples, *, batch_size: int = 32) -> dict:
        """Keras's metrics of compiled models, and the task's official ones over all examples.

        The model is scored as it is, with the `tuned_setting` that is stored with it, which is
        among the scores then.
        """
        labels = examples.labels or None
        chosen = {}
        with progress_bar("score"):
            if self.has_loss(model, examples):
                chosen = model.evaluate(
                    examples.texts,
                    labels,
                    batch_size,
                    verbose=0,
                    callbacks=[EvaluationProgress(batch_size)],
                    return_dict=True,
                )
            return chosen | model.score(examples.texts, labels, batch_size=batch_size)

    def can_tune(self, examples: Examples) -> bool:
        """Whether `validate` can find the `tuned_setting` on these examples."""
        return False

    def validate(self, model: Task, examples: Examples, *, batch_size: int = 32) -> dict:
        """The scores on validation data, from which the model takes its `tuned_setting`.

        They are therefore the best that any setting gives on these data: what a test set is scored
        with is `scores`.
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
    ) -> dict:
        """Scores on a file, beside those of a constant answer.

        Args:
            model: compiled.
            path: the file.
            options: what it holds.
            batch_size: examples at a time.
            tune: find the `tuned_setting` on the file itself.
            batches: how many are drawn, of a corpus.
            seed: decides what is drawn, from a corpus.
            source: where the model is from, for messages.
        """
        examples = self.examples(path, options, getattr(model, "classes", None))
        extra = {"baseline": self.baseline(examples, examples)}
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

    # === Examples to answer ===

    def text_columns(self, model: Task) -> tuple[str, ...]:
        """The keys of the raw columns that a table to answer has."""
        return model.preprocessor.text_columns[0]

    def find_columns(
        self, model: Task, path: str, there: list[str], named: Mapping[str, str | None]
    ) -> dict[str, str]:
        """The columns of a table with what a model reads, by their keys.

        Args:
            model: what is to read them.
            path: the table.
            there: its columns.
            named: their names by their keys, where somebody names them.

        Raises:
            InputError: one is not there, or is another one, too.
        """
        wanted = self.text_columns(model)
        chosen = {key: find_column(key, there, named.get(key), path) for key in wanted}
        if len(set(chosen.values())) < len(chosen):
            raise InputError(
                f"{path}: {' and '.join(chosen)} are both in column {chosen[TEXT]!r}; "
                "--text_column and --text_pair_column name two"
            )
        return chosen

    def unlabelled(self, model: Task, columns: dict[str, list]) -> dict[str, list]:
        """Raw columns that were read to be answered, as `Preprocessor.rows` takes them."""
        return columns

    def answers(self, model: Task, columns: Mapping[str, Sequence]) -> list[dict]:
        """Raw columns -> an answer, as JSON, for each example."""
        raise NotImplementedError
