"""The description of a model in the messages of TensorFlow Serving."""

from typing import Any

from tensorflow_serving.apis import get_model_metadata_pb2, model_pb2

from kerasbert.serving.server.versions import Model


def metadata_of(model: Model, name: str) -> tuple[Any, ...]:
    """Returns a `ModelSpec` and a `SignatureDefMap`."""
    specification = model_pb2.ModelSpec(name=name)
    specification.version.value = model.version
    found = get_model_metadata_pb2.SignatureDefMap()
    for key, signature in model.signatures.items():
        found.signature_def[key].CopyFrom(signature)
    return specification, found
