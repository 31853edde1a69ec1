"""Damaged and contradictory models: one line that names the place, and nothing is assigned."""

import json
import pathlib
import shutil

import numpy as np
import pytest
import safetensors.numpy
import tensorflow as tf

import kerasbert
from kerasbert import Backbone, BackboneConfig, InputError, checkpoints
from kerasbert.checkpoints import native as native_format

GOLDENS = pathlib.Path(__file__).parents[1] / "goldens" / "huggingface"
FACTS = {
    "vocabulary_size": 30,
    "num_layers": 2,
    "hidden_dim": 8,
    "num_heads": 2,
    "intermediate_dim": 12,
    "max_sequence_length": 16,
}


def message_of(directory, load=kerasbert.load):
    """What a directory that can't be loaded is refused with."""
    with pytest.raises(InputError) as caught:
        load(directory)
    message = str(caught.value)
    assert "\n" not in message
    assert str(directory) in message
    return message


def assert_names(message, *parts):
    for part in parts:
        assert part in message


def edit(path, **changes):
    config = json.loads(path.read_text())
    for key, value in changes.items():
        config[key] = value
        if value is ...:
            del config[key]
    if "sha256" in config:  # as who means it would
        config["sha256"] = kerasbert.files.own_sha256(config)
    path.write_text(json.dumps(config))


def cut(path):
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])


# === Hugging Face ===


@pytest.fixture
def golden(tmp_path):
    def copy(name):
        # Not the mode of the files: the goldens may be read-only.
        return shutil.copytree(GOLDENS / name, tmp_path / name, copy_function=shutil.copyfile)

    return copy


def edit_safetensors(directory, change):
    path = directory / "model.safetensors"
    tensors = safetensors.numpy.load_file(path)
    change(tensors)
    safetensors.numpy.save_file(tensors, path)


HF_BIAS = "encoder.layer.1.output.dense.bias"
HF_TENSORS = {
    "missing": (lambda t: t.pop(HF_BIAS), (f"not in the file as {HF_BIAS}", "(16,)")),
    "misshapen": (
        lambda t: t.update({HF_BIAS: np.zeros(3, "float32")}),
        (f"the file has (3,) as {HF_BIAS}", "layer_1/output/bias (16,)"),
    ),
    "scalar": (
        lambda t: t.update({HF_BIAS: np.zeros((), "float32")}),
        (f"the file has () as {HF_BIAS}",),
    ),
    "flat": (
        lambda t: t.update({"encoder.layer.0.intermediate.dense.weight": np.zeros(9, "float32")}),
        ("the file has (9,) as encoder.layer.0.intermediate.dense.weight", "(16, 24)"),
    ),
    "stray": (
        lambda t: t.update({"encoder.colour": np.zeros(2, "float32")}),
        ("1 tensors that are not part of the config's model: encoder.colour (2,)",),
    ),
    "not_a_number": (
        lambda t: t[HF_BIAS].__setitem__(3, np.nan),
        (" weights are not finite", f"file: layer_1/output/bias as {HF_BIAS}"),
    ),
}


@pytest.mark.parametrize("name", HF_TENSORS)
def test_hf_tensors(golden, name):
    change, parts = HF_TENSORS[name]
    directory = golden("bert")
    edit_safetensors(directory, change)
    assert_names(message_of(directory), "model.safetensors: ", *parts)


HF_CONFIGS = {
    "more_layers": ({"num_hidden_layers": 3}, ("encoder.layer.2.attention.self.query.weight",)),
    "fewer_layers": (
        {"num_hidden_layers": 1},
        ("16 tensors that", "encoder.layer.1.attention.output.LayerNorm.bias (16,)", " ..."),
    ),
    "hidden_size": (
        {"hidden_size": 8},
        ("token_embedding/embeddings (40, 8)", "has (40, 16) as embeddings.word_embeddings.weight"),
    ),
    "vocab_size": ({"vocab_size": 41}, ("(41, 16): the file has (40, 16)", "word_embeddings")),
    "type_vocab_size": ({"type_vocab_size": 3}, ("(3, 16)", "(2, 16)", "token_type_embeddings")),
    "positions": ({"max_position_embeddings": 9}, ("(9, 16)", "(20, 16)", "position_embeddings")),
    "intermediate": ({"intermediate_size": 8}, ("(16, 8): the file has (16, 24)",)),
    "heads": ({"num_attention_heads": 3}, ("num_heads=3 does not divide",)),
    "relative": (
        {"position_embedding_type": "relative_key"},
        ("config.json: position_embedding_type='relative_key'; only 'absolute'",),
    ),
    "decoder": ({"is_decoder": True}, ("config.json: is_decoder=True; only False",)),
    "cross": ({"add_cross_attention": True}, ("config.json: add_cross_attention=True",)),
    "activation": ({"hidden_act": "xgelu"}, ("config.json: hidden_act='xgelu'", "gelu, ")),
    "activations": ({"hidden_act": ["gelu"]}, ("config.json: hidden_act=['gelu']",)),
    "model_type": (
        {"model_type": "gpt2"},
        ("config.json: model_type 'gpt2' is not one of bert, ",),
    ),
    "no_vocab_size": ({"vocab_size": ...}, ("config.json: lacks 'vocab_size'",)),
    "no_vocabulary": ({"vocab_size": 0}, ("vocabulary_size must be a positive integer, found 0",)),
    "null": ({"vocab_size": None}, ("vocabulary_size must be a positive integer, found None",)),
    "digits": ({"vocab_size": 10**300}, ("vocabulary_size must be 2147483647 or less, found 1",)),
    "dropout": ({"hidden_dropout_prob": 1}, ("hidden_dropout_prob must be in [0, 1)", "found 1")),
}


@pytest.mark.parametrize("name", HF_CONFIGS)
def test_hf_config(golden, name):
    changes, parts = HF_CONFIGS[name]
    directory = golden("bert")
    edit(directory / "config.json", **changes)
    assert_names(message_of(directory), *parts)


@pytest.mark.parametrize("value", [1.5, -0.1, 1, "0.1", float("nan"), [0.1], True])
def test_hf_impossible_classifier_dropout(golden, value):
    directory = golden("bert_sequence_classification")
    edit(directory / "config.json", classifier_dropout=value)
    assert_names(message_of(directory), "config.json: classifier_dropout must be in [0, 1) or null")


@pytest.mark.parametrize("length", [-5, 3])
def test_hf_impossible_length(golden, length):
    directory = golden("bert_masked_lm")
    (directory / "tokenizer_config.json").write_text(json.dumps({"model_max_length": length}))
    assert_names(message_of(directory), f"sequence_length must be in [4, 20], found {length}")


@pytest.mark.parametrize("name", ["config.json", "tokenizer_config.json", "modules.json"])
def test_hf_deep_json(golden, name):
    directory = golden("bert_masked_lm")
    for text in ('{"a": ' + "[" * 100_000, '{"a": ' + "9" * 5000 + "}"):
        (directory / name).write_text(text)
        assert_names(message_of(directory), f"{name}: not valid JSON")


def test_hf_directory_as_config(golden):
    directory = golden("bert")
    (directory / "config.json").unlink()
    (directory / "config.json").mkdir()
    assert_names(message_of(directory), "config.json: is a directory, not a file")


def test_hf_name_that_commands_a_terminal(golden):
    directory = golden("bert")
    stray = {"encoder.\x1b[2J\u202e": np.zeros(1), "encoder." + "a" * 1_000_000: np.zeros(1)}
    edit_safetensors(directory, lambda tensors: tensors.update(stray))
    message = message_of(directory)
    assert_names(message, r"encoder.\x1b[2J\u202e (1,)", "characters) ...")
    assert message.isprintable()
    assert len(message) < 3000


def test_hf_untied_decoder_of_a_tied_model(golden):
    directory = golden("bert_masked_lm_untied")
    edit(directory / "config.json", tie_word_embeddings=True)
    message = message_of(directory)
    assert_names(message, "cls.predictions.decoder.weight differs", "(tie_word_embeddings)")


def test_hf_tied_decoder_of_an_untied_model(golden):
    directory = golden("bert_masked_lm")
    edit_safetensors(directory, lambda tensors: tensors.pop("cls.predictions.decoder.weight", None))
    edit(directory / "config.json", tie_word_embeddings=False)
    message = message_of(directory)
    assert_names(message, "mlm_head/table (40, 16): not in the file as cls.predictions.decoder")


def test_hf_missing_part_of_a_head(golden):
    directory = golden("bert_masked_lm")
    name = "cls.predictions.transform.LayerNorm.weight"
    edit_safetensors(directory, lambda tensors: tensors.pop(name))
    assert_names(message_of(directory), f"not in the file as {name}")


@pytest.mark.parametrize("end", [0, 4, 100, -1])
def test_hf_truncated_weights(golden, end):
    path = golden("bert") / "model.safetensors"
    path.write_bytes(path.read_bytes()[:end])
    assert_names(message_of(path.parent), "model.safetensors: not a complete safetensors file")


def test_hf_no_weights(golden):
    directory = golden("bert")
    (directory / "model.safetensors").unlink()
    assert_names(message_of(directory), "has neither model.safetensors nor")


def test_hf_missing_shard(golden):
    directory = golden("bert_sharded")
    (directory / "model-00002-of-00003.safetensors").unlink()
    assert_names(message_of(directory), "index.json: lists model-00002-of-00003.safetensors")


@pytest.mark.parametrize("shard", ["../evil", "/evil", "sub/evil"])
def test_hf_shard_of_another_place(golden, shard):
    directory = golden("bert_sharded")
    safetensors.numpy.save_file({"x": np.zeros(1)}, directory.parent / "evil")
    path = directory / "model.safetensors.index.json"
    where = json.loads(path.read_text())["weight_map"]
    edit(path, weight_map={**where, "pooler.dense.bias": shard})
    assert_names(message_of(directory), "index.json: lists ", shard)


def test_hf_tensor_in_another_shard(golden):
    directory = golden("bert_sharded")
    path = directory / "model.safetensors.index.json"
    where = json.loads(path.read_text())["weight_map"]
    edit(path, weight_map={**where, "extra": where["pooler.dense.bias"]})
    message = message_of(directory)
    assert_names(message, f"index.json: extra is not in {where['pooler.dense.bias']}")


def test_hf_another_vocabulary(golden, tokenizer):
    directory = golden("bert_masked_lm")
    (directory / "vocab.txt").write_bytes(tokenizer.assets()["vocab.txt"])
    with pytest.raises(InputError) as caught:
        kerasbert.load(directory)
    size = tokenizer.vocabulary_size
    assert_names(str(caught.value), f"has {size} tokens, the backbone 40", f"_size': {size}}}")


# === Google ===


@pytest.fixture
def google(tmp_path):
    task = kerasbert.Pretrainer(Backbone(BackboneConfig(**FACTS)))
    task.save_to_preset(tmp_path / "google", format="google")
    return tmp_path / "google"


def edit_checkpoint(directory, change):
    prefix = str(directory / "bert_model.ckpt")
    reader = tf.train.load_checkpoint(prefix)
    tensors = {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()}
    change(tensors)
    names = sorted(tensors)
    tf.raw_ops.SaveV2(
        prefix=prefix,
        tensor_names=names,
        shape_and_slices=[""] * len(names),
        tensors=[tf.constant(tensors[name]) for name in names],
    )


GOOGLE_BIAS = "bert/encoder/layer_1/output/dense/bias"
NSP = "cls/seq_relationship/output_weights"
GOOGLE_TENSORS = {
    "missing": (lambda t: t.pop(GOOGLE_BIAS), (f"not in the file as {GOOGLE_BIAS}", "(8,)")),
    "misshapen": (
        lambda t: t.update({GOOGLE_BIAS: np.zeros(3, "float32")}),
        (f"the file has (3,) as {GOOGLE_BIAS}", "layer_1/output/bias (8,)"),
    ),
    "stray": (
        lambda t: t.update({"bert/colour": np.zeros(2, "float32")}),
        ("1 tensors that are not part of the config's model: bert/colour (2,)",),
    ),
    "part_of_a_head": (
        lambda t: t.pop("cls/predictions/output_bias"),
        ("the head of Pretrainer is incomplete; missing: cls/predictions/output_bias",),
    ),
    "part_of_nsp": (
        lambda t: t.pop("cls/seq_relationship/output_bias"),
        (f"not part of the config's model: {NSP} (2, 8)",),
    ),
    "misshapen_head": (
        lambda t: t.update({NSP: np.zeros((3, 8), "float32")}),
        (f"nsp_head/kernel (8, 2): the file has (8, 3) as {NSP}",),
    ),
}


@pytest.mark.parametrize("name", GOOGLE_TENSORS)
def test_google_tensors(google, name):
    change, parts = GOOGLE_TENSORS[name]
    edit_checkpoint(google, change)
    assert_names(message_of(google), "bert_model.ckpt: ", *parts)


GOOGLE_CONFIGS = {
    "more_layers": (
        {"num_hidden_layers": 3},
        ("not in the file as bert/encoder/layer_2/attention/self/query/kernel",),
    ),
    "fewer_layers": (
        {"num_hidden_layers": 1},
        ("16 tensors", "bert/encoder/layer_1/attention/output/LayerNorm/beta (8,)", " ..."),
    ),
    "hidden_size": ({"hidden_size": 4}, ("(30, 4)", "(30, 8) as bert/embeddings/word_embeddings")),
    "vocab_size": ({"vocab_size": 31}, ("(31, 8)", "(30, 8) as bert/embeddings/word_embeddings")),
    "type_vocab_size": ({"type_vocab_size": 3}, ("(3, 8): the file has (2, 8)",)),
    "activation": ({"hidden_act": "swish"}, ("bert_config.json: hidden_act='swish'", "gelu, ")),
    "no_vocab_size": ({"vocab_size": ...}, ("bert_config.json: lacks 'vocab_size'",)),
    "layers": (
        {"num_hidden_layers": "2"},
        ("bert_config.json: num_layers must be a positive integer, found '2'",),
    ),
}


@pytest.mark.parametrize("name", GOOGLE_CONFIGS)
def test_google_config(google, name):
    changes, parts = GOOGLE_CONFIGS[name]
    edit(google / "bert_config.json", **changes)
    assert_names(message_of(google), *parts)


@pytest.mark.parametrize("suffix", [".index", ".data-00000-of-00001"])
@pytest.mark.parametrize("how", ["cut", "emptied", "missing", "damaged"])
def test_google_file(google, suffix, how):
    path = google / f"bert_model.ckpt{suffix}"
    data = path.read_bytes()
    middle = len(data) // 2
    changed = {
        "cut": data[:middle],
        "emptied": b"",
        "damaged": data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :],
    }
    if how == "missing":
        path.unlink()
    else:
        path.write_bytes(changed[how])
    message = message_of(google)
    assert "can't be read: " in message or "expected one checkpoint" in message


def test_google_two_checkpoints(google):
    for suffix in (".index", ".data-00000-of-00001"):
        shutil.copyfile(google / f"bert_model.ckpt{suffix}", google / f"other{suffix}")
    assert_names(
        message_of(google), "expected one checkpoint", "bert_model.ckpt.index, other.index"
    )


def test_google_two_configs(google):
    shutil.copyfile(google / "bert_config.json", google / "albert_config.json")
    assert_names(message_of(google), "found bert_config.json and albert_config.json")


def test_google_another_family(google):
    (google / "bert_config.json").rename(google / "albert_config.json")
    assert_names(message_of(google), "not part of the config's model: bert/encoder/layer_0/")


# === kerasbert ===


@pytest.fixture
def native(tmp_path, tokenizer):
    config = BackboneConfig(**{**FACTS, "vocabulary_size": tokenizer.vocabulary_size})
    kerasbert.MaskedLM(Backbone(config), tokenizer=tokenizer).save_to_preset(tmp_path / "native")
    return tmp_path / "native"


def edit_native(directory, change):
    """Changes tensors and, as who means harm would, the checksum."""
    edit_safetensors(directory, change)
    checksum = kerasbert.files.sha256(directory / "model.safetensors")
    edit(directory / "config.json", weights_sha256=checksum)


NATIVE_BIAS = "layer_1/output/bias"
NATIVE_TENSORS = {
    "missing": (lambda t: t.pop(NATIVE_BIAS), f"{NATIVE_BIAS} (8,): not in the file"),
    "misshapen": (
        lambda t: t.update({NATIVE_BIAS: np.zeros(3, "float32")}),
        f"{NATIVE_BIAS} (8,): the file has (3,)",
    ),
    "stray": (
        lambda t: t.update({"layer_2/output/bias": np.zeros(8, "float32")}),
        "layer_2/output/bias: the file has (8,), the model has no such weight",
    ),
    "infinite": (
        lambda t: t[NATIVE_BIAS].__setitem__(3, -np.inf),
        f" weights are not finite (NaN or infinity), as after training that diverged or in a "
        f"damaged file: {NATIVE_BIAS} as {NATIVE_BIAS}",
    ),
    "infinite_in_32_bits": (
        lambda t: t.update({NATIVE_BIAS: np.full(8, 1e300)}),
        " weights are not finite",
    ),
}


@pytest.mark.parametrize("name", NATIVE_TENSORS)
def test_native_tensors(native, name):
    change, part = NATIVE_TENSORS[name]
    edit_native(native, change)
    assert_names(message_of(native), part)


@pytest.mark.parametrize("end", [0, 4, 100, -1])
def test_native_truncated_weights(native, end):
    path = native / "model.safetensors"
    path.write_bytes(path.read_bytes()[:end])
    assert_names(message_of(native), "model.safetensors: is damaged")
    edit(native / "config.json", weights_sha256=kerasbert.files.sha256(path))
    assert_names(message_of(native), "model.safetensors: not a complete safetensors file")


NATIVE_FACTS = {
    "num_layers": (3, "layer_2/attention/query/kernel (8, 8): not in the file"),
    "hidden_dim": (4, "(16, 4): the file has (16, 8)"),
    "num_segments": (3, "segment_embedding/embeddings (3, 8): the file has (2, 8)"),
    "activation": ("xgelu", "activation must be one of"),
    "family": ("gpt2", "family must be one of bert, "),
}


@pytest.mark.parametrize("name", NATIVE_FACTS)
def test_native_config(native, name):
    value, part = NATIVE_FACTS[name]
    facts = json.loads((native / "config.json").read_text())["backbone"]
    edit(native / "config.json", backbone={**facts, name: value})
    assert_names(message_of(native), part)


@pytest.mark.parametrize("key", ["backbone", "head", "tokenizer", "task"])
@pytest.mark.parametrize("value", [[], 3])
def test_native_part_of_another_kind(native, key, value):
    edit(native / "config.json", **{key: value})
    kind = "a string" if key == "task" else "an object"
    assert_names(message_of(native), f"config.json: {key} must be {kind}", f"found {value!r}")


# By where the setting is: its key, an impossible value, and what is said of it.
NATIVE_SETTINGS = [
    ("", "sequence_length", "16", "sequence_length must be a whole number or null, found '16'"),
    ("", "sequence_length", -1, "sequence_length must be in [4, 16], found -1"),
    ("", "colour", "red", "colour is unknown; expected one of format, version, "),
    ("", "weights_sha256", ..., "weights_sha256 is missing"),
    ("", "task", ..., "task is missing"),
    ("", "task", "MaskedLN", "holds a MaskedLN"),
    ("backbone", "pooler", "yes", "backbone.pooler must be true or false, found 'yes'"),
    ("backbone", "dropout", "0.1", "backbone.dropout must be a finite number, found '0.1'"),
    ("head", "mask_rate", "0.15", "head.mask_rate must be a finite number, found '0.15'"),
    ("head", "mask_rate", 1.5, "mask_rate must be between 0 and 1, found 1.5"),
    ("head", "seed", 0.5, "head.seed must be a whole number, found 0.5"),
    ("head", "tied", "no", "head.tied must be true or false, found 'no'"),
    ("head", "activation", "xgelu", "activation must be one of gelu, "),
    ("head", "layer_norm_epsilon", -1, "layer_norm_epsilon must be between 0 and 1, found -1"),
    ("head", "mbsk_rate", 0.15, "head.mbsk_rate is unknown; expected one of mask_rate, "),
    ("head", "name", "a", "head.name is unknown"),
    ("tokenizer", "kind", "wordpiecf", "tokenizer.kind must be 'wordpiece' or 'bytepair' or "),
    ("tokenizer", "kind", ..., "tokenizer.kind is missing"),
    ("tokenizer", "vocabulary_sha256", ..., "tokenizer.vocabulary_sha256 is missing"),
    ("tokenizer", "lowercase", "no", "tokenizer.lowercase must be true or false, found 'no'"),
    ("tokenizer", "lpwercase", True, "tokenizer.lpwercase is unknown; expected one of kind, "),
    ("tokenizer", "vocabulary", ["a"], "tokenizer.vocabulary is unknown"),
    ("tokenizer", "special_tokens", {"pad": 3}, "tokenizer.special_tokens.pad must be a string"),
    ("tokenizer", "special_tokens", {"pax": "a"}, "tokenizer.special_tokens.pax is unknown"),
    ("tokenizer", "added_tokens", [{"content": 1}], "tokenizer.added_tokens[0].content must be a"),
    ("tokenizer", "added_tokens", ["a"], "tokenizer.added_tokens[0] must be an object, found 'a'"),
]


@pytest.mark.parametrize(("part", "key", "value", "message"), NATIVE_SETTINGS)
def test_native_settings(native, part, key, value, message):
    path = native / "config.json"
    settings = json.loads(path.read_text())
    changed = {**settings.get(part, {}), key: value}
    if value is ...:
        changed.pop(key)
    edit(path, **({part: changed} if part else {key: value}))
    assert_names(message_of(native), message)


HEADS = [
    (kerasbert.TextClassifier, "threshold", 1.5, "threshold must be between 0 and 1, found 1.5"),
    (
        kerasbert.TextClassifier,
        "classes",
        10**12,
        "head.classes must be a list, found 1000000000000",
    ),
    (kerasbert.TextClassifier, "classes", ["a", 1.5], "head.classes[1] must be a string or a who"),
    (kerasbert.TextClassifier, "dropout", 2, "dropout must be in [0, 1), found 2"),
    (kerasbert.Pretrainer, "objective", "nsq", "objective must be nsp or sop, found 'nsq'"),
    (kerasbert.TextEmbedder, "layers", "-1", "head.layers must be a whole number or a list"),
    (kerasbert.TextEmbedder, "prompt", 3, "head.prompt must be a string, found 3"),
    (kerasbert.QuestionAnswerer, "stride", 1.5, "head.stride must be a whole number, found 1.5"),
]


@pytest.mark.parametrize(("task", "key", "value", "message"), HEADS)
def test_native_heads(tmp_path, task, key, value, message):
    arguments = {"classes": 2} if task is kerasbert.TextClassifier else {}
    task(Backbone(BackboneConfig(**FACTS)), **arguments).save_to_preset(tmp_path / "model")
    path = tmp_path / "model" / "config.json"
    edit(path, head={**json.loads(path.read_text())["head"], key: value})
    assert_names(message_of(path.parent), message)


def test_native_config_is_under_its_checksum(native):
    path = native / "config.json"
    settings = json.loads(path.read_text())
    settings["head"]["mask_rate"] = 0.3
    path.write_text(json.dumps(settings))
    assert_names(message_of(native), "config.json: is damaged or was edited (its SHA-256 differs)")
    del settings["sha256"]
    path.write_text(json.dumps(settings))
    assert_names(message_of(native), "config.json: is damaged or was edited (its SHA-256 differs)")
    # Models of before it had one.
    path.write_text(json.dumps({**settings, "version": 1}))
    assert kerasbert.load(native).mask_rate == 0.3


def test_any_flipped_bit_of_a_native_config_is_seen(native):
    path = native / "config.json"
    data = path.read_bytes()
    known = json.loads(data)
    for bit in range(0, 8 * len(data), 7):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << (bit % 8)
        path.write_bytes(flipped)
        try:
            found = native_format.load_config(native)
        except InputError:
            continue
        assert found == known  # white space, or a capital in an escape


def test_native_vocabulary(native):
    path = native / "vocab.txt"
    path.write_bytes(path.read_bytes() + b"extra\n")
    assert_names(message_of(native), "vocab.txt")


# === Whatever the format ===


@pytest.mark.parametrize("format", ["hf", "google", "native"])
def test_flipped_bits(golden, request, format):
    directory = golden("bert") if format == "hf" else request.getfixturevalue(format)
    path = next(directory.glob("*config.json"))
    data, messages = path.read_bytes(), []
    for bit in range(0, 8 * len(data), 61):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << (bit % 8)
        path.write_bytes(flipped)
        try:
            preset = checkpoints.load(directory)
            BackboneConfig.from_stored(preset.encoder_config, preset.source)
        except InputError as error:
            messages.append(str(error))
    assert len(messages) > 20
    assert all(str(directory) in message for message in messages)
    assert not any("\n" in message for message in messages)


@pytest.mark.parametrize("format", ["hf", "google", "native"])
def test_nothing_is_assigned(golden, request, format):
    directory = golden("bert") if format == "hf" else request.getfixturevalue(format)
    preset = checkpoints.load(directory)
    facts = {**preset.encoder_config, "num_layers": preset.encoder_config["num_layers"] + 1}
    backbone = Backbone(BackboneConfig(**facts))
    before = [variable.numpy() for variable in backbone.weights]
    with pytest.raises(InputError, match=f"16 of {len(before)} weights don't fit: layer_2/"):
        preset.assign(backbone.weights)
    for variable, array in zip(backbone.weights, before, strict=True):
        np.testing.assert_array_equal(variable.numpy(), array)


@pytest.mark.parametrize("format", ["hf", "kerashub", "google", "kerasbert"])
def test_weights_that_are_not_finite_are_not_written(format, tmp_path):
    backbone = Backbone(BackboneConfig(**FACTS))
    backbone.weights[-1].assign(backbone.weights[-1] + np.nan)
    with pytest.raises(
        InputError, match=f"{tmp_path}/new: 1 of .* not finite.*{backbone.weights[-1].path}"
    ):
        backbone.save_to_preset(tmp_path / "new", format=format)
    assert not list(tmp_path.iterdir())
