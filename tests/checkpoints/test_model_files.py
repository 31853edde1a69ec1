"""The files that belong to a model's format are all that it needs, and no others."""

import json
import shutil

import pytest
import safetensors.numpy

from kerasbert import Backbone, TextEmbedder, checkpoints
from kerasbert.checkpoints.model_files import model_files


def check(directory, tmp_path):
    """Adds other files; the model is complete without them."""
    own = sorted(path for path in directory.rglob("*") if path.is_file())
    for name in ("train.json", "notes.txt", "vocab.txt.bak", "data/model.safetensors", ".x.model"):
        (directory / name).parent.mkdir(exist_ok=True)
        (directory / name).write_text("x")
    found = model_files(checkpoints.load(directory))
    assert found == own
    for path in found:
        copy = tmp_path / "copy" / path.relative_to(directory)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, copy)
    preset = checkpoints.load(tmp_path / "copy")
    assert checkpoints.load_tokenizer(preset)
    return preset


@pytest.mark.parametrize("format", checkpoints.FORMATS)
def test_formats(format, tiny_backbone, tokenizer, tmp_path):
    directory = tmp_path / "model"
    tiny_backbone(tokenizer, pooler=True).save_to_preset(
        directory, format=format, tokenizer=tokenizer
    )
    (directory / "LICENSE").write_text("mine")
    assert Backbone.from_preset(check(directory, tmp_path))


def test_shards_and_folders_of_sentence_transformers(tiny_backbone, tokenizer, tmp_path):
    directory = tmp_path / "model"
    TextEmbedder(tiny_backbone(tokenizer), tokenizer=tokenizer, normalize=True).save_to_preset(
        directory, format="hf"
    )
    tensors = safetensors.numpy.load_file(directory / "model.safetensors")
    (directory / "model.safetensors").unlink()
    where = {name: f"part-{i % 2}.safetensors" for i, name in enumerate(tensors)}
    for shard in set(where.values()):
        part = {name: array for name, array in tensors.items() if where[name] == shard}
        safetensors.numpy.save_file(part, directory / shard)
    (directory / "model.safetensors.index.json").write_text(json.dumps({"weight_map": where}))
    assert check(directory, tmp_path).config["task"] == "TextEmbedder"
    assert (tmp_path / "copy/1_Pooling/config.json").exists()
