"""A training step of MLM + NSP on the same weights and the same batch."""

import functools
import pathlib
from typing import Any

import keras
import numpy as np

from benchmarks import kerashub as their
from benchmarks import matmul, torch_candidates
from benchmarks.device import gpu_name
from benchmarks.timing import Candidate
from benchmarks.workload import Workload
from kerasbert import Backbone
from kerasbert.features import (
    MASK_POSITIONS,
    MLM_LOGITS,
    NSP_LOGITS,
    PADDING_MASK,
    POOLED_OUTPUT,
    SEGMENT_IDS,
    SEQUENCE_OUTPUT,
    TOKEN_IDS,
)
from kerasbert.recipes.options import POLICIES
from kerasbert.tasks import Pretrainer

_VOCABULARY = 30_522
_RATE = 1e-4
_STEPS_ON_GPU = 30
_HEADS = "heads.npz"


def suite(options, directory: pathlib.Path) -> list[Workload]:
    """Returns a workload of steps of a new model on one batch without padding."""
    if options.input:
        from benchmarks import pretrain_documents  # imports TensorFlow

        return pretrain_documents.suite(options, directory)
    config = options.encoder(_VOCABULARY)
    model = Pretrainer(Backbone(config))
    model.save_to_preset(directory / "kerasbert")
    if "transformers" in options.others:
        model.save_to_preset(directory / "transformers", format="hf")
    if "kerashub" in options.others:
        model.backbone.save_to_preset(directory / "kerashub", format="kerashub")
        heads = {v.path: v.numpy() for v in model.weights if v.path.split("/")[0] in _HEAD_LAYERS}
        np.savez(directory / _HEADS, **heads)
    masked = round(0.15 * options.length)
    arrays: dict[str, Any] = _batch(options.batch_size, options.length, masked)
    np.savez(directory / torch_candidates.BATCH, **arrays)

    precisions, on_gpu = options.precisions, gpu_name() is not None
    # A GPU still computes while the host prepares the next step, so several are timed.
    steps = _STEPS_ON_GPU if on_gpu else 1
    arguments = (str(directory), options.dropout, steps)
    candidates = _keras_sides("kerasbert", kerasbert, options, arguments, try_xla=on_gpu)
    candidates += [matmul.ceiling(p, options.backend) for p in precisions]
    if "kerashub" in options.others:
        candidates += _keras_sides("kerashub", kerashub, options, arguments, try_xla=True)
    if "transformers" in options.others:
        candidates += [
            Candidate("transformers", p, torch_candidates.pretrain, (*arguments, p, on_gpu))
            for p in precisions
        ]
    forward = matmul.encoder_flops(config, [options.length] * options.batch_size)
    forward += matmul.masked_head_flops(config, options.batch_size * masked)
    return [
        Workload(
            title=f"{steps} step{'s' * (steps > 1)} of {options.layers} x {options.hidden}, "
            f"MLM + NSP, {options.batch_size} x {options.length}, dropout {options.dropout}"
            + (f", {options.backend}" if options.backend != "tensorflow" else ""),
            candidates=candidates,
            compare=_difference,
            tokens=steps * options.batch_size * options.length,
            flops=steps * 3 * forward,
        )
    ]


def _keras_sides(
    library: str, build, options, arguments: tuple, *, try_xla: bool
) -> list[Candidate]:
    """Returns a library's candidates, one per setting; JAX always compiles with XLA."""
    settings = {"true": (True,), "false": (False,), "auto": (False, True)[: 1 + try_xla]}
    settings = settings[options.xla] if options.backend == "tensorflow" else (False,)
    return [
        Candidate(
            library,
            precision + " XLA" * xla,
            build,
            (*arguments, precision, xla),
            environment={"KERAS_BACKEND": options.backend},
        )
        for xla in settings
        for precision in options.precisions
    ]


def _batch(rows: int, length: int, masked: int) -> dict[str, np.ndarray]:
    random = np.random.default_rng(0)
    positions = [np.sort(random.permutation(np.arange(1, length))[:masked]) for _ in range(rows)]
    return {
        TOKEN_IDS: random.integers(1000, _VOCABULARY, (rows, length), dtype="int32"),
        PADDING_MASK: np.ones((rows, length), "int32"),
        SEGMENT_IDS: np.tile(np.arange(length) >= length // 2, (rows, 1)).astype("int32"),
        MASK_POSITIONS: np.stack(positions).astype("int32"),
        MLM_LOGITS: random.integers(1000, _VOCABULARY, (rows, masked), dtype="int32"),
        NSP_LOGITS: random.integers(0, 2, rows, dtype="int32"),
    }


def _difference(ours: float, theirs: float) -> str:
    return f"loss without dropout {theirs:.4f} (kerasbert {ours:.4f})"


# === Candidates ===


def kerasbert(directory: str, dropout: float, steps: int, precision: str, xla: bool):
    """Trains `Pretrainer`, as `fit` does."""
    model = Pretrainer.from_preset(pathlib.Path(directory) / "kerasbert", dtype=POLICIES[precision])
    model.compile(**_compiled(xla))
    return _keras_steps(model, directory, steps)


def kerashub(directory: str, dropout: float, steps: int, precision: str, xla: bool):
    """Trains KerasHub's encoder and masked-language-model head, compiled as its tasks are."""
    import keras_hub

    policy = keras.dtype_policies.get(POLICIES[precision])
    backbone = keras_hub.models.BertBackbone.from_preset(
        str(pathlib.Path(directory) / "kerashub"), dtype=policy
    )
    gelu: Any = functools.partial(keras.activations.gelu, approximate=True)
    mlm_head = keras_hub.layers.MaskedLMHead(
        token_embedding=backbone.token_embedding,
        intermediate_activation=gelu,
        layer_norm_epsilon=1e-12,
        dtype=policy,
        name="mlm_head",
    )
    nsp_head = keras.layers.Dense(2, dtype="float32", name="nsp_head")
    positions = keras.Input((None,), dtype="int32", name=MASK_POSITIONS)
    encoded = backbone(backbone.input)
    logits = mlm_head(encoded[SEQUENCE_OUTPUT], mask_positions=positions)
    model = keras.Model(
        {**backbone.input, MASK_POSITIONS: positions},
        {MLM_LOGITS: logits, NSP_LOGITS: nsp_head(encoded[POOLED_OUTPUT])},
    )
    with np.load(pathlib.Path(directory) / _HEADS) as heads:
        for ours, theirs in _kerashub_heads(mlm_head, nsp_head).items():
            theirs.assign(heads[ours])
    model.compile(
        their.adamw(_RATE),
        loss={
            name: keras.losses.SparseCategoricalCrossentropy(from_logits=True)
            for name in (MLM_LOGITS, NSP_LOGITS)
        },
        weighted_metrics={
            name: [keras.metrics.SparseCategoricalAccuracy()] for name in (MLM_LOGITS, NSP_LOGITS)
        },
        **_compiled(xla),
    )
    return _keras_steps(model, directory, steps)


_HEAD_LAYERS = ("mlm_head", "nsp_head")


def _kerashub_heads(mlm_head, nsp_head) -> dict:
    """Returns KerasHub's variables by kerasbert's paths."""
    theirs = {
        "mlm_head/dense": mlm_head._intermediate_dense,
        "mlm_head/layer_norm": mlm_head._intermediate_layer_norm,
        "nsp_head": nsp_head,
    }
    by_path = {f"{path}/{v.name}": v for path, layer in theirs.items() for v in layer.weights}
    return {**by_path, "mlm_head/bias": mlm_head._bias}


def _on_tensorflow() -> bool:
    return keras.backend.backend() == "tensorflow"


def _compiled(xla: bool) -> dict:
    """Returns Keras's option for XLA; on JAX, Keras always compiles."""
    return {"jit_compile": xla} if _on_tensorflow() else {}


def _keras_steps(model, directory: str, steps: int):
    """Returns a function that trains as `fit` does, and the loss before the first step."""
    batch = torch_candidates.stored_batch(directory)
    y = {name: batch.pop(name) for name in (MLM_LOGITS, NSP_LOGITS)}
    weights = {name: np.ones(labels.shape, "float32") for name, labels in y.items()}
    if not _on_tensorflow():
        answer = model.test_on_batch(batch, y, weights, return_dict=True)["loss"]
        example = batch, y, weights

        def fit():
            batches = (example for _ in range(steps + 1))  # Keras consumes one to build the model
            model.fit(batches, steps_per_epoch=steps, shuffle=False, verbose=0)

        return fit, float(answer)
    import tensorflow as tf

    example = tf.data.Dataset.from_tensors((batch, y, weights)).cache()
    answer = model.evaluate(example, verbose=0, return_dict=True)["loss"]
    model.make_train_function()
    batches = iter(example.repeat().prefetch(2))

    def train():
        for _ in range(steps):
            logs = model.train_function(batches)
        return float(logs["loss"])  # waits for the GPU

    return train, answer
