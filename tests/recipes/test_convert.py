import json
import pathlib
import shutil

import numpy as np
import pytest
import safetensors.numpy

import kerasbert
from kerasbert import InputError
from kerasbert.recipes.convert import ConvertOptions, convert

GOLDENS = pathlib.Path(__file__).parents[1] / "goldens" / "huggingface"


def run(source, output, **options):
    return convert(ConvertOptions(input=str(source), output=str(output), **options))


def test_round_trip(tmp_path, capsys):
    there = run(GOLDENS / "bert_pretraining", tmp_path / "kerasbert")
    back = run(tmp_path / "kerasbert", tmp_path / "hf", format="hf")
    assert (there["from"], there["to"], there["task"]) == ("hf", "kerasbert", "Pretrainer")
    assert (there["left_out"], there["left_over"], back["left_out"]) == ([], [], [])
    assert there["mapped"] == back["mapped"]
    before = safetensors.numpy.load_file(GOLDENS / "bert_pretraining" / "model.safetensors")
    after = safetensors.numpy.load_file(tmp_path / "hf" / "model.safetensors")
    for name, array in before.items():
        np.testing.assert_array_equal(after[name], array, err_msg=name)
    lines = capsys.readouterr().out.splitlines()
    name = "encoder.layer.0.attention.self.query.weight"
    assert f"{name} (16, 16) -> layer_0/attention/query/kernel" in lines
    assert f"layer_0/attention/query/kernel (16, 16) -> {name}" in lines


def test_unsupported_settings_of_a_format(tmp_path):
    with pytest.raises(InputError, match="activation 'gelu'"):
        run(GOLDENS / "bert", tmp_path / "google", format="google")
    assert not (tmp_path / "google").exists()
    run(GOLDENS / "bert", tmp_path / "google", format="google", activation="gelu_tanh")
    config = json.loads((tmp_path / "google" / "bert_config.json").read_text())
    assert config["hidden_act"] == "gelu"
    result = run(tmp_path / "google", tmp_path / "hf", format="hf")
    assert result["from"] == "google"
    assert json.loads((tmp_path / "hf" / "config.json").read_text())["hidden_act"] == "gelu_new"


@pytest.fixture
def named(tmp_path, tokenizer, tiny_backbone):
    """A Hugging Face classifier of pairs, with all settings that other formats may lack."""
    backbone = tiny_backbone(tokenizer, initializer_range=0.3, dropout=0.1, attention_dropout=0.1)
    classes = ["no", "yes", "perhaps"]
    task = kerasbert.TextClassifier(
        backbone, classes, tokenizer=tokenizer, sequence_length=9, dropout=0.1
    )
    task.save_to_preset(tmp_path / "named", format="hf")
    return tmp_path / "named"


@pytest.mark.filterwarnings("ignore:the format stores the number of classes")
@pytest.mark.parametrize(
    ("format", "left_out"),
    [
        ("kerasbert", []),
        ("hf", []),
        ("google", ["sequence_length", "classes"]),
        ("kerashub", ["classes", "initializer_range"]),
    ],
)
def test_every_setting_is_stored_or_listed(named, tmp_path, format, left_out, capsys):
    run(named, tmp_path / "activation", activation="gelu_tanh")
    # The other formats only have the tanh form of GELU.
    source = named if format in ("kerasbert", "hf") else tmp_path / "activation"
    result = run(source, tmp_path / "out", format=format)
    assert result["left_out"] == left_out
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if line.endswith("left out")] == [
        f"{name} -> left out" for name in left_out
    ]
    task = kerasbert.load(tmp_path / "out")
    assert task.sequence_length == (24 if "sequence_length" in left_out else 9)
    classes = ["0", "1", "2"] if "classes" in left_out else ["no", "yes", "perhaps"]
    assert task.classes == classes


def test_control_characters_in_names(tmp_path, capsys):
    source = tmp_path / "named"
    shutil.copytree(GOLDENS / "bert", source, copy_function=shutil.copyfile)
    tensors = safetensors.numpy.load_file(source / "model.safetensors")
    stray = {"\x1b[2J": np.zeros(1, "float32"), "a" * 1_000_000: np.zeros(1, "float32")}
    safetensors.numpy.save_file({**tensors, **stray}, source / "model.safetensors")
    config = json.loads((source / "config.json").read_text())
    (source / "config.json").write_text(json.dumps({**config, "architectures": ["Other"]}))
    convert(ConvertOptions(input=str(source), output=str(tmp_path / "out")))
    printed = capsys.readouterr().out
    assert r"\x1b[2J -> left over" in printed
    assert all(line.isprintable() and len(line) < 3000 for line in printed.splitlines())


def test_the_length_of_an_encoder_s_tokenizer(tmp_path, tokenizer, tiny_backbone):
    backbone = tiny_backbone(tokenizer)
    backbone.save_to_preset(tmp_path / "hf", format="hf", tokenizer=tokenizer, sequence_length=11)
    for format in ("kerasbert", "hf"):
        assert run(tmp_path / "hf", tmp_path / format / "out", format=format)["left_out"] == []
        task = kerasbert.TextClassifier.from_preset(tmp_path / format / "out", classes=2)
        assert task.sequence_length == 11
    run(tmp_path / "hf", tmp_path / "tanh", activation="gelu_tanh")
    for format in ("google", "kerashub"):
        result = run(tmp_path / "tanh", tmp_path / format, format=format)
        assert "sequence_length" in result["left_out"]
    result = run(tmp_path / "hf", tmp_path / "short", max_sequence_length=8)
    assert result["left_out"] == []


def test_unused_settings_are_listed(tmp_path):
    source = GOLDENS.parent / "sentence_transformers" / "prompt"
    assert run(source, tmp_path / "out")["left_out"] == ["prompts.passage"]


def test_genuine_google_checkpoint(shared, tmp_path):
    source = shared("checkpoints", "tf_ckpt_2L_H4_kerasbert")
    result = run(source, tmp_path / "hf", format="hf")
    assert result["task"] == "Pretrainer"
    assert result["tokenizer"] == "wordpiece"
    assert "global_step" in result["left_over"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"format": "onnx"}, "format must be one of kerasbert, hf, kerashub, google"),
        ({"source": "nowhere"}, "nowhere: neither a model directory nor"),
        (
            {"source": GOLDENS / "bert_next_sentence"},
            "holds a NextSentencePredictor.*; Pretrainer.from",
        ),
    ],
)
def test_bad_input(tmp_path, options, message):
    source = options.pop("source", GOLDENS / "bert")
    with pytest.raises(InputError, match=message):
        run(source, tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()
