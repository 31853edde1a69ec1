"""Names and URLs of served models."""

import re
from urllib.parse import unquote

from kerasbert.errors import InputError

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,60}")
_REST_FORM, _GRPC_FORM = "http://HOST:PORT/v1/models/NAME", "grpc://HOST:PORT/NAME"
_REST = re.compile(r"https?://[^/?#]+(/[^?#]*)?/v1/models/[^/:?#]+(/versions/\d+)?")
_GRPC = re.compile(r"grpc://([^/?#]+)/([^/:?#]+)(?:/(\d+))?")
#: The APIs have versions as int64.
LARGEST_VERSION = 2**63 - 1


def check_name(name: str) -> None:
    """Raises `InputError` if a name can't be a part of a URL, and of other names."""
    if not _NAME.fullmatch(name):
        raise InputError(
            f"the name of a served model is up to 61 letters, digits, dashes, dots and "
            f"underscores, found {name!r}"
        )


def is_grpc(url: str) -> bool:
    """Returns whether a URL is one of gRPC, else of REST."""
    return url.startswith("grpc://")


def check(url: str) -> None:
    """Raises `InputError` if it is no URL of a model."""
    (grpc if is_grpc(url) else rest)(url)


def version_number(digits: str) -> int | None:
    """Returns the number of a version; None if there are other characters, or it is too large."""
    fits = digits.isdecimal() and len(digits) <= len(str(LARGEST_VERSION))
    return int(digits) if fits and int(digits) <= LARGEST_VERSION else None


def rest(url: str) -> str:
    """Returns the URL of a model behind REST, without a slash at its end.

    Raises:
        InputError: it is none.
    """
    if not _REST.fullmatch(url.rstrip("/")):
        raise InputError(
            f"the URL of a model is {_REST_FORM}, or {_GRPC_FORM} for gRPC, found {url!r}"
        )
    return url.rstrip("/")


def grpc(url: str) -> tuple[str, str, int | None]:
    """Returns the address, the name and the version of a model behind gRPC.

    Raises:
        InputError: it is no such URL.
    """
    if not (match := _GRPC.fullmatch(url)):
        raise InputError(f"the URL of a model is {_GRPC_FORM}, found {url!r}")
    address, name, digits = match.groups()
    version = version_number(digits or "")
    if digits and version is None:
        raise InputError(f"{url}: a version is at most {LARGEST_VERSION}")
    return address, unquote(name), version
