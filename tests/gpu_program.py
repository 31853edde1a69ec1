"""A small model and a batch for the tests marked gpu, and what JAX makes of them.

`gpu_program.py OUTPUT.npz` trains with the backend and on the device that the environment says.
"""

import pathlib
import sys
import tempfile

import keras
import numpy as np

from kerasbert import Backbone, BackboneConfig, Pretrainer
from kerasbert.layers import backends

ROWS, LENGTH, VOCABULARY = 8, 32, 500
#: Mixed precisions by whether JAX computes on a CPU, where it has no products of float16.
KINDS = {False: ("bfloat16", "float16"), True: ("bfloat16",)}


def batch():
    random = np.random.default_rng(0)
    lengths = random.integers(10, LENGTH + 1, (ROWS, 1))
    real = (np.arange(LENGTH) < lengths).astype("int32")
    features = {
        "token_ids": random.integers(5, VOCABULARY, real.shape) * real,
        "padding_mask": real,
        "segment_ids": (np.arange(LENGTH) > lengths // 2) * real,
        "mask_positions": np.sort(random.integers(1, 10, (ROWS, 4)), axis=1),
    }
    labels = {
        "mlm_logits": random.integers(5, VOCABULARY, (ROWS, 4)),
        "nsp_logits": random.integers(0, 2, ROWS),
    }
    return features, labels, {name: np.ones(y.shape, "float32") for name, y in labels.items()}


def pretrainer(dtype="float32", dropout=0.0) -> Pretrainer:
    config = BackboneConfig(
        vocabulary_size=VOCABULARY,
        num_layers=2,
        hidden_dim=128,
        num_heads=2,
        intermediate_dim=256,
        max_sequence_length=64,
        dropout=dropout,
        attention_dropout=dropout,
        initializer_range=0.05,
    )
    return Pretrainer(Backbone(config, dtype=dtype))


def trained(weights=None, dtype="float32", dropout=0.0, steps=3):
    """The losses of some steps of SGD, and how far they have moved each weight."""
    model = pretrainer(dtype, dropout)
    if weights is not None:
        model.set_weights(weights)
    before = [np.array(variable) for variable in model.trainable_variables]
    model.compile(keras.optimizers.SGD(0.1))
    x, y, sample_weight = batch()
    losses = [model.train_on_batch(x, y, sample_weight)[0] for _ in range(steps)]
    moved = [np.array(v) - b for v, b in zip(model.trainable_variables, before, strict=True)]
    return model, np.array(losses, "float32"), moved


def main(output: str) -> None:
    random = np.random.default_rng(0)
    # The same on every device, whatever its random numbers are.
    weights = [
        w if w.dtype != np.float32 else random.normal(0, 0.05, w.shape).astype("float32")
        for w in pretrainer().get_weights()
    ]
    model, losses, moved = trained(weights)
    found = {"losses": losses, **{f"moved/{i}": change for i, change in enumerate(moved)}}
    for kind in KINDS[backends.computes_on_cpu()]:
        found[f"losses_{kind}"] = trained(weights, f"mixed_{kind}")[1]
    found["losses_dropout"] = trained(weights, dropout=0.2, steps=4)[1]
    x, *_ = batch()
    with tempfile.TemporaryDirectory() as directory:
        path = pathlib.Path(directory) / "model"
        model.save_to_preset(path)
        for name, one in {"model": model, "loaded": Pretrainer.from_preset(path)}.items():
            outputs = one(x, training=False)["mlm_logits"]
            found[f"outputs_{name}"] = keras.ops.convert_to_numpy(outputs)
    np.savez(output, **found)


if __name__ == "__main__":
    main(sys.argv[1])
