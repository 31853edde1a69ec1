"""The device that a process computes on, for all libraries."""

import os
import pathlib
import sys

#: Environment variables that keep processes from allocating a GPU's whole memory.
SHARED = {"TF_FORCE_GPU_ALLOW_GROWTH": "true", "XLA_PYTHON_CLIENT_PREALLOCATE": "false"}


def gpu_name() -> str | None:
    """Returns the name of the first GPU; None if Keras's backend sees none."""
    if os.environ.get("KERAS_BACKEND") == "jax":
        import jax

        device = jax.local_devices()[0]
        return device.device_kind if device.platform == "gpu" else None
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    return tf.config.experimental.get_device_details(gpus[0])["device_name"] if gpus else None


def peak_memory() -> int:
    """Returns the peak memory of this process in bytes; of its GPU if it uses one."""
    return _peak_memory_on_gpu() or _peak_memory_of_process()


def _peak_memory_on_gpu() -> int:
    if "keras" not in sys.modules:
        torch = sys.modules.get("torch")
        return torch.cuda.max_memory_allocated() if torch and torch.cuda.is_available() else 0
    if sys.modules["keras"].backend.backend() == "jax":
        import jax

        device = jax.local_devices()[0]
        return device.memory_stats()["peak_bytes_in_use"] if device.platform == "gpu" else 0
    import tensorflow as tf

    if not tf.config.list_physical_devices("GPU"):
        return 0
    return tf.config.experimental.get_memory_info("GPU:0")["peak"]


def _peak_memory_of_process() -> int:
    # `getrusage` would include the parent's memory.
    lines = pathlib.Path("/proc/self/status").read_text().splitlines()
    (line,) = (line for line in lines if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024
