"""One JSON object a line, with errors that name the line."""

import os
import re

from kerasbert import schema

_SURROGATES = re.compile("[\ud800-\udfff]")


def parse(path: str | os.PathLike, number: int, line: str) -> dict:
    """Returns the object in a line; raises `InputError`, naming file and line, if there is none."""
    return schema.parse(line, f"{path}:{number}", dict)


def without_surrogates(text: str) -> str:
    """Puts U+FFFD for halves of surrogate pairs, which JSON can escape and UTF-8 can't hold."""
    return _SURROGATES.sub("\ufffd", text)
