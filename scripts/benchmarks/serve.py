"""Inference from raw strings to scores: the exports that kerasbert writes, and other libraries.

Candidates of the same precision are compared: kerasbert's exports, run as docs/serving.md and
docs/runtimes.md say, and peers with their tokenizers, in the fastest ways that they describe.
"""

import functools
import os
import pathlib
import shutil
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from benchmarks import kerashub as their
from benchmarks import made_texts, runtime_candidates, runtime_exports, torch_candidates
from benchmarks.device import gpu_name
from benchmarks.timing import Candidate, in_process
from benchmarks.workload import Part, Workload
from kerasbert import files
from kerasbert.errors import InputError

_STORED = "stored.json"
_GOAL = 0.8
#: The most that scores, between 0 and 1, may differ from those of the model, layer by layer.
_TOLERANCES = {"float32": 1e-3, "bfloat16": 0.1, "int8": 0.25}
#: By precision: kerasbert's exports (OpenVINO computes float32 weights in bfloat16).
_EXPORTS = {
    "float32": ("saved_model_float32", "onnx_float32", "openvino_float32"),
    "bfloat16": ("saved_model_bfloat16", "openvino_float32"),
    "int8": ("onnx_int8", "openvino_int8"),
}
#: By format: the peer with which it is measured; it needs the same packages.
_PEERS = {"onnx": "onnxruntime", "openvino": "openvino"}


def suite(options, directory: pathlib.Path) -> Iterator[Workload]:
    """Yields a workload for each precision: one text of 20 or 100 words, and 32 of 5 to 100 words.

    Models that an earlier run with the same options left in `directory` are used again.
    """
    titles, batches, calls = zip(*_batches(options), strict=True)
    logs = pathlib.Path(options.output) / "logs"
    stored = directory / _STORED
    if not stored.exists():
        found = in_process(_store, options, directory, batches, log=logs / "store.log")
        files.write_json(stored, {"options": _described(options), **found})
    found = files.read_json(stored)
    if found["options"] != _described(options):
        raise InputError(f"--resume: {directory} has models of other options; remove it")
    for precision in options.serving_precisions:
        _prepare(options, directory, precision, logs)
        tolerance = _TOLERANCES[precision]
        parts = [
            Part(
                title=title,
                tokens=tokens,
                calls=number,
                compare=functools.partial(_says, scores, tolerance),
                accepts=functools.partial(_is_right, scores, tolerance),
            )
            for title, number, tokens, scores in zip(
                titles, calls, found["tokens"], found["scores"], strict=True
            )
        ]
        title = f"{precision}, {options.layers} x {options.hidden}"
        candidates = _candidates(options, str(directory), precision, batches)
        yield Workload(title=title, candidates=candidates, parts=parts, goal=_GOAL)


def _batches(options) -> list[tuple[str, list[str], int]]:
    """Returns title, texts and calls per round of each part: random words of the vocabulary."""
    if not options.vocab:
        raise InputError(f"--suite={options.suite} needs --vocab, a WordPiece vocabulary")
    random = np.random.default_rng(0)
    parts = (
        ("1 text of 20 words", [20], 15),
        ("1 text of 100 words", [100], 5),
        ("32 texts of 5 to 100 words", random.integers(5, 101, 32), 1),
    )
    return [
        (title, made_texts.drawn(options.vocab, lengths, random), calls)
        for title, lengths, calls in parts
    ]


def _described(options) -> dict:
    names = ("layers", "hidden", "length", "lowercase", "vocab", "others")
    return {name: getattr(options, name) for name in names}


def _largest_difference(expected, answer) -> float:
    return float(np.abs(np.asarray(expected) - np.asarray(answer)).max())


def _is_right(expected, tolerance: float, answer) -> bool:
    return _largest_difference(expected, answer) <= tolerance


def _says(expected, tolerance: float, _, answer) -> str:
    difference = _largest_difference(expected, answer)
    wrong = "" if difference <= tolerance else "WRONG: "
    return f"{wrong}scores differ by {difference:.1e} from the model's (at most {tolerance:g})"


# === Models ===


def _store(options, directory: pathlib.Path, batches: Sequence[list[str]]) -> dict[str, list]:
    """Writes the model; returns the tokens of each batch, and the scores, layer by layer."""
    import keras

    from benchmarks.classify import store_classifier  # imports TensorFlow

    for name in ("kerasbert", "transformers", "kerashub"):  # of a run that was stopped
        shutil.rmtree(directory / name, ignore_errors=True)
    # Larger than usual, so that texts get different scores: otherwise a wrong answer looks right.
    spread = 2 / options.hidden**0.5
    model: Any = store_classifier(options, ["no", "yes"], directory, initializer_range=spread)
    tokens, scores = [], []
    for batch in batches:
        features = model.preprocessor.features(batch)
        tokens.append(int(np.asarray(features["padding_mask"]).sum()))
        logits = model(features, training=False)
        scores.append(keras.ops.convert_to_numpy(keras.ops.softmax(logits)).tolist())
    return {"tokens": tokens, "scores": scores}


def _prepare(options, directory: pathlib.Path, precision: str, logs: pathlib.Path) -> None:
    """Writes the exports of a precision that are not there yet, in processes of their own."""
    ours = [
        name
        for name in _EXPORTS[precision]
        if _PEERS.get(name.rsplit("_", 1)[0]) in (None, *options.others)
        and not (directory / name).exists()
    ]
    if ours:
        in_process(_export, directory, ours, log=logs / f"export-{precision}.log")
    if theirs := runtime_exports.missing(directory, precision, options.others):
        log = logs / f"export-{precision}-peers.log"
        in_process(runtime_exports.write, directory, theirs, options.length, log=log)


def _export(directory: pathlib.Path, names: Sequence[str]) -> None:
    from kerasbert import TextClassifier  # imports TensorFlow

    for name in names:
        format, precision = name.rsplit("_", 1)
        dtype = precision if format == "saved_model" else "float32"
        model = TextClassifier.from_preset(directory / "kerasbert", dtype=dtype)
        weights = "int8" if precision == "int8" else None
        model.export(directory / name, format=format, precision=weights, check=False)


# === Candidates ===


def _candidates(options, where: str, precision: str, batches: Sequence) -> list[Candidate]:
    """Returns the candidates of a precision, kerasbert's first."""
    rest = (where, batches, options.length)
    onnx, openvino = runtime_candidates.onnx, runtime_candidates.openvino
    torch = torch_candidates.serve
    of_libraries = [
        ("", "kerasbert SavedModel", kerasbert, (where, batches, precision)),
        ("kerashub", "kerashub", kerashub, (*rest, precision)),
        ("transformers", "transformers", torch, (*rest, precision, False)),
    ]
    of_precision = {
        "float32": [
            *of_libraries,
            ("onnxruntime", "kerasbert ONNX", onnx, (*rest, "onnx_float32")),
            ("onnxruntime", "onnxruntime", onnx, (*rest, "peer_onnx_float32")),
            ("onnxruntime", "onnxruntime optimized", onnx, (*rest, "peer_onnx_optimized")),
            ("openvino", "kerasbert OpenVINO", openvino, (*rest, "openvino_float32", "f32")),
            ("openvino", "openvino", openvino, (*rest, "peer_openvino_float32", "f32")),
        ],
        "bfloat16": [
            *of_libraries,
            ("transformers", "transformers compiled", torch, (*rest, precision, True)),
            ("openvino", "kerasbert OpenVINO", openvino, (*rest, "openvino_float32", "bf16")),
            ("openvino", "openvino", openvino, (*rest, "peer_openvino_float32", "bf16")),
        ],
        # What is not int8 there is float32, or bfloat16 as OpenVINO chooses it.
        "int8": [
            ("onnxruntime", "kerasbert ONNX", onnx, (*rest, "onnx_int8")),
            ("onnxruntime", "onnxruntime", onnx, (*rest, "peer_onnx_int8")),
            ("onnxruntime", "onnxruntime optimized", onnx, (*rest, "peer_onnx_optimized_int8")),
            ("openvino", "kerasbert OpenVINO", openvino, (*rest, "openvino_int8", "f32")),
            ("openvino", "kerasbert OpenVINO bf16", openvino, (*rest, "openvino_int8", "bf16")),
            ("openvino", "openvino", openvino, (*rest, "peer_openvino_int8", None)),
            ("openvino", "openvino weights", openvino, (*rest, "peer_openvino_weights", None)),
        ],
    }
    chosen = [
        Candidate(library, precision, build, arguments)
        for peer, library, build, arguments in of_precision[precision]
        if peer in ("", *options.others)
        # On a GPU, compiling takes longer than there is time.
        and not (library == "transformers compiled" and gpu_name())
    ]
    return sorted(chosen, key=lambda one: not one.library.startswith("kerasbert"))


def kerasbert(directory: str, batches: Sequence[list[str]], precision: str):
    """Runs the SavedModel; in bfloat16 with frozen weights, as `kerasbert serve` does."""
    os.environ["TF_ONEDNN_ASSUME_FROZEN_WEIGHTS"] = str(int(precision != "float32"))
    import tensorflow as tf
    import tensorflow_text  # noqa: F401  registers the ops of exports

    path = pathlib.Path(directory) / f"saved_model_{precision}"
    with files.without_patterns(path) as plain:
        model = tf.saved_model.load(plain)

    def scores(texts):
        return model.signatures["serving_default"](text=tf.constant(texts))["scores"].numpy()

    return runtime_candidates.by_batch(scores, batches)


def kerashub(directory: str, batches: Sequence[list[str]], length: int, precision: str):
    """Runs `BertTextClassifier.predict_on_batch`, padded to the longest text."""
    import keras

    model: Any = their.classifier(directory, dtype=precision)
    longest = {
        tuple(batch): max(len(ids) for ids in model.preprocessor.tokenizer(batch)) + 2
        for batch in batches
    }

    def scores(texts):
        model.preprocessor.sequence_length = min(longest[tuple(texts)], length)
        logits = keras.ops.cast(model.predict_on_batch(texts), "float32")
        return keras.ops.convert_to_numpy(keras.ops.softmax(logits))

    return runtime_candidates.by_batch(scores, batches)
