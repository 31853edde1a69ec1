"""Asks a server with the gRPC API of TensorFlow Serving."""

import json
from collections.abc import Sequence
from typing import Any, Self

import numpy as np

from kerasbert import lazy
from kerasbert.errors import InputError
from kerasbert.serving import attempts, urls
from kerasbert.serving.client import tensor
from kerasbert.serving.columns import checked_columns, rows_of
from kerasbert.serving.signatures import DEFAULT

_LATER = ("UNAVAILABLE", "RESOURCE_EXHAUSTED")
_MOST_ATTEMPTS = 5  # gRPC makes no more
_TOO_LARGE = "larger than max"  # gRPC's words about a message; a full queue has the same code


class GrpcClient:
    """Predicts texts with a model behind TensorFlow Serving or `kerasbert serve`.

    Needs `pip install 'kerasbert[serving]'`. Several threads may use one client. `close`, or a
    `with` statement, closes its connection.

    Examples:
        While `kerasbert serve --saved_model saved_models/opinions` runs, or TensorFlow Serving:

        >>> from kerasbert.serving import GrpcClient
        >>> with GrpcClient("grpc://localhost:8500/opinions", timeout=10) as client:
        ...     answers = client(text=["a fine day", "a dull day"])
        >>> len(answers), sorted(answers[0])
        (2, ['label', 'labels', 'scores'])

    Args:
        url: `grpc://HOST:PORT/NAME`, or one of the model's versions, `grpc://HOST:PORT/NAME/N`. The
            connection is not encrypted.
        timeout: seconds that an answer may take, with all attempts; None: no limit.
        retries: further attempts if the server can't be reached, or is busy (UNAVAILABLE,
            RESOURCE_EXHAUSTED); at most 4. The wait between them doubles from 0.2 seconds on.

    Raises:
        InputError: the URL or another argument is wrong, the server has no such model, or
            tensorflow-serving-api is not installed.
        ConnectionError: there is no server, or it can't answer.
        TimeoutError: it takes too long.
    """

    def __init__(self, url: str, *, timeout: float | None = 30.0, retries: int = 4):
        address, self._name, self._version = urls.grpc(url)
        self._timeout, retries = attempts.checked(timeout, retries)
        self.url = url
        self._grpc = lazy.extra("grpc", "'kerasbert[serving]'")
        self._apis = {
            name: lazy.extra(f"tensorflow_serving.apis.{name}", "'kerasbert[serving]'")
            for name in ("predict_pb2", "get_model_metadata_pb2", "prediction_service_pb2_grpc")
        }
        self._channel = self._grpc.insecure_channel(address, _options(retries))
        self._stub = self._apis["prediction_service_pb2_grpc"].PredictionServiceStub(self._channel)
        try:
            signatures = self._signatures()
            if DEFAULT not in signatures:  # to ask for it would add an empty one
                raise InputError(f"{url}: the model has no signature {DEFAULT}")
            signature = signatures[DEFAULT]
        except BaseException:
            self.close()
            raise
        self.inputs, self.outputs = sorted(signature.inputs), sorted(signature.outputs)

    def __call__(self, **columns: Sequence[Any]) -> list[dict[str, Any]]:
        """Predicts texts.

        Args:
            **columns: a list for each input of the model, as in `SavedModelClient`.

        Returns:
            A dict for each row, with the model's outputs as plain Python values.

        Raises:
            InputError: an input is missing or unknown, lengths differ, a value is no string, or the
                server refuses it.
            ConnectionError: there is no server, or it can't answer.
            TimeoutError: it takes too long.
        """
        import tensorflow as tf

        columns = checked_columns(self.url, self.inputs, columns)
        if not len(next(iter(columns.values()))):
            return []
        request = self._apis["predict_pb2"].PredictRequest()
        self._specify(request)
        for name, column in columns.items():
            value = tf.make_tensor_proto(tensor(name, column).numpy())
            request.inputs[name].CopyFrom(value)
        found = self._ask(self._stub.Predict, request).outputs
        if lacking := [name for name in self.outputs if name not in found]:
            raise ConnectionError(f"{self.url}: answers without the outputs {', '.join(lacking)}")
        arrays = {name: tf.make_ndarray(found[name]) for name in self.outputs}
        return rows_of({name: np.asarray(array).tolist() for name, array in arrays.items()})

    def close(self) -> None:
        """Closes the connection.

        Examples:
            >>> client.close()
        """
        self._channel.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    def _signatures(self) -> dict:
        metadata = self._apis["get_model_metadata_pb2"]
        request = metadata.GetModelMetadataRequest(metadata_field=["signature_def"])
        self._specify(request)
        signatures = metadata.SignatureDefMap()
        self._ask(self._stub.GetModelMetadata, request).metadata["signature_def"].Unpack(signatures)
        return signatures.signature_def

    def _specify(self, request) -> None:
        request.model_spec.name = self._name
        if self._version is not None:
            request.model_spec.version.value = self._version

    def _ask(self, method, request):
        codes = self._grpc.StatusCode
        try:
            return method(request, timeout=self._timeout)
        except self._grpc.RpcError as error:
            message = f"{self.url}: {error.code().name}: {error.details()}"
            if error.code() == codes.DEADLINE_EXCEEDED:
                raise TimeoutError(message) from None
            if error.code() == codes.RESOURCE_EXHAUSTED and _TOO_LARGE in message:
                raise InputError(message) from None
            if error.code() in (
                codes.INVALID_ARGUMENT,
                codes.NOT_FOUND,
                codes.FAILED_PRECONDITION,
                codes.UNIMPLEMENTED,
            ):
                raise InputError(message) from None
            raise ConnectionError(message) from None


def _options(retries: int) -> list[tuple]:
    """Returns gRPC's options: attempts, and messages of any size."""
    policy = {
        "maxAttempts": max(2, min(_MOST_ATTEMPTS, retries + 1)),
        "initialBackoff": "0.2s",
        "maxBackoff": "10s",
        "backoffMultiplier": 2,
        "retryableStatusCodes": list(_LATER),
    }
    again = {"methodConfig": [{"name": [{}], "retryPolicy": policy}]}
    return [
        ("grpc.enable_retries", int(retries > 0)),
        *([("grpc.service_config", json.dumps(again))] if retries else []),
        ("grpc.max_receive_message_length", -1),
        ("grpc.max_send_message_length", -1),
        # A request is sent again as long as it is kept: by default, up to 256 KiB.
        ("grpc.per_rpc_retry_buffer_size", 2**31 - 1),
        ("grpc.enable_http_proxy", 0),  # as in `RestClient`: the address is that of the server
    ]
