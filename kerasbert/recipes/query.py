"""SavedModel + strings -> answers."""

import dataclasses

from kerasbert import features as keys
from kerasbert.options import option
from kerasbert.serving.client import SavedModelClient


@dataclasses.dataclass(frozen=True, kw_only=True)
class QueryOptions:
    """Options of `query`."""

    saved_model: str = option(help="an export: its version directory, or the one above")
    text: list[str] = option(help="a text; may be repeated")
    text_pair: list[str] = option([], help="its second text, for models of pairs; as often as text")


def query(options: QueryOptions) -> dict:
    """Loads an export and asks it, with no model code."""
    columns = {keys.TEXT: options.text}
    if options.text_pair:
        columns[keys.TEXT_PAIR] = options.text_pair
    return {"answers": SavedModelClient(options.saved_model)(**columns)}
