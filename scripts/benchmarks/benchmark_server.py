"""`kerasbert serve` under load, in turn with the bare SavedModel that threads call."""

import contextlib
import dataclasses
import functools
import multiprocessing
import os
import pathlib
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from benchmarks import environment, made_texts, report
from benchmarks.options import BenchmarkServerOptions
from benchmarks.timing import in_process
from kerasbert import files
from kerasbert.errors import InputError
from kerasbert.serving import load

_SERVE = pathlib.Path(__file__).resolve().parents[1] / "serve.py"
_BARE = "SavedModel"
_START_SECONDS = 120
_LATE_SECONDS = 60  # at most, for loading, warming up, and the last answers
_WARM_UP_SECONDS = 1.0
_TEXTS = 500
_WORDS = (5, 100)
#: The least rows per second relative to the bare SavedModel, and the most p99 relative to p50.
_LEAST_RATE, _MOST_SPREAD = 0.9, 3.0


def benchmark_server(options: BenchmarkServerOptions) -> dict:
    """Measures each model; returns rows per second and latencies of all rounds."""
    output = pathlib.Path(options.output)
    (output / "logs").mkdir(parents=True, exist_ok=True)
    # Of both sides, as `serve` sets it.
    os.environ["TF_ONEDNN_ASSUME_FROZEN_WEIGHTS"] = str(int(options.precision != "float32"))
    vocab, _ = made_texts.write(output)
    texts = _texts(vocab)
    found: dict[str, Any] = {"options": dataclasses.asdict(options), "results": {}}
    tables = []
    for layers, hidden in options.sizes:
        title = f"{layers} x {hidden}, {options.precision}"
        model = output / "models" / f"{layers}x{hidden}_{options.precision}"
        if not model.exists():
            log = output / "logs" / f"export-{model.name}.log"
            in_process(_export, str(vocab), layers, hidden, options.precision, model, log=log)
        rounds = _measured(options, model, texts, output / "logs")
        found["results"][title] = rounds
        tables.append(_table(title, rounds))
        print(tables[-1], file=sys.stderr, flush=True)
        # After each model, so that what was measured stays if the run is stopped.
        files.write_json(output / "server.json", found)
        files.write_text(output / "server.md", "\n".join(tables))
    found["machine"] = report.machine()
    files.write_json(output / "server.json", found)
    return {**found, "files": [str(output / "server.json"), str(output / "server.md")]}


def _texts(vocab: pathlib.Path) -> list[str]:
    random = np.random.default_rng(0)
    counts = random.integers(_WORDS[0], _WORDS[1] + 1, _TEXTS)
    return made_texts.drawn(vocab, counts, random)


def _export(vocab: str, layers: int, hidden: int, precision: str, path: pathlib.Path) -> None:
    import keras

    from kerasbert import Backbone, BackboneConfig, TextClassifier
    from kerasbert.text import WordPieceTokenizer

    tokenizer = WordPieceTokenizer(vocab)
    config = BackboneConfig(
        vocabulary_size=tokenizer.vocabulary_size,
        num_layers=layers,
        hidden_dim=hidden,
        num_heads=max(1, hidden // 64),
        intermediate_dim=4 * hidden,
    )
    keras.config.set_dtype_policy(precision)
    model = TextClassifier(Backbone(config), ["no", "yes"], tokenizer=tokenizer)
    with files.new_directory(path) as new:
        model.export(new / "1", check=False)


# === Measuring ===


def _measured(
    options: BenchmarkServerOptions, model: pathlib.Path, texts: Sequence[str], logs: pathlib.Path
) -> dict[str, dict[str, list[dict]]]:
    """Returns for each number of clients, and each side, the measurement of each round."""
    sides = [_BARE, *(f"serve --max_batch_tokens={most}" for most in options.batch_tokens)]
    found = {count: {side: [] for side in sides} for count in options.clients}
    with contextlib.ExitStack() as stack:
        urls = [stack.enter_context(_serving(model, most, logs)) for most in options.batch_tokens]
        # Each is ended with the context, even if it hangs.
        pools = multiprocessing.get_context("spawn").Pool
        bare, clients = stack.enter_context(pools(1)), stack.enter_context(pools(1))
        for number in range(options.rounds):
            for count in options.clients:
                for side, where in zip(sides, (str(model), *urls), strict=True):
                    process = bare if side == _BARE else clients
                    seconds = options.seconds
                    wanted = (where, texts, int(count), seconds, number)
                    try:
                        result = process.apply_async(_measure, wanted).get(seconds + _LATE_SECONDS)
                    except multiprocessing.TimeoutError:
                        raise InputError(f"{side} hangs; {logs} may say why") from None
                    if result["errors"]:
                        raise InputError(f"{side}: {result['errors']}")
                    found[count][side].append(result)
    return found


def _measure(where: str, texts: Sequence[str], clients: int, seconds: float, seed: int) -> dict:
    client, inputs = _client(where)
    return load.measure(
        client,
        inputs,
        texts,
        num_clients=clients,
        seconds=seconds,
        warm_up_seconds=_WARM_UP_SECONDS,
        seed=seed,
    )


@functools.cache
def _client(where: str) -> tuple[Any, Sequence[str]]:
    from kerasbert.serving import RestClient, SavedModelClient

    if where.startswith("http"):
        client = RestClient(where, retries=0)
        return client, client.inputs
    client = SavedModelClient(where)
    return client, client.metadata["inputs"]


@contextlib.contextmanager
def _serving(model: pathlib.Path, batch_tokens: str, logs: pathlib.Path) -> Iterator[str]:
    """Context with the URL of a server."""
    log = logs / f"serve-{model.name}-{batch_tokens}.log"
    flags = [f"--saved_model={model}", f"--max_batch_tokens={batch_tokens}", "--port=0", "--nogrpc"]
    with open(log, "wb") as file:
        process = subprocess.Popen(
            [sys.executable, _SERVE, *flags], stdout=file, stderr=file, env=environment()
        )
    try:
        end = time.monotonic() + _START_SECONDS
        while not (url := re.search(r"http://[^\s,]+", log.read_text())):
            if process.poll() is not None or time.monotonic() > end:
                raise InputError(f"serve does not start; {log} says why")
            time.sleep(0.1)
        yield url[0]
    finally:
        process.kill()
        process.wait()


# === Reporting ===


def _table(title: str, found: dict[str, dict[str, list[dict]]]) -> str:
    """Formats medians of the rounds, and whether the goals are met."""
    rows = [
        f"**{title}, texts of {_WORDS[0]} to {_WORDS[1]} words**",
        "",
        "| clients | | rows/s (lowest to highest) | relative to the SavedModel | p50, ms | p95 "
        "| p99 | p99 / p50 |",
        "|---|---|---|---|---|---|---|---|",
    ]
    says = []
    for clients, sides in found.items():
        for side, rounds in sides.items():
            rates = [one["rows_per_second"] for one in rounds]
            shares = [a / b["rows_per_second"] for a, b in zip(rates, sides[_BARE], strict=True)]
            times = [one["milliseconds"] for one in rounds]
            spreads = [one["p99"] / one["p50"] for one in times]
            middle = [
                f"{statistics.median(one[p] for one in times):.4g}" for p in ("p50", "p95", "p99")
            ]
            cells = [
                clients,
                side,
                _range(rates),
                _range(shares),
                *middle,
                _range(spreads),
            ]
            rows.append(f"| {' | '.join(cells)} |")
            if side != _BARE and clients != "1":
                share, spread = statistics.median(shares), statistics.median(spreads)
                says.append(
                    f"{side}, {clients} clients: {share:.2f} of the rows/s, at least "
                    f"{_LEAST_RATE}: {_met(share >= _LEAST_RATE)}; p99 is {spread:.2f} x p50, "
                    f"at most {_MOST_SPREAD:g}: {_met(spread <= _MOST_SPREAD)}"
                )
    return "\n".join([*rows, "", *says]) + "\n"


def _range(numbers: Sequence[float]) -> str:
    return f"{statistics.median(numbers):.4g} ({min(numbers):.4g} to {max(numbers):.4g})"


def _met(is_met: bool) -> str:
    return "met" if is_met else "missed"
