import json
import os
import pathlib
import subprocess
import sys
import time

import numpy as np
import pytest

from benchmarks import before, importing, matmul, report
from benchmarks import benchmark_gpu as module
from benchmarks.benchmark import benchmark
from benchmarks.benchmark_gpu import benchmark_gpu
from benchmarks.options import (
    PEERS,
    BenchmarkGpuOptions,
    BenchmarkOptions,
    BenchmarkScalingOptions,
)
from benchmarks.timing import Candidate, Timings, compare, fastest
from benchmarks.workload import Workload
from kerasbert.errors import InputError


def sleeper(seconds, answer):
    return lambda: time.sleep(seconds), answer


def breaks():
    raise RuntimeError("out of luck")


def side(library, setting, seconds, answer=None):
    return Candidate(library, setting, sleeper, (seconds, answer))


def test_candidates_run_in_turn_in_their_own_processes(tmp_path):
    sides = [side("a", "", 0.05, 3), side("b", "", 0.2, [4])]
    times = compare(sides, 3, tmp_path)
    assert [len(one.seconds) for one in times.values()] == [3, 3]
    assert [one.answer for one in times.values()] == [3, [4]]
    assert all(second >= 0.05 for second in times["a"].seconds)
    assert np.median(times["a"].ratios(times["b"])) > 1.5
    assert all(one.peak_memory > 1e6 for one in times.values())


def asks_for(variable):
    return lambda: None, os.environ.get(variable)


def test_candidates_have_their_own_environment(tmp_path):
    variable = "KERASBERT_TEST"
    sides = [
        Candidate("a", "", asks_for, (variable,), environment={variable: "yes"}),
        Candidate("b", "", asks_for, (variable,)),
    ]
    times = compare(sides, 1, tmp_path)
    assert [one.answer for one in times.values()] == ["yes", None]


def test_the_fastest_setting_of_each_library_is_compared(tmp_path):
    sides = [side("a", "slow", 0.3), side("a", "quick", 0.01), side("b", "", 0.01)]
    best, tried = fastest(sides, 2, tmp_path)
    assert [one.name for one in best] == ["a quick", "b"]
    assert tried.keys() == {"a slow", "a quick"}


def test_a_failing_candidate_leaves_a_log(tmp_path, capsys):
    broken = Candidate("b", "x", breaks)
    best, _ = fastest([side("a", "", 0.01), broken, Candidate("b", "y", breaks)], 1, tmp_path)
    assert [one.name for one in best] == ["a"]
    assert compare([side("a", "", 0.01), broken], 1, tmp_path).keys() == {"a"}
    assert "b x stopped" in capsys.readouterr().err
    assert "out of luck" in (tmp_path / "b-x.log").read_text()
    with pytest.raises(InputError, match=r"b x stopped; .*b-x\.log says why"):
        compare([broken], 1, tmp_path)


def test_nothing_is_compared_with_what_stopped(tmp_path, monkeypatch):
    sides = [Candidate("kerasbert", "", breaks), side("peer", "", 0.01)]
    work = [Workload(title="an import", candidates=sides)]
    monkeypatch.setattr(importing, "suite", lambda options, directory: work)
    options = BenchmarkOptions(suite="import", peers="none", rounds=1, output=str(tmp_path))
    with pytest.raises(InputError, match=r"kerasbert stopped in 'an import'; .*logs says why"):
        benchmark(options)


@pytest.mark.parametrize("where", ["scripts/benchmarks", "kerasbert/recipes/benchmark"])
def test_the_code_of_another_checkout(where, tmp_path):
    for package in ("kerasbert", "kerasbert/recipes", where):
        (tmp_path / package).mkdir(parents=True, exist_ok=True)
        (tmp_path / package / "__init__.py").touch()
    code = "import kerasbert\n\ndef importing(modules):\n    return lambda: 0, kerasbert.__file__"
    (tmp_path / where / "importing.py").write_text(code)
    sides = [Candidate("kerasbert", "", importing.importing, ("sys",)), side("peer", "", 0.01)]
    times = compare(before.beside(sides, str(tmp_path)), 1, tmp_path)
    assert [(name, one.answer) for name, one in times.items()] == [
        ("kerasbert", None),
        ("peer", None),
        ("before", str(tmp_path / "kerasbert" / "__init__.py")),
    ]


def test_flops_of_an_encoder_match_its_kernels():
    from kerasbert import BackboneConfig  # not at the top: candidates' processes import this file

    config = BackboneConfig(
        vocabulary_size=50, num_layers=3, hidden_dim=8, num_heads=2, intermediate_dim=20
    )
    # Each kernel once per token; scores and mixtures of 5 and 7 tokens with each other.
    kernels = 3 * (4 * 8 * 8 + 2 * 8 * 20)
    attention = 3 * 2 * (5**2 + 7**2) * 8
    pooler = 2 * 8 * 8
    assert matmul.encoder_flops(config, [5, 7]) == 2 * (12 * kernels + attention + pooler)
    assert matmul.masked_head_flops(config, 4) == 2 * 4 * (8 * 8 + 8 * 50)


def test_report(tmp_path):
    times = {
        "kerasbert bfloat16": Timings([1.0, 2.0, 3.0], 10**9, 0.5),
        "ceiling bfloat16": Timings([0.5, 1.0, 1.0], 10**9, 4e9),
        "kerashub bfloat16": Timings([3.0, 3.0, 3.0], 2 * 10**9, 0.7),
    }
    work = Workload(
        title="a step", candidates=[], compare=lambda a, b: f"{b - a:.1f}", tokens=8, flops=8e9
    )
    found = report.results(work, times)
    ours, ceiling, theirs = found.values()
    assert (ours.tokens_per_second, ours.gigaflops, ours.share_of_ceiling) == (4, 4, 0.5)
    assert theirs.ratio == (1.5, 1.0, 3.0)
    assert (ours.says, ceiling.says, theirs.says) == ("0.0", None, "0.2")
    table = report.table("a step", found)
    assert "| kerashub bfloat16 | 3000 (3000 to 3000) | 1.50 (1.00 to 3.00) |" in table
    report.picture(["a step"], [found], tmp_path / "picture.png")
    assert (tmp_path / "picture.png").read_bytes().startswith(b"\x89PNG")


def test_candidates_with_other_tokens_are_compared_per_token():
    times = {
        "kerasbert": Timings([2.0, 2.0], 1, 0.5),  # half of the positions are not padding
        "kerashub": Timings([4.0, 8.0], 1, 0.25),
    }
    work = Workload(title="documents", candidates=[], tokens=lambda share: 80 * share)
    ours, theirs = report.results(work, times).values()
    assert (ours.tokens_per_second, theirs.tokens_per_second) == (20, 20 / 6)
    assert (ours.ratio, theirs.ratio) == ((1, 1, 1), (6, 4, 8))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"suite": "sleep"}, "--suite must be one of .*'sleep'"),
        ({"suite": "pretrain", "peers": "kerashub,me"}, "--peers must be of .*'me'"),
        ({"suite": "pretrain", "rounds": 0}, "--rounds must be 1 or more, found 0"),
        ({"suite": "pretrain", "precision": "int8"}, "--precision must be .*'int8'"),
        ({"suite": "pretrain", "backend": "torch"}, "--backend must be .*'torch'"),
        ({"suite": "serve", "peers": "none", "backend": "jax"}, "--backend is for"),
        ({"suite": "tokenize", "peers": "none"}, "needs --vocab and --input"),
        ({"suite": "serve", "peers": "none"}, "needs --vocab"),
        ({"suite": "finetune", "peers": "none"}, "needs one --input"),
        ({"suite": "pretrain", "peers": "none", "input": ["x"]}, "with --input needs --vocab"),
    ],
)
def test_bad_options(options, message, tmp_path):
    with pytest.raises(InputError, match=message):
        benchmark(BenchmarkOptions(output=str(tmp_path / "out"), **options))


def test_a_missing_peer_is_named(monkeypatch):
    monkeypatch.setitem(PEERS, "kerashub", ("no_such_package",))
    with pytest.raises(InputError, match=r"kerashub needs no_such_package; pip install 'kerasbert"):
        BenchmarkOptions(suite="pretrain").check()


@pytest.mark.weekly
@pytest.mark.full  # five processes; comparing and reporting are tested above
def test_tokenize(vocabulary, corpus_files, tmp_path):
    vocab = tmp_path / "vocab.txt"
    vocab.write_text("\n".join(vocabulary) + "\n")
    result = benchmark(
        BenchmarkOptions(
            suite="tokenize",
            peers="none",
            vocab=str(vocab),
            input=[str(corpus_files[0])],
            rounds=1,
            output=str(tmp_path),
        )
    )
    found, prepared = result["results"].values()
    for method in ("encode_batch", "encode_batch_fast"):
        assert found[f"tokenizers.{method}"]["says"].startswith("0 of ")
    assert prepared["kerasbert tokenizer"]["tokens_per_second"] > 0
    assert found["kerasbert"]["tokens_per_second"] > 0
    written = json.loads((tmp_path / "tokenize.json").read_text())
    assert written == json.loads(json.dumps({k: v for k, v in result.items() if k != "files"}))
    assert {path.rsplit(".")[-1] for path in result["files"]} == {"json", "md", "png"}


_WITHOUT_TENSORFLOW = """
import sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("tensorflow", "tensorflow_text"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Missing())
"""


@pytest.mark.weekly
@pytest.mark.full  # three processes
def test_pretraining_on_jax_where_tensorflow_is_not_installed(tmp_path):
    pytest.importorskip("jax")
    (tmp_path / "sitecustomize.py").write_text(_WITHOUT_TENSORFLOW)
    paths = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    program = pathlib.Path(__file__).resolve().parents[2] / "scripts" / "benchmark.py"
    flags = "--suite=pretrain --peers=none --backend=jax --precision=float32 --rounds=1 "
    flags += f"--layers=1 --hidden=64 --batch_size=2 --length=16 --output={tmp_path}"
    child = subprocess.run(
        [sys.executable, program, *flags.split()],
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
    )
    assert child.returncode == 0, child.stderr
    (found,) = json.loads(child.stdout.splitlines()[-1])["results"].values()
    assert found["kerasbert float32"]["seconds"]


@pytest.mark.weekly
@pytest.mark.full  # a dozen processes
def test_the_rehearsal_of_a_gpu_s_comparisons(tmp_path):
    pytest.importorskip("jax")
    result = benchmark_gpu(BenchmarkGpuOptions(output=str(tmp_path), rehearse=True, minutes=30))
    assert set(result["not_measured"]) <= {"transformers"}  # the extra dev has it
    first, _, _, _, *rows = (tmp_path / "table.md").read_text().splitlines()
    assert "keras " in first
    rows = [row.removeprefix("| ") for row in rows if row.startswith("| ")]
    step = "pretraining, 1 x 64, 2 x 16, "
    assert rows[0].startswith(f"{step}jax, kerasbert")
    assert rows[1].startswith(f"{step}tensorflow, kerasbert")
    assert [row.split(",")[0] for row in rows[2:]] == ["fine-tuning", *["answering"] * 3]
    assert all("kerashub" in row for row in rows)
    assert json.loads((tmp_path / "gpu.json").read_text()) == json.loads(json.dumps(result))


_SIDE = {
    "seconds": [0.5, 0.4, 0.6],
    "ratio": [1.0, 1.0, 1.0],
    "tokens_per_second": 4096.0,
    "gigaflops": 350_000.0,
    "share_of_ceiling": 0.5,
    "peak_memory": 20 * 10**9,
}
_OTHER = {**_SIDE, "ratio": [1.5, 1.4, 1.6], "share_of_ceiling": 1 / 3}
_PEAK = {**_SIDE, "gigaflops": 700_000.0}
_FAKE = """
import json, pathlib, sys

flags = dict(word.removeprefix("--").split("=", 1) for word in sys.argv[1:])
if flags.get("backend") == "jax":
    sys.exit("a long story\\nerror: out of memory")
output = pathlib.Path(flags["output"])
output.mkdir()
written = {"machine": MACHINE, "results": {"a step": SIDES}}
(output / (flags["suite"] + ".json")).write_text(json.dumps(written))
"""


def test_a_comparison_that_fails_is_one_line(tmp_path, monkeypatch):
    machine = {"processor": "p", "cores": 16, "gpu": "NVIDIA H200", "python": "3", "keras": "3.15"}
    sides = {"kerasbert XLA": _SIDE, "ceiling bfloat16": _PEAK, "kerashub XLA": _OTHER}
    fake = tmp_path / "fake.py"
    fake.write_text(_FAKE.replace("MACHINE", repr(machine)).replace("SIDES", repr(sides)))
    monkeypatch.setattr(module, "_BENCHMARK", fake)
    options = {"models": ["24x1024"], "lengths": ["512"], "parts": ["pretrain"], "peers": "none"}
    output = tmp_path / "out"
    benchmark_gpu(BenchmarkGpuOptions(output=str(output), **options))
    assert (output / "table.md").read_text().splitlines() == [
        "NVIDIA H200, 16 cores, keras 3.15",
        "",
        "| what | time | tokens/s | of peak | memory, GB | others, relative time and memory |",
        "|---|---|---|---|---|---|",
        "| pretraining, 24 x 1024, 32 x 512, tensorflow, kerasbert XLA | 500 ms | 4,096 | "
        "50% of 700 TFLOP/s | 20.0 | kerashub XLA 1.50 x (1.40 to 1.60), 33% of peak, 20.0 GB |",
        "",
        "- not measured: pretraining, 24 x 1024, 32 x 512, jax: error: out of memory",
    ]


def test_a_gpu_s_table_is_whole_or_the_last_one(full_disk, tmp_path):
    found = {"machine": None, "not_measured": {}}
    module.write(tmp_path, found, ["| a row |"])
    before = {path.name: path.read_text() for path in tmp_path.iterdir()}
    with full_disk(20), pytest.raises(InputError, match=r"table\.md can't be written"):
        module.write(tmp_path, found, ["| a row |", "| another |"])
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == before


def test_a_gpu_s_comparisons_end_in_time(tmp_path):
    """One that takes too long is ended with all its processes, and is named."""
    options = {"models": ["1x64"], "lengths": ["16"], "peers": "none"}
    result = benchmark_gpu(BenchmarkGpuOptions(output=str(tmp_path), minutes=1e-4, **options))
    first, *later = result["not_measured"].items()
    assert first == ("pretraining, 1 x 64, 1024 x 16, jax", "stopped after 0 s")
    assert [why for _, why in later] == ["no time was left"] * 3
    options |= {"part_minutes": 1e-4, "parts": ["answer"]}
    result = benchmark_gpu(BenchmarkGpuOptions(output=str(tmp_path), **options))
    assert list(result["not_measured"].values()) == ["stopped after 0 s"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"models": ["base"]}, "--models must be LAYERSxHIDDEN"),
        ({"lengths": ["x"]}, "--lengths"),
        ({"parts": ["sleep"]}, "--parts must be of pretrain, finetune, answer, found 'sleep'"),
        ({"backends": ["torch"]}, "--backends must be of tensorflow, jax, found 'torch'"),
        ({"peers": "kerashub,me"}, "--peers must be of .*, found 'me'"),
    ],
)
def test_bad_options_on_a_gpu(options, message):
    with pytest.raises(InputError, match=message):
        BenchmarkGpuOptions(**options)


@pytest.mark.weekly
@pytest.mark.full  # two processes, each on a core
def test_scaling():
    from benchmarks.benchmark_scaling import WAYS, benchmark_scaling  # imports Keras

    if len(os.sched_getaffinity(0)) < 2:
        pytest.skip("needs two cores")
    options = {"preset": "bert_tiny", "batch_size": 2, "sequence_length": 16, "steps": 2}
    result = benchmark_scaling(BenchmarkScalingOptions(repeats=2, vocabulary_size=100, **options))
    rates, ratios = result["examples_per_second"], result["efficiency_by_round"]
    assert {way: len(found) for way, found in rates.items()} == dict.fromkeys(WAYS, 2)
    assert ratios[1] == pytest.approx(rates["together"][1] / (2 * rates["alone"][1]), abs=0.01)
    assert result["efficiency"] == pytest.approx(np.mean(ratios))
