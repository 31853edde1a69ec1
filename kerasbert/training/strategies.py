"""Distribution strategies: one device, all devices of a machine, several machines, a TPU.

On TensorFlow a strategy is a `tf.distribute.Strategy`. On JAX it is `OnJax`, which has the
attributes of a strategy that training uses.
"""

from __future__ import annotations

import contextlib
from typing import Any

import keras

from kerasbert.errors import InputError
from kerasbert.lazy import tensorflow as tf
from kerasbert.machine import available_cores
from kerasbert.training.steps import ON_TENSORFLOW
from kerasbert.training.workers import connect

STRATEGIES = ("none", "mirrored", "multiworker", "tpu")


class OnJax:
    """The strategy on JAX: one program computes the global batch on all devices.

    `keras.distribution` sets the devices.
    """

    num_replicas_in_sync = 1
    cluster_resolver = None

    def scope(self) -> Any:
        """Returns a context in which models are created; it has no effect."""
        return contextlib.nullcontext()


def strategy_of(model: keras.Model) -> Any:
    """Returns the strategy of a model."""
    return model.distribute_strategy if ON_TENSORFLOW else OnJax()


def make_strategy(name: str, num_virtual_devices: int = 0) -> tf.distribute.Strategy | OnJax:
    """Returns the strategy called `name`; models are built and compiled in its `scope()`.

    Args:
        name: "none": one device. "mirrored": all GPUs of this machine, or its virtual devices.
            "multiworker": the machines of `TF_CONFIG`, each with all its GPUs. "tpu": the TPU that
            TensorFlow's resolver finds. On JAX only "none" is supported.
        num_virtual_devices: number of virtual devices to split this machine's CPU into, for tests;
            0: none.

    Returns:
        A `tf.distribute.Strategy`; on JAX, an object with the same `scope`.

    Raises:
        InputError: the name is not a strategy, the devices that it requires are not available, or
            virtual ones would not be used, since there is a GPU.

    Examples:
        >>> import kerasbert
        >>> strategy = kerasbert.training.make_strategy("none")  # "mirrored" for several GPUs
        >>> config = kerasbert.BackboneConfig.from_preset("bert_tiny", vocabulary_size=100)
        >>> with strategy.scope():
        ...     model = kerasbert.TextClassifier(kerasbert.Backbone(config), 2)
        ...     model.compile()
        >>> strategy.num_replicas_in_sync
        1
    """
    if name in ("parameterserver", "parameter_server"):
        raise InputError("ParameterServerStrategy: Keras 3 can't train under it; use multiworker")
    if name not in STRATEGIES:
        raise InputError(f"strategy must be one of {', '.join(STRATEGIES)}, found {name!r}")
    if not ON_TENSORFLOW:
        if name != "none" or num_virtual_devices:
            raise InputError(f"strategy {name} is TensorFlow's; JAX has keras.distribution")
        return OnJax()
    if num_virtual_devices:
        if tf.config.get_visible_devices("GPU"):
            raise InputError(
                f"num_virtual_devices={num_virtual_devices} cuts the CPU, but there is a GPU, "
                "which would be used instead; hide it by CUDA_VISIBLE_DEVICES=-1, or leave "
                "num_virtual_devices out"
            )
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
    """Returns whether a strategy computes on a TPU, where XLA compiles everything."""
    return ON_TENSORFLOW and isinstance(strategy, tf.distribute.TPUStrategy)


def describe(strategy: tf.distribute.Strategy | OnJax) -> str:
    """Returns a description of a strategy's devices, such as "2 GPUs (NVIDIA H100)"."""
    if isinstance(strategy, OnJax):
        return f"JAX, {_described_on_jax()}"
    if is_tpu(strategy):
        return f"{strategy.num_replicas_in_sync} TPU cores"
    gpus = tf.config.list_physical_devices("GPU")
    count = strategy.num_replicas_in_sync
    if gpus:
        name = tf.config.experimental.get_device_details(gpus[0]).get("device_name", "unknown")
        return f"{count} GPU{'s' * (count > 1)} ({name})"
    cpu = _cpu()
    if is_multi_worker(strategy):
        return f"{count} workers, {cpu}"
    return cpu if count == 1 else f"{cpu}, cut into {count} devices"


def _described_on_jax() -> str:
    import jax  # not required by other backends

    device, distribution = jax.local_devices()[0], keras.distribution.distribution()
    name = _cpu() if device.platform == "cpu" else device.device_kind
    if distribution is None:
        return name
    data, model = distribution.device_mesh.shape
    return f"{name}, {data} x {model} devices"


def _cpu() -> str:
    cores = available_cores()
    return f"CPU ({cores} core{'s' * (cores > 1)})"


def is_multi_worker(strategy: Any) -> bool:
    """Returns whether a strategy has several processes."""
    return ON_TENSORFLOW and isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy)


def is_chief(strategy: tf.distribute.Strategy) -> bool:
    """Returns whether this process is the chief, which writes the files of a run."""
    resolver = strategy.cluster_resolver
    if resolver is None or not resolver.task_type:
        return True
    return resolver.task_id == 0


def sharded(dataset: Any) -> Any:
    """Sets a dataset's auto-shard policy to DATA: each worker keeps its rows of a global batch.

    On JAX the dataset is returned unchanged.

    TensorFlow's default policy first tries to shard by files, and warns if there are none.
    """
    if not ON_TENSORFLOW:
        return dataset
    options = tf.data.Options()
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.DATA
    return dataset.with_options(options)


def prefetched(dataset: Any, model: keras.Model) -> Any:
    """Returns a dataset of batches that are copied to the model's GPU ahead of their steps.

    Without that, a step begins with the copy. Strategies of several devices do so themselves, and
    so does Keras on JAX; for the CPU the dataset is returned unchanged. It must not be transformed
    any further.

    Args:
        dataset: `tf.data.Dataset` of numbers.
        model: built model.
    """
    if not ON_TENSORFLOW or strategy_of(model) is not tf.distribute.get_strategy():
        return dataset
    device = model.weights[0].value.device  # steps compute where the weights are
    if device.endswith("device:CPU:0"):
        return dataset
    return dataset.apply(tf.data.experimental.prefetch_to_device(device, buffer_size=1))
