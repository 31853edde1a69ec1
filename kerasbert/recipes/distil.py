"""Trained model + smaller one + examples -> a small model that answers like the big one."""

import dataclasses
import itertools
import math
from collections.abc import Sequence

import keras

from kerasbert import zoo
from kerasbert.backbone import Backbone, BackboneConfig
from kerasbert.data.examples import Examples
from kerasbert.errors import InputError
from kerasbert.options import option
from kerasbert.recipes.jobs import DataOptions, Job, job_of
from kerasbert.recipes.training import Run, TrainingOptions, dry_run
from kerasbert.tasks import Task
from kerasbert.training.distillation import ATTENTION, HIDDEN, Distiller, student_from
from kerasbert.training.launch import spread

# What a head's own weights are like; all else about it is the teacher's.
_OF_THE_STUDENT = ("dropout", "layers", "combine", "tied", "activation", "layer_norm_epsilon")


@dataclasses.dataclass(frozen=True, kw_only=True)
class DistilOptions(TrainingOptions, DataOptions):
    """Options of `distil`."""

    teacher: str = option(help="the model to learn from: RUN/model")
    student: str | None = option(
        None, help="the model to train: an architecture such as bert_tiny, or any model to start at"
    )
    student_layers: int = option(
        0, help="instead: so many of the teacher's layers, evenly spaced, with their weights"
    )
    train: list[str] = option(help="examples, as in finetune.py; may be repeated")
    validation: str | None = option(None, help="examples that are not trained on")
    temperature: float = option(2.0, help="what the logits of both are divided by")
    alpha: float = option(
        0.5, help="the teacher's share in what answers are learned from, the labels' is the rest"
    )
    hidden: str | None = option(
        None, help=f"also learn hidden states, compared by {' or '.join(HIDDEN)}"
    )
    attention: str | None = option(
        None, help=f"also learn attention, compared by {' or '.join(ATTENTION)}"
    )
    hidden_weight: float = option(1.0, help="how much they count, for each layer")
    attention_weight: float = option(1.0, help="how much it counts, for each layer")
    epochs: int = option(3, help="times through the examples")
    batch_size: int = option(32, help="examples (of long texts: windows) a step")
    sequence_length: int | None = option(
        None, help="tokens that the student reads at once; default: as the teacher"
    )
    learning_rate: float = option(5e-5, help="the peak, after the warm-up")
    dropout: float | None = option(
        None, help="everywhere in the student; default: as in the model it starts at"
    )
    validation_every: int = option(0, help="steps between two reports; 0: one after every epoch")
    output: str = option(help="the run directory; the model is output/model")


def distil(options: DistilOptions) -> dict:
    """Trains a student; returns its scores beside its teacher's.

    The model appears under `output/model` when training has ended, whole or not at all.
    """
    options.check()
    if options.epochs < 1 or options.batch_size < 1:
        raise InputError("--epochs and --batch_size must be 1 or more")
    if bool(options.student) == bool(options.student_layers):
        raise InputError("give either --student, a model, or --student_layers, how many it has")
    if (result := spread(options.workers)) is not None:
        return result
    strategy = options.make_strategy()
    keras.utils.set_random_seed(options.seed)
    with strategy.scope():
        teacher = zoo.load_task(options.teacher, Task)
        work = job_of(teacher)
        student = _student(teacher, work, options)
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
    train = [work.examples(path, options) for path in options.train]
    validation = work.examples(options.validation, options) if options.validation else None
    if work.takes("classes"):
        for examples in (*train, *([validation] if validation else [])):
            examples.check_classes(teacher.classes)
    rows = student.rows(*_joined(train))
    steps_per_epoch = math.ceil(len(rows) / options.batch_size)
    steps = options.epochs * steps_per_epoch
    with strategy.scope():
        options.compile(model, options.learning_rate, steps)

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
        validate=(lambda: work.scores(student, validation)) if validation else None,
        title=f"{options.teacher} taught on {', '.join(options.train)}",
        verb="distil",
    )
    report = run.report()
    result = {
        **run.finish(model),
        "train_examples": sum(map(len, train)),
        "parameters": student.count_params(),
        "teacher_parameters": teacher.count_params(),
        "new_weights": student.new_weights,
    }
    if validation:
        scores = {k.removeprefix("val_"): v for k, v in report.items() if k.startswith("val_")}
        with strategy.scope():
            teacher.compile()
        result["validation_examples"] = len(validation)
        result[work.metric] = scores.get(work.metric)
        result["scores"] = scores
        result["teacher_scores"] = work.scores(teacher, validation)
    return result


def _student(teacher: Task, work: Job, options: DistilOptions) -> Task:
    """The task that is trained, before it has learned anything from the teacher."""
    dropout, rates = {}, {}
    if options.dropout is not None:
        rates = {"dropout": options.dropout, "attention_dropout": options.dropout}
        dropout = {"dropout": options.dropout} if work.takes("dropout") else {}
    head = {k: v for k, v in teacher.head_config().items() if k not in _OF_THE_STUDENT} | dropout
    length = options.sequence_length or teacher.sequence_length
    if options.student in zoo.list_presets():
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
    return student_from(
        teacher,
        options.student_layers,
        dtype=options.dtype,
        sequence_length=length,
        head=dropout,
        **rates,
    )


def _joined(files: Sequence[Examples]) -> tuple[dict, list | None]:
    """The texts and labels of several files, one after the other."""
    columns = list(files[0].texts)
    for examples in files:
        if list(examples.texts) != columns:
            raise InputError(
                f"{examples.source}: has {', '.join(examples.texts)}, but {files[0].source} has "
                f"{', '.join(columns)}"
            )
    texts = {
        column: list(itertools.chain.from_iterable(one.texts[column] for one in files))
        for column in columns
    }
    labels = [one.labels for one in files if one.labels]
    return texts, list(itertools.chain.from_iterable(labels)) or None
