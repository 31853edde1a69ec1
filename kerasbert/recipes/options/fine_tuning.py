"""Options of the programs that train on examples: fine-tuning and distillation."""

import dataclasses

from kerasbert import lazy
from kerasbert.data.options import DataOptions
from kerasbert.errors import InputError
from kerasbert.options import Program, option
from kerasbert.recipes.options.shared import (
    MAX_EXAMPLES,
    MAX_STEPS,
    TRAIN,
    check_file,
    check_model,
    check_start,
)
from kerasbert.recipes.options.training import TrainingOptions
from kerasbert.tasks import registry

# Names of the tasks in other libraries, and what people call them.
_TASKS_ELSEWHERE = {
    "classification": "text_classification",
    "sentiment": "text_classification",
    "sentiment_analysis": "text_classification",
    "sequence_classification": "text_classification",
    "nli": "text_classification",
    "multi_label_classification": "multi_label",
    "sts": "regression",
    "ner": "token_classification",
    "pos": "token_classification",
    "tagging": "token_classification",
    "qa": "question_answering",
    "squad": "question_answering",
    "swag": "multiple_choice",
    "similarity": "embedding",
    "sentence_similarity": "embedding",
    "feature_extraction": "embedding",
    "mlm": "masked_lm",
    "fill_mask": "masked_lm",
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class EpochOptions(TrainingOptions, DataOptions):
    """Options of every program that trains on examples."""

    validation: str | None = option(
        None,
        help="examples for evaluation only",
        reads=check_file,
        elsewhere=("validation_file", "dev", "eval", "test", "val"),
    )
    epochs: int = option(
        3,
        help="number of epochs",
        minimum=1,
        maximum=MAX_STEPS,
        elsewhere=("num_train_epochs", "num_epochs"),
    )
    batch_size: int = option(
        32,
        help="examples (for long texts: windows) per step, over all devices",
        minimum=1,
        maximum=MAX_EXAMPLES,
        elsewhere=("train_batch_size", "per_device_train_batch_size"),
    )
    sequence_length: int | None = option(
        None,
        help="maximum tokens per sequence; default: as in the initial model",
        minimum=1,
        elsewhere=("max_seq_length", "max_length"),
    )
    learning_rate: float = option(
        5e-5,
        help="peak learning rate, after the warm-up",
        exclusive_minimum=0,
        elsewhere=("lr",),
    )
    dropout: float | None = option(
        None,
        help="dropout rate of the whole model; default: as in the initial model",
        minimum=0,
        exclusive_maximum=1,
    )
    validation_interval: int = option(
        0,
        help="evaluation interval in steps; 0: once per epoch",
        minimum=0,
        formerly="validation_every",
    )
    output: str = option(help="run directory; the model is output/model", elsewhere=("output_dir",))

    def __post_init__(self) -> None:
        super().__post_init__()
        self._monitors_what_is_there(self.validation, "--validation")

    def _check_jax(self) -> None:
        super()._check_jax()
        if not lazy.has_tensorflow():
            raise InputError(
                "--backend=jax tokenizes text with TensorFlow, which is missing: pip install "
                "tensorflow tensorflow-text; or give ready features to fit, in Python"
            )


@dataclasses.dataclass(frozen=True, kw_only=True)
class FinetuneOptions(EpochOptions):
    """Options of `finetune`."""

    program = Program(
        TRAIN,
        "Fine-tunes a pretrained model on examples of a task.",
        (
            "--init runs/mine/pretrain/model --train train.tsv\n"
            "--validation dev.tsv --epochs 3 --output runs/mine/finetune",
        ),
    )

    task: str = option(
        "text_classification",
        help="task to train",
        choices=registry.spec_names,
        synonyms=_TASKS_ELSEWHERE,
        elsewhere=("task_name",),
    )
    init: str = option(
        help="model to start from: RUN/model, or any that kerasbert convert reads",
        reads=check_model,
        elsewhere=("model", "model_name_or_path", "init_checkpoint"),
    )
    train: str = option(
        help="examples: .tsv, .csv, .jsonl, CoNLL columns or SQuAD JSON",
        reads=check_file,
        elsewhere=("train_file", "data", "dataset", "input"),
    )
    classes: str | None = option(
        None,
        help="classes in order, comma-separated; examples with other labels are skipped; default: "
        "all labels of --train",
    )
    label_smoothing: float = option(
        0.0,
        help="fraction of each label that is spread over all classes",
        minimum=0,
        exclusive_maximum=1,
    )
    class_weight: list[str] = option(
        [], help="CLASS=WEIGHT, for a class weight other than 1; may be repeated"
    )
    long_text: str | None = option(
        None,
        help="encode long texts in chunks, pooled by mean, max or attention, instead of truncating",
        choices=("mean", "max", "attention"),
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class DistillOptions(EpochOptions):
    """Options of `distill`."""

    program = Program(
        TRAIN,
        "Trains a small model to imitate a large one.",
        (
            "--teacher runs/mine/finetune/model --student_layers 1\n"
            "--train train.tsv --validation dev.tsv --output runs/mine/small",
        ),
    )

    teacher: str = option(help="model to imitate: RUN/model", reads=check_model)
    student: str | None = option(
        None,
        help="model to train: an architecture such as bert_tiny, or any model to start from",
        reads=check_start,
    )
    student_layers: int = option(
        0,
        help="instead of --student: number of teacher layers to copy, evenly spaced",
        minimum=0,
    )
    train: list[str] = option(
        help="examples, as in kerasbert finetune, or with --alpha=1 without labels, as in "
        "kerasbert predict; may be repeated",
        reads=check_file,
    )
    temperature: float = option(
        2.0, help="temperature that both models' logits are divided by", exclusive_minimum=0
    )
    alpha: float = option(
        0.5,
        help="weight of the distillation loss; the loss on the labels has 1 - alpha",
        minimum=0,
        maximum=1,
    )
    hidden: str | None = option(
        None, help="also match hidden states, with mse or cosine", choices=("mse", "cosine")
    )
    attention: str | None = option(
        None, help="also match attention, with mse or kl", choices=("mse", "kl")
    )
    hidden_weight: float = option(
        1.0, help="loss weight of the hidden states, per layer", minimum=0
    )
    attention_weight: float = option(1.0, help="loss weight of the attention, per layer", minimum=0)

    def __post_init__(self) -> None:
        super().__post_init__()
        if bool(self.student) == bool(self.student_layers):
            raise InputError("give either --student or --student_layers")
        for name in ("hidden", "attention"):
            if getattr(self, f"{name}_weight") != 1.0 and not getattr(self, name):
                raise InputError(f"--{name}_weight needs --{name}")

    def _check_jax(self) -> None:
        raise InputError("kerasbert distill trains on TensorFlow alone; give --backend=tensorflow")
