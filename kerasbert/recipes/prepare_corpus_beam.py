"""Preparing a corpus in parts with Apache Beam.

The pipeline has two steps: `make_part` for each part, on any worker, and `join_parts` when all are
made. Both may be repeated, as Beam does after a failure.
"""

import argparse
import dataclasses
import hashlib
import json
import pathlib
import re
import shutil
from typing import Any

from kerasbert import files, lazy
from kerasbert.data.corpus.cleaning.duplicates import Duplicates
from kerasbert.data.corpus.documents.reading import find_files
from kerasbert.data.corpus.joining import join_corpora
from kerasbert.data.corpus.manifest import read_manifest
from kerasbert.data.corpus.units import fingerprint, plan_units
from kerasbert.errors import InputError
from kerasbert.recipes.options import PrepareCorpusBeamOptions, PrepareCorpusOptions
from kerasbert.recipes.prepare_corpus import load_tokenizer, summary, without_bar, word_finder

_NO_SETTINGS = {"beam", "threads", "output", "phrases", "duplicates"}
_INPUT_ERROR = re.compile(r"\bInputError: (.+?)(?: \[while running .*)?$", re.MULTILINE)


def prepare_corpus_beam(options: PrepareCorpusBeamOptions) -> dict[str, Any]:
    """Runs the pipeline; returns counts of documents, sentences and tokens."""
    with lazy.quiet_imports():
        beam = lazy.extra("apache_beam", "'kerasbert[beam]'")
    files.refuse_existing(options.output)
    flags = _pipeline_options(options.beam)
    directory = parts_directory(options)
    try:
        with beam.Pipeline(options=flags) as pipeline:
            _ = (
                pipeline
                | "numbers" >> beam.Create(range(1, options.parts + 1))
                | "to all workers" >> beam.Reshuffle()
                | "make part" >> beam.Map(make_part, options, directory)
                | "when all are made" >> beam.combiners.ToList()
                | "join" >> beam.Map(join_parts, options, directory)
            )
    except Exception as error:  # of the runner, whose message contains that of a worker
        found = _INPUT_ERROR.findall(f"{type(error).__name__}: {error}")
        if not found:
            raise
        raise InputError(found[-1]) from None
    manifest = read_manifest(pathlib.Path(options.output))
    return {"parts": options.parts, **summary(options.output, manifest)}


def parts_directory(options: PrepareCorpusBeamOptions) -> str:
    """Returns the directory of the parts, whose name depends on the inputs and all settings.

    So parts of an earlier try are used, and others are not. Of files that the options name, their
    contents count.
    """
    given = dataclasses.asdict(options)
    settings = {name: given[name] for name in given.keys() - _NO_SETTINGS}
    tokenizer = load_tokenizer(options)
    words = word_finder(options, tokenizer)
    described = [
        settings,
        fingerprint(plan_units(find_files(options.input), options.bytes_per_unit)),
        tokenizer.get_config(),
        words and words.settings,
        options.duplicates and Duplicates.load(options.duplicates).sha256,
    ]
    digest = hashlib.sha256(json.dumps(described, sort_keys=True).encode()).hexdigest()
    return f"{pathlib.Path(options.output)}-parts-{digest[:12]}"


def make_part(number: int, options: PrepareCorpusBeamOptions, directory: str) -> str:
    """Prepares a part, unless an earlier try did; returns its directory."""
    output = f"{directory}/{number}"
    if not files.exists(output):
        given = dataclasses.asdict(options)
        given = {f.name: given[f.name] for f in dataclasses.fields(PrepareCorpusOptions)}
        part = {"part": f"{number}/{options.parts}", "output": output}
        without_bar(PrepareCorpusOptions(**{**given, **part}))
    return output


def join_parts(parts: list[str], options: PrepareCorpusBeamOptions, directory: str) -> None:
    """Joins all parts, unless an earlier try did, and removes them."""
    if not files.exists(options.output):
        join_corpora(parts, options.output)
    read_manifest(pathlib.Path(options.output))  # the parts stay if there is no corpus
    shutil.rmtree(directory, ignore_errors=True)


def _pipeline_options(flags: list[str]):
    """Returns Beam's `PipelineOptions`; refuses what it would ignore."""
    kinds = lazy.extra("apache_beam.options.pipeline_options", "'kerasbert[beam]'").PipelineOptions
    parser = argparse.ArgumentParser(allow_abbrev=False)
    for kind in kinds.__subclasses__():
        kind._add_argparse_args(parser)
    _, unknown = parser.parse_known_args(flags)
    if unknown:
        raise InputError(f"neither this program nor Beam has {unknown[0]!r}; --help lists flags")
    return kinds(flags)
