"""How the programs read, score and predict pairs of texts."""

import collections

from kerasbert.data import read_examples
from kerasbert.tasks.spec import TaskSpec
from toy_task.model import DuplicateDetector


class Duplicates(TaskSpec):
    name = "duplicates"
    task = DuplicateDetector
    data_options = ("text_column", "text_pair_column", "label_column")
    primary_metric = "accuracy"

    def read(self, path, options):
        return read_examples(
            path,
            text_column=options.text_column,
            text_pair_column=options.text_pair_column,
            label_column=options.label_column,
            strict=options.strict,
        )

    def baseline(self, train, validation):
        ((majority, _),) = collections.Counter(train.labels).most_common(1)
        return {"accuracy": validation.labels.count(majority) / len(validation)}

    def answers(self, model, columns):
        return [{"duplicate": found} for found in model.are_duplicates(dict(columns))]


SPECS = (Duplicates(),)
