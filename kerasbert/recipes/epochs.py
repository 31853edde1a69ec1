"""Epochs over the examples of files: what `finetune` and `distil` have in common."""

import dataclasses
import math

from kerasbert.data.examples import Examples
from kerasbert.data.text_batches import Rows
from kerasbert.errors import InputError
from kerasbert.options import option
from kerasbert.recipes.jobs import DataOptions, Job
from kerasbert.recipes.training import Run, TrainingOptions, dry_run
from kerasbert.tasks import Task


@dataclasses.dataclass(frozen=True, kw_only=True)
class EpochOptions(TrainingOptions, DataOptions):
    """Options of every program that trains on examples."""

    validation: str | None = option(None, help="examples that are not trained on")
    epochs: int = option(3, help="times through the examples")
    batch_size: int = option(32, help="examples (of long texts: windows) a step")
    sequence_length: int | None = option(
        None, help="tokens that are read at once; default: as in the model to start from"
    )
    learning_rate: float = option(5e-5, help="the peak, after the warm-up")
    dropout: float | None = option(None, help="everywhere; default: as in the model to start from")
    validation_every: int = option(0, help="steps between two reports; 0: one after every epoch")
    output: str = option(help="the run directory; the model is output/model")

    def check(self) -> None:
        """Raises `InputError` for a value that can't be."""
        super().check()
        if self.epochs < 1 or self.batch_size < 1:
            raise InputError("--epochs and --batch_size must be 1 or more")


def train_epochs(
    options: EpochOptions,
    strategy,
    model,
    rows: Rows,
    *,
    work: Job,
    answers: Task,
    validation: Examples | None,
    title: str,
    verb: str,
    **compile_arguments,
) -> dict:
    """Trains as the options say.

    Args:
        options: of the program.
        strategy: where it computes.
        model: what is trained, made in the scope of `strategy`.
        rows: of the training examples.
        work: what `answers` does.
        answers: the task that is scored; `model`, or a part of it.
        validation: what it is scored on, or None.
        title: of the curves.
        verb: what the bar says.
        **compile_arguments: see `TrainingOptions.compile`.

    Returns:
        What there is to say of the run: `Run.finish`, and the scores if there is `validation`; or,
        with `options.dry_run`, of what it would be.
    """
    steps_per_epoch = math.ceil(len(rows) / options.batch_size)
    steps = options.epochs * steps_per_epoch
    with strategy.scope():
        options.compile(model, options.learning_rate, steps, **compile_arguments)

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
        validate=(lambda: work.scores(answers, validation)) if validation else None,
        title=title,
        verb=verb,
    )
    report = run.report()
    result = run.finish(model)
    if validation:
        scores = {k.removeprefix("val_"): v for k, v in report.items() if k.startswith("val_")}
        result["validation_examples"] = len(validation)
        result[work.metric] = scores.get(work.metric)
        result["scores"] = scores
    return result
