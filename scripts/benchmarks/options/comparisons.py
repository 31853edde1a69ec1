"""The options of comparisons with other libraries."""

import dataclasses
import importlib.util
import pathlib
import re
from typing import TYPE_CHECKING

from kerasbert.errors import InputError
from kerasbert.options import Options, Program, option

if TYPE_CHECKING:  # torch's candidates must not import TensorFlow
    from kerasbert.config import BackboneConfig

# Modules of this package, whose `suite` returns the workloads.
SUITES = {
    "pretrain": "benchmarks.pretrain",
    "finetune": "benchmarks.finetune",
    "tokenize": "benchmarks.tokenize",
    "serve": "benchmarks.serve",
    "import": "benchmarks.importing",
}
# Modules that each peer needs; `tokenizers` is a dependency of kerasbert.
PEERS = {
    "kerashub": ("keras_hub",),
    "transformers": ("torch", "transformers"),
    "onnxruntime": ("onnx", "onnxruntime", "tf2onnx", "torch", "transformers"),
    "openvino": ("openvino", "torch", "transformers"),
}
#: The stage of all programs in `benchmarks`.
STAGE = "benchmarks"
_PRECISIONS = ("bfloat16", "float32")
_SERVING_PRECISIONS = ("float32", "bfloat16", "int8")
_BACKENDS = ("tensorflow", "jax")
#: What `benchmark_gpu` can compare.
PARTS = ("pretrain", "finetune", "answer")


def missing_packages(peer: str) -> list[str]:
    """Returns the packages of a peer that are not installed."""
    return [name for name in PEERS[peer] if importlib.util.find_spec(name) is None]


def sizes(models: list[str]) -> list[tuple[int, int]]:
    """Returns the layers and the hidden size of each model.

    Raises:
        InputError: one is not LAYERSxHIDDEN.
    """
    found = []
    for model in models:
        if not re.fullmatch(r"[1-9]\d*x[1-9]\d*", model):
            raise InputError(f"--models must be LAYERSxHIDDEN, such as 12x768, found {model!r}")
        layers, hidden = map(int, model.split("x"))
        found.append((layers, hidden))
    return found


@dataclasses.dataclass(frozen=True, kw_only=True)
class BenchmarkOptions(Options):
    """Options of `benchmark`."""

    program = Program(
        STAGE,
        "Compares training, fine-tuning, tokenizing and inference with other libraries.",
        ("--suite pretrain --peers kerashub,transformers --layers 4 --hidden 512",),
    )

    suite: str = option(help=f"one of {', '.join(SUITES)}")
    peers: str = option("kerashub", help=f"comma-separated list of {', '.join(PEERS)}; or none")
    before: str | None = option(
        None, help="another checkout of kerasbert, to compare this one with"
    )
    output: str = option("runs/benchmark", help="directory for the JSON, table and plot")
    rounds: int = option(11, help="number of times that each library runs the workload, in turn")
    layers: int = option(4, help="layers of the encoder")
    hidden: int = option(512, help="hidden size of the encoder")
    dropout: float = option(0.1, help="dropout rate in training")
    batch_size: int = option(32, help="sequences per batch")
    precision: str | None = option(
        None,
        help="precision: bfloat16, float32 or, of serve, int8; default: all of serve, else the "
        "faster one of each library",
    )
    backend: str = option(
        "tensorflow", help="pretrain: Keras backend of kerasbert and KerasHub, tensorflow or jax"
    )
    xla: str = option(
        "auto",
        help="pretrain: whether XLA compiles the steps on TensorFlow; auto: what is faster",
        choices=("auto", "true", "false"),
    )
    length: int = option(128, help="tokens per sequence, or the maximum per text")
    vocab: str | None = option(None, help="WordPiece vocabulary; required by all suites with text")
    lowercase: bool = option(True, help="whether --vocab is lower-cased")
    input: list[str] = option(
        [],
        help="tokenize, and pretrain on documents instead of one batch: text, as in "
        "kerasbert build_vocab; finetune: labeled texts",
    )

    resume: bool = option(
        False,
        help="serve: keep the models in --output, and measure only what it has no results of yet",
    )

    @property
    def environment(self) -> dict[str, str]:
        """Variables that have to be set before Keras is imported."""
        return {"KERAS_BACKEND": self.backend}

    @property
    def others(self) -> list[str]:
        """The peers to compare with."""
        return [name for name in self.peers.split(",") if name not in ("", "none")]

    @property
    def precisions(self) -> tuple[str, ...]:
        """The precisions that candidates may train in."""
        return (self.precision,) if self.precision else _PRECISIONS

    @property
    def serving_precisions(self) -> tuple[str, ...]:
        """The precisions in which exports are compared; only other runtimes have int8."""
        if self.precision:
            return (self.precision,)
        has_int8 = {"onnxruntime", "openvino"} & set(self.others)
        return _SERVING_PRECISIONS if has_int8 else _SERVING_PRECISIONS[:-1]

    def encoder(self, vocabulary_size: int) -> "BackboneConfig":
        """Returns the architecture that all candidates use."""
        from kerasbert.config import BackboneConfig

        return BackboneConfig(
            vocabulary_size=vocabulary_size,
            num_layers=self.layers,
            hidden_dim=self.hidden,
            num_heads=max(1, self.hidden // 64),
            intermediate_dim=4 * self.hidden,
            max_sequence_length=max(512, self.length),
            dropout=self.dropout,
            attention_dropout=self.dropout,
        )

    def check(self) -> None:
        """Raises `InputError` if a value is invalid, or a peer is not installed."""
        if self.suite not in SUITES:
            raise InputError(f"--suite must be one of {', '.join(SUITES)}, found {self.suite!r}")
        for peer in self.others:
            if peer not in PEERS:
                raise InputError(f"--peers must be of {', '.join(PEERS)}, found {peer!r}")
            if missing := missing_packages(peer):
                raise InputError(
                    f"--peers={peer} needs {' and '.join(missing)}; "
                    "pip install 'kerasbert[dev]' installs all peers"
                )
        known = _SERVING_PRECISIONS if self.suite == "serve" else _PRECISIONS
        if self.precision not in (None, *known):
            raise InputError(f"--precision must be {' or '.join(known)}, found {self.precision!r}")
        if self.precision == "int8" and not {"onnxruntime", "openvino"} & set(self.others):
            raise InputError("--precision=int8 needs --peers=onnxruntime, openvino, or both")
        if self.resume and self.suite != "serve":
            raise InputError("--resume is for --suite=serve")
        needs_nncf = self.suite == "serve" and "int8" in self.serving_precisions
        if needs_nncf and "openvino" in self.others and not importlib.util.find_spec("nncf"):
            raise InputError(
                "--peers=openvino needs nncf for int8; pip install 'kerasbert[nncf]', or give "
                "--precision"
            )
        if self.backend not in _BACKENDS:
            known = " or ".join(_BACKENDS)
            raise InputError(f"--backend must be {known}, found {self.backend!r}")
        if importlib.util.find_spec(self.backend) is None:
            raise InputError(
                f"--backend={self.backend} needs {self.backend}; pip install {self.backend}, or "
                f"with a GPU '{self.backend}[cuda12]'"
            )
        if self.backend != "tensorflow" and (self.suite != "pretrain" or self.input):
            raise InputError("--backend is for --suite=pretrain without --input")
        if self.before and not pathlib.Path(self.before, "kerasbert").is_dir():
            raise InputError(f"--before={self.before} is not a checkout of kerasbert")
        if self.rounds < 1:
            raise InputError(f"--rounds must be 1 or more, found {self.rounds}")


@dataclasses.dataclass(frozen=True, kw_only=True)
class BenchmarkGpuOptions(Options):
    """Options of `benchmark_gpu`."""

    program = Program(
        STAGE,
        "Compares pretraining steps with other libraries on a GPU, most telling first.",
        ("--minutes 10 --output runs/gpu",),
    )

    output: str = option("runs/gpu", help="directory for the table and the JSON of each comparison")
    parts: list[str] = option(
        list(PARTS), help=f"what to compare, of {', '.join(PARTS)}; may be repeated"
    )
    minutes: float = option(
        10.0, help="time for everything; what does not fit is left out", exclusive_minimum=0
    )
    part_minutes: float = option(
        5.0, help="time for one comparison, such as one model at one length", exclusive_minimum=0
    )
    rehearse: bool = option(
        False, help="try the program on a CPU: a tiny model in float32, one round"
    )
    models: list[str] = option(
        ["12x768", "24x1024"],
        help="LAYERSxHIDDEN; may be repeated; the first is fine-tuned and answers",
    )
    lengths: list[str] = option(["128", "512"], help="tokens per sequence; may be repeated")
    tokens: int = option(16_384, help="tokens per batch of pretraining", minimum=1)
    texts: int = option(32, help="texts per batch of fine-tuning", minimum=1)
    vocab: str | None = option(
        None, help="WordPiece vocabulary of fine-tuning and answering; default: random words"
    )
    input: str | None = option(
        None, help="labeled texts of fine-tuning, such as SST-2's; default: random words"
    )
    backends: list[str] = option(["jax", "tensorflow"], help="Keras backends; may be repeated")
    peers: str = option("kerashub,transformers", help="as in benchmark.py")
    precision: str = option("bfloat16", help="training precision", choices=_PRECISIONS)
    dropout: float = option(0.1, help="dropout rate in training", minimum=0, exclusive_maximum=1)
    rounds: int = option(3, help="number of times that each library takes its turn", minimum=1)

    def __post_init__(self):
        super().__post_init__()
        sizes(self.models)
        for length in self.lengths:
            if not re.fullmatch(r"[1-9]\d*", length):
                raise InputError(f"--lengths must be a number, found {length!r}")
        for name, known in (("parts", PARTS), ("backends", _BACKENDS)):
            for value in getattr(self, name):
                if value not in known:
                    raise InputError(f"--{name} must be of {', '.join(known)}, found {value!r}")
        for peer in self.peers.split(","):
            if peer not in (*PEERS, "none"):
                raise InputError(f"--peers must be of {', '.join(PEERS)}, found {peer!r}")

    @property
    def environment(self) -> dict[str, str]:
        """Variables of this process, which only starts others: it needs no TensorFlow."""
        return {"KERAS_BACKEND": "jax"}

    @property
    def sizes(self) -> list[tuple[int, int]]:
        """Layers and hidden size of each model."""
        return sizes(self.models)

    def rehearsed(self) -> "BenchmarkGpuOptions":
        """Returns the options with tiny sizes if `rehearse` is set."""
        if not self.rehearse:
            return self
        tiny = {"models": ["1x64"], "lengths": ["16"], "tokens": 32, "texts": 2, "rounds": 1}
        return dataclasses.replace(self, **tiny, precision="float32")
