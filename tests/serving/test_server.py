import asyncio
import collections
import concurrent.futures
import json
import logging
import os
import pathlib
import random
import re
import shutil
import signal
import socket
import threading
import time
import types

import grpc
import numpy as np
import programs
import pytest
import tensorflow as tf
import urllib3
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from kerasbert import InputError, MultipleChoice, TextClassifier, TokenClassifier
from kerasbert.recipes import serve
from kerasbert.recipes.options import LoadTestOptions, ServeOptions
from kerasbert.serving import GrpcClient, RestClient, SavedModelClient, kit
from kerasbert.serving.client import METADATA
from kerasbert.serving.server import run
from kerasbert.serving.server.background import THREADS, in_background
from kerasbert.serving.signatures import GRAPH

SCRIPTS = pathlib.Path(__file__).parents[2] / "scripts"
STRANGE = [
    "",
    "word " * 10_000,
    b"caf\xe9 \xff\xfe",
    "\x00",
    "[MASK] [SEP]",
    "中国 é",
    "\U0001f600",
]


def ask(url, body=None, method=None):
    """Returns the status, the JSON and the headers of an answer."""
    content = json.dumps(body).encode() if isinstance(body, dict) else body
    method = method or ("GET" if body is None else "POST")
    response = urllib3.request(method, url, body=content, retries=False, timeout=60)
    return response.status, response.json(), response.headers


def close(answers):
    return [
        {**answer, "scores": pytest.approx(answer["scores"], abs=1e-5)} if answer else answer
        for answer in answers
    ]


@pytest.fixture(scope="module")
def client(exported_classifier):
    return SavedModelClient(exported_classifier)


# === Clients ===


@pytest.mark.parametrize("kind", ["rest", "grpc"])
def test_clients_answer_alike(server, client, texts, kind):
    other = RestClient(server.rest) if kind == "rest" else GrpcClient(server.grpc)
    given = [*texts, *STRANGE]
    assert other(text=given) == close(client(text=given))
    assert other(text=[]) == []
    version = f"{server.rest}/versions/7" if kind == "rest" else f"{server.grpc}/7"
    assert type(other)(version)(text=["a dog"]) == close(client(text=["a dog"]))
    for columns, message in (
        ({"words": ["a"]}, "takes text, found words"),
        ({"text": "a dog"}, "text must be a list"),
        ({"text": ["a", 3]}, "text must hold strings"),
        ({"text": ["\ud800"]}, "text must hold strings as UTF-8 can hold them"),
        ({"text": ["a"] * 101}, "there are 101 rows; at most 100 are taken"),
    ):
        with pytest.raises(InputError, match=message):
            other(**columns)
    with pytest.raises(InputError, match=r"Servable not found for request: Specific\(mine, 8\)"):
        type(other)(version[:-1] + "8")


def test_lists_of_strings_and_outputs_of_several_lengths(
    tokenizer, tiny_backbone, start_server, tmp_path
):
    backbone = tiny_backbone(tokenizer, initializer_range=0.5)
    MultipleChoice(backbone, tokenizer=tokenizer).export(tmp_path / "pick" / "1", check=False)
    tags = TokenClassifier(backbone, ["O", "X"], tokenizer=tokenizer)
    tags.export(tmp_path / "tag" / "1", check=False)
    columns = {"text": ["a dog", "x"], "choices": [["a", "b c", "d"], ["e"]]}
    expected = SavedModelClient(tmp_path / "pick")(**columns)
    server = start_server(tmp_path / "pick", "pick")
    for kind, url in ((RestClient, server.rest), (GrpcClient, server.grpc)):
        client = kind(url)
        assert client(**columns) == close(expected)
        with pytest.raises(InputError, match="there are 1,025 choices; at most 1,024 are taken"):
            client(text=["a"], choices=[["b"] * 1025])
        with pytest.raises(InputError, match="there are 1,200 choices; at most 1,024 are taken"):
            client(text=["a"] * 4, choices=[["b"] * 300] * 4)
    server.stop()
    texts = ["a good dog", "x", "one two three four"]
    expected = SavedModelClient(tmp_path / "tag")(text=texts)
    server = start_server(tmp_path / "tag", "tag", batch_tokens=20)  # several batches
    for kind, url in ((RestClient, server.rest), (GrpcClient, server.grpc)):
        for mine, right in zip(kind(url)(text=texts), expected, strict=True):
            length = right["lengths"]
            for name in ("words", "labels", "starts", "ends"):
                assert mine[name][:length] == right[name][:length]


def test_several_models(exported_classifier, export_classifier, start_server, tmp_path):
    other = export_classifier(tmp_path / "other" / "3", ["this", "that"])
    server = start_server({"mine": exported_classifier, 'a "b"': other.parent})
    assert len(server.lines) == 3  # one for each model, and the page
    url = server.rest.replace("/mine", "/a%20%22b%22")
    for one, version, directory in ((server.rest, "7", exported_classifier), (url, "3", other)):
        (found,) = ask(one)[1]["model_version_status"]
        assert found["version"] == version
        expected = SavedModelClient(directory)(text=["a fine day"])
        assert ask(f"{one}:predict", {"instances": ["a fine day"]})[1]["predictions"] == close(
            expected
        )
    assert f"{url} and grpc://" in server.lines[1]
    with GrpcClient(server.grpc.replace("/mine", "/a%20%22b%22")) as client:
        assert client(text=["a fine day"])[0]["labels"] == ["this", "that"]
    assert ask(f"{url}/versions/7:predict", {"inputs": ["a"]})[0] == 404
    assert ask(f"{url}2:predict", {"inputs": ["a"]})[:2] == (
        404,
        {"error": 'Servable not found for request: Latest(a "b"2)'},
    )
    assert 'kerasbert_version{model="a \\"b\\""} 3\n' in metrics_of(server)


# === REST as TensorFlow Serving's documentation has it ===


def test_status(server):
    status, found, headers = ask(server.rest)
    assert (status, headers["Content-Type"]) == (200, "application/json")
    assert found == {
        "model_version_status": [
            {
                "version": "7",
                "state": "AVAILABLE",
                "status": {"error_code": "OK", "error_message": ""},
            }
        ]
    }
    assert ask(f"{server.rest}/versions/7")[1] == found
    status, found, _ = ask(f"{server.rest}/versions/8")
    assert (status, found) == (404, {"error": "Could not find version 8 of model mine"})


def test_metadata(server):
    status, found, _ = ask(f"{server.rest}/metadata")
    assert status == 200
    assert found["model_spec"] == {
        "name": "mine",
        "signature_name": "",
        "version": "7",
        "version_label": "",
    } or found["model_spec"] == {"name": "mine", "signature_name": "", "version": "7"}
    signatures = found["metadata"]["signature_def"]["signature_def"]
    assert signatures.keys() == {"serving_default", "tokenize", "tokens"}
    text = signatures["serving_default"]["inputs"]["text"]
    assert text["dtype"] == "DT_STRING"
    assert [dim["size"] for dim in text["tensor_shape"]["dim"]] == ["-1"]


def test_row_and_column_form(server, client):
    expected = client(text=["a fine day", "a cat"])
    url = f"{server.rest}:predict"
    _, rows, _ = ask(url, {"instances": ["a fine day", "a cat"]})
    assert rows["predictions"] == close(expected)
    _, named, _ = ask(url, {"instances": [{"text": "a fine day"}, {"text": "a cat"}]})
    assert named == rows
    _, columns, _ = ask(url, {"inputs": {"text": ["a fine day", "a cat"]}})
    assert columns["outputs"] == {
        name: [row[name] for row in rows["predictions"]] for name in expected[0]
    }
    assert ask(url, {"inputs": ["a fine day", "a cat"]})[1] == columns
    assert (
        ask(f"{server.rest}/versions/7:predict", {"inputs": ["a fine day", "a cat"]})[1] == columns
    )
    tokens = {"token_ids": [[2, 9, 3]], "segment_ids": [[0, 0, 0]], "lengths": [3]}
    status, found, _ = ask(url, {"signature_name": "tokens", "inputs": tokens})
    assert (status, np.shape(found["outputs"])) == (200, (1, 2))


def test_unknown_model(server):
    """The body is that of the documentation."""
    url = server.rest.replace("/mine", "/half")
    status, found, headers = ask(f"{url}:predict", {"instances": [1.0, 5.0]})
    assert (status, headers["Content-Type"]) == (404, "application/json")
    assert found == {"error": "Servable not found for request: Latest(half)"}
    assert ask(url)[:2] == (404, {"error": "Could not find any versions of model half"})


@pytest.mark.parametrize(
    ("path", "body", "status", "message"),
    [
        (":predict", b"{", 400, "JSON Parse error"),
        (":predict", b'{"inputs": ["\xff"]}', 400, "not UTF-8"),
        (":predict", b"[" * 1_000_000, 400, "nested too deeply"),
        (":predict", {"inputs": {"words": ["a"]}}, 400, "must have the keys 'text'"),
        (":predict", {"inputs": [["a"]]}, 400, "text must have the shape (any), found (1, 1)"),
        (":predict", {"inputs": ["x" * 1_000_000]}, 400, "a string has 1,000,000 bytes"),
        (":predict", {"inputs": ["x"] * 101}, 400, "there are 101 rows; at most 100 are taken"),
        (":predict", {"signature_name": "no", "inputs": ["a"]}, 400, '"no" not found'),
        (":predict", b'"' + b"x" * 9_000_000 + b'"', 413, "larger than 8,388,608 bytes"),
        (":classify", {"examples": [{}]}, 501, "exports take predict"),
        (":predict", None, 400, "Malformed request: GET"),
        ("/versions/9:predict", {"inputs": ["a"]}, 404, "Specific(mine, 9)"),
        ("/versions/" + "9" * 30, None, 400, "Failed to convert version"),
        ("/labels/stable:predict", {"inputs": ["a"]}, 400, "label: stable"),
        ("/../../../nothing", None, 404, "Malformed request"),
    ],
)
def test_mistakes_get_one_line(server, path, body, status, message):
    url = server.rest.replace("/v1/models/mine", "/nothing") if ".." in path else server.rest + path
    found = ask(url, body)
    assert found[0] == status
    assert found[1].keys() == {"error"}
    assert message in found[1]["error"]
    assert len(found[1]["error"].splitlines()) == 1
    assert ask(f"{server.rest}:predict", {"inputs": ["a dog"]})[0] == 200


def test_head(server):
    for path, status in (("", 200), ("/metadata", 200), (":predict", 400), ("/versions/8", 404)):
        found = urllib3.request("HEAD", server.rest + path)
        assert (found.status, found.data) == (status, b"")
        assert int(found.headers["Content-Length"]) > 0
    for path in ("/", "/page/main.js", "/metrics"):
        found = urllib3.request("HEAD", server.rest.replace("/v1/models/mine", path))
        assert (found.status, found.data) == (200, b"")


def test_header_that_is_no_host(server):
    for path in ("/metrics", "/", "/v1/models/mine"):
        url = server.rest.replace("/v1/models/mine", path)
        assert urllib3.request("GET", url, headers={"Host": "["}).status == 200


def test_metrics(server):
    ask(f"{server.rest}:predict", {"inputs": ["a dog", "b"]})
    for path in ("/metrics", "/monitoring/prometheus/metrics"):
        url = server.rest.replace("/v1/models/mine", path)
        text = urllib3.request("GET", url).data.decode()
        found = dict(line.rsplit(" ", 1) for line in text.splitlines() if line[0] != "#")
        assert float(found['kerasbert_requests_total{api="rest",status="OK"}']) >= 1
        assert found['kerasbert_version{model="mine"}'] == "7"
        bounds = [float(n) for key, n in found.items() if key.startswith("kerasbert_request_s")][
            :-2
        ]
        assert bounds == sorted(bounds)
        assert float(found["kerasbert_request_seconds_count"]) == bounds[-1]


# === gRPC with the official stubs ===


@pytest.fixture(scope="module")
def channel(server):
    with grpc.insecure_channel(server.grpc.split("/")[2]) as channel:
        yield channel


def test_grpc(channel, client):
    stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
    request = predict_pb2.PredictRequest(output_filter=["scores"])
    request.model_spec.name = "mine"
    request.inputs["text"].CopyFrom(tf.make_tensor_proto(["a fine day"]))
    response = stub.Predict(request, timeout=60)
    specification = response.model_spec
    assert (specification.version.value, specification.signature_name) == (7, "serving_default")
    assert response.outputs.keys() == {"scores"}
    expected = client(text=["a fine day"])[0]["scores"]
    np.testing.assert_allclose(tf.make_ndarray(response.outputs["scores"])[0], expected, atol=1e-5)

    question = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
    question.model_spec.name = "mine"
    packed = stub.GetModelMetadata(question, timeout=60).metadata["signature_def"]
    signatures = get_model_metadata_pb2.SignatureDefMap()
    assert packed.Unpack(signatures)
    assert signatures.signature_def["serving_default"].inputs.keys() == {"text"}

    question = get_model_status_pb2.GetModelStatusRequest()
    question.model_spec.name = "mine"
    status = model_service_pb2_grpc.ModelServiceStub(channel).GetModelStatus(question, timeout=60)
    (one,) = status.model_version_status
    assert (one.version, one.state) == (7, get_model_status_pb2.ModelVersionStatus.AVAILABLE)


def _inputs(**values):
    request = predict_pb2.PredictRequest()
    request.model_spec.name = "mine"
    for name, value in values.items():
        request.inputs[name].CopyFrom(tf.make_tensor_proto(value))
    return request


def _named(name):
    request = _inputs(text=["a"])
    request.model_spec.name = name
    return request


def _declared(*sizes):
    """Returns a small request whose shape says that it is a large one."""
    request = _inputs(text=["a"])
    del request.inputs["text"].tensor_shape.dim[:]
    for size in sizes:
        request.inputs["text"].tensor_shape.dim.add(size=size)
    return request


@pytest.mark.parametrize(
    ("make", "code", "message"),
    [
        (lambda: _inputs(), "INVALID_ARGUMENT", "takes the inputs text, found"),
        (lambda: _inputs(words=["a"]), "INVALID_ARGUMENT", "takes the inputs text, found words"),
        (lambda: _inputs(text=[1]), "INVALID_ARGUMENT", "text must be string, found int32"),
        (lambda: _inputs(text=[["a"]]), "INVALID_ARGUMENT", "text must have the shape"),
        (lambda: _inputs(text="a"), "INVALID_ARGUMENT", "text must have the shape"),
        (lambda: _declared(2**40), "INVALID_ARGUMENT", "1,099,511,627,776 rows; at most 100 are"),
        (lambda: _declared(2**22), "INVALID_ARGUMENT", "4,194,304 rows; at most 100 are taken"),
        (lambda: _declared(1, 2**22), "INVALID_ARGUMENT", "at most 16,384 values are read"),
        (lambda: _declared(-1), "INVALID_ARGUMENT", "values are read"),
        (lambda: _named("half"), "NOT_FOUND", "Latest(half)"),
        (lambda: _named(""), "INVALID_ARGUMENT", "Missing ModelSpec"),
    ],
)
def test_grpc_mistakes(channel, make, code, message):
    stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
    with pytest.raises(grpc.RpcError) as error:
        stub.Predict(make(), timeout=60)
    assert error.value.code().name == code
    assert message in error.value.details()


def test_grpc_converts_no_input_that_is_not_taken(channel, monkeypatch):
    """A small message may declare thousands of them, each of millions of values."""
    converted = []
    monkeypatch.setattr(
        "kerasbert.serving.server.grpc._converted", lambda name, value: converted.append(name)
    )
    stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
    with pytest.raises(grpc.RpcError, match="takes the inputs text, found text, words"):
        stub.Predict(_inputs(text=["a"], words=[1]), timeout=60)
    assert converted == []


def metrics_of(server):
    return urllib3.request("GET", f"{server.rest.partition('/v1')[0]}/metrics").data.decode()


_CANCELLED = 'kerasbert_requests_total{api="grpc",status="CANCELLED"}'


@pytest.mark.parametrize("how", ["cancel", "deadline"])
def test_requests_that_end_early_harm_no_others(exported_classifier, start_server, how):
    """Their rows may be computed at that moment, in a batch with others'."""
    server = start_server(exported_classifier, num_threads=1)
    address = server.grpc.split("/")[2]
    with grpc.insecure_channel(address) as channel:
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        request = _inputs(text=["a fine day " * 20] * 300)
        for number in range(200):  # on a busy machine, the first end before they arrive
            timeout = 0.002 * (1 + number) if how == "deadline" else None
            calls = [stub.Predict.future(request, timeout=timeout) for _ in range(2)]
            if how == "cancel":
                time.sleep(0.002 * number)
                for call in calls:
                    call.cancel()
            if number >= 20 and _CANCELLED in metrics_of(server):
                break
        assert len(stub.Predict(request, timeout=30).outputs["scores"].tensor_shape.dim) == 2
    assert _CANCELLED in metrics_of(server)
    server.stop()


def test_client_that_goes_is_counted(exported_classifier, start_server):
    server = start_server(exported_classifier)
    host, port = server.rest.split("/")[2].split(":")
    with socket.create_connection((host, int(port))) as connection:
        path = server.rest.partition(port)[2]
        head = f"POST {path}:predict HTTP/1.1\r\nHost: h\r\nContent-Length: 99\r\n\r\n"
        connection.sendall(head.encode() + b'{"inp')
        time.sleep(0.2)
    wait_until(lambda: 'api="rest",status="CANCELLED"} 1' in metrics_of(server))
    assert server.stop() == {"rest CANCELLED": 1}


def test_failures_end_the_server(exported_classifier, start_server, monkeypatch):
    async def fail(self, seconds):
        await asyncio.sleep(0.5)
        raise ValueError("can't watch")

    monkeypatch.setattr("kerasbert.serving.server.versions.Versions.watch", fail)
    server = start_server(exported_classifier)
    server._thread.join(20)
    assert not server._thread.is_alive()
    assert str(server.error) == "can't watch"
    del server.error
    server.result = None


def test_grpc_has_predict_alone(channel):
    stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
    from tensorflow_serving.apis import classification_pb2

    with pytest.raises(grpc.RpcError) as error:
        stub.Classify(classification_pb2.ClassificationRequest(), timeout=60)
    assert error.value.code() == grpc.StatusCode.UNIMPLEMENTED


# === Versions ===


def wait_until(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def states(server):
    _, found, _ = ask(server.rest)
    return {one["version"]: one["state"] for one in found["model_version_status"]}


def test_new_version_loses_no_request(
    exported_classifier, export_classifier, start_server, tmp_path
):
    folder = tmp_path / "mine"
    shutil.copytree(exported_classifier, folder / "1")
    new = export_classifier(tmp_path / "new", ["new one", "new two"])
    server = start_server(folder)
    clients = [RestClient(server.rest, retries=0), GrpcClient(server.grpc, retries=0)]
    stopped, seen = [], collections.Counter()

    def keep_asking(client):
        while not stopped:
            (answer,) = client(text=["a fine day"])
            seen[answer["label"] in ("new one", "new two")] += 1

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        asking = [pool.submit(keep_asking, client) for client in clients * 2]
        try:
            wait_until(lambda: seen[False] > 10)
            shutil.copytree(new, folder / ".2")
            os.rename(folder / ".2", folder / "2")
            wait_until(lambda: seen[True] > 10)
        finally:
            stopped.append(True)
        for one in asking:
            one.result(60)
    wait_until(lambda: states(server) == {"2": "AVAILABLE", "1": "END"})
    assert ask(f"{server.rest}/versions/1:predict", {"inputs": ["a"]})[0] == 404

    shutil.copytree(new, folder / ".3")
    weights = folder / ".3" / "variables/variables.data-00000-of-00001"
    os.truncate(weights, 99)
    os.rename(folder / ".3", folder / "3")
    wait_until(lambda: states(server).get("3") == "END")
    _, found, _ = ask(f"{server.rest}/versions/3")
    assert "TensorFlow can't load it" in found["model_version_status"][0]["status"]["error_message"]
    assert clients[0](text=["a"])[0]["labels"] == ["new one", "new two"]
    shutil.rmtree(folder / "3")
    shutil.rmtree(folder / "2")
    wait_until(lambda: states(server)["1"] == "AVAILABLE")
    assert clients[1](text=["a"])[0]["labels"] == ["bad", "good"]


def test_nothing_to_serve(tmp_path, start_server):
    with pytest.raises(AssertionError, match="holds no numbered version"):
        start_server(tmp_path)


def test_server_leaves_the_logging_of_others(exported_classifier, start_server):
    """uvicorn's own configuration closes all handlers, and absl's closes the stream it had."""
    closed = []

    class Handler(logging.NullHandler):
        def close(self):
            closed.append(self)
            super().close()

    handler = Handler()
    start_server(exported_classifier).stop()
    assert closed == []
    handler.close()


def test_kit_is_served_and_its_client_runs(
    tokenizer, tiny_backbone, start_server, tmp_path, capsys
):
    """The warm-up requests run, and the README's Python, curl and gRPC answer as it says."""
    task = TextClassifier(tiny_backbone(tokenizer), ["bad", "good"], tokenizer=tokenizer)
    kit.write(tmp_path / "kit", lambda path: task.export(path, check=False), name="mine")
    server = start_server(tmp_path / "kit/models/mine")
    readme = (tmp_path / "kit/README.md").read_text()
    readme = readme.replace("http://localhost:8501/v1/models/mine", server.rest)
    readme = readme.replace("localhost:8500", server.grpc.split("/")[2])
    for number, code in enumerate(re.findall(r"```python\n(.*?)```", readme, re.DOTALL)):
        exec(compile(code, f"README {number}", "exec"), {})
    printed = capsys.readouterr().out
    assert printed.count("'label': ['") == 1
    assert printed.count("'label': [b'") == 1
    asked, column_answer, rows, row_answer = re.findall(r"```json\n(.*?)\n```", readme)
    for question, answer in ((asked, column_answer), (rows, row_answer)):
        _, found, _ = ask(f"{server.rest}:predict", json.loads(question))
        rounded = json.loads(json.dumps(found), parse_float=lambda n: round(float(n), 4))
        assert rounded == json.loads(answer)


# === Load ===


def soak(server, client, requests, clients):
    """Asks many questions at the same time; returns how many were answered."""
    chooser = random.Random(0)
    samples = [
        "".join(chooser.choices("abc é中\x00\n🙂'", k=chooser.choice([0, 3, 20, 200, 2000])))
        for _ in range(40)
    ]
    right = {
        text: answer["scores"] for text, answer in zip(samples, client(text=samples), strict=True)
    }
    connected = [
        RestClient(server.rest) if number % 2 else GrpcClient(server.grpc)
        for number in range(clients)
    ]

    def ask_some(number):
        own, ask = random.Random(number), connected[number]
        for _ in range(requests // clients):
            texts = own.choices(samples, k=own.choice([1, 1, 1, 2, 20]))
            for text, answer in zip(texts, ask(text=texts), strict=True):
                np.testing.assert_allclose(answer["scores"], right[text], atol=1e-4)
        return requests // clients

    with concurrent.futures.ThreadPoolExecutor(clients) as pool:
        return sum(pool.map(ask_some, range(clients)))


def test_many_requests(server, client):
    assert soak(server, client, 320, 8) == 320


def test_busy_server_says_so(exported_classifier, start_server):
    server = start_server(exported_classifier, queue_tokens=1, batch_tokens=1)
    url, body = f"{server.rest}:predict", {"inputs": ["a fine day"] * 64}
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: ask(url, body), range(24)))
    refused = [one for one in found if one[0] != 200]
    assert {one[0] for one in refused} == {429}
    assert {one[1]["error"] for one in refused} == {
        "the queue is full; send the request again later"
    }
    assert refused[0][2]["Retry-After"] == "1"
    assert len(refused) < 24


# === The program ===


def start_program(directory, **flags):
    """Starts the program; returns the process and the URL of the model."""
    flags = {"port": 0, "grpc_port": 0, "poll_seconds": 0.1, **flags}
    words = [SCRIPTS / "serve.py", f"--saved_model={directory}"]
    child = programs.start([*words, *(f"--{key}={value}" for key, value in flags.items())])
    end, seen = time.monotonic() + 100, ""
    while not (match := re.search(r"(http://\S+) and (grpc://[^,]+), (.*)\n", seen)):
        assert child.poll() is None, seen
        assert time.monotonic() < end, seen
        seen += child.stderr.readline()
        time.sleep(0.01)
    return child, match


def test_program_answers_what_it_accepted(exported_classifier):
    child, match = start_program(exported_classifier.parent, max_batch_tokens=64)
    url, who = match[1], match[3]
    assert who == "for this machine only; --host 0.0.0.0 opens it to others"
    assert url.endswith("/v1/models/mine")
    connections = urllib3.PoolManager(maxsize=8, retries=False, timeout=60)
    body = json.dumps({"inputs": ["a fine day " * 20] * 32}).encode()
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        asked = [
            pool.submit(connections.request, "POST", f"{url}:predict", body=body) for _ in "8" * 8
        ]
        wait_until(lambda: asked[0].done())
        child.send_signal(signal.SIGTERM)
        answered = collections.Counter()
        for one in asked:
            try:
                answered[one.result(60).status] += 1
            except urllib3.exceptions.NewConnectionError:  # refused, not lost
                answered["refused"] += 1
    ended = programs.end(child)
    assert ended.returncode == 0, ended.stderr
    assert answered.keys() <= {200, "refused"}
    assert json.loads(ended.stdout) == {"requests": {"rest OK": answered[200]}}
    assert "stopping: answering the requests that were accepted" in ended.stderr


def test_name_and_version_of_the_program(exported_classifier):
    """A version is served by naming its directory, and keeps its number."""
    child, match = start_program(exported_classifier, name="other.name")
    try:
        assert match[1].endswith("/v1/models/other.name")
        assert match[2].endswith("/other.name")
        (found,) = ask(match[1])[1]["model_version_status"]
        assert (found["version"], found["state"]) == ("7", "AVAILABLE")
        assert ask(match[1].replace("other.name", "mine"))[0] == 404
    finally:
        child.kill()
        programs.end(child)


@pytest.mark.parametrize(("dtype", "value"), [("float32", "0"), ("bfloat16", "1"), (None, "1")])
def test_frozen_weights_unless_the_user_decides(monkeypatch, tmp_path, dtype, value):
    """The variable is read when the first kernel is built: it is set before TensorFlow is there."""
    name = "TF_ONEDNN_ASSUME_FROZEN_WEIGHTS"
    asks, mine = {"texts": "texts.txt"}, str(tmp_path)
    metadata = tmp_path / "1" / METADATA
    metadata.parent.mkdir(parents=True)
    (tmp_path / "1" / "saved_model.pb").touch()
    metadata.write_text(json.dumps({} if dtype is None else {"dtype": dtype}))
    for options in (
        ServeOptions(saved_model=["not there", mine]),
        LoadTestOptions(saved_model=mine, **asks),
    ):
        monkeypatch.delenv(name, raising=False)
        assert options.environment == {name: value}
        monkeypatch.setenv(name, "2")
        assert options.environment == {name: "2"}
    assert LoadTestOptions(url="grpc://localhost:8500/mine", **asks).environment == {}


def test_program_answers_with_the_weights_of_each_version(tokenizer, tiny_backbone, tmp_path):
    """oneDNN keeps weights in its own layout: those of the version, not of the one before."""
    texts, right = ["a fine day", "the fox", "a dog " * 8], {}
    for version, spread in (("1", 0.3), ("2", 0.5)):
        backbone = tiny_backbone(tokenizer, initializer_range=spread)
        task = TextClassifier(backbone, ["bad", "good"], tokenizer=tokenizer)
        task.export(tmp_path / "new" / version, check=False)
        right[version] = SavedModelClient(tmp_path / "new" / version)(text=texts)
    assert right["1"] != close(right["2"])
    folder = tmp_path / "mine"
    folder.mkdir()
    os.rename(tmp_path / "new/1", folder / "1")
    child, match = start_program(folder)
    try:
        with RestClient(match[1]) as client:
            assert client(text=texts) == close(right["1"])
            os.rename(tmp_path / "new/2", folder / "2")
            wait_until(lambda: ask(f"{match[1]}/versions/2")[0] == 200)
            wait_until(lambda: client(text=texts)[0] == close(right["2"])[0])
            assert client(text=texts) == close(right["2"])
    finally:
        child.kill()
        programs.end(child)


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("--name=a/b", "the name of a served model is up to 61 letters, digits, dashes, dots and"),
        ("--name=", "the name of a served model is up to 61 letters"),
        ("--nmae=mine", "there is no flag --nmae; did you mean --name? --help lists the flags"),
        ("--version=7", "there is no flag --version; --help lists the flags"),
        ("--port=eighty", "--port must be an integer, found 'eighty'"),
        ("--port=65536", "port must be"),
        ("--num_threads=0", "num_threads must be"),
        ("--max_batch_tokens=1.5", "--max_batch_tokens must be an integer, found '1.5'"),
        ("--saved_model=mine/9", "mine/9: no such directory"),
        ("mine", "unexpected argument 'mine'; give each value its --saved_model, and quote"),
    ],
)
def test_options_typed_wrong(exported_classifier, flag, message):
    ended = programs.run([SCRIPTS / "serve.py", f"--saved_model={exported_classifier}", flag])
    assert (ended.returncode, ended.stdout) == (1, "")
    (line,) = ended.stderr.splitlines()
    assert line.startswith("error: ")
    assert message in line


def test_bodies_do_not_wait_for_acknowledgements():
    """With Nagle's algorithm, every answer over a kept connection took 40 ms more."""

    async def option():
        loop = asyncio.get_running_loop()
        found = loop.create_future()

        class Protocol(asyncio.Protocol):
            def connection_made(self, transport):
                connection = transport.get_extra_info("socket")
                found.set_result(connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))

        with run._bound("127.0.0.1", 0) as listener:
            server = await loop.create_server(Protocol, sock=listener)
            _, writer = await asyncio.open_connection(*listener.getsockname())
            assert await found
            writer.close()
            server.close()

    asyncio.run(option())


def test_stops_while_a_model_is_loaded(monkeypatch):
    """Until then, no connection is taken, which would say that the server is ready."""
    loading, go, lines = threading.Event(), threading.Event(), []
    monkeypatch.setattr(run, "_loaded", lambda *_: loading.set() or go.wait(20))
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]

    async def start_and_stop():
        stop = asyncio.Event()
        settings = run.Settings(port=port, grpc_port=None)
        serving = asyncio.create_task(run.serve({}, settings, stop, lines.append))
        assert await asyncio.to_thread(loading.wait, 20)
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", port)
        stop.set()
        return await serving

    begin = time.monotonic()
    assert asyncio.run(start_and_stop()) == {}
    assert time.monotonic() - begin < 10
    assert lines == ["stopped before the models were loaded"]
    go.set()


@pytest.mark.parametrize("gives_up", [False, True])
def test_end_of_the_program_with_what_it_gave_up(monkeypatch, gives_up):
    """The interpreter's end would abort a thread that is in TensorFlow."""
    before, go, registered = threading.enumerate(), threading.Event(), []

    def mine():
        new = [one for one in threading.enumerate() if one not in before]
        return [one for one in new if one.name.startswith(THREADS)]

    monkeypatch.setattr(serve, "threading", types.SimpleNamespace(enumerate=mine))
    monkeypatch.setattr(serve, "atexit", types.SimpleNamespace(register=registered.append))

    async def give_up(options):
        loading = asyncio.create_task(in_background(go.wait, 20))
        await asyncio.sleep(0.01)
        if not gives_up:
            go.set()
            assert await loading
            for one in mine():
                one.join(20)
        return {"requests": {}}

    monkeypatch.setattr(serve, "_serve", give_up)
    assert serve.serve(ServeOptions(saved_model=["mine"])) == {"requests": {}}
    go.set()
    assert registered == ([serve._end] if gives_up else [])


def test_names_of_directories(tmp_path):
    """A version's number is no name."""
    exports = [tmp_path / path for path in ("first/7", "all/second", "third")]
    for path in exports:
        path.mkdir(parents=True)
        if path.name != "third":
            (path / GRAPH).touch()
    options = ServeOptions(saved_model=list(map(str, exports)))
    assert serve._directories(options) == dict(
        zip(("first", "second", "third"), exports, strict=True)
    )
    with pytest.raises(InputError, match="/: has no name that the model could have; give one with"):
        serve._directories(ServeOptions(saved_model=["/"]))
    assert serve._directories(ServeOptions(saved_model=["/"], name="mine")) == {
        "mine": pathlib.Path("/")
    }


def test_port_in_use(server, exported_classifier):
    port = server.rest.split(":")[2].split("/")[0]
    words = [SCRIPTS / "serve.py", f"--saved_model={exported_classifier}", f"--port={port}"]
    ended = programs.run(words)
    assert ended.returncode == 1
    assert ended.stderr.startswith(f"error: 127.0.0.1:{port}: can't listen there (Address already")
