"""Training a small model to imitate a large one."""

import dataclasses
import itertools
import pathlib
from collections.abc import Sequence
from typing import Any

import keras

from kerasbert import loading
from kerasbert.backbone import Backbone, BackboneConfig
from kerasbert.data.examples import Examples
from kerasbert.data.skipped import SkippedExamples
from kerasbert.distillation import Distiller, student_from
from kerasbert.errors import InputError, about
from kerasbert.recipes.data_format import data_format, with_columns_of
from kerasbert.recipes.epochs import train_epochs
from kerasbert.recipes.options import DistillOptions
from kerasbert.recipes.raw_examples import raw_examples
from kerasbert.recipes.training import begin
from kerasbert.tasks.registry import spec_of
from kerasbert.tasks.spec import ID, ROW, TaskSpec
from kerasbert.tasks.task import Task
from kerasbert.training.launch import spread
from kerasbert.training.progress import log


def distill(options: DistillOptions) -> dict[str, Any]:
    """Trains a student; returns its scores and its teacher's.

    `output/model` is written atomically when training has ended.
    """
    if (result := spread(options.workers)) is not None:
        return result
    with begin(options) as strategy:
        return _distill(options, strategy)


def _distill(options: DistillOptions, strategy) -> dict:
    keras.utils.set_random_seed(options.seed)
    with strategy.scope():
        teacher: Any = loading.load_task(options.teacher, Task)
        spec = spec_of(teacher)
        if options.temperature != 2.0 and teacher.outputs_are in ("numbers", "vector"):
            raise InputError(
                f"--temperature divides logits, which teachers of the task {spec.name} do not have"
            )
        student = _student(teacher, spec, options)
        with about(f"--student={options.student}"):
            student.check_takes_text()
        student.data_format = {**teacher.data_format, **data_format(options, spec)}
        model = Distiller(
            teacher,
            student,
            temperature=options.temperature,
            alpha=options.alpha,
            hidden=options.hidden,
            attention=options.attention,
            hidden_weight=options.hidden_weight,
            attention_weight=options.attention_weight,
        )
    new_weights, validation = student.uninitialized_weights, None
    if options.validation:
        validation = _examples(options.validation, teacher, spec, options)
    texts, labels = (
        _without_labels(teacher, spec, options)
        if options.alpha == 1
        else _labeled(teacher, spec, options)
    )
    assert student.preprocessor is not None  # it takes text
    rows, count = student.preprocessor.rows(texts, labels), len(next(iter(texts.values())))
    names = [pathlib.Path(path).name for path in options.train]
    result = train_epochs(
        options,
        strategy,
        model,
        rows,
        examples=count,
        spec=spec,
        answers=student,
        validation=validation,
        title=f"{options.teacher} taught on {', '.join(names)}",
        verb="distill",
        initial=options.student or options.teacher,
        source=", ".join(names),
    )
    result |= {
        "train_examples": count,
        "parameters": student.count_params(),
        "teacher_parameters": teacher.count_params(),
        "new_weights": new_weights,
    }
    if validation and not options.dry_run:
        with strategy.scope():
            teacher.compile()
        result["teacher_scores"] = spec.scores(teacher, validation)
    return result


def _student(teacher: Task, spec: TaskSpec, options: DistillOptions) -> Task:
    """Creates the student, before training."""
    dropout, rates = {}, {}
    if options.dropout is not None:
        rates = {"dropout": options.dropout, "attention_dropout": options.dropout}
        dropout = {"dropout": options.dropout} if spec.accepts("dropout") else {}
    head: dict[str, Any] = {
        k: v for k, v in teacher.head_config().items() if k not in spec.student_settings
    } | dropout
    length = options.sequence_length or teacher.sequence_length
    if options.student in loading.list_presets():
        size = teacher.backbone.config.vocabulary_size
        config = BackboneConfig.from_preset(options.student, vocabulary_size=size, **rates)
        if type(teacher).needs_pooler(config):
            config = dataclasses.replace(config, pooler=True)
        backbone = Backbone(config, dtype=options.dtype)
        return type(teacher)(backbone, tokenizer=teacher.tokenizer, sequence_length=length, **head)
    if options.student:
        return type(teacher).from_preset(
            options.student, backbone=rates, dtype=options.dtype, sequence_length=length, **head
        )
    with about(f"--student_layers={options.student_layers}"):
        return student_from(
            teacher,
            options.student_layers,
            dtype=options.dtype,
            sequence_length=length,
            head=dropout,
            **rates,
        )


def _examples(path: str, teacher: Task, spec: TaskSpec, options: DistillOptions) -> Examples:
    options = with_columns_of(teacher, options, spec, path, labels=True)
    return spec.examples(path, options, getattr(teacher, "classes", None))


def _labeled(teacher: Task, spec: TaskSpec, options: DistillOptions) -> tuple[dict, list | None]:
    """Reads texts and labels of the training files."""
    files_of_examples = [_examples(path, teacher, spec, options) for path in options.train]
    texts = _joined([examples.texts for examples in files_of_examples], options.train)
    labels = [examples.labels for examples in files_of_examples if examples.labels]
    return texts, list(itertools.chain.from_iterable(labels)) or None


def _without_labels(teacher: Task, spec: TaskSpec, options: DistillOptions) -> tuple[dict, None]:
    """Reads texts of the training files without labels; empty ones are skipped and counted."""
    files_of_examples = []
    for path in options.train:
        problems, examples = SkippedExamples(path, strict=options.strict, unit="row"), []
        used = with_columns_of(teacher, options, spec, path, labels=False)
        for example in raw_examples(path, teacher, spec, used):
            row, _ = example.pop(ROW), example.pop(ID, None)
            if empty := [key for key, text in example.items() if not "".join(text).strip()]:
                problems.note(row, f"empty {empty[0]}")
            else:
                examples.append(example)
        problems.report(log)
        if not examples:
            raise InputError(f"{path}: has no examples")
        columns = {key: [example[key] for example in examples] for key in examples[0]}
        files_of_examples.append(spec.unlabelled(teacher, columns))
    return _joined(files_of_examples, options.train), None


def _joined(parts: Sequence[dict], sources: Sequence[str]) -> dict:
    """Concatenates the columns of several files."""
    columns = list(parts[0])
    for part, source in zip(parts, sources, strict=True):
        if list(part) != columns:
            raise InputError(
                f"{source}: has {', '.join(part)}, but {sources[0]} has {', '.join(columns)}"
            )
    return {
        column: list(itertools.chain.from_iterable(part[column] for part in parts))
        for column in columns
    }
