"""The record of quality for time: minutes of pretraining from raw text, scored after fine-tuning.

For each contender a clock runs while it builds a vocabulary, prepares a corpus and pretrains; the
number of steps is planned from a few steps, so that the time is used up. Then the same fine-tuning,
with settings fixed before, scores the encoder on development sets that nothing was chosen on.
Recipes are chosen by the loss on held-out text.

    OUTPUT/NAME/result.json     scores, seconds, steps; a contender that has it is not run again
    OUTPUT/NAME/pretrained.json the same without scores, after pretraining
    OUTPUT/table.md, curve.png  all contenders
"""

import dataclasses
import json
import pathlib
import shlex
import shutil
import statistics
import time
from collections.abc import Callable

from benchmarks import quality_kerashub
from benchmarks.options import QualityForTimeOptions
from benchmarks.task_results import ROWS
from kerasbert import MaskedLM, cli, files
from kerasbert.data.corpus.reader import Corpus
from kerasbert.data.pretraining import PretrainingBatches
from kerasbert.errors import InputError
from kerasbert.machine import available_cores, processor
from kerasbert.recipes.build_vocab import build_vocab
from kerasbert.recipes.finetune import finetune
from kerasbert.recipes.options import (
    BuildVocabOptions,
    FinetuneOptions,
    PrepareCorpusOptions,
    PretrainOptions,
)
from kerasbert.recipes.prepare_corpus import prepare_corpus
from kerasbert.recipes.pretrain import pretrain
from kerasbert.tasks.registry import get_spec
from kerasbert.training.progress import log

SCORED = ("SST-2", "RTE", "STS-B")
_KERASHUB = "kerashub"
#: The share of the remaining time that steps are planned for; evaluations and saving take the rest.
_PLANNED = 0.93
_EVALUATIONS = 10
_HELD_OUT_BATCHES = 64


def quality_for_time(options: QualityForTimeOptions) -> dict:
    """Runs the contenders that have no result yet; prints the table, and writes table and curve."""
    if unknown := set(options.rows) - set(SCORED):
        raise InputError(f"--rows: no row {min(unknown)!r}; there are {', '.join(SCORED)}")
    output, results = pathlib.Path(options.output), {}
    for name, flags in map(_parsed, options.contender):
        directory = output / name
        path = directory / "result.json"
        if not path.exists():
            made = _pretrained(name, flags, options, directory)
            files.write_json(path, made | _scores(made["model"], options, directory))
        results[name] = files.read_json(path)
        log(json.dumps({name: results[name]}))
    table = _table(results)
    files.write_text(output / "table.md", "\n".join(table) + "\n")
    curves = {name: result["curve"] for name, result in results.items() if result["curve"]}
    if curves:
        _draw(curves, output / "curve.png")
    for line in table:
        log(line)
    return {"output": str(output), "contenders": results}


def _parsed(contender: str) -> tuple[str, list[str]]:
    """Returns the name and the flags of a contender."""
    name, _, flags = contender.partition("=")
    if not name or "/" in name or (not flags and name not in ("default", _KERASHUB)):
        raise InputError(
            f"--contender must be default, kerashub or NAME=FLAGS, found {contender!r}"
        )
    return name, shlex.split(flags)


def _pretrained(name, flags, options: QualityForTimeOptions, directory: pathlib.Path) -> dict:
    """Pretrains a contender within the time, or returns what was stored when it had done so.

    What was interrupted begins anew: the clock of a contender is never stopped.
    """
    path = directory / "pretrained.json"
    if not path.exists():
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir(parents=True)
        clock = Clock(60 * options.minutes)
        run = quality_kerashub.pretrained if name == _KERASHUB else _kerasbert
        made = run(flags, options, directory, clock)
        seconds = clock.seconds
        machine = {"cores": available_cores(), "processor": processor()}
        made |= {"seconds": round(seconds, 1), "stages": clock.stages, **machine}
        if name != _KERASHUB:  # not on the clock: what a recipe is chosen by
            made["held_out_loss"] = _held_out_loss(made["model"], directory)
        files.write_json(path, made | {"minutes": options.minutes, "flags": flags})
    return files.read_json(path)


class Clock:
    """Measures the time of a contender by the wall clock, in stages."""

    def __init__(self, limit: float):
        self._start, self._limit, self.stages = time.monotonic(), limit, {}

    @property
    def seconds(self) -> float:
        """The seconds since the start."""
        return time.monotonic() - self._start

    @property
    def left(self) -> float:
        """The seconds until the end."""
        return self._limit - self.seconds

    def stage(self, name: str, function: Callable, *arguments):
        """Calls a function, measures it, and returns its result.

        Raises:
            InputError: the time is over.
        """
        before = self.seconds
        result = function(*arguments)
        self.stages[name] = round(self.seconds - before, 1)
        if self.left < 0 and name != "pretraining":
            raise InputError(f"--minutes: the time was over after {name}; give more")
        return result


def _kerasbert(flags: list[str], options: QualityForTimeOptions, directory, clock: Clock) -> dict:
    vocab, corpus = str(directory / "vocab.txt"), str(directory / "corpus")
    run = str(directory / "pretrain")
    vocabulary = BuildVocabOptions(input=options.input, vocab_size=options.vocab_size, output=vocab)
    clock.stage("vocabulary", build_vocab, vocabulary)
    prepared = PrepareCorpusOptions(input=options.input, vocab=vocab, output=corpus)
    clock.stage("corpus", prepare_corpus, prepared)
    held_out = str(directory / "held_out")
    clock.stage(
        "held-out corpus",
        prepare_corpus,
        dataclasses.replace(prepared, input=options.held_out, output=held_out),
    )
    words = ["--corpus", corpus, "--output", run, "--seed", str(options.seed), *flags]
    given = cli.parse(["pretrain", *words], PretrainOptions)
    trial = dataclasses.replace(given, dry_run=True)
    measured = clock.stage("measuring a step", pretrain, trial)
    # Phases and schedules scale with the steps; the time per step is that of their mean.
    a_step = 3600 * measured["hours"] / measured["steps"] if given.phase else None
    steps = max(1, int(_PLANNED * clock.left / (a_step or measured["seconds_a_step"])))
    planned = dataclasses.replace(
        given,
        steps=steps,
        validation_corpus=held_out,
        validation_interval=max(1, steps // _EVALUATIONS),
        validation_batches=16,
    )
    before = clock.seconds
    result = clock.stage("pretraining", pretrain, planned)
    lines = (pathlib.Path(run) / "metrics.jsonl").read_text().splitlines()
    reports = [json.loads(line) for line in lines]
    loss = "val_mlm_logits_loss" if "val_mlm_logits_loss" in reports[-1] else "val_loss"
    return {
        "model": result["model"],
        "steps": result["steps"],
        "tokens": reports[-1]["tokens"],
        "settings": planned.settings,
        "curve": [[(before + report["seconds"]) / 60, report[loss]] for report in reports],
    }


def _held_out_loss(model: str, directory: pathlib.Path) -> float:
    """Returns the loss on 15 % masked tokens of held-out windows, however it was trained."""
    task = MaskedLM.from_preset(model)
    task.compile()
    batches = PretrainingBatches(
        Corpus(directory / "held_out"), 64, task.sequence_length, objective="mlm"
    )
    data = batches.dataset(steps=_HELD_OUT_BATCHES)
    return task.evaluate(data, verbose=0, return_dict=True)["loss"]


def _scores(model: str, options: QualityForTimeOptions, directory: pathlib.Path) -> dict:
    """Fine-tunes the encoder on each task and returns the scores and their mean, in percent."""
    scores = {}
    for name in options.rows or SCORED:
        row, stored = ROWS[name], directory / f"{name}.json"
        if not stored.exists():
            shutil.rmtree(directory / name, ignore_errors=True)
            train, validation = (
                str(pathlib.Path(options.data) / file) for file in (row.train, row.validation)
            )
            result = finetune(
                FinetuneOptions(
                    **{"batch_size": 32, **row.flags},
                    task=row.task,
                    init=model,
                    train=train,
                    validation=validation,
                    output=str(directory / name),
                    seed=options.seed,
                )
            )
            metric = get_spec(row.task).primary_metric
            files.write_json(stored, {"score": 100 * result["scores"][metric], "metric": metric})
        scores[name] = files.read_json(stored)["score"]
    return {"scores": scores, "mean": statistics.mean(scores.values())}


def _table(results: dict) -> list[str]:
    rows = list(next(iter(results.values()))["scores"])
    lines = [f"| contender | minutes | steps | held-out loss | {' | '.join(rows)} | mean |"]
    lines.append("|---" * (5 + len(rows)) + "|")
    for name, result in results.items():
        loss = result.get("held_out_loss")
        scores = " | ".join(f"{result['scores'][row]:.1f}" for row in rows)
        lines.append(
            f"| {name} | {result['seconds'] / 60:.1f} | {result['steps']:,} | "
            f"{'–' if loss is None else format(loss, '.3f')} | {scores} | {result['mean']:.1f} |"
        )
    return lines


def _draw(curves: dict, path: pathlib.Path) -> None:
    """Plots the loss on held-out text against the time since the start, as training measured it."""
    from matplotlib.figure import Figure  # an extra

    figure = Figure(figsize=(8, 4), layout="constrained")
    axis = figure.subplots()
    for name, points in curves.items():
        axis.plot(*zip(*points, strict=True), marker="o", markersize=3, label=name)
    axis.set_xlabel("minutes since the start, with vocabulary and corpus")
    axis.set_ylabel("loss on held-out text, in training's masks")
    axis.grid(alpha=0.3)
    axis.legend()
    figure.savefig(path, dpi=110)
