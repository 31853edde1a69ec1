"""Old names still work, with a warning that names the new one."""

import importlib

import keras
import numpy as np
import pytest

from kerasbert import Backbone, TextClassifier, TextEmbedder, cli, tokenizer_from_preset
from kerasbert.recipes.options import EvaluateOptions, FinetuneOptions, PretrainOptions


@pytest.fixture
def saved(tokenizer, tiny_backbone, tmp_path):
    backbone = tiny_backbone(tokenizer)
    backbone.save_to_preset(tmp_path / "model", tokenizer=tokenizer)
    return backbone, tmp_path / "model"


def test_old_names(saved):
    backbone, directory = saved
    with pytest.warns(FutureWarning, match="directory is now preset"):
        task = TextClassifier.from_preset(directory=directory, classes=["no", "yes"])
    with pytest.warns(FutureWarning, match="new_weights is now uninitialized_weights"):
        assert task.new_weights == task.uninitialized_weights != []
    with pytest.warns(FutureWarning, match="directory is now preset"):
        assert Backbone.from_preset(directory=directory).config == backbone.config
    with pytest.warns(FutureWarning, match="directory is now preset"):
        tokenizer_from_preset(directory=directory)
    features, positions = {"token_ids": np.ones((2, 4), "int32")}, np.zeros((2, 1), "int32")
    with pytest.warns(FutureWarning, match="places is now output_positions"):
        old = backbone(features, places=positions)["sequence_output"]
    np.testing.assert_array_equal(
        old, backbone(features, output_positions=positions)["sequence_output"]
    )


def test_old_name_of_subwords(saved, tokenizer):
    embedder = TextEmbedder(saved[0], tokenizer=tokenizer)
    ((words, expected),) = embedder.word_vectors(["a dog"], subwords="first")
    with pytest.warns(FutureWarning, match="pieces is now subwords"):
        ((old_words, old),) = embedder.word_vectors(["a dog"], pieces="first")
    assert old_words == words
    np.testing.assert_array_equal(old, expected)


def test_both_names_at_once(saved):
    with (
        pytest.warns(FutureWarning, match="directory is now preset"),
        pytest.raises(TypeError, match="preset is given twice, also as directory"),
    ):
        Backbone.from_preset(preset=saved[1], directory=saved[1])


def test_attributes_that_there_are_not(saved):
    with pytest.raises(AttributeError, match="TextClassifier has no attribute 'weihgts'"):
        _ = TextClassifier.from_preset(saved[1], classes=["no", "yes"]).weihgts


@pytest.mark.parametrize(
    ("package", "old", "new"),
    [
        ("kerasbert", "zoo", "loading"),
        ("kerasbert.training", "distil", "distill"),
        ("kerasbert.distillation", "distil", "distill"),
    ],
)
def test_old_attributes(package, old, new):
    module = importlib.import_module(package)
    with pytest.warns(FutureWarning, match=f"{package}.{old} is now {package}.{new}"):
        assert getattr(module, old) is getattr(module, new)


@pytest.mark.parametrize("name", ["OfProbabilities", "PlaceMean", "GlobalMean"])
def test_files_with_old_class_names_load(name):
    assert keras.saving.get_registered_object(f"kerasbert>{name}") is not None


def parsed(*words):
    required = ["--init=m", "--train=t", "--output=o"]
    return cli.parse(["finetune.py", *required, *words], FinetuneOptions)


@pytest.mark.parametrize(
    ("words", "name", "value"),
    [
        (["--warmup=0.2"], "warmup_ratio", 0.2),
        (["--layer_decay", "0.9"], "layerwise_lr_decay", 0.9),
        (["-ema=0.5"], "ema_momentum", 0.5),
    ],
)
def test_old_flags(words, name, value):
    old = words[0].strip("-").partition("=")[0]
    with pytest.warns(FutureWarning, match=f"--{old} is now --{name}"):
        assert getattr(parsed(*words), name) == value


def test_old_flags_in_a_file(tmp_path):
    (tmp_path / "flags").write_text("--warmup=0.2\n--epochs=7\n")
    with pytest.warns(FutureWarning) as warned:
        options = parsed(f"--flagfile={tmp_path}/flags", "--ema=0.5")
    assert (options.warmup_ratio, options.epochs, options.ema_momentum) == (0.2, 7, 0.5)
    assert sorted(str(one.message).partition(";")[0] for one in warned.list) == [
        "--ema is now --ema_momentum",
        "--warmup is now --warmup_ratio",
    ]
    with pytest.warns(FutureWarning):
        assert parsed(f"--flagfile={tmp_path}/flags", "--warmup=0.3").warmup_ratio == 0.3


def test_old_flags_that_are_switches_or_begin_with_no():
    required = ["--corpus=c", "--output=o"]
    with pytest.warns(FutureWarning, match="--nowhole_word is now --nowhole_word_masking"):
        options = cli.parse(["pretrain.py", *required, "--nowhole_word"], PretrainOptions)
    assert not options.whole_word_masking
    required = ["--predictions=p", "--metric=squad2", "--data=d"]
    with pytest.warns(FutureWarning, match="--no_answer is now --no_answer_probabilities"):
        options = cli.parse(["evaluate.py", *required, "--no_answer", "n.json"], EvaluateOptions)
    assert options.no_answer_probabilities == "n.json"


def test_flags_that_only_begin_like_old_ones(recwarn):
    options = parsed("--warmup_ratio=0.2", "--weight_decay=0.5", "--epochs", "2")
    assert (options.warmup_ratio, options.weight_decay, options.epochs) == (0.2, 0.5, 2)
    assert not recwarn.list


def test_settings_of_earlier_runs():
    options = parsed("--warmup_ratio=0.2")
    stored = {**options.settings, "train": "t"}
    stored["warmup"] = stored.pop("warmup_ratio")
    del stored["label_smoothing"]  # an option that a later version added
    assert options.upgraded(stored) == options.settings


@pytest.mark.parametrize("backend", ["tensorflow", "jax"])
def test_settings_of_a_run_on_the_same_backend(backend):
    options = parsed(f"--backend={backend}")
    assert options.upgraded(options.settings) == options.settings
    other = parsed(f"--backend={'jax' if backend == 'tensorflow' else 'tensorflow'}")
    assert options.upgraded(other.settings) != options.settings
