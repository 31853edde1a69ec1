"""The task specs of text classification: one class, several labels, or a number."""

import collections
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from kerasbert.data import glue
from kerasbert.data.examples import Examples, read_examples
from kerasbert.data.options import DataOptions, split_names
from kerasbert.errors import InputError
from kerasbert.features import TEXT, TEXT_PAIR
from kerasbert.metrics import classification
from kerasbert.tasks.spec import TaskSpec
from kerasbert.tasks.text_classifier.model import TextClassifier


class _LabeledTexts(TaskSpec):
    task = TextClassifier
    data_options = ("text_column", "text_pair_column", "label_column", "column_names", "glue")

    def read(self, path: str, options: DataOptions) -> Examples:
        if options.glue:
            of_task = "text_classification" if glue.task(options.glue).classes else "regression"
            if (of_task == "regression") != (self.problem_type == "regression"):
                raise InputError(f"--glue {options.glue} is for --task {of_task}")
        return read_examples(
            path,
            text_column=options.text_column,
            text_pair_column=options.text_pair_column,
            label_column=self.label_columns(options.label_column),
            column_names=split_names(options.column_names),
            problem_type=str(self.problem_type),
            label_separator=options.label_separator,
            glue=options.glue,
            strict=options.strict,
        )

    def label_columns(self, given: str | None) -> str | list[str] | None:
        """Returns the label column as `read_examples` takes it."""
        return given

    def model_kwargs(self, train: Examples) -> dict:
        pair = TEXT_PAIR in train.texts
        return {**super().model_kwargs(train), "problem_type": self.problem_type, "pair": pair}

    def text_columns(self, model: TextClassifier) -> tuple[str, ...]:
        return (TEXT, TEXT_PAIR) if model.pair else (TEXT,)

    def find_columns(self, model, path, there, named):
        second = named.get(TEXT_PAIR) or TEXT_PAIR
        if second in there and not model.pair:
            raise InputError(
                f"{path}: has a second text in column {second!r}, but the model takes one text; "
                "use --pair if it takes pairs (only kerasbert's format stores that)"
            )
        return super().find_columns(model, path, there, named)

    def answers(self, model: TextClassifier, columns: Mapping[str, Sequence]) -> list[dict]:
        return model.classify(dict(columns))


class TextClassification(_LabeledTexts):
    """Texts with one class each."""

    name = "text_classification"
    problem_type = "single_label_classification"
    primary_metric = "accuracy"

    def baseline(self, train: Examples, validation: Examples) -> dict[str, Any]:
        """Returns the scores of the most frequent class."""
        classes = train.classes
        ((majority, _),) = collections.Counter(train.labels).most_common(1)
        right = np.array([classes.index(label) for label in validation.labels])
        guesses = np.full_like(right, classes.index(majority))
        return classification.single_label(right, guesses, len(classes))


class MultiLabel(_LabeledTexts):
    """Texts with any number of classes."""

    name = "multi_label"
    problem_type = "multi_label_classification"
    primary_metric = "micro_f1"
    data_options = (*_LabeledTexts.data_options, "label_separator")

    def label_columns(self, given: str | None) -> str | list[str] | None:
        """Returns one column for all labels, or a list with one column per class."""
        return split_names(given) if given and "," in given else given

    def baseline(self, train: Examples, validation: Examples) -> dict[str, Any]:
        """Returns the scores of the most frequent set of classes."""
        ((majority, _),) = collections.Counter(map(tuple, train.labels)).most_common(1)

        def targets(sets):
            return np.array([[name in own for name in train.classes] for own in sets], int)

        return classification.multi_label(
            targets(validation.labels), targets([majority] * len(validation))
        )


class Regression(_LabeledTexts):
    """Texts with numbers."""

    name = "regression"
    problem_type = "regression"
    primary_metric = "pearson"

    @property
    def has_classes(self) -> bool:
        """Labels are numbers."""
        return False

    def baseline(self, train: Examples, validation: Examples) -> dict[str, Any]:
        """Returns the mean squared error of the training examples' mean."""
        right = np.array(validation.labels, float).reshape(len(validation), -1)
        mean = np.array(train.labels, float).reshape(len(train), -1).mean(axis=0)
        return {"mse": float(np.mean((right - mean) ** 2))}


SPECS = (TextClassification(), MultiLabel(), Regression())
