"""Examples without labels, as `predict` answers them and `distil` may learn from them."""

import os
import pathlib
from collections.abc import Iterator

from kerasbert import features as keys
from kerasbert.data.columns import read_columns
from kerasbert.data.examples import find_column, iterate_table
from kerasbert.data.problems import Problems
from kerasbert.data.squad import read_squad
from kerasbert.errors import InputError
from kerasbert.tasks import Task, TextClassifier

#: The ending of files of words in columns.
CONLL = ".conll"


def raw_examples(
    path: str | os.PathLike, model: Task, text_column: str | None = None
) -> Iterator[dict]:
    """Raw values of every example of a file by their keys, and `id` where there is one.

    Args:
        path: .txt (one text a line), .tsv, .csv or .jsonl with the columns that the model wants;
            SQuAD's .json; words in columns, .conll.
        model: what is to read them.
        text_column: the name of the text's column, if it is none of the usual ones.

    Raises:
        InputError: a file that can't be read, or has not what the model wants.
    """
    path = pathlib.Path(path)
    if path.suffix == ".json":
        questions = read_squad(path, with_answers=False)
        return _rows({"id": questions.ids, **questions.texts})
    if path.suffix == CONLL:
        return _rows(read_columns(path, label_column=None).texts)
    return _from_table(path, _wanted(model), text_column)


def _rows(columns: dict) -> Iterator[dict]:
    return (dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True))


def _wanted(model: Task) -> tuple[str, ...]:
    if isinstance(model, TextClassifier):
        return (keys.TEXT, keys.TEXT_PAIR) if model.pair else (keys.TEXT,)
    return {
        "QuestionAnswerer": (keys.QUESTION, keys.CONTEXT),
        "MultipleChoice": (keys.TEXT, keys.CHOICES),
    }.get(type(model).__name__, (keys.TEXT,))


def _from_table(path: pathlib.Path, wanted: tuple, text_column: str | None) -> Iterator[dict]:
    for line, row in iterate_table(path, problems=Problems(path, strict=True)):
        there = list(row)
        if wanted == (keys.TEXT,) and keys.WORDS in there:
            columns = {keys.WORDS: keys.WORDS}
        else:
            names = {keys.TEXT: text_column}
            columns = {key: find_column(key, there, names.get(key), path) for key in wanted}
        example = {key: row[column] for key, column in columns.items()}
        if missing := [key for key, value in example.items() if value is None]:
            raise InputError(f"{path}:{line}: has no {missing[0]!r}")
        yield {**({"id": row["id"]} if "id" in row else {}), **example}
