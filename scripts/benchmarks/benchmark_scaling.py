"""Measures how training scales from one worker to several, each on its own core."""

import dataclasses
import json
import os
import statistics
import subprocess
import sys
import time

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
from kerasbert.recipes.training import log
from kerasbert.tasks import Pretrainer
from kerasbert.training.launch import clusters
from kerasbert.training.optimizers import adamw
from kerasbert.training.strategies import make_strategy, sharded

_WARM_UP = 3
_MASKED_SHARE = 0.15


def benchmark_scaling(options: BenchmarkScalingOptions) -> dict:
    """Times pretraining steps (MLM and NSP) with the same batch size per worker.

    Returns:
        Examples per second by number of workers, and the efficiency: the rate of N workers relative
        to N times the rate of one.
    """
    cores = sorted(os.sched_getaffinity(0))
    if not 2 <= options.workers <= len(cores):
        raise InputError(f"--workers must be from 2 to {len(cores)}, the number of available cores")
    rates = {1: [], options.workers: []}
    for _ in range(options.repeats):
        for workers, measured in rates.items():
            measured.append(_time(workers, cores, options))
            log(f"{workers} worker{'s' * (workers > 1)}: {measured[-1]:.1f} examples/s")
    one, several = (statistics.median(measured) for measured in rates.values())
    return {
        "examples_per_second": {str(workers): measured for workers, measured in rates.items()},
        "efficiency": round(several / (options.workers * one), 3),
    }


def _time(workers: int, cores: list[int], options: BenchmarkScalingOptions) -> float:
    """Returns the examples per second of all workers together."""
    program = "import sys; from benchmarks import benchmark_scaling as b; b.work(sys.argv[1])"
    command = [sys.executable, "-c", program, json.dumps(dataclasses.asdict(options))]
    processes = [
        subprocess.Popen(
            command,
            env={**environment(), "TF_CONFIG": json.dumps(cluster), "TF_CPP_MIN_LOG_LEVEL": "3"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=lambda core=core: os.sched_setaffinity(0, {core}),
        )
        for core, cluster in zip(cores, clusters(workers), strict=False)
    ]
    try:
        outputs = [process.communicate() for process in processes]
    finally:
        for process in processes:
            process.kill()
    for process, (_, errors) in zip(processes, outputs, strict=True):
        if process.returncode:
            raise InputError(f"a worker failed: {errors.strip().splitlines()[-1]}")
    return float(outputs[0][0].splitlines()[-1])


def work(options: str) -> None:
    """Runs one worker, and prints the rate of all workers together.

    Args:
        options: `BenchmarkScalingOptions` as JSON.
    """
    options = BenchmarkScalingOptions(**json.loads(options))
    strategy = make_strategy("multiworker")
    batch_size = options.batch_size * strategy.num_replicas_in_sync
    with strategy.scope():
        config = BackboneConfig.from_preset(
            options.preset, vocabulary_size=options.vocabulary_size, pooler=True
        )
        model = Pretrainer(Backbone(config), sequence_length=options.sequence_length)
        model.compile(adamw(1e-4))
    data = sharded(_batches(options, batch_size))
    model.fit(data, steps_per_epoch=_WARM_UP, verbose=0)
    start = time.monotonic()
    model.fit(data, steps_per_epoch=options.steps, verbose=0)
    print(batch_size * options.steps / (time.monotonic() - start))


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
