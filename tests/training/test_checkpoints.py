import errno
import json
import types

import keras
import numpy as np
import pytest
import safetensors.numpy

from kerasbert import InputError, TextClassifier
from kerasbert.training import checkpoints as module
from kerasbert.training.checkpoints import COMPLETE, METADATA, STATE, Checkpoints
from kerasbert.training.exact_model import ExactModel
from kerasbert.training.optimizers import adamw

TEXTS, LABELS = ["a good cat", "a bad dog", "the nice film", "a sad song"], [1, 0, 1, 0]
SETTINGS = {"learning_rate": 0.1, "init": None, "steps": 5}


def groups(model):
    return {
        "model": model.variables,
        "optimizer": model.optimizer.variables,
        "metrics": model.metrics_variables,
    }


def values(model):
    return {name: [v.numpy().tobytes() for v in found] for name, found in groups(model).items()}


def step(model, texts=TEXTS):
    model.fit(texts, LABELS, batch_size=4, shuffle=False, verbose=0)


@pytest.fixture(scope="module")
def make(tokenizer, tiny_backbone):
    def make(classes=2):
        backbone = tiny_backbone(tokenizer, pooler=True, dropout=0.3, attention_dropout=0.3)
        model = TextClassifier(backbone, classes=classes, tokenizer=tokenizer)
        model.compile(adamw(0.1))
        return model

    return make


@pytest.fixture(scope="module")
def model(make):
    model = make()
    step(model)
    return model


@pytest.fixture
def lines():
    return []


@pytest.fixture
def kept(tmp_path, lines):
    return Checkpoints(tmp_path / "kept", every_steps=1, settings=SETTINGS, log=lines.append)


@pytest.fixture
def three(kept, model):
    """Checkpoints of the steps 1, 2 and 3."""
    for number in (1, 2, 3):
        kept.save(model, number)
    return kept


def names(kept):
    return sorted(path.name for path in kept.directory.iterdir())


def name(number):
    return f"step-{number:010d}"


# === There and back ===


def test_restores_every_variable_bitwise(kept, model, make):
    path = kept.save(model, 7)
    stored = kept.newest()
    assert (stored.path, stored.step, stored.settings) == (path, 7, SETTINGS)
    other = make()
    step(other, TEXTS[::-1])
    before = values(model)
    assert all(before[group] != values(other)[group] for group in before)
    kept.restore(other, stored)
    assert values(other) == before

    assert any("seed_generator" in v.path for v in model.variables)
    assert any("momentum" in v.path for v in model.optimizer.variables)
    # The same dropout and the same moments: the next step is the same too.
    step(model)
    step(other)
    assert values(other) == values(model)
    assert values(model) != before


def test_nothing_there(kept):
    assert kept.newest() is None
    assert not kept.directory.exists()
    kept.remove()


def test_keeps_the_newest(tmp_path, model):
    kept = Checkpoints(tmp_path, keep=2)
    for number in (1, 5, 10):
        kept.save(model, number)
    assert names(kept) == [name(5), name(10)]
    assert kept.newest().step == 10
    kept.remove()
    assert not tmp_path.exists()


def test_files_of_others_stay(three):
    leave_unfinished(three, "12.tmp", "13.old")
    (three.directory / f".{name(3)}.lock").write_text("")
    (three.directory / "bert").mkdir()
    (three.directory / "bert" / "model.safetensors").write_bytes(b"mine")
    for other in ("notes.txt", "step-1", ".step-0000000001.txt"):
        (three.directory / other).write_text("mine")
    three.remove()
    assert names(three) == [".step-0000000001.txt", "bert", "notes.txt", "step-1"]
    assert (three.directory / "bert" / "model.safetensors").read_bytes() == b"mine"


def test_due_by_steps(tmp_path):
    due = Checkpoints(tmp_path, every_steps=3).is_due
    assert [number for number in range(1, 10) if due(number)] == [3, 6, 9]
    assert not any(map(Checkpoints(tmp_path).is_due, range(1, 10)))


def test_due_by_time(tmp_path, model, monkeypatch):
    clock = [100.0]
    monkeypatch.setattr(module, "time", types.SimpleNamespace(monotonic=lambda: clock[0]))
    kept = Checkpoints(tmp_path, every_minutes=0.5)
    due = []
    for number in range(1, 9):
        clock[0] += 15
        if kept.is_due(number):
            due.append(number)
            kept.save(model, number)
    assert due == [2, 4, 6, 8]


@pytest.mark.parametrize("bad", [{"every_steps": -1}, {"every_minutes": -0.5}, {"keep": 0}])
def test_bad_arguments(tmp_path, bad):
    with pytest.raises(InputError, match="0 or more, keep of 1 or more; found"):
        Checkpoints(tmp_path, **bad)


# === Damage ===


def flip(path, position):
    data = bytearray(path.read_bytes())
    data[position] ^= 0xFF
    path.write_bytes(data)


DAMAGES = {
    "first byte": lambda path: flip(path, 0),
    "middle byte": lambda path: flip(path, path.stat().st_size // 2),
    "truncated": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "empty": lambda path: path.write_bytes(b""),
    "missing": lambda path: path.unlink(),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
@pytest.mark.parametrize("file", [STATE, METADATA, COMPLETE])
def test_damaged_checkpoint_is_named_and_passed_over(three, lines, file, damage):
    damage(three.directory / name(3) / file)
    assert three.newest().step == 2
    (line,) = lines
    assert line.startswith("skipping a damaged checkpoint: ")
    assert str(three.directory / name(3)) in line


def test_all_damaged(three, lines):
    for number, file in ((1, STATE), (2, METADATA), (3, COMPLETE)):
        flip(three.directory / name(number) / file, 5)
    with pytest.raises(InputError, match="none of its 3 checkpoints is whole; remove the dir"):
        three.newest()
    assert len(lines) == 3
    assert names(three) == [name(1), name(2), name(3)]


def test_damaged_checkpoint_is_written_anew(three, model):
    flip(three.directory / name(3) / STATE, 9)
    three.save(model, 3)
    assert three.newest().step == 3


def test_damaged_checkpoints_take_no_place(three, model, lines):
    for number in (2, 3):
        flip(three.directory / name(number) / STATE, 9)
    assert three.newest().step == 1
    three.keep = 1
    three.save(model, 2)
    assert names(three) == [name(2)]
    assert three.newest().step == 2


# === Another run's ===


def test_other_settings(three, tmp_path):
    other = {"learning_rate": 0.2, "steps": 5, "init": None, "seed": 1}
    with pytest.raises(InputError) as error:
        Checkpoints(three.directory, settings=other).newest()
    assert str(error.value) == (
        f"{three.directory / name(3)}: is of a run with other settings: "
        "learning_rate was 0.1, now it is 0.2; seed was None, now it is 1"
    )


def _in_float16():
    inputs = keras.Input((2,))
    model = ExactModel(inputs, keras.layers.Dense(1, dtype="mixed_float16", name="output")(inputs))
    model.compile(adamw(0.1), "mse")
    return model


@pytest.mark.parametrize(("stored", "factor"), [(True, 8.0), (False, 2.0**15)])
def test_scale_of_the_loss(kept, monkeypatch, stored, factor):
    """Checkpoints of old do not have it."""
    models = [_in_float16() for _ in range(2)]
    for model, value in zip(models, (8.0, 2.0**15), strict=True):
        model.fit(np.ones((4, 2), "float32"), np.ones((4, 1)), verbose=0)
        model.optimizer.loss_scale.factor.assign(value)
    with monkeypatch.context() as patch:
        if not stored:
            patch.setattr(module, "_loss_scale", lambda model: {})
        kept.save(models[0], 1)
    kept.restore(models[1], kept.newest())
    assert float(models[1].optimizer.loss_scale.factor.numpy()) == factor
    for ours, theirs in zip(*(model.optimizer.variables for model in models), strict=True):
        np.testing.assert_array_equal(ours.numpy(), theirs.numpy())


def test_another_model(three, make):
    other = make(classes=3)
    other.optimizer.build(other.trainable_variables)
    before = values(other)
    with pytest.raises(InputError, match=r"is of another model: .*classifier/kernel \(16, 3\)"):
        three.restore(other, three.newest())
    assert values(other) == before


def test_another_optimizer(three, make):
    other = make()
    other.compile(keras.optimizers.SGD(0.1))
    before = values(other)
    with pytest.raises(InputError, match=r"is of another model: .*optimizer/"):
        three.restore(other, three.newest())
    assert values(other) == before


# === Writing fails ===


def leave_unfinished(kept, *endings):
    for ending in endings:
        directory = kept.directory / f".{name(4)}.{ending}"
        directory.mkdir()
        (directory / STATE).write_bytes(b"half")


def test_what_a_killed_process_left(three, model, lines):
    leave_unfinished(three, "123.tmp", "77.old")
    assert three.newest().step == 3
    three.save(model, 4)
    assert names(three) == [name(2), name(3), name(4)]
    assert lines == []


def test_what_a_killed_process_of_the_same_number_left(three, model):
    """In a container every start has the same process id."""
    leave_unfinished(three, f"{module.os.getpid()}.tmp")
    three.save(model, 4)
    assert names(three) == [name(2), name(3), name(4)]
    assert three.newest().step == 4


def assert_fails(kept, model, reason):
    before = {path: path.read_bytes() for path in kept.directory.glob("*/*")}
    with pytest.raises(InputError) as error:
        kept.save(model, 4)
    assert str(kept.directory / name(4)) in str(error.value)
    assert reason in str(error.value)
    assert "\n" not in str(error.value)
    assert {path: path.read_bytes() for path in kept.directory.glob("*/*")} == before
    assert names(kept) == [name(1), name(2), name(3)]
    assert kept.newest().step == 3


def test_full_disk(three, model, monkeypatch):
    def save_file(arrays, path):
        path.write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(safetensors.numpy, "save_file", save_file)
    assert_fails(three, model, "can't be written: No space left on device")


def test_full_disk_as_safetensors_says_it(three, model, full_disk):
    """It raises an exception of its own, which is no OSError."""
    with full_disk(4096), pytest.raises(InputError, match=r"can't be written: File too large$"):
        three.save(model, 4)
    assert names(three) == [name(1), name(2), name(3)]


@pytest.mark.parametrize("failing", ["write_text", "mkdir"])
def test_directory_that_cannot_be_written(three, model, monkeypatch, failing):
    def fail(*_, **__):
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(module.pathlib.Path, failing, fail)
    assert_fails(three, model, "can't be written: Read-only file system")


def test_facts_name_every_file(three):
    facts = json.loads((three.directory / name(3) / METADATA).read_text())
    assert facts.keys() == {"step", "settings", "sha256"}
    assert facts["sha256"].keys() == {STATE}


def test_files_are_copied(model, tmp_path):
    written, missing = tmp_path / "metrics.jsonl", tmp_path / "losses.jsonl"
    written.write_text('{"step": 1}\n')
    kept = Checkpoints(tmp_path / "kept", copied=[written, missing])
    directory = kept.save(model, 1)
    assert kept.newest().path == directory
    assert (directory / written.name).read_bytes() == written.read_bytes()
    (directory / written.name).write_text('{"step": 2}\n')
    with pytest.raises(InputError, match="none of its 1 checkpoints is whole"):
        kept.newest()
