"""The options of the programs.

Nothing heavy is imported here, so that help and errors appear at once.
"""

import dataclasses
import difflib

from kerasbert.data.options import ColumnOptions, DataOptions
from kerasbert.errors import InputError
from kerasbert.families import PRESETS
from kerasbert.options import LARGEST_SEED, Options, option
from kerasbert.tasks import registry

OPTIMIZERS = ("adamw", "lamb")
DECAYS = ("linear", "cosine", "polynomial", "constant")
#: From a precision to Keras's dtype policy.
POLICIES = {"float32": "float32", "bfloat16": "mixed_bfloat16", "float16": "mixed_float16"}
EXPORT_PRECISIONS = ("float32", "bfloat16")
STRATEGIES = ("none", "mirrored", "multiworker", "tpu")
FORMATS = ("kerasbert", "hf", "kerashub", "google")
#: Options that may differ between a run and the one that goes on from its checkpoints.
_CHANGEABLE_ON_RESUME = (
    "output",
    "strategy",
    "num_virtual_devices",
    "workers",
    "checkpoint_every_steps",
    "checkpoint_every_minutes",
    "keep_checkpoints",
    "dry_run",
)
_MOST_DEVICES = 256  # of one machine
_MOST_EXAMPLES = 1_000_000  # at a time
#: Of a run; names of checkpoints have ten digits.
MOST_STEPS = 1_000_000_000
_LEARNING = "optimization"
_WEIGHTS = "trainable weights"
_SAVING = "memory and speed"
_KEEPING = "checkpoints and model selection"
_DEVICES = "distribution"


def check_preset(name: str | None) -> None:
    """Raises `InputError` for a name that no preset has; None is none."""
    if name and name not in PRESETS:
        near = difflib.get_close_matches(name, PRESETS, n=3)
        known = f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(PRESETS)}"
        raise InputError(f"--preset: there is no preset {name!r}; {known}")


# === Text -> vocabulary, corpus ===


@dataclasses.dataclass(frozen=True, kw_only=True)
class BuildVocabOptions(Options):
    """Options of `build_vocab`."""

    input: list[str] = option(
        help="text: file, glob or tfds:NAME[:SPLIT]; plain text with empty lines between "
        "documents, JSON lines with 'text', or WikiExtractor output, optionally .gz; may be "
        "repeated"
    )
    vocab_size: int = option(
        30_000,
        help="maximum vocabulary size, including the five special tokens",
        least=10,
        most=1_000_000,
    )
    output: str = option(help="vocabulary file to write")
    lowercase: bool = option(True, help="lower-case the text and strip accents")
    min_frequency: int = option(
        2, help="minimum frequency of a pair of subwords to be merged", least=1
    )
    alphabet_size: int | None = option(
        None,
        help="number of characters to keep, most frequent first; default: as many as cover 99.99 % "
        "of the text, in at most three quarters of the vocabulary",
        least=1,
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class PrepareCorpusOptions(Options):
    """Options of `prepare_corpus`."""

    input: list[str] = option(help="text, as in build_vocab.py; may be repeated")
    vocab: str | None = option(None, help="WordPiece vocabulary file")
    tokenizer: str | None = option(
        None, help="instead of --vocab: a model, as in convert.py, whose tokenizer to use"
    )
    output: str = option(help="corpus directory to write; must not exist")
    lowercase: bool = option(True, help="whether --vocab is lower-cased")
    tokens_per_shard: int = option(1 << 24, help="approximate number of tokens per shard", least=1)

    def __post_init__(self):
        super().__post_init__()
        if (self.vocab is None) == (self.tokenizer is None):
            raise InputError("either --vocab or --tokenizer must be given; --help lists the flags")


# === Training ===


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainingOptions(Options):
    """Options of every program that trains."""

    optimizer: str = option("adamw", help="optimizer", choices=OPTIMIZERS, group=_LEARNING)
    warmup: float = option(
        0.1,
        help="fraction of the steps in which the learning rate warms up",
        least=0,
        most=1,
        group=_LEARNING,
    )
    decay: str = option(
        "linear", help="learning rate schedule after the warm-up", choices=DECAYS, group=_LEARNING
    )
    weight_decay: float = option(
        0.01, help="weight decay; biases and LayerNorm are excluded", least=0, group=_LEARNING
    )
    clip_norm: float = option(
        1.0,
        help="maximum gradient norm over the global batch; 0: none",
        least=0,
        group=_LEARNING,
    )
    ema: float | None = option(
        None,
        help="momentum of an exponential moving average of the weights, which is then evaluated "
        "and saved",
        above=0,
        below=1,
        group=_LEARNING,
    )
    layer_decay: float | None = option(
        None,
        help="layer-wise learning rate decay: each layer's rate relative to the layer above; "
        "default: no decay",
        above=0,
        below=1,
        group=_WEIGHTS,
    )
    freeze_layers: int = option(
        0, help="freeze the embeddings and the first N layers", least=0, group=_WEIGHTS
    )
    freeze: list[str] = option(
        [],
        help="freeze weights whose path begins with this, such as layer_0; may be repeated",
        group=_WEIGHTS,
    )
    accumulation_steps: int = option(
        1,
        help="number of microbatches that each batch is split into, to save memory",
        least=1,
        group=_SAVING,
    )
    gradient_checkpointing: bool = option(
        False, help="recompute activations for the gradient, to save memory", group=_SAVING
    )
    precision: str = option(
        "float32",
        help="compute dtype: float32, bfloat16, or float16 (with loss scaling); weights stay "
        "float32",
        choices=POLICIES,
        group=_SAVING,
    )
    steps_per_execution: int = option(
        1, help="training steps per Python callback", least=1, group=_SAVING
    )
    deterministic: bool = option(
        False,
        help="bitwise reproducible on GPUs too, but slower; CPUs always are",
        group=_SAVING,
    )
    monitor: str | None = option(
        None,
        help="keep the model with the best value of this metric, such as val_accuracy, instead of "
        "the last",
        group=_KEEPING,
    )
    patience: int = option(
        0,
        help="with --monitor: stop after this many evaluations without improvement",
        least=0,
        group=_KEEPING,
    )
    checkpoint_every_steps: int = option(
        0, help="steps from one checkpoint to the next; 0: off", least=0, group=_KEEPING
    )
    checkpoint_every_minutes: float = option(
        10.0, help="minutes from one checkpoint to the next; 0: off", least=0, group=_KEEPING
    )
    keep_checkpoints: int = option(
        3, help="number of recent checkpoints to keep", least=1, group=_KEEPING
    )
    strategy: str = option(
        "none",
        help="none (one device), mirrored (all GPUs), multiworker (TF_CONFIG) or tpu",
        choices=STRATEGIES,
        group=_DEVICES,
    )
    num_virtual_devices: int = option(
        0,
        help="number of virtual CPU devices, for testing mirrored",
        least=0,
        most=_MOST_DEVICES,
        group=_DEVICES,
    )
    workers: int = option(
        1,
        help="number of multiworker processes to start on this machine",
        least=1,
        most=_MOST_DEVICES,
        group=_DEVICES,
    )
    dry_run: bool = option(
        False, help="print the model, a batch and the estimated time, and write nothing"
    )
    seed: int = option(
        0,
        help="seed for initialization, shuffling and all other randomness",
        least=0,
        most=LARGEST_SEED,
    )

    @property
    def settings(self) -> dict:
        """The options that a run must be gone on with."""
        return {k: v for k, v in dataclasses.asdict(self).items() if k not in _CHANGEABLE_ON_RESUME}

    @property
    def dtype(self) -> str:
        """The Keras dtype policy of `precision`."""
        return POLICIES[self.precision]

    def __post_init__(self):
        super().__post_init__()
        if self.patience and not self.monitor:
            raise InputError("--patience needs --monitor")
        if self.accumulation_steps > self.batch_size:
            raise InputError(
                f"--accumulation_steps={self.accumulation_steps}: a batch of {self.batch_size} "
                "can't be split into more microbatches than it has examples (--batch_size)"
            )

    def _monitors_what_is_there(self, validation: str | None, flag: str) -> None:
        if self.monitor and self.monitor.startswith("val_") and not validation:
            raise InputError(f"--monitor={self.monitor} needs {flag}")


@dataclasses.dataclass(frozen=True, kw_only=True)
class PretrainOptions(TrainingOptions):
    """Options of `pretrain`."""

    corpus: str = option(help="corpus directory written by prepare_corpus.py")
    validation_corpus: str | None = option(
        None, help="another corpus with the same vocabulary, for evaluation only"
    )
    preset: str | None = option(None, help="architecture, such as bert_base; default: bert_tiny")
    init: str | None = option(
        None,
        help="instead of --preset: model to start from, as in convert.py, with the corpus's "
        "tokenizer",
    )
    steps: int = option(10_000, help="training steps", least=1, most=MOST_STEPS)
    batch_size: int = option(
        64, help="examples per step, over all devices", least=1, most=_MOST_EXAMPLES
    )
    sequence_length: int = option(128, help="tokens per example", least=8)
    learning_rate: float = option(1e-3, help="peak learning rate, after the warm-up", above=0)
    dropout: float = option(
        0.1, help="dropout rate of the encoder; 0 suits short runs", least=0, below=1
    )
    objective: str = option(
        "nsp",
        help="nsp (next sentence prediction) or sop (sentence order prediction)",
        choices=("nsp", "sop"),
    )
    mask_rate: float = option(
        0.15, help="fraction of the tokens that are predicted", above=0, below=1
    )
    whole_word: bool = option(
        False, help="whole word masking: mask all subwords of a word together"
    )
    output: str = option(help="run directory; the model is output/model")
    validation_every: int = option(
        500,
        help="evaluation interval in steps; each evaluation is a line of metrics.jsonl",
        least=1,
    )
    validation_batches: int = option(
        32, help="batches of the validation corpus per evaluation", least=1
    )

    def __post_init__(self):
        super().__post_init__()
        if self.init and self.preset:
            raise InputError(
                f"--init={self.init} has an architecture already; leave --preset={self.preset} out"
            )
        check_preset(self.preset)
        self._monitors_what_is_there(self.validation_corpus, "--validation_corpus")

    @property
    def start(self) -> str:
        """The model or the architecture that training starts from."""
        return self.init or self.preset or "bert_tiny"


@dataclasses.dataclass(frozen=True, kw_only=True)
class EpochOptions(TrainingOptions, DataOptions):
    """Options of every program that trains on examples."""

    validation: str | None = option(None, help="examples for evaluation only")
    epochs: int = option(3, help="number of epochs", least=1, most=MOST_STEPS)
    batch_size: int = option(
        32, help="examples (for long texts: windows) per step", least=1, most=_MOST_EXAMPLES
    )
    sequence_length: int | None = option(
        None, help="maximum tokens per sequence; default: as in the initial model", least=1
    )
    learning_rate: float = option(5e-5, help="peak learning rate, after the warm-up", above=0)
    dropout: float | None = option(
        None,
        help="dropout rate of the whole model; default: as in the initial model",
        least=0,
        below=1,
    )
    validation_every: int = option(
        0, help="evaluation interval in steps; 0: once per epoch", least=0
    )
    output: str = option(help="run directory; the model is output/model")

    def __post_init__(self):
        super().__post_init__()
        self._monitors_what_is_there(self.validation, "--validation")


@dataclasses.dataclass(frozen=True, kw_only=True)
class FinetuneOptions(EpochOptions):
    """Options of `finetune`."""

    task: str = option("text_classification", help="task to train", choices=registry.spec_names)
    init: str = option(help="model to start from: RUN/model, or any that convert.py reads")
    train: str = option(help="examples: .tsv, .csv, .jsonl, CoNLL columns or SQuAD JSON")
    classes: str | None = option(
        None,
        help="classes in order, comma-separated; examples with other labels are skipped; default: "
        "all labels of --train",
    )
    label_smoothing: float = option(
        0.0, help="fraction of each label that is spread over all classes", least=0, below=1
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
class DistilOptions(EpochOptions):
    """Options of `distil`."""

    teacher: str = option(help="model to imitate: RUN/model")
    student: str | None = option(
        None, help="model to train: an architecture such as bert_tiny, or any model to start from"
    )
    student_layers: int = option(
        0,
        help="instead of --student: number of teacher layers to copy, evenly spaced",
        least=0,
    )
    train: list[str] = option(
        help="examples, as in finetune.py, or with --alpha=1 without labels, as in predict.py; may "
        "be repeated"
    )
    temperature: float = option(
        2.0, help="temperature that both models' logits are divided by", above=0
    )
    alpha: float = option(
        0.5,
        help="weight of the teacher's outputs in the loss; the labels have the rest",
        least=0,
        most=1,
    )
    hidden: str | None = option(
        None, help="also match hidden states, with mse or cosine", choices=("mse", "cosine")
    )
    attention: str | None = option(
        None, help="also match attention, with mse or kl", choices=("mse", "kl")
    )
    hidden_weight: float = option(1.0, help="loss weight of the hidden states, per layer", least=0)
    attention_weight: float = option(1.0, help="loss weight of the attention, per layer", least=0)

    def __post_init__(self):
        super().__post_init__()
        if bool(self.student) == bool(self.student_layers):
            raise InputError("give either --student or --student_layers")


# === Trained models ===


@dataclasses.dataclass(frozen=True, kw_only=True)
class ModelOptions(Options):
    """Options of every program that loads a model."""

    model: str = option(help="model directory, such as RUN/model")
    pair: bool = option(
        False,
        help="the classifier takes text pairs; needed only for formats other than kerasbert's",
    )

    @property
    def overrides(self) -> dict:
        """What is said of the model beside what its directory says."""
        return {"pair": True} if self.pair else {}


@dataclasses.dataclass(frozen=True, kw_only=True)
class EvaluateOptions(DataOptions, ModelOptions):
    """Options of `evaluate`."""

    model: str | None = option(None, help="model directory, such as RUN/model")
    predictions: str | None = option(
        None, help="instead of --model: predictions in the format of --metric's official script"
    )
    no_answer: str | None = option(
        None, help="with --predictions: SQuAD 2.0's no-answer probabilities"
    )
    metric: str | None = option(
        None, help="with --predictions: squad1, squad2 or seqeval", choices=registry.metric_names
    )
    data: str = option(
        help="examples of the model's task, as in finetune.py; for a pretrained model a corpus "
        "directory"
    )
    tune_threshold: bool = option(
        False,
        help="use the no-answer threshold that is best on --data itself instead of the stored one; "
        "an upper bound, not a test score",
    )
    batch_size: int | None = option(
        None, help="examples per batch; default: 32, with a corpus 64", least=1, most=_MOST_EXAMPLES
    )
    batches: int = option(32, help="number of batches of a corpus to evaluate", least=1)
    seed: int = option(
        1,
        help="seed for the masks and pairs that are drawn from a corpus",
        least=0,
        most=LARGEST_SEED,
    )

    def __post_init__(self):
        super().__post_init__()
        if (self.model is None) == (self.predictions is None):
            raise InputError("give --model, or --predictions with --metric")
        if self.predictions and self.pair:
            raise InputError("--pair is for --model; --predictions needs none")
        if self.model and (self.metric or self.no_answer):
            raise InputError("--metric and --no_answer are for --predictions; a model has its own")
        if self.no_answer and self.metric != "squad2":
            raise InputError("--no_answer is for --metric squad2")
        if self.predictions and self.tune_threshold:
            raise InputError("--tune_threshold is for --model; --no_answer gives best thresholds")
        if self.predictions and not self.metric:
            known = ", ".join(registry.metric_names())
            raise InputError(f"--metric must be one of {known}, found None")


@dataclasses.dataclass(frozen=True, kw_only=True)
class PredictOptions(ColumnOptions, ModelOptions):
    """Options of `predict`."""

    input: str = option(
        help="texts: .txt (one per line), .tsv, .csv, .jsonl with the task's columns (text, "
        "text_pair, words, question, context, choices); SQuAD .json; CoNLL columns, .conll"
    )
    output: str = option(
        help=".jsonl or .csv: a prediction for every row of the input, with its row number (row) "
        "and its id if present; or for official scripts: .json of answers, .conll of tags"
    )
    with_text: bool = option(False, help="include the texts in the predictions")
    batch_size: int = option(64, help="examples per batch", least=1, most=_MOST_EXAMPLES)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExportOptions(ModelOptions):
    """Options of `export`."""

    output: str = option(help="version directory to write, such as saved_models/NAME/1")
    precision: str = option(
        "float32",
        help="float32; or bfloat16: half the size, and faster on processors with bfloat16 matrix "
        "products; scores then differ in the third digit",
        choices=EXPORT_PRECISIONS,
    )
    overwrite: bool = option(False, help="replace an existing export")
    check: bool = option(True, help="compare the outputs with the model's, in a fresh process")


@dataclasses.dataclass(frozen=True, kw_only=True)
class QueryOptions(Options):
    """Options of `query`."""

    saved_model: str = option(help="export: its version directory, or the one above")
    text: list[str] = option(help="text, or question; may be repeated")
    text_pair: list[str] = option(
        [], help="second text, or the question's context; as often as --text"
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class ConvertOptions(Options):
    """Options of `convert`."""

    input: str = option(
        help="model directory in the format of Google, Hugging Face, KerasHub or kerasbert; "
        "hf://organization/name; or the name of a KerasHub preset"
    )
    output: str = option(help="directory to write; must not exist")
    format: str = option("kerasbert", help="format to write", choices=FORMATS)
    activation: str | None = option(
        None,
        help="convert to another activation, such as gelu_tanh where a format has no other GELU "
        "(google; kerashub's BERT); this changes the outputs slightly",
    )
    vocabulary_size: int | None = option(
        None, help="resize the token embeddings: old rows are kept, new ones are random", least=1
    )
    max_sequence_length: int | None = option(
        None,
        help="resize the position embeddings: additional ones repeat the old ones from the first "
        "on",
        least=1,
    )


# === Many jobs at once ===


@dataclasses.dataclass(frozen=True, kw_only=True)
class QuickstartOptions(Options):
    """Options of `quickstart`."""

    output: str = option(
        "runs/quickstart", help="directory for all files; an earlier run is replaced"
    )
    saved_model: str = option("saved_models/quickstart/1", help="directory for the export")
    vocab_size: int = option(6_000, help="vocabulary size", least=6)
    preset: str = option("bert_tiny", help="architecture")
    steps: int = option(2_200, help="pretraining steps", least=1, most=MOST_STEPS)
    batch_size: int = option(32, help="examples per pretraining step", least=1, most=_MOST_EXAMPLES)
    sequence_length: int = option(64, help="tokens per example", least=8)
    epochs: int = option(2, help="epochs of fine-tuning", least=1, most=MOST_STEPS)
    seed: int = option(0, help="seed for all randomness", least=0, most=LARGEST_SEED)

    def __post_init__(self):
        super().__post_init__()
        check_preset(self.preset)
