"""Sentences with a label for each word, in CoNLL columns or JSON lines."""

import dataclasses
import itertools
import os
import pathlib
import re
from collections.abc import Iterator, Sequence
from typing import Any, Literal

from kerasbert import files
from kerasbert.data import json_lines
from kerasbert.data.examples import Examples
from kerasbert.data.skipped import SkippedExamples
from kerasbert.data.tables import TEXT_COLUMNS, read_table
from kerasbert.data.tag_schemes import SCHEMES, faults_of, find_scheme, to_iob2
from kerasbert.errors import InputError
from kerasbert.features import WORDS

#: The keys of a sentence's words in JSON lines.
WORD_KEYS = ("words", "tokens")
_JSON_LABELS = ("labels", "tags", "ner_tags")


@dataclasses.dataclass(frozen=True)
class TaggedSentences(Examples):
    """Sentences as lists of words, in `texts["words"]`, with a list of labels for each.

    Attributes:
        scheme: one of `SCHEMES`, given or detected.
    """

    scheme: str = dataclasses.field(default="any", kw_only=True)


def read_columns(
    path: str | os.PathLike[str],
    *,
    word_column: int | None = None,
    label_column: int | Literal["auto"] | None = "auto",
    scheme: str | None = None,
    as_iob2: bool = False,
    comment: str | None = None,
    strict: bool = False,
) -> TaggedSentences:
    """Reads sentences with a label for each word.

    A line contains a word and its label, among other columns, separated by tabs (if the first line
    contains one) or spaces. A blank line ends a sentence. Lines that start with `-DOCSTART-` are
    skipped, and so is a first line with the names of the columns, such as `word`, `label`. JSON
    lines have lists under `words` or `tokens` and `labels`, `tags` or `ner_tags`.

    If the first column numbers the words of every sentence, the second one contains the words,
    lines that start with `#` are comments, and a first line without a number is skipped. Files of
    GermEval 2014 (the labels are the outer entities) and of CoNLL-U (the labels are UPOS;
    contractions and empty nodes are skipped) are read without options.

    Args:
        path: `.jsonl` file, or a file of columns with any other name except `.csv`; optionally with
            `.gz`.
        word_column: integer, the column of the words, from 0, or from the end if negative. Defaults
            to the one described above.
        label_column: integer, the column of the labels, likewise. "auto": the last, unless
            described otherwise above. None: there are no labels, and `labels` is empty.
        scheme: one of `SCHEMES`. Defaults to the scheme that fits the most sentences, or to "any"
            if the labels are not tags of entities.
        as_iob2: whether to convert the tags to IOB2.
        comment: string, the prefix of comment lines, such as "# ". Defaults to none unless the
            words are numbered, because a word can start with it.
        strict: whether to raise an error at the first sentence that would be skipped: one whose
            number of columns differs from the first line, with an empty word or label, or with tags
            that the scheme does not allow.

    Returns:
        `TaggedSentences`.

    Raises:
        InputError: the file can't be read or contains texts instead of words, or no sentence is
            left.

    Examples:
        >>> import pathlib
        >>> import kerasbert
        >>> lines = ["Ada B-PER", "lives O", "", "Oslo B-LOC", "rests O"]
        >>> size = pathlib.Path("train.conll").write_text("\\n".join(lines))
        >>> sentences = kerasbert.data.read_columns("train.conll")
        >>> sentences.texts
        {'words': [['Ada', 'lives'], ['Oslo', 'rests']]}
        >>> sentences.labels, sentences.scheme
        ([['B-PER', 'O'], ['B-LOC', 'O']], 'IOB2')
    """
    path = pathlib.Path(path)
    if scheme not in (None, *SCHEMES):
        raise InputError(f"scheme must be one of {', '.join(SCHEMES)}, found {scheme!r}")
    problems = SkippedExamples(path, strict=strict)
    if files.ending(path) == ".jsonl":
        sentences = list(_json_sentences(path, label_column is not None, problems))
    else:
        table = _read_table(path, comment)
        columns = _columns(path, table, word_column, label_column)
        sentences = list(_column_sentences(table, columns, problems))
    if label_column is None:
        scheme = "any"
    scheme = scheme or find_scheme([sentence.labels for sentence in sentences])
    kept = [sentence for sentence in sentences if not _breaks_rules(sentence, scheme, problems)]
    if not kept:
        num_skipped = "; ".join(
            f"{what}, line {lines[0]}" for what, lines in list(problems.lines.items())[:5]
        )
        raise InputError(
            f"{path}: has no sentences{num_skipped and f' except those with: {num_skipped}'}"
        )
    labels = [sentence.labels for sentence in kept]
    if as_iob2:
        labels, scheme = [to_iob2(one, scheme) for one in labels], "IOB2"
    return TaggedSentences(
        {WORDS: [sentence.words for sentence in kept]},
        [] if label_column is None else labels,
        str(path),
        [sentence.lines[0] for sentence in kept],
        problems,
        scheme=scheme,
    )


def write_columns(
    path: str | os.PathLike[str], words: Sequence[Sequence[str]], labels: Sequence[Sequence[str]]
) -> None:
    """Writes a word and its label per line, tab-separated, and a blank line after a sentence.

    Args:
        path: path of the file, which is written atomically.
        words: list of lists of strings, the words of each sentence.
        labels: list of lists of strings, their labels.

    Raises:
        InputError: a word or label is blank or contains a tab or a line break, or their numbers
            differ.
    """
    lines = []
    if len(words) != len(labels):
        raise InputError(f"there are {len(words)} sentences, but labels of {len(labels)}")
    for number, (some, theirs) in enumerate(zip(words, labels, strict=True)):
        if len(some) != len(theirs):
            raise InputError(f"sentence {number} has {len(some)} words, but {len(theirs)} labels")
        for value in (*some, *theirs):
            if not value.strip() or re.search(r"[\t\r\n]", value):
                raise InputError(f"sentence {number}: {value!r} can't be written in columns")
        lines += [f"{word}\t{label}\n" for word, label in zip(some, theirs, strict=True)] + ["\n"]
    files.write_text(path, "".join(lines))


# === Files ===


@dataclasses.dataclass(frozen=True)
class _Sentence:
    words: list[str]
    labels: list[str]
    lines: list[int]  # of each word


def _breaks_rules(sentence: _Sentence, scheme: str, problems: SkippedExamples) -> bool:
    faults = list(faults_of(sentence.labels, scheme))
    for location, fault in enumerate(faults):
        if fault:
            problems.note(sentence.lines[min(location, len(sentence.lines) - 1)], fault)
            return True
    return False


@dataclasses.dataclass(frozen=True)
class _Table:
    """The lines of a file of columns.

    Attributes:
        sentences: for each sentence, the line number and the cells of every line.
        counts: whether the first column numbers the words of each sentence.
        has_sources: whether comments give the sources of sentences, as in GermEval.
        names: the number and the cells of a first line above numbered words, or None.
    """

    sentences: list[list[tuple[int, list[str]]]]
    counts: bool
    has_sources: bool = False
    names: tuple[int, list[str]] | None = None


def _read_table(path: pathlib.Path, comment: str | None) -> _Table:
    if files.ending(path) == ".csv":
        raise InputError(
            f"{path}: is CSV; expected words and labels in columns (tabs or spaces) or JSON lines"
        )
    with files.open_text(path, newline="\n", is_text=True) as file:
        lines = [(number, line.rstrip("\r\n")) for number, line in enumerate(file, start=1)]
    if comment:
        lines = [(number, line) for number, line in lines if not line.startswith(comment)]
    sentences = _sentences([(number, line) for number, line in lines if not line.startswith("#")])
    names = None
    if not _count_words(sentences):
        names, sentences = _below_names(sentences)
        if names is None:
            return _Table(_sentences(lines), counts=False)
    words = ([row for row in rows if row[1][0].isdecimal()] for rows in sentences)
    return _Table(
        [rows for rows in words if rows],
        counts=True,
        has_sources=any(line.startswith("#\t") for _, line in lines),
        names=names,
    )


def _sentences(lines: Sequence[tuple[int, str]]) -> list[list[tuple[int, list[str]]]]:
    """Returns, for each sentence, the line number and the cells of every line."""

    def ends(line):
        return not line.strip() or line.startswith("-DOCSTART-")

    tabs = "\t" in next((line for _, line in lines if not ends(line)), "")

    def cells(line):
        return line.split("\t") if tabs else [cell for cell in line.split(" ") if cell]

    groups = itertools.groupby(lines, key=lambda item: ends(item[1]))
    return [[(number, cells(line)) for number, line in group] for end, group in groups if not end]


def _below_names(sentences: Sequence) -> tuple[Any, list]:
    """Returns the first line and the sentences below it if their words are numbered; else None."""
    if sentences:
        (first, *rest), *others = sentences
        below = [rest, *others] if rest else others
        if not first[1][0].isdecimal() and _count_words(below):
            return first, below
    return None, []


# In CoNLL-U, the number of a contraction of several words ("3-4") or of a word that is not in the
# text ("8.1").
_NO_WORD = re.compile(r"\d+[-.]\d+")


def _count_words(sentences: Sequence) -> bool:
    """Returns whether the first column numbers the words of each sentence, from 0 or 1."""
    longest = 0
    for rows in sentences:
        numbers = [cells[0] for _, cells in rows if not _NO_WORD.fullmatch(cells[0])]
        counted = list(map(str, range(len(numbers) + 1)))
        if any(len(cells) < 2 for _, cells in rows) or numbers not in (counted[1:], counted[:-1]):
            return False
        longest = max(longest, len(numbers))
    return longest > 1


@dataclasses.dataclass(frozen=True)
class _Columns:
    """The indices of the columns of words and labels, and the number of columns."""

    word: int
    label: int | None
    count: int


_WORD_NAMES = {"word", "words", "token", "tokens", "form"}
_LABEL_NAMES = {"label", "labels", "tag", "tags", "ner", "ner_tag", "ner_tags", "pos"}


def _columns(
    path: pathlib.Path,
    table: _Table,
    word_column: int | None,
    label_column: int | Literal["auto"] | None,
) -> _Columns | None:
    """Determines the columns, and removes a first line that names them from the table."""
    if not table.sentences:
        return None
    first, row = table.sentences[0][0]
    width = len(row)
    while width > 1 and not row[width - 1].strip():  # a tab at the end of the line
        width -= 1
    is_behind_number = table.counts and (width > 2 or label_column is None)
    word = int(is_behind_number) if word_column is None else word_column
    label = _usual_label(table, width) if label_column == "auto" else label_column
    wanted = [column for column in (word, label) if column is not None]
    for column in wanted:
        if not -width <= column < width:
            raise InputError(f"{path}:{first}: has {width} columns; there is no column {column}")
    if len({column % width for column in wanted}) < len(wanted):
        raise InputError(
            f"{path}:{first}: word and label are the same column; label_column=None reads words"
        )
    names = [cell.strip().lower() for cell in row]
    if names.pop(word % width) in _WORD_NAMES and not _LABEL_NAMES.isdisjoint(names):
        del table.sentences[0][0]
    _refuse_texts(path, table, [column % width for column in wanted])
    return _Columns(word % width, label if label is None else label % width, width)


def _usual_label(table: _Table, width: int) -> int:
    if table.counts and width == 10:  # CoNLL-U
        return 3
    # The last of GermEval's four columns contains the entities inside other entities.
    return 2 if table.counts and width == 4 and table.has_sources else -1


def _refuse_texts(path: pathlib.Path, table: _Table, wanted: Sequence[int]) -> None:
    """Raises `InputError` for a table of texts with labels, where rows are not words."""
    rows = [row for rows in table.sentences for row in rows]
    if not rows:
        return
    number, first = table.names or rows[0]
    names = [cell.strip().lower() for cell in first]
    text = next((name for name in TEXT_COLUMNS if name in names and "label" in names), None)
    for place, column in enumerate(wanted):
        cells = [cells[column] for _, cells in rows if len(cells) > column]
        words = sum(len(cell.split()) for cell in cells)
        # The labels of numbered words can be long, such as the morphological features of CoNLL-U.
        is_long = sum(map(len, cells)) > _LONG_WORD * len(cells) and not (place and table.counts)
        if words > 2 * len(cells) or is_long:
            text = text or rows[0][1][column]
    if text:
        text = text if len(text) <= 50 else f"{text[:50]}..."
        raise InputError(
            f"{path}:{number}: lines contain texts ({text!r}), not words with labels; "
            "--task text_classification reads such files"
        )


_LONG_WORD = 25  # characters, on average


def _column_sentences(
    table: _Table, columns: _Columns | None, problems: SkippedExamples
) -> Iterator[_Sentence]:
    if columns is None:
        return
    for rows in table.sentences:
        found = [_word_and_label(cells, columns) for _, cells in rows]
        fault = next(filter(None, map(_fault_of_line, (n for n, _ in rows), found)), None)
        if fault:
            problems.note(*fault)
        elif tokens := [*filter(None, found)]:
            words, labels = [cells[0] for cells in tokens], [cells[-1].strip() for cells in tokens]
            numbers = [number for number, _ in rows]
            yield _Sentence(words, [] if columns.label is None else labels, numbers)


def _word_and_label(cells: list[str], columns: _Columns) -> list[str] | None:
    """Returns the cells of word and label; None if the number of non-empty columns is wrong."""
    if len(cells) < columns.count or any(cell.strip() for cell in cells[columns.count :]):
        return None
    wanted = [column for column in (columns.word, columns.label) if column is not None]
    return [cells[column] for column in wanted]


def _fault_of_line(number: int, cells: list[str] | None) -> tuple[int, str] | None:
    if cells is None:
        return number, "different number of columns"
    if not all(cell.strip() for cell in cells):
        return number, "empty word" if not cells[0].strip() else "empty label"
    return None


def _json_sentences(path, with_labels: bool, problems: SkippedExamples) -> Iterator[_Sentence]:
    for number, row in read_table(path):
        words = _list(row, WORD_KEYS)
        labels = _list(row, _JSON_LABELS) if with_labels else []
        labels = labels and [label.strip() for label in labels]
        if words is None or labels is None:
            lacking = WORD_KEYS if words is None else _JSON_LABELS
            problems.note(number, f"no list of strings under {' or '.join(lacking)}")
        elif with_labels and len(words) != len(labels):
            problems.note(number, "different numbers of words and labels")
        elif not all(word.strip() for word in words):
            problems.note(number, "empty word")
        elif not all(labels):
            problems.note(number, "empty label")
        elif words:
            yield _Sentence(words, labels, [number] * len(words))
        else:
            problems.note(number, "no words")


def _list(row: dict, names: Sequence[str]) -> list[str] | None:
    """Returns the list of strings or integers under one of the names, as strings, or None."""
    values = next((row[name] for name in names if name in row), None)
    if not isinstance(values, list) or not all(isinstance(v, str | int) for v in values):
        return None
    return [json_lines.without_surrogates(str(value)) for value in values]
