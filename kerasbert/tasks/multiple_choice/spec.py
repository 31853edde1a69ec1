"""The task spec of multiple choice: texts, their choices, and the correct one."""

import collections
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from kerasbert.data.choices import read_choices
from kerasbert.data.examples import Examples
from kerasbert.data.options import DataOptions
from kerasbert.features import CHOICES, TEXT
from kerasbert.tasks.multiple_choice.model import MultipleChoice
from kerasbert.tasks.spec import TaskSpec


class Choices(TaskSpec):
    """Texts with choices."""

    name = "multiple_choice"
    task = MultipleChoice
    primary_metric = "accuracy"

    def read(self, path: str, options: DataOptions) -> Examples:
        """Reads texts and choices with `read_choices`."""
        return read_choices(path, strict=options.strict)

    def baseline(self, train: Examples, validation: Examples) -> dict[str, Any]:
        """Returns the accuracy of always choosing the most frequent index."""
        ((majority, _),) = collections.Counter(train.labels).most_common(1)
        return {"accuracy": float(np.mean(np.array(validation.labels) == majority))}

    def answers(
        self, model: MultipleChoice, columns: Mapping[str, Sequence[Any]]
    ) -> list[dict[str, Any]]:
        """Returns the best choice of each text."""
        chosen = model.choose(columns[TEXT], columns[CHOICES])
        return [{"answer": choice, "score": round(score, 4)} for choice, score in chosen]


SPECS = (Choices(),)
