"""Pretrained model + examples of a task -> fine-tuned model."""

import dataclasses
import math

import keras

from kerasbert.data.examples import Examples
from kerasbert.errors import InputError
from kerasbert.options import option
from kerasbert.recipes.jobs import JOBS, DataOptions, Job, job
from kerasbert.recipes.training import Run, TrainingOptions, dry_run
from kerasbert.tasks import Task
from kerasbert.training.launch import spread


@dataclasses.dataclass(frozen=True, kw_only=True)
class FinetuneOptions(TrainingOptions, DataOptions):
    """Options of `finetune`."""

    task: str = option("text_classification", help=f"one of {', '.join(JOBS)}")
    init: str = option(help="the model to start from: RUN/model, or any that convert.py reads")
    train: str = option(help="examples: .tsv, .csv, .jsonl, CoNLL columns or SQuAD's JSON")
    validation: str | None = option(None, help="examples that are not trained on")
    epochs: int = option(3, help="times through the examples")
    batch_size: int = option(32, help="examples (of long texts: windows) a step")
    sequence_length: int | None = option(
        None, help="tokens that are read at once; default: as in pretraining"
    )
    learning_rate: float = option(5e-5, help="the peak, after the warm-up")
    dropout: float | None = option(None, help="everywhere; default: as in the model")
    label_smoothing: float = option(0.0, help="share of a label that is spread over all classes")
    class_weight: list[str] = option(
        [], help="CLASS=WEIGHT of a class that counts more or less than 1; may be repeated"
    )
    long_text: str | None = option(
        None, help="read texts of any length in chunks, pooled by mean, max or attention"
    )
    validation_every: int = option(0, help="steps between two reports; 0: one after every epoch")
    output: str = option(help="the run directory; the model is output/model")


def finetune(options: FinetuneOptions) -> dict:
    """Trains a task; returns its scores beside those of an answer that is always the same.

    The model appears under `output/model` when training has ended, whole or not at all.
    """
    options.check()
    work = job(options.task)
    if options.epochs < 1 or options.batch_size < 1:
        raise InputError("--epochs and --batch_size must be 1 or more")
    if (result := spread(options.workers)) is not None:
        return result
    strategy = options.make_strategy()
    train = work.examples(options.train, options)
    validation = work.examples(options.validation, options) if options.validation else None
    if validation and work.takes("classes"):
        validation.check_classes(train.classes)
    keras.utils.set_random_seed(options.seed)
    with strategy.scope():
        model = build(work, train, options)
    rows = model.rows(train.texts, train.labels or None, _weights(model, train, options))
    steps_per_epoch = math.ceil(len(rows) / options.batch_size)
    steps = options.epochs * steps_per_epoch
    smoothing = {"label_smoothing": options.label_smoothing} if options.label_smoothing else {}
    with strategy.scope():
        options.compile(model, options.learning_rate, steps, **smoothing)

    def batches(step):
        return model.training_batches(
            rows, batch_size=options.batch_size, seed=options.seed, start=step
        )

    if options.dry_run:
        return dry_run(model, batches, steps)
    run = Run(options, strategy)
    run.train(
        model,
        batches,
        steps,
        report_every=options.validation_every or steps_per_epoch,
        validate=(lambda: work.scores(model, validation)) if validation else None,
        title=f"{options.task} on {options.train}",
        verb="finetune",
    )
    report = run.report()
    result = {"task": options.task, **run.finish(model), "train_examples": len(train)}
    if work.takes("classes"):
        result["classes"] = list(model.classes)
    result["new_weights"] = model.new_weights
    if validation:
        scores = {k.removeprefix("val_"): v for k, v in report.items() if k.startswith("val_")}
        result["validation_examples"] = len(validation)
        result[work.metric] = scores.get(work.metric)
        result["scores"] = scores
        result["baseline"] = work.baseline(train, validation)
    return result


def build(work: Job, train: Examples, options: FinetuneOptions) -> Task:
    """The task with the weights of `options.init`, as the training examples ask for it."""
    facts = {**work.facts(train), "sequence_length": options.sequence_length}
    if options.long_text:
        if not work.takes("long_text"):
            raise InputError(f"--long_text: {options.task} has no such thing")
        facts["long_text"] = options.long_text
    backbone = {}
    if options.dropout is not None:
        backbone = {"dropout": options.dropout, "attention_dropout": options.dropout}
        facts |= {"dropout": options.dropout} if work.takes("dropout") else {}
    return work.task.from_preset(options.init, backbone=backbone, dtype=options.dtype, **facts)


def _weights(model: Task, train: Examples, options: FinetuneOptions):
    """The examples' weights, or None."""
    if not options.class_weight:
        return None
    if not hasattr(model, "class_weights"):
        raise InputError(f"--class_weight: {options.task} has no such thing")
    weights = {}
    for pair in options.class_weight:
        name, _, weight = pair.rpartition("=")
        try:
            weights[name] = float(weight)
        except ValueError:
            raise InputError(f"--class_weight must be CLASS=WEIGHT, found {pair!r}") from None
    return model.class_weights(train.labels, weights)
