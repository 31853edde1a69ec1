"""One JSON object a line, with errors that name the line."""

import json
import os
import re

from kerasbert.errors import InputError

_SURROGATES = re.compile("[\ud800-\udfff]")


def parse(path: str | os.PathLike, number: int, line: str) -> dict:
    """Returns the object in a line; raises `InputError`, naming file and line, if there is none."""
    try:
        record = json.loads(line)
    except json.JSONDecodeError as error:
        raise InputError(f"{path}:{number}: is not JSON ({error.msg})") from None
    if not isinstance(record, dict):
        raise InputError(f"{path}:{number}: is not a JSON object")
    return record


def without_surrogates(text: str) -> str:
    """Puts U+FFFD for halves of surrogate pairs, which JSON can escape and UTF-8 can't hold."""
    return _SURROGATES.sub("\ufffd", text)
