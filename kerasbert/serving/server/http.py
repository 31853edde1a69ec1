"""The REST API of TensorFlow Serving, and the page at `/`."""

import asyncio
import json
import logging
import re
from typing import Any
from urllib.parse import unquote

from google.protobuf import json_format
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from kerasbert.errors import shown
from kerasbert.serving import urls
from kerasbert.serving.server import json_tensors, page
from kerasbert.serving.server.errors import RequestError, invalid
from kerasbert.serving.server.metadata import metadata_of
from kerasbert.serving.server.service import Service

_WHICH = r"/v1/models/([^/:]+)(?:/versions/(\d+)|/labels/([^/:]+))?"
_PREDICT = re.compile(rf"(?i){_WHICH}:(classify|regress|predict)")
_DESCRIBE = re.compile(rf"(?i){_WHICH}(/metadata)?")
_METRICS = ("/metrics", "/monitoring/prometheus/metrics")
# Larger bodies are parsed in a thread, so that other requests do not wait meanwhile.
_SMALL = 65_536


def app(service: Service, max_request_bytes: int) -> Starlette:
    """Returns the application, for uvicorn.

    Args:
        service: what answers requests.
        max_request_bytes: the largest body that is read.
    """

    async def answer(request: Request) -> Response:
        # The answer to HEAD is that to GET; uvicorn leaves its body out.
        method = "GET" if request.method == "HEAD" else request.method
        path = request.scope["path"]  # `request.url` also parses the header `Host`
        try:
            if method == "GET" and path in _METRICS:
                return Response(service.metrics.text(), media_type="text/plain; version=0.0.4")
            if method == "GET" and (found := page.answer(path, service)):
                return found
            with service.counted("rest"):
                return _json(await _answer(service, method, request, max_request_bytes))
        except RequestError as error:
            headers = {"Retry-After": "1"} if error.http_status in (429, 503) else None
            content = json.dumps({"error": str(error)}, ensure_ascii=False).encode()
            return _json(content, error.http_status, headers)
        except Exception:
            logging.exception("a request failed")
            return _json(b'{"error": "internal error; the log of the server has the reason"}', 500)

    methods = ["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"]
    return Starlette(routes=[Route("/{path:path}", answer, methods=methods)])


def _json(content: bytes, status: int = 200, headers: dict | None = None) -> Response:
    return Response(content, status, headers, "application/json")


async def _answer(service: Service, method: str, request: Request, max_request_bytes: int) -> bytes:
    path = request.scope.get("raw_path", b"").decode("latin-1").partition("?")[0]
    if method == "POST" and (match := _PREDICT.fullmatch(path)):
        body = await _body(request, max_request_bytes)
        if match[4].lower() != "predict":
            raise RequestError("UNIMPLEMENTED", f"{match[4]} is not served; exports take predict")
        return await _predict(service, *_which(match), body)
    if method == "GET" and (match := _DESCRIBE.fullmatch(path)):
        name, version = _which(match)
        if match[4]:
            return _metadata(service, name, version)
        return _printed(json_format.MessageToDict(service.models.status(name, version), **_PRINT))
    raise RequestError(
        "INVALID_ARGUMENT" if path.lower().startswith("/v1/") else "NOT_FOUND",
        f"Malformed request: {request.method} {shown(path)}",
    )


async def _body(request: Request, most: int) -> bytes:
    parts, size = [], 0
    try:
        async for part in request.stream():
            size += len(part)
            if size > most:
                raise RequestError(
                    "INVALID_ARGUMENT", f"the body is larger than {most:,} bytes", http_status=413
                )
            parts.append(part)
    except ClientDisconnect:
        raise RequestError("CANCELLED", "the client has gone") from None
    return b"".join(parts)


def _which(match: re.Match) -> tuple[str, int | None]:
    """Returns the name and version of a URL."""
    if match[3]:
        raise invalid(f"Unrecognized servable version label: {unquote(match[3])}")
    version = urls.version_number(match[2] or "")
    if match[2] and version is None:
        raise invalid(f"Failed to convert version: {shown(match[2])} to numeric.")
    return unquote(match[1]), version


async def _predict(service: Service, name: str, version: int | None, body: bytes) -> bytes:
    with service.models.use(name, version) as model:
        small = len(body) < _SMALL
        parsed = await _call(small, json_tensors.parse, body, model.inputs_of)
        outputs = await service.predict(model, parsed.signature, parsed.inputs)
        small = sum(value.size for value in outputs.values()) * 8 < _SMALL
        return await _call(small, json_tensors.render, outputs, parsed.by_row)


async def _call(here: bool, function, *arguments):
    return function(*arguments) if here else await asyncio.to_thread(function, *arguments)


_PRINT: Any = {"preserving_proto_field_name": True, "always_print_fields_with_no_presence": True}


def _metadata(service: Service, name: str, version: int | None) -> bytes:
    with service.models.use(name, version) as model:
        specification, found = metadata_of(model, name)
    printed = {
        "model_spec": json_format.MessageToDict(specification, **_PRINT),
        "metadata": {"signature_def": json_format.MessageToDict(found, **_PRINT)},
    }
    return _printed(printed)


def _printed(value: dict) -> bytes:
    return json.dumps(value, ensure_ascii=False, indent=1).encode() + b"\n"
