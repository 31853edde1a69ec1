"""Fine-tuning a pretrained model on examples of a task."""

import inspect
import pathlib
from typing import Any

import keras

from kerasbert import lazy
from kerasbert.data.examples import Examples
from kerasbert.data.options import split_names
from kerasbert.errors import InputError, about
from kerasbert.recipes.data_format import data_format
from kerasbert.recipes.epochs import train_epochs
from kerasbert.recipes.options import FinetuneOptions
from kerasbert.recipes.training import begin
from kerasbert.tasks.registry import get_spec
from kerasbert.tasks.spec import TaskSpec
from kerasbert.tasks.task import Task
from kerasbert.training.launch import spread


def finetune(options: FinetuneOptions) -> dict[str, Any]:
    """Trains a task; returns its scores and those of a constant baseline.

    `output/model` is written atomically when training has ended.
    """
    spec = get_spec(options.task)
    if options.on_jax:
        with lazy.quiet_imports():
            lazy.import_tensorflow(for_text=True)
    if (result := spread(options.workers)) is not None:
        return result
    with begin(options) as strategy:
        return _finetune(spec, options, strategy)


def _finetune(spec: TaskSpec, options: FinetuneOptions, strategy) -> dict:
    smoothing = _smoothing(spec, options)
    train = spec.examples(options.train, options, _classes(spec, options))
    validation = None
    if options.validation:
        classes = train.classes if spec.has_classes else None
        validation = spec.examples(options.validation, options, classes)
    spec.check_validation(train, validation)
    keras.utils.set_random_seed(options.seed)
    with strategy.scope():
        model = build(spec, train, options)
    model.data_format = data_format(options, spec)
    with about(f"--init={options.init}"):
        model.check_takes_text()
    new_weights, text = model.uninitialized_weights, model.preprocessor
    assert text is not None
    rows = text.rows(train.texts, train.labels or None, _weights(model, train, options))
    baseline = spec.baseline(train, validation) if validation else None
    result = train_epochs(
        options,
        strategy,
        model,
        rows,
        examples=len(train),
        spec=spec,
        answers=model,
        validation=validation,
        title=f"{options.task} on {pathlib.Path(options.train).name}",
        verb="finetune",
        initial=options.init,
        source=options.train,
        baseline=baseline,
        **smoothing,
    )
    result = {"task": options.task, **result, "train_examples": len(train)}
    result["train_left_out"] = train.num_skipped
    result |= spec.results(model)
    result["new_weights"] = new_weights
    if validation:
        result["baseline"] = baseline
    return result


def _classes(spec: TaskSpec, options: FinetuneOptions) -> list[str] | None:
    """Returns the classes of `--classes`, or None."""
    if options.classes is None:
        return None
    if not spec.has_classes:
        raise InputError(f"--classes is not supported by the task {options.task}")
    classes = split_names(options.classes) or []
    if len(set(classes)) < len(classes) or not all(classes):
        raise InputError(f"--classes must be different names, found {options.classes!r}")
    return classes


def _smoothing(spec: TaskSpec, options: FinetuneOptions) -> dict[str, float]:
    """Returns the argument of the task's `compile` for `--label_smoothing`, if that is given."""
    if not options.label_smoothing:
        return {}
    if "label_smoothing" not in inspect.signature(spec.task.compile).parameters:
        raise InputError(f"--label_smoothing is not supported by the task {options.task}")
    return {"label_smoothing": options.label_smoothing}


def build(spec: TaskSpec, train: Examples, options: FinetuneOptions) -> Task:
    """Creates the task from `options.init`, with the settings that the training data determine."""
    arguments = {**spec.model_kwargs(train), "sequence_length": options.sequence_length}
    if options.long_text:
        if not spec.accepts("long_text"):
            raise InputError(f"--long_text is not supported by the task {options.task}")
        arguments["long_text"] = options.long_text
    backbone = {}
    if options.dropout is not None:
        backbone = {"dropout": options.dropout, "attention_dropout": options.dropout}
        arguments |= {"dropout": options.dropout} if spec.accepts("dropout") else {}
    return spec.task.from_preset(options.init, backbone=backbone, dtype=options.dtype, **arguments)


def _weights(model: Task, train: Examples, options: FinetuneOptions):
    """Returns the weights of the examples, or None."""
    if not options.class_weight:
        return None
    if not hasattr(model, "class_weights"):
        raise InputError(f"--class_weight is not supported by the task {options.task}")
    weights = {}
    for pair in options.class_weight:
        name, _, weight = pair.rpartition("=")
        try:
            weights[name] = float(weight)
        except ValueError:
            raise InputError(f"--class_weight must be CLASS=WEIGHT, found {pair!r}") from None
    return model.class_weights(train.labels, weights)
