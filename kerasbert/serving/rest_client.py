"""Asks a server with the REST API of TensorFlow Serving; needs no TensorFlow."""

import base64
import json
from collections.abc import Mapping, Sequence
from typing import Any

import urllib3

from kerasbert.errors import InputError, shown
from kerasbert.features import LIST_COLUMNS
from kerasbert.serving import urls
from kerasbert.serving.columns import checked_columns, rows_of

#: The queue of the server is full, or no version is loaded: it may answer later.
_LATER = (429, 503)
_LONGEST_WAIT = 10  # seconds between two attempts


class RestClient:
    """Predicts texts with a model behind TensorFlow Serving or `kerasbert serve`.

        client = RestClient("http://localhost:8501/v1/models/opinions")
        client(text=["a fine day"])  # [{"label": "good", ...}]

    Several threads may use one client. `close`, or a `with` statement, closes its connections.

    Args:
        url: the model's URL, `http://HOST:PORT/v1/models/NAME`, or one of its versions,
            `.../versions/N`.
        timeout: seconds that an attempt may take.
        retries: further attempts if the server can't be reached, or answers 429 or 503: the first
            at once, then after 0.2 seconds, doubling, or after the time that the server asks for;
            at most 10 seconds.

    Raises:
        InputError: the URL is wrong, or the server has no such model.
        ConnectionError: there is no server, or it can't answer.
        TimeoutError: it takes too long.
    """

    def __init__(self, url: str, *, timeout: float = 30.0, retries: int = 5):
        self.url = urls.rest(url)
        again = _Retry(
            retries,
            status_forcelist=_LATER,
            allowed_methods=None,  # answers have no side effects
            backoff_factor=0.1,
            backoff_max=_LONGEST_WAIT,
            redirect=False,
            raise_on_status=False,
        )
        self._http = urllib3.PoolManager(timeout=timeout, retries=again, maxsize=32)
        found = self._ask("GET", "/metadata")
        try:
            signature = found["metadata"]["signature_def"]["signature_def"]["serving_default"]
            self.inputs, self.outputs = sorted(signature["inputs"]), sorted(signature["outputs"])
        except (KeyError, TypeError):
            raise InputError(f"{self.url}: is no model of TensorFlow Serving") from None

    def __call__(self, **columns: Sequence) -> list[dict]:
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
        """Closes the connections."""
        self._http.clear()

    def __enter__(self):
        return self

    def __exit__(self, *_):
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
        headers = {"Content-Type": "application/json"}
        try:
            response = self._http.request(
                method, self.url + resource, body=content, headers=headers
            )
        except urllib3.exceptions.HTTPError as error:
            reason = getattr(error, "reason", None) or error
            kind = ConnectionError
            if isinstance(reason, urllib3.exceptions.ReadTimeoutError):
                kind = TimeoutError
            raise kind(f"{self.url}: can't be asked ({reason})") from None
        try:
            found = json.loads(response.data)
        except ValueError:
            found = None
        if response.status == 200 and isinstance(found, dict):
            return found
        message = found.get("error") if isinstance(found, dict) else None
        message = f"{self.url}: answers {response.status}: {message or shown(response.data)}"
        if 400 <= response.status < 500 and response.status not in _LATER:
            raise InputError(message)
        raise ConnectionError(message)


class _Retry(urllib3.Retry):
    """Obeys servers that ask for more time, but not for any time."""

    def get_retry_after(self, response) -> float | None:
        asked = super().get_retry_after(response)
        return asked and min(asked, _LONGEST_WAIT)


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
