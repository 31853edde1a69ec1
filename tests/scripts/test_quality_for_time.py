import pytest

from benchmarks import quality_for_time as module
from benchmarks.options import QualityForTimeOptions
from kerasbert import InputError


def test_contenders():
    given = ["default", "kerashub", "a=--recipe=fast --phase 0.9:512:16"]
    assert [module._parsed(text) for text in given] == [
        ("default", []),
        ("kerashub", []),
        ("a", ["--recipe=fast", "--phase", "0.9:512:16"]),
    ]
    for wrong in ("fast", "a/b=--recipe=fast", "=--recipe=fast"):
        with pytest.raises(InputError, match="--contender must be default, kerashub or NAME=FLAGS"):
            module._parsed(wrong)


def test_the_clock_does_not_stop(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    clock = module.Clock(60)

    def work(seconds):
        now[0] += seconds
        return seconds

    assert clock.stage("vocabulary", work, 20) == 20
    now[0] += 5
    assert clock.stage("pretraining", work, 40) == 40  # is reported, although it took too long
    assert (clock.seconds, clock.left) == (65, -5)
    assert clock.stages == {"vocabulary": 20, "pretraining": 40}
    with pytest.raises(InputError, match="the time was over after corpus"):
        clock.stage("corpus", work, 1)


def test_the_table(tmp_path, corpus_dir):
    results = {
        "default": {
            "seconds": 90,
            "steps": 1200,
            "held_out_loss": 3.5,
            "mean": 60.0,
            "scores": {"RTE": 55.0, "STS-B": 65.0},
        },
        "kerashub": {
            "seconds": 60,
            "steps": 7,
            "mean": 50.04,
            "scores": {"RTE": 50.0, "STS-B": 50.08},
        },
    }
    assert module._table(results) == [
        "| contender | minutes | steps | held-out loss | RTE | STS-B | mean |",
        "|---|---|---|---|---|---|---|",
        "| default | 1.5 | 1,200 | 3.500 | 55.0 | 65.0 | 60.0 |",
        "| kerashub | 1.0 | 7 | – | 50.0 | 50.1 | 50.0 |",
    ]
    options = QualityForTimeOptions(
        input=["x"], held_out=["y"], data="d", output=str(tmp_path), rows=["MNLI"]
    )
    with pytest.raises(InputError, match="no row 'MNLI'; there are SST-2, RTE, STS-B"):
        module.quality_for_time(options)
