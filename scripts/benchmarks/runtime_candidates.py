"""The candidates that run in ONNX Runtime and OpenVINO: kerasbert's exports, and torch's.

Nothing here imports TensorFlow or torch.
"""

import functools
import pathlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from kerasbert.errors import InputError


def by_batch(
    scores: Callable[[list[str]], np.ndarray], batches: Sequence[list[str]]
) -> tuple[list[Callable[[], Any]], list]:
    """Returns what a candidate of several parts does, and its answers."""
    answers = [scores(batch).tolist() for batch in batches]
    return [functools.partial(scores, batch) for batch in batches], answers


def onnx(directory: str, batches: Sequence[list[str]], length: int, name: str):
    """Runs a model in ONNX Runtime.

    Args:
        directory: directory of all models.
        batches: texts of each part.
        length: maximum tokens of a text.
        name: the model's directory in `directory`.
    """
    import onnxruntime

    known = onnxruntime.get_available_providers()
    providers = [f"{kind}ExecutionProvider" for kind in ("CUDA", "CPU")]
    session = onnxruntime.InferenceSession(
        str(pathlib.Path(directory, name, "model.onnx")),
        providers=[provider for provider in providers if provider in known],
    )
    outputs_of = lambda features: np.asarray(session.run(None, features)[0])  # noqa: E731
    return by_batch(_scores(directory, length, name, outputs_of), batches)


def openvino(
    directory: str, batches: Sequence[list[str]], length: int, name: str, precision: str | None
):
    """Runs a model in OpenVINO.

    Args:
        directory: directory of all models.
        batches: texts of each part.
        length: maximum tokens of a text.
        name: the model's directory in `directory`.
        precision: "f32" or "bf16", in which products without int8 are computed; None: as OpenVINO
            chooses.

    Raises:
        InputError: the processor has no such products.
    """
    import openvino

    core = openvino.Core()
    if precision == "bf16" and "BF16" not in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        raise InputError("OpenVINO does not compute in bfloat16 on this processor")
    hints = {"PERFORMANCE_HINT": "LATENCY"}
    if precision:
        hints["INFERENCE_PRECISION_HINT"] = precision
    model = core.compile_model(str(pathlib.Path(directory, name, "model.xml")), "CPU", hints)
    outputs_of = lambda features: model(features)[0].copy()  # noqa: E731
    return by_batch(_scores(directory, length, name, outputs_of), batches)


def _scores(
    directory: str, length: int, name: str, outputs_of: Callable[[dict], np.ndarray]
) -> Callable[[list[str]], np.ndarray]:
    """Returns the function from texts to scores, with the tokenizer that the model needs."""
    path = pathlib.Path(directory, name)
    if (path / "export.json").exists():
        from kerasbert.serving import Encoder

        encoder = Encoder(path)

        def our_scores(texts):
            found = np.empty((len(texts), len(encoder.export["classes"])), np.float32)
            for places, features in encoder.batches(text=texts):
                found[places] = outputs_of(features)
            return found

        return our_scores
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(pathlib.Path(directory, "transformers"))
    settings = {"padding": True, "truncation": True, "max_length": length}

    def their_scores(texts):
        return _softmax(outputs_of(dict(tokenizer(texts, **settings, return_tensors="np"))))

    return their_scores


def _softmax(logits: np.ndarray) -> np.ndarray:
    weights = np.exp(logits - logits.max(-1, keepdims=True))
    return weights / weights.sum(-1, keepdims=True)
