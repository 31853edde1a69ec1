"""Exports: SavedModels that take raw strings, queried and served, and other formats.

SavedModelClient            asks an export in this process, without model code
RestClient                  asks a server by REST
GrpcClient                  asks a server by gRPC
Encoder                     texts to features without TensorFlow, for other runtimes
kit                         a folder with all that TensorFlow Serving needs
"""

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
