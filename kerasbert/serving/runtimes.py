"""Runs models that were exported for other runtimes: ONNX Runtime, OpenVINO and LiteRT.

Run by its path, as `python runtimes.py DIRECTORY EXAMPLES OUTPUTS`, this file is the check of an
export: it computes features and outputs without kerasbert, Keras or TensorFlow.
"""

import json
import pathlib
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

#: By format: the model's file.
FILES = {"onnx": "model.onnx", "openvino": "model.xml", "litert": "model.tflite"}
#: By format: the modules that write and run it, which the extra of that name installs.
MODULES = {
    "onnx": ("onnx", "tf2onnx", "onnxruntime"),
    "openvino": ("openvino",),
    "litert": ("ai_edge_litert.interpreter",),
}


def load(directory: pathlib.Path, format: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Returns the function from features to outputs, both arrays by name.

    Args:
        directory: the export's directory.
        format: a key of `FILES`.
    """
    return _LOADERS[format](str(directory / FILES[format]))


def _onnx(path: str) -> Callable[[dict], dict]:
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return lambda features: dict(zip(names, session.run(names, features), strict=True))


def _openvino(path: str) -> Callable[[dict], dict]:
    import openvino

    # By default, it computes in bfloat16 where the processor can.
    model = openvino.compile_model(path, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return lambda features: {
        output.get_any_name(): values.copy() for output, values in model(features).items()
    }


def _litert(path: str) -> Callable[[dict], dict]:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=path)
    run = interpreter.get_signature_runner()
    return lambda features: dict(run(**features))


_LOADERS = {"onnx": _onnx, "openvino": _openvino, "litert": _litert}


def main() -> None:
    """Runs this file as a program."""
    directory, examples, outputs = map(pathlib.Path, sys.argv[1:])
    sys.path.insert(0, str(directory))  # for the export's own encode.py
    from encode import Encoder

    encoder = Encoder(directory)
    run = load(directory, encoder.export["format"])
    columns = json.loads(examples.with_suffix(".json").read_text(encoding="utf-8"))
    with np.load(examples) as arrays:
        batches = [dict(features) for features in _batches(arrays)]
    batches += [encoder(**batch) for batch in columns]
    found = {}
    for number, features in enumerate(batches):
        found |= {f"{number}/features/{name}": value for name, value in features.items()}
        found |= {f"{number}/outputs/{name}": value for name, value in run(features).items()}
    foreign = {"tensorflow", "keras", "kerasbert", "torch"} & sys.modules.keys()
    assert not foreign, f"the export needs {foreign}"
    np.savez(outputs, **found)


def _batches(arrays) -> list[dict]:
    """Returns the batches of features in a file, whose names begin with their numbers."""
    found: dict[str, dict] = {}
    for key in arrays.files:
        number, name = key.split("/")
        found.setdefault(number, {})[name] = arrays[key]
    return [found[number] for number in sorted(found, key=int)]


if __name__ == "__main__":
    main()
