"""The kinds of data that models are fine-tuned on: how each is read, learnt, scored and answered.

A program takes `--task`, a name in `JOBS`; everything that differs between tasks is here.
"""

import collections
import dataclasses
import inspect
import itertools
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from kerasbert import features as keys
from kerasbert.data import glue
from kerasbert.data.choices import read_choices
from kerasbert.data.columns import read_columns
from kerasbert.data.examples import Examples, read_examples, read_texts
from kerasbert.data.options import DataOptions, split_names
from kerasbert.data.pairs import read_pairs
from kerasbert.data.squad import read_squad
from kerasbert.errors import InputError
from kerasbert.metrics import classification, entities, squad
from kerasbert.options import default
from kerasbert.recipes.training import say
from kerasbert.tasks import (
    MaskedLM,
    MultipleChoice,
    Pretrainer,
    QuestionAnswerer,
    Task,
    TextClassifier,
    TextEmbedder,
    TokenClassifier,
)
from kerasbert.tasks.token_classifier.entities import Entity, join
from kerasbert.training.progress import CountBatches, answering

_COLUMNS = ("text_column", "text_pair_column", "label_column", "column_names")


@dataclasses.dataclass(frozen=True)
class Job:
    """One kind of data.

    Attributes:
        task: the model.
        read: from a path to examples.
        reads: the fields of `DataOptions` that it looks at, beside `strict`.
        facts: what the training examples say about the model: arguments of its constructor.
        baseline: from training and validation examples to the scores, by the names of
            `Task.score`, that a constant answer reaches.
        answer: from a model and raw columns to a JSON object for each example.
        metric: the one that is reported first.
        problem_type: of a `TextClassifier`.
    """

    task: type[Task]
    read: Callable[[str, DataOptions], Examples]
    reads: tuple[str, ...]
    facts: Callable[[Examples], dict]
    baseline: Callable[[Examples, Examples], dict]
    answer: Callable[[Task, Mapping[str, Sequence]], list[dict]]
    metric: str
    problem_type: str | None = None

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
        examples.problems.report(say)
        return examples

    def check(self, options: DataOptions) -> None:
        """Raises `InputError` for an option that says nothing about this job's data."""
        for field in dataclasses.fields(DataOptions):
            given = getattr(options, field.name) != default(field)
            if given and field.name not in (*self.reads, "strict"):
                (name,) = (name for name, job in JOBS.items() if job is self)
                raise InputError(f"--{field.name}: {name} has no such thing")

    @property
    def has_classes(self) -> bool:
        """Whether labels are names of classes."""
        return self.takes("classes") and self.problem_type != "regression"

    def takes(self, argument: str) -> bool:
        """Whether the model's constructor has an argument of this name."""
        return argument in inspect.signature(self.task.__init__).parameters

    def scores(self, model: Task, examples: Examples, *, batch_size: int = 32) -> dict[str, float]:
        """Keras's metrics of compiled models, and the task's official ones over all examples.

        The model is scored as it is. One that may find no answer does so by the threshold that is
        stored with it, `no_answer_threshold`, which is among the scores then.
        """
        labels = examples.labels or None
        found = {}
        with answering("score"):
            if _has_loss(model, examples):
                found = model.evaluate(
                    examples.texts,
                    labels,
                    batch_size,
                    verbose=0,
                    callbacks=[CountBatches(batch_size)],
                    return_dict=True,
                )
            found |= model.score(examples.texts, labels, batch_size=batch_size)
        if has_threshold(model, examples):
            found["no_answer_threshold"] = model.no_answer_threshold
            if model.no_answer_threshold is None:
                say(
                    f'{model.name} has no threshold for "no answer", so that it answers every '
                    f"question of {examples.source}; fine-tuning with --validation stores one"
                )
        return found

    def validate(
        self, model: Task, examples: Examples, *, batch_size: int = 32
    ) -> dict[str, float]:
        """The scores on validation data, from which the model takes its threshold if it has one.

        They are therefore the best that any threshold gives on these data: what a test set is
        scored with is `scores`.
        """
        if not has_threshold(model, examples):
            return self.scores(model, examples, batch_size=batch_size)
        with answering("score"):
            found = model.tune_threshold(examples.texts, examples.labels, batch_size=batch_size)
        return {**found, "no_answer_threshold": model.no_answer_threshold}


def has_threshold(model: Task, examples: Examples) -> bool:
    """Whether a threshold decides if these questions are answered: some have no answer."""
    return isinstance(model, QuestionAnswerer) and some_unanswerable(examples)


def some_unanswerable(examples: Examples) -> bool:
    """Whether there are questions without an answer among these."""
    labels = examples.labels or ()
    return any(isinstance(label, dict) and not label["text"] for label in labels)


def _has_loss(model: Task, examples: Examples) -> bool:
    """Whether the model could learn from such examples, so that there is a loss to report."""
    if isinstance(model, TextEmbedder):
        return (model.objective == "similarity") == bool(examples.labels)
    return not isinstance(model, QuestionAnswerer)


# === Texts with labels ===


def _read_labelled(problem_type: str):
    def read(path: str, options: DataOptions) -> Examples:
        if options.glue:
            of_task = "text_classification" if glue.task(options.glue).classes else "regression"
            if (of_task == "regression") != (problem_type == "regression"):
                raise InputError(f"--glue {options.glue} is for --task {of_task}")
        return read_examples(
            path,
            text_column=options.text_column,
            text_pair_column=options.text_pair_column,
            label_column=_label_columns(options, problem_type),
            column_names=split_names(options.column_names),
            problem_type=problem_type,
            label_separator=options.label_separator,
            glue=options.glue,
            strict=options.strict,
        )

    return read


def _label_columns(options: DataOptions, problem_type: str) -> str | list[str] | None:
    """The column of the label or, of several labels, perhaps a column for each."""
    given = options.label_column
    if given and "," in given and problem_type == "multi_label_classification":
        return split_names(given)
    return given


def _classified(problem_type: str):
    def facts(train: Examples) -> dict:
        classes = {} if problem_type == "regression" else {"classes": train.classes}
        return {**classes, "problem_type": problem_type, "pair": keys.TEXT_PAIR in train.texts}

    return facts


def _majority_class(train: Examples, validation: Examples) -> dict:
    classes = train.classes
    ((majority, _),) = collections.Counter(train.labels).most_common(1)
    right = np.array([classes.index(label) for label in validation.labels])
    guesses = np.full_like(right, classes.index(majority))
    return classification.single_label(right, guesses, len(classes))


def _majority_set(train: Examples, validation: Examples) -> dict:
    ((majority, _),) = collections.Counter(map(tuple, train.labels)).most_common(1)

    def targets(sets):
        return np.array([[name in own for name in train.classes] for own in sets], int)

    return classification.multi_label(
        targets(validation.labels), targets([majority] * len(validation))
    )


def _mean_value(train: Examples, validation: Examples) -> dict:
    right = np.array(validation.labels, float).reshape(len(validation), -1)
    mean = np.array(train.labels, float).reshape(len(train), -1).mean(axis=0)
    return {"mse": float(np.mean((right - mean) ** 2))}


def _classify(model: TextClassifier, columns: Mapping[str, Sequence]) -> list[dict]:
    return model.classify(dict(columns))


def _labelled(problem_type: str, metric: str, baseline, *more: str) -> Job:
    return Job(
        TextClassifier,
        _read_labelled(problem_type),
        (*_COLUMNS, "glue", *more),
        _classified(problem_type),
        baseline,
        _classify,
        metric,
        problem_type,
    )


# === Words ===


def _read_words(path: str, options: DataOptions) -> Examples:
    return read_columns(
        path,
        word_column=options.word_column,
        label_column=label_number(options),
        comment=options.comment,
        strict=options.strict,
    )


def label_number(options: DataOptions) -> int | str:
    """The number of the column with the labels of words, or "auto"."""
    if options.label_column is None:
        return "auto"
    try:
        return int(options.label_column)
    except ValueError:
        raise InputError(
            f"--label_column must be a number here, found {options.label_column!r}"
        ) from None


def _majority_tag(train: Examples, validation: Examples) -> dict:
    tags = collections.Counter(itertools.chain.from_iterable(train.labels))
    ((majority, _),) = tags.most_common(1)
    guesses = [[majority] * len(own) for own in validation.labels]
    found = {"accuracy": entities.accuracy(validation.labels, guesses)}
    if entities.are_entity_tags(train.classes):
        found["f1"] = entities.entity_scores(validation.labels, guesses)["f1"]
    return found


def _tag(model: TokenClassifier, columns: Mapping[str, Sequence]) -> list[dict]:
    if keys.WORDS in columns:
        sentences = [list(words) for words in columns[keys.WORDS]]
        texts = map(" ".join, sentences)
    else:
        sentences = texts = columns[keys.TEXT]
    joins = entities.are_entity_tags(model.classes)
    return [
        {
            "words": [word.word for word in found],
            "labels": [word.label for word in found],
            "scores": [round(word.score, 4) for word in found],
            **({"entities": list(map(_rounded, join(text, found)))} if joins else {}),
        }
        for text, found in zip(texts, model.tag(sentences), strict=True)
    ]


def _rounded(entity: Entity) -> dict:
    return {**entity._asdict(), "score": round(entity.score, 4)}


# === Questions ===


def _read_questions(path: str, options: DataOptions) -> Examples:
    return read_squad(path, strict=options.strict)


def _without_threshold(train: Examples) -> dict:
    """A threshold belongs to the weights that it was tuned for; validation finds the new one."""
    return {"no_answer_threshold": None}


def _no_answer(train: Examples, validation: Examples) -> dict:
    right = [label["text"] for label in validation.labels]
    nothing = [""] * len(validation)
    if all(right):
        return squad.evaluate_v1(right, nothing)
    found = squad.evaluate_v2(right, nothing)
    return {name: found[name] for name in ("exact_match", "f1")}


def _answer(model: QuestionAnswerer, columns: Mapping[str, Sequence]) -> list[dict]:
    found = model.answer(columns[keys.QUESTION], columns[keys.CONTEXT])
    return [
        {"answer": one.text, "score": round(one.score, 4), "start": one.start, "end": one.end}
        for one, *_ in found
    ]


# === Choices, pairs, texts alone ===


def _read_choices(path: str, options: DataOptions) -> Examples:
    return read_choices(path, strict=options.strict)


def _majority_place(train: Examples, validation: Examples) -> dict:
    ((majority, _),) = collections.Counter(train.labels).most_common(1)
    return {"accuracy": float(np.mean(np.array(validation.labels) == majority))}


def _choose(model: MultipleChoice, columns: Mapping[str, Sequence]) -> list[dict]:
    found = model.choose(columns[keys.TEXT], columns[keys.CHOICES])
    return [{"answer": choice, "score": round(score, 4)} for choice, score in found]


def _read_pairs(path: str, options: DataOptions) -> Examples:
    columns = {
        keys.TEXT: options.text_column,
        keys.TEXT_PAIR: options.text_pair_column,
        "score": options.label_column,
    }
    return read_pairs(
        path,
        columns={name: column for name, column in columns.items() if column},
        column_names=split_names(options.column_names),
        highest_score=options.highest_score,
        strict=options.strict,
    )


def _pairing(train: Examples) -> dict:
    if train.labels:
        say(f"{train.source}: pairs with scores, which cosines learn (objective similarity)")
        return {"objective": "similarity"}
    say(
        f"{train.source}: pairs without scores, which find each other among all pairs of a batch "
        "(objective contrastive)"
    )
    return {"objective": "contrastive"}


def _embed(model: TextEmbedder, columns: Mapping[str, Sequence]) -> list[dict]:
    vectors = model.embed(columns[keys.TEXT])
    return [{"embedding": [round(float(x), 6) for x in vector]} for vector in vectors]


def _read_texts(path: str, options: DataOptions) -> Examples:
    return read_texts(
        path,
        text_column=options.text_column,
        column_names=split_names(options.column_names),
        strict=options.strict,
    )


def _fill(model: MaskedLM, columns: Mapping[str, Sequence]) -> list[dict]:
    return [
        {
            "masks": [
                [{"token": g.token, "score": round(g.score, 4)} for g in mask] for mask in masks
            ]
        }
        for masks in model.fill_mask(columns[keys.TEXT], strict=False)
    ]


def _nothing(*_) -> dict:
    return {}


JOBS = {
    "text_classification": _labelled("single_label_classification", "accuracy", _majority_class),
    "multi_label": _labelled(
        "multi_label_classification", "micro_f1", _majority_set, "label_separator"
    ),
    "regression": _labelled("regression", "pearson", _mean_value),
    "token_classification": Job(
        TokenClassifier,
        _read_words,
        ("word_column", "label_column", "comment"),
        lambda train: {"classes": train.classes},
        _majority_tag,
        _tag,
        "f1",
    ),
    "question_answering": Job(
        QuestionAnswerer, _read_questions, (), _without_threshold, _no_answer, _answer, "f1"
    ),
    "multiple_choice": Job(
        MultipleChoice, _read_choices, (), _nothing, _majority_place, _choose, "accuracy"
    ),
    "embedding": Job(
        TextEmbedder,
        _read_pairs,
        (*_COLUMNS, "highest_score"),
        _pairing,
        _nothing,
        _embed,
        "spearman",
    ),
    "masked_lm": Job(
        MaskedLM,
        _read_texts,
        ("text_column", "column_names"),
        _nothing,
        _nothing,
        _fill,
        "perplexity",
    ),
}


def job(name: str) -> Job:
    """The job of `--task`."""
    return JOBS[name]


def job_of(model: Task) -> Job:
    """The job that a model does.

    Raises:
        InputError: it does none.
    """
    if isinstance(model, Pretrainer):
        return JOBS["masked_lm"]
    for job in JOBS.values():
        if type(model) is job.task and getattr(model, "problem_type", None) == job.problem_type:
            return job
    raise InputError(f"there is no job for a {type(model).__name__}")
