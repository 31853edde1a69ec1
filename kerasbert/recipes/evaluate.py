"""Model + data, or predictions + data -> metrics."""

from kerasbert import zoo
from kerasbert.data.columns import read_columns
from kerasbert.data.corpus import Corpus
from kerasbert.data.pretraining import PretrainingBatches
from kerasbert.data.squad import read_predictions, read_squad
from kerasbert.errors import InputError
from kerasbert.metrics import entities, squad
from kerasbert.recipes.jobs import has_threshold, job_of
from kerasbert.recipes.options import EvaluateOptions
from kerasbert.tasks import Pretrainer, Task


def evaluate(options: EvaluateOptions) -> dict:
    """Measures a model, or somebody's predictions, on data."""
    if options.predictions:
        return {"data": options.data, **_METRICS[options.metric](options)}
    model = zoo.load_task(options.model, Task)
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
    scores = (work.validate if options.tune_threshold else work.scores)(model, examples)
    counts = {"examples": len(examples), "left_out": examples.left_out}
    return {**counts, **scores, **said}


def _pretrainer(model: Pretrainer, options: EvaluateOptions) -> dict:
    corpus = Corpus(options.data)
    if corpus.tokenizer.get_config() != model.tokenizer.get_config():
        raise InputError(f"{options.data}: was not prepared with the tokenizer of {options.model}")
    batches = PretrainingBatches(
        corpus,
        options.batch_size,
        model.sequence_length,
        seed=options.seed,
        objective=model.objective,
        mask_rate=model.mask_rate,
        whole_word=model.whole_word,
    )
    return model.evaluate(batches.dataset(steps=options.batches), verbose=0, return_dict=True)


# === Predictions ===


def _squad1(options: EvaluateOptions) -> dict:
    questions = read_squad(options.data, strict=options.strict)
    right = [label["text"] for label in questions.labels]
    if not all(right):
        raise InputError(f"{options.data}: has questions without an answer; --metric=squad2")
    return squad.evaluate_v1(right, read_predictions(options.predictions, questions.ids))


def _squad2(options: EvaluateOptions) -> dict:
    questions = read_squad(options.data, strict=options.strict)
    right = [label["text"] for label in questions.labels]
    answers = read_predictions(options.predictions, questions.ids)
    no_answer = options.no_answer and read_predictions(options.no_answer, questions.ids, float)
    return squad.evaluate_v2(right, answers, no_answer)


def _seqeval(options: EvaluateOptions) -> dict:
    right, found = (
        read_columns(path, scheme="any") for path in (options.data, options.predictions)
    )
    for name, one in (("words", lambda read: read.texts), ("sentences", len)):
        if one(right) != one(found):
            raise InputError(f"{options.predictions}: has other {name} than {options.data}")
    return entities.entity_scores(right.labels, found.labels)


_METRICS = {"squad1": _squad1, "squad2": _squad2, "seqeval": _seqeval}
