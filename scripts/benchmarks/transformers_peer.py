"""Repeats a fine-tuning run with transformers and PyTorch, to compare the scores.

The batches, schedule and optimizer are kerasbert's; model, gradients and updates are PyTorch's, in
their own process (see `transformers_trainer`). transformers saves the trained model, and kerasbert
loads and scores it with the same metrics.
"""

import math
import pathlib
import pickle
import subprocess
import sys
from typing import Any

from benchmarks import environment, transformers_trainer
from kerasbert import files
from kerasbert.errors import InputError
from kerasbert.recipes.finetune import build
from kerasbert.recipes.options import FinetuneOptions
from kerasbert.tasks.registry import get_spec
from kerasbert.training.schedules import Warmup

MODELS = {
    "text_classification": "BertForSequenceClassification",
    "regression": "BertForSequenceClassification",
    "token_classification": "BertForTokenClassification",
    "question_answering": "BertForQuestionAnswering",
}


def trained(output: pathlib.Path) -> pathlib.Path:
    """Returns the directory of transformers' trained model and its tokenizer."""
    return output / "trained"


def train(
    options: FinetuneOptions, output: pathlib.Path, test: pathlib.Path | None = None
) -> dict[str, float]:
    """Trains with transformers; returns the scores, and the seconds of training.

    Args:
        options: options of the run to repeat.
        output: directory for batches and models.
        test: file to score, with the threshold that `options.validation` gives; None: score
            `options.validation`.

    Raises:
        InputError: the training failed, for example without torch or transformers.
    """
    spec = get_spec(options.task)
    examples, validation = (
        spec.examples(path, options) for path in (options.train, options.validation)
    )
    ours: Any = build(spec, examples, options)
    output.mkdir(parents=True, exist_ok=True)
    start = output / "start"
    if not start.exists():
        ours.save_to_preset(start, format="hf")
    rows = ours.preprocessor.rows(examples.texts, examples.labels)
    steps = options.epochs * math.ceil(len(rows) / options.batch_size)
    batches = ours.preprocessor.training_batches(
        rows, batch_size=options.batch_size, seed=options.seed
    )
    with open(output / "batches.pickle", "wb") as file:
        for batch in batches.take(steps).as_numpy_iterator():
            pickle.dump(batch, file)
    rate = Warmup(
        options.learning_rate, steps, round(options.warmup_ratio * steps), options.lr_schedule
    )
    settings = {
        "model": MODELS[options.task],
        "start": str(start),
        "trained": str(trained(output)),
        "batches": str(output / "batches.pickle"),
        "rates": [float(rate(step)) for step in range(steps)],
        "precision": options.precision,
        "weight_decay": options.weight_decay,
        "clip_norm": options.clip_norm,
        "seed": options.seed,
    }
    files.write_json(output / "settings.json", settings)
    module = transformers_trainer.__name__
    command = [sys.executable, "-m", module, output / "settings.json"]
    ended = subprocess.run(command, env=environment())
    if ended.returncode:
        raise InputError("--peers: training with transformers failed; it needs the extra dev")
    for file in ("vocab.txt", "tokenizer_config.json"):
        (trained(output) / file).write_bytes((start / file).read_bytes())
    facts = {name: value for name, value in ours.head_config().items() if spec.accepts(name)}
    theirs = type(ours).from_preset(trained(output), sequence_length=ours.sequence_length, **facts)
    theirs.compile()
    scores = spec.validate(theirs, validation)
    if test is not None:
        scores = spec.scores(theirs, spec.examples(str(test), options))
    return {**scores, **files.read_json(output / "seconds.json")}
