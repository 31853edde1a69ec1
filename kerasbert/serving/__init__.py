"""Exports: SavedModels that take raw strings, queried and served, and other formats."""

from kerasbert import lazy

__getattr__, __dir__, __all__ = lazy.attributes(
    __name__,
    {
        "Encoder": "encode",
        "GrpcClient": "grpc_client",
        "RestClient": "rest_client",
        "SavedModelClient": "client",
    },
    ("kit",),
)
