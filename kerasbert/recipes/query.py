"""SavedModel + strings -> answers."""

import dataclasses

from kerasbert.errors import InputError
from kerasbert.options import option
from kerasbert.serving.client import SavedModelClient


@dataclasses.dataclass(frozen=True, kw_only=True)
class QueryOptions:
    """Options of `query`."""

    saved_model: str = option(help="an export: its version directory, or the one above")
    text: list[str] = option(help="a text, or a question; may be repeated")
    text_pair: list[str] = option(
        [], help="its second text, or the question's context; as often as text"
    )


def query(options: QueryOptions) -> dict:
    """Loads an export and asks it, with no model code."""
    client = SavedModelClient(options.saved_model)
    given = [options.text, *([options.text_pair] if options.text_pair else [])]
    names = client.metadata["inputs"]
    if len(given) != len(names):
        raise InputError(
            f"{options.saved_model}: takes {' and '.join(names)}: "
            f"{'--text and --text_pair' if len(names) == 2 else '--text alone'}"
        )
    return {"answers": client(**dict(zip(names, given, strict=True)))}
