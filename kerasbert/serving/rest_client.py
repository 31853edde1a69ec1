"""Asks a server with the REST API of TensorFlow Serving; needs no TensorFlow."""

from __future__ import annotations

import base64
import json
import math
import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Self

import urllib3

from kerasbert.errors import InputError, shown
from kerasbert.features import LIST_COLUMNS
from kerasbert.serving import attempts, urls
from kerasbert.serving.columns import checked_columns, rows_of
from kerasbert.serving.signatures import DEFAULT

#: The queue of the server is full, or no version is loaded: it may answer later.
_LATER = (429, 503)
_LONGEST_WAIT = 10  # seconds between two attempts
_SHORTEST = 1e-3  # of a time-out, which must not be 0
_CHUNK = 2**16
_CONNECTIONS = 1024  # that are kept, of as many threads; as in the largest load test


class RestClient:
    """Predicts texts with a model behind TensorFlow Serving or `kerasbert serve`.

    Examples:
        While `kerasbert serve --saved_model saved_models/opinions` runs, or TensorFlow Serving:

        >>> from kerasbert.serving import RestClient
        >>> with RestClient("http://localhost:8501/v1/models/opinions", timeout=10) as client:
        ...     answers = client(text=["a fine day", "a dull day"])
        >>> len(answers), sorted(answers[0])
        (2, ['label', 'labels', 'scores'])

    Several threads may use one client. `close`, or a `with` statement, closes its connections.

    Args:
        url: the model's URL, `http://HOST:PORT/v1/models/NAME`, or one of its versions,
            `.../versions/N`.
        timeout: seconds that an answer may take, with all attempts; None: no limit.
        retries: further attempts if the server can't be reached, or answers 429 or 503: the first
            at once, then after 0.2 seconds, doubling, or after the time that the server asks for;
            at most 10 seconds.

    Raises:
        InputError: the URL or another argument is wrong, or the server has no such model.
        ConnectionError: there is no server, or it can't answer.
        TimeoutError: it takes too long.
    """

    def __init__(self, url: str, *, timeout: float | None = 30.0, retries: int = 5):
        self.url = urls.rest(url)
        timeout, self._retries = attempts.checked(timeout, retries)
        self._timeout = math.inf if timeout is None else timeout
        self._http = urllib3.PoolManager(maxsize=_CONNECTIONS)
        found = self._ask("GET", "/metadata")
        try:
            signature = found["metadata"]["signature_def"]["signature_def"][DEFAULT]
            self.inputs, self.outputs = sorted(signature["inputs"]), sorted(signature["outputs"])
        except (KeyError, TypeError):
            raise InputError(f"{self.url}: is no model of TensorFlow Serving") from None

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
        columns = checked_columns(self.url, self.inputs, columns)
        inputs = {name: _json_column(name, column) for name, column in columns.items()}
        if not len(next(iter(inputs.values()))):
            return []
        return self._rows(self._ask("POST", ":predict", {"inputs": inputs}))

    def close(self) -> None:
        """Closes the connections.

        Examples:
            >>> client.close()
        """
        self._http.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    def _rows(self, found: Mapping) -> list[dict]:
        outputs: Any = found.get("outputs")
        by_name = outputs if len(self.outputs) > 1 else {self.outputs[0]: outputs}
        try:
            return rows_of({name: _from_json(by_name[name]) for name in self.outputs})
        except (KeyError, TypeError, ValueError):
            raise ConnectionError(
                f"{self.url}: answers without the outputs {', '.join(self.outputs)}: {shown(found)}"
            ) from None

    def _ask(self, method: str, resource: str, body: Mapping | None = None) -> dict:
        content = None if body is None else json.dumps(body).encode()
        end = time.monotonic() + self._timeout
        for attempt in range(self._retries + 1):
            wait = min(0.1 * 2 ** min(attempt, 10), _LONGEST_WAIT) if attempt else 0.0
            try:
                answer = self._attempt(method, self.url + resource, content, end)
            except urllib3.exceptions.HTTPError as error:
                kind = TimeoutError if _is_late(error) else ConnectionError
                problem = kind(f"{self.url}: can't be asked ({error})")
            else:
                if answer.status == 200 and isinstance(answer.found, dict):
                    return answer.found
                problem = self._refusal(answer)
                if answer.status not in _LATER:
                    raise problem
                if answer.wait is not None:
                    wait = min(answer.wait, _LONGEST_WAIT)
            if attempt == self._retries or time.monotonic() + wait >= end:
                raise problem from None
            time.sleep(wait)
        raise AssertionError("the last attempt returns or raises")

    def _attempt(self, method: str, url: str, content: bytes | None, end: float) -> _Answer:
        """Sends a request once.

        Raises:
            urllib3.exceptions.HTTPError: the server can't be reached, or not in time.
        """
        response = self._http.request(
            method,
            url,
            body=content,
            headers={"Content-Type": "application/json"},
            timeout=None if end == math.inf else max(end - time.monotonic(), _SHORTEST),
            retries=False,
            redirect=False,
            preload_content=False,
        )
        try:
            parts = []
            while part := response.read1(_CHUNK):
                parts.append(part)
                # The socket's own limit begins again with every part.
                if time.monotonic() > end:
                    raise urllib3.exceptions.TimeoutError("the answer timed out")
            wait = urllib3.Retry().get_retry_after(response)
        except BaseException:
            response.close()  # what is left of the answer must not begin the next one
            raise
        finally:
            response.release_conn()
        try:
            found = json.loads(b"".join(parts))
        except ValueError:
            found = b"".join(parts)
        return _Answer(response.status, found, wait)

    def _refusal(self, answer: _Answer) -> Exception:
        """Returns the exception for an answer that is none."""
        message = answer.found.get("error") if isinstance(answer.found, dict) else None
        text = f"{self.url}: answers {answer.status}: {message or shown(answer.found)}"
        is_mistake = 400 <= answer.status < 500 and answer.status not in _LATER
        return InputError(text) if is_mistake else ConnectionError(text)


def _is_late(error: urllib3.exceptions.HTTPError) -> bool:
    """Whether time is up; urllib3 also counts servers that are not there as time-outs."""
    return isinstance(error, urllib3.exceptions.TimeoutError) and not isinstance(
        error, urllib3.exceptions.NewConnectionError
    )


class _Answer(NamedTuple):
    status: int
    found: object  # decoded JSON, or the bytes if they are none
    wait: float | None  # seconds that the server asks to wait


def _json_column(name: str, column: Sequence) -> list:
    """Returns strings as JSON can hold them; lists of strings are padded with empty ones."""
    if name not in LIST_COLUMNS:
        return [_json_text(name, text) for text in column]
    rows = [[_json_text(name, text) for text in row] for row in column]
    width = max(map(len, rows), default=0)
    return [row + [""] * (width - len(row)) for row in rows]


def _json_text(name: str, text):
    if isinstance(text, bytes):
        return {"b64": base64.b64encode(text).decode()}
    try:
        text.encode()
    except (AttributeError, UnicodeEncodeError):
        wanted = "lists of strings" if name in LIST_COLUMNS else "strings"
        raise InputError(
            f"{name} must hold {wanted} as UTF-8 can hold them, found {shown(text)}"
        ) from None
    return text


def _from_json(value):
    """Decodes `{"b64": ...}`, the form of binary strings."""
    if isinstance(value, list):
        return [_from_json(one) for one in value]
    return base64.b64decode(value["b64"]) if isinstance(value, dict) else value
