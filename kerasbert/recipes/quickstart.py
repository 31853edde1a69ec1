"""The whole workflow, offline, on Python's own documentation: from text to a served model."""

import collections
import contextlib
import hashlib
import json
import os
import pathlib
import signal
import time
from collections.abc import Iterable, Iterator
from typing import Any

from kerasbert import files
from kerasbert.errors import InputError, Interrupted
from kerasbert.features import TEXT
from kerasbert.program import show
from kerasbert.recipes import python_docs
from kerasbert.recipes.build_vocab import build_vocab
from kerasbert.recipes.export import export
from kerasbert.recipes.finetune import finetune
from kerasbert.recipes.options import (
    BuildVocabOptions,
    ExportOptions,
    FinetuneOptions,
    PrepareCorpusOptions,
    PretrainOptions,
    QuickstartOptions,
)
from kerasbert.recipes.prepare_corpus import prepare_corpus
from kerasbert.recipes.pretrain import pretrain
from kerasbert.serving import exports
from kerasbert.serving.client import ask_fresh_process
from kerasbert.tasks import Pretrainer
from kerasbert.training.run_directory import BEST, CHECKPOINTS, EVENTS, MODEL, WRITTEN

HELD_OUT_SHARE = 0.08
_SMALLEST_CORPUS = 5_000_000  # bytes
_CLASSES, _TEXTS_PER_CLASS, _HELD_OUT_PER_CLASS = 6, 1_000, 250
_SHORTEST_TEXT = 80  # characters per paragraph to classify
_MASKED = (
    "Returns a new [MASK] object.",
    "If the file does not [MASK], an exception is raised.",
    "The default value is [MASK].",
    "This method is called when the [MASK] is closed.",
)
_QUESTIONS = (
    "Plots a line on the axes, with markers and a legend in the corner of the figure.",
    "Computes the cross-entropy loss between the labels and the predictions of the layer.",
    "Opens a socket and waits for a connection, or raises OSError.",
    "Returns the eigenvalues of a square array along the last axis.",
)
_MARKER = "quickstart.json"
# What a quickstart writes, and what is in the directories of these.
_TEXTS = {"train.jsonl", "held_out.jsonl"}
_RUN = {*WRITTEN, EVENTS, CHECKPOINTS, BEST, ".lock"}
_ENTRIES = {
    _MARKER: set(),
    "text": _TEXTS,
    "vocab.txt": set(),
    "corpus": {"train", "held_out"},
    "pretrain": _RUN,
    "task": _TEXTS,
    "finetune": _RUN,
}


def quickstart(options: QuickstartOptions) -> dict[str, Any]:
    """Runs all stages, printing a line after each, and a summary at the end."""
    with files.locked(options.output):
        try:
            result = _Quickstart(options).run()
        except Interrupted as interruption:  # says how to resume a stage, but all begin again
            name = signal.Signals(interruption.signal).name
            raise Interrupted(
                f"stopped by {name}; repeat the command to begin again", interruption.signal
            ) from None
    show("")
    show(_summary(result))
    return result


class _Quickstart:
    def __init__(self, options: QuickstartOptions):
        self.options = options
        self.root = root = pathlib.Path(options.output)
        self.seconds: dict[str, float] = {}
        # Already here, so that what they refuse is refused before anything is removed.
        self.build_vocab = BuildVocabOptions(
            input=[str(root / "text/train.jsonl")],
            vocab_size=options.vocab_size,
            output=str(root / "vocab.txt"),
        )
        self.pretraining = PretrainOptions(
            corpus=[str(root / "corpus/train")],
            validation_corpus=str(root / "corpus/held_out"),
            preset=options.preset,
            steps=options.steps,
            batch_size=options.batch_size,
            sequence_length=options.sequence_length,
            learning_rate=2e-3,
            dropout=0.0,
            seed=options.seed,
            output=str(root / "pretrain"),
            validation_interval=max(1, options.steps // 10),
            validation_batches=60,
        )
        self.finetuning = FinetuneOptions(
            init=str(root / "pretrain" / MODEL),
            train=str(root / "task/train.jsonl"),
            validation=str(root / "task/held_out.jsonl"),
            epochs=options.epochs,
            learning_rate=5e-4,
            dropout=0.1,
            seed=options.seed,
            output=str(root / "finetune"),
        )

    def run(self) -> dict:
        # Not after minutes, when it is written.
        files.refuse_existing(
            self.options.saved_model, overwrite=True, check=exports.check_replaceable
        )
        _make_room(self.root, self.options.saved_model)
        documents = self.collect()
        self.vocabulary()
        self.tokenize()
        pretrained = self.pretrain()
        guesses = self.guess(pretrained["model"])
        classifier = self.finetune(documents)
        self.export(classifier["model"])
        answers = self.ask()
        return {
            "pretraining": pretrained["held_out"],
            "classification": {
                name: classifier[name] for name in ("accuracy", "baseline", "validation_examples")
            },
            "classes": classifier["classes"],
            "guesses": guesses,
            "answers": answers,
            "seconds": self.seconds,
            "files": {
                "corpus": str(self.root / "text"),
                "vocabulary": str(self.root / "vocab.txt"),
                "pretrained": pretrained["model"],
                "curves": pretrained.get("curves"),
                "classifier": classifier["model"],
                "saved_model": self.options.saved_model,
            },
        }

    @contextlib.contextmanager
    def stage(self, name: str) -> Iterator[None]:
        start = time.monotonic()
        yield
        self.seconds[name] = round(time.monotonic() - start, 1)

    def collect(self) -> list[python_docs.Document]:
        with self.stage("collect"):
            documents = python_docs.collect()
            sizes = collections.Counter()
            (self.root / "text").mkdir()
            outputs = {
                True: self.root / "text/held_out.jsonl",
                False: self.root / "text/train.jsonl",
            }
            with contextlib.ExitStack() as stack:
                opened = {
                    key: stack.enter_context(open(path, "w", encoding="utf-8"))
                    for key, path in outputs.items()
                }
                for document in documents:
                    held_out = document.held_out(HELD_OUT_SHARE)
                    text = "\n".join(document.paragraphs)
                    sizes["held out"] += held_out
                    sizes["bytes"] += len(text.encode("utf-8"))
                    record = {"name": document.name, "text": text}
                    opened[held_out].write(json.dumps(record, ensure_ascii=False) + "\n")
        if sizes["bytes"] < _SMALLEST_CORPUS:
            raise InputError(
                f"Python's documentation here is only {sizes['bytes']:,} bytes after "
                f"deduplication; quickstart needs {_SMALLEST_CORPUS:,}"
            )
        self.done(
            "collect",
            f"{len(documents):,} documents, {sizes['bytes'] / 1e6:.1f} MB of Python's documentation"
            f"; {sizes['held out']:,} documents held out",
        )
        return documents

    def vocabulary(self) -> None:
        with self.stage("vocabulary"):
            result = build_vocab(self.build_vocab)
        self.done("vocabulary", f"{result['size']:,} tokens")

    def tokenize(self) -> None:
        with self.stage("tokenize"):
            train, held_out = (
                prepare_corpus(
                    PrepareCorpusOptions(
                        input=[str(self.root / f"text/{part}.jsonl")],
                        vocab=str(self.root / "vocab.txt"),
                        output=str(self.root / "corpus" / part),
                    )
                )
                for part in ("train", "held_out")
            )
        self.done(
            "tokenize", f"{train['tokens']:,} tokens to train on, {held_out['tokens']:,} held out"
        )

    def pretrain(self) -> dict:
        options = self.options
        with self.stage("pretrain"):
            result = pretrain(self.pretraining)
        held_out = result["held_out"]
        self.done(
            "pretrain",
            f"{options.steps:,} steps of {options.preset}; held out: MLM accuracy "
            f"{held_out['mlm_accuracy']:.1%}, NSP accuracy {held_out['nsp_accuracy']:.1%}",
        )
        return result

    def guess(self, model: str) -> list[dict]:
        with self.stage("guess"):
            pretrainer = Pretrainer.from_preset(model)
            guesses = pretrainer.fill_mask(list(_MASKED), top_k=5)
        self.done("guess", f"{len(_MASKED)} masked sentences")
        for text, ((*best,),) in zip(_MASKED, guesses, strict=True):
            show(f"    {text}  {', '.join(f'{guess.token} {guess.score:.0%}' for guess in best)}")
        return [
            {"text": text, "top_5": [guess.token for guess in best]}
            for text, (best,) in zip(_MASKED, guesses, strict=True)
        ]

    def finetune(self, documents: list[python_docs.Document]) -> dict:
        with self.stage("finetune"):
            classes = self.write_task(documents)
            result = finetune(self.finetuning)
        self.done(
            "finetune",
            f"package of a paragraph ({', '.join(classes)}): accuracy {result['accuracy']:.1%} "
            f"on {result['validation_examples']:,} paragraphs of held-out documents",
        )
        return result

    def write_task(self, documents: list[python_docs.Document]) -> list[str]:
        """Writes paragraphs of the packages with the most text, labeled with their package."""
        paragraphs = collections.defaultdict(list)
        for document in documents:
            held_out = document.held_out(HELD_OUT_SHARE)
            long_enough = [text for text in document.paragraphs if len(text) >= _SHORTEST_TEXT]
            paragraphs[document.package, held_out] += long_enough
        sizes = {
            package: len(texts) for (package, held_out), texts in paragraphs.items() if held_out
        }
        classes = sorted(sorted(sizes, key=lambda package: sizes[package])[-_CLASSES:])
        (self.root / "task").mkdir()
        for part, held_out, most in (
            ("train", False, _TEXTS_PER_CLASS),
            ("held_out", True, _HELD_OUT_PER_CLASS),
        ):
            with open(self.root / f"task/{part}.jsonl", "w", encoding="utf-8") as file:
                for label in classes:
                    # A hash selects paragraphs from all files of a package.
                    for text in sorted(paragraphs[label, held_out], key=_hash)[:most]:
                        record = {"text": text, "label": label}
                        file.write(json.dumps(record, ensure_ascii=False) + "\n")
        return classes

    def export(self, model: str) -> None:
        with self.stage("export"):
            export(ExportOptions(model=model, output=self.options.saved_model, overwrite=True))
        self.done("export", f"{self.options.saved_model}, same answers in a fresh process")

    def ask(self) -> list[dict]:
        with self.stage("ask"):
            answers = ask_fresh_process(self.options.saved_model, {TEXT: _QUESTIONS})
        self.done("ask", "predictions in a fresh process:")
        for text, answer in zip(_QUESTIONS, answers, strict=True):
            shown = {
                "text": text,
                "label": answer["label"],
                "score": round(max(answer["scores"]), 3),
            }
            show("    " + json.dumps(shown))
        return answers

    def done(self, stage: str, what: str) -> None:
        show(f"{stage:>10} {self.seconds[stage]:6.1f} s  {what}")


def _hash(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


def _make_room(root: pathlib.Path, saved_model: str | os.PathLike[str]) -> None:
    """Creates the directory; removes an earlier quickstart's files, but no others.

    Args:
        root: path of the directory.
        saved_model: path of the export, which may be inside, and is replaced later.

    Raises:
        InputError: the directory contains something else.
    """
    if root.exists() and any(root.iterdir()):
        if not (root / _MARKER).exists():
            raise InputError(
                f"{root}: is not empty, and not from an earlier quickstart; choose another "
                "directory"
            )
        export = pathlib.Path(os.path.abspath(saved_model))
        entries = [
            path
            for path in sorted(root.iterdir())
            if not export.is_relative_to(os.path.abspath(_whole(path)))
        ]
        if other := next(_others(entries), None):
            raise InputError(
                f"{root}: holds {other.relative_to(root)}, which is not of an earlier quickstart; "
                "move that away, or choose another directory"
            )
        for path in entries:
            if path.name != _MARKER:
                files.remove(path)
    root.mkdir(parents=True, exist_ok=True)
    files.write_json(root / _MARKER, {"made_by": "kerasbert quickstart"})


def _others(entries: Iterable[pathlib.Path]) -> Iterator[pathlib.Path]:
    """Yields the paths that a quickstart does not write, of entries and what is in them."""
    for path in entries:
        name = _whole(path).name
        if name not in _ENTRIES:
            yield path
        elif files.is_directory(path):
            for inside in sorted(path.iterdir()):
                if _whole(inside).name not in _ENTRIES[name]:
                    yield inside


def _whole(path: pathlib.Path) -> pathlib.Path:
    """Returns the path that something incomplete is for, or `path`."""
    return files.from_hidden(path)[0]


def _summary(result: dict) -> str:
    pretraining, classification = result["pretraining"], result["classification"]
    rows = [
        (
            "masked tokens",
            pretraining["mlm_accuracy"],
            "most frequent token",
            pretraining["mlm_baseline"],
        ),
        ("next sentence", pretraining["nsp_accuracy"], "a coin", 0.5),
        (
            "classification",
            classification["accuracy"],
            "majority class",
            classification["baseline"]["accuracy"],
        ),
    ]
    lines = ["accuracy on documents never trained on"]
    lines += [f"  {what:16}{ours:6.1%}   {other}: {base:.1%}" for what, ours, other, base in rows]
    lines += ["time"]
    lines += [f"  {stage:16}{seconds:6.1f} s" for stage, seconds in result["seconds"].items()]
    lines += [f"  {'all':16}{sum(result['seconds'].values()):6.1f} s", "files"]
    lines += [f"  {what:16}{path}" for what, path in result["files"].items()]
    return "\n".join(lines)
