"""The task spec of token classification: CoNLL files, or tables of words and labels."""

import collections
import itertools
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal

from kerasbert.data.columns import WORD_KEYS, read_columns, write_columns
from kerasbert.data.examples import Examples
from kerasbert.data.options import ColumnOptions, DataOptions
from kerasbert.errors import InputError
from kerasbert.features import TEXT, WORDS
from kerasbert.metrics import entities
from kerasbert.tasks.spec import InputFormat, OutputFormat, TaskSpec
from kerasbert.tasks.token_classifier.entities import Entity, join
from kerasbert.tasks.token_classifier.model import TokenClassifier
from kerasbert.training.progress import log

_CONLL = ".conll"


def _label_number(options: DataOptions) -> int | Literal["auto"]:
    """Returns the number of the label column, or "auto"."""
    if options.label_column is None:
        return "auto"
    try:
        return int(options.label_column)
    except ValueError:
        raise InputError(
            f"--label_column must be a number here, found {options.label_column!r}"
        ) from None


# === CoNLL files of words and of predictions ===


def _read_words(path: str, options: ColumnOptions) -> dict[str, list]:
    return read_columns(
        path,
        word_column=options.word_column,
        label_column=None,
        comment=options.comment_prefix,
        strict=True,
    ).texts


def _word_checker() -> Callable[[dict], str | None]:
    return lambda example: _fault_of_words(example.get(WORDS, example.get(TEXT)))


def _fault_of_words(words: list[str] | str | None) -> str | None:
    """Returns why CoNLL cannot hold the answer, or None."""
    if not words or not "".join(words).strip():
        return f"has no words, which {_CONLL} can't hold"
    if isinstance(words, list):
        for word in words:
            if not word.strip() or re.search(r"[\t\r\n]", word):
                return f"has the word {word!r}, which {_CONLL} can't hold"
    return None


def _write_tags(path: str, answers: Iterable[dict]) -> None:
    sentences = [(one["words"], one["labels"]) for one in answers]
    write_columns(path, *zip(*sentences, strict=True))


_COLUMNS = InputFormat(_read_words, ("word_column", "comment_prefix"))


class TokenClassification(TaskSpec):
    """Words with labels."""

    name = "token_classification"
    task = TokenClassifier
    data_options = ("word_column", "label_column", "comment_prefix")
    primary_metric = "f1"
    input_formats: Mapping[str, InputFormat] = {_CONLL: _COLUMNS, ".conllu": _COLUMNS}
    output_formats: Mapping[str, OutputFormat] = {_CONLL: OutputFormat(_word_checker, _write_tags)}

    def read(self, path: str, options: DataOptions) -> Examples:
        """Reads words and labels with `read_columns`."""
        return read_columns(
            path,
            word_column=options.word_column,
            label_column=_label_number(options),
            comment=options.comment_prefix,
            strict=options.strict,
        )

    def baseline(self, train: Examples, validation: Examples) -> dict[str, Any]:
        """Returns the scores of the most frequent label."""
        tags = collections.Counter(itertools.chain.from_iterable(train.labels))
        ((majority, _),) = tags.most_common(1)
        guesses = [[majority] * len(own) for own in validation.labels]
        scores = {"accuracy": entities.accuracy(validation.labels, guesses)}
        if entities.are_entity_tags(train.classes):
            scores["f1"] = entities.entity_scores(validation.labels, guesses)["f1"]
        return scores

    def text_columns(self, model: TokenClassifier) -> tuple[str, ...]:
        """Returns the column of texts; `find_columns` prefers a column of words."""
        return (TEXT,)

    def find_columns(self, model: Any, path: Any, there: Any, named: Any) -> Any:
        """Finds the column of words or, if there is none, of texts."""
        if words := next((name for name in WORD_KEYS if name in there), None):
            return {WORDS: words}
        return super().find_columns(model, path, there, named)

    def unlabelled(
        self, model: TokenClassifier, columns: dict[str, list[Any]]
    ) -> dict[str, list[Any]]:
        """Splits texts into words, which the labels belong to."""
        return {WORDS: model.split(columns[TEXT])} if TEXT in columns else columns

    def answers(
        self, model: TokenClassifier, columns: Mapping[str, Sequence[Any]]
    ) -> list[dict[str, Any]]:
        """Returns words and labels and, for entity tags, entities."""
        if WORDS in columns:
            sentences = [list(words) for words in columns[WORDS]]
            texts = map(" ".join, sentences)
        else:
            sentences = texts = columns[TEXT]
        joins = entities.are_entity_tags(model.classes)
        tagged: Any = model.tag(sentences)
        return [
            {
                "words": [word.word for word in words],
                "labels": [word.label for word in words],
                "scores": [round(word.score, 4) for word in words],
                **({"entities": list(map(_rounded, join(text, words)))} if joins else {}),
            }
            for text, words in zip(texts, tagged, strict=True)
        ]


def _rounded(entity: Entity) -> dict:
    return {**entity._asdict(), "score": round(entity.score, 4)}


# === Official scores of prediction files ===


def _seqeval(data: str, predictions: str, options: DataOptions, no_answer: str | None) -> dict:
    right = read_columns(
        data,
        word_column=options.word_column,
        label_column=_label_number(options),
        comment=options.comment_prefix,
        scheme="any",
        strict=options.strict,
    )
    predicted = read_columns(predictions, scheme="any", strict=options.strict)
    for examples in (right, predicted):
        examples.problems.report(log)
    for name, of in (("words", lambda examples: examples.texts), ("sentences", len)):
        if of(right) != of(predicted):
            raise InputError(f"{predictions}: its {name} differ from those of {data}")
    return entities.entity_scores(right.labels, predicted.labels)


SPECS = (TokenClassification(),)
METRICS = {"seqeval": _seqeval}
