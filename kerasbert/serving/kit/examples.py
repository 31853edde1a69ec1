"""A request with real values for each kind of model, for its README."""

from collections.abc import Mapping, Sequence
from typing import Any

from kerasbert.features import CHOICES, CONTEXT, QUESTION, TEXT, TEXT_PAIR, WORDS

_COLUMNS = {
    TEXT: ("A fine day.", "The food was cold."),
    TEXT_PAIR: ("The weather is good.", "Lunch was not warm."),
    QUESTION: ("Who wrote it?", "When was it built?"),
    CONTEXT: ("It was written by Ada.", "The bridge was built in 1932."),
    WORDS: (["A", "fine", "day", "."], ["The", "food", "was", "cold", "."]),
    CHOICES: (["It rains.", "The sun shines."], ["I sent it back.", "I sang."]),
}
_MASKED = ("A fine {mask}.", "The {mask} was cold.")


def columns(metadata: Mapping[str, Any]) -> dict[str, Sequence[Any]]:
    """Returns two rows for the inputs of an export, by its metadata.

    A task of another package may have inputs of any name; these are texts.
    """
    inputs: dict[str, Sequence] = {
        name: list(_COLUMNS.get(name, _COLUMNS[TEXT])) for name in metadata["inputs"]
    }
    if metadata["task"] in ("MaskedLM", "Pretrainer"):
        mask = metadata["tokenizer"]["special_tokens"]["mask"]
        inputs[TEXT] = [text.format(mask=mask) for text in _MASKED]
    return inputs
