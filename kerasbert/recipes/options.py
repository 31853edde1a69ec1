"""The options of the programs.

Nothing heavy is imported here, so that help and refusals come at once.
"""

import dataclasses
import difflib

from kerasbert.errors import InputError
from kerasbert.families import PRESETS
from kerasbert.options import LARGEST_SEED, Options, option

OPTIMIZERS = ("adamw", "lamb")
DECAYS = ("linear", "cosine", "polynomial", "constant")
#: From a precision to Keras's dtype policy.
POLICIES = {"float32": "float32", "bfloat16": "mixed_bfloat16", "float16": "mixed_float16"}
EXPORT_PRECISIONS = ("float32", "bfloat16")
STRATEGIES = ("none", "mirrored", "multiworker", "tpu")
TASKS = (
    "text_classification",
    "multi_label",
    "regression",
    "token_classification",
    "question_answering",
    "multiple_choice",
    "embedding",
    "masked_lm",
)
FORMATS = ("kerasbert", "hf", "kerashub", "google")
METRICS = ("squad1", "squad2", "seqeval")
#: Options that may differ between a run and the one that goes on from its checkpoints.
_NOT_OF_THE_RUN = (
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
_LEARNING = "how it learns"
_WEIGHTS = "which weights learn"
_SAVING = "memory and speed"
_KEEPING = "what is kept"
_DEVICES = "where it computes"
_DATA = "what the files hold"


def split_names(joined: str | None) -> list[str] | None:
    """The names between commas, without the white space around them; None stays None."""
    return None if joined is None else [name.strip() for name in joined.split(",")]


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
        help="file, glob or tfds:NAME[:SPLIT] with text; plain text with empty lines between "
        "documents, JSON lines with 'text', WikiExtractor output, also .gz; may be repeated"
    )
    vocab_size: int = option(
        30_000,
        help="pieces at the most, the five special tokens included",
        least=10,
        most=1_000_000,
    )
    output: str = option(help="the vocabulary file to write")
    lowercase: bool = option(True, help="lower-case the text and drop accents")
    min_frequency: int = option(2, help="how often pieces must meet to be joined", least=1)
    alphabet_size: int | None = option(
        None,
        help="different characters kept, the most frequent; default: as many as make up 99.99 % of "
        "the text, in three quarters of the vocabulary at the most",
        least=1,
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class PrepareCorpusOptions(Options):
    """Options of `prepare_corpus`."""

    input: list[str] = option(help="text, as in build_vocab.py; may be repeated")
    vocab: str | None = option(None, help="a WordPiece vocabulary file")
    tokenizer: str | None = option(
        None, help="instead: a model, as in convert.py, whose tokenizer to use"
    )
    output: str = option(help="the corpus directory to write; must not exist")
    lowercase: bool = option(True, help="whether --vocab is of lower-cased text")
    tokens_per_shard: int = option(1 << 24, help="about how many tokens a shard has", least=1)

    def __post_init__(self):
        super().__post_init__()
        if (self.vocab is None) == (self.tokenizer is None):
            raise InputError("either --vocab or --tokenizer must be given; --help lists the flags")


# === Training ===


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainingOptions(Options):
    """Options of every program that trains."""

    optimizer: str = option(
        "adamw", help="turns gradients into steps", choices=OPTIMIZERS, group=_LEARNING
    )
    warmup: float = option(
        0.1,
        help="share of the steps in which the learning rate rises",
        least=0,
        most=1,
        group=_LEARNING,
    )
    decay: str = option(
        "linear", help="how the learning rate falls then", choices=DECAYS, group=_LEARNING
    )
    weight_decay: float = option(
        0.01, help="of all but biases and LayerNorm", least=0, group=_LEARNING
    )
    clip_norm: float = option(
        1.0,
        help="limit of the gradient's norm over the global batch; 0: none",
        least=0,
        group=_LEARNING,
    )
    ema: float | None = option(
        None,
        help="validate and save a moving average of the weights, of this momentum",
        above=0,
        below=1,
        group=_LEARNING,
    )
    layer_decay: float | None = option(
        None,
        help="every layer learns at so many times the rate of the one above; default: all alike",
        above=0,
        below=1,
        group=_WEIGHTS,
    )
    freeze_layers: int = option(
        0, help="embeddings and so many layers from the bottom stay", least=0, group=_WEIGHTS
    )
    freeze: list[str] = option(
        [],
        help="weights that stay, by the beginning of their path, such as layer_0; may be repeated",
        group=_WEIGHTS,
    )
    accumulation_steps: int = option(
        1,
        help="cut a batch into so many pieces, computed one after the other, to save memory",
        least=1,
        group=_SAVING,
    )
    gradient_checkpointing: bool = option(
        False, help="compute activations again for the gradient, to save memory", group=_SAVING
    )
    precision: str = option(
        "float32",
        help="of computing, not of weights: float32, bfloat16, or float16 (scales the loss)",
        choices=POLICIES,
        group=_SAVING,
    )
    steps_per_execution: int = option(
        1, help="steps between two looks at what happens", least=1, group=_SAVING
    )
    deterministic: bool = option(
        False,
        help="repeatable to the bit on GPUs too, but slower; on a CPU it is so anyway",
        group=_SAVING,
    )
    monitor: str | None = option(
        None,
        help="keep the model with the best such metric (val_accuracy, say), not the last",
        group=_KEEPING,
    )
    patience: int = option(
        0,
        help="with --monitor: stop after so many reports without a better one",
        least=0,
        group=_KEEPING,
    )
    checkpoint_every_steps: int = option(0, help="0: not because of steps", least=0, group=_KEEPING)
    checkpoint_every_minutes: float = option(
        10.0, help="0: not because of time", least=0, group=_KEEPING
    )
    keep_checkpoints: int = option(3, help="how many of the newest stay", least=1, group=_KEEPING)
    strategy: str = option(
        "none",
        help="none (one device), mirrored (all GPUs), multiworker (TF_CONFIG) or tpu",
        choices=STRATEGIES,
        group=_DEVICES,
    )
    num_virtual_devices: int = option(
        0,
        help="cut the CPU into so many, to try mirrored out",
        least=0,
        most=_MOST_DEVICES,
        group=_DEVICES,
    )
    workers: int = option(
        1,
        help="so many multiworker processes on this machine",
        least=1,
        most=_MOST_DEVICES,
        group=_DEVICES,
    )
    dry_run: bool = option(
        False, help="write nothing: show the model, a batch and how long the run would take"
    )
    seed: int = option(
        0,
        help="decides new weights, order and everything drawn at random",
        least=0,
        most=LARGEST_SEED,
    )

    @property
    def settings(self) -> dict:
        """The options that a run must be gone on with."""
        return {k: v for k, v in dataclasses.asdict(self).items() if k not in _NOT_OF_THE_RUN}

    @property
    def dtype(self) -> str:
        """The Keras dtype policy of `precision`."""
        return POLICIES[self.precision]

    def __post_init__(self):
        super().__post_init__()
        if self.patience and not self.monitor:
            raise InputError("--patience needs --monitor, the metric to be patient with")
        if self.accumulation_steps > self.batch_size:
            raise InputError(
                f"--accumulation_steps={self.accumulation_steps}: a batch of {self.batch_size} "
                "can't be cut into more pieces than it has examples (--batch_size)"
            )

    def _monitors_what_is_there(self, validation: str | None, flag: str) -> None:
        if self.monitor and self.monitor.startswith("val_") and not validation:
            raise InputError(f"--monitor={self.monitor} needs {flag}, what it is measured on")


@dataclasses.dataclass(frozen=True, kw_only=True)
class PretrainOptions(TrainingOptions):
    """Options of `pretrain`."""

    corpus: str = option(help="the corpus directory that prepare_corpus.py wrote")
    validation_corpus: str | None = option(
        None, help="another corpus, of the same vocabulary, never trained on"
    )
    preset: str | None = option(
        None, help="the architecture, such as bert_base; default: bert_tiny"
    )
    init: str | None = option(
        None, help="instead: a model to go on from, as in convert.py, of the corpus's tokenizer"
    )
    steps: int = option(10_000, help="training steps", least=1)
    batch_size: int = option(
        64, help="examples a step, over all devices", least=1, most=_MOST_EXAMPLES
    )
    sequence_length: int = option(128, help="tokens an example", least=8)
    learning_rate: float = option(1e-3, help="the peak, after the warm-up", above=0)
    dropout: float = option(
        0.1, help="everywhere in the encoder; 0 suits short runs", least=0, below=1
    )
    objective: str = option(
        "nsp", help="nsp (next sentence) or sop (sentence order)", choices=("nsp", "sop")
    )
    mask_rate: float = option(0.15, help="share of the tokens that are predicted", above=0, below=1)
    whole_word: bool = option(False, help="mask all pieces of a word together")
    output: str = option(help="the run directory; the model is output/model")
    validation_every: int = option(500, help="steps between two lines of metrics.jsonl", least=1)
    validation_batches: int = option(
        32, help="batches of the validation corpus that are looked at", least=1
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
class ColumnOptions(Options):
    """Where the texts of a file are."""

    text_column: str | None = option(
        None, help="default: text, sentence, text_a or sentence1", group=_DATA
    )
    text_pair_column: str | None = option(
        None, help="default: text_pair, text_b or sentence2, if there is one", group=_DATA
    )
    column_names: str | None = option(
        None,
        help="the columns, between commas, of a .tsv or .csv whose first line is an example",
        group=_DATA,
    )
    word_column: int | None = option(
        None,
        help="of columns of words the number of the column with the words, from 0; default: the "
        "first, or the second behind numbers 1, 2, ...",
        least=0,
        group=_DATA,
    )
    comment: str | None = option(
        None,
        help="what lines of columns of words start with that are no words; default: # where words "
        "have numbers",
        group=_DATA,
    )
    glue: str | None = option(None, help="the file is of this GLUE task, such as sst2", group=_DATA)


@dataclasses.dataclass(frozen=True, kw_only=True)
class DataOptions(ColumnOptions):
    """Options of every program that reads examples with labels."""

    label_column: str | None = option(
        None,
        help="default: label; of several labels perhaps a,b,c, a column of 1 and 0 for each; of "
        "columns of words the number of the column, from 0, default the last",
        group=_DATA,
    )
    label_separator: str | None = option(
        None,
        help="what stands between several labels; default: they are a list in JSON",
        group=_DATA,
    )
    highest_score: float | None = option(
        None,
        help="of pairs for embedding, what their scores are divided by: STS has 5; default: 1",
        above=0,
        group=_DATA,
    )
    strict: bool = option(
        False, help="stop at the first example that would be left out", group=_DATA
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class EpochOptions(TrainingOptions, DataOptions):
    """Options of every program that trains on examples."""

    validation: str | None = option(None, help="examples that are not trained on")
    epochs: int = option(3, help="times through the examples", least=1)
    batch_size: int = option(
        32, help="examples (of long texts: windows) a step", least=1, most=_MOST_EXAMPLES
    )
    sequence_length: int | None = option(
        None, help="tokens that are read at once; default: as in the model to start from", least=1
    )
    learning_rate: float = option(5e-5, help="the peak, after the warm-up", above=0)
    dropout: float | None = option(
        None, help="everywhere; default: as in the model to start from", least=0, below=1
    )
    validation_every: int = option(
        0, help="steps between two reports; 0: one after every epoch", least=0
    )
    output: str = option(help="the run directory; the model is output/model")

    def __post_init__(self):
        super().__post_init__()
        self._monitors_what_is_there(self.validation, "--validation")


@dataclasses.dataclass(frozen=True, kw_only=True)
class FinetuneOptions(EpochOptions):
    """Options of `finetune`."""

    task: str = option("text_classification", help="what is learnt", choices=TASKS)
    init: str = option(help="the model to start from: RUN/model, or any that convert.py reads")
    train: str = option(help="examples: .tsv, .csv, .jsonl, CoNLL columns or SQuAD's JSON")
    classes: str | None = option(
        None,
        help="the classes in their order, between commas; examples with other labels are left out; "
        "default: all labels of --train",
    )
    label_smoothing: float = option(
        0.0, help="share of a label that is spread over all classes", least=0, below=1
    )
    class_weight: list[str] = option(
        [], help="CLASS=WEIGHT of a class that counts more or less than 1; may be repeated"
    )
    long_text: str | None = option(
        None,
        help="read texts of any length in chunks, pooled by mean, max or attention",
        choices=("mean", "max", "attention"),
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class DistilOptions(EpochOptions):
    """Options of `distil`."""

    teacher: str = option(help="the model to learn from: RUN/model")
    student: str | None = option(
        None, help="the model to train: an architecture such as bert_tiny, or any model to start at"
    )
    student_layers: int = option(
        0,
        help="instead: so many of the teacher's layers, evenly spaced, with their weights",
        least=0,
    )
    train: list[str] = option(
        help="examples, as in finetune.py, or with --alpha=1 without labels, as in predict.py; may "
        "be repeated"
    )
    temperature: float = option(2.0, help="what the logits of both are divided by", above=0)
    alpha: float = option(
        0.5,
        help="the teacher's share in what answers are learned from, the labels' is the rest",
        least=0,
        most=1,
    )
    hidden: str | None = option(
        None, help="also learn hidden states, compared by mse or cosine", choices=("mse", "cosine")
    )
    attention: str | None = option(
        None, help="also learn attention, compared by mse or kl", choices=("mse", "kl")
    )
    hidden_weight: float = option(1.0, help="how much they count, for each layer", least=0)
    attention_weight: float = option(1.0, help="how much it counts, for each layer", least=0)

    def __post_init__(self):
        super().__post_init__()
        if bool(self.student) == bool(self.student_layers):
            raise InputError("give either --student, a model, or --student_layers, how many it has")


# === Trained models ===


@dataclasses.dataclass(frozen=True, kw_only=True)
class ModelOptions(Options):
    """Options of every program that asks a model."""

    model: str = option(help="the model directory, such as RUN/model")
    pair: bool = option(
        False,
        help="the classifier takes pairs of texts; kerasbert's format says so itself, others don't",
    )

    @property
    def overrides(self) -> dict:
        """What is said of the model beside what its directory says."""
        return {"pair": True} if self.pair else {}


@dataclasses.dataclass(frozen=True, kw_only=True)
class EvaluateOptions(DataOptions, ModelOptions):
    """Options of `evaluate`."""

    model: str | None = option(None, help="the model directory, such as RUN/model")
    predictions: str | None = option(
        None, help="instead: answers in the format of --metric's official script"
    )
    no_answer: str | None = option(
        None, help="with --predictions: SQuAD 2.0's probabilities that there is no answer"
    )
    metric: str | None = option(
        None, help="with --predictions: squad1, squad2 or seqeval", choices=METRICS
    )
    data: str = option(
        help="examples of the model's task, as in finetune.py; a corpus directory for a pretrained "
        "model"
    )
    tune_threshold: bool = option(
        False,
        help='say "no answer" from the probability on that is best on --data itself, not from the '
        "one that is stored with the model: what a threshold could reach at most",
    )
    batch_size: int | None = option(
        None, help="examples at a time; default: 32, of a corpus 64", least=1, most=_MOST_EXAMPLES
    )
    batches: int = option(32, help="batches of a corpus that are looked at", least=1)
    seed: int = option(
        1,
        help="decides the masks and pairs that are drawn from a corpus",
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
            raise InputError(f"--metric must be one of {', '.join(METRICS)}, found None")


@dataclasses.dataclass(frozen=True, kw_only=True)
class PredictOptions(ColumnOptions, ModelOptions):
    """Options of `predict`."""

    input: str = option(
        help="texts: .txt (one a line), .tsv, .csv, .jsonl with the task's columns (text, "
        "text_pair, words, question, context, choices); SQuAD's .json; words in columns, .conll"
    )
    output: str = option(
        help=".jsonl or .csv, an answer for every row of the input, with its number (row) and its "
        "id if it has one; or as official scripts read it: .json of answers, .conll of tags"
    )
    with_text: bool = option(False, help="write the texts beside their answers")
    batch_size: int = option(64, help="examples at a time", least=1, most=_MOST_EXAMPLES)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExportOptions(ModelOptions):
    """Options of `export`."""

    output: str = option(help="the version directory to write, such as saved_models/NAME/1")
    precision: str = option(
        "float32",
        help="float32; or bfloat16: half the size, and faster on processors that multiply it; "
        "scores then differ in the third digit",
        choices=EXPORT_PRECISIONS,
    )
    overwrite: bool = option(False, help="replace what is there")
    check: bool = option(True, help="compare answers with the live model in a fresh process")


@dataclasses.dataclass(frozen=True, kw_only=True)
class QueryOptions(Options):
    """Options of `query`."""

    saved_model: str = option(help="an export: its version directory, or the one above")
    text: list[str] = option(help="a text, or a question; may be repeated")
    text_pair: list[str] = option(
        [], help="its second text, or the question's context; as often as text"
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class ConvertOptions(Options):
    """Options of `convert`."""

    input: str = option(
        help="a model directory of Google, Hugging Face, KerasHub or kerasbert; "
        "hf://organization/name; or the name of a KerasHub preset"
    )
    output: str = option(help="the directory to write; must not exist")
    format: str = option("kerasbert", help="of the directory to write", choices=FORMATS)
    activation: str | None = option(
        None,
        help="write it with another activation: gelu_tanh where a format knows no other GELU "
        "(google; kerashub's BERT), which changes the outputs a little",
    )
    vocabulary_size: int | None = option(
        None, help="resize the token embeddings: old rows stay, new ones start at random", least=1
    )
    max_sequence_length: int | None = option(
        None,
        help="resize the positions: more of them repeat the old ones from the first on",
        least=1,
    )


# === Many jobs at once ===


@dataclasses.dataclass(frozen=True, kw_only=True)
class QuickstartOptions(Options):
    """Options of `quickstart`."""

    output: str = option("runs/quickstart", help="where all files go; an earlier run is replaced")
    saved_model: str = option("saved_models/quickstart/1", help="where the export goes")
    vocab_size: int = option(6_000, help="pieces of the vocabulary", least=6)
    preset: str = option("bert_tiny", help="the architecture")
    steps: int = option(2_200, help="pretraining steps", least=1)
    batch_size: int = option(32, help="examples a pretraining step", least=1, most=_MOST_EXAMPLES)
    sequence_length: int = option(64, help="tokens an example", least=8)
    epochs: int = option(2, help="epochs of fine-tuning", least=1)
    seed: int = option(
        0, help="decides everything that is drawn at random", least=0, most=LARGEST_SEED
    )

    def __post_init__(self):
        super().__post_init__()
        check_preset(self.preset)


@dataclasses.dataclass(frozen=True, kw_only=True)
class KillHarnessOptions(Options):
    """Options of `kill_harness`."""

    command: str = option(
        help="the training program and its flags but --output, such as 'scripts/pretrain.py "
        "--corpus C --steps 200 --checkpoint_every_steps 5'"
    )
    output: str = option(help="a directory for both runs; must not exist")
    kills: int = option(20, help="how often the run is killed at the least", least=1)
    seed: int = option(0, help="decides when", least=0, most=LARGEST_SEED)
