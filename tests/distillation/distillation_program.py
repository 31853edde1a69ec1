"""Distills a small model on fixed numbers and writes its weights; see `test_distillation.py`.

`python distillation_program.py DEVICES OUT`
"""

import sys

import keras
import numpy as np
import tensorflow as tf

from kerasbert import Backbone, BackboneConfig, TextClassifier
from kerasbert.training import Distiller
from kerasbert.training.strategies import make_strategy, sharded

WORDS, LENGTH, CLASSES, BATCH, ROWS = 20, 6, 3, 4, 13  # the last batch has one row


def classifier(hidden_dim, num_layers, num_heads):
    config = BackboneConfig(
        vocabulary_size=WORDS,
        num_layers=num_layers,
        hidden_dim=hidden_dim,
        num_heads=num_heads,
        intermediate_dim=16,
        max_sequence_length=LENGTH,
        dropout=0.0,
        attention_dropout=0.0,
        initializer_range=0.2,
    )
    return TextClassifier(Backbone(config), CLASSES)


def examples():
    numbers = np.random.default_rng(0)
    lengths = numbers.integers(1, LENGTH + 1, ROWS)
    features = {
        "token_ids": numbers.integers(WORDS, size=(ROWS, LENGTH)).astype("int32"),
        "padding_mask": (np.arange(LENGTH) < lengths[:, np.newaxis]).astype("int32"),
        "segment_ids": np.zeros((ROWS, LENGTH), "int32"),
    }
    labels = numbers.integers(CLASSES, size=ROWS)
    weights = numbers.choice([0.0, 0.5, 2.0], ROWS).astype("float32")
    return features, labels, weights


def flat(variables):
    return np.concatenate([np.ravel(variable.numpy()) for variable in variables])


def distill(strategy, accumulation_steps):
    keras.utils.set_random_seed(0)
    with strategy.scope():
        teacher, student = classifier(12, 2, 4), classifier(8, 1, 2)
        model = Distiller(teacher, student, hidden="mse", attention="kl")
        model.compile(keras.optimizers.SGD(0.05), accumulation_steps=accumulation_steps)
    before = flat(model.trainable_variables)
    data = sharded(tf.data.Dataset.from_tensor_slices(examples()).batch(BATCH))
    history = model.fit(data, epochs=3, verbose=0).history
    return {"before": before, "after": flat(model.trainable_variables), **history}


def main(devices, out):
    # The graphs are small and run a few times: optimizing them would take longer.
    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})
    strategy = make_strategy("mirrored", devices) if devices > 1 else make_strategy("none")
    found = {"replicas": strategy.num_replicas_in_sync}
    for pieces in (1, 2):
        found |= {f"{pieces}_{name}": value for name, value in distill(strategy, pieces).items()}
    np.savez(out, **found)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
