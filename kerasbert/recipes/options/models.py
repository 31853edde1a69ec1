"""Options of the programs that use a trained model."""

import dataclasses
import re
from typing import Any

from kerasbert.data.options import ColumnOptions, DataOptions
from kerasbert.errors import InputError
from kerasbert.options import LARGEST_SEED, Options, Program, option
from kerasbert.recipes.options.shared import (
    MAX_EXAMPLES,
    USE,
    check_directory,
    check_file,
    check_model,
    check_there,
)
from kerasbert.serving import urls
from kerasbert.serving.formats import FORMATS as EXPORT_FORMATS
from kerasbert.serving.formats import LITERT, ONNX, OPENVINO, SAVED_MODEL
from kerasbert.tasks import registry

_REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}", re.ASCII)
EXPORT_PRECISIONS = ("float32", "bfloat16")
FORMATS = ("kerasbert", "hf", "kerashub", "google")
_NO_INT8 = (
    "--precision int8 is not for a SavedModel: it would be no faster than bfloat16; use kerasbert "
    "export --format onnx or openvino"
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ModelOptions(Options):
    """Options of every program that loads a model."""

    model: str = option(
        help="model directory, such as RUN/model", reads=check_model, elsewhere=("init",)
    )
    pair: bool = option(
        False,
        help="the classifier takes text pairs; needed only for formats other than kerasbert's",
    )

    @property
    def overrides(self) -> dict[str, Any]:
        """Arguments that the options set in addition to the model directory."""
        return {"pair": True} if self.pair else {}


@dataclasses.dataclass(frozen=True, kw_only=True)
class EvaluateOptions(DataOptions, ModelOptions):
    """Options of `evaluate`."""

    program = Program(
        USE,
        "Evaluates a model or predictions on examples, or a model on a corpus.",
        ("--model runs/mine/finetune/model --data dev.tsv",),
    )

    model: str | None = option(
        None, help="model directory, such as RUN/model", reads=check_model, elsewhere=("init",)
    )
    predictions: str | None = option(
        None,
        help="instead of --model: predictions in the format of --metric's official script",
        reads=check_file,
    )
    no_answer_probabilities: str | None = option(
        None,
        help="with --predictions: SQuAD 2.0's no-answer probabilities",
        formerly="no_answer",
        reads=check_file,
    )
    metric: str | None = option(
        None, help="with --predictions: squad1, squad2 or seqeval", choices=registry.metric_names
    )
    data: str = option(
        help="examples of the model's task, as in kerasbert finetune; for a pretrained model a "
        "corpus directory",
        reads=check_there,
        elsewhere=("input", "test", "validation", "test_file", "validation_file"),
    )
    tune_threshold: bool = option(
        False,
        help="use the no-answer threshold that is best on --data itself instead of the stored one; "
        "an upper bound, not a test score",
    )
    batch_size: int | None = option(
        None,
        help="examples per batch; default: 32, with a corpus 64",
        minimum=1,
        maximum=MAX_EXAMPLES,
    )
    num_batches: int = option(
        32, help="number of batches of a corpus to evaluate", minimum=1, formerly="batches"
    )
    seed: int = option(
        1,
        help="seed for the masks and pairs that are drawn from a corpus",
        minimum=0,
        maximum=LARGEST_SEED,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if (self.model is None) == (self.predictions is None):
            raise InputError("give --model, or --predictions with --metric")
        if self.predictions and self.pair:
            raise InputError("--pair is for --model; --predictions needs none")
        if self.model and (self.metric or self.no_answer_probabilities):
            raise InputError(
                "--metric and --no_answer_probabilities can only be used with --predictions; with "
                "--model, the task determines the metrics"
            )
        if self.no_answer_probabilities and self.metric != "squad2":
            raise InputError("--no_answer_probabilities is for --metric squad2")
        if self.predictions and self.tune_threshold:
            raise InputError(
                "--tune_threshold is for --model; --no_answer_probabilities gives best thresholds"
            )
        if self.predictions and not self.metric:
            known = ", ".join(registry.metric_names())
            raise InputError(f"--metric must be one of {known}, found None")


@dataclasses.dataclass(frozen=True, kw_only=True)
class PredictOptions(ColumnOptions, ModelOptions):
    """Options of `predict`."""

    program = Program(
        USE,
        "Writes a model's prediction for every example of a file.",
        ("--model runs/mine/finetune/model --input dev.tsv\n--output runs/mine/answers.jsonl",),
    )

    input: str = option(
        help="texts: .txt (one per line), .tsv, .csv, .jsonl with the task's columns (text, "
        "text_pair, words, question, context, choices); SQuAD .json; CoNLL columns, .conll",
        reads=check_file,
        elsewhere=("data", "test", "file", "test_file"),
    )
    output: str = option(
        help=".jsonl or .csv: a prediction for every row of the input, with its row number (row) "
        "and its id if present; or for official scripts: .json of answers, .conll of tags"
    )
    include_text: bool = option(
        False, help="include the texts in the predictions", formerly="with_text"
    )
    batch_size: int = option(64, help="examples per batch", minimum=1, maximum=MAX_EXAMPLES)


@dataclasses.dataclass(frozen=True, kw_only=True)
class _ExportedOptions(ModelOptions):
    """Options of the programs that export a model."""

    precision: str = option(
        "float32",
        help="float32; or bfloat16: half the size, and faster on processors with bfloat16 matrix "
        "products; scores then differ in the third digit",
        choices=EXPORT_PRECISIONS,
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExportOptions(_ExportedOptions):
    """Options of `export`."""

    program = Program(
        USE,
        "Exports a model as a SavedModel that takes raw strings, or for another runtime.",
        (
            "--model runs/mine/finetune/model --output saved_models/mine/1",
            "--model runs/mine/finetune/model --output exports/mine --format onnx",
        ),
    )

    output: str = option(help="directory to write; of a SavedModel, such as saved_models/NAME/1")
    precision: str = option(
        "float32",
        help="float32; for a SavedModel also bfloat16, as in kerasbert serving_kit; for onnx and "
        "openvino also int8 weights: a quarter of the size",
        choices=(*EXPORT_PRECISIONS, "int8"),
    )
    format: str = option(
        SAVED_MODEL,
        help="a SavedModel takes strings; the others take tokens, which encode.py computes, and "
        "need an extra, such as pip install 'kerasbert[onnx]'",
        choices=EXPORT_FORMATS,
    )
    batch_size: int | None = option(
        None,
        help="litert: rows of the model, whose shapes are fixed; default: 1",
        minimum=1,
        maximum=MAX_EXAMPLES,
    )
    length: int | None = option(
        None, help="litert: tokens per row; default: the model's sequence length", minimum=4
    )
    attention: bool = option(
        False, help="add the signature `attention`, which the page of kerasbert serve draws"
    )
    overwrite: bool = option(False, help="replace an export that kerasbert wrote")
    check: bool = option(True, help="compare the outputs with the model's, in a fresh process")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.format != LITERT and (self.batch_size, self.length) != (None, None):
            raise InputError("--batch_size and --length are for --format litert")
        if self.format != SAVED_MODEL and self.attention:
            raise InputError(f"--attention is for --format {SAVED_MODEL}")
        if self.format == SAVED_MODEL and self.precision == "int8":
            raise InputError(_NO_INT8)
        fitting = ("int8",) if self.format in (ONNX, OPENVINO) else ()
        fitting = ("bfloat16",) if self.format == SAVED_MODEL else fitting
        if self.precision not in ("float32", *fitting):
            raise InputError(f"--precision {self.precision} does not go with {self.format}")


@dataclasses.dataclass(frozen=True, kw_only=True)
class ServingKitOptions(_ExportedOptions):
    """Options of `serving_kit`."""

    program = Program(
        USE,
        "Writes a folder that runs a model under TensorFlow Serving, with warm-up and README.",
        ("--model runs/mine/finetune/model --name mine --output kits/mine",),
    )

    name: str = option(help="the model's name, a part of its URL")
    output: str = option(help="folder to write")
    overwrite: bool = option(False, help="replace a kit that kerasbert wrote")
    check: bool = option(True, help="check the export, in a fresh process")

    def __post_init__(self) -> None:
        if self.precision == "int8":
            raise InputError(_NO_INT8)
        super().__post_init__()
        urls.check_name(self.name)


@dataclasses.dataclass(frozen=True, kw_only=True)
class UploadOptions(Options):
    """Options of `upload`."""

    program = Program(
        USE,
        "Uploads a model directory to Hugging Face's hub, with its model card.",
        ("runs/mine/finetune/model --to user/name --dry_run",),
    )
    positional = "model"

    model: str = option(
        help="model directory, such as RUN/model; also without --model", reads=check_directory
    )
    to: str = option(help="repository, user/name or organization/name; created if there is none")
    private: bool = option(False, help="if the repository is created, make it private")
    dry_run: bool = option(
        False, help="check the model and list what would be uploaded, without the network"
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if not _REPOSITORY.fullmatch(self.to):
            raise InputError(f"--to must be user/name or organization/name, found {self.to!r}")


@dataclasses.dataclass(frozen=True, kw_only=True)
class ConvertOptions(Options):
    """Options of `convert`."""

    program = Program(
        USE,
        "Converts a model between the formats of Google, Hugging Face, KerasHub and kerasbert.",
        ("--input runs/mine/pretrain/model --output runs/mine/hf --format hf",),
    )

    input: str = option(
        help="model directory in the format of Google, Hugging Face, KerasHub or kerasbert; "
        "hf://organization/name; or the name of a KerasHub preset",
        reads=check_model,
    )
    output: str = option(help="directory to write")
    format: str = option("kerasbert", help="format to write", choices=FORMATS)
    overwrite: bool = option(False, help="replace a model directory that kerasbert wrote")
    activation: str | None = option(
        None,
        help="convert to another activation, such as gelu_tanh where a format has no other GELU "
        "(google; kerashub's BERT); this changes the outputs slightly",
    )
    vocabulary_size: int | None = option(
        None, help="resize the token embeddings: old rows are kept, new ones are random", minimum=1
    )
    max_sequence_length: int | None = option(
        None,
        help="resize the position embeddings: additional ones repeat the old ones from the first "
        "on",
        minimum=1,
    )
