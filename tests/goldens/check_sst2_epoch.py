"""Compares one epoch of SST-2 in kerasbert and in KerasHub, from the same weights.

    python tests/goldens/check_sst2_epoch.py --init MODEL \\
        --train train.tsv --validation dev.tsv --output DIRECTORY

KerasHub's classifier has its own layers and preprocessor, which pads every text to `--peer_length`,
and kerasbert's schedule, optimizer and batch size. Each library trains in its own process, one
after the other. Prints accuracy and seconds. Exits with 1 if the accuracies differ by more than
twice the standard error of their difference.
"""

import argparse
import json
import math
import multiprocessing
import pathlib
import sys
import time

RATE, BATCH, WARMUP, PRECISION = 1e-4, 32, 0.1, "bfloat16"
START = "start"
SCRIPTS = pathlib.Path(__file__).resolve().parents[2] / "scripts"


def kerasbert(given, directory: pathlib.Path) -> None:
    """Runs `finetune`; also writes the initial classifier for KerasHub."""
    import keras

    from kerasbert import Backbone, tokenizer_from_preset
    from kerasbert.recipes.finetune import FinetuneOptions, build, finetune
    from kerasbert.tasks.registry import get_spec

    encoder = directory / "encoder"
    # KerasHub's BERT only has the tanh approximation of GELU.
    Backbone.from_preset(given.init, activation="gelu_tanh").save_to_preset(
        encoder, tokenizer=tokenizer_from_preset(given.init)
    )
    options = FinetuneOptions(
        init=str(encoder),
        train=given.train,
        validation=given.validation,
        output=str(directory / "run"),
        epochs=1,
        batch_size=BATCH,
        sequence_length=given.peer_length,
        learning_rate=RATE,
        warmup_ratio=WARMUP,
        precision=PRECISION,
    )
    spec = get_spec(options.task)
    keras.utils.set_random_seed(options.seed)
    start = build(spec, spec.examples(options.train, options), options)
    start.save_to_preset(directory / START, format="kerashub")
    began = time.perf_counter()
    result = finetune(options)
    write(directory / "kerasbert.json", result["accuracy"], began)


def kerashub(given, directory: pathlib.Path) -> None:
    """Trains KerasHub's classifier on the same data."""
    import keras
    import keras_hub
    import tensorflow as tf

    sys.path.append(str(SCRIPTS))
    from benchmarks import kerashub as their
    from kerasbert.data.examples import read_examples
    from kerasbert.recipes.options import POLICIES
    from kerasbert.training.schedules import Warmup

    keras.utils.set_random_seed(0)
    began = time.perf_counter()
    train, held_out = (read_examples(path) for path in (given.train, given.validation))
    classes = train.classes
    model = keras_hub.models.BertTextClassifier.from_preset(
        str(directory / START), dtype=POLICIES[PRECISION]
    )
    model.preprocessor.sequence_length = given.peer_length
    steps = math.ceil(len(train.labels) / BATCH)
    model.compile(
        their.adamw(Warmup(RATE, steps, round(WARMUP * steps))),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        weighted_metrics=["accuracy"],
        jit_compile=False,
    )

    def rows(examples):
        labels = [classes.index(label) for label in examples.labels]
        return tf.data.Dataset.from_tensor_slices((list(examples.texts["text"]), labels))

    preprocess, model.preprocessor = model.preprocessor, None  # `fit` would apply it a second time

    def batches(dataset):
        return dataset.batch(BATCH).map(preprocess, tf.data.AUTOTUNE).prefetch(2)

    model.fit(batches(rows(train).shuffle(len(train.labels), seed=0)), epochs=1)
    scores = model.evaluate(batches(rows(held_out)), return_dict=True, verbose=0)
    write(directory / "kerashub.json", scores["accuracy"], began)


def write(path: pathlib.Path, accuracy: float, began: float) -> None:
    seconds = round(time.perf_counter() - began)
    path.write_text(json.dumps({"accuracy": float(accuracy), "seconds": seconds}))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in ("init", "train", "validation", "output"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--peer_length", type=int, default=128)
    given = parser.parse_args()
    directory = pathlib.Path(given.output)
    directory.mkdir(parents=True, exist_ok=True)
    found = {}
    for side in (kerasbert, kerashub):
        process = multiprocessing.get_context("spawn").Process(target=side, args=(given, directory))
        process.start()
        process.join()
        if process.exitcode:
            return 1
        found[side.__name__] = json.loads((directory / f"{side.__name__}.json").read_text())
        print(side.__name__, found[side.__name__])
    with open(given.validation, encoding="utf-8") as file:
        count = sum(1 for _ in file) - 1
    accuracies = [one["accuracy"] for one in found.values()]
    error = math.sqrt(sum(a * (1 - a) / count for a in accuracies))
    print(
        "times kerasbert's seconds:", found["kerashub"]["seconds"] / found["kerasbert"]["seconds"]
    )
    return int(abs(accuracies[0] - accuracies[1]) > 2 * error)


if __name__ == "__main__":
    sys.exit(main())
