"""What a run writes down between its reports, and the picture of it."""

import dataclasses
import shutil

import matplotlib.figure
import pytest

from kerasbert import InputError
from kerasbert.recipes.options import FinetuneOptions
from kerasbert.training import curves
from kerasbert.training.run_directory import (
    METRICS,
    ReportMetrics,
    RunDirectory,
    refuse_finished,
    refuse_foreign,
    remove_leftovers,
)

# Of every step the mean loss and the examples; a report ends each row.
STRETCHES = [[(3.0, 4), (2.0, 4), (2.5, 2), (1.0, 4), (0.5, 4)], [(0.25, 4), (4.0, 4), (1.5, 1)]]


class Fit:
    """Stands in for Keras's `fit`: running means since the last report, examples since ever."""

    def __init__(self, run, loss_every):
        self.callback = ReportMetrics(run, "a run", loss_every=loss_every)
        self.step = 0

    def go(self, stretches, first=0, last=10**6):
        """Calls back after the steps from number `first` on that are no later than `last`."""
        examples = 0
        for stretch in stretches:
            total = weight = 0.0
            for loss, count in stretch:
                self.step, examples = self.step + 1, examples + count
                total, weight = total + loss * count, weight + count
                logs = {"loss": total / weight, "examples": examples, "tokens": 1, "positions": 1}
                if first < self.step <= last:
                    self.callback.on_train_batch_end(self.step - 1, logs)
            if first < self.step <= last:
                self.callback.on_epoch_end(0, {**logs, "val_loss": 1.0})


@pytest.mark.parametrize(
    ("every", "expected"),
    [
        (1, {1: 3.0, 2: 2.0, 3: 2.5, 4: 1.0, 5: 0.5, 6: 0.25, 7: 4.0, 8: 1.5}),
        # Of 4 + 4 examples, then 2 + 4, then what is left before the report, and anew.
        (2, {2: 2.5, 4: 1.5, 5: 0.5, 6: 0.25, 8: (4 * 4.0 + 1.5) / 5}),
        (100, {5: 31 / 18, 8: 18.5 / 9}),
    ],
)
@pytest.mark.parametrize("killed", range(9))
def test_losses_are_means_since_the_last_line(tmp_path, monkeypatch, every, expected, killed):
    monkeypatch.setattr(curves, "draw", lambda *args, **more: None)
    # Up to a kill, from a checkpoint one step before it, and on.
    Fit(RunDirectory(tmp_path, {}), every).go(STRETCHES, last=killed)
    stored = max(0, killed - 1)
    run = RunDirectory(tmp_path, {}, stored)
    Fit(run, every).go(STRETCHES, first=stored)
    assert {line["step"]: line["loss"] for line in run.losses()} == pytest.approx(expected)
    assert [report["step"] for report in run.reports()] == [5, 8]


def test_a_loss_that_is_not_finite_is_left_out(tmp_path, monkeypatch):
    monkeypatch.setattr(curves, "draw", lambda *args, **more: None)
    run = RunDirectory(tmp_path, {})
    Fit(run, 1).go([[(1.0, 2), (float("nan"), 2), (1.0, 2)], [(3.0, 2)]])
    assert [(line["step"], line["loss"]) for line in run.losses()] == [(1, 1.0), (4, 3.0)]


@pytest.mark.parametrize(
    "damaged", [b'{"step": 1', b"{}", b'{"step": "1"}', b"[" * 10_000, b"\xff", b"\0", b"null"]
)
def test_damaged_lines(tmp_path, damaged):
    path, copies = tmp_path / "run", tmp_path / "checkpoint"
    run = RunDirectory(path, {})
    for step in (1, 2, 3):
        run.report(step=step, loss=1.0)
    shutil.copytree(path, copies)
    whole = (path / METRICS).read_bytes().splitlines()
    (path / METRICS).write_bytes(b"\n".join([damaged, *whole[1:]]) + b"\n")
    with pytest.raises(InputError, match=f"{path / METRICS}:.*") as caught:
        RunDirectory(path, {}, 2)
    assert "\n" not in str(caught.value)
    again = RunDirectory(path, {}, 2, stored=copies)
    assert [report["step"] for report in again.reports()] == [1, 2]
    assert (path / METRICS).read_bytes().splitlines() == whole[:2]
    assert not RunDirectory(path, {}, 0).reports()  # what is dropped is not read


def make(directory, name):
    """Makes an empty file or, if the name ends in a slash, a directory."""
    path = directory / name
    path.parent.mkdir(parents=True, exist_ok=True)
    if name.endswith("/"):
        path.mkdir()
    else:
        path.write_text("{}")


@pytest.mark.parametrize(
    ("name", "named"),
    [
        ("config.json", "config.json"),
        ("config.json/", "config.json"),
        ("metrics.jsonl", "metrics.jsonl"),
        ("losses.jsonl", "losses.jsonl"),
        ("curves.png", "curves.png"),
        ("model/", "model"),
        ("checkpoints/bert/config.json", "checkpoints/bert"),
        ("checkpoints/step-12", "checkpoints/step-12"),
        ("best/model.h5", "best/model.h5"),
    ],
)
def test_files_of_others_are_refused(tmp_path, name, named):
    make(tmp_path, name)
    with pytest.raises(InputError) as caught:
        refuse_foreign(tmp_path)
    assert str(caught.value) == (
        f"{tmp_path}: holds {named}, which no training run wrote, where a run has its own files; "
        "choose another --output"
    )


@pytest.mark.parametrize(
    "names",
    [
        (),
        ("vocab.txt", "corpus/manifest.json", "finetune/config.json"),
        ("tensorboard/events.out.tfevents.1",),
        ("checkpoints/", "best/"),
        ("checkpoints/.gitkeep",),
        # As after a copy of the checkpoints alone, which have copies of the metrics.
        ("checkpoints/step-0000000012/", "checkpoints/mine", "metrics.jsonl"),
        # Damaged.
        ("checkpoints/step-0000000012/", "config.json"),
    ],
)
def test_other_files_are_not_in_the_way(tmp_path, names):
    for name in names:
        make(tmp_path, name)
    refuse_foreign(tmp_path)
    refuse_foreign(tmp_path / "new")


def test_files_of_a_run_are_not_in_the_way(tmp_path):
    options = FinetuneOptions(init="hf://a/b", train="t.tsv", output=str(tmp_path))
    run = RunDirectory(tmp_path, dataclasses.asdict(options))
    run.report(step=1, loss=1.0)
    for name in ("curves.png", "best/mine", "checkpoints/mine"):
        make(tmp_path, name)
    refuse_foreign(tmp_path)
    refuse_finished(tmp_path)
    make(tmp_path, "model/")
    refuse_foreign(tmp_path)
    with pytest.raises(InputError, match="this run is complete"):
        refuse_finished(tmp_path)


@pytest.mark.parametrize(
    ("model", "settings", "left"),
    [
        (True, {"output": "run"}, ["checkpoints/step-0000000003"]),
        (True, {"output": "other"}, None),
        (False, {"output": "run"}, None),
    ],
)
def test_what_a_finished_run_could_not_remove(tmp_path, model, settings, left):
    RunDirectory(tmp_path, {"output": "run"})
    names = ["checkpoints/step-0000000003", "checkpoints/step-0000000006", "best/step-0000000004"]
    for name in [*names, *(["model"] if model else [])]:
        (tmp_path / name).mkdir(parents=True)
    remove_leftovers(tmp_path, settings, permanent=3)
    assert [name for name in names if (tmp_path / name).exists()] == (left or names)


@pytest.fixture
def drawn(monkeypatch, tmp_path):
    """Draws, and returns the panels."""
    figures = []
    save = matplotlib.figure.Figure.savefig

    def keep(figure, *args, **more):
        figures.append(figure)
        save(figure, *args, **more)

    monkeypatch.setattr(matplotlib.figure.Figure, "savefig", keep)

    def draw(*args, **more):
        curves.draw(*args, tmp_path / "curves.png", "title " * 40, **more)
        assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")
        return figures[-1].axes

    return draw


def test_without_matplotlib_a_run_draws_nothing_and_says_so_once(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(curves.importlib.util, "find_spec", lambda name: None)
    curves._say_why_not.cache_clear()
    for _ in range(2):
        curves.draw([{"step": 1, "loss": 2.0}], [], tmp_path / "curves.png", "title")
    assert not list(tmp_path.iterdir())
    line = "curves are not drawn without matplotlib: pip install 'kerasbert[plots]'\n"
    assert capsys.readouterr().err == line


def test_a_title_is_no_formula(tmp_path):
    path = tmp_path / "curves.png"
    curves.draw([{"step": 1, "loss": 1.0}], [], path, "finetune on us$_and_$.tsv")
    assert path.exists()


def lines(axis):
    """By label, the colour and the points of each line."""
    return {
        line.get_label(): (line.get_color(), [tuple(point) for point in line.get_xydata().tolist()])
        for line in axis.get_lines()
        if not line.get_label().startswith("_")
    }


def test_one_epoch_of_questions(drawn):
    losses = [{"step": step, "loss": 9.0 / step} for step in (10, 20, 30)]
    report = {"step": 30, "loss": 0.5, "seconds": 3.0, "val_f1": 80.0, "val_total": 98.0}
    report |= {"val_best_f1_thresh": -3.0, "examples": 9}
    loss, f1 = drawn([report], losses, scores=("f1", "accuracy"), baseline={"f1": 50.0})
    assert (loss.get_ylabel(), f1.get_ylabel()) == ("loss", "f1")
    assert lines(loss) == {"training": ("C0", [(10, 0.9), (20, 0.45), (30, 0.3)])}
    assert lines(f1)["held out"] == ("C1", [(30, 80.0)])
    assert lines(f1).keys() == {"held out", "a constant answer"}


def test_training_and_held_out_differ_in_colour(drawn):
    reports = [{"step": s, "loss": 1.0, "val_loss": 2.0, "accuracy": 0.1} for s in (1, 2)]
    loss, accuracy = drawn(reports, [], scores=("accuracy",))
    assert {label: color for label, (color, _) in lines(loss).items()} == {
        "training": "C0",
        "held out": "C1",
    }
    assert lines(accuracy).keys() == {"training"}
    (loss,) = drawn(reports, [], same_loss=False)
    assert lines(loss).keys() == {"training"}


def test_many_losses_are_smoothed(drawn):
    losses = [{"step": step, "loss": float(step % 2)} for step in range(1, 201)]
    (axis,) = drawn([], losses)
    _, points = lines(axis)["training"]
    assert len(points) == 200
    assert all(0.4 < value < 0.6 for _, value in points[5:-5])


def test_full_disk(tmp_path, full_disk):
    """Everything that a run writes says in one line what can't be written."""
    run, one = RunDirectory(tmp_path / "run", {}), {"step": 1, "loss": 1.0}
    report = ReportMetrics(run, "a run")
    report._write_events(1, {"loss": 1.0})
    with full_disk(64):
        for name, write in {
            "tensorboard": lambda: report._write_events(2, {"loss": 1.0}),
            "metrics.jsonl": lambda: run.report(**one, text="x" * 64),
            "curves.png": lambda: curves.draw([one], [], run.curves, "a run"),
            "config.json": lambda: RunDirectory(run.path, {"text": "x" * 64}),
        }.items():
            with pytest.raises(InputError, match=f"{name} can't be written: File too large$"):
                write()
