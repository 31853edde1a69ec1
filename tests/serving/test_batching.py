import asyncio
import itertools
import threading
import time
from typing import ClassVar

import numpy as np
import pytest
from tensorflow.core.framework import types_pb2
from tensorflow.core.protobuf import meta_graph_pb2

from kerasbert.serving.server import batching, costs, service
from kerasbert.serving.server.batching import Batcher
from kerasbert.serving.server.errors import RequestError
from kerasbert.serving.server.metrics import Metrics

BATCH = 160
TEXT = meta_graph_pb2.TensorInfo(dtype=types_pb2.DT_STRING)
TEXT.tensor_shape.dim.add(size=-1)


@pytest.fixture
def make_batcher():
    made = []

    def make(queue_tokens=10_000, num_threads=1):
        made.append(Batcher(Metrics(), BATCH, queue_tokens, num_threads))
        return made[-1]

    yield make
    for batcher in made:
        batcher.close()


class Compute:
    """Doubles numbers, and remembers the batches; it can be made to wait."""

    def __init__(self):
        self.batches, self.go, self.begun = [], threading.Event(), threading.Semaphore(0)
        self.go.set()

    def __call__(self, inputs):
        self.batches.append(inputs["x"].tolist())
        self.begun.release()
        assert self.go.wait(20)
        if -1 in inputs["x"]:
            raise ValueError("a bad row")
        return {"y": inputs["x"] * 2}


def results(futures):
    return [future.result(20)["y"].tolist() for future in futures]


def submit(batcher, compute, numbers, tokens):
    return batcher.submit(compute, {"x": np.array(numbers)}, [tokens] * len(numbers))


def test_requests_gather_while_others_are_computed(make_batcher):
    batcher, compute = make_batcher(), Compute()
    compute.go.clear()
    first = submit(batcher, compute, [1], 10)
    assert compute.begun.acquire(timeout=20)
    others = [submit(batcher, compute, [n, -2 * n], 10) for n in range(2, 14)]
    compute.go.set()
    assert results(first) == [[2]]
    assert [results(one) for one in others] == [[[2 * n, -4 * n]] for n in range(2, 14)]
    sizes = [len(batch) for batch in compute.batches]
    assert sizes == [1, 16, 8]  # 16 rows of 10 tokens are 160


def test_large_requests_are_cut(make_batcher):
    compute = Compute()
    futures = submit(make_batcher(), compute, list(range(10)), 50)
    assert results(futures) == [[0, 2, 4], [6, 8, 10], [12, 14, 16], [18]]
    assert results(submit(make_batcher(), compute, [3], 1000)) == [[6]]
    assert results(submit(make_batcher(), compute, [], 1)) == [[]]


def test_no_batch_exceeds_the_tokens(make_batcher):
    batcher, compute, numbers = make_batcher(10**6, 3), Compute(), np.random.default_rng(0)
    futures, lengths = [], {}
    for request in range(200):
        rows = [request * 100 + row for row in range(numbers.integers(1, 6))]
        tokens = numbers.integers(1, 300, len(rows)).tolist()
        lengths |= dict(zip(rows, tokens, strict=True))
        futures.append((rows, batcher.submit(compute, {"x": np.array(rows)}, tokens)))
    for rows, parts in futures:
        assert list(itertools.chain(*results(parts))) == [2 * row for row in rows]
    for batch in compute.batches:
        assert len(batch) == 1 or len(batch) * max(lengths[row] for row in batch) <= BATCH


def test_short_rows_do_not_wait_for_long_ones(make_batcher):
    batcher, long, short = make_batcher(num_threads=2), Compute(), Compute()
    long.go.clear()
    slow = [submit(batcher, long, [n], BATCH) for n in range(5)]
    assert long.begun.acquire(timeout=20)
    assert results(submit(batcher, short, [7], 4)) == [[14]]  # long ones still wait
    assert len(long.batches) == 1
    long.go.set()
    assert [results(one) for one in slow] == [[[2 * n]] for n in range(5)]


def test_full_queue(make_batcher):
    batcher, compute = make_batcher(queue_tokens=30), Compute()
    compute.go.clear()
    accepted = [submit(batcher, compute, [1], 100)]
    assert compute.begun.acquire(timeout=20)
    accepted.append(submit(batcher, compute, [2], 50))  # nothing waits: a larger one is taken
    with pytest.raises(RequestError, match="the queue is full") as error:
        submit(batcher, compute, [3], 10)
    assert (error.value.code, error.value.http_status) == ("RESOURCE_EXHAUSTED", 429)
    compute.go.set()
    assert [results(one) for one in accepted] == [[[2]], [[4]]]


def test_one_bad_request_fails_alone(make_batcher):
    batcher, compute = make_batcher(), Compute()
    compute.go.clear()
    first = submit(batcher, compute, [1], 10)
    assert compute.begun.acquire(timeout=20)
    good, bad, fine = (submit(batcher, compute, [n], 10) for n in (2, -1, 3))
    compute.go.set()
    assert [results(one) for one in (first, good, fine)] == [[[2]], [[4]], [[6]]]
    with pytest.raises(ValueError, match="a bad row"):
        results(bad)


def test_close_computes_what_waits(make_batcher):
    batcher, compute = make_batcher(), Compute()
    compute.go.clear()
    futures = [submit(batcher, compute, [n], BATCH) for n in range(4)]
    closing = threading.Thread(target=batcher.close)
    closing.start()
    compute.go.set()
    closing.join(20)
    assert [results(one) for one in futures] == [[[0]], [[2]], [[4]], [[6]]]
    with pytest.raises(RequestError, match="the server is stopping"):
        submit(batcher, compute, [1], 1)


def test_cancelled_requests_are_not_computed(make_batcher):
    """Their thread answers others; as of a client that has gone."""
    batcher, compute = make_batcher(num_threads=2), Compute()
    compute.go.clear()
    running = submit(batcher, compute, [1], BATCH)  # long
    assert compute.begun.acquire(timeout=20)
    waiting = [submit(batcher, compute, [n], BATCH) for n in (2, 3, 4)]
    assert not running[0].cancel()
    assert all(one[0].cancel() for one in waiting[:2])
    compute.go.set()
    assert [results(one) for one in (running, waiting[2])] == [[[2]], [[8]]]
    assert compute.batches == [[1], [4]]
    assert results(submit(batcher, compute, [5], BATCH)) == [[10]]


def test_close_drops_what_waits_too_long(make_batcher):
    batcher, compute = make_batcher(), Compute()
    compute.go.clear()
    running, waiting = (submit(batcher, compute, [n], BATCH) for n in (1, 2))
    assert compute.begun.acquire(timeout=20)
    begin = time.monotonic()
    batcher.close(0.1)
    assert time.monotonic() - begin < 5
    with pytest.raises(RequestError, match="the server has stopped"):
        results(waiting)
    compute.go.set()
    assert results(running) == [[2]]


def test_shapes_are_not_mixed(make_batcher):
    batcher, compute = make_batcher(), Compute()
    compute.go.clear()
    parts = [batcher.submit(compute, {"x": np.ones((2, n))}, [9] * 2) for n in (1, 2, 2, 3)]
    compute.go.set()
    assert [np.shape(results(one)[0]) for one in parts] == [(2, 1), (2, 2), (2, 2), (2, 3)]


def test_parts_are_joined():
    text = [np.array([[b"a", b"b"]], object), np.array([[b"c"], [b"d"]], object)]
    numbers = [np.array([1.0]), np.array([2.0, 3.0])]
    parts = [{"t": t, "n": n} for t, n in zip(text, numbers, strict=True)]
    found = batching.joined(parts, np.array([1, 2, 0]))
    assert found["t"].tolist() == [[b"d", b""], [b"a", b"b"], [b"c", b""]]
    assert found["n"].tolist() == [3.0, 1.0, 2.0]


class Lengths:
    """A model that returns the length of each text, and remembers the batches."""

    metadata: ClassVar = {"task": "TextClassifier", "sequence_length": 100}

    def __init__(self):
        self.batches = []

    def signature(self, name):
        return meta_graph_pb2.SignatureDef(inputs={"text": TEXT})

    def computation(self, name):
        return self.compute

    def compute(self, inputs):
        self.batches.append([len(text) for text in inputs["text"]])
        return {"n": np.array(self.batches[-1])}


@pytest.mark.parametrize("where", [0, 500, 1023])
def test_one_long_row_with_many_short_ones(make_batcher, where):
    """Short ones are not computed as wide as the long one."""
    lengths = [4 + row % 5 for row in range(1024)]
    lengths[where] = 96
    asked, model = np.array([b"x" * length for length in lengths], object), Lengths()
    answers = service.Service(
        None, make_batcher(10**6), Metrics(), max_text_bytes=1000, max_rows=1024
    )
    assert asyncio.run(answers.predict(model, "", {"text": asked}))["n"].tolist() == lengths
    assert [96] in model.batches
    special = 4
    assert all(
        len(batch) * (max(batch) + special) <= BATCH or len(batch) == 1 for batch in model.batches
    )
    assert len(model.batches) < 1024 / 12


def texts(*values):
    return np.array(values, dtype=object)


def test_no_two_rows_of_attention_share_a_batch(make_batcher):
    """Each answer has the square of the tokens, for each head."""
    model, batcher = Lengths(), make_batcher()
    answers = service.Service(None, batcher, Metrics(), max_text_bytes=1000, max_rows=1024)
    held = Compute()
    held.go.clear()
    submit(batcher, held, [1], 1)
    assert held.begun.acquire(timeout=20)

    async def ask():
        row = {"text": texts(b"a dog")}
        names = ("attention", "attention", "", "")
        running = asyncio.gather(*(answers.predict(model, name, row) for name in names))
        while sum(map(len, batcher._waiting.values())) < len(names):
            await asyncio.sleep(0.01)
        held.go.set()
        return await running

    assert len(asyncio.run(ask())) == 4
    assert sorted(model.batches) == [[5], [5], [5, 5]]


def test_costs(tokenizer):
    """They are at least the tokens, and at most the longest row."""
    metadata = {"task": "TextClassifier", "sequence_length": 24}
    samples = ["", "a cat", "größe 中国 é!", "word " * 99, "ﬁ ½ İ 각", "\x00\x01"]
    found = costs.of_rows({"text": texts(*(s.encode() for s in samples))}, metadata)
    counts = [min(24, int(n) + 2) for n in tokenizer.tokenize(samples).row_lengths()]
    assert all(count <= cost <= 24 for count, cost in zip(counts, found, strict=True))
    assert found[1] < 10
    prompted = costs.of_rows({"text": texts(b"a cat")}, {**metadata, "prompt": "query: é "})
    assert prompted == [found[1] + 10]
    windows = {"task": "TextEmbedder", "sequence_length": 24, "long_text": "mean"}
    rows = {"text": texts(b"a" * 15)}
    assert costs.of_rows(rows, windows) == [19]
    assert costs.of_rows(rows, {**windows, "prompt": "query: "}) == [2 * 24]


def test_choices_are_counted():
    choices = np.full((2, 30), b"a", dtype=object)
    assert costs.sequences({"text": texts(b"a", b"b"), "choices": choices}) == 60
    tokens = {"token_ids": np.ones((2, 3, 5), np.int32), "lengths": np.ones((2, 3), np.int32)}
    assert costs.sequences(tokens) == 6
    assert costs.sequences({"text": texts(b"a", b"b")}) == 2


class Widths:
    """A model that returns how much each row has of its only input: texts, or ready features."""

    def __init__(self, metadata, input):
        self.metadata, self._input = metadata, input

    def signature(self, name):
        return meta_graph_pb2.SignatureDef(inputs=self._input)

    def computation(self, name):
        return lambda inputs: {"n": np.array([len(row) for row in next(iter(inputs.values()))])}


IDS = meta_graph_pb2.TensorInfo(dtype=types_pb2.DT_INT32)
for _ in range(2):
    IDS.tensor_shape.dim.add(size=-1)


@pytest.mark.parametrize(
    ("task", "windows"),
    [
        ({"task": "MultipleChoice"}, False),
        ({"task": "TextEmbedder", "long_text": "mean"}, True),
        ({"task": "QuestionAnswerer"}, True),
        ({"task": "TokenClassifier"}, True),
    ],
)
def test_rows_that_are_too_large(make_batcher, task, windows):
    """Texts of tasks with windows have a limit of their own, --max_text_bytes."""
    answers = service.Service(None, make_batcher(), Metrics(), max_text_bytes=10**6, max_rows=9)
    metadata = {"sequence_length": 512, **task}

    def ask(name, info, value):
        model = Widths(metadata, {name: info})
        return asyncio.run(answers.predict(model, "", {name: value}))["n"].tolist()

    most = costs.MOST_TOKENS
    assert ask("token_ids", IDS, np.zeros((1, most), np.int32)) == [most]
    with pytest.raises(RequestError, match="a row may have 65,537 tokens, in all of its choices"):
        ask("token_ids", IDS, np.zeros((1, most + 1), np.int32))
    long = texts(b"x" * (most + 1))
    assert ask("text", TEXT, long) == [most + 1]
    assert costs.are_cut({"text": long}, metadata) == windows


def test_costs_of_lists_and_tokens():
    metadata = {"task": "MultipleChoice", "sequence_length": 24}
    choices = np.array([[b"abc", b"", b"d" * 50]], dtype=object)
    inputs = {"text": texts(b"0123"), "choices": choices}
    assert costs.of_rows(inputs, metadata) == [(4 + 3 + 4) + (4 + 4) + 24]
    tokens = {"token_ids": np.ones((2, 3, 5), np.int32), "lengths": np.ones((2, 3), np.int32)}
    assert costs.of_rows(tokens, metadata) == [15, 15]
    windows = {"question": texts(b"who?"), "context": texts(b"c" * 100)}
    metadata = {"task": "QuestionAnswerer", "sequence_length": 24}
    assert costs.of_rows(windows, metadata) == [(1 + 9) * 24]  # 84 bytes more, in steps of 10
    assert costs.of_rows(windows, {**metadata, "stride": 4}) == [(1 + 21) * 24]
    assert costs.of_rows({"text": texts(b"a")}, {**metadata, "task": "TokenClassifier"}) == [5]
