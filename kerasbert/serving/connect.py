"""The client for the URL of a model."""

from typing import Any

from kerasbert.serving import urls
from kerasbert.serving.grpc_client import GrpcClient
from kerasbert.serving.rest_client import RestClient


def connect(url: str, **settings: Any) -> GrpcClient | RestClient:
    """Returns a `GrpcClient` for `grpc://...`, else a `RestClient`, with these arguments."""
    return (GrpcClient if urls.is_grpc(url) else RestClient)(url, **settings)
