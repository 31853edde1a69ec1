"""Model + data, or predictions + data -> metrics."""

from collections.abc import Sequence

from kerasbert import zoo
from kerasbert.data.columns import read_columns
from kerasbert.data.corpus import Corpus
from kerasbert.data.pretraining import PretrainingBatches
from kerasbert.data.squad import read_predictions, read_right_answers
from kerasbert.errors import InputError
from kerasbert.metrics import entities, squad
from kerasbert.recipes.jobs import has_threshold, job_of, label_number
from kerasbert.recipes.options import EvaluateOptions
from kerasbert.recipes.training import say
from kerasbert.tasks import Pretrainer, Task
from kerasbert.training.progress import CountBatches, answering


def evaluate(options: EvaluateOptions) -> dict:
    """Measures a model, or somebody's predictions, on data."""
    if options.predictions:
        return {"data": options.data, **_METRICS[options.metric](options)}
    model = zoo.load_task(options.model, Task, **options.overrides)
    model.compile()
    found = _pretrainer if isinstance(model, Pretrainer) else _task
    return {"model": options.model, "data": options.data, **found(model, options)}


def _task(model: Task, options: EvaluateOptions) -> dict:
    work = job_of(model)
    examples = work.examples(options.data, options, getattr(model, "classes", None))
    said = {"baseline": work.baseline(examples, examples)}
    if options.tune_threshold:
        if not has_threshold(model, examples):
            raise InputError(
                f"--tune_threshold: {options.data} has no questions without an answer, from which "
                "a threshold could be found"
            )
        said["threshold_tuned_on"] = options.data
    measure = work.validate if options.tune_threshold else work.scores
    scores = measure(model, examples, batch_size=options.batch_size or 32)
    counts = {"examples": len(examples), "left_out": examples.left_out}
    return {**counts, **scores, **said}


def _pretrainer(model: Pretrainer, options: EvaluateOptions) -> dict:
    if options.tune_threshold:
        raise InputError("--tune_threshold: a pretrained model answers no questions")
    corpus = Corpus(options.data)
    if corpus.tokenizer.get_config() != model.tokenizer.get_config():
        raise InputError(f"{options.data}: was not prepared with the tokenizer of {options.model}")
    batches = PretrainingBatches(
        corpus,
        options.batch_size or 64,
        model.sequence_length,
        seed=options.seed,
        objective=model.objective,
        mask_rate=model.mask_rate,
        whole_word=model.whole_word,
    )
    with answering("evaluate"):
        return model.evaluate(
            batches.dataset(steps=options.batches),
            verbose=0,
            callbacks=[CountBatches(options.batch_size or 64)],
            return_dict=True,
        )


# === Predictions ===


def _squad1(options: EvaluateOptions) -> dict:
    ids, right = read_right_answers(options.data)
    if not all(right):
        raise InputError(f"{options.data}: has questions without an answer; --metric=squad2")
    answers = _predicted(options, ids)
    return {**squad.evaluate_v1(right, answers), "missing": answers.count(None)}


def _squad2(options: EvaluateOptions) -> dict:
    ids, right = read_right_answers(options.data)
    answers = _predicted(options, ids)
    no_answer = None
    if options.no_answer:
        no_answer = read_predictions(options.no_answer, ids, float)
        for id, answer, probability in zip(ids, answers, no_answer, strict=True):
            if answer is not None and probability is None:
                raise InputError(f"{options.no_answer}: has no probability for question {id!r}")
        no_answer = [probability or 0.0 for probability in no_answer]
    return {**squad.evaluate_v2(right, answers, no_answer), "missing": answers.count(None)}


def _predicted(options: EvaluateOptions, ids: Sequence[str]) -> list[str | None]:
    """Answers by the questions' ids; None where there is none, which is said, or refused."""
    answers = read_predictions(options.predictions, ids)
    missing = [id for id, answer in zip(ids, answers, strict=True) if answer is None]
    if missing:
        said = (
            f"{options.predictions}: has no prediction for {len(missing)} of {len(ids)} questions, "
            f"such as {missing[0]!r}"
        )
        if options.strict:
            raise InputError(said)
        say(f"{said}; they score 0")
    return answers


def _seqeval(options: EvaluateOptions) -> dict:
    right = read_columns(
        options.data,
        word_column=options.word_column,
        label_column=label_number(options),
        comment=options.comment,
        scheme="any",
        strict=options.strict,
    )
    found = read_columns(options.predictions, scheme="any", strict=options.strict)
    for one in (right, found):
        one.problems.report(say)
    for name, one in (("words", lambda read: read.texts), ("sentences", len)):
        if one(right) != one(found):
            raise InputError(f"{options.predictions}: has other {name} than {options.data}")
    return entities.entity_scores(right.labels, found.labels)


_METRICS = {"squad1": _squad1, "squad2": _squad2, "seqeval": _seqeval}
