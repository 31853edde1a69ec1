"""Weights of exported models as int8, per channel; tables of embeddings too.

ONNX Runtime and OpenVINO then multiply integers where the processor can.
"""

import pathlib
from collections.abc import Callable

from kerasbert import lazy
from kerasbert.errors import InputError
from kerasbert.serving.formats import ONNX, OPENVINO


def quantizer(format: str) -> Callable[[pathlib.Path], None]:
    """Returns the function that quantizes the model's file of a format.

    Raises:
        InputError: the format has no int8, or a package is missing.
    """
    if format not in _QUANTIZERS:
        raise InputError(f"precision='int8' is for {' and '.join(_QUANTIZERS)}, found {format}")
    if format == OPENVINO:
        lazy.extra("nncf", "'kerasbert[nncf]'")
    return _QUANTIZERS[format]


def _onnx(path: pathlib.Path) -> None:
    from onnxruntime.quantization import QuantType, quantize_dynamic

    whole = path.with_name("float32.onnx")
    path.rename(whole)
    quantize_dynamic(
        whole,
        path,
        op_types_to_quantize=["MatMul", "Gather"],
        per_channel=True,
        # 7 bits: products of 8 bits overflow on processors without VNNI.
        reduce_range=True,
        weight_type=QuantType.QInt8,
        extra_options={"MatMulConstBOnly": True},
    )
    whole.unlink()


def _openvino(path: pathlib.Path) -> None:
    import nncf  # pyright: ignore[reportMissingImports] - an extra
    import openvino

    whole = path.with_name("float32.xml")
    for suffix in (".xml", ".bin"):
        path.with_suffix(suffix).rename(whole.with_suffix(suffix))
    model = openvino.Core().read_model(whole)
    compressed = nncf.compress_weights(model, mode=nncf.CompressWeightsMode.INT8_SYM)
    openvino.serialize(compressed, path)
    del model, compressed
    for suffix in (".xml", ".bin"):
        whole.with_suffix(suffix).unlink()


_QUANTIZERS = {ONNX: _onnx, OPENVINO: _openvino}
