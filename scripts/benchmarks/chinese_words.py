"""Compares masks of Chinese characters with masks of whole words, for the same number of steps.

Each model is pretrained on the same corpus from the same initial weights, scored on the same masks
of held-out text, and fine-tuned with the same recipe. What is complete is not done again, and an
interrupted run goes on.
"""

import dataclasses
import json
import pathlib
import statistics
import time

from benchmarks.options import ChineseWordsOptions
from kerasbert import files
from kerasbert.data.corpus.prepare import prepare_corpus
from kerasbert.data.corpus.reader import Corpus
from kerasbert.data.corpus.words import WordFinder
from kerasbert.data.pretraining.batches import PretrainingBatches
from kerasbert.data.pretraining.masking import mask_unit_of
from kerasbert.errors import InputError
from kerasbert.recipes.evaluate import evaluate
from kerasbert.recipes.finetune import finetune
from kerasbert.recipes.options import EvaluateOptions, FinetuneOptions, PretrainOptions
from kerasbert.recipes.pretrain import pretrain
from kerasbert.tasks import MaskedLM
from kerasbert.text import WordPieceTokenizer
from kerasbert.training.progress import log

_CORPUS, _HELD_OUT = "corpus", "held_out"
# Of the masks that all models are scored on.
_SEED, _SCORED = 1, ("whole_word", "token")


def chinese_words(options: ChineseWordsOptions) -> dict:
    """Trains the models that have no result yet, and prints the table."""
    for unit in options.units:
        mask_unit_of(mask_unit=unit)  # an unknown one is an error before anything is prepared
    output = pathlib.Path(options.output)
    output.mkdir(parents=True, exist_ok=True)
    _same_settings(options, output / "settings.json")
    _prepare(options, output)
    results = {}
    for seed in range(options.seeds):
        for unit in options.units:
            path = output / f"{unit}-{seed}" / "result.json"
            if not path.exists():
                files.write_json(path, _train(options, output, unit, seed))
            results[unit, seed] = files.read_json(path)
            log(json.dumps({path.parent.name: results[unit, seed]}))
    for line in _table(options, results):
        log(line)
    return {
        "output": str(output),
        "rows": [{"unit": u, "seed": s, **result} for (u, s), result in results.items()],
    }


def _same_settings(options: ChineseWordsOptions, path: pathlib.Path) -> None:
    """Raises `InputError` if what is complete was made with other settings."""
    settings = dataclasses.asdict(options)
    for name in ("output", "units", "seeds"):  # which may grow
        del settings[name]
    if not path.exists():
        files.write_json(path, settings)
    for name, value in files.read_json(path).items():
        if settings.get(name) != value:
            raise InputError(f"{path}: its runs have --{name}={value}; choose another --output")


def _prepare(options: ChineseWordsOptions, output: pathlib.Path) -> None:
    tokenizer = WordPieceTokenizer(options.vocab)
    for name, text in ((_CORPUS, options.input), (_HELD_OUT, options.held_out)):
        if not (output / name).exists():
            words = WordFinder(tokenizer, options.word_segmenter)
            prepare_corpus(text, tokenizer, output / name, words=words)


def _train(options: ChineseWordsOptions, output: pathlib.Path, unit: str, seed: int) -> dict:
    """Pretrains, scores and fine-tunes a model."""
    start, runs = time.monotonic(), output / f"{unit}-{seed}"
    pretrained, tuned = runs / "pretrain", runs / "finetune"
    if not (pretrained / "model").exists():
        pretrain(
            PretrainOptions(
                corpus=[str(output / _CORPUS)],
                preset=options.preset,
                objective="mlm",
                mask_unit=unit,
                steps=options.steps,
                batch_size=options.batch_size,
                sequence_length=options.sequence_length,
                dropout=0.0,
                validation_interval=options.steps,
                seed=seed,
                output=str(pretrained),
            )
        )
    result = {f"{name}_{of}": v for of in _SCORED for name, v in _score(options, output, runs, of)}
    if not (tuned / "model").exists():
        finetune(
            FinetuneOptions(
                init=str(pretrained / "model"),
                train=options.train,
                validation=options.validation,
                sequence_length=options.sequence_length,
                epochs=options.epochs,
                learning_rate=1e-4,
                seed=seed,
                output=str(tuned),
            )
        )
    scores = evaluate(EvaluateOptions(model=str(tuned / "model"), data=options.validation))
    return {
        **result,
        "accuracy": scores["accuracy"],
        "seconds": round(time.monotonic() - start),
    }


def _score(options: ChineseWordsOptions, output: pathlib.Path, runs: pathlib.Path, unit: str):
    """Returns names and values of the scores on masks of a unit, which are those of all models."""
    model = MaskedLM.from_preset(runs / "pretrain" / "model")
    model.compile()
    batches = PretrainingBatches(
        Corpus(output / _HELD_OUT),
        options.batch_size,
        options.sequence_length,
        seed=_SEED,
        objective="mlm",
        mask_unit=unit,
    )
    steps = min(options.held_out_batches, batches.steps_per_epoch)
    return model.evaluate(batches.dataset(steps=steps), verbose=0, return_dict=True).items()


def _table(options: ChineseWordsOptions, results: dict) -> list[str]:
    columns = [f"{name}_{unit}" for unit in _SCORED for name in ("loss", "accuracy")]
    lines = ["| masks | seed | loss on whole words | accuracy | loss on characters | accuracy |"]
    lines[0] += " ChnSentiCorp accuracy |"
    lines.append("|---|---|---|---|---|---|---|")
    for unit in options.units:
        rows = [results[unit, seed] for seed in range(options.seeds)]
        mean = {name: statistics.mean(row[name] for row in rows) for name in rows[0]}
        for seed, row in [*enumerate(rows), ("mean", mean)]:
            losses = (f"{row[name]:.3f}" for name in columns)
            lines.append(f"| {unit} | {seed} | {' | '.join(losses)} | {row['accuracy']:.3f} |")
    return lines
