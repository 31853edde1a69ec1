"""The first pass over a corpus, which finds its duplicates.

It keeps hashes only: 16 bytes a document, 16 a paragraph if paragraphs are compared, and 240 a
document for near-duplicates; sorting takes as much again of one kind at a time.
"""

from __future__ import annotations

import array
import os
from collections.abc import Callable, Iterable

import numpy as np

from kerasbert.data.corpus.cleaning import near
from kerasbert.data.corpus.cleaning.duplicates import (
    Duplicates,
    hash_of,
    hash_of_paragraph,
    size_of,
)
from kerasbert.data.corpus.cleaning.filters import NO_FILTERS, Filters
from kerasbert.data.corpus.cleaning.kinds import KINDS
from kerasbert.data.corpus.cleaning.selection import Selection
from kerasbert.data.corpus.documents.lines import Report
from kerasbert.data.corpus.documents.reading import TEXT_COLUMN, find_files
from kerasbert.errors import InputError


def find_duplicates(
    inputs: Iterable[str | os.PathLike[str]],
    kinds: Iterable[str],
    *,
    text_column: str = TEXT_COLUMN,
    filters: Filters = NO_FILTERS,
    report: Report | None = None,
    progress: Callable[[int], object] = lambda documents: None,
) -> Duplicates:
    """Reads all documents once, and returns those, and the paragraphs, that repeat earlier ones.

    Of equal documents, the first is kept; of near-duplicates too. Paragraphs are compared between
    the documents that are kept.

    Args:
        inputs: see `kerasbert.data.corpus.documents.reading.read_documents`.
        kinds: what to find: "document" (the same text), "near" (see
            `kerasbert.data.corpus.cleaning.near`) and "paragraph" (the same line of at least 64
            bytes).
        text_column: see `read_documents`.
        filters: `Filters` of the documents that are compared.
        report: `Report` to update.
        progress: function that is called with the number of documents, now and then.

    Returns:
        `Duplicates`, for `Selection`.

    Raises:
        InputError: a kind is unknown, a package is missing, or an input can't be read.

    Examples:
        >>> import pathlib
        >>> import kerasbert
        >>> size = pathlib.Path("text.txt").write_text("A text.\\n\\nAnother.\\n\\nA text.\\n")
        >>> duplicates = kerasbert.data.corpus.find_duplicates(["text.txt"], ["document"])
        >>> duplicates.counts()
        {'document': 1}
    """
    wanted = set(kinds)
    kinds = tuple(kind for kind in KINDS if kind in wanted)
    if not kinds or wanted > set(kinds):
        raise InputError(f"nothing to find: the kinds of duplicates are {', '.join(KINDS)}")
    inputs = find_files(inputs)
    selection = Selection(text_column=text_column, filters=filters)
    hashes = _Hashes(kinds)
    report = report if report is not None else Report()
    for number, source in enumerate(inputs):
        for position, lines in selection.read(number, source, report=report):
            hashes.add(position, lines)
            if len(hashes) % 1024 == 0:
                progress(1024)
        hashes.end_source()
    progress(len(hashes) % 1024)
    return hashes.duplicates(
        {
            "inputs": [[source, size_of(source)] for source in inputs],
            "kinds": list(kinds),
            **selection.settings(),
        }
    )


class _Hashes:
    """The hashes of all documents."""

    def __init__(self, kinds: tuple[str, ...]):
        self._kinds = kinds
        self._positions, self._hashes = array.array("q"), array.array("Q")
        self._paragraph_hashes = array.array("Q")
        self._paragraph_documents, self._paragraph_lines = array.array("I"), array.array("I")
        self._signatures = near.Signatures() if "near" in kinds else None
        self._ends = [0]  # of the sources, in documents

    def __len__(self):
        return len(self._positions)

    def add(self, position: int, lines: list[str]) -> None:
        """Adds a document."""
        number = len(self)
        self._positions.append(position)
        self._hashes.append(hash_of(lines))
        if self._signatures:
            self._signatures.add(lines)
        if "paragraph" in self._kinds:
            for line, text in enumerate(lines):
                if (hashed := hash_of_paragraph(text)) is not None:
                    self._paragraph_hashes.append(hashed)
                    self._paragraph_documents.append(number)
                    self._paragraph_lines.append(line)

    def end_source(self) -> None:
        """Ends an input."""
        self._ends.append(len(self))

    def duplicates(self, settings: dict) -> Duplicates:
        """Returns what repeats something earlier."""
        kept_for = np.full(len(self), -1, np.int64)  # by document: the one that is kept instead
        is_near = np.zeros(len(self), bool)
        if "document" in self._kinds or self._signatures:
            repeated, first = _repeated(_array(self._hashes, np.uint64))
            kept_for[repeated] = first
            is_near[repeated] = "document" not in self._kinds  # equal documents are similar, too
        if self._signatures:
            left = np.flatnonzero(kept_for < 0)
            similar = near.similar_earlier(self._signatures.finish()[left])
            for later, earlier in similar.items():
                kept_for[left[later]] = left[earlier]
                is_near[left[later]] = True
            # What equals a near-duplicate is left out for the same document.
            documents = np.flatnonzero(kept_for >= 0)
            further = kept_for[kept_for[documents]]
            kept_for[documents] = np.where(further >= 0, further, kept_for[documents])
        documents = np.flatnonzero(kept_for >= 0)
        return Duplicates.of(
            settings,
            ends=np.array(self._ends),
            positions=_array(self._positions, np.int64),
            hashes=_array(self._hashes, np.uint64),
            documents=documents,
            is_near=is_near[documents],
            kept=kept_for[documents],
            paragraphs=self._paragraphs(kept_for < 0),
        )

    def _paragraphs(self, is_kept: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Returns documents, lines and hashes of repeated paragraphs in documents that are kept."""
        hashes = _array(self._paragraph_hashes, np.uint64)
        documents = _array(self._paragraph_documents, np.uint32)
        lines = _array(self._paragraph_lines, np.uint32)
        compared = np.flatnonzero(is_kept[documents])
        repeated = np.sort(compared[_repeated(hashes[compared])[0]])
        return documents[repeated], lines[repeated], hashes[repeated]


def _array(values: array.array, dtype) -> np.ndarray:
    return np.frombuffer(values, dtype) if values else np.empty(0, dtype)


def _repeated(hashes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the indices of values that were there before, and of their first occurrences."""
    order = np.argsort(hashes, kind="stable")
    ordered = hashes[order]
    again = np.flatnonzero(np.r_[False, ordered[1:] == ordered[:-1]])
    begins = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]]) if len(ordered) else again
    first = begins[np.searchsorted(begins, again, side="right") - 1] if len(again) else again
    return order[again], order[first]
