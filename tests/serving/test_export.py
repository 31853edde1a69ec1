import itertools
import json
import os
import pathlib
import shutil
import subprocess

import numpy as np
import programs
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

import kerasbert
from kerasbert import Backbone, InputError, Pretrainer, TextClassifier, files
from kerasbert.layers.tokens import UnpaddedTokens
from kerasbert.recipes.options import ExportOptions, ServingKitOptions
from kerasbert.serving import saved_model
from kerasbert.serving.client import METADATA, SavedModelClient

SCRIPTS = pathlib.Path(__file__).parents[2] / "scripts"
CLASSES = ["bad", "good", "größe"]
# The ops of tf-text 2.12, which older servers link.
TEXT_OPS = {
    "FastWordpieceTokenizeWithOffsets",
    "NormalizeUTF8",
    "RegexSplitWithOffsets",
    "CaseFoldUTF8",
}
STRANGE = ["", "word " * 20_000, b"caf\xe9 \xff\xfe", "\x00", "[MASK] [SEP]", "中国 é"]


@pytest.fixture(scope="module")
def classifier(tokenizer, tiny_backbone):
    def make(pair=False):
        backbone = tiny_backbone(tokenizer, initializer_range=0.5)
        return TextClassifier(backbone, CLASSES, tokenizer=tokenizer, pair=pair)

    return make


@pytest.fixture(scope="module")
def single(classifier):
    return classifier()


@pytest.fixture(scope="module")
def exported(single, tmp_path_factory):
    directory = tmp_path_factory.mktemp("export") / "model" / "1"
    single.export(directory)  # with the check in a fresh process
    return directory


@pytest.fixture(scope="module")
def client(exported):
    return SavedModelClient(exported)


@pytest.fixture(scope="module")
def exported_pair(classifier, tmp_path_factory):
    task = classifier(pair=True)
    directory = tmp_path_factory.mktemp("export") / "pair" / "1"
    task.export(directory, check=False)
    return task, directory


def softmax(logits):
    return np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)


def test_answers_are_those_of_the_model(single, client, texts):
    answers = client(text=texts)
    scores = softmax(single.predict(texts, verbose=0))
    np.testing.assert_allclose([answer["scores"] for answer in answers], scores, atol=1e-5)
    assert [answer["label"] for answer in answers] == [CLASSES[i] for i in scores.argmax(-1)]
    assert all(answer["labels"] == CLASSES for answer in answers)


def test_pair_answers_are_those_of_the_model(exported_pair, texts):
    task, directory = exported_pair
    answers = SavedModelClient(directory)(text=texts, text_pair=texts[::-1])
    scores = softmax(task.predict((texts, texts[::-1]), verbose=0))
    np.testing.assert_allclose([answer["scores"] for answer in answers], scores, atol=1e-5)


def signature(directory):
    model = saved_model_pb2.SavedModel.FromString((directory / "saved_model.pb").read_bytes())
    return model.meta_graphs[0], model.meta_graphs[0].signature_def["serving_default"]


@pytest.mark.parametrize("inputs", [["text"], ["text", "text_pair"]], ids=["single", "pair"])
def test_signature(exported, exported_pair, inputs):
    _, found = signature(exported if len(inputs) == 1 else exported_pair[1])
    assert sorted(found.inputs) == inputs
    for info in found.inputs.values():
        assert info.dtype == tf.string.as_datatype_enum
        assert [dim.size for dim in info.tensor_shape.dim] == [-1]
    assert {name: tf.as_dtype(info.dtype) for name, info in found.outputs.items()} == {
        "scores": tf.float32,
        "label": tf.string,
        "labels": tf.string,
    }


def test_ops_are_known_to_servers(exported, exported_pair):
    for directory in (exported, exported_pair[1]):
        graph = signature(directory)[0].graph_def
        functions = graph.library.function
        nodes = itertools.chain(graph.node, *(function.node_def for function in functions))
        names = {function.signature.name for function in functions}
        used = {node.op for node in nodes} - names
        foreign = {op for op in used if not hasattr(tf.raw_ops, op)}
        assert "FastWordpieceTokenizeWithOffsets" in foreign
        assert foreign <= TEXT_OPS
        assert not {op for op in used if op.startswith(("Xla", "PyFunc", "EagerPyFunc"))}


def test_ready_tokens(exported_pair):
    task, directory = exported_pair
    texts = ["a cat", "x", ""]
    ask = tf.saved_model.load(str(directory)).signatures["tokens"]
    features = dict(task.preprocessor.features(texts, texts[::-1]))
    expected = task(features, training=False)
    lengths = tf.reduce_sum(features.pop("padding_mask"), axis=1)
    np.testing.assert_allclose(ask(**features, lengths=lengths)["logits"], expected, atol=1e-5)
    # A server that batches rows of different lengths pads them with their first element.
    filled = {
        name: tf.concat([rows, tf.repeat(rows[:, :1], 3, axis=1)], axis=1)
        for name, rows in features.items()
    }
    np.testing.assert_allclose(ask(**filled, lengths=lengths)["logits"], expected, atol=1e-5)


def test_nothing_asks_for_xla(exported):
    graph = signature(exported)[0].graph_def
    holders = itertools.chain(
        graph.node,
        graph.library.function,
        *(function.node_def for function in graph.library.function),
    )
    attributes = [(key, value.b) for holder in holders for key, value in holder.attr.items()]
    assert not [key for key, on in attributes if "xla" in key.lower() and on]


@pytest.mark.parametrize("size", [0, 1, 7])
def test_any_batch_size(exported, size):
    model = tf.saved_model.load(str(exported))
    outputs = model.signatures["serving_default"](text=tf.constant(["a dog"] * size, tf.string))
    assert {name: tuple(value.shape) for name, value in outputs.items()} == {
        "scores": (size, 3),
        "label": (size,),
        "labels": (size, 3),
    }


def test_no_rows(client):
    assert client(text=[]) == []


@pytest.mark.parametrize("text", STRANGE, ids=["empty", "long", "bytes", "nul", "special", "han"])
def test_strange_strings(client, text):
    (alone,) = client(text=[text])
    assert sum(alone["scores"]) == pytest.approx(1, abs=1e-5)
    assert alone["label"] in CLASSES
    among = client(text=["a dog", text, "x"])[1]
    assert among["scores"] == pytest.approx(alone["scores"], abs=1e-5)


def test_invalid_utf8_is_dropped(client):
    dirty, clean = client(text=[b"a good\xff dog", "a good dog"])
    assert dirty["label"] == clean["label"]
    assert dirty["scores"] == pytest.approx(clean["scores"], abs=1e-6)


def test_metadata(exported, tokenizer):
    metadata = json.loads((exported / "assets.extra/kerasbert.json").read_text(encoding="utf-8"))
    assert metadata["classes"] == CLASSES
    assert metadata["tokenizer"]["vocabulary_sha256"] == tokenizer.vocabulary_sha256
    assert (metadata["task"], metadata["inputs"]) == ("TextClassifier", ["text"])


def test_existing_path(exported, tokenizer, single, tmp_path):
    with pytest.raises(InputError, match="exists already"):
        single.export(exported, check=False)
    path = shutil.copytree(exported, tmp_path / "1", copy_function=shutil.copyfile)
    before = (path / "saved_model.pb").stat().st_ino
    single.export(path, check=False, overwrite=True)
    assert (path / "saved_model.pb").stat().st_ino != before
    assert SavedModelClient(path)(text=["a dog"])[0]["label"] in CLASSES
    assert [child.name for child in tmp_path.iterdir()] == ["1"]


def test_only_exports_are_replaced(exported, single, tmp_path):
    path = shutil.copytree(exported, tmp_path / "1", copy_function=shutil.copyfile)
    message = "1 exists already; overwrite=True replaces it, or choose another path"
    with pytest.raises(InputError, match=message):
        single.export(path, check=False)
    (path / "variables" / "mine").write_text("")
    with pytest.raises(InputError, match="kerasbert did not write variables/mine in it"):
        single.export(path, check=False, overwrite=True)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "train.tsv").write_text("mine")
    for format in ("saved_model", "litert"):
        with pytest.raises(InputError, match="data: is not replaced, because it is not an export"):
            single.export(tmp_path / "data", format=format, check=False, overwrite=True)
    assert (path / "variables" / "mine").exists()
    assert [child.name for child in (tmp_path / "data").iterdir()] == ["train.tsv"]


def test_exports_are_no_models(exported, tmp_path):
    client = "kerasbert.serving.SavedModelClient or kerasbert query --saved_model"
    for load in (kerasbert.load, Backbone.from_preset, kerasbert.tokenizer_from_preset):
        with pytest.raises(
            InputError, match=f"is an exported SavedModel, which {client} {exported}"
        ):
            load(exported)
    shutil.copytree(exported, tmp_path / "versions" / "3", copy_function=shutil.copyfile)
    with pytest.raises(InputError, match="versions: holds versions of an exported SavedModel"):
        kerasbert.load(tmp_path / "versions")
    (tmp_path / "versions" / "3" / "assets.extra" / "kerasbert.json").unlink()
    with pytest.raises(InputError, match="3: is a SavedModel that kerasbert did not write"):
        kerasbert.load(tmp_path / "versions" / "3")
    for format, name in (("onnx", "model.onnx"), ("openvino", "model.xml")):
        directory = tmp_path / format
        directory.mkdir()
        (directory / "export.json").write_text(json.dumps({"format": format}))
        with pytest.raises(InputError, match=f"is an export, {name}, which .*Encoder prepares"):
            kerasbert.load(directory)


def test_a_pointer_in_place_of_a_file(exported, tmp_path):
    path = shutil.copytree(exported, tmp_path / "1", copy_function=shutil.copyfile)
    (path / "saved_model.pb").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0")
    with pytest.raises(InputError, match=r"saved_model.pb: is a Git LFS pointer, not the file"):
        SavedModelClient(path)


def test_the_hidden_directory_is_not_reported(single, tmp_path, caplog):
    caplog.set_level("INFO", "tensorflow")
    single.export(tmp_path / "1", check=False)
    assert "Assets written" not in caplog.text


def test_failing_check_leaves_nothing(single, tmp_path, monkeypatch):
    def fail(*_):
        raise RuntimeError("answers differ")

    monkeypatch.setattr(saved_model, "_check", fail)
    with pytest.raises(RuntimeError, match="answers differ"):
        single.export(tmp_path / "1")
    assert list(tmp_path.iterdir()) == []


FAULTS = {
    # The signature `tokens` is compared without padding, and never had these.
    "padding is attended to": lambda patch: patch.setattr(
        UnpaddedTokens,
        "mask",
        property(
            lambda self: tf.ones_like(self.found),
            lambda self, value: vars(self).update(found=value),
        ),
        raising=False,
    ),
    "a wrong row": lambda patch: patch.setattr(
        UnpaddedTokens,
        "gather",
        lambda self, x, positions: tf.gather(x, tf.gather(self._rows, positions, batch_dims=1))[
            ::-1
        ],
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_faults_of_shortcuts_are_noticed(single, tmp_path, monkeypatch, fault):
    """An export is compared with the model layer by layer, in which padding is not skipped."""
    FAULTS[fault](monkeypatch)
    with pytest.raises(RuntimeError, match=r"gives (scores|logits) that differ by up to"):
        single.export(tmp_path / "1")
    assert list(tmp_path.iterdir()) == []


class Child:
    def __init__(self, returncode, stdout, stderr=""):
        self.returncode, self.stdout, self.stderr = returncode, stdout, stderr


WRONG = [{"label": "bad", "labels": CLASSES, "scores": [1.0, 0.0, 0.0]}] * len(saved_model.SAMPLES)


@pytest.mark.parametrize(
    ("child", "message"),
    [
        (Child(1, "", "no such op"), "does not load in a fresh process:\nno such op"),
        (Child(0, json.dumps(WRONG)), "in a fresh process, the model"),
    ],
    ids=["crash", "difference"],
)
def test_check_notices(single, tmp_path, monkeypatch, child, message):
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: child)
    with pytest.raises(RuntimeError, match=message):
        single.export(tmp_path / "1")
    assert list(tmp_path.iterdir()) == []


def test_highest_version_counts(exported, single, tmp_path):
    for version in ("2", "10"):
        (tmp_path / version).symlink_to(exported)
    (tmp_path / ".11.tmp").mkdir()
    assert SavedModelClient(tmp_path).directory == tmp_path / "10"


@pytest.mark.full
def test_same_model_same_bytes(single, tmp_path):
    """In new processes, where Python's sets and TensorFlow's have another order."""
    single.save_to_preset(tmp_path / "model")
    found = []
    for number in (1, 2, 3):
        output = tmp_path / str(number)
        words = [SCRIPTS / "export.py", f"--model={tmp_path}/model", f"--output={output}"]
        assert programs.run([*words, "--check=false"]).returncode == 0
        inside = sorted(path for path in output.rglob("*") if path.is_file())
        found.append({str(path.relative_to(output)): files.sha256(path) for path in inside})
    assert len(found[0]) > 4
    assert found[0] == found[1] == found[2]


@pytest.mark.parametrize("name", ["a[1]", "back\\slash", "st*r?"])
def test_names_that_are_patterns(single, client, tmp_path, name):
    single.export(tmp_path / name / "1", check=False)
    moved = SavedModelClient(tmp_path / name)
    assert moved.directory == tmp_path / name / "1"
    assert moved(text=["a good cat"]) == client(text=["a good cat"])


@pytest.mark.parametrize("make", [False, True], ids=["absent", "empty"])
def test_no_export(tmp_path, make):
    path = tmp_path / "model"
    if make:
        path.mkdir()
    with pytest.raises(InputError, match="model: holds no model that kerasbert exported"):
        SavedModelClient(path)


@pytest.mark.parametrize(
    "columns", [{}, {"words": ["a"]}, {"text": ["a"], "text_pair": ["b"]}], ids=str
)
def test_bad_inputs(client, columns):
    with pytest.raises(InputError, match="takes text, found"):
        client(**columns)


@pytest.mark.parametrize(
    ("column", "message"),
    [
        ("a dog", "text must be a list, found 'a dog'"),
        (None, "text must be a list, found None"),
        (["a", 3], "text must hold strings"),
        ([None], "text must hold strings"),
        (["caf\udce9"], "text must hold strings as UTF-8 can hold them"),
    ],
    ids=["string", "nothing", "number", "none", "bytes"],
)
def test_bad_text_values(client, column, message):
    with pytest.raises(InputError, match=message):
        client(text=column)


_WEIGHTS = "variables/variables.data-00000-of-00001"


def _flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0x20
    path.write_bytes(content)


def _make_directory(path):
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize(
    ("name", "damage", "message"),
    [
        ("saved_model.pb", _flip, "saved_model.pb: is damaged .*; export the model again"),
        ("saved_model.pb", _make_directory, "saved_model.pb: is a directory, not a file"),
        ("variables/variables.index", _flip, "variables.index: is damaged"),
        ("variables/variables.index", os.unlink, "variables.index: no such file"),
        (_WEIGHTS, _flip, "TensorFlow can't load it .*; export the model again"),
        (_WEIGHTS, lambda path: os.truncate(path, 99), "TensorFlow can't load it"),
        (_WEIGHTS, os.unlink, "TensorFlow can't load it"),
        (METADATA, lambda path: path.write_text("[]"), "kerasbert.json: the content must be an"),
        (
            METADATA,
            lambda path: path.write_text('{"inputs": ["no"]}'),
            "inputs are no, but they are text",
        ),
        (
            METADATA,
            lambda path: path.write_text('{"inputs": ["text", "text_pair"]}'),
            "says that inputs are text, text_pair, but they are text",
        ),
    ],
)
def test_damaged_exports(exported, tmp_path, name, damage, message):
    shutil.copytree(exported, tmp_path / "1")
    damage(tmp_path / "1" / name)
    with pytest.raises(InputError, match=message):
        SavedModelClient(tmp_path)


def test_earlier_exports_have_no_checksums(exported, tmp_path):
    shutil.copytree(exported, tmp_path / "1")
    path = tmp_path / "1" / METADATA
    metadata = json.loads(path.read_text())
    known = ["fingerprint.pb", "saved_model.pb", "variables/variables.index"]
    assert sorted(metadata.pop("files")) == known
    path.write_text(json.dumps(metadata))
    assert SavedModelClient(tmp_path)(text=["a dog"])


def test_pairs_of_different_lengths(exported_pair):
    with pytest.raises(InputError, match="as many texts as text pairs"):
        SavedModelClient(exported_pair[1])(text=["a"], text_pair=["b", "c"])


def test_export_without_tokenizer(single, tmp_path):
    task = TextClassifier(single.backbone, CLASSES)
    with pytest.raises(InputError, match="has no tokenizer"):
        task.export(tmp_path / "1")


def test_pretrainer(single, tokenizer, tmp_path):
    task = Pretrainer(single.backbone, tokenizer=tokenizer)
    task.export(tmp_path / "1", check=False)
    blanks = ["a [MASK] dog [MASK]", "no blank"]
    two, none = SavedModelClient(tmp_path)(text=blanks)
    assert (two["masks"], none["masks"]) == (2, 0)
    guesses = task.fill_mask(blanks[:1])[0]
    assert two["tokens"] == [[guess.token for guess in mask] for mask in guesses]
    scores = [[guess.score for guess in mask] for mask in guesses]
    np.testing.assert_allclose(two["scores"], scores, 1e-4)
    assert {piece for mask in none["tokens"] for piece in mask} == {""}


@pytest.mark.parametrize("size", [64, 20_000])
def test_full_disk(single, tmp_path, full_disk, size):
    (tmp_path / "1").mkdir()
    with full_disk(size), pytest.raises(InputError) as error:
        single.export(tmp_path / "1", check=False, overwrite=True)
    assert str(error.value) == f"{tmp_path / '1'} can't be written: File too large"
    assert list(tmp_path.rglob("*")) == [tmp_path / "1"]


def test_int8_is_refused():
    message = "--precision int8 is not for a SavedModel: .*; use kerasbert export --format onnx or"
    for make in (ExportOptions, lambda **given: ServingKitOptions(name="mine", **given)):
        with pytest.raises(InputError, match=message):
            make(model="m", output="o", precision="int8")
