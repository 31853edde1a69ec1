"""Several runs of `benchmark --suite=pretrain`, each in its own process, and one table of all."""

import contextlib
import json
import os
import pathlib
import signal
import subprocess
import sys
import time

from benchmarks.options import BenchmarkGpuOptions
from benchmarks.report import CEILING

_BENCHMARK = pathlib.Path(__file__).resolve().parents[1] / "benchmark.py"
_HEAD = """\
| step | time | tokens/s | of peak | memory, GB | others, relative time and memory |
|---|---|---|---|---|---|
"""


def benchmark_gpu(options: BenchmarkGpuOptions) -> dict:
    """Runs what there is time for; returns what was measured, and what was not and why."""
    end = time.monotonic() + 60 * options.minutes
    output = pathlib.Path(options.output)
    output.mkdir(parents=True, exist_ok=True)
    found = {"machine": None, "rows": [], "not_measured": {}, "table": str(output / "table.md")}
    for flags in _comparisons(options):
        title = "{layers} x {hidden}, {batch_size} x {length}, {backend}".format(**flags)
        directory = output / title.replace(",", "").replace(" ", "-")
        reason = _run({**flags, "output": directory}, end - time.monotonic())
        if reason:
            found["not_measured"][title] = reason
        else:
            written = json.loads((directory / "pretrain.json").read_text())
            found["machine"] = written["machine"]
            found["rows"] += [_row(title, results) for results in written["results"].values()]
        # After each, so that a machine that is taken away leaves what it has measured.
        (output / "table.md").write_text(_HEAD + "".join(f"{row}\n" for row in found["rows"]))
        (output / "gpu.json").write_text(json.dumps(found, indent=1) + "\n")
    print((output / "table.md").read_text(), file=sys.stderr)
    return found


def _comparisons(options: BenchmarkGpuOptions) -> list[dict]:
    """The flags of each run; long rows and large models first, of which one asks first."""
    sizes = [tuple(map(int, model.split("x"))) for model in options.models]
    return [
        {
            "suite": "pretrain",
            "backend": backend,
            "layers": layers,
            "hidden": hidden,
            "length": length,
            "batch_size": max(1, options.tokens // length),
            "precision": options.precision,
            "dropout": options.dropout,
            "peers": options.peers,
            "rounds": options.rounds,
        }
        for length in sorted(map(int, options.lengths), reverse=True)
        for layers, hidden in sorted(sizes, reverse=True)
        for backend in options.backends
    ]


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
        return "time ran out"
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    if process.returncode:
        return (errors.strip().splitlines() or ["no message"])[-1]
    return None


def _row(title: str, results: dict) -> str:
    (name, ours), *others = results.items()
    others = [
        f"{other} {result['ratio'][0]:.2f} x ({result['ratio'][1]:.2f} to {result['ratio'][2]:.2f})"
        f", {result['peak_memory'] / 1e9:.1f} GB"
        for other, result in others
        if not other.startswith(CEILING)
    ]
    share = ours["share_of_ceiling"]
    cells = [
        f"{title}, {name}",
        f"{1e3 * ours['seconds'][0]:.0f} ms",
        f"{ours['tokens_per_second']:,.0f}",
        f"{share:.0%}" if share else "",
        f"{ours['peak_memory'] / 1e9:.1f}",
        "; ".join(others) or "–",
    ]
    return f"| {' | '.join(cells)} |"
