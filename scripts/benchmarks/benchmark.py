"""Compares kerasbert with other libraries on the same workloads, in one run."""

import dataclasses
import importlib
import json
import os
import pathlib
import sys
import tempfile

from benchmarks import before, device, report
from benchmarks.options import SUITES, BenchmarkOptions
from benchmarks.timing import Timings, compare, fastest
from benchmarks.workload import Workload
from kerasbert.errors import InputError


def benchmark(options: BenchmarkOptions) -> dict:
    """Runs one suite; returns the results of all candidates, and the paths they are written to."""
    options.check()
    os.environ.update(device.SHARED, **options.environment)
    output = pathlib.Path(options.output)
    logs = output / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    suite = importlib.import_module(SUITES[options.suite]).suite
    titles, tables_of_results, medians = [], [], {}
    with tempfile.TemporaryDirectory() as directory:
        for work in suite(options, pathlib.Path(directory)):
            candidates = (
                before.beside(work.candidates, options.before)
                if options.before
                else work.candidates
            )
            candidates, tried = fastest(candidates, min(3, options.rounds), logs, work.calls)
            times = compare(candidates, options.rounds, logs, work.calls)
            _check_first(work, times, logs)
            titles.append(work.title)
            medians |= {f"{work.title}: {name}": seconds for name, seconds in tried.items()}
            tables_of_results.append(report.results(work, times))
            print(report.table(work.title, tables_of_results[-1]), file=sys.stderr)
    path = output / options.suite
    written = {
        "options": dataclasses.asdict(options),
        "machine": report.machine(),
        "seconds_of_settings": medians,
        "results": {
            title: {name: dataclasses.asdict(one) for name, one in results.items()}
            for title, results in zip(titles, tables_of_results, strict=True)
        },
    }
    path.with_suffix(".json").write_text(json.dumps(written, indent=1) + "\n")
    tables = [
        report.table(title, one) for title, one in zip(titles, tables_of_results, strict=True)
    ]
    path.with_suffix(".md").write_text("\n".join(tables))
    report.picture(titles, tables_of_results, path.with_suffix(".png"))
    return {**written, "files": [str(path.with_suffix(end)) for end in (".json", ".md", ".png")]}


def _check_first(work: Workload, times: dict[str, Timings], logs: pathlib.Path) -> None:
    """Raises `InputError` if the first library, with which others are compared, has no times."""
    first = work.candidates[0].library
    if not next(iter(times)).startswith(first):
        raise InputError(f"{first} stopped in {work.title!r}; {logs} says why")
