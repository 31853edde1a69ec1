"""Trains, tokenizes and answers beside other people's programs: the same work, in one run."""

import dataclasses
import importlib
import json
import os
import pathlib
import sys
import tempfile

from benchmarks import before, device, report
from benchmarks.options import SUITES, BenchmarkOptions
from benchmarks.race import fastest, race


def benchmark(options: BenchmarkOptions) -> dict:
    """Measures one suite; returns the figures of every side and where they are written."""
    options.check()
    os.environ.update(device.SHARED, KERAS_BACKEND=options.backend)
    output = pathlib.Path(options.output)
    logs = output / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    suite = importlib.import_module(SUITES[options.suite]).suite
    titles, found, heats = [], [], {}
    with tempfile.TemporaryDirectory() as directory:
        for work in suite(options, pathlib.Path(directory)):
            sides = before.beside(work.sides, options.before) if options.before else work.sides
            sides, tried = fastest(sides, min(3, options.rounds), logs, work.calls)
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
