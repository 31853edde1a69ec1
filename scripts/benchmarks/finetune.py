"""Fine-tuning steps of a text classifier, from strings to updated weights."""

import pathlib
from typing import Any

import numpy as np

from benchmarks import kerashub as their
from benchmarks import torch_candidates
from benchmarks.classify import store_classifier
from benchmarks.timing import Candidate
from benchmarks.workload import Workload
from kerasbert import TextClassifier
from kerasbert.data.examples import read_examples
from kerasbert.errors import InputError
from kerasbert.recipes.options import POLICIES

_STEPS = 10
_RATE = 5e-5


def suite(options, directory: pathlib.Path) -> list[Workload]:
    """Returns a workload of shuffled batches, which each library tokenizes and pads on the fly."""
    if len(options.input) != 1:
        raise InputError("--suite=finetune needs one --input, a file of labeled texts")
    examples = read_examples(options.input[0])
    model: Any = store_classifier(options, examples.classes, directory)
    texts, labels = list(examples.texts["text"]), list(map(examples.classes.index, examples.labels))
    data = (str(directory), texts, labels, options.batch_size)
    precisions = options.precisions
    candidates = [Candidate("kerasbert", p, kerasbert, (*data, p)) for p in precisions]
    if "kerashub" in options.others:
        candidates += [
            Candidate("kerashub", p, kerashub, (*data, options.length, p)) for p in precisions
        ]
    if "transformers" in options.others:
        arguments = (*data, options.length, _STEPS)
        candidates += [
            Candidate("transformers", p, torch_candidates.finetune, (*arguments, p))
            for p in precisions
        ]
    sample = np.random.default_rng(0).permutation(len(texts))[:1000]
    mask = np.asarray(model.preprocessor.features([texts[i] for i in sample])["padding_mask"])
    return [
        Workload(
            title=f"{_STEPS} steps of {options.layers} x {options.hidden}, "
            f"{options.batch_size} texts of {options.input[0]} each, dropout {options.dropout}",
            candidates=candidates,
            tokens=round(mask.sum(axis=1).mean() * options.batch_size * _STEPS),
        )
    ]


# === Candidates ===


def kerasbert(directory: str, texts, labels, batch_size: int, precision: str):
    """Trains `TextClassifier` on its own batches."""
    model: Any = TextClassifier.from_preset(
        pathlib.Path(directory) / "kerasbert", dtype=POLICIES[precision]
    )
    model.compile()
    names = [model.classes[label] for label in labels]
    return _steps(model, model.preprocessor.training_batches(texts, names, batch_size=batch_size))


def kerashub(directory: str, texts, labels, batch_size: int, length: int, precision: str):
    """Trains `BertTextClassifier`, whose preprocessor pads to `length`."""
    import keras
    import tensorflow as tf

    model: Any = their.classifier(directory, dtype=POLICIES[precision])
    model.preprocessor.sequence_length = length
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(their.adamw(_RATE), loss, weighted_metrics=["accuracy"], jit_compile=False)
    rows = tf.data.Dataset.from_tensor_slices((texts, labels)).shuffle(len(texts)).repeat()
    batches = rows.batch(batch_size).map(model.preprocessor, num_parallel_calls=tf.data.AUTOTUNE)
    return _steps(model, batches.prefetch(2))


def _steps(model, batches):
    model.make_train_function()
    iterator = iter(batches)

    def run():
        for _ in range(_STEPS):
            logs = model.train_function(iterator)
        return float(logs["loss"])

    return run, None
