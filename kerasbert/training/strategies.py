"""Where a run computes: one device, all of a machine's, several machines, a TPU."""

from __future__ import annotations

import os

from kerasbert.errors import InputError
from kerasbert.lazy import tensorflow as tf
from kerasbert.training.workers import connect

STRATEGIES = ("none", "mirrored", "multiworker", "tpu")


def make_strategy(name: str, num_virtual_devices: int = 0) -> tf.distribute.Strategy:
    """Returns the strategy called `name`; models are built and compiled in its `scope()`.

    Args:
        name: "none": one device. "mirrored": all GPUs of this machine, or its virtual devices.
            "multiworker": the machines of `TF_CONFIG`, each with all its GPUs. "tpu": the TPU that
            TensorFlow's resolver finds.
        num_virtual_devices: cut this machine's CPU into so many, to try things out; 0: don't.

    Raises:
        InputError: no such strategy, or what it needs is not there.
    """
    if name in ("parameterserver", "parameter_server"):
        raise InputError("ParameterServerStrategy: Keras 3 can't train under it; use multiworker")
    if name not in STRATEGIES:
        raise InputError(f"strategy must be one of {', '.join(STRATEGIES)}, found {name!r}")
    if num_virtual_devices:
        _cut_cpu(num_virtual_devices)
    return {
        "none": tf.distribute.get_strategy,
        "mirrored": _mirrored,
        "multiworker": connect,
        "tpu": _tpu,
    }[name]()


def _cut_cpu(count: int) -> None:
    cpu = tf.config.list_physical_devices("CPU")[0]
    parts = [tf.config.LogicalDeviceConfiguration()] * count
    try:
        tf.config.set_logical_device_configuration(cpu, parts)
    except RuntimeError:
        raise InputError(
            "virtual devices must be made before TensorFlow computes anything in this process"
        ) from None


def _mirrored() -> tf.distribute.Strategy:
    for kind in ("GPU", "CPU"):
        devices = tf.config.list_logical_devices(kind)
        if (kind == "GPU" and devices) or len(devices) > 1:
            return tf.distribute.MirroredStrategy([device.name for device in devices])
    raise InputError(
        "strategy mirrored found no GPU; omit --strategy to train on the CPU, or set "
        "--num_virtual_devices=2 to test mirrored on virtual CPU devices"
    )


def _tpu() -> tf.distribute.Strategy:
    try:
        resolver = tf.distribute.cluster_resolver.TPUClusterResolver.connect()
    except (ValueError, tf.errors.OpError) as error:
        raise InputError(f"no TPU is found ({str(error).splitlines()[0]})") from None
    return tf.distribute.TPUStrategy(resolver)


def is_tpu(strategy: tf.distribute.Strategy) -> bool:
    """Whether a strategy computes on a TPU, where everything is compiled by XLA."""
    return isinstance(strategy, tf.distribute.TPUStrategy)


def describe(strategy: tf.distribute.Strategy) -> str:
    """The devices that a strategy computes on, such as "2 GPUs (NVIDIA H100)"."""
    if is_tpu(strategy):
        return f"{strategy.num_replicas_in_sync} TPU cores"
    gpus = tf.config.list_physical_devices("GPU")
    count = strategy.num_replicas_in_sync
    if gpus:
        name = tf.config.experimental.get_device_details(gpus[0]).get("device_name", "unknown")
        return f"{count} GPU{'s' * (count > 1)} ({name})"
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    cpu = f"CPU ({cores} core{'s' * (cores > 1)})"
    if isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
        return f"{count} workers, {cpu}"
    return cpu if count == 1 else f"{cpu}, cut into {count} devices"


def is_chief(strategy: tf.distribute.Strategy) -> bool:
    """Whether this process writes what only one may write."""
    resolver = strategy.cluster_resolver
    if resolver is None or not resolver.task_type:
        return True
    return resolver.task_id == 0


def sharded(dataset: tf.data.Dataset) -> tf.data.Dataset:
    """The dataset, told to give every worker its rows of each global batch.

    TensorFlow's own choice looks for files to share out first, and warns that there are none.
    """
    options = tf.data.Options()
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.DATA
    return dataset.with_options(options)
