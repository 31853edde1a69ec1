"""What of the inputs becomes a corpus: the column with the text, filters and duplicates."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

from kerasbert.data.corpus.cleaning.duplicates import Duplicates
from kerasbert.data.corpus.cleaning.filters import NO_FILTERS, Filters
from kerasbert.data.corpus.documents.lines import Report
from kerasbert.data.corpus.documents.reading import TEXT_COLUMN, read_range

_OF_PARAGRAPHS = "document_of_paragraphs"  # all of whose paragraphs are left out


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class Selection:
    """What is read of the inputs.

    Attributes:
        text_column: string, see `kerasbert.data.corpus.documents.reading.read_documents`.
        filters: `Filters` that documents must pass.
        duplicates: `Duplicates` that are left out, or None.

    Examples:
        >>> import pathlib
        >>> import kerasbert
        >>> words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "dog", "barks", "."]
        >>> tokenizer = kerasbert.text.WordPieceTokenizer(words)
        >>> text = "The dog barks. The dog.\\n\\nThe dog barks. It barks.\\n"
        >>> size = pathlib.Path("text.txt").write_text(text)
        >>> filters = kerasbert.data.corpus.Filters(min_characters=24)
        >>> selection = kerasbert.data.corpus.Selection(filters=filters)
        >>> manifest = kerasbert.data.prepare_corpus(
        ...     ["text.txt"], tokenizer, "corpus", selection=selection
        ... )
        >>> manifest["documents"], manifest["left_out"]
        (1, {'min_characters': 1})
    """

    text_column: str = TEXT_COLUMN
    filters: Filters = NO_FILTERS
    duplicates: Duplicates | None = None

    def settings(self) -> dict[str, Any]:
        """Returns how documents are read, as JSON.

        Examples:
            >>> selection.settings()
            {'text_column': 'text', 'filters': ['min_characters=24']}
        """
        return {"text_column": self.text_column, "filters": self.filters.settings()}

    def metadata(self) -> dict[str, Any]:
        """Returns what a manifest says about it: nothing of defaults."""
        found = {}
        if self.text_column != TEXT_COLUMN:
            found["text_column"] = self.text_column
        if filters := self.filters.settings():
            found["filters"] = filters
        if self.duplicates:
            settings = self.duplicates.settings
            found["duplicates"] = {name: settings[name] for name in ("kinds", "sha256")}
        return found

    def counts(self, report: Report) -> dict[str, dict[str, int]]:
        """Returns what a manifest says about what was left out; nothing if nothing can be.

        Args:
            report: `Report` of `read`.
        """
        reasons = self.filters.names()
        if self.duplicates:
            kinds = self.duplicates.settings["kinds"]
            reasons += [*kinds, *([_OF_PARAGRAPHS] if "paragraph" in kinds else [])]
        left_out = {reason: report.left_out.get(reason, 0) for reason in reasons}
        return {"left_out": left_out} if left_out else {}

    def check(self, inputs: list[str]) -> None:
        """Raises `InputError` if the duplicates are those of other inputs or settings.

        Args:
            inputs: list of the files and data sets.
        """
        if self.duplicates:
            self.duplicates.check(inputs, self.settings())

    def read(
        self, number: int, source: str, start: int = 0, end: int | None = None, *, report: Report
    ) -> Iterator[tuple[int, list[str]]]:
        """Iterates over the documents of a range of an input, as `read_range` does.

        Args:
            number: integer, the number of the input among all inputs, from 0.
            source: the input.
            start: see `read_range`.
            end: see `read_range`.
            report: `Report` to update; it counts what is left out.
        """
        documents = read_range(source, start, end, report=report, text_column=self.text_column)
        repeated = self.duplicates and self.duplicates.in_input(number)
        if repeated is None and not self.filters.settings():
            yield from documents
            return
        for position, lines in documents:
            reason = self.filters.reason(lines)
            if not reason and repeated:
                reason = repeated.kind(position, lines)
            if reason:
                report.leave_out(reason)
                continue
            if repeated:
                left = repeated.without_paragraphs(position, lines)
                report.leave_out("paragraph", len(lines) - len(left))
                lines = left
            if lines:
                yield position, lines
            else:
                report.leave_out(_OF_PARAGRAPHS)
        if repeated:
            repeated.check_found(start, end)


EVERYTHING = Selection()
