"""JSON lines, one object per line, with errors that name the line."""

import os
import re
from typing import Any

from kerasbert import schema

_SURROGATES = re.compile("[\ud800-\udfff]")


def parse(path: str | os.PathLike[str], number: int, line: str) -> dict[str, Any]:
    """Parses a line; raises `InputError`, which names file and line, if it is not an object."""
    return schema.parse(line, f"{path}:{number}", dict)


def without_surrogates(text: str) -> str:
    """Replaces unpaired surrogates, which JSON can contain and UTF-8 cannot, by U+FFFD."""
    return _SURROGATES.sub("\ufffd", text)
