"""Comparisons of `benchmark` on a GPU, each in its own process, and one table of all."""

import contextlib
import json
import os
import pathlib
import signal
import subprocess
import sys
import time

from benchmarks import made_texts
from benchmarks.options import BenchmarkGpuOptions, missing_packages
from benchmarks.report import CEILING
from kerasbert import files

_BENCHMARK = pathlib.Path(__file__).resolve().parents[1] / "benchmark.py"
_HEAD = """\
| what | time | tokens/s | of peak | memory, GB | others, relative time and memory |
|---|---|---|---|---|---|
"""


def benchmark_gpu(options: BenchmarkGpuOptions) -> dict:
    """Runs what there is time for; returns what was measured, and what was not and why."""
    options = options.rehearsed()
    end = time.monotonic() + 60 * options.minutes
    output = pathlib.Path(options.output)
    output.mkdir(parents=True, exist_ok=True)
    found = {
        "machine": None,
        "results": {},
        "not_measured": _missing(options),
        "files": [str(output / "table.md"), str(output / "gpu.json")],
    }
    rows = []
    for title, flags in _comparisons(options, output):
        directory = output / title.replace(",", "").replace(" ", "-")
        start = time.monotonic()
        seconds = min(60 * options.part_minutes, end - start)
        reason = _run({**flags, "output": directory}, seconds)
        _log(f"{title}: {reason or f'{time.monotonic() - start:.0f} s'}")
        if reason:
            found["not_measured"][title] = reason
        else:
            written = json.loads((directory / f"{flags['suite']}.json").read_text())
            found["machine"] = written["machine"]
            found["results"][title] = written["results"]
            rows += _rows(title, written["results"])
        # After each, so that a machine that is taken away leaves what it has measured.
        write(output, found, rows)
    print((output / "table.md").read_text(), file=sys.stderr)
    return found


def write(output: pathlib.Path, found: dict, rows: list[str]) -> None:
    """Writes what was found so far: each file is the last one or this one, never a part."""
    files.write_text(output / "table.md", _table(found, rows))
    files.write_json(output / "gpu.json", found)


def _missing(options: BenchmarkGpuOptions) -> dict[str, str]:
    """The libraries that are not installed; the comparisons are made without them."""
    peers = {peer: missing_packages(peer) for peer in options.peers.split(",") if peer != "none"}
    return {peer: f"{' and '.join(names)} not installed" for peer, names in peers.items() if names}


# === What is compared ===


def _comparisons(options: BenchmarkGpuOptions, output: pathlib.Path):
    """Yields a title and the flags of `benchmark` for each comparison, most telling first."""
    missing = _missing(options)
    peers = [peer for peer in options.peers.split(",") if peer not in missing]
    shared = {
        "peers": ",".join(peers) or "none",
        "precision": options.precision,
        "dropout": options.dropout,
        "rounds": options.rounds,
    }
    parts = {"pretrain": _pretraining, "finetune": _fine_tuning, "answer": _answering}
    for part in options.parts:
        for title, flags in parts[part](options, output):
            yield title, {**shared, **flags}


def _pretraining(options: BenchmarkGpuOptions, output: pathlib.Path):
    """Long rows and large models first."""
    for length in sorted(map(int, options.lengths), reverse=True):
        for layers, hidden in sorted(options.sizes, reverse=True):
            for backend in options.backends:
                batch_size = max(1, options.tokens // length)
                yield (
                    f"pretraining, {layers} x {hidden}, {batch_size} x {length}, {backend}",
                    {
                        "suite": "pretrain",
                        "backend": backend,
                        # Each setting takes minutes to compile.
                        "xla": "true",
                        "layers": layers,
                        "hidden": hidden,
                        "length": length,
                        "batch_size": batch_size,
                    },
                )


def _fine_tuning(options: BenchmarkGpuOptions, output: pathlib.Path):
    vocab, texts = made_texts.write(output)
    layers, hidden = options.sizes[0]
    yield (
        f"fine-tuning, {layers} x {hidden}, short texts, tensorflow",
        {
            "suite": "finetune",
            "layers": layers,
            "hidden": hidden,
            "batch_size": options.texts,
            "vocab": options.vocab or vocab,
            "input": options.input or texts,
        },
    )


def _answering(options: BenchmarkGpuOptions, output: pathlib.Path):
    vocab, _ = made_texts.write(output)
    layers, hidden = options.sizes[0]
    yield (
        f"answering, {layers} x {hidden}, tensorflow",
        {"suite": "serve", "layers": layers, "hidden": hidden, "vocab": options.vocab or vocab},
    )


# === One comparison ===


def _run(flags: dict, seconds: float) -> str | None:
    """Runs one comparison; why there is no result, if there is none."""
    if seconds <= 0:
        return "no time was left"
    command = [sys.executable, _BENCHMARK, *(f"--{name}={value}" for name, value in flags.items())]
    # A group of its own, so that the processes of its sides end with it.
    process = subprocess.Popen(
        command,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        _, errors = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        return f"stopped after {seconds:.0f} s"
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    if process.returncode:
        return (errors.strip().splitlines() or ["no message"])[-1]
    return None


def _log(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


# === The table ===


def _table(found: dict, rows: list[str]) -> str:
    parts = [_described(found["machine"])] if found["machine"] else []
    if rows:
        parts.append(_HEAD + "\n".join(rows))
    if left_out := found["not_measured"]:
        parts.append("\n".join(f"- not measured: {what}: {why}" for what, why in left_out.items()))
    return "\n\n".join(parts) + "\n"


def _described(machine: dict) -> str:
    known = ("processor", "cores", "gpu", "python")
    versions = [f"{name} {value}" for name, value in machine.items() if name not in known]
    device = machine["gpu"] or machine["processor"]
    return ", ".join([device, f"{machine['cores']} cores", *versions])


def _rows(title: str, results: dict) -> list[str]:
    """The rows of one comparison: one for each of its workloads."""
    several = len(results) > 1
    return [
        _row(f"{title}, {workload.split(',')[0]}" if several else title, sides)
        for workload, sides in results.items()
    ]


def _row(title: str, sides: dict) -> str:
    (name, ours), *others = sides.items()
    peaks = [side["gigaflops"] for other, side in others if other.startswith(CEILING)]
    others = [
        f"{other} {side['ratio'][0]:.2f} x ({side['ratio'][1]:.2f} to {side['ratio'][2]:.2f})"
        f"{_share(side)}, {side['peak_memory'] / 1e9:.1f} GB"
        for other, side in others
        if not other.startswith(CEILING)
    ]
    cells = [
        f"{title}, {name}",
        f"{1e3 * ours['seconds'][0]:.3g} ms",
        f"{ours['tokens_per_second']:,.0f}",
        f"{ours['share_of_ceiling']:.0%} of {peaks[0] / 1e3:.3g} TFLOP/s" if peaks else "",
        f"{ours['peak_memory'] / 1e9:.1f}",
        "; ".join(others) or "–",
    ]
    return f"| {' | '.join(cells)} |"


def _share(side: dict) -> str:
    share = side["share_of_ceiling"]
    return f", {share:.0%} of peak" if share else ""
