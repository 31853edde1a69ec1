# Written by tests/stubs.py.

from kerasbert.serving import kit as kit
from kerasbert.serving.client import SavedModelClient as SavedModelClient
from kerasbert.serving.encode import Encoder as Encoder
from kerasbert.serving.grpc_client import GrpcClient as GrpcClient
from kerasbert.serving.rest_client import RestClient as RestClient

__all__ = [
    "Encoder",
    "GrpcClient",
    "RestClient",
    "SavedModelClient",
]
