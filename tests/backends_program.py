"""Trains every task by ready features on whatever backend Keras has: `program.py OUTPUT.npz`."""

import sys

import keras
import numpy as np

from kerasbert import (
    Backbone,
    BackboneConfig,
    MaskedLM,
    MultipleChoice,
    Pretrainer,
    QuestionAnswerer,
    ReplacedTokenDetector,
    TextClassifier,
    TextEmbedder,
    TokenClassifier,
)

BATCH, LENGTH, VOCABULARY = 3, 8, 30
FACTS = {
    "vocabulary_size": VOCABULARY,
    "num_layers": 1,
    "hidden_dim": 16,
    "num_heads": 2,
    "intermediate_dim": 24,
    "max_sequence_length": LENGTH,
    "dropout": 0.0,
    "attention_dropout": 0.0,
    "pooler": True,
}


def features(random, *shape, **more):
    lengths = random.integers(2, LENGTH + 1, (*shape, 1))
    real = np.arange(LENGTH) < lengths
    return {
        "token_ids": random.integers(1, VOCABULARY, real.shape) * real,
        "padding_mask": real.astype("int32"),
        "segment_ids": random.integers(0, 2, real.shape) * real,
        **more,
    }


def tasks(random):
    """Yields each task's name, model, features, labels and weights."""

    def backbone():
        return Backbone(BackboneConfig(**FACTS))

    def masked():
        return features(random, BATCH, mask_positions=random.integers(0, 2, (BATCH, 2)))

    ids = random.integers(1, VOCABULARY, (BATCH, 2))
    weights = np.array([[1, 1], [1, 0], [0, 0]], "float32")
    positions = {f"{end}_logits": random.integers(0, 2, BATCH) for end in ("start", "end")}
    nsp = {"mlm_logits": ids, "nsp_logits": np.array([0, 1, 1])}
    nsp_weights = {"mlm_logits": weights, "nsp_logits": np.ones(BATCH, "float32")}
    tags = random.integers(0, 3, (BATCH, LENGTH))
    tag_weights = random.integers(0, 2, (BATCH, LENGTH)).astype("float32")
    one = features(random, BATCH)
    yield "pretrainer", Pretrainer(backbone()), masked(), nsp, nsp_weights
    yield "masked_lm", MaskedLM(backbone()), masked(), ids, weights
    yield "classifier", TextClassifier(backbone(), ["a", "b"]), one, np.array([0, 1, 1]), None
    yield "tagger", TokenClassifier(backbone(), ["O", "B-x", "I-x"]), one, tags, tag_weights
    yield "answerer", QuestionAnswerer(backbone()), one, positions, None
    choices = features(random, BATCH, 2)
    yield "choices", MultipleChoice(backbone()), choices, np.array([0, 1, 1]), None
    replaced = random.integers(0, 2, (BATCH, LENGTH))
    yield "detector", ReplacedTokenDetector(backbone()), one, replaced, None
    yield "embedder", TextEmbedder(backbone()), one, None, None


def set_weights(model, random) -> None:
    for variable in sorted(model.weights, key=lambda v: v.path):
        if "seed" not in variable.path:
            variable.assign(random.normal(0, 0.2, variable.shape).astype("float32"))


def main(output: str) -> None:
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        # The graphs are small and run a few times: optimizing them would take longer.
        tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})
    random = np.random.default_rng(0)
    found = {}
    for name, model, x, y, weights in tasks(random):
        set_weights(model, random)
        outputs = model(x, training=False)
        outputs = outputs if isinstance(outputs, dict) else {"output": outputs}
        for key, value in outputs.items():
            found[f"{name}/output/{key}"] = keras.ops.convert_to_numpy(value)
        if y is None:
            continue
        before = {v.path: np.array(v) for v in model.trainable_variables}
        model.compile(keras.optimizers.SGD(1.0))
        found[f"{name}/loss"] = np.array(model.train_on_batch(x, y, weights)[0])
        for variable in model.trainable_variables:
            gradient = before[variable.path] - np.array(variable)
            found[f"{name}/gradient/{variable.path}"] = gradient
        if name not in ("pretrainer", "tagger"):  # the optimizer is the same for all
            continue
        set_weights(model, random)
        model.compile()
        for _ in range(5):
            model.train_on_batch(x, y, weights)
        for variable in model.trainable_variables:
            found[f"{name}/adamw/{variable.path}"] = np.array(variable)
    np.savez(output, tensorflow="tensorflow" in sys.modules, **found)


if __name__ == "__main__":
    main(sys.argv[1])
