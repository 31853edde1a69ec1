"""SavedModels that take raw strings: writing, checking, querying and serving them."""

from kerasbert import lazy

__getattr__, __dir__, __all__ = lazy.attributes(
    __name__,
    {"GrpcClient": "grpc_client", "RestClient": "rest_client", "SavedModelClient": "client"},
    ("kit",),
)
