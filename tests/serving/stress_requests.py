"""Requests for `stress.py`: texts of all kinds, and mistakes with the answers they must get."""

import base64
import dataclasses
import json
import random
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

_ALPHABETS = (
    "abcdefghij klmno pqrst uvwxyz ",
    "ABC def 0123456789 .,;:!?-()[]{}'\"/\\@#%&*",
    "äöüßéèêñçœøåÅÉ ½²™…–—“”",
    "αβγΣς жзий ЁЯ ",
    "中国文字日本語한국어 、。「」",
    "שלום مرحبا ؟ \u200f\u202b",
    "🙂👩🏽\u200d💻🇩🇪❤️ ",
    "a\u0301e\u0308o\u0327\u0345 \u1ab0",
    "\x00\x01\x1f\x7f\x85\t\n\r\xad\u200b\ufeff\ufffd a",
    "\ue000\U000f0000\U000e0001\u0378 x",
)
_LENGTHS = (0, 1, 3, 20, 20, 80, 80, 300, 2_000)
_SPECIAL = ("[MASK]", "a [SEP] b [CLS]", " ", "word " * 12_000, "x" * 60_000, "🙂" * 15_000)
_BINARY = (b"caf\xe9 \xff\xfe", b"\x80", b"\xed\xa0\x80 half", b"ok \xf0\x9f\x99")
_ROWS = (1, 1, 1, 1, 1, 1, 2, 5, 32)


def texts(seed: int, number: int = 400) -> list[Any]:
    """Returns texts of many lengths and scripts, empty, very long, and bytes that are not UTF-8."""
    chooser = random.Random(seed)
    drawn = [
        "".join(chooser.choices(chooser.choice(_ALPHABETS), k=chooser.choice(_LENGTHS)))
        for _ in range(number)
    ]
    return [*drawn, *_SPECIAL, *_BINARY]


@dataclasses.dataclass(frozen=True)
class Asked:
    """A request of the REST API.

    Attributes:
        path: what follows the model's URL.
        body: the body.
        rows: which of the texts it asks for; empty for a mistake.
        status: HTTP's status that it must get.
        says: what a mistake's message must contain.
    """

    path: str
    body: bytes
    rows: tuple[int, ...] = ()
    status: int = 200
    says: str = ""


def valid(chooser: random.Random, known: Sequence[str | bytes]) -> Asked:
    """Draws a request for some texts, in one of the forms of the API."""
    rows = tuple(chooser.randrange(len(known)) for _ in range(chooser.choice(_ROWS)))
    values = [_json(known[row], chooser.random() < 0.1) for row in rows]
    body = chooser.choice(
        (
            {"inputs": {"text": values}},
            {"inputs": values},
            {"instances": values},
            {"instances": [{"text": value} for value in values]},
        )
    )
    return Asked(":predict", json.dumps(body).encode(), rows)


def _json(text: str | bytes, binary: bool) -> Any:
    if isinstance(text, str) and not binary:
        return text
    content = text.encode() if isinstance(text, str) else text
    return {"b64": base64.b64encode(content).decode()}


def mistakes() -> list[Asked]:
    """Returns requests that must be refused, each with its status and its message."""
    of_inputs = {
        "takes the inputs|must have the keys": {"inputs": {"words": ["a"]}},
        "must have the keys": {"instances": [{"text": "a"}, {"texts": "b"}]},
        "must be of the same kind": {"instances": ["a", {"text": "b"}]},
        "text must have the shape": {"inputs": [["a"]]},
        "lists must be nested equally deep": {"inputs": ["a", ["b"]]},
        "text must be a string": {"inputs": ["a", 3]},
        "is not base64": {"inputs": [{"b64": "!"}]},
        "half of a surrogate pair": {"inputs": ["\ud800"]},
        "at least one row": {"instances": []},
        "Missing 'inputs' or 'instances'": {"input": ["a"]},
        "only one of": {"inputs": ["a"], "instances": ["a"]},
        '"no" not found': {"inputs": ["a"], "signature_name": "no"},
        "'signature_name' must be a string": {"inputs": ["a"], "signature_name": 3},
        "at most 1,024 are taken": {"inputs": ["a"] * 1_025},
        "at most 262,144 are read": {"inputs": ["x" * 262_145]},
    }
    refused = [
        Asked(":predict", json.dumps(body).encode(), status=400, says=says)
        for says, body in of_inputs.items()
    ]
    return [
        *refused,
        Asked(":predict", b"", status=400, says="JSON Parse error"),
        Asked(":predict", b'{"inputs": ["a"', status=400, says="JSON Parse error"),
        Asked(":predict", b'{"inputs": ["\xff"]}', status=400, says="not UTF-8"),
        Asked(":predict", b"[" * 100_000, status=400, says="nested too deeply"),
        Asked(":predict", b'["a"]', status=400, says="must be an object"),
        Asked("x:predict", b'{"inputs": ["a"]}', status=404, says="Servable not found"),
        Asked("/versions/99:predict", b'{"inputs": ["a"]}', status=404, says="Specific(mine, 99)"),
        Asked("/labels/new:predict", b'{"inputs": ["a"]}', status=400, says="label: new"),
        Asked(":predicts", b'{"inputs": ["a"]}', status=400, says="Malformed request"),
    ]


def largest() -> Asked:
    """Returns a request that is larger than the server reads."""
    return Asked(":predict", b'{"inputs": "' + b"x" * 9_000_000, status=413, says="is larger than")


def problem(asked: Asked, status: int, content: bytes, answers: Mapping[int, list[dict]]) -> str:
    """Returns what is wrong with an answer of the REST API, or nothing.

    Args:
        asked: the request.
        status: the answer's status.
        content: its body.
        answers: for each version that may answer, the right answer for each of the texts.
    """
    try:
        found = json.loads(content)
    except ValueError:
        return f"{status} with no JSON: {content[:80]!r}"
    if status != asked.status:
        return f"{asked.body[:60]!r} gets {status} instead of {asked.status}: {str(found)[:200]}"
    if not asked.rows:
        message = found.get("error", "")
        is_meant = any(says in message for says in asked.says.split("|"))
        return "" if is_meant and len(message.splitlines()) == 1 else f"says {message[:200]!r}"
    rows = found.get("predictions")
    if rows is None:
        columns = found["outputs"]
        rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    return wrong(asked.rows, rows, answers)


def wrong(asked: Sequence[int], rows: Sequence[dict], answers: Mapping[int, Sequence[dict]]) -> str:
    """Returns what is wrong with the rows of an answer, or nothing: all are of one version."""
    if len(asked) != len(rows):
        return f"{len(asked)} rows are asked for, {len(rows)} come back"
    for right in answers.values():
        if all(_is_same(row, right[number]) for number, row in zip(asked, rows, strict=True)):
            return ""
    return f"wrong answer of text {asked[0]}: {str(rows[0])[:200]}"


def _is_same(found: dict, right: dict) -> bool:
    """Whether numbers are close and strings equal; the best label may change with equal scores."""
    if found.keys() != right.keys():
        return False
    for name, value in right.items():
        given = found[name]
        if np.asarray(value).dtype.kind == "f":
            if np.shape(given) != np.shape(value) or not np.allclose(given, value, atol=1e-4):
                return False
        elif name != "label" and _text(given) != _text(value):
            return False
    return True


def _text(value: Any) -> Any:
    if isinstance(value, list):
        return [_text(one) for one in value]
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value
