"""A full disk while a model is written: one line that names the directory, and nothing is left."""

import contextvars

import pytest

from kerasbert import InputError, TextClassifier, files
from kerasbert.checkpoints import FORMATS


@pytest.fixture(scope="module")
def model(tokenizer, tiny_backbone):
    backbone = tiny_backbone(tokenizer, pooler=True, activation="gelu_tanh")
    return TextClassifier(backbone, classes=["0", "1"], dropout=0.1, tokenizer=tokenizer)


@pytest.mark.parametrize("size", [64, 6000])
@pytest.mark.parametrize("format", FORMATS)
def test_full_disk(model, tmp_path, full_disk, format, size):
    path = tmp_path / "deep" / "model"
    with full_disk(size), pytest.raises(InputError) as error:
        model.save_to_preset(path, format=format)
    assert str(error.value) == f"{path} can't be written: File too large"
    assert list(tmp_path.iterdir()) == []


def test_two_at_once(model, tmp_path):
    with files.locked(tmp_path / "model"), pytest.raises(InputError, match="is being written by"):
        contextvars.Context().run(model.save_to_preset, tmp_path / "model")
    model.save_to_preset(tmp_path / "model")


def test_kerashub_has_room_for_what_it_writes(model, tmp_path, monkeypatch):
    """HDF5 crashes when the disk gets full, so room is looked for before."""
    sizes = []
    monkeypatch.setattr(files, "reserve", lambda directory, size: sizes.append(size))
    model.save_to_preset(tmp_path / "model", format="kerashub")
    written = sum(path.stat().st_size for path in (tmp_path / "model").rglob("*.h5"))
    assert sizes[0] / 5 < written < sizes[0]
