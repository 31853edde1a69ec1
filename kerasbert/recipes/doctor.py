"""Describing an installation: versions, devices, precision, missing packages."""

import importlib
import importlib.metadata
import os
import platform
import re
import shutil
import time
from collections.abc import Callable
from typing import Any

import kerasbert
from kerasbert import lazy, registration
from kerasbert.errors import one_line
from kerasbert.machine import available_cores, processor
from kerasbert.recipes.options import DoctorOptions

_PACKAGES = ("tensorflow", "tensorflow-text", "keras", "keras-hub", "numpy", "jax")
#: Extras for work on kerasbert itself.
_FOR_DEVELOPERS = {"test", "dev", "docs", "guides"}
# Rows, inner dimension and columns of the product: a feed-forward layer of a base model.
_SHAPE = (2048, 768, 3072)
_ROUNDS, _SECONDS = 3, 0.3
# bfloat16 has to be this much faster to be worth its rounding.
_PAYS = 1.2


def doctor(options: DoctorOptions) -> dict[str, Any] | str:
    """Returns what was found, as text or as JSON."""
    found = {
        "python": platform.python_version(),
        "kerasbert": kerasbert.__version__,
        "packages": {name: _version(name) for name in _PACKAGES},
        "backend": registration.chosen_backend(),
        "processor": processor(),
        "cores": available_cores(),
        "missing": _missing_extras(),
        "advice": [],
    }
    try:
        found |= _computing()
    except Exception as error:  # whatever is broken, the rest is still said
        found["advice"].append(
            f"Keras can't compute: {type(error).__name__}: {one_line(str(error))}"
        )
    found["advice"] += _advice(found)
    return found if options.json else _text(found)


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _missing_extras() -> dict[str, list[str]]:
    """Returns the packages that are not installed, by the extra that installs them."""
    try:
        required = importlib.metadata.requires("kerasbert") or []
    except importlib.metadata.PackageNotFoundError:  # not installed itself
        return {}
    missing = {}
    for requirement in required:
        extra = re.search(r"extra == ['\"]([\w-]+)['\"]", requirement)
        name = re.split(r"[^\w.-]", requirement)[0]
        if extra and extra[1] not in _FOR_DEVELOPERS and _version(name) is None:
            missing.setdefault(extra[1], []).append(name)
    return missing


# === What computes ===


def _computing() -> dict:
    """Returns the devices, and the speed of matrix products in both precisions."""
    with lazy.quiet_imports():
        importlib.import_module("keras")
    on_tensorflow = registration.on_tensorflow()
    gpus = _tensorflow_gpus() if on_tensorflow else _jax_gpus()
    rates = _rates(_product_on_tensorflow() if on_tensorflow else _product_on_jax())
    return {
        "gpus": gpus,
        "onednn": _has_onednn() if on_tensorflow else None,
        "gflops": {name: round(rate / 1e9) for name, rate in rates.items()},
        "bfloat16_speed": round(rates["bfloat16"] / rates["float32"], 2),
    }


def _tensorflow_gpus() -> list[str]:
    tf = lazy.tensorflow
    details = map(tf.config.experimental.get_device_details, tf.config.list_physical_devices("GPU"))
    return [each.get("device_name", "unknown") for each in details]


def _jax_gpus() -> list[str]:
    import jax

    return [each.device_kind for each in jax.devices() if each.platform != "cpu"]


def _has_onednn() -> bool:
    """Whether TensorFlow uses oneDNN, by the variable that decides it and its default."""
    default = "1" if platform.machine().lower() in ("x86_64", "amd64") else "0"
    return os.environ.get("TF_ENABLE_ONEDNN_OPTS", default) not in ("0", "false")


def _product_on_tensorflow() -> Callable:
    tf = lazy.tensorflow
    return tf.function(lambda a, b: tf.matmul(a, b), autograph=False)


def _product_on_jax() -> Callable:
    import jax

    return jax.jit(jax.numpy.matmul)


def _rates(product: Callable) -> dict[str, float]:
    """Returns the best rate of each precision in operations per second; they take turns."""
    from keras import ops, random

    rows, inner, columns = _SHAPE
    matrices = random.normal((rows, inner)), random.normal((inner, columns))
    operands = {
        name: [ops.cast(matrix, name) for matrix in matrices] for name in ("float32", "bfloat16")
    }

    def seconds(name: str, times: int) -> float:
        start = time.perf_counter()
        for _ in range(times):
            result = product(*operands[name])
        ops.convert_to_numpy(ops.cast(result[0, 0], "float32"))  # a GPU computes asynchronously
        return (time.perf_counter() - start) / times

    times = {}
    for name in operands:
        seconds(name, 1)  # traces
        times[name] = max(1, round(_SECONDS / seconds(name, 2)))
    work = 2 * rows * inner * columns
    best = dict.fromkeys(operands, 0.0)
    for _ in range(_ROUNDS):
        for name in operands:
            best[name] = max(best[name], work / seconds(name, times[name]))
    return best


# === What to say ===


def _advice(found: dict) -> list[str]:
    advice = []
    if registration.on_tensorflow() and not found["packages"]["tensorflow-text"]:
        advice.append("text needs tensorflow-text: pip install tensorflow-text")
    if shutil.which("nvidia-smi") and not found.get("gpus", True):
        package = "'tensorflow[and-cuda]'" if registration.on_tensorflow() else "'jax[cuda12]'"
        advice.append(f"there is an NVIDIA driver, but no GPU is seen: pip install {package}")
    if speed := found.get("bfloat16_speed"):
        if speed >= _PAYS:
            advice.append(f"--precision bfloat16 pays: its products are {speed} x as fast here")
        else:
            advice.append(
                f"keep --precision float32: bfloat16's products are {speed} x as fast here"
            )
    for extra, names in found["missing"].items():
        named = " and ".join(names)
        is_are = "is" if len(names) == 1 else "are"
        advice.append(f"{named} {is_are} not installed: pip install 'kerasbert[{extra}]'")
    return advice


def _text(found: dict) -> str:
    versions = [f"{name} {version}" for name, version in found["packages"].items() if version]
    lines = [
        f"kerasbert {found['kerasbert']}, Python {found['python']}, {', '.join(versions)}",
        f"Keras's backend: {found['backend']}",
        f"processor: {found['processor']}, {found['cores']} cores",
    ]
    if "gpus" in found:
        lines.append(f"GPUs: {', '.join(found['gpus']) or 'none'}")
        if found["onednn"] is not None:
            lines.append(f"oneDNN: {'on' if found['onednn'] else 'off (TF_ENABLE_ONEDNN_OPTS)'}")
        rates = ", ".join(f"{name} {rate:,}" for name, rate in found["gflops"].items())
        lines.append(f"matrix products, GFLOP/s: {rates}")
    return "\n".join([*lines, "", *found["advice"]]).rstrip()
