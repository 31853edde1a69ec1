"""Clients with servers that are busy, slow, missing, or no servers of models."""

import concurrent.futures
import contextlib
import http.server
import json
import os
import pathlib
import subprocess
import sys
import threading
import time

import grpc
import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from kerasbert import InputError
from kerasbert.recipes.load_test import load_test
from kerasbert.recipes.options import LoadTestOptions, QueryOptions
from kerasbert.recipes.query import _answers, query
from kerasbert.serving import GrpcClient, RestClient, rest_client, urls
from kerasbert.serving.columns import checked_columns, rows_of
from kerasbert.serving.connect import connect
from kerasbert.serving.load import measure

SCRIPTS = pathlib.Path(__file__).parents[2] / "scripts"
SIGNATURE = {"inputs": {"text": {}}, "outputs": {"embedding": {}}}
METADATA = {"metadata": {"signature_def": {"signature_def": {"serving_default": SIGNATURE}}}}
OUTPUTS = {"outputs": [[0.5, 1.0]]}


class Slow(list):
    """The parts of a body that is sent slowly."""


class Fake(http.server.BaseHTTPRequestHandler):
    """Answers with the next of `answers`: a status, a body and headers; the last one repeats."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self._send(*self.server.metadata)

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.server.asked += 1
        answers = self.server.answers
        self._send(*(answers.pop(0) if len(answers) > 1 else answers[0]))

    def _send(self, status, body, headers=()):
        if callable(body):
            body = body()
        parts = body
        if not isinstance(body, Slow):
            parts = [body if isinstance(body, bytes) else json.dumps(body).encode()]
        self.send_response(status)
        for header in [("Content-Length", str(sum(map(len, parts)))), *headers]:
            self.send_header(*header)
        self.end_headers()
        with contextlib.suppress(OSError):  # the client may have gone
            for part in parts:
                time.sleep(0.05 if isinstance(body, Slow) else 0)
                self.wfile.write(part)

    def log_message(self, *_):
        pass


@pytest.fixture
def fake():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Fake)
    server.daemon_threads, server.asked = True, 0
    server.metadata, server.answers = (200, METADATA), [(200, OUTPUTS)]
    server.url = f"http://127.0.0.1:{server.server_port}/v1/models/mine"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_busy_server_is_asked_again(fake):
    client = RestClient(fake.url)
    busy = {"error": "the queue is full"}
    fake.answers = [(503, busy), (429, busy, [("Retry-After", "0")]), (200, OUTPUTS)]
    assert client(text=["a"]) == [{"embedding": [0.5, 1.0]}]
    assert fake.asked == 3
    fake.answers = [(429, busy)]
    with pytest.raises(ConnectionError, match="answers 429: the queue is full"):
        RestClient(fake.url, retries=1)(text=["a"])
    assert fake.asked == 5


def test_mistakes_are_not_repeated(fake):
    client = RestClient(fake.url)
    fake.answers = [(400, {"error": "text must be\na string"})]
    with pytest.raises(InputError, match=r"mine: answers 400: text must be\\na string"):
        client(text=["a"])
    assert fake.asked == 1
    fake.answers = [(500, b"<html>")]
    with pytest.raises(ConnectionError, match="answers 500: b'<html>'"):
        client(text=["a"])
    assert fake.asked == 2


def test_slow_server(fake):
    client = RestClient(fake.url, timeout=0.2, retries=0)
    fake.answers = [(200, lambda: time.sleep(1) or OUTPUTS)]
    with pytest.raises(TimeoutError, match=r"mine: can't be asked .*timed out"):
        client(text=["a"])


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        ((503, {"error": "loading"}), ConnectionError),
        ((200, Slow([b" "] * 400 + [b"{}"])), TimeoutError),
    ],
    ids=["busy", "a byte at a time"],
)
def test_time_is_limited_with_all_attempts(fake, answer, error):
    client = RestClient(fake.url, timeout=0.8, retries=1000)
    fake.answers = [answer]
    begin = time.monotonic()
    with pytest.raises(error, match=r"answers 503: loading|timed out"):
        client(text=["a"])
    assert time.monotonic() - begin < 4  # of 20
    fake.answers = [(200, OUTPUTS)]
    assert client(text=["a"]) == [{"embedding": [0.5, 1.0]}]  # on a new connection


@pytest.mark.parametrize("metadata", [(200, {}), (200, {"metadata": []})])
def test_no_server_of_models(fake, metadata):
    fake.metadata = metadata
    with pytest.raises(InputError, match="is no model of TensorFlow Serving"):
        RestClient(fake.url)
    fake.metadata = (404, {"error": "Servable not found for request: Latest(mine)"})
    with pytest.raises(InputError, match="answers 404: Servable not found"):
        RestClient(fake.url)


@pytest.mark.parametrize(
    "url",
    ["", "localhost:8501", "http://h/v1/models/", "http://h/v1/models/m:predict", "ftp://h/v1/x"],
)
def test_urls(url):
    with pytest.raises(InputError, match="the URL of a model is http://HOST:PORT/v1/models/NAME"):
        RestClient(url)
    with pytest.raises(InputError, match="the URL of a model is grpc://HOST:PORT/NAME"):
        GrpcClient(url)


@pytest.mark.parametrize("kind", [RestClient, GrpcClient])
@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("retries", (-1, 1.5, "3", None, True), "must be a whole number from 0 on"),
        (
            "timeout",
            (0, -1.0, float("inf"), float("nan"), 10**9, "10", True),
            "must be above 0 and at most 1,000,000 seconds, or None for no limit",
        ),
    ],
)
def test_impossible_limits(kind, name, values, message):
    url = "grpc://127.0.0.1:1/m" if kind is GrpcClient else "http://127.0.0.1:1/v1/models/m"
    for value in values:
        with pytest.raises(InputError, match=f"{name} {message}, found {value!r}"):
            kind(url, **{name: value})


def test_no_limit(fake, server):
    client = RestClient(fake.url, timeout=None, retries=np.int64(2))
    fake.answers = [(503, {}), (200, Slow([b" "] * 3 + [json.dumps(OUTPUTS).encode()]))]
    assert client(text=["a"]) == [{"embedding": [0.5, 1.0]}]
    for url in (server.rest, server.grpc):
        for timeout in (None, 1_000_000):
            with connect(url, timeout=timeout, retries=np.int64(1)) as client:
                assert len(client(text=["a", "b"])) == 2


def test_thousands_of_attempts(fake, monkeypatch):
    """The wait before them stays a number."""
    client = RestClient(fake.url, retries=2000)
    answers = [rest_client._Answer(503, {}, 0.0)] * 1100 + [rest_client._Answer(200, OUTPUTS, None)]
    monkeypatch.setattr(client, "_attempt", lambda *_: answers.pop(0))
    assert client(text=["a"]) == [{"embedding": [0.5, 1.0]}]


@pytest.mark.parametrize("kind", [RestClient, GrpcClient])
def test_nobody_there(fake, kind):
    fake.shutdown()
    fake.server_close()
    url = fake.url if kind is RestClient else f"grpc://127.0.0.1:{fake.server_port}/mine"
    with pytest.raises(ConnectionError, match=r"mine: (can't be asked|UNAVAILABLE)"):
        kind(url, retries=1)


def test_query(server):
    for url in (server.rest, server.grpc):
        (answer,) = query(QueryOptions(url=url, text=["a fine day"]))["answers"]
        assert answer["label"] in ("bad", "good")
        with pytest.raises(InputError, match="takes text: --text alone"):
            query(QueryOptions(url=url, text=["a"], text_pair=["b"]))
    for both in ({}, {"url": "u", "saved_model": "s"}):
        with pytest.raises(InputError, match="give --saved_model, or --url"):
            QueryOptions(text=["a"], **both)


def test_query_with_choices():
    """A choice is a string, not the list of its characters."""
    asked = []

    def client(**columns):
        asked.append(checked_columns("m", ["text", "choices"], columns))
        return [{"choice": 0}]

    options = QueryOptions(url="http://h/v1/models/m", text=["a"], text_pair=["abc", "d"])
    assert _answers(options, client, ["text", "choices"]) == {"answers": [{"choice": 0}]}
    assert asked == [{"text": ["a"], "choices": [["abc", "d"]]}]
    for wrong in ({"text": ["a", "b"], "text_pair": ["c", "d"]}, {"text": ["a"]}):
        options = QueryOptions(url="http://h/v1/models/m", **wrong)
        with pytest.raises(InputError, match="one --text, and a --text_pair for each choice"):
            _answers(options, client, ["text", "choices"])
    for row in ("abc", b"abc", 1):
        with pytest.raises(InputError, match="choices must hold lists of strings, found"):
            client(text=["a"], choices=[row])


@pytest.mark.parametrize("url", ["localhost:1", "http://h/v1", "grpc://h", "", "ftp://h/v1/m"])
def test_urls_of_programs_are_found_early(url):
    for make in (
        lambda: QueryOptions(url=url, text=["a"]),
        lambda: LoadTestOptions(url=url, texts="t"),
    ):
        with pytest.raises(InputError, match="the URL of a model is "):
            make()


def test_rest_needs_no_tensorflow(fake, tmp_path):
    """As where TensorFlow is not installed."""
    (tmp_path / "tensorflow.py").write_text("raise ModuleNotFoundError('none', name='tensorflow')")
    words = [SCRIPTS / "query.py", f"--url={fake.url}", "--text=a"]
    paths = os.pathsep.join([str(tmp_path), str(SCRIPTS.parent)])
    ended = subprocess.run(  # a new process: those of `programs` have TensorFlow
        [sys.executable, *map(str, words)],
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert ended.returncode == 0, ended.stderr
    assert json.loads(ended.stdout) == {"answers": [{"embedding": [0.5, 1.0]}]}
    grpc = QueryOptions(url="grpc://h/m", text=["a"])
    assert grpc.needs_tensorflow
    assert QueryOptions(saved_model="m", text=["a"]).needs_tensorflow


@pytest.mark.parametrize("body", [{}, {"outputs": None}, {"predictions": [[1.0]]}, {"outputs": 3}])
def test_two_hundred_without_outputs(fake, body):
    client = RestClient(fake.url)
    fake.answers = [(200, body)]
    with pytest.raises(ConnectionError, match="answers without the outputs embedding"):
        client(text=["a"])


def test_server_that_asks_for_an_hour(fake, monkeypatch):
    monkeypatch.setattr("kerasbert.serving.rest_client._LONGEST_WAIT", 0.1)
    client = RestClient(fake.url)
    fake.answers = [(503, {}, [("Retry-After", "3600")]), (200, OUTPUTS)]
    begin = time.monotonic()
    assert client(text=["a"]) == [{"embedding": [0.5, 1.0]}]
    assert 0.1 <= time.monotonic() - begin < 20


def test_names_in_urls():
    assert urls.grpc("grpc://h:1/a%20%22b%22/7") == ("h:1", 'a "b"', 7)
    with pytest.raises(InputError, match=r"/models/NAME, or grpc://HOST:PORT/NAME for gRPC, found"):
        urls.check("h/mine")


def test_connections_of_the_largest_load_test_are_kept(fake):
    most, given = rest_client._CONNECTIONS, {"url": fake.url, "texts": "t"}
    with pytest.raises(InputError, match="num_clients must be"):
        LoadTestOptions(num_clients=most + 1, **given)
    assert LoadTestOptions(num_clients=most, **given).num_clients == most
    with RestClient(fake.url) as client:
        assert client._http.connection_from_url(fake.url).pool.maxsize == most


def test_bytes_that_are_no_text():
    assert rows_of({"x": [[b"a", b"\xff"]]}) == [{"x": ["a", "\ufffd"]}]


class FakePredictions(prediction_service_pb2_grpc.PredictionServiceServicer):
    """Refuses some requests, then answers with `outputs`."""

    signature, outputs, refusals, asked = "serving_default", ("embedding",), 0, 0

    def GetModelMetadata(self, request, context):  # noqa: N802  gRPC's name
        found = get_model_metadata_pb2.SignatureDefMap()
        one = found.signature_def[self.signature]
        one.inputs["text"].name, one.outputs["embedding"].name = "text", "embedding"
        response = get_model_metadata_pb2.GetModelMetadataResponse()
        response.metadata["signature_def"].Pack(found)
        return response

    def Predict(self, request, context):  # noqa: N802  gRPC's name
        self.asked += 1
        if self.asked <= self.refusals:
            context.abort(grpc.StatusCode.UNAVAILABLE, "busy")
        response = predict_pb2.PredictResponse()
        for name in self.outputs:
            response.outputs[name].CopyFrom(tf.make_tensor_proto([[0.5, 1.0]]))
        return response


@pytest.fixture
def fake_grpc():
    predictions = FakePredictions()
    server = grpc.server(concurrent.futures.ThreadPoolExecutor(2))
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(predictions, server)
    predictions.url = f"grpc://127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}/mine"
    server.start()
    yield predictions
    server.stop(None).wait()


def test_large_requests_are_repeated(fake_grpc):
    fake_grpc.refusals = 1
    with GrpcClient(fake_grpc.url) as client:
        assert client(text=["x" * 300_000]) == [{"embedding": [0.5, 1.0]}]
    assert fake_grpc.asked == 2


def test_requests_that_are_larger_than_the_server_reads(fake_grpc):
    with (
        GrpcClient(fake_grpc.url, retries=0) as client,
        pytest.raises(InputError, match=r"RESOURCE_EXHAUSTED: .*larger than max"),
    ):
        client(text=["x" * 5_000_000])


def test_answers_that_lack_something(fake_grpc):
    fake_grpc.outputs = ("others",)
    with (
        GrpcClient(fake_grpc.url) as client,
        pytest.raises(ConnectionError, match="mine: answers without the outputs embedding"),
    ):
        client(text=["a"])
    fake_grpc.signature = "tokens"
    with pytest.raises(InputError, match="mine: the model has no signature serving_default"):
        GrpcClient(fake_grpc.url)


def test_too_long_version():
    for digits in (str(2**63), "9" * 30, "9" * 5000):
        with pytest.raises(InputError, match="a version is at most 9223372036854775807"):
            GrpcClient(f"grpc://localhost:1/mine/{digits}")


@pytest.mark.parametrize("kind", ["rest", "grpc"])
def test_client_closes(server, kind):
    with connect(getattr(server, kind)) as client:
        assert client(text=["a"])[0]["label"] in ("bad", "good")
    if kind == "grpc":
        with pytest.raises(ValueError, match="closed channel"):
            client(text=["a"])


def test_load_test(server, exported_classifier, tmp_path):
    (tmp_path / "texts.txt").write_text("a dog\n" + "word " * 30 + "\n\n" + "long " * 90 + "\n")
    settings = {"texts": str(tmp_path / "texts.txt"), "num_clients": 3, "seconds": 0.5}
    export = {"saved_model": str(exported_classifier)}
    for asked in ({"url": server.rest}, {"url": server.grpc}, export):
        found = load_test(LoadTestOptions(**asked, **settings))
        assert found["errors"] == {}
        assert found["requests"] > 3
        assert list(found["by_words"]) == ["up to 16", "up to 64", "more"]
        for times in (found["milliseconds"], *found["by_words"].values()):
            assert 0 < times["p50"] <= times["p95"] <= times["p99"]


@pytest.mark.parametrize("warm_up_seconds", [0.0, 0.1])
def test_load_test_measures_no_first_call(warm_up_seconds):
    asked = set()

    def client(text):
        if threading.get_ident() not in asked:
            asked.add(threading.get_ident())
            time.sleep(0.4)
        time.sleep(0.01)

    found = measure(
        client, ["text"], ["a"], num_clients=3, seconds=0.2, warm_up_seconds=warm_up_seconds
    )
    assert found["requests"] > 3
    assert found["milliseconds"]["p99"] < 400


def test_programs_close_their_clients(server, tmp_path, monkeypatch):
    (tmp_path / "texts.txt").write_text("a dog\n")
    closed = []
    for kind in (RestClient, GrpcClient):
        monkeypatch.setattr(kind, "close", lambda self: closed.append(self.url))
    for url in (server.rest, server.grpc):
        query(QueryOptions(url=url, text=["a"]))
        load_test(LoadTestOptions(url=url, texts=str(tmp_path / "texts.txt"), seconds=0.1))
        with pytest.raises(InputError, match="--text alone"):
            query(QueryOptions(url=url, text=["a"], text_pair=["b"]))
    assert closed == [server.rest] * 3 + [server.grpc] * 3


def test_load_test_counts_errors(fake, tmp_path):
    (tmp_path / "texts.txt").write_text("a dog\n")
    fake.answers = [(429, {"error": "the queue is full"})]
    options = LoadTestOptions(url=fake.url, texts=str(tmp_path / "texts.txt"), seconds=0.2)
    found = load_test(options)
    ((message, count),) = found["errors"].items()
    assert message.endswith("answers 429: the queue is full")
    assert count == found["requests"] == fake.asked
    assert (found["rows_per_second"], found["milliseconds"]) == (0.0, {})
