"""Errors of requests, with the names that gRPC gives them, and HTTP's numbers."""

from kerasbert.errors import one_line

#: HTTP's status for each code, as TensorFlow Serving translates them.
HTTP_STATUS = {
    "INVALID_ARGUMENT": 400,
    "FAILED_PRECONDITION": 400,
    "NOT_FOUND": 404,
    "RESOURCE_EXHAUSTED": 429,
    "CANCELLED": 499,
    "INTERNAL": 500,
    "UNIMPLEMENTED": 501,
    "UNAVAILABLE": 503,
}


class RequestError(Exception):
    """A request that can't be answered.

    Args:
        code: string, a key of `HTTP_STATUS`.
        message: string, one line for the client.
        http_status: integer, HTTP's status; None: that of `code`.
    """

    def __init__(self, code: str, message: str, http_status: int | None = None):
        super().__init__(one_line(message))
        self.code, self.http_status = code, http_status or HTTP_STATUS[code]


def invalid(message: str) -> RequestError:
    """Returns the error for a mistake in a request."""
    return RequestError("INVALID_ARGUMENT", message)
