"""Small files that say they are large: refused before anything of that size is made."""

import json
import os
import pathlib
import shutil

import numpy as np
import pytest
import safetensors.numpy
import tensorflow as tf

import kerasbert
from kerasbert import Backbone, BackboneConfig, InputError, files
from kerasbert.checkpoints import sizes

GOLDENS = pathlib.Path(__file__).parents[1] / "goldens" / "huggingface"
FACTS = {
    "vocabulary_size": 30,
    "num_layers": 4,
    "hidden_dim": 8,
    "num_heads": 2,
    "intermediate_dim": 12,
    "max_sequence_length": 16,
}
CONFIGS = {
    "plain": {},
    "no segments": {"num_segments": 0},
    "task types": {"num_task_types": 3},
    "offset": {"positions": "learned_offset", "padding_id": 1},
    "sinusoidal": {"positions": "sinusoidal"},
    "projected": {"embedding_dim": 4},
    "groups": {"embedding_dim": 4, "num_groups": 2, "layers_per_group": 2},
    "no pooler": {"pooler": False},
}


@pytest.fixture
def unbuilt(monkeypatch):
    """What fails if a model is built."""

    def build(*arguments, **settings):
        raise AssertionError("a model is built")

    monkeypatch.setattr(Backbone, "__init__", build)


@pytest.fixture
def copied(tmp_path):
    def copy(name):
        target = tmp_path / name
        return shutil.copytree(GOLDENS / name, target, copy_function=shutil.copyfile)

    return copy


def edit(path, **changes):
    stored = {**json.loads(path.read_text()), **changes}
    path.write_text(json.dumps({k: v for k, v in stored.items() if v is not ...}))


@pytest.mark.parametrize("name", CONFIGS)
def test_shapes_are_those_of_a_backbone(name):
    config = BackboneConfig(**{**FACTS, **CONFIGS[name]})
    expected = {v.path: tuple(v.shape) for v in Backbone(config).weights}
    assert dict(sizes.encoder_shapes(config)) == expected


HF = {
    "vocab_size": (10**8, "100000000, 16"),
    "max_position_embeddings": (10**8, "100000000, 16"),
    "type_vocab_size": (10**8, "100000000, 16"),
    "hidden_size": (40_000, "40, 40000"),
    "intermediate_size": (10**8, "16, 100000000"),
    "num_hidden_layers": (10**9, "too few for the 1000000000 layers"),
}


@pytest.mark.parametrize("key", HF)
def test_hugging_face(unbuilt, copied, key):
    directory = copied("bert")
    value, message = HF[key]
    edit(directory / "config.json", **{key: value})
    with pytest.raises(InputError, match=message):
        kerasbert.load(directory)


ALBERT = {
    "num_hidden_groups": "num_groups must be num_layers=.* or less",
    "inner_group_num": "too few for the 1000000000 layers",
    "num_hidden_layers": "1000000000 passes through 1 layers; at most 256",
    "embedding_size": "40, 1000000000",
}


@pytest.mark.parametrize("key", ALBERT)
def test_layers_that_share_weights(unbuilt, copied, key):
    directory = copied("albert")
    edit(directory / "config.json", **{key: 10**9})
    with pytest.raises(InputError, match=ALBERT[key]):
        kerasbert.load(directory)


@pytest.mark.parametrize("count", [10**9, 10**18, -5, 2.5, "2", [2], True])
def test_numbers_of_labels(copied, count):
    directory = copied("bert_sequence_classification")
    edit(directory / "config.json", id2label=..., label2id=..., _num_labels=count)
    with pytest.raises(
        InputError, match=r"config.json: id2label=None: .* is not a number of classes"
    ):
        kerasbert.load(directory)


def test_labels_that_the_head_has_no_rows_for(copied):
    directory = copied("bert_sequence_classification")
    edit(directory / "config.json", id2label=..., label2id=..., _num_labels=10**6)
    with pytest.raises(InputError, match=r"classifier/bias \(1000000,\): the file has \(3,\)"):
        kerasbert.load(directory)


GOOGLE = ("vocab_size", "max_position_embeddings", "type_vocab_size", "intermediate_size")


@pytest.mark.parametrize("key", [*GOOGLE, "num_hidden_layers"])
def test_google(google, unbuilt, key):
    edit(google / "bert_config.json", **{key: 10**9})
    with pytest.raises(InputError, match="1000000000"):
        kerasbert.load(google)


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    """Directories of a classifier by format."""
    target = tmp_path_factory.mktemp("stored")
    task = kerasbert.TextClassifier(Backbone(BackboneConfig(**FACTS)), classes=["0", "1", "2"])
    for format in ("google", "kerasbert"):
        task.save_to_preset(target / format, format=format)
    return target


@pytest.fixture
def google(stored, tmp_path):
    return shutil.copytree(stored / "google", tmp_path / "google")


@pytest.fixture
def native(stored, tmp_path):
    return shutil.copytree(stored / "kerasbert", tmp_path / "native")


NATIVE = {
    "vocabulary_size": "1000000000, 8",
    "num_layers": "too few for the 1000000000 layers",
    "layers_per_group": "too few for the 4000000000 layers",
    "num_groups": "num_groups must be num_layers=.* or less",
    "intermediate_dim": "8, 1000000000",
    "max_sequence_length": "1000000000, 8",
    "num_segments": "1000000000, 8",
    "num_task_types": "1000000000, 8",
    "embedding_dim": "30, 1000000000",
}


def edit_native(directory, part, name, value):
    """Changes a setting and, as who means harm would, the checksum."""
    path = directory / "config.json"
    stored = json.loads(path.read_text())
    stored[part][name] = value
    edit(path, **{**stored, "sha256": files.own_sha256(stored)})


@pytest.mark.parametrize("fact", NATIVE)
def test_native(native, unbuilt, fact):
    edit_native(native, "backbone", fact, 10**9)
    with pytest.raises(InputError, match=NATIVE[fact]):
        kerasbert.load(native)


def test_native_classes(native):
    edit_native(native, "head", "classes", 10**12)
    with pytest.raises(InputError, match="classes"):
        kerasbert.load(native)


# === Types ===


def write_type(path, dtype: str, size: float):
    """Gives the last tensor of a safetensors file another type, with elements of `size` bytes."""
    data = path.read_bytes()
    length = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:length])
    name = max(set(header) - {"__metadata__"}, key=lambda name: header[name]["data_offsets"])
    start, _ = header[name]["data_offsets"]
    count = int(np.prod(header[name]["shape"]))
    header[name] |= {"dtype": dtype, "data_offsets": [start, start + int(count * size)]}
    text = json.dumps(header).encode()
    parts = [len(text).to_bytes(8, "little"), text, data[length : length + start]]
    path.write_bytes(b"".join(parts) + bytes(int(count * size)))
    return name


TYPES = {"F8_E4M3": 1, "F8_E5M2": 1, "F8_E8M0": 1, "F4": 0.5, "C64": 8, "I8": 1, "BOOL": 1}


@pytest.mark.parametrize("dtype", TYPES)
def test_types_of_safetensors(copied, dtype):
    directory = copied("bert")
    write_type(directory / "model.safetensors", dtype, TYPES[dtype])
    with pytest.raises(InputError, match=r"model.safetensors: .* has the type") as caught:
        kerasbert.load(directory)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("dtype", "size"), [("F64", 8), ("F16", 2), ("BF16", 2)])
def test_floats_of_safetensors(copied, dtype, size):
    directory = copied("bert")
    write_type(directory / "model.safetensors", dtype, size)
    assert isinstance(kerasbert.load(directory), Backbone)


def rewrite(directory, change):
    prefix = str(directory / "bert_model.ckpt")
    reader = tf.train.load_checkpoint(prefix)
    tensors = {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()}
    change(tensors)
    names = sorted(tensors)
    values = [tf.constant(tensors[name]) for name in names]
    tf.raw_ops.SaveV2(
        prefix=prefix, tensor_names=names, shape_and_slices=[""] * len(names), tensors=values
    )


WORDS = "bert/embeddings/word_embeddings"


@pytest.mark.parametrize(
    ("array", "kind"),
    [
        (np.full((30, 8), b"a"), "string"),
        (np.ones((30, 8), bool), "bool"),
        (np.ones((30, 8), "complex64"), "complex64"),
        (np.ones((30, 8), "int32"), "int32"),
    ],
)
def test_types_of_google(google, array, kind):
    rewrite(google, lambda tensors: tensors.update({WORDS: array}))
    with pytest.raises(InputError, match=f"bert_model.ckpt: .* has the type {kind}"):
        kerasbert.load(google)


# === Files that are none ===


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "vocab.txt"])
@pytest.mark.parametrize("kind", ["pipe", "device"])
def test_pipes_and_devices(copied, name, kind):
    directory = copied("bert")
    path = directory / name
    path.unlink(missing_ok=True)
    if kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to("/dev/zero")
    for load in (kerasbert.load, kerasbert.tokenizer_from_preset):
        with pytest.raises(InputError, match=f"{path}: is a pipe or a device"):
            load(directory)


def test_names_that_are_too_long(copied, tmp_path):
    name = "x" * 300
    for position in (name, f"{name}/{name}", tmp_path / name):
        with pytest.raises(InputError, match="model directory"):
            kerasbert.load(position)
    directory = copied("bert_sharded")
    index = directory / "model.safetensors.index.json"
    edit(index, weight_map={"pooler.dense.bias": name})
    with pytest.raises(InputError, match=r"index.json: lists x+, which does not exist"):
        kerasbert.load(directory)
    modules = [{"path": name, "type": "sentence_transformers.models.Pooling"}] * 2
    directory = copied("bert")
    (directory / "modules.json").write_text(json.dumps(modules))
    with pytest.raises(InputError, match="json"):
        kerasbert.load(directory)


def test_transposed_arrays_are_stored_as_they_are(tmp_path):
    """Weights that were read from Hugging Face are views."""
    preset = kerasbert.checkpoints.load(GOLDENS / "bert")
    kerasbert.checkpoints.save(tmp_path / "native", preset.config, preset.weights)
    stored = safetensors.numpy.load_file(tmp_path / "native" / "model.safetensors")
    for path, array in preset.weights.items():
        np.testing.assert_array_equal(stored[path], array, err_msg=path)


@pytest.mark.parametrize("format", ["hf", "google"])
def test_views_and_halves_are_written_as_float32(format, tmp_path):
    preset = kerasbert.checkpoints.load(GOLDENS / "bert")
    halves = {path: array.astype("float16") for path, array in preset.weights.items()}
    # The same numbers in another order of memory; safetensors writes memory.
    views = {path: array[::-1].copy()[::-1] for path, array in halves.items()}
    backbone = {**preset.config["backbone"], "activation": "gelu_tanh"}  # as google has it
    config = {**preset.config, "task": None, "head": {}, "backbone": backbone}
    encoder = {p: a for p, a in views.items() if p.startswith(("embeddings", "layer", "pooler"))}
    names = kerasbert.checkpoints.save(tmp_path / "model", config, encoder, format=format)
    assert names.keys() == encoder.keys()
    again = kerasbert.checkpoints.load(tmp_path / "model").weights
    for path in encoder:
        assert again[path].dtype == np.float32
        np.testing.assert_array_equal(again[path], halves[path], err_msg=path)
