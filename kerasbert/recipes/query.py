"""SavedModel + strings -> answers."""

import os

from kerasbert.errors import InputError
from kerasbert.recipes.options import QueryOptions
from kerasbert.serving.client import SavedModelClient


def query(options: QueryOptions) -> dict:
    """Loads an export and asks it, with no model code."""
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
    """Raises `InputError` where bytes of the command line are not UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise InputError(f"--{name}: {os.fsencode(text)} is not UTF-8") from None
