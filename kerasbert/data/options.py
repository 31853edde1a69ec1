"""Options of the programs for the format of data files.

Only light modules are imported, so that help and errors appear immediately.
"""

import dataclasses
from typing import TypedDict

from kerasbert.options import Options, option

_DATA = "data format"


class DataFormat(TypedDict, total=False):
    """How the training files of a model were read, for other files: options that were given."""

    text_column: str
    text_pair_column: str
    label_column: str
    label_separator: str
    max_score: float
    word_column: int
    comment_prefix: str


def split_names(joined: str | None) -> list[str] | None:
    """Splits comma-separated names and strips white space; returns None for None."""
    return None if joined is None else [name.strip() for name in joined.split(",")]


@dataclasses.dataclass(frozen=True, kw_only=True)
class ColumnOptions(Options):
    """Options for the columns of a file."""

    text_column: str | None = option(
        None, help="column of the text; default: text, sentence, text_a or sentence1", group=_DATA
    )
    text_pair_column: str | None = option(
        None,
        help="column of the second text; default: text_pair, text_b or sentence2, if present",
        group=_DATA,
    )
    column_names: str | None = option(
        None,
        help="column names, comma-separated, of a .tsv or .csv without a header line",
        group=_DATA,
    )
    word_column: int | None = option(
        None,
        help="in CoNLL columns: number of the column with the words, from 0; default: the first, "
        "or the second after word numbers 1, 2, ...",
        minimum=0,
        group=_DATA,
    )
    comment_prefix: str | None = option(
        None,
        help="in CoNLL columns: prefix of comment lines; default: # if words are numbered",
        group=_DATA,
        formerly="comment",
    )
    glue: str | None = option(None, help="GLUE task of the file, such as sst2", group=_DATA)


@dataclasses.dataclass(frozen=True, kw_only=True)
class DataOptions(ColumnOptions):
    """Options of the programs that read examples with labels."""

    label_column: str | None = option(
        None,
        help="column of the label, default: label; for several labels also a,b,c: a 0/1 column for "
        "each; in CoNLL columns the number of the column, from 0, default the last",
        group=_DATA,
    )
    label_separator: str | None = option(
        None,
        help="separator of several labels; default: labels are JSON lists",
        group=_DATA,
    )
    max_score: float | None = option(
        None,
        help="for embedding pairs: highest possible score, by which scores are divided, 5 in STS; "
        "default: 1",
        exclusive_minimum=0,
        group=_DATA,
        formerly="highest_score",
    )
    strict: bool = option(
        False, help="stop at the first invalid example instead of skipping it", group=_DATA
    )
