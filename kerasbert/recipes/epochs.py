"""Epochs over the examples of files: what `finetune` and `distill` have in common."""

import math

from kerasbert.data.examples import Examples
from kerasbert.data.text_batches import Rows
from kerasbert.errors import InputError
from kerasbert.features import TEXT
from kerasbert.recipes.options import EpochOptions
from kerasbert.recipes.options.shared import MAX_STEPS
from kerasbert.recipes.training import Run, compile_for, dry_run, log_start
from kerasbert.tasks.spec import TaskSpec
from kerasbert.tasks.task import Task

# Metrics that the curves show beside a task's own, where there are such.
_ALSO_DRAWN = ("accuracy", "exact_match")


def train_epochs(
    options: EpochOptions,
    strategy,
    model,
    rows: Rows,
    *,
    examples: int,
    spec: TaskSpec,
    answers: Task,
    validation: Examples | None,
    title: str,
    verb: str,
    baseline: dict | None = None,
    **compile_arguments,
) -> dict:
    """Trains as the options say.

    Args:
        options: of the program.
        strategy: where it computes.
        model: what is trained, made in the scope of `strategy`.
        rows: of the training examples.
        examples: how many they are.
        spec: of `answers`.
        answers: the task that is scored; `model`, or a part of it.
        validation: what it is scored on, or None.
        title: of the curves.
        verb: what the bar says.
        baseline: what a constant answer reaches on `validation`.
        **compile_arguments: see `compile_for`.

    Returns:
        What there is to say of the run: `Run.finish`, and the scores if there is `validation`; or,
        with `options.dry_run`, of what it would be.
    """
    steps_per_epoch = math.ceil(len(rows) / options.batch_size)
    steps = options.epochs * steps_per_epoch
    if steps > MAX_STEPS:
        raise InputError(
            f"--epochs={options.epochs}: {steps:,} steps, at most {MAX_STEPS:,} are possible"
        )
    with strategy.scope():
        compile_for(options, model, steps, **compile_arguments)

    def batches(step):
        return model.preprocessor.training_batches(
            rows, batch_size=options.batch_size, seed=options.seed, start=step
        )

    run = None if options.dry_run else Run(options, strategy)
    log_start(options, strategy, verb, _described(answers, rows, examples), steps)
    if options.dry_run:
        return dry_run(model, batches, steps)
    run.train(
        model,
        batches,
        steps,
        report_every=options.validation_interval or steps_per_epoch,
        validate=(lambda: spec.validate(answers, validation)) if validation else None,
        title=title,
        verb=verb,
        scores=dict.fromkeys((spec.primary_metric, *_ALSO_DRAWN)),
        baseline=baseline,
        same_loss=model is answers,
    )
    report = run.report()
    tuned = f"val_{spec.tuned_setting}"
    if tuned in report:  # a run that went on after its last report has it from nowhere else
        setattr(answers, spec.tuned_setting, report[tuned])
    result = run.finish(model)
    if validation:
        scores = {k.removeprefix("val_"): v for k, v in report.items() if k.startswith("val_")}
        result["validation_examples"] = len(validation)
        result["validation_left_out"] = validation.num_skipped
        result[spec.primary_metric] = scores.get(spec.primary_metric)
        result["scores"] = scores
        if tuned in report:
            result["threshold_tuned_on"] = options.validation
    return result


def _described(task: Task, rows: Rows, examples: int) -> str:
    """How many examples there are, and how many of them are too long to be read as a whole."""
    count = f"{examples:,} example{'s' * (examples != 1)}"
    if len(rows) != examples:
        count += f" in {len(rows):,} windows"
    if TEXT not in rows.x:
        return count
    truncated = task.preprocessor.count_truncated(rows)
    return f"{count}, {truncated:,} of them cut (sequence_length is {task.sequence_length})"
