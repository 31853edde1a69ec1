"""Querying an exported model."""

import os
from collections.abc import Sequence
from typing import Any

from kerasbert.errors import InputError
from kerasbert.features import CHOICES, TEXT_COLUMNS
from kerasbert.recipes.options import QueryOptions
from kerasbert.serving.client import SavedModelClient
from kerasbert.serving.connect import connect


def query(options: QueryOptions) -> dict[str, Any]:
    """Predicts strings with an export, or asks a server; needs no model code."""
    for name in ("text", "text_pair"):
        for text in getattr(options, name):
            _check_utf8(name, text)
    if options.saved_model:
        client = SavedModelClient(options.saved_model)
        return _answers(options, client, client.metadata["inputs"])
    with connect(str(options.url)) as client:
        # Servers don't know the order, but question comes before context, and text before
        # text_pair.
        return _answers(options, client, [name for name in TEXT_COLUMNS if name in client.inputs])


def _answers(options: QueryOptions, client, names: Sequence[str]) -> dict:
    """Asks a client whose inputs have these names, in the order of the options."""
    given: list[list] = [options.text, *([options.text_pair] if options.text_pair else [])]
    if CHOICES in names:
        if len(options.text) != 1 or not options.text_pair:
            raise InputError(
                f"{options.saved_model or options.url}: takes text and choices: one --text, and a "
                "--text_pair for each choice"
            )
        given = [options.text, [options.text_pair]]
    if len(given) != len(names):
        raise InputError(
            f"{options.saved_model or options.url}: takes {' and '.join(names)}: "
            f"{'--text and --text_pair' if len(names) == 2 else '--text alone'}"
        )
    return {"answers": client(**dict(zip(names, given, strict=True)))}


def _check_utf8(name: str, text: str) -> None:
    """Raises `InputError` if an argument of the command line is not UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise InputError(f"--{name}: {os.fsencode(text)} is not UTF-8") from None
