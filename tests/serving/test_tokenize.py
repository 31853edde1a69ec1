"""The signature `tokenize` shows what the encoder reads; the server's costs are no less."""

import numpy as np
import pytest
import tensorflow as tf
from served_tasks import COLUMNS, MORE_TASKS, TASKS, TEXTS

from kerasbert import Backbone, QuestionAnswerer
from kerasbert.serving.server import costs
from kerasbert.tasks import inspection

NARROW = {"narrow": lambda backbone, **text: QuestionAnswerer(backbone, stride=1, **text)}


@pytest.mark.parametrize("name", [*TASKS, *MORE_TASKS, *NARROW])
def test_counts_are_what_the_encoder_reads(tokenizer, tiny_backbone, monkeypatch, name):
    task = (TASKS | MORE_TASKS | NARROW)[name](tiny_backbone(tokenizer), tokenizer=tokenizer)
    names, function = task.serving_signature()
    read, call = [], Backbone.__call__

    def spy(self, features, *args, **kwargs):
        read.append(int(tf.reduce_sum(features["padding_mask"])))
        return call(self, features, *args, **kwargs)

    monkeypatch.setattr(Backbone, "__call__", spy)
    of_rows = []
    for row in range(len(TEXTS)):
        read.clear()
        function(*(tf.constant(COLUMNS[name][row : row + 1]) for name in names))
        of_rows.append(sum(read))
    columns = {name: tf.constant(COLUMNS[name]) for name in names}
    lengths = inspection.tokenize(task).function(**columns)["lengths"]
    assert tf.reduce_sum(lengths, axis=1).numpy().tolist() == of_rows
    assert max(of_rows) > 20
    task_name, length = type(task).__name__, task.sequence_length
    metadata = {"task": task_name, "sequence_length": length, **task.head_config()}
    inputs = {name: np.char.encode(COLUMNS[name]).astype(object) for name in names}
    bounds = costs.of_rows(inputs, metadata)
    assert all(bound >= count for bound, count in zip(bounds, of_rows, strict=True))
