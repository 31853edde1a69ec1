"""Against google-research's own names: a forward pass in plain NumPy reads them independently."""

import json
import math
import shutil

import numpy as np
import pytest
import tensorflow as tf

import kerasbert
from kerasbert import Backbone, BackboneConfig, InputError, checkpoints
from kerasbert.families import FAMILIES
from kerasbert.text import BytePairTokenizer, SentencePieceTokenizer, WordPieceTokenizer
from kerasbert.text.sentencepiece_model import sentencepiece_model

VOCABULARY, WIDTH, HEADS, INNER, POSITIONS = 30, 8, 2, 12, 16
CONFIG = {
    "vocab_size": VOCABULARY,
    "hidden_size": WIDTH,
    "num_hidden_layers": 2,
    "num_attention_heads": HEADS,
    "intermediate_size": INNER,
    "hidden_act": "gelu",
    "hidden_dropout_prob": 0.1,
    "attention_probs_dropout_prob": 0.1,
    "max_position_embeddings": POSITIONS,
    "type_vocab_size": 2,
    "initializer_range": 0.02,
}
ALBERT = {
    **CONFIG,
    "hidden_dropout_prob": 0,
    "attention_probs_dropout_prob": 0,
    "num_hidden_layers": 4,
    "embedding_size": 4,
    "num_hidden_groups": 1,
    "inner_group_num": 1,
    "down_scale_factor": 1,
    "net_structure_type": 0,
}
GROUPS = {**ALBERT, "num_hidden_groups": 2, "inner_group_num": 2}
ELECTRA = {**CONFIG, "embedding_size": 4}

# === Checkpoints ===


def dense(name, rows, columns):
    return {f"{name}/kernel": (rows, columns), f"{name}/bias": (columns,)}


def norm(name, width=WIDTH):
    return {f"{name}/gamma": (width,), f"{name}/beta": (width,)}


def embeddings(name, width):
    return {
        f"{name}/word_embeddings": (VOCABULARY, width),
        f"{name}/token_type_embeddings": (2, width),
        f"{name}/position_embeddings": (POSITIONS, width),
        **norm(f"{name}/LayerNorm", width),
    }


def attention(name):
    found = {}
    for part in ("query", "key", "value"):
        found |= dense(f"{name}/self/{part}", WIDTH, WIDTH)
    return {**found, **dense(f"{name}/output/dense", WIDTH, WIDTH)}


def bert_layer(name):
    return {
        **attention(f"{name}/attention"),
        **norm(f"{name}/attention/output/LayerNorm"),
        **dense(f"{name}/intermediate/dense", WIDTH, INNER),
        **dense(f"{name}/output/dense", INNER, WIDTH),
        **norm(f"{name}/output/LayerNorm"),
    }


def albert_layer(name):
    return {
        **attention(f"{name}/attention_1"),
        **norm(f"{name}/LayerNorm"),
        **dense(f"{name}/ffn_1/intermediate/dense", WIDTH, INNER),
        **dense(f"{name}/ffn_1/intermediate/output/dense", INNER, WIDTH),
        **norm(f"{name}/LayerNorm_1"),
    }


def bert_shapes(prefix="bert", width=WIDTH):
    return {
        **embeddings(f"{prefix}/embeddings", width),
        **bert_layer(f"{prefix}/encoder/layer_0"),
        **bert_layer(f"{prefix}/encoder/layer_1"),
    }


POOLER = dense("bert/pooler/dense", WIDTH, WIDTH)


def albert_shapes(config):
    shapes = embeddings("bert/embeddings", 4)
    shapes |= dense("bert/encoder/embedding_hidden_mapping_in", 4, WIDTH)
    for group in range(config["num_hidden_groups"]):
        for inner in range(config["inner_group_num"]):
            shapes |= albert_layer(f"bert/encoder/transformer/group_{group}/inner_group_{inner}")
    return {**shapes, **POOLER}


def pretraining_shapes(width=WIDTH):
    return {
        **dense("cls/predictions/transform/dense", WIDTH, width),
        **norm("cls/predictions/transform/LayerNorm", width),
        "cls/predictions/output_bias": (VOCABULARY,),
        "cls/seq_relationship/output_weights": (2, WIDTH),
        "cls/seq_relationship/output_bias": (2,),
    }


SQUAD = {"cls/squad/output_weights": (2, WIDTH), "cls/squad/output_bias": (2,)}
CLASSIFIER = {"output_weights": (3, WIDTH), "output_bias": (3,)}
DETECTOR = {
    **dense("discriminator_predictions/dense", WIDTH, WIDTH),
    **dense("discriminator_predictions/dense_1", WIDTH, 1),
}
BERT = {**bert_shapes(), **POOLER}
ELECTRA_SHAPES = {
    **bert_shapes("electra", 4),
    **dense("electra/embeddings_project", 4, WIDTH),
    **DETECTOR,
}


def random_tensors(shapes):
    random = np.random.default_rng(0)
    return {name: random.normal(0, 0.5, shape).astype("float32") for name, shape in shapes.items()}


def write(directory, tensors, config=CONFIG, name="bert_config.json"):
    directory.mkdir()
    names = sorted(tensors)
    tf.raw_ops.SaveV2(
        prefix=str(directory / "model.ckpt"),
        tensor_names=names,
        shape_and_slices=[""] * len(names),
        tensors=[tf.constant(tensors[name]) for name in names],
    )
    (directory / name).write_text(json.dumps(config))
    return directory


def read(directory):
    (index,) = directory.glob("*.index")
    reader = tf.train.load_checkpoint(str(index.with_suffix("")))
    return {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()}


# === The reference ===

IDS = np.random.default_rng(1).integers(0, VOCABULARY, (3, 7))
MASK = (np.arange(7) < [[7], [5], [3]]).astype(int)
SEGMENTS = (np.arange(7) >= [[4], [2], [9]]).astype(int)
PLACES = np.array([[1, 2], [0, 4], [2, 2]])
FEATURES = {"token_ids": IDS, "padding_mask": MASK, "segment_ids": SEGMENTS}


def gelu_tanh(x):
    return 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))


def gelu(x):
    return x * 0.5 * (1 + np.vectorize(math.erf)(x / np.sqrt(2)))


def layer_norm(x, tensors, name):
    centred = x - x.mean(-1, keepdims=True)
    scaled = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-12)
    return scaled * tensors[f"{name}/gamma"] + tensors[f"{name}/beta"]


def linear(x, tensors, name):
    return x @ tensors[f"{name}/kernel"] + tensors[f"{name}/bias"]


def softmax(x):
    x = np.exp(x - x.max(-1, keepdims=True))
    return x / x.sum(-1, keepdims=True)


def embed(tensors, name):
    x = tensors[f"{name}/word_embeddings"][IDS]
    x = x + tensors[f"{name}/position_embeddings"][: IDS.shape[1]]
    x = x + tensors[f"{name}/token_type_embeddings"][SEGMENTS]
    return layer_norm(x, tensors, f"{name}/LayerNorm")


def attend(x, tensors, name):
    def split(part):
        y = linear(x, tensors, f"{name}/self/{part}")
        return y.reshape(*y.shape[:2], HEADS, -1).transpose(0, 2, 1, 3)

    scores = split("query") @ split("key").swapaxes(-1, -2) / np.sqrt(WIDTH // HEADS)
    scores = scores - 10000.0 * (1 - MASK[:, None, None, :])
    y = softmax(scores) @ split("value")
    return linear(y.transpose(0, 2, 1, 3).reshape(x.shape), tensors, f"{name}/output/dense")


def run_bert_layer(x, tensors, name, activation=gelu_tanh):
    x = layer_norm(
        x + attend(x, tensors, f"{name}/attention"), tensors, f"{name}/attention/output/LayerNorm"
    )
    y = activation(linear(x, tensors, f"{name}/intermediate/dense"))
    y = linear(y, tensors, f"{name}/output/dense")
    return layer_norm(x + y, tensors, f"{name}/output/LayerNorm")


def run_albert_layer(x, tensors, name):
    x = layer_norm(x + attend(x, tensors, f"{name}/attention_1"), tensors, f"{name}/LayerNorm")
    y = gelu_tanh(linear(x, tensors, f"{name}/ffn_1/intermediate/dense"))
    y = linear(y, tensors, f"{name}/ffn_1/intermediate/output/dense")
    return layer_norm(x + y, tensors, f"{name}/LayerNorm_1")


def run_bert(tensors):
    x = embed(tensors, "bert/embeddings")
    for i in range(2):
        x = run_bert_layer(x, tensors, f"bert/encoder/layer_{i}")
    return x


def run_albert(tensors, config):
    x = embed(tensors, "bert/embeddings")
    x = linear(x, tensors, "bert/encoder/embedding_hidden_mapping_in")
    passes, groups = config["num_hidden_layers"], config["num_hidden_groups"]
    for i in range(passes):
        group = f"bert/encoder/transformer/group_{int(i / passes * groups)}"
        for inner in range(config["inner_group_num"]):
            x = run_albert_layer(x, tensors, f"{group}/inner_group_{inner}")
    return x


def run_electra(tensors):
    x = linear(embed(tensors, "electra/embeddings"), tensors, "electra/embeddings_project")
    for i in range(2):
        x = run_bert_layer(x, tensors, f"electra/encoder/layer_{i}", gelu)
    y = gelu(linear(x, tensors, "discriminator_predictions/dense"))
    return x, linear(y, tensors, "discriminator_predictions/dense_1")[..., 0]


def pool(x, tensors):
    return np.tanh(linear(x[:, 0], tensors, "bert/pooler/dense"))


def output_layer(x, tensors, name):
    return x @ tensors[f"{name}output_weights"].T + tensors[f"{name}output_bias"]


def masked_logits(x, tensors):
    x = np.take_along_axis(x, PLACES[..., None], 1)
    x = gelu_tanh(linear(x, tensors, "cls/predictions/transform/dense"))
    x = layer_norm(x, tensors, "cls/predictions/transform/LayerNorm")
    table = tensors["bert/embeddings/word_embeddings"]
    return x @ table.T + tensors["cls/predictions/output_bias"]


def assert_close(ours, theirs):
    np.testing.assert_allclose(np.asarray(ours), theirs, atol=1e-5, rtol=1e-5)


def assert_same(ours, theirs):
    assert ours.keys() == theirs.keys()
    for name in ours:
        np.testing.assert_array_equal(ours[name], theirs[name], err_msg=name)


# === Reading BERT ===


def test_bert_encoder(tmp_path):
    tensors = random_tensors(BERT)
    outputs = kerasbert.load(write(tmp_path / "bert", tensors))(FEATURES)
    expected = run_bert(tensors)
    assert_close(outputs["sequence_output"], expected)
    assert_close(outputs["pooled_output"], pool(expected, tensors))


def test_bert_pretraining(tmp_path):
    tensors = random_tensors({**BERT, **pretraining_shapes()})
    task = kerasbert.load(write(tmp_path / "bert", tensors))
    assert type(task).__name__ == "Pretrainer"
    assert task.uninitialized_weights == []
    outputs = task({**FEATURES, "mask_positions": PLACES})
    x = run_bert(tensors)
    assert_close(outputs["mlm_logits"], masked_logits(x, tensors))
    expected = output_layer(pool(x, tensors), tensors, "cls/seq_relationship/")
    assert_close(outputs["nsp_logits"], expected)


def test_bert_masked_lm(tmp_path):
    shapes = {k: v for k, v in pretraining_shapes().items() if "seq_relationship" not in k}
    tensors = random_tensors({**BERT, **shapes})
    task = kerasbert.load(write(tmp_path / "bert", tensors))
    assert type(task).__name__ == "MaskedLM"
    outputs = task({**FEATURES, "mask_positions": PLACES})
    assert_close(outputs, masked_logits(run_bert(tensors), tensors))


def test_bert_classifier(tmp_path):
    tensors = random_tensors({**BERT, **CLASSIFIER})
    task = kerasbert.load(write(tmp_path / "bert", tensors))
    assert task.classes == ["0", "1", "2"]
    assert task.head_config()["dropout"] == 0.1
    assert_close(task(FEATURES), output_layer(pool(run_bert(tensors), tensors), tensors, ""))


def test_bert_classifier_with_names(tmp_path):
    directory = write(tmp_path / "bert", random_tensors({**BERT, **CLASSIFIER}))
    task = kerasbert.TextClassifier.from_preset(directory, classes=["a", "b", "c"])
    assert {path.split("/")[0] for path in task.uninitialized_weights} == {"classifier"}


def test_bert_questions(tmp_path):
    tensors = random_tensors({**BERT, **SQUAD})
    outputs = kerasbert.load(write(tmp_path / "bert", tensors))(FEATURES)
    expected = output_layer(run_bert(tensors), tensors, "cls/squad/")
    assert_close(outputs["start_logits"], expected[..., 0])
    assert_close(outputs["end_logits"], expected[..., 1])


def test_relu_and_a_missing_pooler(tmp_path):
    config = {**CONFIG, "hidden_act": "relu"}
    directory = write(tmp_path / "bert", random_tensors(bert_shapes()), config)
    backbone = Backbone.from_preset(directory)
    assert (backbone.config.activation, backbone.config.pooler) == ("relu", False)


def test_the_defaults_of_berts_config(tmp_path):
    shapes = {**BERT, "bert/embeddings/token_type_embeddings": (16, WIDTH)}
    left_out = ("type_vocab_size", "hidden_act")
    config = {key: value for key, value in CONFIG.items() if key not in left_out}
    backbone = Backbone.from_preset(write(tmp_path / "bert", random_tensors(shapes), config))
    assert (backbone.config.num_segments, backbone.config.activation) == (16, "gelu_tanh")


def test_what_training_left(tmp_path):
    tensors = random_tensors({**BERT, "global_step": ()})
    names = ("adam_m", "adam_v", "AdamWeightDecayOptimizer", "LAMBOptimizer_1", "lamb_m")
    slots = {f"bert/pooler/dense/bias/{name}": np.zeros(WIDTH, "float32") for name in names}
    preset = checkpoints.load(write(tmp_path / "bert", {**tensors, **slots}))
    assert preset.unused_weights == tuple(sorted([*slots, "global_step"]))


# === Reading ALBERT and ELECTRA ===


@pytest.mark.parametrize("config", [ALBERT, GROUPS], ids=["one_group", "groups"])
def test_albert(tmp_path, config):
    tensors = random_tensors({**albert_shapes(config), **pretraining_shapes(4)})
    directory = write(tmp_path / "albert", tensors, config, "albert_config.json")
    task = kerasbert.load(directory)
    assert task.head_config()["objective"] == "sop"
    outputs = task({**FEATURES, "mask_positions": PLACES})
    x = run_albert(tensors, config)
    assert_close(task.backbone(FEATURES)["sequence_output"], x)
    assert_close(outputs["mlm_logits"], masked_logits(x, tensors))
    expected = output_layer(pool(x, tensors), tensors, "cls/seq_relationship/")
    assert_close(outputs["nsp_logits"], expected)


def test_albert_without_a_projection(tmp_path):
    config = {**ALBERT, "embedding_size": WIDTH}
    shapes = {k: v for k, v in albert_shapes(ALBERT).items() if "hidden_mapping_in" not in k}
    tensors = random_tensors({**shapes, **embeddings("bert/embeddings", WIDTH)})
    backbone = kerasbert.load(write(tmp_path / "albert", tensors, config, "albert_config.json"))
    assert backbone.config.embedding_dim is None
    message = "AlbertModel of transformers needs embedding_size; this model has none; save as"
    with pytest.raises(InputError, match=message):
        backbone.save_to_preset(tmp_path / "hf", format="hf")
    assert not (tmp_path / "hf").exists()


@pytest.mark.parametrize("name", ["", "cls/squad/"])
def test_albert_tuned(tmp_path, name):
    shapes = {"": CLASSIFIER, "cls/squad/": SQUAD}[name]
    tensors = random_tensors({**albert_shapes(ALBERT), **shapes})
    directory = write(tmp_path / "albert", tensors, ALBERT, "albert_config.json")
    outputs = kerasbert.load(directory)(FEATURES)
    x = run_albert(tensors, ALBERT)
    if name:
        outputs = np.stack([outputs["start_logits"], outputs["end_logits"]], -1)
    assert_close(outputs, output_layer(x if name else pool(x, tensors), tensors, name))


def test_electra(tmp_path):
    extra = {
        "generator/encoder/layer_0/output/dense/bias": (4,),
        "generator_predictions/output_bias": (VOCABULARY,),
        "discriminator_predictions/temperature": (),
        "global_step": (),
    }
    tensors = random_tensors({**ELECTRA_SHAPES, **extra})
    task = kerasbert.load(write(tmp_path / "electra", tensors, ELECTRA, "electra_config.json"))
    x, logits = run_electra(tensors)
    assert_close(task.backbone(FEATURES)["sequence_output"], x)
    assert_close(task(FEATURES), logits)
    assert task.uninitialized_weights == []
    preset = checkpoints.load(tmp_path / "electra")
    assert preset.unused_weights == tuple(sorted(extra))


def test_electra_without_a_config(tmp_path):
    directory = write(tmp_path / "electra", random_tensors(ELECTRA_SHAPES))
    (directory / "bert_config.json").unlink()
    with pytest.raises(InputError, match=r"found none; ELECTRA's .* write an electra_config\.json"):
        kerasbert.load(directory)


# === The other layout: tensorflow/models ===

LAYER = {
    "_attention_layer/_query_dense": "attention/self/query",
    "_attention_layer/_key_dense": "attention/self/key",
    "_attention_layer/_value_dense": "attention/self/value",
    "_attention_output_dense": "attention/output/dense",
    "_attention_layer_norm": "attention/output/LayerNorm",
    "_intermediate_dense": "intermediate/dense",
    "_output_dense": "output/dense",
    "_output_layer_norm": "output/LayerNorm",
}
TABLES = ("word_embeddings", "position_embeddings", "token_type_embeddings")


def tf2_names():
    """From TF2's names, without what stands around all of them, to TF1's."""
    names = {
        f"layer_with_weights-{i}/embeddings": f"bert/embeddings/{x}" for i, x in enumerate(TABLES)
    }
    modules = {
        "layer_with_weights-3": "embeddings/LayerNorm",
        "layer_with_weights-6": "pooler/dense",
    }
    for i in range(2):
        for ours, theirs in LAYER.items():
            modules[f"layer_with_weights-{4 + i}/{ours}"] = f"encoder/layer_{i}/{theirs}"
    for ours, theirs in modules.items():
        parts = ("gamma", "beta") if "norm" in theirs.lower() else ("kernel", "bias")
        names |= {f"{ours}/{part}": f"bert/{theirs}/{part}" for part in parts}
    return names


def split_heads(name, array):
    size = WIDTH // HEADS
    if any(f"_{part}_dense" in name for part in ("query", "key", "value")):
        return array.reshape(*array.shape[:-1], HEADS, size)
    if "_attention_output_dense/kernel" in name:
        return array.reshape(HEADS, size, WIDTH)
    return array


def tf2_tensors(tensors, prefix="model", new=False):
    found = {}
    for name, theirs in tf2_names().items():
        array = split_heads(name, tensors[theirs])
        if new:
            name = name.replace("_attention_output_dense", "_attention_layer/_output_dense")
        found[f"{prefix}/{name}/.ATTRIBUTES/VARIABLE_VALUE"] = array
    slot = "layer_with_weights-0/embeddings/.OPTIMIZER_SLOT/optimizer/m"
    return {
        **found,
        "_CHECKPOINTABLE_OBJECT_GRAPH": b"\x0a\x00",
        "save_counter/.ATTRIBUTES/VARIABLE_VALUE": np.int64(1),
        "optimizer/iter/.ATTRIBUTES/VARIABLE_VALUE": np.int64(7),
        f"{prefix}/{slot}/.ATTRIBUTES/VARIABLE_VALUE": np.zeros((VOCABULARY, WIDTH), "float32"),
    }


@pytest.mark.parametrize("prefix", ["model", "encoder", "model/layer_with_weights-0"])
@pytest.mark.parametrize("new", [False, True], ids=["old", "new"])
def test_tf2(tmp_path, prefix, new):
    tensors = random_tensors(BERT)
    write(tmp_path / "tf1", tensors)
    write(tmp_path / "tf2", tf2_tensors(tensors, prefix, new))
    old, preset = checkpoints.load(tmp_path / "tf1"), checkpoints.load(tmp_path / "tf2")
    assert_same(preset.weights, old.weights)
    assert len(preset.unused_weights) == 4
    name = preset.names["layer_0/attention/output/kernel"]
    assert name.startswith(f"{prefix}/layer_with_weights-4/")
    assert name.endswith("/VARIABLE_VALUE")


def test_tf2_outputs(tmp_path):
    tensors = random_tensors(BERT)
    backbone = kerasbert.load(write(tmp_path / "tf2", tf2_tensors(tensors)))
    assert_close(backbone(FEATURES)["pooled_output"], pool(run_bert(tensors), tensors))


def test_tf2_heads_that_the_config_denies(tmp_path):
    config = {**CONFIG, "num_attention_heads": 4}
    directory = write(tmp_path / "tf2", tf2_tensors(random_tensors(BERT)), config)
    with pytest.raises(InputError, match=r"query_dense/kernel \(8, 2, 4\) has 2 heads.*config 4"):
        kerasbert.load(directory)


def test_tf2_with_two_encoders(tmp_path):
    tensors = tf2_tensors(random_tensors(BERT))
    directory = write(tmp_path / "tf2", {**tensors, **tf2_tensors(random_tensors(BERT), "encoder")})
    with pytest.raises(InputError, match=r"has both encoder/layer.*and model/layer_with_weights-0"):
        kerasbert.load(directory)


def test_tf2_of_another_family(tmp_path):
    tensors = tf2_tensors(random_tensors(BERT))
    directory = write(tmp_path / "tf2", tensors, ALBERT, "albert_config.json")
    with pytest.raises(InputError, match=r"for BERT only; .* family 'albert'"):
        kerasbert.load(directory)


# === Writing ===


def facts(family="bert", **changes):
    common = {
        "family": family,
        "vocabulary_size": VOCABULARY,
        "num_layers": 2,
        "hidden_dim": WIDTH,
        "num_heads": HEADS,
        "intermediate_dim": INNER,
        "max_sequence_length": POSITIONS,
    }
    return BackboneConfig(**{**common, **changes})


def shapes_of(directory):
    return {name: tuple(s) for name, s in tf.train.list_variables(directory / "bert_model.ckpt")}


TASKS = {
    "Pretrainer": (pretraining_shapes(), {}),
    "MaskedLM": (
        {k: v for k, v in pretraining_shapes().items() if "seq_relationship" not in k},
        {},
    ),
    "TextClassifier": (CLASSIFIER, {"classes": 3}),
    "QuestionAnswerer": (SQUAD, {}),
}


@pytest.mark.parametrize("name", TASKS)
def test_write_a_task(tmp_path, name):
    shapes, arguments = TASKS[name]
    task = getattr(kerasbert, name)(Backbone(facts()), **arguments)
    task.save_to_preset(tmp_path / "google", format="google")
    assert shapes_of(tmp_path / "google") == {**BERT, **shapes}
    loaded = kerasbert.load(tmp_path / "google")
    assert type(loaded) is type(task)
    assert loaded.uninitialized_weights == []
    assert loaded.backbone.config == task.backbone.config
    before = {variable.path: variable.numpy() for variable in task.weights}
    assert_same({variable.path: variable.numpy() for variable in loaded.weights}, before)


def test_write_an_encoder(tmp_path):
    backbone = Backbone(facts())
    names = backbone.save_to_preset(tmp_path / "google", format="google")
    assert shapes_of(tmp_path / "google") == BERT
    assert names.keys() == {variable.path for variable in backbone.weights}
    assert json.loads((tmp_path / "google" / "bert_config.json").read_text()) == CONFIG


@pytest.mark.parametrize("name", ["a[1]", "back\\slash", "st*r?"])
def test_names_that_are_patterns(tmp_path, name):
    before = Backbone(facts())
    before.save_to_preset(tmp_path / name, format="google")
    for path in (tmp_path / name).glob("bert_model.ckpt*"):
        path.rename(path.with_name(path.name.replace("bert_model", name)))
    (tmp_path / "a1").mkdir()  # what the first of them means as a pattern
    after = kerasbert.load(tmp_path / name)
    assert_same(*({v.path: v.numpy() for v in one.weights} for one in (after, before)))


def test_write_electra(tmp_path):
    config = facts("electra", embedding_dim=4, activation="gelu", pooler=False)
    config = BackboneConfig(**{**vars(config), "classifier_activation": "gelu"})
    task = kerasbert.ReplacedTokenDetector(Backbone(config))
    task.save_to_preset(tmp_path / "google", format="google")
    assert shapes_of(tmp_path / "google") == ELECTRA_SHAPES
    assert kerasbert.load(tmp_path / "google").backbone.config == config


ROUND_TRIPS = {
    "bert": ({**BERT, **pretraining_shapes()}, CONFIG),
    "albert": ({**albert_shapes(GROUPS), **pretraining_shapes(4)}, GROUPS),
}


@pytest.mark.parametrize("family", ROUND_TRIPS)
def test_round_trip(tmp_path, family):
    shapes, config = ROUND_TRIPS[family]
    name = f"{family}_config.json"
    write(tmp_path / "start", random_tensors(shapes), config, name)
    position = tmp_path / "start"
    for i, format in enumerate(("kerasbert", "hf", "kerasbert", "google")):
        kerasbert.load(position).save_to_preset(tmp_path / f"{i}_{format}", format=format)
        position = tmp_path / f"{i}_{format}"
    assert_same(read(position), read(tmp_path / "start"))
    written = json.loads((position / name).read_text())
    assert written == {key: config[key] for key in written}


REFUSED = {
    "token_classifier": (
        lambda: kerasbert.TokenClassifier(Backbone(facts()), 3),
        "support TokenCl",
    ),
    "exact_gelu": (
        lambda: Backbone(facts(activation="gelu")),
        "does not support the activation 'gelu'",
    ),
    "epsilon": (
        lambda: Backbone(facts(layer_norm_epsilon=1e-5)),
        "does not support layer_norm_eps",
    ),
    "sinusoidal": (lambda: Backbone(facts(positions="sinusoidal")), "does not support positions="),
    "roberta": (
        lambda: Backbone(facts("roberta", positions="learned_offset", padding_id=1)),
        "family 'roberta' has no format 'google'",
    ),
    "untied": (
        lambda: kerasbert.MaskedLM(Backbone(facts()), tied=False),
        "support the weights mlm_head/table",
    ),
    "objective": (
        lambda: kerasbert.Pretrainer(Backbone(facts()), objective="sop"),
        "does not support objective='sop'",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_has_no_place(tmp_path, name):
    make, message = REFUSED[name]
    with pytest.raises(InputError, match=message):
        make().save_to_preset(tmp_path / "google", format="google")
    assert list(tmp_path.iterdir()) == []


def test_other_dropout_of_a_head(tmp_path):
    task = kerasbert.TextClassifier(Backbone(facts()), 3, dropout=0.3)
    with pytest.warns(UserWarning, match="does not store dropout=0.3 .* trains with 0.1"):
        task.save_to_preset(tmp_path / "google", format="google")
    assert kerasbert.load(tmp_path / "google").dropout_rate == 0.1
    task = kerasbert.TextClassifier(Backbone(facts(dropout=0.0)), 3)  # the encoder's
    with pytest.warns(UserWarning, match="does not store dropout=0.0 .* trains with 0.1"):
        task.save_to_preset(tmp_path / "without", format="google")


# === Tokenizers ===

PIECES = ["<pad>", "<unk>", "[CLS]", "[SEP]", "[MASK]", "▁", "▁cat", *"acst"]


@pytest.fixture(scope="module")
def sentencepiece():
    model = sentencepiece_model(
        PIECES, [0.0] * 5 + [-2.0] * 6, unknown_id=1, control=["<pad>", "[CLS]", "[SEP]", "[MASK]"]
    )
    settings = {name: x for name, x in FAMILIES["albert"].tokenizer.items() if name != "kind"}
    return SentencePieceTokenizer(model, **settings)


def test_vocabulary_file(tmp_path, tokenizer):
    config = facts(vocabulary_size=tokenizer.vocabulary_size)
    task = kerasbert.MaskedLM(Backbone(config), tokenizer=tokenizer)
    task.save_to_preset(tmp_path / "google", format="google")
    loaded = kerasbert.load(tmp_path / "google").tokenizer
    assert isinstance(loaded, WordPieceTokenizer)
    assert loaded.get_config() == tokenizer.get_config()


@pytest.mark.parametrize("name", ["spiece.model", "30k-clean.model"])
def test_sentencepiece_model(tmp_path, sentencepiece, name):
    config = facts("albert", num_groups=1, embedding_dim=4, vocabulary_size=len(PIECES))
    task = kerasbert.MaskedLM(Backbone(config), tokenizer=sentencepiece)
    task.save_to_preset(tmp_path / "google", format="google")
    (tmp_path / "google" / "spiece.model").rename(tmp_path / "google" / name)
    loaded = kerasbert.load(tmp_path / "google").tokenizer
    assert loaded.get_config() == sentencepiece.get_config()
    assert loaded(["Cats"]).to_list() == sentencepiece(["cats"]).to_list()


def test_bytepairs_have_no_place(tmp_path):
    ids = {piece: i for i, piece in enumerate(("<s>", "<pad>", "</s>", "<unk>", "<mask>", "a"))}
    tokenizer = BytePairTokenizer(ids, [])
    backbone = Backbone(facts(vocabulary_size=len(ids)))
    with pytest.raises(InputError, match="does not support BytePairTokenizer"):
        backbone.save_to_preset(tmp_path / "google", format="google", tokenizer=tokenizer)
    assert list(tmp_path.iterdir()) == []


def test_case_that_no_file_says(tmp_path, tokenizer):
    cased = WordPieceTokenizer(list(tokenizer.vocabulary), lowercase=False)
    backbone = Backbone(facts(vocabulary_size=cased.vocabulary_size))
    with pytest.raises(InputError, match="does not support the tokenizer's lowercase=False"):
        backbone.save_to_preset(tmp_path / "google", format="google", tokenizer=cased)
    assert list(tmp_path.iterdir()) == []


# === A genuine checkpoint ===


@pytest.fixture
def genuine(shared):
    return shared("checkpoints", "tf_ckpt_2L_H4_kerasbert")


def test_genuine_pretrainer(genuine):
    task = kerasbert.load(genuine)
    assert type(task).__name__ == "Pretrainer"
    assert task.uninitialized_weights == []
    assert task.tokenizer.vocabulary_size == task.backbone.config.vocabulary_size == 15
    assert task.fill_mask(["all work and no [MASK]"])
    assert_same(
        {v.path: v.numpy() for v in Backbone.from_preset(genuine).weights},
        {v.path: v.numpy() for v in task.backbone.weights},
    )


def test_genuine_left_over(genuine):
    preset, stored = checkpoints.load(genuine), read(genuine)
    slots = {name for name in stored if name.endswith(("/adam_m", "/adam_v"))}
    assert len(slots) == 92
    assert set(preset.unused_weights) == slots | {"global_step"}
    assert set(preset.names.values()) == stored.keys() - set(preset.unused_weights)


def test_genuine_with_another_vocabulary(genuine, tmp_path):
    directory = shutil.copytree(genuine, tmp_path / "model", copy_function=shutil.copyfile)
    directory.chmod(0o755)
    pieces = (directory / "vocab.txt").read_text().splitlines()
    (directory / "vocab.txt").write_text("\n".join([*pieces, "more"]) + "\n")
    message = "16 tokens, the backbone 15 token embeddings; .*{'vocabulary_size': 16}.* resizes"
    with pytest.raises(InputError, match=message):
        kerasbert.Pretrainer.from_preset(directory)
    (directory / "vocab.txt").write_text("\n".join(pieces[:14]) + "\n")
    whole = kerasbert.Pretrainer.from_preset(directory)  # a row too many does no harm
    assert (whole.tokenizer.vocabulary_size, whole.backbone.config.vocabulary_size) == (14, 15)
    task = kerasbert.Pretrainer.from_preset(directory, backbone={"vocabulary_size": 14})
    assert task.uninitialized_weights == []
    table = read(genuine)["bert/embeddings/word_embeddings"]
    np.testing.assert_array_equal(task.backbone.token_embedding.embeddings, table[:14])
