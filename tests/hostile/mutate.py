"""Random damage to bytes, JSON and text; all functions draw from a given `random.Random`."""

import json
import random
from collections.abc import Iterator

_ESCAPE = "\x1b"

#: Replacements for a value of JSON, as written in the file.
VALUES = {
    "null": "null",
    "true": "true",
    "zero": "0",
    "minus one": "-1",
    "one": "1",
    "half": "0.5",
    "8 digits": "100000000",
    "13 digits": "1000000000000",
    "5,000 digits": "9" * 5000,
    "1e999": "1e999",
    "NaN": "NaN",
    "minus infinity": "-Infinity",
    "empty string": '""',
    "a word": '"zzz"',
    "a number as a string": '"12"',
    "escapes": json.dumps(f"{_ESCAPE}[2J{_ESCAPE}]0;x\x07\r\nerror: all is well\u202e\u2028"),
    "half a surrogate": '"\\ud800"',
    "a NUL": '"a\\u0000b"',
    "a megabyte": '"' + "x" * (1 << 20) + '"',
    "a path": '"../../../../etc/passwd"',
    "empty list": "[]",
    "a list": '[1, "a", null]',
    "empty object": "{}",
    "an object": '{"a": 1}',
    "2,000 deep": "[" * 2000 + "]" * 2000,
    "200,000 deep": "[" * 200_000 + "]" * 200_000,
    "objects 50,000 deep": '{"a":' * 50_000 + "1" + "}" * 50_000,
}
_PLACE = "\ue000here\ue000"


def positions(document, before: tuple = ()) -> Iterator[tuple]:
    """Returns the paths of all values of a JSON document except the root."""
    inside = document.items() if isinstance(document, dict) else enumerate(document)
    for key, value in inside:
        yield (*before, key)
        if isinstance(value, dict | list):
            yield from positions(value, (*before, key))


def replaced(document, path: tuple, text: str) -> str:
    """Returns the document as JSON with `text` in place of a value."""
    copy = json.loads(json.dumps(document))
    parent = _parent(copy, path)
    parent[path[-1]] = _PLACE
    return json.dumps(copy, ensure_ascii=False).replace(
        json.dumps(_PLACE, ensure_ascii=False), text
    )


def without(document, path: tuple) -> str:
    """Returns the document as JSON without a value."""
    copy = json.loads(json.dumps(document))
    del _parent(copy, path)[path[-1]]
    return json.dumps(copy, ensure_ascii=False)


def _parent(document, path: tuple):
    for key in path[:-1]:
        document = document[key]
    return document


def shown(path: tuple) -> str:
    """Formats a path within JSON for the name of an attack."""
    return ".".join(map(str, path))


def whole_files(document) -> dict[str, bytes]:
    """Returns replacements of whole JSON files by description."""
    text = json.dumps(document)
    twice = text[:-1] + ", " + text[1:] if isinstance(document, dict) and document else text
    return {
        "empty": b"",
        "white space": b" \n",
        "a word": b"hello",
        "null": b"null",
        "a number": b"17",
        "a string": b'"config"',
        "a list": b"[]",
        "an empty object": b"{}",
        "a list of it": f"[{text}]".encode(),
        "itself twice": (text + text).encode(),
        "every key twice": twice.encode(),
        "an unknown key": (text[:-1] + ', "colour": "blue"}').encode(),
        "half of it": text[: len(text) // 2].encode(),
        "UTF-16": text.encode("utf-16"),
        "a byte that is no UTF-8": text.encode().replace(b'"', b'"\xff', 1),
        "NUL at the end": text.encode() + b"\0",
        "100,000 deep": b"[" * 100_000,
        "100,000 deep and closed": b"[" * 100_000 + b"]" * 100_000,
        "a number of 5,000 digits": b"9" * 5000,
        "a comment": b"// it\n" + text.encode(),
        "an escape as key": json.dumps({f"{_ESCAPE}[2J\n{_ESCAPE}[31m": 1}).encode(),
        "50,000 keys": json.dumps({str(i): i for i in range(50_000)}).encode(),
        "zeros": bytes(5000),
    }


def damaged(data: bytes, rng: random.Random) -> tuple[str, bytes]:
    """Damages data once at random; returns a description and the damaged data."""
    how = rng.choice(_FAULTS)
    return how(data, rng)


def _bit(data, rng):
    at, bit = rng.randrange(len(data)), rng.randrange(8)
    return f"bit {bit} of byte {at}", data[:at] + bytes([data[at] ^ 1 << bit]) + data[at + 1 :]


def _byte(data, rng):
    at, value = rng.randrange(len(data)), rng.choice([0, 0xFF, 0x80, 0x7F, rng.randrange(256)])
    return f"byte {at} = {value}", data[:at] + bytes([value]) + data[at + 1 :]


def _several(data, rng):
    changed = bytearray(data)
    for _ in range(count := rng.choice([2, 4, 16, 64])):
        changed[rng.randrange(len(data))] = rng.randrange(256)
    return f"{count} bytes, seed {rng.random():.6f}", bytes(changed)


def _cut(data, rng):
    end = rng.randrange(len(data))
    return f"cut at {end}", data[:end]


def _cut_near_an_end(data, rng):
    end = rng.choice(
        [rng.randrange(min(64, len(data))), len(data) - 1 - rng.randrange(min(16, len(data)))]
    )
    return f"cut at {end}", data[:end]


def _longer(data, rng):
    count = rng.choice([1, 8, 4096])
    return f"{count} bytes more", data + rng.randbytes(count)


def _left_out(data, rng):
    at, count = rng.randrange(len(data)), rng.choice([1, 4, 64])
    return f"{count} bytes left out at {at}", data[:at] + data[at + count :]


def _inserted(data, rng):
    at, count = rng.randrange(len(data)), rng.choice([1, 4, 64])
    return f"{count} bytes inserted at {at}", data[:at] + rng.randbytes(count) + data[at:]


def _zeros(data, rng):
    at, count = rng.randrange(len(data)), rng.choice([8, 512])
    return f"{count} zeros at {at}", (data[:at] + bytes(count) + data[at + count :])[: len(data)]


def _ones(data, rng):
    at, count = rng.randrange(len(data)), rng.choice([2, 4, 8])
    return f"{count} times 0xFF at {at}", (data[:at] + b"\xff" * count + data[at + count :])[
        : len(data)
    ]


def _copied(data, rng):
    at, to = rng.randrange(len(data)), rng.randrange(len(data))
    count = rng.choice([4, 32, 256])
    piece = data[at : at + count]
    return f"{count} bytes of {at} at {to}", data[:to] + piece + data[to + len(piece) :]


# The first ones are the most likely in practice, and are drawn most often.
_FAULTS = (
    *[_bit] * 4,
    *[_byte] * 2,
    *[_several] * 2,
    *[_cut] * 2,
    _cut_near_an_end,
    _longer,
    _left_out,
    _inserted,
    _zeros,
    _ones,
    _copied,
)

#: Bytes that are hardly text.
TEXTS = {
    "nothing": b"",
    "a NUL": b"a\0b",
    "only NULs": bytes(100),
    "no UTF-8": b"a \xff\xfe day",
    "half a character": "日本".encode()[:-1],
    "a surrogate in UTF-8": b"\xed\xa0\x80",
    "overlong": b"\xc0\x80 \xf8\x88\x80\x80\x80",
    "beyond Unicode": b"\xf4\x90\x80\x80",
    "an escape": b"\x1b[2J\x1b]0;title\x07",
    "a bell and backspaces": b"\x07\x08\x08\x08",
    "right to left": "\u202eabc\u2066\u2069".encode(),
    "white space of every kind": " \t\v\f\u00a0\u2003\u3000\u200b\ufeff".encode(),
    "ends of lines of every kind": "a\u2028b\u2029c\u0085d\x1ce".encode(),
    "marks without a letter": "\u0301\u0302\u0303".encode(),
    "5,000 marks on a letter": ("a" + "\u0301" * 5000).encode(),
    "a word of 200,000 letters": b"a" * 200_000,
    "100,000 words": b"day " * 100_000,
    "private and unassigned": "\ue000\U0010ffff\ufffe\uffff".encode(),
    "emoji with joiners": "👩‍👩‍👧‍👦🏳️‍🌈".encode() * 50,
    "special tokens": b"[CLS] [SEP] [MASK] [PAD] [UNK] " * 20,
    "quotes": b'"\'"""',
    "a comma and a tab": b"a,\tb",
    "a formula": b"=cmd|' /C calc'!A0",
}
