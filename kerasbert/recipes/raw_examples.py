"""Examples without labels, as `predict` answers them and `distil` may learn from them."""

import math
import os
import pathlib
import reprlib
from collections.abc import Iterator

from kerasbert import features as keys
from kerasbert import files
from kerasbert.data import glue
from kerasbert.data.columns import read_columns
from kerasbert.data.json_lines import without_surrogates
from kerasbert.data.options import ColumnOptions, split_names
from kerasbert.data.problems import Problems
from kerasbert.data.squad import read_squad
from kerasbert.data.tables import find_column, iterate_table
from kerasbert.errors import InputError
from kerasbert.tasks import MultipleChoice, QuestionAnswerer, Task, TextClassifier, TokenClassifier

#: The ending of files of words in columns.
CONLL = ".conll"
_CONLLU = ".conllu"
#: Keys of an example beside those of `kerasbert.features`: its number, from 1, and its name.
ROW, ID = "row", "id"
# What the words of a sentence are under in JSON lines.
_WORDS = (keys.WORDS, "tokens")


def raw_examples(path: str | os.PathLike, model: Task, options: ColumnOptions) -> Iterator[dict]:
    """Raw values of every example of a file by their keys, `row` and, where there is one, `id`.

    No example is left out, not even an empty one: `row` counts them from 1.

    Args:
        path: .txt (one text a line), .tsv, .csv or .jsonl with the columns that the model wants;
            SQuAD's .json; words in columns, .conll or .conllu; any of them with .gz behind it.
        model: what is to read them.
        options: where its texts are, if the columns have none of the usual names.

    Raises:
        InputError: a file that can't be read, or has not what the model wants.
    """
    path = pathlib.Path(path)
    if files.ending(path) == ".json":
        _check_model(path, model, QuestionAnswerer)
        questions = read_squad(path, with_answers=False)
        examples = _examples({ID: questions.ids, **questions.texts})
    elif files.ending(path) in (CONLL, _CONLLU):
        _check_model(path, model, TokenClassifier)
        sentences = read_columns(
            path,
            word_column=options.word_column,
            label_column=None,
            comment=options.comment,
            strict=True,
        )
        examples = _examples(sentences.texts)
    else:
        examples = _from_table(path, model, options)
    return ({ROW: row, **example} for row, example in enumerate(examples, start=1))


def options_read(path: str | os.PathLike) -> tuple[str, ...]:
    """The fields of `ColumnOptions` that say something about a file, by its name."""
    if files.ending(path) == ".json":
        return ()
    if files.ending(path) in (CONLL, _CONLLU):
        return ("word_column", "comment")
    return ("text_column", "text_pair_column", "column_names", "glue")


def _check_model(path: pathlib.Path, model: Task, wanted: type[Task]) -> None:
    if not isinstance(model, wanted):
        raise InputError(
            f"{path}: {files.ending(path)} files are for a {wanted.__name__}, not for a "
            f"{type(model).__name__}, which reads .txt, .tsv, .csv and .jsonl"
        )


def _examples(columns: dict) -> Iterator[dict]:
    return (dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True))


# === Tables ===


def _from_table(path: pathlib.Path, model: Task, options: ColumnOptions) -> Iterator[dict]:
    named, column_names = _named_columns(path, options)
    first = None
    for line, row in iterate_table(
        path,
        column_names=column_names,
        problems=Problems(path, strict=True),
        has_columns=options.glue is not None,
    ):
        columns = _columns(path, list(row), model, named)
        first = first or columns
        if columns.keys() != first.keys():
            raise InputError(
                f"{path}:{line}: has {', '.join(columns)}, but rows before it {', '.join(first)}"
            )
        place = f"{path}:{line}"
        example = {key: _value(place, key, row[column]) for key, column in columns.items()}
        yield {**({ID: _name(row[ID])} if ID in row else {}), **example}


def _named_columns(path: pathlib.Path, options: ColumnOptions) -> tuple[dict, list[str] | None]:
    """The columns of texts by their keys, None where nobody names them; and all columns' names.

    A GLUE task knows them. Only its files with labels may lack a first line of names.
    """
    named = {keys.TEXT: options.text_column, keys.TEXT_PAIR: options.text_pair_column}
    column_names = split_names(options.column_names)
    if options.glue:
        task = glue.task(options.glue)
        of_task = dict(zip(named, task.columns, strict=False))
        if column_names is None and not _names_column(path, of_task[keys.TEXT]):
            column_names = task.column_names
        named = {key: named[key] or of_task[key] for key in named}
    return named, column_names


def _names_column(path: pathlib.Path, column: str) -> bool:
    """Whether the first line of a TSV file names a column."""
    with files.open_text(path) as file:
        return column in file.readline().rstrip("\r\n").split("\t")


def _columns(path: pathlib.Path, there: list[str], model: Task, named: dict) -> dict[str, str]:
    """The columns of what the model reads, by their keys."""
    words = next((name for name in _WORDS if name in there), None)
    if isinstance(model, TokenClassifier) and words:
        return {keys.WORDS: words}
    wanted = _wanted(model)
    second = named[keys.TEXT_PAIR] or keys.TEXT_PAIR
    if second in there and isinstance(model, TextClassifier) and keys.TEXT_PAIR not in wanted:
        raise InputError(
            f"{path}: has a second text in column {second!r}, but the model takes one text; "
            "--pair says that it takes pairs, which only kerasbert's format stores"
        )
    found = {key: find_column(key, there, named.get(key), path) for key in wanted}
    if len(set(found.values())) < len(found):
        raise InputError(
            f"{path}: {' and '.join(found)} are both in column {found[keys.TEXT]!r}; "
            "--text_column and --text_pair_column name two"
        )
    return found


def _wanted(model: Task) -> tuple[str, ...]:
    if isinstance(model, QuestionAnswerer):
        return keys.QUESTION, keys.CONTEXT
    if isinstance(model, MultipleChoice):
        return keys.TEXT, keys.CHOICES
    if isinstance(model, TextClassifier) and model.pair:
        return keys.TEXT, keys.TEXT_PAIR
    return (keys.TEXT,)


# === Values ===


def _value(place: str, key: str, value) -> str | list[str]:
    """A text, or a list of them for `words` and `choices`; numbers are texts, too."""
    if key not in keys.LISTS:
        if (text := _text(value)) is None:
            raise InputError(f"{place}: {key} must be a text, found {reprlib.repr(value)}")
        return text
    texts = [_text(one) for one in value] if isinstance(value, list) else [None]
    if None in texts:
        raise InputError(f"{place}: {key} must be a list of texts, found {reprlib.repr(value)}")
    return texts


def _text(value) -> str | None:
    """A string as UTF-8 can hold it; None of what is neither string nor number."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return without_surrogates(str(value))


def _name(value):
    return without_surrogates(value) if isinstance(value, str) else value
