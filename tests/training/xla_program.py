"""Trains with and without XLA for the whole step; writes losses, shapes and how often it compiled.

`python xla_program.py tasks OUT`; XLA_FLAGS must have --xla_dump_to, by which compiles are counted.
"""

import os
import pathlib
import re
import sys

import keras
import numpy as np
import tensorflow as tf
from distributed_program import examples, tiny_pretrainer

from kerasbert import Backbone, BackboneConfig, TextClassifier
from kerasbert.layers import backends, vocabulary_loss
from kerasbert.text import WordPieceTokenizer
from kerasbert.training.optimizers import adamw

DUMP = pathlib.Path(re.search(r"--xla_dump_to=(\S+)", os.environ["XLA_FLAGS"])[1])
WORDS, STEPS = 20, 3


def compiles() -> int:
    """How many programs XLA has made of steps."""
    return len(list(DUMP.glob("*one_step_on_data*before_optimizations.txt")))


def pretraining(jit_compile: bool) -> list[float]:
    """Losses of steps on batches of one shape, as a corpus gives them."""
    keras.utils.set_random_seed(0)
    model = tiny_pretrainer()
    model.compile(adamw(1e-2), jit_compile=jit_compile, steps_per_execution=STEPS)
    model.counts_examples = True  # as programs do
    batch = tf.data.Dataset.from_tensors(examples(8)).repeat(STEPS)
    return [model.fit(batch, verbose=0).history["loss"][0] for _ in range(2)]


def finetuning(jit_compile: bool) -> tuple[list[float], set]:
    """Losses of epochs on texts of all lengths, and the shapes of their batches."""
    keras.utils.set_random_seed(0)
    words = [f"w{i}" for i in range(WORDS)]
    tokenizer = WordPieceTokenizer(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *words])
    config = BackboneConfig(
        vocabulary_size=tokenizer.vocabulary_size,
        num_layers=1,
        hidden_dim=8,
        num_heads=2,
        intermediate_dim=16,
        max_sequence_length=64,
        dropout=0.0,
        attention_dropout=0.0,
    )
    model = TextClassifier(Backbone(config), ["a", "b"], tokenizer=tokenizer, sequence_length=64)
    model.compile(adamw(1e-2), jit_compile=jit_compile)
    random = np.random.default_rng(0)
    texts = [" ".join(random.choice(words, length)) for length in random.integers(1, 80, 35)]
    labels = ["ab"[text.startswith("w1")] for text in texts]
    text = model.preprocessor
    text = text.with_few_lengths() if model.needs_few_shapes else text
    batches = text.training_batches(texts, labels, batch_size=4).take(27)
    shapes = {tuple(x["token_ids"].shape) for x, _ in batches}
    losses = [model.fit(batches, verbose=0).history["loss"][0] for _ in range(2)]
    return losses, shapes


def main(output: str) -> None:
    # Compiled steps compute the loss in three parts of this small vocabulary.
    backends._TOKENS_AT_ONCE, vocabulary_loss._ALIGNED = 8, 1
    found = {}
    for jit_compile in (False, True):
        name = "xla" if jit_compile else "plain"
        for task in (pretraining, finetuning):
            before = compiles()
            losses = task(jit_compile)
            if task is finetuning:
                losses, shapes = losses
                found[f"finetuning_{name}_shapes"] = sorted(shapes)
            found[f"{task.__name__}_{name}"] = losses
            found[f"{task.__name__}_{name}_compiles"] = compiles() - before
    np.savez(output, **found)


if __name__ == "__main__":
    main(sys.argv[2])
