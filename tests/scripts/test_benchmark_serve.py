"""The comparisons of exports with other libraries, and of the server with the bare SavedModel."""

import dataclasses
import json
import time

import pytest

from benchmarks import benchmark_server as server_module
from benchmarks import report, runtime_exports, serve
from benchmarks.benchmark import benchmark
from benchmarks.benchmark_server import benchmark_server
from benchmarks.options import (
    PEERS,
    BenchmarkOptions,
    BenchmarkServerOptions,
    missing_packages,
)
from benchmarks.timing import Candidate, Timings, compare_parts, in_process
from benchmarks.workload import Part, Workload
from kerasbert.errors import InputError


def sleeps(*seconds):
    return [lambda one=one: time.sleep(one) for one in seconds], [[one] for one in seconds]


def fails(message):
    raise RuntimeError(message)


def side(library, *seconds):
    return Candidate(library, "float32", sleeps, seconds)


def test_parts_are_timed_alone_in_the_same_processes(tmp_path):
    short, long = compare_parts([side("a", 0.01, 0.1), side("b", 0.1, 0.01)], 3, tmp_path, [2, 1])
    assert [short[name].answer for name in ("a float32", "b float32")] == [[0.01], [0.1]]
    assert [long[name].answer for name in ("a float32", "b float32")] == [[0.1], [0.01]]
    for times, more in ((short, "b"), (long, "a")):
        assert all(len(one.seconds) == 3 for one in times.values())
        assert max(times, key=lambda name: times[name].median) == f"{more} float32"
    assert short["a float32"].peak_memory == long["a float32"].peak_memory > 1e6


def test_a_process_that_fails_leaves_a_log(tmp_path):
    assert in_process(max, 3, 4, log=tmp_path / "a") == 4
    with pytest.raises(InputError, match=r"fails failed \(RuntimeError: out of luck\); .*b says"):
        in_process(fails, "out of luck", log=tmp_path / "b")
    assert "in fails" in (tmp_path / "b").read_text()


def timings(*seconds, answer=0.5):
    return Timings(list(seconds), 1, [[answer, 1 - answer]])


def test_the_fastest_right_candidates_are_compared():
    times = {
        "kerasbert SavedModel float32": timings(3, 4, 5),
        "kerasbert ONNX float32": timings(0.1, 0.1, 0.1, answer=0.7),  # wrong
        "before SavedModel float32": timings(1, 1, 1),
        "kerasbert OpenVINO float32": timings(2, 2, 2),
        "onnxruntime float32": timings(4, 4, 2),
        "openvino float32": timings(9, 9, 9),
    }
    right = [[0.5, 0.5]]
    work = Workload(
        title="x",
        candidates=[],
        goal=0.8,
        accepts=lambda answer: serve._is_right(right, 0.02, answer),
    )
    assert report.verdict(work, times) == (
        "kerasbert OpenVINO float32 takes 0.50 (0.50 to 1.00) of the time of onnxruntime float32; "
        "the goal of 0.8 is met"
    )
    assert "is missed" in report.verdict(dataclasses.replace(work, goal=0.4), times)
    assert report.verdict(dataclasses.replace(work, goal=None), times) is None
    ours = {name: one for name, one in times.items() if name.startswith("kerasbert")}
    assert report.verdict(work, ours) is None


def test_differences_are_those_from_the_model():
    right = [[0.25, 0.75], [0.5, 0.5]]
    close, far = [[0.26, 0.74], [0.5, 0.5]], [[0.5, 0.5], [0.25, 0.75]]
    assert [serve._is_right(right, 0.02, one) for one in (right, close, far)] == [True, True, False]
    assert serve._says(right, 0.02, far, close) == (
        "scores differ by 1.0e-02 from the model's (at most 0.02)"
    )
    assert serve._says(right, 0.02, close, far).startswith("WRONG: scores differ by 2.5e-01 ")


def test_an_interrupted_run_is_continued(tmp_path, monkeypatch):
    measured = []

    def suite(options, directory):
        for title, seconds in (("a", 0.01), ("b", 0.02)):
            if title == "b" and len(measured) == 1:
                measured.append("stopped")
                raise InputError("stopped")
            parts = [Part(title="first"), Part(title="second", accepts=lambda answer: True)]
            candidates = [side("kerasbert x", seconds, seconds), side("peer", 0.05, 0.05)]
            measured.append(title)
            (directory / title).touch()
            yield Workload(title=title, candidates=candidates, parts=parts, goal=0.8)

    monkeypatch.setattr(serve, "suite", suite)
    flags = {"suite": "serve", "peers": "none", "rounds": 1, "output": str(tmp_path)}
    options = BenchmarkOptions(**flags, resume=True)
    with pytest.raises(InputError, match="stopped"):
        benchmark(options)
    first = json.loads((tmp_path / "serve.json").read_text())
    assert [*first["results"]] == ["first, a", "second, a"]
    assert "second, a" in (tmp_path / "serve.md").read_text()
    result = benchmark(options)
    assert [*result["results"]] == ["first, a", "second, a", "first, b", "second, b"]
    assert {name: result["results"][name] for name in first["results"]} == first["results"]
    assert (tmp_path / "models" / "b").exists()
    assert all("is met" in verdict for verdict in result["verdicts"].values())
    assert "is met" in (tmp_path / "serve.md").read_text()
    with pytest.raises(InputError, match=r"--resume: .*measured with another options; remove it"):
        benchmark(dataclasses.replace(options, rounds=2))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"suite": "tokenize", "resume": True}, "--resume is for --suite=serve"),
        ({"suite": "serve", "precision": "int8"}, "--precision=int8 needs --peers=onnxruntime"),
        ({"suite": "serve", "precision": "int4"}, "float32 or bfloat16 or int8, found 'int4'"),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(InputError, match=message):
        BenchmarkOptions(peers="none", **options).check()


def test_precisions():
    options = BenchmarkOptions(suite="serve", peers="transformers")
    assert options.serving_precisions == ("float32", "bfloat16")
    options = BenchmarkOptions(suite="serve", peers="onnxruntime,openvino")
    assert options.serving_precisions == ("float32", "bfloat16", "int8")


def test_exports_are_made_after_those_they_need(tmp_path):
    missing = runtime_exports.missing(tmp_path, "int8", ["onnxruntime", "openvino"])
    assert missing == [
        "peer_onnx_float32",
        "peer_onnx_int8",
        "peer_onnx_optimized",
        "peer_onnx_optimized_int8",
        "peer_openvino_float32",
        "peer_openvino_int8",
        "peer_openvino_weights",
    ]
    (tmp_path / "peer_onnx_float32").mkdir()
    assert runtime_exports.missing(tmp_path, "float32", ["onnxruntime"]) == ["peer_onnx_optimized"]
    assert runtime_exports.missing(tmp_path, "bfloat16", ["transformers", "onnxruntime"]) == []


@pytest.mark.weekly
@pytest.mark.full  # a dozen processes, and those of the peers that are installed
def test_serve(vocabulary, tmp_path):
    vocab = tmp_path / "vocab.txt"
    vocab.write_text("\n".join(vocabulary) + "\n")
    peers = [peer for peer in PEERS if not missing_packages(peer)]
    options = BenchmarkOptions(
        suite="serve",
        peers=",".join(peers) or "none",
        vocab=str(vocab),
        layers=2,
        hidden=64,
        rounds=1,
        precision="float32",
        output=str(tmp_path),
    )
    found = benchmark(options)
    assert [*found["results"]] == [
        f"{title}, float32, 2 x 64"
        for title in ("1 text of 20 words", "1 text of 100 words", "32 texts of 5 to 100 words")
    ]
    names = {"kerasbert SavedModel float32", *(f"{peer} float32" for peer in peers)}
    for sides in found["results"].values():
        assert names <= sides.keys()
        assert all(one["says"].startswith("scores differ") for one in sides.values())


# === The server ===

_TIMES = {"p50": 10.0, "p95": 20.0, "p99": 25.0}


def rounds(*rates, **times):
    return [{"rows_per_second": rate, "milliseconds": {**_TIMES, **times}} for rate in rates]


def test_goals_of_the_server():
    sides = {"SavedModel": rounds(100, 90), "serve a": rounds(95, 90), "serve b": rounds(80, 70)}
    sides["serve b"][1]["milliseconds"]["p99"] = 90.0
    lines = server_module._table("2 x 128", {"16": sides, "1": sides}).splitlines()
    (row,) = (line for line in lines if line.startswith("| 16 | serve a |"))
    assert row.split(" | ")[2:] == [
        "92.5 (90 to 95)",
        "0.975 (0.95 to 1)",
        "10",
        "20",
        "25",
        "2.5 (2.5 to 2.5) |",
    ]
    assert lines[-2:] == [
        "serve a, 16 clients: 0.97 of the rows/s, at least 0.9: met; p99 is 2.50 x p50, at most 3: "
        "met",
        "serve b, 16 clients: 0.79 of the rows/s, at least 0.9: missed; p99 is 5.75 x p50, at most "
        "3: missed",
    ]


@pytest.mark.parametrize("options", [{"models": ["tiny"]}, {"clients": ["x"]}, {"models": ["0x1"]}])
def test_bad_options_of_the_server(options):
    with pytest.raises(InputError, match=r"--(models must be LAYERSxHIDDEN|clients must be)"):
        BenchmarkServerOptions(**options)


@pytest.mark.weekly
@pytest.mark.full  # four processes
def test_benchmark_server(tmp_path):
    options = {"models": ["1x64"], "clients": ["4"], "batch_tokens": ["512"]}
    found = benchmark_server(
        BenchmarkServerOptions(output=str(tmp_path), seconds=1.0, rounds=1, **options)
    )
    (sides,) = found["results"]["1 x 64, float32"].values()
    assert [*sides] == ["SavedModel", "serve --max_batch_tokens=512"]
    assert all(one["rows_per_second"] > 0 for (one,) in sides.values())
    assert json.loads((tmp_path / "server.json").read_text())["machine"]["processor"]
