"""Pairs of texts that belong together, or that have a similarity score."""

import math
import os
from collections.abc import Sequence
from typing import Any

from kerasbert.data.examples import Examples
from kerasbert.data.labels import LeftOut, text_of
from kerasbert.data.skipped import SkippedExamples
from kerasbert.data.tables import check_distinct, columns_of, read_table
from kerasbert.errors import InputError
from kerasbert.features import TEXT, TEXT_NEGATIVE, TEXT_PAIR

SCORE = "score"
#: The accepted column names of each key: those in STS-B, SimCSE's NLI triplets and the datasets of
#: sentence-transformers.
KNOWN = {
    TEXT: ("text", "sentence1", "text_a", "anchor", "query", "sent0"),
    TEXT_PAIR: ("text_pair", "sentence2", "text_b", "positive", "answer", "sent1"),
    TEXT_NEGATIVE: ("text_negative", "negative", "hard_neg"),
    SCORE: ("score", "similarity_score", "label"),
}


def read_pairs(
    path: str | os.PathLike[str],
    *,
    columns: dict[str, str] | None = None,
    column_names: Sequence[str] | None = None,
    highest_score: float | None = None,
    strict: bool = False,
) -> Examples:
    """Reads pairs for `TextEmbedder`.

    Args:
        path: `.tsv`, `.csv` or `.jsonl` file.
        columns: dict of the columns of `text`, `text_pair`, `text_negative` and `score` that do not
            have one of the usual names.
        column_names: list of the columns of a file without a header line, such as ("text",
            "text_pair", "score").
        highest_score: float by which scores are divided, 5 for STS; requires scores. Defaults to 1,
            where scores above 1 are an error.
        strict: whether to raise an error at the first pair that would be skipped: one with an empty
            text (or one that is neither text nor number), or with a score that is not a number from
            -1 to 1 after the division.

    Returns:
        `Examples` of pairs, with `text_negative` if the file has one. `labels` are floats, or None
        without scores.

    Raises:
        InputError: the file can't be read, does not have two columns of texts, or has no usable
            pair; a column is used twice; or a score is above 1 without `highest_score`.

    Examples:
        >>> import pathlib
        >>> import kerasbert
        >>> lines = ["sentence1\\tsentence2\\tscore", "a fine day\\tsunshine\\t4.5"]
        >>> size = pathlib.Path("sts.tsv").write_text("\\n".join(lines))
        >>> pairs = kerasbert.data.read_pairs("sts.tsv", highest_score=5)
        >>> pairs.texts, pairs.labels
        ({'text': ['a fine day'], 'text_pair': ['sunshine']}, [0.9])
    """
    problems = SkippedExamples(path, strict=strict)
    rows = read_table(path, column_names=column_names, problems=problems)
    columns_found = _find_columns(path, columns_of(rows), columns or {})
    if highest_score is not None and highest_score <= 0:
        raise InputError(f"the highest score must be greater than 0, found {highest_score}")
    if highest_score is not None and SCORE not in columns_found:
        raise InputError(
            f"{path}: a highest score of {highest_score:g} is given, but no column of scores, such "
            f"as {' or '.join(KNOWN[SCORE])}, exists; the columns are "
            f"{', '.join(columns_of(rows))} (--label_column sets the column)"
        )
    if highest_score is None:
        highest_score = 1.0
        for line, row in rows if SCORE in columns_found else ():
            _check_score(path, line, row.get(columns_found[SCORE]))
    lines, values = [], {key: [] for key in columns_found}
    for line, row in rows:
        try:
            found = {
                key: _score(row.get(column), highest_score)
                if key == SCORE
                else text_of(row.get(column), key)
                for key, column in columns_found.items()
            }
        except LeftOut as problem:
            problems.note(line, str(problem))
            continue
        lines.append(line)
        for key, value in found.items():
            values[key].append(value)
    if not lines:
        raise InputError(f"{path}: no pair is left: {problems.summary()}")
    scores: Any = values.pop(SCORE, None)
    return Examples(values, scores, str(path), lines, problems)


def _find_columns(path, there: list[str], given: dict[str, str]) -> dict[str, str]:
    if unknown := sorted(given.keys() - KNOWN.keys()):
        raise InputError(f"columns of pairs are {', '.join(KNOWN)}, found {', '.join(unknown)}")
    columns_found = {}
    for key, known in KNOWN.items():
        column = given.get(key) or next((name for name in known if name in there), None)
        if column in there:
            columns_found[key] = column
        elif key in given or key in (TEXT, TEXT_PAIR):
            asked = f"column {column!r}" if column else f"column for {key}"
            raise InputError(
                f"{path}: has no {asked}; the columns are {', '.join(there)} (set --text_column "
                "and --text_pair_column, or --column_names for a file without a header line)"
            )
    check_distinct(columns_found, path)
    return columns_found


def _score(value, highest: float) -> float:
    """Returns a score, divided by the highest one; raises `LeftOut` if it is not a valid score."""
    score = _number(value) / highest
    if not abs(score) <= 1:
        raise LeftOut(f"the score is not a number from -{highest:g} to {highest:g}")
    return score


def _check_score(path, line: int, value) -> None:
    """Raises `InputError` for a score of another scale, whose pair would be skipped."""
    if math.isfinite(score := _number(value)) and abs(score) > 1:
        raise InputError(
            f"{path}:{line}: the score {score:g} is greater than 1; set the highest possible score "
            "(--max_score)"
        )


def _number(value) -> float:
    """Returns a float; NaN if the value is not a number."""
    try:
        return float(value)
    except (OverflowError, TypeError, ValueError):
        return math.nan
