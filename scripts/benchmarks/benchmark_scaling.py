"""Measures how training scales from one worker to several, each on its own core.

All ways to train are timed in the same processes and in turn, within seconds of each other, so that
what else the machine does changes few of the ratios, and is seen in them.
"""

import dataclasses
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks import environment
from benchmarks.options import BenchmarkScalingOptions
from kerasbert.backbone import Backbone, BackboneConfig
from kerasbert.errors import InputError
from kerasbert.features import (
    MASK_POSITIONS,
    MLM_LOGITS,
    NSP_LOGITS,
    PADDING_MASK,
    SEGMENT_IDS,
    TOKEN_IDS,
)
from kerasbert.tasks import Pretrainer
from kerasbert.training.launch import clusters
from kerasbert.training.optimizers import adamw
from kerasbert.training.progress import log
from kerasbert.training.strategies import is_chief, make_strategy, sharded

#: Ways to train: worker 0 while the others wait; all, each its own model; all the same model.
WAYS = ("alone", "apart", "together")
_WARM_UP = 3
_MASKED_SHARE = 0.15


def benchmark_scaling(options: BenchmarkScalingOptions) -> dict:
    """Times pretraining steps (MLM and NSP) with the same batch size per worker.

    Returns:
        Examples per second of all workers, by round, in each of `WAYS`; and the efficiency by round
        and its median: the rate of N workers together, relative to N times that of one alone. The
        rate of N workers apart is what the machine's memory allows N processes.
    """
    cores = sorted(os.sched_getaffinity(0))
    if not 2 <= options.workers <= len(cores):
        raise InputError(f"--workers must be from 2 to {len(cores)}, the number of available cores")
    rounds = _run(cores, options)
    efficiencies = {
        way: [round(one[way] / (options.workers * one["alone"]), 3) for one in rounds]
        for way in WAYS[1:]
    }
    for way, found in efficiencies.items():
        shown = " ".join(f"{ratio:.2f}" for ratio in found)
        log(f"{options.workers} workers {way}, relative to {options.workers} x 1: {shown}")
    return {
        "examples_per_second": {way: [round(one[way], 2) for one in rounds] for way in WAYS},
        "efficiency_by_round": efficiencies["together"],
        "efficiency": statistics.median(efficiencies["together"]),
        "efficiency_apart": statistics.median(efficiencies["apart"]),
    }


def _run(cores: list[int], options: BenchmarkScalingOptions) -> list[dict[str, float]]:
    """Runs the workers, each on a core; returns the rates of each round."""
    program = "import sys; from benchmarks import benchmark_scaling as b; b.work(sys.argv[1])"
    command = [sys.executable, "-c", program, json.dumps(dataclasses.asdict(options))]
    processes = [
        subprocess.Popen(
            command,
            env={**environment(), "TF_CONFIG": json.dumps(cluster), "TF_CPP_MIN_LOG_LEVEL": "3"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            # Before Python starts, so that TensorFlow makes threads for one core.
            preexec_fn=lambda core=core: os.sched_setaffinity(0, {core}),
        )
        for core, cluster in zip(cores, clusters(options.workers), strict=False)
    ]
    try:
        outputs = [process.communicate() for process in processes]
    finally:
        for process in processes:
            process.kill()
    for process, (_, errors) in zip(processes, outputs, strict=True):
        if process.returncode:
            raise InputError(f"a worker failed: {(errors.strip().splitlines() or ['?'])[-1]}")
    return json.loads(outputs[0][0].splitlines()[-1])


def work(given: str) -> None:
    """Runs one worker, and prints the rates of each round.

    Args:
        given: `BenchmarkScalingOptions` as JSON.
    """
    import tensorflow as tf

    options = BenchmarkScalingOptions(**json.loads(given))
    strategy: Any = make_strategy("multiworker")
    one, all_workers = _trainer(options, tf.distribute.get_strategy()), _trainer(options, strategy)
    idle = not is_chief(strategy)

    @tf.function(autograph=False)
    def sum_of(rate):
        def add():
            return tf.distribute.get_replica_context().all_reduce("SUM", tf.identity(rate))

        return strategy.experimental_local_results(strategy.run(add))[0]

    def rate(way: str) -> float:
        """Returns the rate of all workers, which begin at the same time."""
        float(sum_of(tf.constant(0.0)))  # waits for the others
        own = 0.0 if way == "alone" and idle else (all_workers if way == "together" else one)()
        return float(sum_of(tf.constant(own)))

    rounds = []
    for number in range(options.repeats):
        ways = WAYS if number % 2 == 0 else WAYS[::-1]
        rounds.append({way: rate(way) for way in ways})
    print(json.dumps(rounds))


def _trainer(options: BenchmarkScalingOptions, strategy) -> Callable[[], float]:
    """Returns a function that trains some steps, and returns this worker's examples per second."""
    with strategy.scope():
        config = BackboneConfig.from_preset(
            options.preset, vocabulary_size=options.vocabulary_size, pooler=True
        )
        model = Pretrainer(Backbone(config), sequence_length=options.sequence_length)
        model.compile(adamw(1e-4))
    batch_size = options.batch_size * strategy.num_replicas_in_sync
    data = strategy.experimental_distribute_dataset(sharded(_batches(options, batch_size)))
    batches = iter(data)
    model.make_train_function()
    run: Any = model.train_function

    def train(steps: int) -> float:
        start = time.monotonic()
        for _ in range(steps):
            logs = run(batches)
        float(logs["loss"])  # the last step has ended
        return options.batch_size * steps / (time.monotonic() - start)

    train(_WARM_UP)
    return lambda: train(options.steps)


def _batches(options: BenchmarkScalingOptions, batch_size: int):
    """Repeats one batch of random tokens."""
    import tensorflow as tf

    numbers = np.random.default_rng(0)
    length, masked = options.sequence_length, round(_MASKED_SHARE * options.sequence_length)

    def ids(limit, *shape):
        return numbers.integers(limit, size=(batch_size, *shape)).astype("int32")

    features = {
        TOKEN_IDS: ids(options.vocabulary_size, length),
        PADDING_MASK: np.ones((batch_size, length), "int32"),
        SEGMENT_IDS: ids(2, length),
        MASK_POSITIONS: ids(length, masked),
    }
    labels = {MLM_LOGITS: ids(options.vocabulary_size, masked), NSP_LOGITS: ids(2)}
    weights = {name: np.ones(label.shape, "float32") for name, label in labels.items()}
    return tf.data.Dataset.from_tensors((features, labels, weights)).repeat()
