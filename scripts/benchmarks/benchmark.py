"""Compares kerasbert with other libraries on the same workloads, in one run."""

import contextlib
import dataclasses
import importlib
import json
import os
import pathlib
import sys
import tempfile
from collections.abc import Iterator
from typing import Any

from benchmarks import before, device, report
from benchmarks.options import SUITES, BenchmarkOptions
from benchmarks.timing import Timings, compare_parts, fastest
from benchmarks.workload import Workload
from kerasbert import files
from kerasbert.errors import InputError


def benchmark(options: BenchmarkOptions) -> dict:
    """Runs one suite; returns the results of all candidates, and the paths they are written to."""
    options.check()
    os.environ.update(device.SHARED, **options.environment)
    output = pathlib.Path(options.output)
    logs = output / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    suite = importlib.import_module(SUITES[options.suite]).suite
    written = _begun(options)
    with _directory(options) as directory:
        for work in suite(options, directory):
            parts = work.by_part()
            if {part.title for part in parts} <= written["results"].keys():
                continue
            candidates = (
                before.beside(work.candidates, options.before)
                if options.before
                else work.candidates
            )
            candidates, tried = fastest(candidates, min(3, options.rounds), logs, work.calls)
            calls = [part.calls for part in parts]
            times_of_parts = compare_parts(candidates, options.rounds, logs, calls)
            written["seconds_of_settings"] |= {
                f"{work.title}: {name}": seconds for name, seconds in tried.items()
            }
            for part, times in zip(parts, times_of_parts, strict=True):
                _check_first(part, times, logs)
                _add(written, part, times)
            # After each, so that what was measured stays if the run is stopped.
            _write(written, options)
    paths = _write(written, options, picture=True)
    return {**written, "files": [str(path) for path in paths]}


def _begun(options: BenchmarkOptions) -> dict[str, Any]:
    """Returns what an interrupted run has measured, or nothing."""
    new = {
        "options": json.loads(json.dumps(dataclasses.asdict(options))),
        "machine": report.machine(),
        "seconds_of_settings": {},
        "results": {},
        "verdicts": {},
    }
    path = _path(options).with_suffix(".json")
    if not options.resume or not path.exists():
        return new
    found = files.read_json(path)
    for name in ("options", "machine"):
        if found[name] != new[name]:
            raise InputError(f"--resume: {path} was measured with another {name}; remove it")
    return found


@contextlib.contextmanager
def _directory(options: BenchmarkOptions) -> Iterator[pathlib.Path]:
    """Context with the directory of the suite's models, which stays with `--resume`."""
    if options.resume:
        kept = pathlib.Path(options.output, "models")
        kept.mkdir(exist_ok=True)
        yield kept
    else:
        with tempfile.TemporaryDirectory() as directory:
            yield pathlib.Path(directory)


def _check_first(work: Workload, times: dict[str, Timings], logs: pathlib.Path) -> None:
    """Raises `InputError` if the first library, with which others are compared, has no times."""
    first = work.candidates[0].library
    if not next(iter(times)).startswith(first):
        raise InputError(f"{first} stopped in {work.title!r}; {logs} says why")


def _add(written: dict[str, Any], work: Workload, times: dict[str, Timings]) -> None:
    results = report.results(work, times)
    written["results"][work.title] = {
        name: dataclasses.asdict(one) for name, one in results.items()
    }
    if verdict := report.verdict(work, times):
        written["verdicts"][work.title] = verdict
    print(_table(written, work.title), file=sys.stderr, flush=True)


def _table(written: dict[str, Any], title: str) -> str:
    verdict = written["verdicts"].get(title)
    return report.table(title, _results(written, title)) + (f"\n{verdict}\n" if verdict else "")


def _results(written: dict[str, Any], title: str) -> dict[str, report.Result]:
    return {name: report.Result(**one) for name, one in written["results"][title].items()}


def _path(options: BenchmarkOptions) -> pathlib.Path:
    return pathlib.Path(options.output) / options.suite


def _write(
    written: dict[str, Any], options: BenchmarkOptions, picture: bool = False
) -> list[pathlib.Path]:
    """Writes results; returns the paths."""
    path, titles = _path(options), list(written["results"])
    paths = [path.with_suffix(end) for end in (".json", ".md")]
    files.write_json(paths[0], written)
    files.write_text(paths[1], "\n".join(_table(written, title) for title in titles))
    if picture:
        paths.append(path.with_suffix(".png"))
        report.picture(titles, [_results(written, title) for title in titles], paths[-1])
    return paths
