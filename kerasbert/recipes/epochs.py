"""Training for a number of epochs on the examples of files, for `finetune` and `distill`."""

import math
from typing import Any

from kerasbert.data.examples import Examples
from kerasbert.data.text_batches import Rows
from kerasbert.errors import InputError
from kerasbert.features import TEXT
from kerasbert.recipes.compiling import compile_for
from kerasbert.recipes.dry_run import dry_run
from kerasbert.recipes.model_cards import model_card
from kerasbert.recipes.options import EpochOptions
from kerasbert.recipes.options.shared import MAX_STEPS
from kerasbert.recipes.training import Run, log_start
from kerasbert.tasks.spec import TaskSpec
from kerasbert.tasks.task import Task
from kerasbert.tasks.uninitialized import frozen_at_random
from kerasbert.text.packing import few_lengths

# Metrics in the plot besides a task's primary one, if the task has them.
_ALSO_DRAWN = ("accuracy", "exact_match")


def train_epochs(
    options: EpochOptions,
    strategy: Any,
    model: Any,
    rows: Rows,
    *,
    examples: int,
    spec: TaskSpec,
    answers: Task,
    validation: Examples | None,
    title: str,
    verb: str,
    initial: str,
    source: str,
    baseline: dict[str, Any] | None = None,
    **compile_arguments: Any,
) -> dict[str, Any]:
    """Trains a model on rows as configured.

    Args:
        options: options of the program.
        strategy: distribution strategy.
        model: model to train, created in the scope of `strategy`.
        rows: rows of the training examples.
        examples: number of training examples.
        spec: task spec of `answers`.
        answers: task to score: `model`, or a part of it.
        validation: examples to score, or None.
        title: title of the plot.
        verb: label of the progress bar.
        initial: model that training begins with, for the model card.
        source: names of the training files, for the model card.
        baseline: scores of a constant answer on `validation`.
        **compile_arguments: as in `compile_for`.

    Returns:
        The result of `Run.finish`, with scores if there is `validation`; or the result of a dry
        run.

    Raises:
        InputError: the number of steps exceeds `MAX_STEPS`, or random weights are frozen.
    """
    steps_per_epoch = math.ceil(len(rows) / options.batch_size)
    steps = options.epochs * steps_per_epoch
    if steps > MAX_STEPS:
        raise InputError(
            f"--epochs={options.epochs}: {steps:,} steps, at most {MAX_STEPS:,} are possible"
        )
    report_every = options.validation_interval or steps_per_epoch
    # The last batch of an epoch has fewer rows.
    shapes = 2 * len(few_lengths(answers.sequence_length))
    with strategy.scope():
        compile_for(
            options, model, steps, report_every=report_every, shapes=shapes, **compile_arguments
        )
    if frozen := frozen_at_random(answers):
        raise InputError(
            f"--freeze, --freeze_layers: {', '.join(frozen)} would stay random, as {initial} has "
            "none; let them train"
        )
    text = model.preprocessor
    if model.needs_few_shapes:
        text = text.with_few_lengths()

    def batches(step):
        return text.training_batches(
            rows, batch_size=options.batch_size, seed=options.seed, start=step
        )

    run = None if options.dry_run else Run(options, strategy)
    log_start(options, strategy, verb, _described(answers, rows, examples), steps)
    if run is None:
        return dry_run(model, batches, steps)
    run.train(
        model,
        batches,
        steps,
        report_every=report_every,
        validate=(lambda: spec.validate(answers, validation)) if validation else None,
        title=title,
        verb=verb,
        scores=dict.fromkeys((spec.primary_metric, *_ALSO_DRAWN)),
        baseline=baseline,
        same_loss=model is answers,
    )
    report = run.report()
    tuned = f"val_{spec.tuned_setting}"
    if spec.tuned_setting and tuned in report:
        # A run resumed after its last evaluation has it only in metrics.jsonl.
        setattr(answers, spec.tuned_setting, report[tuned])
    card = model_card(
        options,
        report,
        initial=initial,
        train={source: examples},
        validation={str(options.validation): len(validation)} if validation else {},
    )
    result = run.finish(model, card)
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
    """Describes the number of examples, and how many of them are truncated."""
    count = f"{examples:,} example{'s' * (examples != 1)}"
    if len(rows) != examples:
        count += f" in {len(rows):,} windows"
    text = task.preprocessor
    if text is None or TEXT not in rows.x:
        return count
    truncated = text.count_truncated(rows)
    return f"{count}, {truncated:,} of them cut (sequence_length is {task.sequence_length})"
