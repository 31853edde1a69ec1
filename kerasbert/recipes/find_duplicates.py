"""Finding the duplicates in text."""

from typing import Any

from kerasbert import files
from kerasbert.data.corpus.cleaning import finding
from kerasbert.data.corpus.cleaning.duplicates import Duplicates
from kerasbert.data.corpus.documents.lines import Report
from kerasbert.recipes.options import FindDuplicatesOptions
from kerasbert.recipes.options.selection import SelectionOptions
from kerasbert.training.progress import ProgressBar

_EXAMPLES = 3  # of each kind


def find_duplicates(options: FindDuplicatesOptions) -> dict[str, Any]:
    """Writes a file of duplicates; returns their counts and the positions of a few."""
    with files.locked(options.output):
        files.refuse_existing(options.output)
        report = Report()
        duplicates = search(options, options.dedup, report)
        duplicates.save(options.output)
    return {
        "duplicates": options.output,
        "documents": report.documents,
        "left_out": {**report.left_out, **duplicates.counts()},
        "invalid_utf8_lines": report.invalid_utf8,
        "examples": _examples(duplicates),
        "sha256": duplicates.sha256,
    }


def search(options: SelectionOptions, kinds: list[str], report: Report) -> Duplicates:
    """Finds duplicates of these kinds, with a progress bar."""
    with ProgressBar("find duplicates", None, "documents") as bar:
        return finding.find_duplicates(
            options.input,
            kinds,
            text_column=options.text_column,
            filters=options.filters,
            report=report,
            progress=bar.update,
        )


def _examples(duplicates: Duplicates) -> list[dict]:
    """Returns the positions of the first duplicates of each kind of documents."""
    found: dict[str, list[dict]] = {}
    for kind, source, position, kept, kept_position in duplicates.examples():
        some = found.setdefault(kind, [])
        if len(some) < _EXAMPLES:
            some.append(
                {
                    "kind": kind,
                    "left_out": f"{source}@{position}",
                    "kept": f"{kept}@{kept_position}",
                }
            )
    return [example for kind in found.values() for example in kind]
