"""Exports of transformers' model to ONNX and OpenVINO, as sentence-transformers makes them.

The settings are those of its backends, which call optimum: dynamic int8 for ONNX Runtime, with and
without the fusions of its optimizer, and static int8 with calibration texts for OpenVINO. Nothing
here imports TensorFlow, which has an LLVM of its own, as torch has.
"""

import pathlib
import shutil
from collections.abc import Callable, Sequence

import numpy as np

_INPUTS = ("input_ids", "attention_mask", "token_type_ids")
_CALIBRATION_TEXTS = 30
#: By precision and peer: the exports.
_NAMES = {
    ("float32", "onnxruntime"): ("peer_onnx_float32", "peer_onnx_optimized"),
    ("float32", "openvino"): ("peer_openvino_float32",),
    ("bfloat16", "openvino"): ("peer_openvino_float32",),
    ("int8", "onnxruntime"): ("peer_onnx_int8", "peer_onnx_optimized_int8"),
    ("int8", "openvino"): ("peer_openvino_int8", "peer_openvino_weights"),
}
#: By export: the one that it is made from.
_FROM = {
    "peer_onnx_optimized": "peer_onnx_float32",
    "peer_onnx_int8": "peer_onnx_float32",
    "peer_onnx_optimized_int8": "peer_onnx_optimized",
    "peer_openvino_int8": "peer_openvino_float32",
    "peer_openvino_weights": "peer_openvino_float32",
}


def missing(directory: pathlib.Path, precision: str, peers: Sequence[str]) -> list[str]:
    """Returns the exports of a precision that are not there, after those they are made from."""
    wanted: list[str] = []
    for peer in peers:
        for name in _NAMES.get((precision, peer), ()):
            chain = [name]
            while chain[0] in _FROM:
                chain.insert(0, _FROM[chain[0]])
            wanted += [one for one in chain if one not in wanted]
    return [name for name in wanted if not (directory / name).exists()]


def write(directory: pathlib.Path, names: Sequence[str], length: int) -> None:
    """Writes exports in this order; each directory appears when it is complete.

    Args:
        directory: directory of all models, with transformers' own in `transformers`.
        names: the names of exports.
        length: maximum tokens of a text.
    """
    for name in names:
        new = directory / f".{name}"
        shutil.rmtree(new, ignore_errors=True)
        new.mkdir()
        source = directory / _FROM.get(name, "transformers")
        _WRITERS[name](source, new, length)
        new.rename(directory / name)


def _model_and_features(source: pathlib.Path, length: int, attention: str) -> tuple:
    from transformers import AutoTokenizer, BertForSequenceClassification

    model = BertForSequenceClassification.from_pretrained(source, attn_implementation=attention)
    tokenizer = AutoTokenizer.from_pretrained(source)
    texts = ["one text", "another, longer text"]
    features = tokenizer(
        texts, padding=True, truncation=True, max_length=length, return_tensors="pt"
    )
    return model.eval(), {name: features[name] for name in _INPUTS}


def _config(source: pathlib.Path):
    from transformers import BertConfig

    return BertConfig.from_pretrained(source.parent / "transformers")


# === ONNX ===


def _onnx(source: pathlib.Path, new: pathlib.Path, length: int) -> None:
    import torch

    model, features = _model_and_features(source, length, "sdpa")
    torch.onnx.export(
        model,
        tuple(features.values()),
        str(new / "model.onnx"),
        # In the order of the model's arguments.
        input_names=list(_INPUTS),
        dynamic_axes={name: {0: "batch", 1: "sequence"} for name in _INPUTS},
        dynamo=False,
    )


def _optimized(source: pathlib.Path, new: pathlib.Path, length: int) -> None:
    """Fuses attention, LayerNorm and GELU, exactly (level O2 of optimum)."""
    from onnxruntime.transformers import optimizer

    config = _config(source)
    optimizer.optimize_model(
        str(source / "model.onnx"),
        model_type="bert",
        num_heads=config.num_attention_heads,
        hidden_size=config.hidden_size,
        opt_level=1,
    ).save_model_to_file(str(new / "model.onnx"))


def _dynamic_int8(source: pathlib.Path, new: pathlib.Path, length: int) -> None:
    import onnx
    from onnxruntime import quantization

    flags = pathlib.Path("/proc/cpuinfo").read_text()
    quantization.quantize_dynamic(
        str(source / "model.onnx"),
        str(new / "model.onnx"),
        op_types_to_quantize=["MatMul", "Attention", "Gather", "EmbedLayerNormalization"],
        per_channel=True,
        reduce_range="vnni" not in flags,
        weight_type=quantization.QuantType.QInt8,
        # Of what follows the optimizer's own operations, whose types onnx does not know.
        extra_options={"DefaultTensorType": onnx.TensorProto.FLOAT},
    )


# === OpenVINO ===


def _openvino(source: pathlib.Path, new: pathlib.Path, length: int) -> None:
    import openvino

    model, features = _model_and_features(source, length, "sdpa")
    converted = openvino.convert_model(model, example_input=features)
    openvino.save_model(converted, new / "model.xml", compress_to_fp16=False)


def _static_int8(source: pathlib.Path, new: pathlib.Path, length: int) -> None:
    """Calibrates with texts as long as `length`; how many does not change the speed."""
    import nncf
    import openvino

    random, size = np.random.default_rng(0), _config(source).vocab_size

    def features(count: int) -> dict[str, np.ndarray]:
        shape = (1, length)
        mask = (np.arange(length) < count).astype("int64")[np.newaxis]
        ids = random.integers(1, size, shape) * mask
        return dict(zip(_INPUTS, (ids, mask, np.zeros(shape, "int64")), strict=True))

    model = openvino.Core().read_model(source / "model.xml")
    counts = np.linspace(5, length, _CALIBRATION_TEXTS).astype(int)
    quantized = nncf.quantize(
        model,
        nncf.Dataset([features(count) for count in counts]),
        model_type=nncf.ModelType.TRANSFORMER,
        subset_size=_CALIBRATION_TEXTS,
    )
    openvino.save_model(quantized, new / "model.xml", compress_to_fp16=False)


def _int8_weights(source: pathlib.Path, new: pathlib.Path, length: int) -> None:
    import nncf
    import openvino

    model = openvino.Core().read_model(source / "model.xml")
    compressed = nncf.compress_weights(model, mode=nncf.CompressWeightsMode.INT8_ASYM)
    openvino.save_model(compressed, new / "model.xml", compress_to_fp16=False)


_WRITERS: dict[str, Callable[[pathlib.Path, pathlib.Path, int], None]] = {
    "peer_onnx_float32": _onnx,
    "peer_onnx_optimized": _optimized,
    "peer_onnx_int8": _dynamic_int8,
    "peer_onnx_optimized_int8": _dynamic_int8,
    "peer_openvino_float32": _openvino,
    "peer_openvino_int8": _static_int8,
    "peer_openvino_weights": _int8_weights,
}
