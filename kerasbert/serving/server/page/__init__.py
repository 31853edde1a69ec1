"""The page at `/`, on which a person asks the model: its files, and what it is told of the models.

The page is plain HTML, CSS and JavaScript; it asks this server only, with the REST API.
"""

import functools
import json
import pathlib

from starlette.responses import Response

from kerasbert.serving.kit import examples
from kerasbert.serving.server.service import Service

_FOLDER = pathlib.Path(__file__).parent
_TYPES = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
}
_DESCRIPTION = "/page/models.json"
#: Nothing from elsewhere, nothing inline, and no text that is parsed as HTML.
_POLICY = "; ".join(
    (
        "default-src 'none'",
        *(f"{kind}-src 'self'" for kind in ("script", "style", "img", "connect")),
        *(f"{what} 'none'" for what in ("base-uri", "form-action", "frame-ancestors")),
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    )
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-cache",  # after an update, no old script meets a new page
}
#: Of the metadata, what says nothing about the answers.
_UNUSED = ("format", "files", "versions")


def answer(path: str, service: Service) -> Response | None:
    """Returns a file of the page, or the description of the models; None for other paths."""
    if path == _DESCRIPTION:
        content = json.dumps(_description(service), ensure_ascii=False).encode()
        return Response(content, headers=_HEADERS, media_type="application/json")
    if path not in _files():
        return None
    content, kind = _files()[path]
    return Response(content, headers=_HEADERS, media_type=kind)


@functools.cache
def _files() -> dict[str, tuple[bytes, str]]:
    """Returns the content and the type of each file by its path in URLs."""
    found = {
        f"/page/{path.name}": (path.read_bytes(), _TYPES[path.suffix])
        for path in _FOLDER.iterdir()
        if path.suffix in _TYPES
    }
    return {"/": found.pop("/page/index.html"), **found}


def _description(service: Service) -> dict:
    """Returns what the page needs of each model, and which newer versions can't be loaded."""
    return {
        "models": [_described(service, name) for name in service.models.by_name],
        "failed": [
            {"name": name, "version": str(version), "message": message}
            for name, versions in service.models.by_name.items()
            for version, message in versions.failed.items()
        ],
    }


def _described(service: Service, name: str) -> dict:
    with service.models.use(name, None) as model:
        metadata = {key: one for key, one in model.metadata.items() if key not in _UNUSED}
        return {
            "name": name,
            "version": str(model.version),  # may be larger than JavaScript's exact integers
            "metadata": metadata,
            "signatures": {
                key: {"inputs": sorted(one.inputs), "outputs": sorted(one.outputs)}
                for key, one in model.signatures.items()
            },
            "example": {key: column[0] for key, column in examples.columns(metadata).items()},
        }
