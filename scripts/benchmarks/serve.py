"""Inference from raw strings to scores: an export, and other libraries with their tokenizers."""

import os
import pathlib
from typing import Any

import numpy as np

from benchmarks import kerashub as their
from benchmarks import torch_candidates
from benchmarks.classify import store_classifier
from benchmarks.timing import Candidate
from benchmarks.workload import Workload
from kerasbert import TextClassifier, files

_CALLS = 15  # per round of a single text; their median counts


def suite(options, directory: pathlib.Path) -> list[Workload]:
    """Returns workloads of one text of 20 or 100 words, and of 32 texts of 5 to 100 words."""
    model: Any = store_classifier(options, ["no", "yes"], directory)
    for precision in options.precisions:
        exported = TextClassifier.from_preset(directory / "kerasbert", dtype=precision)
        exported.export(directory / f"export_{precision}", check=False)
    random = np.random.default_rng(0)
    words = [word for word in model.tokenizer.vocabulary if word.isascii() and word.isalpha()]

    def texts(lengths):
        return [" ".join(random.choice(words, length)) for length in lengths]

    lengths = {
        "1 text of 20 words": [20],
        "1 text of 100 words": [100],
        "32 texts of 5 to 100 words": random.integers(5, 101, 32),
    }
    where = str(directory)
    works = []
    for title, counts in lengths.items():
        batch = texts(counts)
        arguments = (where, batch, options.length)
        candidates = [
            Candidate("kerasbert", precision, kerasbert, (where, batch, precision))
            for precision in options.precisions
        ]
        if "kerashub" in options.others:
            candidates.append(Candidate("kerashub", "float32", kerashub, arguments))
        if "transformers" in options.others:
            candidates += [
                Candidate(
                    "transformers", precision, torch_candidates.serve, (*arguments, precision)
                )
                for precision in options.precisions
            ]
        if "onnxruntime" in options.others:
            # Separate libraries, because int8 changes the answers.
            candidates += [
                Candidate(
                    f"onnxruntime-{precision}",
                    "",
                    torch_candidates.serve_onnx,
                    (*arguments, precision),
                )
                for precision in ("float32", "int8")
            ]
        if "openvino" in options.others:
            candidates.append(Candidate("openvino", "", torch_candidates.serve_openvino, arguments))
        mask = np.asarray(model.preprocessor.features(batch)["padding_mask"])
        works.append(
            Workload(
                title=f"{title}, {options.layers} x {options.hidden}",
                candidates=candidates,
                compare=_difference,
                tokens=int(mask.sum()),
                calls=_CALLS if len(batch) == 1 else 1,
            )
        )
    return works


def _difference(ours, theirs) -> str:
    return f"scores differ by {np.abs(np.asarray(ours) - np.asarray(theirs)).max():.1e}"


# === Candidates ===


def kerasbert(directory: str, texts: list[str], precision: str):
    """Runs the SavedModel with frozen weights, as the README recommends for servers."""
    os.environ["TF_ONEDNN_ASSUME_FROZEN_WEIGHTS"] = "1"
    import tensorflow as tf
    import tensorflow_text  # noqa: F401  registers the ops of exports

    with files.without_patterns(pathlib.Path(directory) / f"export_{precision}") as path:
        model = tf.saved_model.load(path)
    serve = model.signatures["serving_default"]
    strings = tf.constant(texts)

    def run():
        return serve(text=strings)

    return run, run()["scores"].numpy().tolist()


def kerashub(directory: str, texts: list[str], length: int):
    """Runs `BertTextClassifier.predict_on_batch`, padded to the longest text."""
    import keras

    model: Any = their.classifier(directory)
    longest = max(len(ids) for ids in model.preprocessor.tokenizer(texts)) + 2
    model.preprocessor.sequence_length = min(longest, length)

    def run():
        return model.predict_on_batch(texts)

    return run, keras.ops.convert_to_numpy(keras.ops.softmax(run())).tolist()
