"""The special tokens that Hugging Face `tokenizers` puts around texts: its post-processors."""

from collections.abc import Mapping
from typing import Any

from kerasbert.text.packing import PACKINGS


def templates(packing: str, cls: str, sep: str) -> tuple[list[dict], list[dict]]:
    """Returns the templates of single texts and of pairs for a packing.

    Args:
        packing: a key of `kerasbert.text.packing.PACKINGS`.
        cls: the first token of a row.
        sep: the separator.
    """
    separators, has_segments = PACKINGS[packing]
    second = int(has_segments)

    def token(name, segment=0):
        return {"SpecialToken": {"id": name, "type_id": segment}}

    def text(name, segment=0):
        return {"Sequence": {"id": name, "type_id": segment}}

    single = [token(cls), text("A"), token(sep)]
    first = [token(cls), text("A"), *[token(sep)] * separators]
    return single, [*first, text("B", second), token(sep, second)]


def packing_of(processor: Mapping[str, Any] | None, cls: str, sep: str) -> str | None:
    """Returns the packing that a post-processor makes; None: it makes none of ours.

    Args:
        processor: `post_processor` of a tokenizer.json.
        cls: the first token of a row.
        sep: the separator.
    """
    steps = [processor] if processor else []
    if processor and processor["type"] == "Sequence":
        steps = processor["processors"]
    steps = [step for step in steps if step["type"] != "ByteLevel"]  # which changes offsets alone
    if len(steps) != 1:
        return None
    (step,) = steps
    if step["type"] == "TemplateProcessing":
        made = step["single"], step["pair"]
        return next((name for name in PACKINGS if templates(name, cls, sep) == made), None)
    usual = {"BertProcessing": "bert", "RobertaProcessing": "roberta"}.get(step["type"])
    return usual if usual and (step["cls"][0], step["sep"][0]) == (cls, sep) else None
