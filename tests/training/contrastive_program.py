"""Trains a small embedder on pairs and writes its weights; see `test_similarity.py`.

`python contrastive_program.py DEVICES OUT`
"""

import sys

import keras
import numpy as np
import tensorflow as tf

from kerasbert import Backbone, BackboneConfig, TextEmbedder
from kerasbert.training.strategies import make_strategy, sharded

WORDS, LENGTH, TEXTS, BATCH, ROWS = 20, 6, 3, 4, 13  # the last batch has one row


def main(devices, out):
    # The graphs are small and run a few times: rewriting them takes longer.
    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})
    strategy = make_strategy("mirrored", devices) if devices > 1 else make_strategy("none")
    keras.utils.set_random_seed(0)
    config = BackboneConfig(
        vocabulary_size=WORDS,
        num_layers=1,
        hidden_dim=8,
        num_heads=2,
        intermediate_dim=16,
        max_sequence_length=LENGTH,
        dropout=0.0,
        attention_dropout=0.0,
        initializer_range=0.2,
        pooler=False,
    )
    with strategy.scope():
        model = TextEmbedder(Backbone(config))
        model.compile(keras.optimizers.SGD(0.1))
    before = np.concatenate([np.ravel(v.numpy()) for v in model.trainable_variables])
    numbers = np.random.default_rng(0)
    features = {"token_ids": numbers.integers(WORDS, size=(ROWS, TEXTS, LENGTH)).astype("int32")}
    features["padding_mask"] = np.ones_like(features["token_ids"])
    features["segment_ids"] = np.zeros_like(features["token_ids"])
    weights = numbers.choice([0.0, 0.5, 2.0], ROWS).astype("float32")
    rows = (features, np.ones(ROWS, "float32"), weights)
    data = sharded(tf.data.Dataset.from_tensor_slices(rows).batch(BATCH))
    history = model.fit(data, epochs=5, verbose=0).history
    after = np.concatenate([np.ravel(v.numpy()) for v in model.trainable_variables])
    np.savez(out, replicas=strategy.num_replicas_in_sync, before=before, after=after, **history)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
