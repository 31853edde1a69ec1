"""The task spec of question answering: files in SQuAD's format."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from kerasbert.data.examples import Examples
from kerasbert.data.options import ColumnOptions, DataOptions
from kerasbert.data.squad import (
    read_predictions,
    read_right_answers,
    read_squad,
    write_predictions,
)
from kerasbert.errors import InputError
from kerasbert.features import CONTEXT, QUESTION
from kerasbert.metrics import squad
from kerasbert.tasks.question_answerer.model import QuestionAnswerer
from kerasbert.tasks.spec import ID, InputFormat, OutputFormat, TaskSpec
from kerasbert.training.progress import log, progress_bar

_JSON = ".json"


def some_unanswerable(examples: Examples) -> bool:
    """Whether some of these questions have no answer."""
    labels = examples.labels or ()
    return any(isinstance(label, dict) and not label["text"] for label in labels)


# === Questions and predictions in files ===


def _read_questions(path: str, options: ColumnOptions) -> dict[str, list]:
    questions = read_squad(path, with_answers=False)
    return {ID: questions.ids, **questions.texts}


def _id_checker() -> Callable[[dict], str | None]:
    """Checks that every example has an id of its own, which SQuAD's prediction files need."""
    ids = set()

    def fault(example: dict) -> str | None:
        id = example.get(ID)
        if isinstance(id, bool) or not isinstance(id, str | int):
            return f"has no id, so {_JSON} can't hold it"
        if str(id) in ids:
            return f"has the id of another, so {_JSON} can't hold it"
        ids.add(str(id))
        return None

    return fault


def _write_answers(path: str, answers: Iterable[dict]) -> None:
    results = [(str(one[ID]), one["answer"]) for one in answers]
    write_predictions(path, *zip(*results, strict=True))


class QuestionAnswering(TaskSpec):
    """Questions with contexts and answers."""

    name = "question_answering"
    task = QuestionAnswerer
    primary_metric = "f1"
    tuned_setting: str = "no_answer_threshold"
    input_formats: Mapping[str, InputFormat] = {_JSON: InputFormat(_read_questions)}
    output_formats: Mapping[str, OutputFormat] = {_JSON: OutputFormat(_id_checker, _write_answers)}

    def read(self, path: str, options: DataOptions) -> Examples:
        """Reads questions with `read_squad`."""
        return read_squad(path, strict=options.strict)

    def check_validation(self, train: Examples, validation: Examples | None) -> None:
        """Logs if no no-answer threshold can be tuned."""
        super().check_validation(train, validation)
        if some_unanswerable(train) and not (validation and some_unanswerable(validation)):
            log(
                f"{train.source} has questions without an answer, but --validation has none: no "
                "no-answer threshold can be tuned, so the model will always answer"
            )

    def model_kwargs(self, train: Examples) -> dict[str, Any]:
        """Resets the threshold, which belongs to the old weights; validation tunes a new one."""
        return {self.tuned_setting: None}

    def baseline(self, train: Examples, validation: Examples) -> dict[str, Any]:
        """Returns the scores of always predicting "no answer"."""
        right = [label["text"] for label in validation.labels]
        nothing = [""] * len(validation)
        if all(right):
            return squad.evaluate_v1(right, nothing)
        results = squad.evaluate_v2(right, nothing)
        return {name: results[name] for name in ("exact_match", "f1")}

    def has_loss(self, model: QuestionAnswerer, examples: Examples) -> bool:
        """Returns False: the loss is defined for windows, not for whole contexts."""
        return False

    def scores(
        self, model: QuestionAnswerer, examples: Examples, *, batch_size: int = 32
    ) -> dict[str, Any]:
        """Scores as `TaskSpec` does, with the threshold if some questions have no answer."""
        results = super().scores(model, examples, batch_size=batch_size)
        if self.can_tune(examples):
            results[self.tuned_setting] = model.no_answer_threshold
            if model.no_answer_threshold is None:
                log(
                    f"{model.name} has no no-answer threshold, so it answers every question of "
                    f"{examples.source}; fine-tuning with --validation stores a threshold"
                )
        return results

    def can_tune(self, examples: Examples) -> bool:
        """Whether some questions have no answer, so that the threshold matters."""
        return some_unanswerable(examples)

    def validate(
        self, model: QuestionAnswerer, examples: Examples, *, batch_size: int = 32
    ) -> dict[str, Any]:
        """Tunes the threshold, if some questions have no answer."""
        if not self.can_tune(examples):
            return self.scores(model, examples, batch_size=batch_size)
        with progress_bar("score"):
            results = model.tune_threshold(examples.texts, examples.labels, batch_size=batch_size)
        return {**results, self.tuned_setting: model.no_answer_threshold}

    def answers(
        self, model: QuestionAnswerer, columns: Mapping[str, Sequence[Any]]
    ) -> list[dict[str, Any]]:
        """Returns the best answer of each question, and its position."""
        results = model.answer(columns[QUESTION], columns[CONTEXT])
        return [
            {"answer": one.text, "score": round(one.score, 4), "start": one.start, "end": one.end}
            for one, *_ in results
        ]


# === Official scores of prediction files ===


def _squad1(data: str, predictions: str, options: DataOptions, no_answer: str | None) -> dict:
    ids, right = read_right_answers(data)
    if not all(right):
        raise InputError(f"{data}: has questions without an answer; use --metric=squad2")
    answers = _predicted(predictions, ids, options)
    return {**squad.evaluate_v1(right, answers), "missing": answers.count(None)}


def _squad2(data: str, predictions: str, options: DataOptions, no_answer: str | None) -> dict:
    ids, right = read_right_answers(data)
    answers = _predicted(predictions, ids, options)
    probabilities = None
    if no_answer:
        probabilities = read_predictions(no_answer, ids, float)
        for id, answer, probability in zip(ids, answers, probabilities, strict=True):
            if answer is not None and probability is None:
                raise InputError(f"{no_answer}: has no probability for question {id!r}")
        probabilities = [probability or 0.0 for probability in probabilities]
    return {**squad.evaluate_v2(right, answers, probabilities), "missing": answers.count(None)}


def _predicted(predictions: str, ids: Sequence[str], options: DataOptions) -> list[str | None]:
    """Returns the predictions by question; missing ones are None, and logged or refused."""
    answers = read_predictions(predictions, ids)
    missing = [id for id, answer in zip(ids, answers, strict=True) if answer is None]
    if missing:
        message = (
            f"{predictions}: has no prediction for {len(missing)} of {len(ids)} questions, "
            f"such as {missing[0]!r}"
        )
        if options.strict:
            raise InputError(message)
        log(f"{message}; they score 0")
    return answers


SPECS = (QuestionAnswering(),)
METRICS = {"squad1": _squad1, "squad2": _squad2}
