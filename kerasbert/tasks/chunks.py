"""Long texts as several chunks, each of which fits the encoder.

A task for long texts builds its inputs with `chunk_inputs`, flattens them to encoder rows with
`fold_chunks`, and pools the chunks of each text with `kerasbert.layers.PoolChunks`. Its
preprocessor is a `kerasbert.tasks.long_text.LongTextPreprocessor`.

    inputs = chunk_inputs()
    encoded = backbone(fold_chunks(inputs))
    x = PoolChunks("mean")(encoded["pooled_output"], inputs["padding_mask"])  # (batch, hidden)
"""

from typing import Any

import keras

from kerasbert.errors import InputError
from kerasbert.features import PADDING_MASK, SEGMENT_IDS, TOKEN_IDS
from kerasbert.layers import FoldChunks

_FEATURES = (TOKEN_IDS, PADDING_MASK, SEGMENT_IDS)


def chunk_inputs() -> dict[str, keras.KerasTensor]:
    """Returns the symbolic inputs of a model of long texts: int32, (batch, chunks, sequence)."""
    inputs: dict[str, Any] = {
        name: keras.Input((None, None), dtype="int32", name=name) for name in _FEATURES
    }
    return inputs


def fold_chunks(inputs: dict[str, Any]) -> dict[str, Any]:
    """Flattens features (batch, chunks, sequence) to encoder rows (batch * chunks, sequence)."""
    return {name: FoldChunks(name=f"fold_{name}")(inputs[name]) for name in _FEATURES}


def check_chunks(sequence_length: int, max_chunks: int, overlap: int) -> None:
    """Raises `InputError` if `max_chunks` or `overlap` is out of range."""
    if max_chunks < 1:
        raise InputError(f"max_chunks must be 1 or more, found {max_chunks}")
    room = sequence_length - 2
    if not 0 <= overlap < room:
        raise InputError(
            f"chunk_overlap must be 0 or more and under {room}, the tokens of a chunk, found "
            f"{overlap}"
        )
