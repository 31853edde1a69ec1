"""Against KerasHub: small models with noise on every weight, so that a mix-up shows."""

import dataclasses
import functools
import importlib
import json
import pathlib
import shutil
import sys

import h5py
import keras_hub
import numpy as np
import pytest
import tensorflow as tf

import kerasbert
from kerasbert import Backbone, BackboneConfig, InputError, MaskedLM, TextClassifier
from kerasbert.checkpoints.kerashub.weights import shapes_of
from kerasbert.families import FAMILIES
from kerasbert.text import SpecialTokens, WordPieceTokenizer

# KerasHub's SentencePiece tokenizers leave their file to the garbage collector to close.
pytestmark = pytest.mark.filterwarnings(
    "ignore:Exception ignored in.*vocabulary.spm:pytest.PytestUnraisableExceptionWarning"
)

GOLDENS = pathlib.Path(__file__).parents[1] / "goldens" / "huggingface"
# Ours -> the start of KerasHub's class names.
FAMILY_NAMES = {
    "bert": "Bert",
    "roberta": "Roberta",
    "xlm_roberta": "XLMRoberta",
    "albert": "Albert",
    "distilbert": "DistilBert",
}
TASKS = (None, "MaskedLM", "TextClassifier")
SIZES = {
    "num_layers": 2,
    "num_heads": 2,
    "hidden_dim": 16,
    "intermediate_dim": 32,
    "max_sequence_length": 24,
}
# Beyond the sizes: what each of KerasHub's encoders is built with here.
BUILT_WITH = {
    "bert": {"num_segments": 3},
    "albert": {"embedding_dim": 8, "dropout": 0.05},
    "albert groups": {
        "embedding_dim": 8,
        "num_layers": 4,
        "num_groups": 2,
        "num_inner_repetitions": 2,
    },
    "distilbert": {"dropout": 0.2},
}
LENGTHS = np.array([[12], [7], [4]])
TEXT = ["The cat sees the red house.", "a dog", "the children 42 (it was good), not the film!"]


def family_of(case):
    return case.split()[0]


def theirs(case, name="Backbone"):
    return getattr(keras_hub.models, FAMILY_NAMES[family_of(case)] + name)


def features(case, vocabulary_size):
    chooser = np.random.default_rng(1)
    found = {
        "token_ids": chooser.integers(0, vocabulary_size, (3, 12), "int32"),
        "padding_mask": (np.arange(12) < LENGTHS).astype("int32"),
        "segment_ids": (np.arange(12) >= LENGTHS // 2).astype("int32"),
        "mask_positions": chooser.integers(0, LENGTHS, (3, 5), "int32"),
    }
    if family_of(case) not in ("bert", "albert"):
        del found["segment_ids"]
    return found


def outputs_of(model, inputs):
    """The outputs by name, as arrays: a single one goes by the name `output`."""
    wanted = {key: inputs[key] for key in model.input if key in inputs}
    outputs = model(wanted)
    outputs = outputs if isinstance(outputs, dict) else {"output": outputs}
    return {name: np.asarray(value.numpy()) for name, value in outputs.items()}


def assert_same_outputs(ours, theirs, inputs):
    found, expected = outputs_of(ours, inputs), outputs_of(theirs, inputs)
    if "sequence_output" in found and "output" in expected:  # KerasHub's without a pooler
        expected = {"sequence_output": expected["output"]}
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        real = inputs["padding_mask"] == 1 if name == "sequence_output" else ...
        np.testing.assert_allclose(found[name][real], value[real], atol=1e-5, rtol=0, err_msg=name)


def add_noise(model):
    chooser = np.random.default_rng(2)
    for variable in model.weights:
        noise = chooser.normal(0, 0.1, variable.shape)
        variable.assign(variable.numpy() + noise.astype("float32"))


def their_model(case, task, vocabulary_size, **settings):
    sizes = {**SIZES, **BUILT_WITH.get(case, {}), "vocabulary_size": vocabulary_size}
    model = theirs(case)(**sizes)
    if task == "TextClassifier":
        settings = {"num_classes": 3, "dropout": 0.3, **settings}
    if task:
        model = theirs(case, task)(model, **settings)
    add_noise(model)
    return model


@pytest.fixture(scope="module")
def preset(tmp_path_factory):
    """From a case and a task to KerasHub's model and where it is saved, made once."""

    @functools.cache
    def make(case, task=None):
        model = their_model(case, task, 40)
        directory = tmp_path_factory.mktemp("kerashub")
        model.save_to_preset(str(directory))
        return model, directory

    return make


def stored_weights(directory):
    """Every array of the directory's files, by file and name; but for an optimizer's."""
    found = {}
    for path in sorted(directory.glob("*.h5")):
        with h5py.File(path) as file:

            def collect(name, item, path=path):
                if isinstance(item, h5py.Dataset) and not name.startswith("optimizer"):
                    found[path.name, name] = item[()]

            file.visititems(collect)
    return found


def stored_settings(directory, name):
    """The settings in a JSON file, but for those that are other objects or names."""
    config = json.loads((directory / name).read_text())["config"]
    return {key: value for key, value in config.items() if key not in ("name", "backbone")}


# === Reading, and back ===


@pytest.mark.parametrize(
    ("case", "task"),
    [*((case, task) for case in FAMILY_NAMES for task in TASKS), ("albert groups", None)],
)
def test_read_and_back(case, task, preset, tmp_path):
    model, directory = preset(case, task)
    ours = kerasbert.load(directory)
    assert type(ours).__name__ == (task or "Backbone")
    assert_same_outputs(ours, model, features(case, 40))
    if task:
        assert ours.uninitialized_weights == []

    ours.save_to_preset(tmp_path / "back", format="kerashub")
    before, after = stored_weights(directory), stored_weights(tmp_path / "back")
    assert before.keys() == after.keys()
    for name, array in before.items():
        np.testing.assert_array_equal(after[name], array, err_msg=str(name))
    for name in ("config.json", "task.json")[: 2 if task else 1]:
        assert stored_settings(tmp_path / "back", name) == stored_settings(directory, name)


def test_encoder_of_a_task(preset):
    model, directory = preset("bert", "TextClassifier")
    backbone = Backbone.from_preset(directory)
    assert_same_outputs(backbone, model.backbone, features("bert", 40))


def test_heads_say_what_theirs_do(preset):
    head = kerasbert.load(preset("bert", "MaskedLM")[1]).head_config()
    assert (head["activation"], head["layer_norm_epsilon"]) == ("gelu", 1e-5)
    # ALBERT's head has the encoder's activation, the tanh approximation.
    head = kerasbert.load(preset("albert", "MaskedLM")[1]).head_config()
    assert (head["activation"], head["layer_norm_epsilon"]) == (None, 1e-5)
    head = kerasbert.load(preset("albert", "TextClassifier")[1]).head_config()
    assert (head["classes"], head["dropout"]) == (["0", "1", "2"], 0.3)


def test_another_head_on_their_encoder(preset):
    task = TextClassifier.from_preset(preset("roberta", "MaskedLM")[1], classes=["no", "yes"])
    assert {path.split("/")[0] for path in task.uninitialized_weights} == {
        "classifier_hidden",
        "classifier",
    }


def test_shards_and_other_precision(preset, tmp_path):
    model, _ = preset("bert")
    inputs = features("bert", 40)
    model.save_to_preset(str(tmp_path / "shards"), max_shard_size=1e-5)
    assert not (tmp_path / "shards" / "model.weights.h5").exists()
    assert_same_outputs(Backbone.from_preset(tmp_path / "shards"), model, inputs)
    index = tmp_path / "shards" / "model.weights.json"
    stored = json.loads(index.read_text())
    stored["weight_map"]["/other/vars"] = "pipe"
    index.write_text(json.dumps(stored))
    refused(tmp_path / "shards", "model.weights.json: lists 'pipe', which is not an existing shard")
    half = keras_hub.models.BertBackbone(**SIZES, vocabulary_size=40, dtype="bfloat16")
    half.save_to_preset(str(tmp_path / "half"))
    table = Backbone.from_preset(tmp_path / "half").token_embedding.embeddings
    expected = tf.cast(half.token_embedding.embeddings.value, tf.float32)
    np.testing.assert_array_equal(table.numpy(), expected.numpy())
    assert table.dtype == "float32"


def changed(directory, target, name, change):
    """A copy of a preset with one JSON file changed: by a function, or new entries of `config`."""
    shutil.copytree(directory, target)
    stored = json.loads((target / name).read_text())
    if callable(change):
        change(stored)
    else:
        stored["config"].update(change)
    (target / name).write_text(json.dumps(stored))
    return target


def test_older_names_and_unknown_tasks(preset, tmp_path):
    _, directory = preset("bert", "TextClassifier")

    def rename(name):
        return lambda stored: stored.update(class_name=name)

    old = changed(directory, tmp_path / "old", "task.json", rename("BertClassifier"))
    assert isinstance(kerasbert.load(old), TextClassifier)
    # The head stays behind; the encoder is what it is.
    other = changed(directory, tmp_path / "other", "task.json", rename("BertTextEmbedder"))
    assert isinstance(kerasbert.load(other), Backbone)


def test_json_imports_nothing(preset, tmp_path, monkeypatch):
    (tmp_path / "intruder.py").write_text("raise SystemExit('imported')")
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()

    def elsewhere(stored):
        stored.update(module="intruder", registered_name="intruder>Boom")
        stored["config"]["dtype"] = {"module": "intruder", "class_name": "Boom", "config": {}}
        stored["config"]["backbone"] = {"module": "intruder", "class_name": "Boom", "config": {}}

    model, directory = preset("bert", "TextClassifier")
    first = changed(directory, tmp_path / "first", "config.json", elsewhere)
    second = changed(first, tmp_path / "second", "task.json", elsewhere)
    ours = kerasbert.load(second)
    assert "intruder" not in sys.modules
    assert_same_outputs(ours, model, features("bert", 40))


# === Tokenizers ===


@pytest.fixture(scope="module")
def our_tokenizer(make_tokenizer):
    return lambda case: make_tokenizer(FAMILIES[family_of(case)].tokenizer)


def their_tokenizer(case, ours):
    """KerasHub's tokenizer of the same files."""
    make = theirs(case, "Tokenizer")
    assets = ours.assets()
    if ours.kind == "wordpiece":
        return make(assets["vocab.txt"].decode().splitlines(), lowercase=True, strip_accents=True)
    if ours.kind == "bytepair":
        merges = assets["merges.txt"].decode().splitlines()[1:]
        return make(json.loads(assets["vocab.json"]), merges)
    return make(assets["sentencepiece.model"])


def their_ids(tokenizer, texts):
    # In a graph, since KerasHub's eager way is another implementation.
    return tf.function(tokenizer.tokenize, autograph=False)(tf.constant(texts)).to_list()


@pytest.mark.parametrize("case", FAMILY_NAMES)
def test_tokenizer(case, our_tokenizer, texts, tmp_path):
    # KerasHub leaves ALBERT's text as it is; see `kerashub.load_tokenizer`.
    texts = [text.replace("é", "e").lower() if case == "albert" else text for text in texts]
    reference = their_tokenizer(case, our_tokenizer(case))
    reference.save_to_preset(str(tmp_path / "preset"))
    theirs(case)(
        **SIZES, **BUILT_WITH.get(case, {}), vocabulary_size=reference.vocabulary_size()
    ).save_to_preset(str(tmp_path / "preset"))
    tokenizer = kerasbert.tokenizer_from_preset(tmp_path / "preset")
    assert tokenizer.tokenize(texts).to_list() == their_ids(reference, texts)
    assert tokenizer.vocabulary_size == reference.vocabulary_size()
    for ours, their in (("pad", "pad"), ("mask", "mask"), ("cls", "start"), ("sep", "end")):
        assert getattr(tokenizer, f"{ours}_id") == getattr(reference, f"{their}_token_id")
    assert tokenizer.get_config().items() >= FAMILIES[case].tokenizer.items()


def test_albert_text_is_prepared_here(our_tokenizer):
    ours = our_tokenizer("albert")
    reference = their_tokenizer("albert", ours)
    small, large = ours.tokenize(["a dog", "A DOG"]).to_list()
    assert small == large == their_ids(reference, ["a dog"])[0]
    assert their_ids(reference, ["A DOG"])[0] != large


def test_cased_wordpiece(vocabulary, preset, tmp_path):
    directory = shutil.copytree(preset("bert")[1], tmp_path / "preset")
    reference = keras_hub.models.BertTokenizer([*vocabulary, "The", "É"])
    reference.save_to_preset(str(directory))
    tokenizer = kerasbert.tokenizer_from_preset(directory)
    texts = ["The cat, the É café"]
    assert tokenizer.tokenize(texts).to_list() == their_ids(reference, texts)
    assert (tokenizer.lowercase, tokenizer.strip_accents) == (False, False)


@pytest.mark.parametrize("name", ["suffix_indicator", "split"])
def test_tokenizer_that_is_none_of_ours(name, vocabulary, preset, tmp_path):
    directory = shutil.copytree(preset("bert")[1], tmp_path / "preset")
    with pytest.raises(InputError, match="has no tokenizer"):
        kerasbert.tokenizer_from_preset(directory)
    keras_hub.models.BertTokenizer(vocabulary).save_to_preset(str(directory))
    value = {"suffix_indicator": "@@", "split": False}[name]
    broken = changed(directory, tmp_path / "broken", "tokenizer.json", {name: value})
    with pytest.raises(InputError, match=f"tokenizer.json: {name}={value!r} is not supported"):
        kerasbert.tokenizer_from_preset(broken)


def test_preprocessor(our_tokenizer, tmp_path):
    tokenizer = their_tokenizer("bert", our_tokenizer("bert"))
    for length, expected in ((16, 16), (512, 24)):
        preprocessor = keras_hub.models.BertMaskedLMPreprocessor(
            tokenizer, sequence_length=length, mask_selection_rate=0.2
        )
        size = tokenizer.vocabulary_size()
        model = their_model("bert", "MaskedLM", size, preprocessor=preprocessor)
        model.save_to_preset(str(tmp_path / str(length)))
        task = kerasbert.load(tmp_path / str(length))
        assert (task.sequence_length, task.mask_rate) == (expected, 0.2)
        assert task.tokenizer.lowercase


# === Writing ===


def our_config(family, **facts):
    known = {name: value for name, value in SIZES.items() if name not in facts}
    common = {
        "roberta": {"num_segments": 0, "padding_id": 1, "activation": "gelu"},
        "distilbert": {"num_segments": 0, "activation": "gelu", "pooler": False},
        "albert": {"embedding_dim": 8, "num_groups": 1},
    }
    common["roberta"] |= {"layer_norm_epsilon": 1e-5, "classifier_activation": "tanh"}
    common["distilbert"] |= {"classifier_activation": "relu"}
    family_facts = common.get(family.removeprefix("xlm_"), {})
    return BackboneConfig(**{"family": family, **known, **family_facts, **facts})


def our_task(family, task, tokenizer, **facts):
    backbone = Backbone(our_config(family, vocabulary_size=tokenizer.vocabulary_size, **facts))
    if task == "MaskedLM":
        activation = "gelu_tanh" if family == "albert" else "gelu"
        model = MaskedLM(
            backbone,
            tokenizer=tokenizer,
            sequence_length=20,
            activation=activation,
            layer_norm_epsilon=1e-5,
        )
    else:
        model = TextClassifier(backbone, ["a", "b"], tokenizer=tokenizer, sequence_length=20)
    add_noise(model)
    return model


@pytest.mark.parametrize("family", FAMILY_NAMES)
def test_write_encoder(family, our_tokenizer, tmp_path):
    tokenizer = our_tokenizer(family)
    groups = {"num_groups": None} if family == "albert" else {}
    pooler = family in ("bert", "albert")
    config = our_config(
        family, vocabulary_size=tokenizer.vocabulary_size, **{**groups, "pooler": pooler}
    )
    backbone = Backbone(config)
    add_noise(backbone)
    directory = tmp_path / "preset"
    backbone.save_to_preset(directory, format="kerashub", tokenizer=tokenizer)
    read = theirs(family).from_preset(str(directory))
    assert_same_outputs(backbone, read, features(family, tokenizer.vocabulary_size))
    texts = [text.lower() for text in TEXT]
    found = theirs(family, "Tokenizer").from_preset(str(directory))(texts)
    assert [list(map(int, row)) for row in found] == tokenizer.tokenize(texts).to_list()


@pytest.mark.parametrize("family", FAMILY_NAMES)
def test_write_text_classifier(family, our_tokenizer, tmp_path):
    task = our_task(family, "TextClassifier", our_tokenizer(family))
    with pytest.warns(UserWarning, match="stores the number of classes, not their names"):
        task.save_to_preset(tmp_path / "preset", format="kerashub")
    read = theirs(family, "TextClassifier").from_preset(str(tmp_path / "preset"))
    texts = [text.lower() for text in TEXT]
    # Straight `predict` compiles KerasHub's tokenizers, which takes seconds; once is enough.
    found = read.predict(texts, verbose=0) if family == "bert" else read(read.preprocessor(texts))
    ours = task(task.preprocessor.features(texts))
    np.testing.assert_allclose(ours.numpy(), np.array(found), atol=1e-5, rtol=0)
    assert read.preprocessor.sequence_length == 20
    assert read.dropout == task.backbone.config.dropout  # as the backbone's, where nobody says


@pytest.mark.parametrize("family", FAMILY_NAMES)
def test_write_masked_lm(family, our_tokenizer, tmp_path):
    tokenizer = our_tokenizer(family)
    task = our_task(family, "MaskedLM", tokenizer)
    task.save_to_preset(tmp_path / "preset", format="kerashub")
    read = theirs(family, "MaskedLM").from_preset(str(tmp_path / "preset"))
    inputs = features(family, tokenizer.vocabulary_size)
    assert_same_outputs(task, read, inputs)
    masking = read.preprocessor
    assert (masking.sequence_length, masking.mask_selection_rate) == (20, 0.15)
    if family == "albert":  # as above
        # KerasHub masks at random whatever it is given, so what it says of a text is its own.
        width = task.preprocessor.features(TEXT)["mask_positions"].shape[1]
        shape = (len(TEXT), width, tokenizer.vocabulary_size)
        assert read.predict(TEXT, verbose=0).shape == shape


def test_roberta_from_hugging_face_and_back(tmp_path):
    values = dict(np.load(GOLDENS / "roberta" / "inputs_outputs.npz"))
    inputs = {"token_ids": values["input_ids"], "padding_mask": values["attention_mask"]}
    real = values["attention_mask"] == 1
    with pytest.raises(InputError, match=r"has no weights pooler/dense/bias.*pooler=False"):
        Backbone.from_preset(GOLDENS / "roberta").save_to_preset(tmp_path / "x", format="kerashub")

    backbone = Backbone.from_preset(GOLDENS / "roberta", pooler=False)
    assert (backbone.config.positions, backbone.config.num_segments) == ("learned_offset", 1)
    backbone.save_to_preset(tmp_path / "kerashub", format="kerashub")
    read = keras_hub.models.RobertaBackbone.from_preset(str(tmp_path / "kerashub"))
    expected = values["last_hidden_state"][real]
    np.testing.assert_allclose(read(inputs).numpy()[real], expected, atol=1e-5, rtol=0)

    again = Backbone.from_preset(tmp_path / "kerashub")
    assert (again.config.positions, again.config.num_segments) == ("learned", 0)
    again.save_to_preset(tmp_path / "hf", format="hf")
    last = Backbone.from_preset(tmp_path / "hf")
    assert dataclasses.asdict(last.config) == dataclasses.asdict(backbone.config)
    found = last(inputs)["sequence_output"].numpy()[real]
    np.testing.assert_allclose(found, expected, atol=1e-5, rtol=0)


@pytest.mark.filterwarnings("ignore:the format stores the number of classes")
@pytest.mark.parametrize("name", ["roberta_masked_lm", "roberta_sequence_classification"])
def test_roberta_heads_from_hugging_face(name, tmp_path):
    facts = {"activation": "gelu", "layer_norm_epsilon": 1e-5}  # some have others
    task = kerasbert.load(GOLDENS / name, backbone=facts)
    task.save_to_preset(tmp_path / "kerashub", format="kerashub")
    read = theirs("roberta", type(task).__name__).from_preset(str(tmp_path / "kerashub"))
    assert_same_outputs(task, read, features("roberta", task.backbone.config.vocabulary_size))


def test_no_segments_become_two_rows_of_zeros(tmp_path):
    backbone = Backbone(our_config("bert", vocabulary_size=40, num_segments=0))
    add_noise(backbone)
    backbone.save_to_preset(tmp_path / "preset", format="kerashub")
    read = keras_hub.models.BertBackbone.from_preset(str(tmp_path / "preset"))
    assert read.num_segments == 2
    assert_same_outputs(backbone, read, features("bert", 40))


# === What can't be read ===


def refused(directory, match):
    with pytest.raises(InputError, match=match) as caught:
        kerasbert.load(directory)
    assert "\n" not in str(caught.value)


@pytest.fixture
def broken(preset, tmp_path):
    """A preset to break, by the task."""
    return lambda task=None: shutil.copytree(preset("bert", task)[1], tmp_path / "broken")


def test_weights_missing(broken):
    directory = broken()
    (directory / "model.weights.h5").unlink()
    refused(directory, "model.weights.h5: no such file; the preset is incomplete")


def test_head_missing(broken):
    directory = broken("MaskedLM")
    (directory / "task.weights.h5").unlink()
    refused(directory, "task.weights.h5: no such file; the preset is incomplete")


@pytest.mark.parametrize("size", [0, 100, -1000])
def test_weights_truncated(broken, size):
    path = broken() / "model.weights.h5"
    data = path.read_bytes()
    path.write_bytes(data[:size])
    refused(path.parent, "model.weights.h5: not a complete HDF5 file")


def first_weight(file):
    """The name of a kernel, and its values."""
    found = []
    file.visititems(
        lambda name, item: found.append(name) if getattr(item, "ndim", 0) == 2 else None
    )
    return found[0], file[found[0]][()]


H5_WEIGHTS = {
    "text": (lambda file, name, array: file.create_dataset(name, data="text"), "expected numbers"),
    "elsewhere": (
        lambda file, name, array: file.create_dataset(
            name, array.shape, "f4", external=[("/dev/zero", 0, array.nbytes)]
        ),
        "is stored in another file",
    ),
    "linked": (
        lambda file, name, array: file.update({name: h5py.ExternalLink("/dev/zero", "/x")}),
        "is stored in another file",
    ),
    "empty": (
        lambda file, name, array: file.create_dataset(name, (40_000, 40_000), "f4"),
        "but its tensors would take 6,4",
    ),
    "structured": (
        lambda file, name, array: file.create_dataset(name, data=np.zeros(3, [("a", "f4")])),
        "expected numbers",
    ),
}


@pytest.mark.parametrize("case", H5_WEIGHTS)
def test_weights_that_are_none(broken, case):
    directory = broken()
    write, match = H5_WEIGHTS[case]
    with h5py.File(directory / "model.weights.h5", "a") as file:
        name, array = first_weight(file)
        del file[name]
        write(file, name, array)
    refused(directory, f"model.weights.h5: .*{match}")


def test_flipped_bytes(broken):
    directory = broken("TextClassifier")
    chooser = np.random.default_rng(0)
    for name in ("model.weights.h5", "task.weights.h5"):
        path = directory / name
        data = bytearray(path.read_bytes())
        refusals = 0
        for _ in range(100):
            flipped = bytearray(data)
            for position in chooser.integers(len(data) if refusals % 2 else 3000, size=2):
                flipped[position] = chooser.integers(256)
            path.write_bytes(flipped)
            try:  # nothing but an InputError is raised
                shapes_of(path)
            except InputError:
                refusals += 1
        assert refusals > 10
        path.write_bytes(data)


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        (
            {"hidden_dim": 8},
            "model.weights.h5: damaged, or not the weights of the model in the JSON",
        ),
        ({"hidden_dim": 32}, "model.weights.h5: has [0-9,]+ numbers, but the JSON files need"),
        ({"num_layers": 3}, "model.weights.h5: has [0-9,]+ numbers, but the JSON files need"),
        ({"num_layers": 10**9}, "model.weights.h5: has 39 tensors, too few for the 1000000000"),
        ({"vocabulary_size": 10**8}, "numbers, but the JSON files need 1,6"),
        ({"max_sequence_length": 10**8}, "numbers, but the JSON files need 1,6"),
        ({"num_layers": 1}, "model.weights.h5: has 39 weights, but config.json needs 23"),
        ({"num_layers": None}, "config.json: lacks 'num_layers'"),
        ({"num_layers": "two"}, "config.json: num_layers must be a positive integer"),
        ({"num_heads": 3}, "config.json: num_heads=3 does not divide"),
        ({"dropout": 2}, r"config.json: dropout must be in \[0, 1\)"),
    ],
)
def test_config_that_does_not_fit(preset, tmp_path, settings, match):
    refused(changed(preset("bert")[1], tmp_path / "broken", "config.json", settings), match)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda stored: stored["config"].pop("num_layers"), "config.json: lacks 'num_layers'"),
        (
            lambda stored: stored.update(class_name="GPT2Backbone"),
            "'GPT2Backbone' is not one of Bert",
        ),
        (lambda stored: stored.update(class_name=["x"]), "class_name must be a string"),
        (lambda stored: stored.update(config=[]), "config.json: config must be an object, found "),
        (
            lambda stored: stored.update(class_name="RobertaBackbone"),
            "not the weights of the model",
        ),
    ],
)
def test_config_of_something_else(preset, tmp_path, change, match):
    refused(changed(preset("bert")[1], tmp_path / "broken", "config.json", change), match)


def test_albert_without_a_width(preset, tmp_path):
    directory = changed(
        preset("albert")[1], tmp_path / "broken", "config.json", {"embedding_dim": None}
    )
    refused(directory, "config.json: lacks 'embedding_dim'")


def test_albert_with_uneven_groups(preset, tmp_path):
    directory = changed(
        preset("albert groups")[1], tmp_path / "broken", "config.json", {"num_layers": 3}
    )
    refused(directory, "KerasHub rejects it: .*must be divisible by `num_groups`")


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"activation": "softmax"}, "activation='softmax'; only logits are supported"),
        ({"hidden_dim": 8}, "a head with hidden_dim=8; only the encoder's 16"),
        ({"num_classes": None}, "task.json: lacks 'num_classes'"),
        (
            {"num_classes": 2},
            "task.weights.h5: damaged, or not the weights of the model in the JSON",
        ),
        (
            {"num_classes": 10**6},
            "task.weights.h5: has [0-9,]+ numbers, but the JSON .* 16,000,000",
        ),
        ({"num_classes": 10**9}, "num_classes=1000000000: 1000000000 is not a number of classes"),
        ({"num_classes": "3"}, "num_classes='3': '3' is not a number of classes"),
    ],
)
def test_head_that_does_not_fit(preset, tmp_path, settings, match):
    _, directory = preset("roberta", "TextClassifier")
    refused(changed(directory, tmp_path / "broken", "task.json", settings), match)


def test_softmax_as_their_own_writer_says_it(tmp_path):
    model = their_model("bert", "TextClassifier", 40, activation="softmax")
    model.save_to_preset(str(tmp_path / "preset"))
    refused(tmp_path / "preset", "activation='softmax'")


# === What can't be written ===


def not_written(model, match, directory, **options):
    with pytest.raises(InputError, match=match) as caught:
        model.save_to_preset(directory / "preset", format="kerashub", **options)
    assert "\n" not in str(caught.value)
    assert not any(directory.iterdir())


@pytest.mark.parametrize(
    ("family", "facts", "match"),
    [
        ("bert", {"activation": "relu"}, "does not support activation='relu'"),
        ("bert", {"activation": "gelu"}, "does not support activation='gelu'"),
        ("bert", {"layer_norm_epsilon": 1e-5}, "does not support layer_norm_epsilon=1e-05"),
        ("bert", {"dropout": 0.2}, "does not support dropout=0.2"),  # attention's is another
        ("bert", {"pooler": False}, "needs pooler/dense/bias"),
        ("bert", {"positions": "sinusoidal"}, "does not support positions='sinusoidal'"),
        ("bert", {"classifier_activation": "tanh"}, "does not support classifier_activation"),
        ("roberta", {"num_segments": 2}, "does not support num_segments=2"),
        ("albert", {"embedding_dim": None}, "needs embedding_dim"),
        ("albert", {"num_layers": 3, "num_groups": 2}, "must be divisible"),
        ("electra", {"num_layers": 1}, "the family 'electra' has no format 'kerashub'"),
    ],
)
def test_models_that_kerashub_has_not(family, facts, match, tmp_path):
    backbone = Backbone(our_config(family, **{"vocabulary_size": 40, **facts}))
    not_written(backbone, match, tmp_path)


def test_tasks_that_kerashub_has_not(tmp_path):
    backbone = Backbone(our_config("bert", vocabulary_size=40))
    task = kerasbert.TokenClassifier(backbone, classes=3)
    not_written(task, "does not support TokenClassifier for the family 'bert'", tmp_path)


@pytest.mark.parametrize(
    ("head", "match"),
    [
        # None is the encoder's, which is not what KerasHub's head has.
        ({}, "does not support activation='gelu_tanh' in the head of MaskedLM .it implies 'gelu'"),
        ({"activation": "gelu"}, "does not support layer_norm_epsilon=1e-12 in the head"),
        ({"activation": "gelu", "layer_norm_epsilon": 1e-5, "tied": False}, "mlm_head/table"),
    ],
)
def test_heads_that_kerashub_has_not(head, match, tmp_path):
    backbone = Backbone(our_config("bert", vocabulary_size=40))
    not_written(MaskedLM(backbone, **head), match, tmp_path)


def test_masked_lm_without_a_pooler(tmp_path):
    settings = {"activation": "gelu", "layer_norm_epsilon": 1e-5}
    task = MaskedLM(Backbone(our_config("bert", vocabulary_size=40, pooler=False)), **settings)
    not_written(task, "needs pooler/dense/bias.*backbone={'pooler': True}", tmp_path)
    task.save_to_preset(tmp_path / "kerasbert")
    again = MaskedLM.from_preset(tmp_path / "kerasbert", backbone={"pooler": True})
    again.save_to_preset(tmp_path / "kerashub", format="kerashub")
    assert_same_outputs(task, kerasbert.load(tmp_path / "kerashub"), features("bert", 40))


def test_tokenizers_that_kerashub_has_not(vocabulary, make_tokenizer, tmp_path):
    other = make_tokenizer(FAMILIES["roberta"].tokenizer)
    backbone = Backbone(our_config("bert", vocabulary_size=other.vocabulary_size))
    match = "BertTokenizer needs a tokenizer of the kind 'wordpiece', found 'bytepair'"
    not_written(backbone, match, tmp_path, tokenizer=other)
    pieces = ["<pad>", *vocabulary[1:]]
    renamed = WordPieceTokenizer(pieces, special_tokens=SpecialTokens(pad="<pad>"))
    match = r"BertTokenizer rejects the tokenizer: .*\[PAD\]"
    not_written(backbone, match, tmp_path, tokenizer=renamed)

    cased = make_tokenizer({"kind": "sentencepiece"})
    backbone = Backbone(our_config("albert", vocabulary_size=cased.vocabulary_size))
    match = "does not support the tokenizer's lowercase=False .it implies True."
    not_written(backbone, match, tmp_path, tokenizer=cased)
