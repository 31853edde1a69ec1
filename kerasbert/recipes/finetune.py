"""Pretrained model + labelled texts -> classifier."""

import collections
import dataclasses
import math

import keras

from kerasbert.data.examples import Examples, read_examples
from kerasbert.errors import InputError
from kerasbert.options import option
from kerasbert.recipes.training import Run, TrainingOptions, dry_run
from kerasbert.tasks import TextClassifier
from kerasbert.training.launch import spread


@dataclasses.dataclass(frozen=True, kw_only=True)
class FinetuneOptions(TrainingOptions):
    """Options of `finetune`."""

    init: str = option(help="the model to start from: RUN/model, or any that convert.py reads")
    train: str = option(help="labelled texts: .tsv, .csv or .jsonl")
    validation: str | None = option(None, help="labelled texts that are not trained on")
    text_column: str | None = option(None, help="default: text, sentence, text_a or sentence1")
    text_pair_column: str | None = option(
        None, help="default: text_pair, text_b or sentence2, if there is one"
    )
    label_column: str = option("label", help="the column with the class names")
    epochs: int = option(3, help="times through the training texts")
    batch_size: int = option(32, help="texts a step")
    sequence_length: int | None = option(
        None, help="tokens a text may have, the rest is cut off; default: as in pretraining"
    )
    learning_rate: float = option(5e-5, help="the peak, after the warm-up")
    dropout: float | None = option(None, help="everywhere; default: as in the model")
    validation_every: int = option(0, help="steps between two reports; 0: one after every epoch")
    output: str = option(help="the run directory; the model is output/model")


def finetune(options: FinetuneOptions) -> dict:
    """Trains a `TextClassifier`; returns its accuracy beside the majority class's.

    The model appears under `output/model` when training has ended, whole or not at all.
    """
    options.check()
    if options.epochs < 1 or options.batch_size < 1:
        raise InputError("--epochs and --batch_size must be 1 or more")
    if (result := spread(options.workers)) is not None:
        return result
    strategy = options.make_strategy()
    train = _read(options.train, options)
    validation = _read(options.validation, options) if options.validation else None
    classes = train.classes
    if validation:
        validation.check_classes(classes)
    keras.utils.set_random_seed(options.seed)
    steps_per_epoch = math.ceil(len(train) / options.batch_size)
    steps = options.epochs * steps_per_epoch
    with strategy.scope():
        model = _build(train, classes, options)
        options.compile(model, options.learning_rate, steps)

    def batches(step):
        return model.training_batches(
            train.texts, train.labels, batch_size=options.batch_size, seed=options.seed, start=step
        )

    def validate():
        return model.evaluate(validation.texts, validation.labels, verbose=0, return_dict=True)

    if options.dry_run:
        return dry_run(model, batches, steps)
    run = Run(options, strategy)
    run.train(
        model,
        batches,
        steps,
        report_every=options.validation_every or steps_per_epoch,
        validate=validate if validation else None,
        title=f"finetune {options.train}",
        verb="finetune",
    )
    report = run.report()
    result = {
        **run.finish(model),
        "classes": classes,
        "train_examples": len(train),
        "new_weights": model.new_weights,
    }
    if validation:
        result["validation_examples"] = len(validation)
        result["accuracy"] = report.get("val_accuracy")
        result["majority_baseline"] = majority_accuracy(train, validation)
    return result


def _read(path: str, options: FinetuneOptions) -> Examples:
    return read_examples(
        path,
        text_column=options.text_column,
        text_pair_column=options.text_pair_column,
        label_column=options.label_column,
    )


def _build(train: Examples, classes: list[str], options: FinetuneOptions) -> TextClassifier:
    rates = {} if options.dropout is None else {"dropout": options.dropout}
    backbone = {**rates, **({"attention_dropout": options.dropout} if rates else {})}
    return TextClassifier.from_preset(
        options.init,
        classes=classes,
        pair=len(train.texts) == 2,
        sequence_length=options.sequence_length,
        backbone=backbone,
        dtype=options.dtype,
        **rates,
    )


def majority_accuracy(train: Examples, validation: Examples) -> float:
    """Accuracy of always naming the class that is most frequent in training."""
    ((majority, _),) = collections.Counter(train.labels).most_common(1)
    return validation.labels.count(majority) / len(validation)
