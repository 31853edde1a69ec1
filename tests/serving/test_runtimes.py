"""Exports for ONNX Runtime, OpenVINO and LiteRT."""

import importlib.util
import json
import pathlib
import sys

import keras
import numpy as np
import programs
import pytest

from kerasbert import (
    Backbone,
    InputError,
    MaskedLM,
    MultipleChoice,
    Pretrainer,
    QuestionAnswerer,
    ReplacedTokenDetector,
    TextClassifier,
    TextEmbedder,
    TokenClassifier,
    _compat,
)
from kerasbert.serving import encode, runtimes
from kerasbert.serving.encode import Encoder
from kerasbert.tasks import runtime_export

CLASSES = ["bad", "good", "größe"]
TEXTS = ["a good dog", "", "the bird reads a book, a great book", "x"]


def needs(format):
    names = {module.partition(".")[0] for module in runtimes.MODULES[format]}
    missing = any(importlib.util.find_spec(name) is None for name in names)
    return pytest.mark.skipif(missing, reason=f"pip install 'kerasbert[{format}]'")


every_format = pytest.mark.parametrize(
    "format", [pytest.param(format, marks=needs(format)) for format in runtimes.FILES]
)
of_onnx = needs("onnx")

TASKS = {
    "classes": lambda made, **given: TextClassifier(made, CLASSES, **given),
    "pairs": lambda made, **given: TextClassifier(made, CLASSES, pair=True, **given),
    "labels": lambda made, **given: TextClassifier(
        made, CLASSES, problem_type="multi_label_classification", **given
    ),
    "number": lambda made, **given: TextClassifier(made, problem_type="regression", **given),
    "numbers": lambda made, **given: TextClassifier(
        made, ["x", "y"], problem_type="regression", **given
    ),
    "embedding": lambda made, **given: TextEmbedder(made, prompt="query: ", **given),
    "answers": QuestionAnswerer,
    "tags": lambda made, **given: TokenClassifier(made, CLASSES, **given),
    "masks": MaskedLM,
    "pretrained": Pretrainer,
    "replaced": ReplacedTokenDetector,
}
OUTPUTS = {
    "classes": {"scores": (4, 3)},
    "pairs": {"scores": (4, 3)},
    "labels": {"scores": (4, 3)},
    "number": {"value": (4,)},
    "numbers": {"values": (4, 2)},
    "embedding": {"embedding": (4, 16)},
    "answers": {"start_logits": (4, None), "end_logits": (4, None)},
    "tags": {"scores": (4, None, 3)},
    "masks": {"scores": (4, 1, None)},
    "pretrained": {"mlm_logits": (4, 1, None), "nsp_logits": (4, 2)},
    "replaced": {"scores": (4, None)},
}


@pytest.fixture(scope="module")
def make(tokenizer, tiny_backbone):
    def make(kind, **change):
        backbone = tiny_backbone(tokenizer, **{"initializer_range": 0.5, "num_layers": 2, **change})
        return TASKS[kind](backbone, tokenizer=tokenizer)

    return make


@pytest.mark.parametrize("kind", TASKS)
@every_format
def test_every_task(make, tmp_path, kind, format):
    """Each export is compared, in a fresh process, with the model layer by layer."""
    task = make(kind)
    fixed = {"batch_size": len(TEXTS), "length": 20} if format == "litert" else {}
    task.export(tmp_path / "export", format=format, **fixed)
    settings = json.loads((tmp_path / "export/export.json").read_text())
    assert settings["outputs"] == sorted(OUTPUTS[kind])
    if kind in ("classes", "tags"):
        assert settings["classes"] == CLASSES
    encoder = Encoder(tmp_path / "export")
    columns = {
        name: [text.split() for text in TEXTS] if name == "words" else TEXTS
        for name in settings["inputs"]
    }
    outputs = runtimes.load(tmp_path / "export", format)(encoder(**columns))
    assert outputs.keys() == OUTPUTS[kind].keys()
    for name, shape in OUTPUTS[kind].items():
        found = outputs[name].shape
        assert len(found) == len(shape)
        if format != "litert":  # which has a fixed number of masks
            assert all(wanted in (None, size) for wanted, size in zip(shape, found, strict=True))


@of_onnx
def test_outputs_are_those_of_predict(make, tmp_path):
    for kind in ("classes", "embedding"):
        task = make(kind)
        task.export(tmp_path / kind, format="onnx", check=False)
        run, encoder = runtimes.load(tmp_path / kind, "onnx"), Encoder(tmp_path / kind)
        (found,) = run(encoder(text=TEXTS)).values()
        expected = task.predict(TEXTS, verbose=0)
        if kind == "classes":
            expected = keras.ops.softmax(expected)
        np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("format", [pytest.param(f, marks=needs(f)) for f in ("onnx", "openvino")])
def test_any_batch_and_length(make, tmp_path, format):
    task = make("classes")
    task.export(tmp_path / "export", format=format)
    run, encoder = runtimes.load(tmp_path / "export", format), Encoder(tmp_path / "export")
    together = run(encoder(text=TEXTS))["scores"]
    for text, scores in zip(TEXTS, together, strict=True):
        np.testing.assert_allclose(run(encoder(text=[text]))["scores"], [scores], atol=1e-5)
    assert run(encoder(text=["word " * 50] * 7))["scores"].shape == (7, 3)


@of_onnx
def test_batches_have_rows_of_similar_length(make, tmp_path):
    task = make("classes")
    task.export(tmp_path / "export", format="onnx", check=False)
    run, encoder = runtimes.load(tmp_path / "export", "onnx"), Encoder(tmp_path / "export")
    texts = ["word " * (number * 7 % 30) for number in range(30)]
    found, order = np.zeros((len(texts), 3), np.float32), []
    for places, features in encoder.batches(60, text=texts):
        rows, longest = features["token_ids"].shape
        assert rows == len(places)
        assert rows * longest <= 60
        assert (features["padding_mask"].sum(axis=1) > longest - 12).all()
        found[places] = run(features)["scores"]
        order += places
    assert sorted(order) == [*range(30)]
    np.testing.assert_allclose(found, run(encoder(text=texts))["scores"], atol=1e-5)
    assert [places for places, _ in encoder.batches(1, text=["a cat", "a"])] == [[1], [0]]
    assert list(encoder.batches(text=[])) == []
    with pytest.raises(ValueError, match="the model takes text, found words"):
        encoder.batches(words=["a"])  # at once, not with the first batch
    with pytest.raises(ValueError, match="tokens must be 1 or more, found 0"):
        encoder.batches(0, text=["a"])


@of_onnx
@pytest.mark.parametrize("count", [3, 4, 9])
def test_batches_of_a_fixed_shape(make, tmp_path, count):
    task = make("classes")
    task.export(tmp_path / "export", format="onnx", check=False)
    path = tmp_path / "export" / "export.json"
    settings = json.loads(path.read_text())
    path.write_text(json.dumps({**settings, "shape": [4, 8]}))
    batches = list(Encoder(tmp_path / "export").batches(1, text=["a cat"] * count))
    assert [place for places, _ in batches for place in places] == [*range(count)]
    assert len(batches) == -(-count // 4)
    assert {features["token_ids"].shape for _, features in batches} == {(4, 8)}


INT8 = {
    "onnx": needs("onnx"),
    "openvino": pytest.mark.skipif(
        any(importlib.util.find_spec(name) is None for name in ("openvino", "nncf")),
        reason="pip install 'kerasbert[openvino,nncf]'",
    ),
}


@pytest.mark.parametrize("format", [pytest.param(f, marks=mark) for f, mark in INT8.items()])
def test_int8(make, tmp_path, format):
    task = make("embedding", vocabulary_size=2000, hidden_dim=64, initializer_range=0.05)
    sizes = {}
    for precision in (None, "int8"):
        path = tmp_path / str(precision)
        task.export(path, format=format, precision=precision)
        sizes[precision] = sum(file.stat().st_size for file in path.glob("model.*"))
    assert sizes["int8"] < 0.5 * sizes[None]
    assert not [*path.glob("float32*")]
    assert json.loads((path / "export.json").read_text())["precision"] == "int8"
    (found,) = runtimes.load(path, format)(Encoder(path)(text=TEXTS)).values()
    cosines = (found * task.predict(TEXTS, verbose=0)).sum(-1)
    assert (cosines > 0.99).all()
    assert (cosines < 1 - 1e-7).any()  # else nothing is quantized


@of_onnx
def test_a_fault_of_int8_is_noticed(make, tmp_path, monkeypatch):
    def scales_lost(path):
        import onnx

        model = onnx.load(path)
        for one in model.graph.initializer:
            if one.data_type == onnx.TensorProto.FLOAT and len(one.dims) == 2:
                one.raw_data = (100 * onnx.numpy_helper.to_array(one)).tobytes()
        onnx.save(model, path)

    monkeypatch.setattr(runtime_export.runtime_int8, "quantizer", lambda format: scales_lost)
    with pytest.raises(RuntimeError, match=r"gives embedding that differ by up to"):
        make("embedding").export(tmp_path / "export", format="onnx", precision="int8")
    assert list(tmp_path.iterdir()) == []


ARCHITECTURES = {
    "positions of RoBERTa": {"positions": "learned_offset"},
    "exact gelu": {"activation": "gelu"},
    "relu": {"activation": "relu"},
    "sinusoids": {"positions": "sinusoidal"},
    "shared layers": {"num_groups": 1},
    "narrow tables": {"embedding_dim": 8},
    "no segments": {"num_segments": 0},
}


@pytest.mark.parametrize("name", ARCHITECTURES)
@every_format
def test_every_architecture(make, tmp_path, name, format):
    make("embedding", **ARCHITECTURES[name]).export(tmp_path / "export", format=format)


FAULTS = {
    "outputs": lambda patch: patch.setattr(
        runtime_export, "_outputs", lambda task: {"scores": keras.ops.softmax(2 * task.output)}
    ),
    "swapped inputs": lambda patch: patch.setattr(
        runtime_export,
        "_inputs",
        lambda task: {
            "padding_mask": task.input["padding_mask"],
            "segment_ids": task.input["token_ids"],
            "token_ids": task.input["segment_ids"],
        },
    ),
}


# Keras notices the swapped names, too, but only warns.
@pytest.mark.filterwarnings("ignore:When providing `inputs` as a dict:UserWarning")
@pytest.mark.parametrize("fault", FAULTS)
@of_onnx
def test_a_fault_of_the_model_is_noticed(make, tmp_path, monkeypatch, fault):
    FAULTS[fault](monkeypatch)
    with pytest.raises(RuntimeError, match=r"gives scores that differ by up to"):
        make("classes").export(tmp_path / "export", format="onnx")
    assert list(tmp_path.iterdir()) == []


@of_onnx
def test_a_fault_of_the_encoder_is_noticed(make, tmp_path, monkeypatch):
    wrong = tmp_path / "wrong.py"
    right = pathlib.Path(encode.__file__).read_text(encoding="utf-8")
    wrong.write_text(right.replace("[cls, *first", "[sep, *first"), encoding="utf-8")
    monkeypatch.setattr(encode, "__file__", str(wrong))
    with pytest.raises(RuntimeError, match=r"encode.py gives other token_ids than the model for"):
        make("classes").export(tmp_path / "export", format="onnx")
    assert list(tmp_path.iterdir()) == [wrong]


@of_onnx
def test_onnx_keeps_no_copies():
    from onnx import helper, numpy_helper
    from tf2onnx.graph import Graph, Node

    def resident() -> int:
        return 4096 * int(pathlib.Path("/proc/self/statm").read_text().split()[1])

    weights = numpy_helper.from_array(np.ones(2**20, "float32"))
    node = Node(helper.make_node("Const", [], ["w:0"], name="w", value=weights), Graph([]))
    with _compat.onnx_optimized_in_place():
        node.update_proto()
        before = resident()
        for _ in range(50):
            node.update_proto()
        assert resident() - before < 5 * weights.ByteSize()  # it was 50 of them


def test_refusals(make, tmp_path, tokenizer, tiny_backbone, monkeypatch):
    path, task = tmp_path / "export", make("classes")
    given = {"tokenizer": tokenizer}
    with pytest.raises(InputError, match=r"format must be one of .*litert, found 'tflite'"):
        task.export(path, format="tflite")
    with pytest.raises(InputError, match="batch_size and length are for LiteRT; onnx takes any"):
        task.export(path, format="onnx", batch_size=2)
    with pytest.raises(InputError, match=r"precision must be 'int8' or None, found 'bfloat16'$"):
        task.export(path, format="onnx", precision="bfloat16")
    with pytest.raises(InputError, match=r"precision='int8' is not for a SavedModel: .*openvino"):
        task.export(path, precision="int8")
    with pytest.raises(InputError, match=r"length in \[4, 24\], found 1 and 25"):
        task.export(path, format="litert", length=25)
    for module in ("onnxruntime", "openvino", "ai_edge_litert.interpreter"):
        monkeypatch.setitem(sys.modules, module, None)
    for format in runtimes.FILES:
        with pytest.raises(
            InputError, match=rf"not installed: pip install 'kerasbert\[{format}\]'"
        ):
            task.export(path, format=format)
    monkeypatch.setattr(runtime_export.lazy, "extra", lambda *_: None)
    choices = MultipleChoice(tiny_backbone(tokenizer), **given)
    with pytest.raises(InputError, match="reads several rows of tokens for an example"):
        choices.export(path, format="onnx")
    long = TextClassifier(tiny_backbone(tokenizer), CLASSES, long_text="mean", **given)
    with pytest.raises(InputError, match="reads several rows of tokens for an example"):
        long.export(path, format="onnx")
    packed = MaskedLM(tiny_backbone(tokenizer), packed=True, **given)
    with pytest.raises(InputError, match="takes document_ids, and has no onnx form"):
        packed.export(path, format="onnx")
    half = TextClassifier(Backbone(task.backbone.config, dtype="mixed_bfloat16"), CLASSES, **given)
    with pytest.raises(InputError, match="computes in float32: load the model with dtype="):
        half.export(path, format="openvino")
    for format in ("onnx", "litert"):
        with monkeypatch.context() as patch:
            patch.setitem(runtime_export._LARGEST, format, 4 * task.count_params() - 1)
            with pytest.raises(InputError, match=f"0.00 GB of weights in float32, and {format} h"):
                task.export(path, format=format)
    with pytest.raises(InputError, match="precision='int8' is for onnx and openvino, found litert"):
        task.export(path, format="litert", precision="int8")
    task.quantize("int8")
    with pytest.raises(InputError, match="quantized by Keras: export as litert before quantize"):
        task.export(path, format="litert")
    assert list(tmp_path.iterdir()) == []


def test_no_export_to_encode_for(tmp_path):
    with pytest.raises(ValueError, match=r"typo/export.json: No such file .*; an export has this"):
        Encoder(tmp_path / "typo")
    for content, message in (("{", "is no JSON"), ("\xff", "is no JSON"), ("[]", "no JSON object")):
        (tmp_path / "export.json").write_text(content, encoding="latin-1")
        with pytest.raises(ValueError, match=f"export.json: .*{message}.*; export the model again"):
            Encoder(tmp_path)
    (tmp_path / "export.json").write_text("{}")
    with pytest.raises(ValueError, match=r"encoder.json: No such file"):
        Encoder(tmp_path)


@of_onnx
def test_program(make, tmp_path):
    make("tags").save_to_preset(tmp_path / "model")
    words = ["scripts/export.py", f"--model={tmp_path}/model", f"--output={tmp_path}/export"]
    done = programs.run([*words, "--format=onnx"])
    assert done.returncode == 0, done.stderr
    expected = {"onnx": f"{tmp_path}/export", "inputs": ["words"], "checked": True}
    assert json.loads(done.stdout) == expected
    again = programs.run([*words, "--format=onnx"])
    assert again.returncode == 1
    assert "exists already" in again.stderr
