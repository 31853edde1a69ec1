"""Querying an exported model."""

import os

from kerasbert.errors import InputError
from kerasbert.recipes.options import QueryOptions
from kerasbert.serving.client import SavedModelClient


def query(options: QueryOptions) -> dict:
    """Loads an export, and predicts strings with it; needs no model code."""
    for name in ("text", "text_pair"):
        for text in getattr(options, name):
            _check_utf8(name, text)
    client = SavedModelClient(options.saved_model)
    given = [options.text, *([options.text_pair] if options.text_pair else [])]
    names = client.metadata["inputs"]
    if len(given) != len(names):
        raise InputError(
            f"{options.saved_model}: takes {' and '.join(names)}: "
            f"{'--text and --text_pair' if len(names) == 2 else '--text alone'}"
        )
    return {"answers": client(**dict(zip(names, given, strict=True)))}


def _check_utf8(name: str, text: str) -> None:
    """Raises `InputError` if an argument of the command line is not UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise InputError(f"--{name}: {os.fsencode(text)} is not UTF-8") from None
