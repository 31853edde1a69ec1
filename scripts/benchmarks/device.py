"""What a side computes on, whichever library it computes with."""

import os
import pathlib
import sys

#: Variables with which no process takes a GPU's whole memory for itself.
SHARED = {"TF_FORCE_GPU_ALLOW_GROWTH": "true", "XLA_PYTHON_CLIENT_PREALLOCATE": "false"}


def gpu_name() -> str | None:
    """What the first GPU is called; None: Keras's backend sees none."""
    if os.environ.get("KERAS_BACKEND") == "jax":
        import jax

        device = jax.local_devices()[0]
        return device.device_kind if device.platform == "gpu" else None
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    return tf.config.experimental.get_device_details(gpus[0])["device_name"] if gpus else None


def peak_memory() -> int:
    """The most bytes that this process has had, on its GPU if it computes on one."""
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
    # `getrusage` would count the parent's too.
    lines = pathlib.Path("/proc/self/status").read_text().splitlines()
    (line,) = (line for line in lines if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024
