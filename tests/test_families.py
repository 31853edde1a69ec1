"""Every family with every task, from the tables; a quarter of the pairs unless `--full`."""

import dataclasses
import json
import random

import keras
import numpy as np
import pytest
import tensorflow as tf
import toy_family
from safetensors.numpy import load_file

from kerasbert import (
    Backbone,
    BackboneConfig,
    InputError,
    MaskedLM,
    Pretrainer,
    checkpoints,
    families,
    list_presets,
    load,
)
from kerasbert.checkpoints import tokenizer_files
from kerasbert.data.corpus.prepare import prepare_corpus
from kerasbert.data.corpus.reader import Corpus
from kerasbert.data.pretraining.batches import PretrainingBatches
from kerasbert.recipes.options import PretrainOptions
from kerasbert.serving.client import SavedModelClient, answer_rows
from kerasbert.tasks import registry

TASKS = {name: registry.task_class(name) for name in sorted(registry.TASKS)}
TINY = {
    "num_layers": 2,
    "hidden_dim": 16,
    "num_heads": 2,
    "intermediate_dim": 24,
    "max_sequence_length": 24,
    "initializer_range": 0.2,
}
TEXTS = ["The cat sees a good dog.", "They like it", "a bad, sad 中国 bird!", "x"]
PAIRS = (TEXTS, TEXTS[::-1])
CLASSES = ["one", "two", "three"]
FILLED_UP = [["a dog", "a cat"], ["so", ""], ["x", ""], ["good", "bad"]]
CHOICES = [["a dog", "a cat"], ["so"], ["x", "", "y z"], ["good", "bad", "it"]]


def tiny_config(family, tokenizer, **facts):
    """Returns a smaller version of the family's smallest architecture."""
    presets = families.FAMILIES[family].presets.values()
    smallest = min(presets, key=lambda facts: facts["hidden_dim"] * facts["num_layers"])
    narrow = {"embedding_dim": 8} if smallest.get("embedding_dim") else {}
    size = {**TINY, **narrow, "vocabulary_size": tokenizer.vocabulary_size}
    return BackboneConfig(**{**smallest, **size, **facts})


def first_families(key):
    """Returns the first family of each kind."""
    found = {}
    for name, family in families.FAMILIES.items():
        found.setdefault(key(family), name)
    return list(found.values())


# One family for each kind of tokenizer.
TOKENIZATIONS = first_families(lambda family: json.dumps(dict(family.tokenizer)))


# === Training data of the tasks ===


def features_of(task, *texts):
    return {name: value.numpy() for name, value in task.preprocessor.features(*texts).items()}


def text_only(task):
    return {"x": TEXTS}


def pairs(task):
    return {"x": PAIRS}


def choices(task):
    return {"x": {"text": TEXTS, "choices": CHOICES}, "y": [1, 0, 2, 1]}


def text_and_names(task):
    return {"x": TEXTS, "y": [*CLASSES, CLASSES[0]]}


def token_classes(count):
    def examples(task):
        features = features_of(task, TEXTS)
        weights = features["padding_mask"].astype("float32")
        return {"x": features, "y": features["token_ids"] % count, "sample_weight": weights}

    return examples


def words_and_tags(task):
    words = [text.split() for text in TEXTS]
    return {"x": words, "y": [[CLASSES[len(word) % 3] for word in one] for one in words]}


def spans(task):
    questions, contexts = PAIRS
    answers = [{"text": [context[-1]], "answer_start": [len(context) - 1]} for context in contexts]
    return {"x": {"question": questions, "context": contexts}, "y": answers}


#: By task: arguments besides the backbone, arguments of `fit`, text to predict.
USES = {
    "MaskedLM": ({}, text_only, [TEXTS]),
    "MultipleChoice": ({}, choices, [TEXTS, CHOICES]),
    "Pretrainer": ({}, text_only, [TEXTS]),
    "QuestionAnswerer": ({}, spans, PAIRS),
    "ReplacedTokenDetector": ({}, token_classes(2), [TEXTS]),
    "TextClassifier": ({"classes": CLASSES}, text_and_names, [TEXTS]),
    "TextEmbedder": ({}, pairs, [TEXTS]),
    "TokenClassifier": ({"classes": CLASSES}, words_and_tags, [TEXTS]),
}

#: Weights that may not change, by task. A softmax does not change if all its scores are shifted
#: equally: the bias of keys shifts all scores of a row, and the last biases shift all scores of a
#: question answerer's softmax over tokens, and of a multiple choice's over choices.
STILL = dict.fromkeys(TASKS, ("attention/key/bias",))
STILL["MultipleChoice"] += ("choice_head/bias",)
STILL["QuestionAnswerer"] += ("span_head/bias", "layer_1/output_layer_norm/beta")


def build(family, name, tokenizer):
    random.seed(0)  # Keras draws the seeds of initializers and dropout from it
    config = tiny_config(family, tokenizer)
    if TASKS[name].needs_pooler(config):
        config = dataclasses.replace(config, pooler=True)
    return TASKS[name](Backbone(config), tokenizer=tokenizer, **USES[name][0])


def predict(task):
    """Returns the task's outputs for text."""
    texts = USES[type(task).__name__][2]
    outputs = task(task.preprocessor.features(*texts), training=False)
    outputs = outputs if isinstance(outputs, dict) else {"logits": outputs}
    return {name: value.numpy() for name, value in outputs.items()}


def assert_same(ours, theirs):
    assert ours.keys() == theirs.keys()
    for name, value in ours.items():
        np.testing.assert_allclose(theirs[name], value, atol=1e-5)


def assert_same_rows(ours, theirs):
    for one, other in zip(ours, theirs, strict=True):
        assert one.keys() == other.keys()
        for name, value in one.items():
            if np.asarray(value).dtype.kind == "f":
                np.testing.assert_allclose(other[name], value, atol=1e-5)
            else:
                assert other[name] == value


# === Family by task ===


@pytest.fixture(scope="module")
def tokenizer_of(make_tokenizer):
    return lambda family: make_tokenizer(families.FAMILIES[family].tokenizer)


@pytest.fixture(
    scope="module",
    params=[
        pytest.param((family, name), marks=[] if (i - j) % 4 == 0 else pytest.mark.full)
        for i, family in enumerate(families.FAMILIES)
        for j, name in enumerate(TASKS)
    ],
    ids="-".join,
)
def task(request, tokenizer_of):
    family, name = request.param
    return build(family, name, tokenizer_of(family))


def test_every_task_has_its_use():
    assert USES.keys() == TASKS.keys()


def test_one_step_moves_every_weight(task):
    before = {variable.path: variable.numpy() for variable in task.trainable_variables}
    task.compile(run_eagerly=True)  # tracing a step would take longer
    task.fit(**USES[type(task).__name__][1](task), batch_size=4, verbose=0)
    still = [
        variable.path
        for variable in task.trainable_variables
        if np.abs(variable.numpy() - before[variable.path]).max() < 1e-6  # more than weight decay
        and not variable.path.endswith(STILL[type(task).__name__])
    ]
    assert still == []


def test_save_and_load(task, tmp_path):
    task.save_to_preset(tmp_path / "model")
    loaded = load(tmp_path / "model")
    assert type(loaded) is type(task)
    assert loaded.backbone.config == task.backbone.config
    assert loaded.head_config() == task.head_config()
    assert loaded.tokenizer.get_config() == task.tokenizer.get_config()
    assert loaded.uninitialized_weights == []
    assert_same(predict(task), predict(loaded))


@pytest.mark.parametrize(
    ("family", "name"),
    [
        pytest.param(
            family, name, marks=[] if i == j % len(families.FAMILIES) else pytest.mark.full
        )
        for i, family in enumerate(families.FAMILIES)
        for j, name in enumerate(TASKS)
    ],
)
def test_export(family, name, tokenizer_of, tmp_path):
    task = build(family, name, tokenizer_of(family))
    task.export(tmp_path / "1", check=False)
    inputs, function = task.serving_signature()
    texts = {name: FILLED_UP if name == "choices" else TEXTS for name in inputs}
    live = function(**{name: tf.constant(column) for name, column in texts.items()})
    assert_same_rows(answer_rows(live), SavedModelClient(tmp_path)(**texts))


@pytest.mark.parametrize(
    ("family", "name"),
    [
        pytest.param(family, name, marks=[] if family == "roberta" else pytest.mark.full)
        for family, name in zip(TOKENIZATIONS, reversed(TASKS), strict=False)
    ],
)
def test_export_answers_in_a_fresh_process(family, name, tokenizer_of, tmp_path):
    build(family, name, tokenizer_of(family)).export(tmp_path / "1")


@pytest.mark.parametrize("name", TASKS)
def test_keras_file(name, tokenizer_of, tmp_path):
    family = TOKENIZATIONS[list(TASKS).index(name) % len(TOKENIZATIONS)]
    task = build(family, name, tokenizer_of(family))
    expected = predict(task)
    task.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.backbone.config == task.backbone.config
    assert loaded.head_config() == task.head_config()
    assert loaded.tokenizer.get_config() == task.tokenizer.get_config()
    assert_same(expected, predict(loaded))


@pytest.mark.parametrize("format", ["kerasbert", "hf"])
def test_the_format_of_a_directory_is_detected_once(format, tokenizer_of, tmp_path, monkeypatch):
    build("bert", "MaskedLM", tokenizer_of("bert")).save_to_preset(tmp_path / "x", format=format)
    detect, asked = checkpoints._format_of, []
    monkeypatch.setattr(
        checkpoints, "_format_of", lambda directory: asked.append(directory) or detect(directory)
    )
    assert load(tmp_path / "x").tokenizer is not None
    assert asked == [tmp_path / "x"]


# === A family from outside the package ===


@pytest.fixture
def toy():
    families.register("toy", toy_family.FAMILY)
    yield
    del families.FAMILIES["toy"]
    for name in toy_family.FAMILY.presets:
        del families.PRESETS[name]


@pytest.fixture
def toy_tokenizer(toy, tokenizer_of):
    return tokenizer_of("toy")


def toy_config(tokenizer):
    size = {"vocabulary_size": tokenizer.vocabulary_size, "max_sequence_length": 24}
    return BackboneConfig.from_preset("toy_tiny", **size, initializer_range=0.2)


@pytest.mark.parametrize("format", ["kerasbert", "hf", "google"])
def test_a_new_family_needs_no_code(toy_tokenizer, tmp_path, format):
    config = toy_config(toy_tokenizer)
    task = MaskedLM(Backbone(config), tokenizer=toy_tokenizer)
    for name, model in ("encoder", Backbone(config)), ("task", task):
        model.save_to_preset(tmp_path / name, format=format)
        loaded = load(tmp_path / name)
        assert type(loaded) is type(model)
        stored = {variable.path: variable.numpy() for variable in loaded.weights}
        for variable in model.weights:
            if variable.path in stored or not variable.path.startswith("pooler/"):
                np.testing.assert_array_equal(stored[variable.path], variable.numpy())
    facts = dataclasses.replace(loaded.backbone.config, pooler=True, initializer_range=0.2)
    assert facts == config
    assert loaded.tokenizer.get_config() == toy_tokenizer.get_config()
    assert_same(predict(task), predict(loaded))


def test_a_new_family_has_its_own_names(toy_tokenizer, tmp_path):
    Backbone(toy_config(toy_tokenizer)).save_to_preset(tmp_path / "hf", format="hf")
    stored = json.loads((tmp_path / "hf" / "config.json").read_text())
    assert (stored["model_type"], stored["architectures"]) == ("toy", ["ToyModel"])
    assert (stored["bend"], stored["pairs_of_heads"]) == ("hinge", 1)
    assert "box.pooler.dense.weight" in load_file(tmp_path / "hf" / "model.safetensors")
    assert "toy_tiny" in list_presets()
    assert PretrainOptions(corpus="x", output="y", preset="toy_tiny").preset == "toy_tiny"


def test_a_new_family_is_found_wherever_families_are_named(toy_tokenizer, tmp_path, recwarn):
    model = MaskedLM(Backbone(toy_config(toy_tokenizer)), tokenizer=toy_tokenizer)
    # The tokenizer may be in a directory of another family.
    model.save_to_preset(tmp_path / "hf", format="hf")
    path = tmp_path / "hf" / "tokenizer_config.json"
    settings = json.loads(path.read_text())
    path.write_text(json.dumps({**settings, "tokenizer_class": "ToyTokenizer"}))
    for name in "tokenizer.json", "special_tokens_map.json":
        (tmp_path / "hf" / name).unlink()
    tokenizer = tokenizer_files.load(tmp_path / "hf", {"kind": "wordpiece"})
    assert tokenizer.get_config() == toy_tokenizer.get_config()
    # Google's checkpoints are distinguished by their config files.
    model.save_to_preset(tmp_path / "google", format="google")
    (tmp_path / "google" / "toy_config.json").unlink()
    with pytest.raises(InputError, match=r"electra_config.json, toy_config.json, .* toy without"):
        load(tmp_path / "google")
    with pytest.raises(InputError, match="hf://toymakers/toy-tiny-cased"):
        load("toy_tiny_cased")
    with pytest.raises(InputError, match="the family 'toy' has no format 'kerashub'"):
        model.save_to_preset(tmp_path / "kerashub", format="kerashub")


def test_a_family_is_registered_once(toy):
    for name, presets in ("toy", {}), ("other", toy_family.FAMILY.presets):
        with pytest.raises(InputError, match=r"'toy.*' is already registered"):
            families.register(name, dataclasses.replace(toy_family.FAMILY, presets=presets))
    assert "other" not in families.FAMILIES


@pytest.mark.parametrize("format", ["hf", "google", "kerashub"])
def test_known_directories_stay_of_their_family(format, tokenizer_of, tmp_path, monkeypatch):
    tokenizer, bert = tokenizer_of("bert"), families.FAMILIES["bert"]
    Backbone(tiny_config("bert", tokenizer)).save_to_preset(
        tmp_path / "bert", format=format, tokenizer=tokenizer
    )
    ours = dataclasses.replace(bert, presets={}, tokenizer={"kind": "none"})
    monkeypatch.setitem(families.FAMILIES, "ours", ours)  # as `register` does
    preset = checkpoints.load(tmp_path / "bert")
    assert preset.encoder_config["family"] == "bert"
    assert checkpoints.load_tokenizer(preset).vocabulary == tokenizer.vocabulary


# === Pretraining with every tokenizer ===


@pytest.mark.parametrize("family", TOKENIZATIONS)
def test_pretraining_from_a_corpus(family, tokenizer_of, corpus_files, tmp_path):
    tokenizer = tokenizer_of(family)
    prepare_corpus([str(path) for path in corpus_files], tokenizer, tmp_path / "corpus")
    corpus = Corpus(tmp_path / "corpus")
    assert corpus.tokenizer.get_config() == tokenizer.get_config()
    batches = PretrainingBatches(corpus, 8, 24, mask_rate=0.3, whole_word=True)
    features, labels, weights = batches.batch(0)

    ids, mask = features["token_ids"].numpy(), features["padding_mask"].numpy()
    used = weights["mlm_logits"].numpy() == 1
    hidden = np.zeros(ids.shape, bool)
    for row, positions in enumerate(features["mask_positions"].numpy()):
        hidden[row, positions[used[row]]] = True
        ids[row, positions[used[row]]] = labels["mlm_logits"].numpy()[row, used[row]]
    special = np.isin(ids, tokenizer.special_token_ids)
    assert hidden.any()
    assert not (hidden & special).any()
    # All subwords of a word or none.
    continues = tokenizer.continues_word[ids[:, 1:]] & ~special[:, :-1] & ~special[:, 1:]
    np.testing.assert_array_equal(hidden[:, 1:][continues], hidden[:, :-1][continues])

    assert (ids[:, 0] == tokenizer.cls_id).all()
    np.testing.assert_array_equal(ids == tokenizer.pad_id, mask == 0)
    separators = 3 if tokenizer.packing == "roberta" else 2
    np.testing.assert_array_equal((ids == tokenizer.sep_id).sum(axis=1), separators)
    assert features["segment_ids"].numpy().any() == (tokenizer.packing == "bert")

    config = tiny_config(family, tokenizer, pooler=True)
    task = Pretrainer(Backbone(config), tokenizer=tokenizer)
    task.compile(run_eagerly=True)
    history = task.fit(batches.dataset(0, 1), verbose=0).history
    assert np.isfinite(history["loss"]).all()
