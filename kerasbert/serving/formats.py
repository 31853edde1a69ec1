"""The formats of exports; imports nothing heavy."""

SAVED_MODEL, ONNX, OPENVINO, LITERT = "saved_model", "onnx", "openvino", "litert"
FORMATS = (SAVED_MODEL, ONNX, OPENVINO, LITERT)
