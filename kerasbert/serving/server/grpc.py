"""The gRPC API of TensorFlow Serving."""

import asyncio
import logging
import math
from collections.abc import Awaitable

import grpc
import numpy as np
import tensorflow as tf
from tensorflow.core.framework import types_pb2
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from kerasbert.serving.server.errors import RequestError, invalid
from kerasbert.serving.server.metadata import metadata_of
from kerasbert.serving.server.service import Service, check_names
from kerasbert.serving.signatures import DEFAULT

_SIGNATURES = "signature_def"
_MOST_VALUES = 2**22
_FEW_VALUES = 2**14


async def _counted(service: Service, context, answer: Awaitable):
    """Awaits an answer, and translates errors to gRPC's codes."""
    try:
        with service.counted("grpc"):
            return await answer
    except RequestError as error:
        await context.abort(grpc.StatusCode[error.code], str(error))
    except Exception:
        logging.exception("a request failed")
        await context.abort(grpc.StatusCode.INTERNAL, "internal error; see the server's log")


class _Predictions(prediction_service_pb2_grpc.PredictionServiceServicer):
    def __init__(self, service: Service):
        self._service = service

    async def Predict(self, request, context):  # noqa: N802  gRPC's name
        """Answers with the outputs of a signature."""
        return await _counted(self._service, context, self._predict(request))

    async def _predict(self, request):
        name, version = _which(request)
        signature = request.model_spec.signature_name
        with self._service.models.use(name, version) as model:
            # Before anything is converted: each input may declare millions of values.
            check_names(model, signature, request.inputs)
            inputs = {key: await self._array(key, value) for key, value in request.inputs.items()}
            outputs = await self._service.predict(model, signature, inputs)
            wanted = list(request.output_filter) or sorted(outputs)
            response = predict_pb2.PredictResponse()
            for key in wanted:
                if key not in outputs:
                    raise invalid(
                        f"output tensor alias not found in signature: {key}; there are "
                        f"{', '.join(sorted(outputs))}"
                    )
                response.outputs[key].CopyFrom(tf.make_tensor_proto(outputs[key]))
            response.model_spec.name = name
            response.model_spec.version.value = model.version
            response.model_spec.signature_name = signature or DEFAULT
            return response

    async def _array(self, name: str, value) -> np.ndarray:
        sizes = [dim.size for dim in value.tensor_shape.dim]
        if sizes:
            self._service.check_rows(sizes[0])
        # A message may declare more values than it has, which are then all the same.
        most = _MOST_VALUES
        if value.dtype == types_pb2.DT_STRING:
            most = max(len(value.string_val), _FEW_VALUES)
        if min(sizes, default=0) < 0 or math.prod(sizes) > most:
            raise invalid(f"{name} has the shape {sizes}; at most {most:,} values are read")
        # Many are converted in a thread, so that other requests do not wait meanwhile.
        if math.prod(sizes) > _FEW_VALUES:
            return await asyncio.to_thread(_converted, name, value)
        return _converted(name, value)

    async def GetModelMetadata(self, request, context):  # noqa: N802  gRPC's name
        """Answers with all signatures."""
        return await _counted(self._service, context, self._metadata(request))

    async def _metadata(self, request):
        fields = list(request.metadata_field)
        if fields != [_SIGNATURES]:
            raise invalid(f"metadata_field must be [{_SIGNATURES}], found {fields}")
        name, version = _which(request)
        response = get_model_metadata_pb2.GetModelMetadataResponse()
        with self._service.models.use(name, version) as model:
            specification, found = metadata_of(model, name)
        response.model_spec.CopyFrom(specification)
        response.metadata[_SIGNATURES].Pack(found)
        return response


class _Status(model_service_pb2_grpc.ModelServiceServicer):
    def __init__(self, service: Service):
        self._service = service

    async def GetModelStatus(self, request, context):  # noqa: N802  gRPC's name
        """Answers with the state of each version."""
        return await _counted(self._service, context, self._states(request))

    async def _states(self, request):
        return self._service.models.status(*_which(request))


def _which(request) -> tuple[str, int | None]:
    specification = request.model_spec
    if not specification.name:
        raise invalid("Missing ModelSpec")
    if specification.version_label:
        raise invalid(f"Unrecognized servable version label: {specification.version_label}")
    has_version = specification.HasField("version")
    return specification.name, specification.version.value if has_version else None


def _converted(name: str, value) -> np.ndarray:
    try:
        return tf.make_ndarray(value)
    except (TypeError, ValueError) as error:
        raise invalid(f"{name} is no tensor: {error}") from None


def server(service: Service, max_request_bytes: int) -> grpc.aio.Server:
    """Returns a gRPC server, which has to be given a port and started.

    Args:
        service: what answers requests.
        max_request_bytes: the largest message that is read.
    """
    made = grpc.aio.server(
        options=[
            ("grpc.max_receive_message_length", max_request_bytes),
            ("grpc.max_send_message_length", -1),
            ("grpc.so_reuseport", 0),  # two servers would each get some of the requests
        ]
    )
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(_Predictions(service), made)
    model_service_pb2_grpc.add_ModelServiceServicer_to_server(_Status(service), made)
    return made
