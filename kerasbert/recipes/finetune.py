"""Pretrained model + labelled texts -> classifier."""

import collections
import dataclasses
import math

import keras

from kerasbert.data.examples import Examples, read_examples
from kerasbert.errors import InputError
from kerasbert.options import option
from kerasbert.tasks import TextClassifier
from kerasbert.training.optimizers import Warmup, adamw
from kerasbert.training.progress import TrainingBar
from kerasbert.training.run_directory import ReportMetrics, RunDirectory


@dataclasses.dataclass(frozen=True, kw_only=True)
class FinetuneOptions:
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
    warmup: float = option(0.1, help="share of the steps in which the learning rate rises")
    dropout: float | None = option(None, help="everywhere; default: as in the model")
    seed: int = option(0, help="decides the new weights and the order of the texts")
    output: str = option(help="the run directory; the model is output/model")


def finetune(options: FinetuneOptions) -> dict:
    """Trains a `TextClassifier`; returns its accuracy beside the majority class's.

    The model appears under `output/model` when training has ended, whole or not at all.
    """
    train = _read(options.train, options)
    validation = _read(options.validation, options) if options.validation else None
    classes = train.classes
    if validation:
        validation.check_classes(classes)
    if options.epochs < 1 or options.batch_size < 1:
        raise InputError("--epochs and --batch_size must be 1 or more")
    keras.utils.set_random_seed(options.seed)
    model = _build(train, classes, options)
    run = RunDirectory(options.output, dataclasses.asdict(options))
    steps = options.epochs * math.ceil(len(train) / options.batch_size)
    model.compile(adamw(Warmup(options.learning_rate, steps, round(options.warmup * steps))))
    model.fit(
        train.texts,
        train.labels,
        batch_size=options.batch_size,
        epochs=options.epochs,
        validation_data=validation and (validation.texts, validation.labels),
        callbacks=[TrainingBar("finetune", steps), ReportMetrics(run, f"finetune {options.train}")],
        verbose=0,
    )
    model.save_to_preset(run.model)
    result = {
        "model": str(run.model),
        "classes": classes,
        "train_examples": len(train),
        "new_weights": model.new_weights,
        "curves": str(run.curves),
    }
    if validation:
        report = run.reports()[-1]
        result["validation_examples"] = len(validation)
        result["accuracy"] = report["val_accuracy"]
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
        **rates,
    )


def majority_accuracy(train: Examples, validation: Examples) -> float:
    """Accuracy of always naming the class that is most frequent in training."""
    ((majority, _),) = collections.Counter(train.labels).most_common(1)
    return validation.labels.count(majority) / len(validation)
