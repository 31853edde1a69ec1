"""Preprocessing of long texts as chunks; the models are in `kerasbert.tasks.chunks`."""

import dataclasses
from typing import Any

from kerasbert.tasks.preprocessor import Preprocessor
from kerasbert.text.chunks import chunk_features, chunk_room


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class LongTextPreprocessor(Preprocessor):
    """Turns single texts into features, of several chunks if they may be long.

    Attributes:
        long_text: pooling of chunks; None: texts are truncated to `sequence_length`.
        max_chunks: chunks per text.
        chunk_overlap: tokens that two neighboring chunks share.
    """

    long_text: str | None = None
    max_chunks: int = 8
    chunk_overlap: int = 0

    def features(self, text: Any, text_pair: Any = None) -> dict[str, Any]:
        """Returns features of a batch of strings; with `long_text` (batch, chunks, sequence)."""
        if not self.long_text:
            return super().features(text, text_pair)
        return chunk_features(
            self.packer, text, max_chunks=self.max_chunks, overlap=self.chunk_overlap
        )

    @property
    def text_room(self) -> int:
        """Tokens per text, without special tokens."""
        if not self.long_text:
            return super().text_room
        return chunk_room(self.packer, max_chunks=self.max_chunks, overlap=self.chunk_overlap)
