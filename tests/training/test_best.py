import json
import math

import pytest

from kerasbert import InputError
from kerasbert.training.best import SaveBestModel
from kerasbert.training.run_directory import CHECKPOINTS, RunDirectory


class Saved:
    """Stands in for a model: what it saves says when."""

    class optimizer:  # noqa: N801
        use_ema = False

        class iterations:  # noqa: N801
            numpy = staticmethod(lambda: 1)

        skipped_steps = iterations

    def __init__(self):
        self.trainable_variables = []

    def save_to_preset(self, path):
        path.mkdir(parents=True)
        (path / "weights").write_text(path.name)


@pytest.fixture
def run(tmp_path):
    return RunDirectory(tmp_path / "run", {})


def reported(run, metric, values, patience=0, first=1):
    best = SaveBestModel(run, metric, patience)
    best.set_model(Saved())
    stop_training = []
    for step, value in enumerate(values, start=first):
        run.report(step=step, **{metric: value})
        best.on_epoch_end(0)
        stop_training.append(best.stop_training)
    return best, stop_training


@pytest.mark.parametrize(
    ("metric", "values", "step"),
    [
        ("val_loss", [3.0, 1.0, 2.0, 1.0], 2),
        ("val_accuracy", [0.3, 0.1, 0.5, 0.4], 3),
        ("val_perplexity", [9.0, 8.0, 7.0], 3),
        ("val_mse", [3.0, 1.0, 2.0], 2),
        ("val_mae", [3.0, 1.0, 2.0], 2),
        ("val_pearson", [math.nan, -0.5, math.nan], 2),
        ("val_loss", [math.nan, math.nan], 1),
    ],
)
def test_the_best_is_kept_and_moved(run, metric, values, step):
    best, stop_training = reported(run, metric, values)
    assert not any(stop_training)
    assert [path.name for path in run.best.iterdir()] == [f"step-{step:010d}"]
    assert best.report["step"] == step
    best.move_to(run.model)
    assert (run.model / "weights").read_text() == f"step-{step:010d}"
    assert not run.best.exists()


def test_files_of_others_stay(run):
    run.best.mkdir()
    (run.best / "mine").mkdir()
    (run.best / ".step-0000000009.12.tmp").mkdir()
    (run.best / ".step-0000000009.lock").write_text("")
    best, _ = reported(run, "val_f1", [0.1, 0.4, 0.3])
    assert sorted(path.name for path in run.best.iterdir()) == ["mine", "step-0000000002"]
    best.move_to(run.model)
    assert [path.name for path in run.best.iterdir()] == ["mine"]


def test_patience(run):
    _, stop_training = reported(run, "val_f1", [0.1, 0.4, 0.3, 0.4, 0.9], patience=2)
    assert stop_training == [False, False, False, True, False]


def test_a_run_that_comes_by_again_writes_the_same(run):
    reported(run, "val_f1", [0.1, 0.2])
    run.best.joinpath("step-0000000003").mkdir()
    reported_again = SaveBestModel(run, "val_f1")
    reported_again.set_model(Saved())
    run.report(step=3, val_f1=0.9)
    reported_again.on_epoch_end(0)
    assert [path.name for path in run.best.iterdir()] == ["step-0000000003"]
    assert (run.best / "step-0000000003" / "weights").exists()


def test_the_best_model_of_a_checkpoint_stays(run):
    """A run that is killed and resumes there may find no better one again."""

    def kept():
        return sorted(int(path.name.removeprefix("step-")) for path in run.best.iterdir())

    reported(run, "val_f1", [0.1, 0.3])
    (run.path / CHECKPOINTS / "step-0000000003").mkdir(parents=True)
    reported(run, "val_f1", [0.2, 0.4, 0.5], first=3)
    assert kept() == [2, 5]

    run = RunDirectory(run.path, {}, step=3)
    best, _ = reported(run, "val_f1", [0.2, 0.2], first=4)
    assert (kept(), best.path.name) == ([2], "step-0000000002")
    best.move_to(run.model)
    assert not run.best.exists()


def test_unknown_metric_is_named(run):
    run.report(step=1, seconds=0.1, loss=2.0)
    with pytest.raises(InputError, match="no metric 'val_f1' to monitor; there are loss"):
        _ = SaveBestModel(run, "val_f1", 1).stop_training


def test_metrics_are_json(run):
    run.report(step=1, val_pearson=math.nan)
    line = (run.path / "metrics.jsonl").read_text()
    assert json.loads(line, parse_constant=pytest.fail) == {"step": 1, "val_pearson": None}
    (report,) = RunDirectory(run.path, {}, step=1).reports()
    assert math.isnan(report["val_pearson"])
    assert (run.path / "metrics.jsonl").read_text() == line


def test_evaluations_of_the_run_that_is_continued_do_not_count(run):
    run.report(step=1, val_loss=0.1)
    run.report(step=2, loss=3.0)
    best = SaveBestModel(run, "val_loss", patience=2, after=2)
    best.set_model(Saved())
    assert not best.stop_training
    stop_training = []
    for step, value in [(3, 5.0), (4, 6.0), (5, 7.0)]:
        run.report(step=step, val_loss=value)
        best.on_epoch_end(0)
        stop_training.append(best.stop_training)
    assert stop_training == [False, False, True]
    assert best.report["step"] == 3
    best.move_to(run.model)
    assert (run.model / "weights").read_text() == "step-0000000003"
