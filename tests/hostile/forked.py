"""A process that runs attacks one after the other, each with limits of memory and time.

It is a copy of a process that has imported TensorFlow, which takes seconds (`programs.py`). It
serves until an attack ends it, and is then replaced.
"""

import contextlib
import dataclasses
import gc
import hashlib
import importlib
import inspect
import json
import math
import os
import pathlib
import resource
import signal
import sys
import tempfile
import time
import traceback
import types

import programs
from attack import MEGABYTE, Outcome, most_memory, most_seconds

# More virtual memory is reserved than used: for threads' stacks, and by the allocator.
_SLACK = 2_000 * MEGABYTE
_ATTACKS_A_PROCESS = 150
#: How a process died that was killed on purpose.
STOPPED = "stopped"


class Server:
    """Runs command lines in a process of its own, which is restarted if it dies.

    Args:
        seconds: wall time after which an attack is killed.
    """

    def __init__(self, seconds: float):
        self._seconds = seconds
        self._process = self._pipe = None
        self._served = 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._end()

    def run(self, program: str, words: list[str], directory: pathlib.Path, size: int = 0, **how):
        """Runs a program; returns its `Outcome`.

        Args:
            program: as in `Attack`.
            words: its command line.
            directory: its working directory.
            size: size of its files, in bytes.
            **how: `seconds`, another time limit; `until`, a path: the process is killed as soon as
                it exists.
        """
        if self._process is None or self._served >= _ATTACKS_A_PROCESS:
            self._start()
        self._served += 1
        self._pipe.send((program, words, str(directory), size))
        end = time.monotonic() + how.get("seconds", self._seconds)
        while not self._pipe.poll(0.02 if "until" in how else 0.5):
            if "until" in how and how["until"].exists():
                self._process.kill()
                return self._dead(STOPPED)
            if not self._process.is_alive() and not self._pipe.poll():
                return self._dead()
            if time.monotonic() > end:
                self._process.kill()
                return self._dead("hang: waiting")
        try:
            return Outcome(**self._pipe.recv())
        except EOFError:
            return self._dead()

    def _start(self) -> None:
        self._end()
        self._pipe, other = programs.context.Pipe()
        self._process = programs.context.Process(target=_serve, args=(other,), daemon=True)
        self._process.start()
        other.close()
        self._served = 0
        if not self._pipe.poll(120) or self._pipe.recv() != "ready":
            raise RuntimeError("the process that runs the attacks does not start")

    def _dead(self, how: str | None = None) -> Outcome:
        self._process.join()
        code = self._process.exitcode
        self._process = None
        if code == -signal.SIGXCPU:
            how = "hang: computing"
        died = signal.Signals(-code).name if code < 0 else f"status {code}"
        return Outcome(None, how or f"crash: {died}")

    def _end(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.join()
            self._pipe.close()
            self._process = None


# === In that process ===


def _serve(pipe) -> None:
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    from kerasbert import cli, loading  # noqa: F401

    for name, probe in PROBES.items():
        module = types.ModuleType(f"kerasbert.recipes.{name}")
        setattr(module, name, probe)
        sys.modules[module.__name__] = module
    gc.freeze()  # otherwise each collection scans everything that TensorFlow created
    pipe.send("ready")
    with contextlib.suppress(EOFError):
        while True:
            pipe.send(_run(*pipe.recv()))


def _run(program: str, words: list[str], directory: str, size: int) -> dict:
    os.chdir(directory)
    gc.collect()
    with tempfile.TemporaryFile("w+b") as out, tempfile.TemporaryFile("w+b") as err:
        with _descriptors({1: out, 2: err}), _limits(size):
            before = _memory("VmRSS")
            _forget_peak()
            started = _processor_seconds()
            status = _status(program, words)
            seconds = _processor_seconds() - started
            memory = _memory("VmHWM") - before
        return {
            "status": status,
            "out": _text(out),
            "err": _text(err),
            "seconds": seconds,
            "memory": memory,
        }


def _status(program: str, words: list[str]) -> int:
    """Returns the exit status of a program, as in `scripts/`."""
    from kerasbert import cli

    sys.argv = [f"{program}.py", *words]
    try:
        cli.run(_recipe(program), _options(program))
        return 0
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 1
    except BaseException:
        traceback.print_exc()
        return 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()


def _recipe(program: str) -> str:
    """Returns the function that `cli.run` calls for a program, in this and earlier versions."""
    from kerasbert import cli

    adds_package = "kerasbert.recipes." in inspect.getsource(cli.run)
    return program if adds_package else f"kerasbert.recipes.{program}"


def _options(program: str):
    if program in PROBES:
        return _probe_options()
    module = importlib.import_module("kerasbert.recipes.options")
    return getattr(module, "".join(map(str.capitalize, program.split("_"))) + "Options")


def _probe_options():
    from kerasbert.options import Options, option

    fields = [("input", str, option(help="what to read"))]
    return dataclasses.make_dataclass(
        "ProbeOptions", fields, bases=(Options,), frozen=True, kw_only=True
    )


@contextlib.contextmanager
def _descriptors(files: dict):
    kept = {number: os.dup(number) for number in files}
    for number, file in files.items():
        os.dup2(file.fileno(), number)
    try:
        yield
    finally:
        for number, old in kept.items():
            os.dup2(old, number)
            os.close(old)


@contextlib.contextmanager
def _limits(size: int):
    """Limits memory and processor time for reading files of a given size in bytes."""
    before = {what: resource.getrlimit(what) for what in (resource.RLIMIT_AS, resource.RLIMIT_CPU)}
    most = {
        resource.RLIMIT_AS: _memory("VmSize") + most_memory(size) + _SLACK,
        resource.RLIMIT_CPU: math.ceil(_processor_seconds() + most_seconds(size)),
    }
    for what, limit in most.items():
        resource.setrlimit(what, (limit, before[what][1]))
    try:
        yield
    finally:
        for what, limits in before.items():
            resource.setrlimit(what, limits)


def _memory(name: str) -> int:
    with open("/proc/self/status") as file:
        (line,) = (line for line in file if line.startswith(f"{name}:"))
    return int(line.split()[1]) << 10


def _forget_peak() -> None:
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")


def _processor_seconds() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def _text(file) -> str:
    file.seek(0)
    return file.read(MEGABYTE).decode("utf-8", "surrogateescape")


# === What is asked beside the programs ===


def load_model(options) -> dict:
    """Loads a model, and hashes everything that its predictions depend on."""
    import numpy as np

    import kerasbert

    model = kerasbert.load(options.input)
    digest, finite = hashlib.sha256(), True
    for variable in model.weights:
        array = np.asarray(variable)
        finite &= bool(np.isfinite(array.astype("float64")).all())
        digest.update(f"{variable.path} {array.shape} {array.dtype}".encode() + array.tobytes())
    backbone = getattr(model, "backbone", model)
    facts = [type(model).__name__, dataclasses.asdict(backbone.config)]
    if backbone is not model:
        facts += [model.head_config(), getattr(model, "sequence_length", None)]
        if model.tokenizer is not None:
            facts.append(_tokenized(model.tokenizer))
    digest.update(json.dumps(facts, sort_keys=True, default=str).encode())
    length = min(5, backbone.config.max_sequence_length)
    backbone({"token_ids": np.zeros((1, length), "int32")})
    return {"finite": finite, "sha256": digest.hexdigest()}


def load_tokenizer(options) -> dict:
    """Loads a tokenizer, and hashes its ids of a few texts."""
    from kerasbert import loading

    return {"ids": _tokenized(loading.tokenizer_from_preset(options.input))}


_TEXTS = [
    "a fine day",
    "The cat's été, 42 中国!",
    "",
    "\u00a0 \ufb01 [MASK] \U0001f600 e\u0301 \u1e9b",
]


def _tokenized(tokenizer) -> list:
    ids = [row.tolist() for row in tokenizer.tokenize(_TEXTS).numpy()]
    return [tokenizer.vocabulary_size, ids]


def load_corpus(options) -> dict:
    """Opens a corpus as pretraining does, and hashes all its data."""
    import numpy as np

    from kerasbert.data.corpus.reader import Corpus

    corpus = Corpus(options.input)
    digest = hashlib.sha256(corpus.token_counts().tobytes())
    for tensor in (corpus.sentences, corpus.documents):
        digest.update(np.asarray(tensor).tobytes())
    digest.update(corpus.word_marks_at(np.arange(corpus.num_tokens)).tobytes())
    digest.update(json.dumps([list(corpus), _tokenized(corpus.tokenizer)]).encode())
    return {"sha256": digest.hexdigest()}


def make_bases(options) -> dict:
    """Creates the files to damage, with the code under attack."""
    import bases

    bases.make(pathlib.Path(options.input))
    return {}


def finish_run(options) -> dict:
    """Fine-tunes, resuming from checkpoints if any, and hashes the weights."""
    from kerasbert import files
    from kerasbert.recipes.finetune import finetune
    from kerasbert.recipes.options import FinetuneOptions

    # Paths are settings of a run, so they must be equal in all directories.
    finetune(
        FinetuneOptions(
            init="../bases/classifier",
            train="../bases/train.tsv",
            output=options.input,
            epochs=6,
            batch_size=4,
            validation_interval=5,
            checkpoint_every_steps=2,
        )
    )
    return {"sha256": files.sha256(pathlib.Path(options.input) / "model" / "model.safetensors")}


PROBES = {
    probe.__name__: probe
    for probe in (load_model, load_tokenizer, load_corpus, make_bases, finish_run)
}
