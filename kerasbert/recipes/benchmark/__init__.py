"""Trains, tokenizes and answers beside other people's programs: the same work, in one run."""

import dataclasses
import importlib
import importlib.util
import json
import os
import pathlib
import sys
import tempfile
from typing import TYPE_CHECKING

from kerasbert.errors import InputError
from kerasbert.options import Options, option

if TYPE_CHECKING:  # the sides that run in torch must not import TensorFlow
    from kerasbert.config import BackboneConfig

# Each a module here, whose `suite` says what is to be done.
SUITES = {
    "pretrain": "kerasbert.recipes.benchmark.pretrain",
    "finetune": "kerasbert.recipes.benchmark.finetune",
    "tokenize": "kerasbert.recipes.benchmark.tokenize",
    "serve": "kerasbert.recipes.benchmark.serve",
    "import": "kerasbert.recipes.benchmark.importing",
}
# What has to be installed for each; `tokenizers` comes with kerasbert.
PEERS = {
    "kerashub": ("keras_hub",),
    "transformers": ("torch", "transformers"),
    "onnxruntime": ("onnx", "onnxruntime", "torch", "transformers"),
    "openvino": ("onnx", "openvino", "torch", "transformers"),
}
_PRECISIONS = ("bfloat16", "float32")
_BACKENDS = ("tensorflow", "jax")


@dataclasses.dataclass(frozen=True, kw_only=True)
class BenchmarkOptions(Options):
    """Options of `benchmark`."""

    suite: str = option(help=f"one of {', '.join(SUITES)}")
    peers: str = option("kerashub", help=f"with commas between them: {', '.join(PEERS)}; or none")
    output: str = option("runs/benchmark", help="where JSON, table and picture are written")
    rounds: int = option(11, help="times that each side does the work, in turn")
    layers: int = option(4, help="of the encoder")
    hidden: int = option(512, help="width of the encoder")
    dropout: float = option(0.1, help="in training")
    batch_size: int = option(32, help="sequences at a time")
    precision: str | None = option(
        None, help="of training: bfloat16 or float32; default: what is faster, of each side"
    )
    backend: str = option(
        "tensorflow", help="pretrain: Keras's backend for kerasbert and KerasHub; or jax"
    )
    length: int = option(128, help="tokens of each sequence, or the most that a text may have")
    vocab: str | None = option(None, help="a WordPiece vocabulary; all suites with text need it")
    lowercase: bool = option(True, help="whether it is of lower-cased text")
    input: list[str] = option(
        [],
        help="tokenize, and pretrain on documents instead of one batch: text, as in "
        "build_vocab.py; finetune: labelled texts",
    )

    @property
    def others(self) -> list[str]:
        """The peers."""
        return [name for name in self.peers.split(",") if name not in ("", "none")]

    @property
    def precisions(self) -> tuple[str, ...]:
        """Those that sides may train in."""
        return (self.precision,) if self.precision else _PRECISIONS

    def encoder(self, vocabulary_size: int) -> "BackboneConfig":
        """What every side trains or asks."""
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
        """Raises `InputError` for a value that can't be, or a peer that is not installed."""
        if self.suite not in SUITES:
            raise InputError(f"--suite must be one of {', '.join(SUITES)}, found {self.suite!r}")
        for peer in self.others:
            if peer not in PEERS:
                raise InputError(f"--peers must be of {', '.join(PEERS)}, found {peer!r}")
            missing = [name for name in PEERS[peer] if importlib.util.find_spec(name) is None]
            if missing:
                raise InputError(
                    f"--peers={peer} needs {' and '.join(missing)}; "
                    "pip install 'kerasbert[dev]' brings all peers"
                )
        if self.precision not in (None, *_PRECISIONS):
            known = " or ".join(_PRECISIONS)
            raise InputError(f"--precision must be {known}, found {self.precision!r}")
        if self.backend not in _BACKENDS:
            known = " or ".join(_BACKENDS)
            raise InputError(f"--backend must be {known}, found {self.backend!r}")
        if importlib.util.find_spec(self.backend) is None:
            raise InputError(
                f"--backend={self.backend} needs the package; pip install {self.backend}, "
                f"with a GPU '{self.backend}[cuda12]'"
            )
        if self.backend != "tensorflow" and (self.suite != "pretrain" or self.input):
            raise InputError("--backend is for --suite=pretrain without --input")
        if self.rounds < 1:
            raise InputError(f"--rounds must be 1 or more, found {self.rounds}")


def benchmark(options: BenchmarkOptions) -> dict:
    """Measures one suite; returns the figures of every side and where they are written."""
    from kerasbert.recipes.benchmark import device, report
    from kerasbert.recipes.benchmark.race import fastest, race

    options.check()
    os.environ.update(device.SHARED, KERAS_BACKEND=options.backend)
    output = pathlib.Path(options.output)
    logs = output / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    suite = importlib.import_module(SUITES[options.suite]).suite
    titles, found, heats = [], [], {}
    with tempfile.TemporaryDirectory() as directory:
        for work in suite(options, pathlib.Path(directory)):
            sides, tried = fastest(work.sides, min(3, options.rounds), logs, work.calls)
            titles.append(work.title)
            heats |= {f"{work.title}: {name}": seconds for name, seconds in tried.items()}
            found.append(report.results(work, race(sides, options.rounds, logs, work.calls)))
            print(report.table(work.title, found[-1]), file=sys.stderr)
    path = output / options.suite
    written = {
        "options": dataclasses.asdict(options),
        "machine": report.machine(),
        "seconds_of_settings": heats,
        "results": {
            title: {name: dataclasses.asdict(one) for name, one in results.items()}
            for title, results in zip(titles, found, strict=True)
        },
    }
    path.with_suffix(".json").write_text(json.dumps(written, indent=1) + "\n")
    tables = [report.table(title, one) for title, one in zip(titles, found, strict=True)]
    path.with_suffix(".md").write_text("\n".join(tables))
    report.picture(titles, found, path.with_suffix(".png"))
    return {**written, "files": [str(path.with_suffix(end)) for end in (".json", ".md", ".png")]}
