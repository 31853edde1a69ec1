import json
import pathlib

import numpy as np
import pytest
import safetensors.numpy

from kerasbert import InputError
from kerasbert.recipes.convert import ConvertOptions, convert

GOLDENS = pathlib.Path(__file__).parents[1] / "goldens" / "huggingface"


def run(source, output, **options):
    return convert(ConvertOptions(input=str(source), output=str(output), **options))


def test_there_and_back(tmp_path, capsys):
    there = run(GOLDENS / "bert_pretraining", tmp_path / "kerasbert")
    back = run(tmp_path / "kerasbert", tmp_path / "hf", format="hf")
    assert (there["from"], there["to"], there["task"]) == ("hf", "kerasbert", "Pretrainer")
    assert (there["left_out"], there["left_over"], there["new"]) == ([], [], [])
    assert there["mapped"] == back["mapped"]
    before = safetensors.numpy.load_file(GOLDENS / "bert_pretraining" / "model.safetensors")
    after = safetensors.numpy.load_file(tmp_path / "hf" / "model.safetensors")
    for name, array in before.items():
        np.testing.assert_array_equal(after[name], array, err_msg=name)
    lines = capsys.readouterr().out.splitlines()
    name = "encoder.layer.0.attention.self.query.weight"
    assert f"{name} (16, 16) -> layer_0/attention/query/kernel" in lines
    assert f"layer_0/attention/query/kernel (16, 16) -> {name}" in lines


def test_what_a_format_can_not_say(tmp_path):
    with pytest.raises(InputError, match="activation 'gelu'"):
        run(GOLDENS / "bert", tmp_path / "google", format="google")
    assert not (tmp_path / "google").exists()
    run(GOLDENS / "bert", tmp_path / "google", format="google", activation="gelu_tanh")
    config = json.loads((tmp_path / "google" / "bert_config.json").read_text())
    assert config["hidden_act"] == "gelu"
    result = run(tmp_path / "google", tmp_path / "hf", format="hf")
    assert result["from"] == "google"
    assert json.loads((tmp_path / "hf" / "config.json").read_text())["hidden_act"] == "gelu_new"


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
        ({"source": GOLDENS / "bert_next_sentence"}, "holds a NextSentencePredictor"),
    ],
)
def test_bad_input(tmp_path, options, message):
    source = options.pop("source", GOLDENS / "bert")
    with pytest.raises(InputError, match=message):
        run(source, tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()
