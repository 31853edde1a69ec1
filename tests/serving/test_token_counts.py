"""Exports count tokens, and the server's batches are measured in them."""

import json
import shutil

import pytest
import tensorflow as tf
import urllib3
from served_tasks import COLUMNS, MORE_TASKS, TASKS, TEXTS
from tensorflow.core.protobuf import saved_model_pb2

from kerasbert import Backbone
from kerasbert.serving import GrpcClient, RestClient, SavedModelClient
from kerasbert.serving.client import METADATA
from kerasbert.serving.server.batching import Batcher
from kerasbert.tasks import inspection


@pytest.mark.parametrize("name", [*TASKS, *MORE_TASKS])
def test_counts_are_what_the_encoder_reads(tokenizer, tiny_backbone, monkeypatch, name):
    task = (TASKS | MORE_TASKS)[name](tiny_backbone(tokenizer), tokenizer=tokenizer)
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


@pytest.fixture
def measured(monkeypatch):
    """Returns the tokens of the rows of each request."""
    found, submit = [], Batcher.submit

    def spy(self, compute, inputs, tokens):
        found.append(tokens)
        return submit(self, compute, inputs, tokens)

    monkeypatch.setattr(Batcher, "submit", spy)
    return found


def test_batches_are_measured_in_tokens(exported_classifier, start_server, tokenizer, measured):
    server = start_server(exported_classifier)
    counts = [min(24, int(n) + 2) for n in tokenizer.tokenize(TEXTS).row_lengths()]
    for client in (RestClient(server.rest), GrpcClient(server.grpc)):
        client(text=TEXTS)
    assert measured == [counts, counts]
    # The mask of ready tokens says how many there are.
    asked = {"token_ids": [[2, 9, 3, 0]], "segment_ids": [[0] * 4], "lengths": [3]}
    body = json.dumps({"signature_name": "tokens", "inputs": asked})
    response = urllib3.request("POST", f"{server.rest}:predict", body=body)
    assert response.status == 200
    assert measured[2:] == [[3]]
    server.stop()


def test_earlier_exports_are_measured_in_bytes(
    exported_classifier, start_server, tmp_path, measured
):
    directory = tmp_path / "mine" / "1"
    shutil.copytree(exported_classifier, directory)
    path = directory / "saved_model.pb"
    model = saved_model_pb2.SavedModel.FromString(path.read_bytes())
    del model.meta_graphs[0].signature_def["tokenize"]
    path.write_bytes(model.SerializeToString())
    metadata = json.loads((directory / METADATA).read_text())
    del metadata["files"]
    (directory / METADATA).write_text(json.dumps(metadata))
    server = start_server(directory)
    texts = ["a dog", "a"]
    right = SavedModelClient(exported_classifier)(text=texts)
    for found, expected in zip(RestClient(server.rest)(text=texts), right, strict=True):
        assert found["scores"] == pytest.approx(expected["scores"], abs=1e-5)
    assert measured == [[5 + 4, 1 + 4]]
    server.stop()
