"""Frozen, quantized and adapted layers, and Keras's ways to save and copy models."""

import subprocess
import sys
import zipfile

import keras
import numpy as np
import pytest

from kerasbert import Backbone, InputError, MaskedLM, Pretrainer, TextClassifier, load
from kerasbert.layers import state
from kerasbert.layers.inference import PrecomputedWeights
from kerasbert.registration import CLASSES, PACKAGE, REGISTERED_AS
from kerasbert.serving.client import SavedModelClient
from kerasbert.tasks.masked_lm.model import mlm_logits
from kerasbert.tasks.registry import TASKS
from kerasbert.training import student_from

TEXTS, LABELS = ["a good dog", "bad city", "the film", "one two"], ["good", "bad", "good", "bad"]


@pytest.fixture
def classifier(tokenizer, tiny_backbone):
    backbone = tiny_backbone(tokenizer, num_layers=2)
    return TextClassifier(backbone, ["bad", "good"], tokenizer=tokenizer, pair=False)


def outputs(task, texts=TEXTS):
    """Returns the outputs of the layers one by one, and of the inference graph."""
    features = task.preprocessor.features(texts)
    (fast,) = task.forward([features])
    return np.asarray(task(features, training=False)), fast


def softmax(logits):
    weights = np.exp(logits - logits.max(-1, keepdims=True))
    return weights / weights.sum(-1, keepdims=True)


# === Freezing ===


@pytest.mark.parametrize("part", ["task", "backbone", "layer"])
def test_frozen_layers_can_be_unfrozen(classifier, part):
    everything = len(classifier.trainable_weights)
    classifier.freeze(layers=1, names=["layer_1/attention/query/bias"])
    assert not classifier.backbone.blocks[0].trainable
    frozen = len(classifier.trainable_weights)
    assert frozen == everything - 5 - 16 - 1
    of = {
        "task": classifier,
        "backbone": classifier.backbone,
        "layer": classifier.backbone.blocks[0],
    }
    of[part].trainable = True
    assert len(classifier.trainable_weights) == (frozen + 16 if part == "layer" else everything)


def freeze_by_name(task):
    task.freeze(layers=1, names=["layer_1/attention/query/bias"])


def freeze_backbone(task):
    task.backbone.trainable = False


@pytest.mark.parametrize("freeze", [freeze_by_name, freeze_backbone])
def test_frozen_layers_are_saved(classifier, tmp_path, freeze):
    freeze(classifier)
    classifier.save(tmp_path / "task.keras")
    classifier.backbone.save(tmp_path / "backbone.keras")
    loaded = keras.models.load_model(tmp_path / "task.keras")
    backbone = keras.models.load_model(tmp_path / "backbone.keras")
    for one, other in ((classifier, loaded), (classifier.backbone, backbone)):
        names = [[v.path for v in model.trainable_weights] for model in (one, other)]
        assert names[0] == names[1]
    assert loaded.backbone.trainable == classifier.backbone.trainable


# === Quantizing ===


@pytest.mark.parametrize("mode", state.QUANTIZATIONS)
def test_quantized(classifier, tmp_path, mode):
    before, _ = outputs(classifier)
    classifier.quantize(mode)
    plain, fast = outputs(classifier)
    assert (plain != before).any()
    assert np.corrcoef(plain.ravel(), before.ravel())[0, 1] > (0.99 if mode == "int8" else 0.8)
    np.testing.assert_allclose(fast, plain, atol=0.02)
    np.testing.assert_allclose(classifier.predict(TEXTS, verbose=0), plain, atol=0.02)
    classifier.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(outputs(loaded)[0], plain, atol=1e-6)
    with pytest.raises(InputError, match=f"weights of .* are {mode}, where floats are needed"):
        classifier.save_to_preset(tmp_path / "preset")
    with pytest.raises(InputError, match="where floats are needed"):
        student_from(classifier, 1)
    assert not (tmp_path / "preset").exists()
    if mode == "int8":
        classifier.export(tmp_path / "1")
        answers = SavedModelClient(tmp_path / "1")(text=TEXTS)
        scores = [answer["scores"] for answer in answers]
        np.testing.assert_allclose(scores, softmax(plain), atol=0.01)


def test_quantized_by_a_config(classifier, tmp_path):
    before, _ = outputs(classifier)
    classifier.quantize(config=keras.quantizers.Int8QuantizationConfig())
    after, _ = outputs(classifier)
    assert (after != before).any()
    classifier.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(outputs(loaded)[0], after, atol=1e-6)


def test_one_quantized_layer(classifier):
    classifier.backbone.blocks[0].attention.key.quantize("int8")
    plain, fast = outputs(classifier)
    np.testing.assert_allclose(fast, plain, atol=0.02)


@pytest.mark.parametrize("make", [MaskedLM, Pretrainer])
def test_quantized_table_of_a_masked_model(tokenizer, tiny_backbone, make):
    task = make(tiny_backbone(tokenizer), tokenizer=tokenizer)
    text = ["a [MASK] dog"]
    before = np.asarray(mlm_logits(task(task.preprocessor.features(text), training=False)))[0, 0]
    task.quantize("int8")
    after = np.asarray(mlm_logits(task(task.preprocessor.features(text), training=False)))[0, 0]
    assert np.corrcoef(after, before)[0, 1] > 0.99


def test_other_modes(classifier):
    with pytest.raises(InputError, match="quantize takes int8 or int4, found 'float8'"):
        classifier.quantize("float8")
    with pytest.raises(InputError, match="quantize takes int8 or int4, found 'float8'"):
        classifier.quantize(config=keras.quantizers.Float8QuantizationConfig())


def test_an_export_with_wrong_outputs_fails(classifier, tmp_path, monkeypatch):
    once = PrecomputedWeights.once

    def wrong(self, key, function):
        return once(self, key, lambda: function() * 1.1)

    monkeypatch.setattr(PrecomputedWeights, "once", wrong)
    with pytest.raises(RuntimeError, match="export's tokens gives logits that differ by up to"):
        classifier.export(tmp_path / "1")
    assert list(tmp_path.iterdir()) == []


# === LoRA ===


@pytest.mark.parametrize("format", ["kerasbert", "hf", "keras"])
def test_adapters_are_merged_in_a_file(classifier, tmp_path, format):
    adapted = [classifier.backbone.token_embedding]
    for block in classifier.backbone.blocks:
        adapted += [block.attention.query, block.attention.value, block.intermediate]
    before, _ = outputs(classifier)
    for layer in adapted:
        layer.enable_lora(2)
    classifier.compile(keras.optimizers.SGD(0.5), run_eagerly=True)
    classifier.fit(TEXTS, LABELS, epochs=3, verbose=0)
    plain, fast = outputs(classifier)
    assert abs(plain - before).max() > 0.01
    np.testing.assert_allclose(fast, plain, atol=1e-5)
    if format == "keras":
        classifier.save(tmp_path / "model.keras")
        loaded = keras.models.load_model(tmp_path / "model.keras")
    else:
        classifier.save_to_preset(tmp_path / "model", format=format)
        loaded = load(tmp_path / "model")
    np.testing.assert_allclose(outputs(loaded)[0], plain, atol=1e-5)
    assert not [v.path for v in loaded.weights if "lora" in v.path]
    assert len(loaded.trainable_weights) == len(
        TextClassifier(Backbone(classifier.backbone.config), 2).trainable_weights
    )


def test_adapters_apply_after_predictions(classifier):
    texts = TEXTS * 100  # enough batches for a pipeline
    classifier.compile(keras.optimizers.SGD(0.0))

    def answers():
        loss, _ = classifier.evaluate(TEXTS, LABELS, verbose=0)
        few, many = (classifier.predict(x, verbose=0)[0] for x in (TEXTS, texts))
        scores = list(classifier.classify(TEXTS[:1])[0]["scores"].values())
        return [loss, *few, *many, *scores]

    before = answers()
    head = classifier.get_layer("classifier")
    head.enable_lora(1)
    np.testing.assert_allclose(answers(), before, atol=1e-5)
    head.lora_kernel_b.assign(np.array([[3.0, -3.0]]))
    after = answers()
    assert min(abs(np.subtract(after, before))) > 1e-3
    classifier.compile(keras.optimizers.SGD(0.0))
    np.testing.assert_allclose(answers(), after, atol=1e-5)


# === Keras's saving and copying ===


def test_every_registered_class_has_a_stand_in():
    import kerasbert.training.similarity

    for name in TASKS:
        getattr(kerasbert.tasks, name)
    registered = {
        name.split(">")[1]: found.__module__
        for name, found in keras.saving.get_custom_objects().items()
        if name.startswith(f"{PACKAGE}>") and isinstance(found, type)
    }
    listed = {
        REGISTERED_AS.get(name, name): f"{PACKAGE}.{module}"
        for module, names in CLASSES.items()
        for name in names
    }
    tasks = {name: f"{entry.folder}.model" for name, entry in TASKS.items()}
    assert registered == {**listed, **tasks}


LOAD = """
import sys
{imports}
model = keras.models.load_model(sys.argv[1])
print(type(model).__name__, len(model.weights))
"""


@pytest.mark.parametrize(
    "imports",
    ["import kerasbert, keras", pytest.param("import keras, kerasbert", marks=pytest.mark.full)],
)
def test_a_new_process_knows_the_classes(classifier, tmp_path, imports):
    classifier.compile()
    classifier.save(tmp_path / "task.keras")
    code = LOAD.format(imports=imports)
    command = [sys.executable, "-c", code, tmp_path / "task.keras"]
    child = subprocess.run(command, capture_output=True, text=True)
    assert child.returncode == 0, child.stderr
    assert child.stdout.split() == ["TextClassifier", str(len(classifier.weights))]


def test_the_config_has_no_vocabulary(classifier, tokenizer, tmp_path):
    classifier.save(tmp_path / "task.keras")
    with zipfile.ZipFile(tmp_path / "task.keras") as archive:
        config = archive.read("config.json").decode()
        assert "assets/vocab.txt" in archive.namelist()
    assert len(config) < 5_000
    assert tokenizer.vocabulary[-1] not in config
    loaded = keras.models.load_model(tmp_path / "task.keras")
    np.testing.assert_array_equal(*(m.predict(TEXTS, verbose=0) for m in (classifier, loaded)))


def test_a_config_alone_has_no_vocabulary(classifier):
    again = keras.models.model_from_json(classifier.to_json())
    with pytest.raises(InputError, match="created from a config alone, which has no vocabulary"):
        again.predict(TEXTS, verbose=0)
    assert TextClassifier.from_config(classifier.get_config()).tokenizer is classifier.tokenizer


def test_a_copy_of_a_compiled_task(classifier):
    classifier.compile()
    copy = keras.models.clone_model(classifier)
    assert copy.compiled
    copy.set_weights(classifier.get_weights())
    features = classifier.preprocessor.features(TEXTS)
    np.testing.assert_allclose(copy(features), classifier(features), atol=1e-6)


def test_weights_alone(classifier, tmp_path):
    classifier.save_weights(tmp_path / "of.weights.h5")
    other = TextClassifier.from_config(classifier.get_config())
    other.load_weights(tmp_path / "of.weights.h5")
    for one, two in zip(classifier.weights, other.weights, strict=True):
        np.testing.assert_array_equal(one.numpy(), two.numpy())


def test_a_model_on_a_backbone(classifier, tmp_path):
    ids = keras.Input((None,), dtype="int32", name="token_ids")
    encoded = classifier.backbone({"token_ids": ids})["sequence_output"]
    model = keras.Model({"token_ids": ids}, keras.layers.Dense(3)(encoded))
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    x = {"token_ids": np.array([[2, 9, 8, 3]])}
    np.testing.assert_array_equal(loaded.predict(x, verbose=0), model.predict(x, verbose=0))


# === Lengths and dtypes ===


@pytest.mark.parametrize(
    ("stored", "longest", "found"),
    [(None, 40, 40), (24, 40, 40), (12, 40, 12), (None, 16, 16), (20, 16, 16), (12, None, 12)],
)
def test_length_of_a_resized_backbone(tokenizer, tiny_backbone, tmp_path, stored, longest, found):
    task = TextClassifier(tiny_backbone(tokenizer), 2, tokenizer=tokenizer, sequence_length=stored)
    task.save_to_preset(tmp_path / "model")
    backbone = {"max_sequence_length": longest} if longest else {}
    loaded = TextClassifier.from_preset(tmp_path / "model", backbone=backbone)
    assert loaded.sequence_length == found
    given = TextClassifier.from_preset(tmp_path / "model", backbone=backbone, sequence_length=8)
    assert given.sequence_length == 8


@pytest.mark.parametrize("format", ["kerasbert", "hf"])
@pytest.mark.parametrize(
    ("policy", "weights"), [("bfloat16", "bfloat16"), ("mixed_bfloat16", "float32")]
)
def test_weights_have_the_dtype_of_the_policy(classifier, tmp_path, policy, weights, format):
    classifier.save_to_preset(tmp_path / "float32")
    task = TextClassifier.from_preset(tmp_path / "float32", dtype=policy)
    assert {v.dtype for v in task.backbone.weights} == {weights}
    assert {v.dtype for v in task.weights if v.path.startswith("classifier")} == {"float32"}
    plain, _ = outputs(classifier)
    np.testing.assert_allclose(outputs(task)[0], plain, atol=0.2)
    task.compile(run_eagerly=True)
    task.fit(TEXTS, LABELS, verbose=0)
    task.save_to_preset(tmp_path / "again", format=format)
    for again in (load(tmp_path / "again", dtype=policy), load(tmp_path / "again")):
        for one, two in zip(task.weights, again.weights, strict=True):
            np.testing.assert_array_equal(np.float32(one.numpy()), np.float32(two.numpy()))
