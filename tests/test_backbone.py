import dataclasses
import json

import keras
import numpy as np
import pytest

from kerasbert import Backbone, BackboneConfig, InputError, checkpoints, files, load
from kerasbert.families import PRESETS
from kerasbert.layers.inference import inference_mode, is_inference_mode

SMALL = {"num_layers": 2, "hidden_dim": 8, "num_heads": 2, "intermediate_dim": 16}

# Counted in transformers' models of the same sizes.
PARAMETERS = {
    "bert_tiny": 4_385_920,
    "bert_mini": 11_170_560,
    "bert_small": 28_763_648,
    "bert_medium": 41_373_184,
    "bert_base": 109_482_240,
    "bert_base_cased": 108_310_272,
    "bert_base_chinese": 102_267_648,
    "bert_base_multilingual_cased": 177_853_440,
    "bert_large": 335_141_888,
    "bert_large_cased": 333_579_264,
    "bert_l2_h128": 4_385_920,
    "bert_l2_h256": 9_591_040,
    "bert_l2_h512": 22_458_880,
    "bert_l2_h768": 38_603_520,
    "bert_l4_h128": 4_782_464,
    "bert_l4_h256": 11_170_560,
    "bert_l4_h512": 28_763_648,
    "bert_l4_h768": 52_779_264,
    "bert_l6_h128": 5_179_008,
    "bert_l6_h256": 12_750_080,
    "bert_l6_h512": 35_068_416,
    "bert_l6_h768": 66_955_008,
    "bert_l8_h128": 5_575_552,
    "bert_l8_h256": 14_329_600,
    "bert_l8_h512": 41_373_184,
    "bert_l8_h768": 81_130_752,
    "bert_l10_h128": 5_972_096,
    "bert_l10_h256": 15_909_120,
    "bert_l10_h512": 47_677_952,
    "bert_l10_h768": 95_306_496,
    "bert_l12_h128": 6_368_640,
    "bert_l12_h256": 17_488_640,
    "bert_l12_h512": 53_982_720,
    "bert_l12_h768": 109_482_240,
    "roberta_base": 124_645_632,
    "roberta_large": 355_359_744,
    "xlm_roberta_base": 278_043_648,
    "xlm_roberta_large": 559_890_432,
    "albert_base": 11_683_584,
    "albert_large": 17_683_968,
    "albert_xlarge": 58_724_864,
    "albert_xxlarge": 222_595_584,
    "distilbert_base": 66_362_880,
    "distilbert_base_cased": 65_190_912,
    "distilbert_base_multilingual_cased": 134_734_080,
    "electra_small": 13_483_008,
    "electra_base": 108_891_648,
    "electra_large": 334_092_288,
    "electra_small_generator": 13_483_008,
    "electra_base_generator": 33_511_168,
    "electra_large_generator": 50_999_552,
    "ernie_1_base_chinese": 99_866_112,
    "ernie_2_base": 109_483_776,
    "ernie_2_large": 335_143_936,
    "ernie_3_base_chinese": 117_944_832,
}
FACTS = {
    "vocabulary_size": 30,
    "num_layers": 2,
    "hidden_dim": 8,
    "num_heads": 2,
    "intermediate_dim": 12,
    "max_sequence_length": 16,
}
IDS = np.random.default_rng(0).integers(0, 30, (3, 7))
NAMES = ("sequence_output", "pooled_output")


@pytest.fixture(scope="module")
def backbone():
    return Backbone(BackboneConfig(**FACTS))


@pytest.fixture
def saved(backbone, tmp_path):
    backbone.save_to_preset(tmp_path / "model")
    return tmp_path / "model"


def assert_same(ours, theirs):
    for name in NAMES:
        np.testing.assert_allclose(ours[name].numpy(), theirs[name].numpy(), atol=1e-6)


def dense(rows, columns):
    return rows * columns + columns


def count(config):
    width, inner = config.hidden_dim, config.intermediate_dim
    narrow = config.embedding_dim or width
    rows = config.vocabulary_size + config.num_segments + config.num_task_types
    if config.positions != "sinusoidal":
        rows += config.max_sequence_length
    if config.positions == "learned_offset":
        rows += config.padding_id + 1
    embeddings = rows * narrow + 2 * narrow
    if config.embedding_dim:
        embeddings += dense(narrow, width)
    layer = 4 * dense(width, width) + 2 * (2 * width) + dense(width, inner) + dense(inner, width)
    layers = (config.num_groups or config.num_layers) * config.layers_per_group
    return embeddings + layers * layer + config.pooler * dense(width, width)


def test_every_preset_has_a_golden_count():
    assert PARAMETERS.keys() == PRESETS.keys()


@pytest.mark.parametrize("name", PRESETS)
def test_preset_has_its_size(name):
    assert count(BackboneConfig.from_preset(name)) == PARAMETERS[name]


@pytest.mark.parametrize("name", ["bert_tiny", "bert_mini", "albert_base", "electra_small"])
def test_built_preset_has_its_size(name):
    assert Backbone(BackboneConfig.from_preset(name)).count_params() == PARAMETERS[name]


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"positions": "sinusoidal"},
        {"positions": "learned_offset", "padding_id": 1},
        {"num_segments": 0, "pooler": False},
        {"num_task_types": 3, "task_type": 2},
        {"embedding_dim": 4},
        {"embedding_dim": 8},
        {"num_layers": 4, "num_groups": 2, "layers_per_group": 2},
    ],
    ids=str,
)
def test_odd_sizes_count(change):
    config = BackboneConfig(**{**FACTS, **change})
    assert Backbone(config).count_params() == count(config)


@pytest.mark.parametrize(
    ("layers", "groups", "size", "order"),
    [
        (4, None, 1, [0, 1, 2, 3]),
        (4, 1, 1, [0, 0, 0, 0]),
        (4, 2, 1, [0, 0, 1, 1]),
        (5, 2, 1, [0, 0, 0, 1, 1]),
        (4, 2, 2, [0, 1, 0, 1, 2, 3, 2, 3]),
    ],
)
def test_layers_in_groups(layers, groups, size, order):
    facts = {**FACTS, "num_layers": layers, "num_groups": groups, "layers_per_group": size}
    config = BackboneConfig(**facts)
    assert (config.layer_order, config.num_own_layers) == (order, len({*order}))


def test_shapes(backbone):
    outputs = backbone({"token_ids": IDS})
    assert {name: tuple(value.shape) for name, value in outputs.items()} == {
        "sequence_output": (3, 7, 8),
        "pooled_output": (3, 8),
    }


@pytest.mark.parametrize(
    "features",
    [
        IDS,
        IDS.tolist(),
        {"token_ids": IDS.astype("int64")},
        {"token_ids": IDS, "segment_ids": None},
        {"token_ids": IDS, "segment_ids": np.zeros((3, 7), "int64")},
        {"token_ids": IDS, "padding_mask": np.ones((3, 7), bool)},
    ],
    ids=["array", "list", "int64", "none", "segments", "mask"],
)
def test_defaults(backbone, features):
    full = {"token_ids": IDS, "padding_mask": np.ones_like(IDS), "segment_ids": 0 * IDS}
    assert_same(backbone(features), backbone(full))


def test_without_segments_and_pooler():
    backbone = Backbone(BackboneConfig(**{**FACTS, "num_segments": 0, "pooler": False}))
    outputs = backbone({"token_ids": IDS, "segment_ids": np.ones_like(IDS)})
    assert outputs.keys() == {"sequence_output"}
    plain = backbone(IDS)["sequence_output"].numpy()
    np.testing.assert_array_equal(outputs["sequence_output"].numpy(), plain)


def test_hidden_states_and_attention_weights(backbone):
    config = dataclasses.replace(
        backbone.config, num_groups=1, layers_per_group=2, return_hidden_states=True
    )
    curious = Backbone(config)
    mask = (np.arange(7) < 4).astype(int) * np.ones((3, 1), int)
    outputs = curious({"token_ids": IDS, "padding_mask": mask})
    states, weights = outputs["hidden_states"], outputs["attention_weights"]
    assert [tuple(state.shape) for state in states] == [(3, 7, 8)] * 5
    assert [tuple(weight.shape) for weight in weights] == [(3, 2, 7, 7)] * 4
    np.testing.assert_array_equal(states[-1].numpy(), outputs["sequence_output"].numpy())
    for weight in weights:
        np.testing.assert_allclose(weight.numpy().sum(-1), 1, atol=1e-5)
        assert not weight.numpy()[..., 4:].any()


def test_mask_and_segments_matter(backbone):
    plain = backbone(IDS)["pooled_output"].numpy()
    mask = (np.arange(7) < 3).astype(int) * np.ones((3, 1), int)
    for changed in ({"padding_mask": mask}, {"segment_ids": np.ones_like(IDS)}):
        other = backbone({"token_ids": IDS, **changed})["pooled_output"].numpy()
        assert np.abs(other - plain).max() > 1e-6


def test_without_token_ids(backbone):
    with pytest.raises(ValueError, match=r"features must contain 'token_ids', found \['ids'\]"):
        backbone({"ids": IDS})


def test_in_a_functional_model(backbone):
    ids = keras.Input((None,), dtype="int32")
    model = keras.Model(ids, backbone(ids)["pooled_output"])
    expected = backbone(IDS)["pooled_output"].numpy()
    np.testing.assert_allclose(model(IDS.astype("int32")).numpy(), expected, atol=1e-6)


def test_config_round_trip(backbone):
    config = json.loads(json.dumps(backbone.get_config()))
    restored = Backbone.from_config(config)
    assert restored.config == backbone.config
    restored.set_weights([variable.numpy() for variable in backbone.weights])
    assert_same(restored(IDS), backbone(IDS))


def test_config_keeps_the_dtype_policy():
    mixed = Backbone(BackboneConfig(**FACTS), dtype="mixed_bfloat16")
    restored = Backbone.from_config(mixed.get_config())
    assert restored.embeddings.dtype_policy.name == "mixed_bfloat16"
    assert {variable.dtype for variable in restored.weights} == {"float32"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"num_heads": 3}, "num_heads=3 does not divide"),
        ({"num_layers": 0}, "num_layers must be a positive integer, found 0"),
        ({"hidden_dim": 8.0}, "hidden_dim must be a positive integer, found 8.0"),
        ({"dropout": 1.0}, r"dropout must be in \[0, 1\), found 1.0"),
        ({"attention_dropout": -0.1}, "attention_dropout must be in"),
        ({"num_segments": -1}, "num_segments must be an integer of 0 or more, found -1"),
        ({"embedding_dim": 0}, "embedding_dim must be a positive integer, found 0"),
        ({"num_layers": 2, "num_groups": 3}, "num_groups must be num_layers=2 or less, found 3"),
        ({"num_layers": None}, "num_layers must be a positive integer, found None"),
        ({"num_layers": True}, "num_layers must be a positive integer, found True"),
        (
            {"num_task_types": 3, "task_type": 3},
            "task_type must be less than num_task_types=3, found 3",
        ),
    ],
)
def test_bad_settings(change, message):
    with pytest.raises(InputError, match=message):
        BackboneConfig(**{**FACTS, **change})


@pytest.mark.parametrize("name", ["positions", "activation", "classifier_activation", "family"])
def test_bad_names(name):
    with pytest.raises(ValueError, match=f"{name} must be one of"):
        Backbone(BackboneConfig(**FACTS, **{name: "nothing"}))


def test_unknown_preset():
    message = r"no preset 'bert_huge'; expected one of albert_base, .*, bert_tiny, "
    with pytest.raises(InputError, match=message):
        BackboneConfig.from_preset("bert_huge")


def test_preset_overrides():
    config = BackboneConfig.from_preset("bert_tiny", vocabulary_size=99)
    assert (config.vocabulary_size, config.hidden_dim) == (99, 128)


# === Directories ===


def test_save_and_load(backbone, saved):
    names = sorted(path.name for path in saved.iterdir())
    assert names == ["README.md", "config.json", "model.safetensors"]
    loaded = Backbone.from_preset(saved)
    assert loaded.config == backbone.config
    assert_same(loaded(IDS), backbone(IDS))
    assert isinstance(load(saved), Backbone)


def test_save_with_tokenizer(tokenizer, tmp_path):
    config = BackboneConfig(**{**FACTS, "vocabulary_size": tokenizer.vocabulary_size})
    Backbone(config).save_to_preset(tmp_path / "model", tokenizer=tokenizer)
    lines = (tmp_path / "model" / "vocab.txt").read_text(encoding="utf-8").splitlines()
    assert lines == list(tokenizer.vocabulary)


def test_load_with_overrides(saved):
    loaded = Backbone.from_preset(saved, dropout=0.0, dtype="mixed_bfloat16")
    assert loaded.config.dropout == 0.0
    assert loaded.embeddings.compute_dtype == "bfloat16"


def test_existing_directory_is_refused(backbone, saved):
    before = (saved / "config.json").read_bytes()
    with pytest.raises(InputError, match="model exists already"):
        backbone.save_to_preset(saved)
    assert (saved / "config.json").read_bytes() == before


def test_nothing_half_written(backbone, tmp_path, monkeypatch):
    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr("kerasbert.files.write_json", fail)
    with pytest.raises(InputError, match="model can't be written: disk full"):
        backbone.save_to_preset(tmp_path / "model")
    assert list(tmp_path.iterdir()) == []


def test_damaged_weights(saved):
    path = saved / "model.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(InputError, match=r"model\.safetensors: is damaged"):
        Backbone.from_preset(saved)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("model.safetensors", r"model\.safetensors: no such file; the model is incomplete"),
        ("config.json", r"model: contains no supported model: no config\.json"),
    ],
)
def test_missing_file(saved, name, message):
    (saved / name).unlink()
    with pytest.raises(InputError, match=message):
        Backbone.from_preset(saved)


def test_missing_weights_are_listed(backbone, tmp_path):
    config = {"task": None, "backbone": dataclasses.asdict(backbone.config)}
    left_out = ("pooler/dense/bias", "layer_1/output/kernel")
    kept = {v.path: v.numpy() for v in backbone.weights if v.path not in left_out}
    checkpoints.save(tmp_path / "model", config, kept)
    with pytest.raises(InputError, match=f"2 of {len(backbone.weights)} weights") as caught:
        Backbone.from_preset(tmp_path / "model")
    assert all(f"{name} " in str(caught.value) for name in left_out)
    assert "not in the file" in str(caught.value)


def test_wrong_shapes_are_listed(saved):
    message = r"1 of 39 .*segment_embedding/embeddings \(3, 8\): the file has \(2, 8\)"
    with pytest.raises(InputError, match=message):
        Backbone.from_preset(saved, num_segments=3)


def test_unused_weights_are_listed(saved):
    message = r"segment_embedding/embeddings: the file has \(2, 8\), the model has no such weight"
    with pytest.raises(InputError, match=message):
        Backbone.from_preset(saved, num_segments=0)


def edit(saved, change):
    config = json.loads((saved / "config.json").read_text())
    change(config)
    config["sha256"] = files.own_sha256(config)
    (saved / "config.json").write_text(json.dumps(config))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda c: c["backbone"].update(colour="red"),
            r"config\.json: backbone\.colour is unknown; expected one of family, ",
        ),
        (lambda c: c["backbone"].pop("num_heads"), r"config\.json: backbone\.num_heads is missing"),
        (lambda c: c.update(format="other"), "contains no supported model"),
        (lambda c: c.update(version=99), "has version 99"),
        (
            lambda c: c["backbone"].update(num_layers="2"),
            "backbone.num_layers must be a whole number",
        ),
    ],
)
def test_bad_config_is_named(saved, change, message):
    edit(saved, change)
    with pytest.raises(InputError, match=message):
        Backbone.from_preset(saved)


@pytest.mark.parametrize("content", ["{", "[]", ""])
def test_config_is_no_json_object(saved, content):
    (saved / "config.json").write_text(content)
    with pytest.raises(InputError, match=r"config\.json: (not valid JSON|the content must be an)"):
        Backbone.from_preset(saved)


def test_no_such_directory(tmp_path):
    with pytest.raises(InputError, match="nowhere: no such model directory"):
        Backbone.from_preset(tmp_path / "nowhere")


def test_unknown_task(saved):
    edit(saved, lambda config: config.update(task="Translator"))
    with pytest.raises(InputError, match="holds a Translator"):
        load(saved)


def test_an_architecture_has_no_weights():
    with pytest.raises(InputError, match="is an architecture without weights"):
        Backbone.from_preset("bert_tiny")


@pytest.mark.parametrize(
    "facts",
    [
        {},
        {"return_hidden_states": True},
        {"num_layers": 1, "pooler": False},
        {"num_groups": 1, "family": "albert"},
    ],
    ids=str,
)
def test_output_positions_match_all_positions(facts):
    backbone = Backbone(BackboneConfig(vocabulary_size=30, **{**SMALL, **facts}))
    ids = np.random.default_rng(0).integers(0, 30, (3, 7))
    features = {"token_ids": ids, "padding_mask": np.arange(7) < [[7], [3], [1]]}
    output_positions = np.array([[0, 6, 2], [0, 1, 1], [0, 0, 0]], "int32")
    everywhere = backbone(features)
    there = backbone(features, output_positions=output_positions)
    expected = np.take_along_axis(
        keras.ops.convert_to_numpy(everywhere.pop("sequence_output")),
        output_positions[..., None],
        axis=1,
    )
    np.testing.assert_allclose(there.pop("sequence_output"), expected, atol=1e-5)
    assert everywhere.keys() == there.keys()
    for name, value in everywhere.items():
        pairs = (
            zip(value, there[name], strict=True)
            if isinstance(value, list)
            else [(value, there[name])]
        )
        for full, less in pairs:
            np.testing.assert_allclose(less, full, atol=1e-5)
    inputs = {name: keras.Input((None,), dtype="int32") for name in features}
    symbolic = backbone(inputs, output_positions=keras.Input((4,), dtype="int32"))
    assert symbolic["sequence_output"].shape == (None, 4, 8)


@pytest.mark.parametrize(
    ("positions", "message"),
    [
        ([[0, 7], [0, 1]], r"output_positions must be in \[0, 7\), found 7"),
        ([[0, -1], [0, 1]], r"output_positions must be in \[0, 7\), found -1"),
        ([[1], [0]], "the first of output_positions must be 0 in each row"),
        ([0, 1], r"output_positions must have the shape \(batch, positions\), found \(2\)"),
        ([[0.5], [0.5]], "output_positions must be whole numbers, found float64"),
    ],
)
def test_output_positions_that_are_not_there(positions, message):
    backbone = Backbone(BackboneConfig(vocabulary_size=30, **SMALL))
    with pytest.raises(InputError, match=message):
        backbone({"token_ids": np.ones((2, 7), "int32")}, output_positions=positions)


def test_no_config():
    for wrong in ("bert_tiny", {"num_layers": 2}, None):
        with pytest.raises(InputError, match="config must be a BackboneConfig, found"):
            Backbone(wrong)


def test_a_preset_has_what_suits_it(tokenizer, tmp_path):
    facts = {**SMALL, "vocabulary_size": tokenizer.vocabulary_size, "max_sequence_length": 16}
    backbone, path = Backbone(BackboneConfig(**facts)), tmp_path / "model"
    narrow = Backbone(BackboneConfig(**{**facts, "vocabulary_size": 5}))
    roberta = {"family": "roberta", "positions": "learned_offset", "padding_id": 1}
    for model, arguments, message in (
        (backbone, {"sequence_length": 17}, r"sequence_length must be in \[4, 16\], found 17"),
        (narrow, {"tokenizer": tokenizer}, "tokens, the backbone 5 token embeddings"),
        (backbone, {"tokenizer": "vocab.txt"}, "tokenizer must be a kerasbert.text.Tokenizer"),
        (
            Backbone(BackboneConfig(**{**facts, **roberta})),
            {"tokenizer": tokenizer},
            "the tokenizer's padding has the id 0, but the backbone's positions need 1",
        ),
    ):
        with pytest.raises(InputError, match=message):
            model.save_to_preset(path, **arguments)
        assert not path.exists()


def test_unpadded_computation_matches_padded():
    backbone = Backbone(BackboneConfig(vocabulary_size=30, **SMALL))
    ids = np.random.default_rng(0).integers(0, 30, (5, 7))
    # A row may have gaps, or only padding; its outputs then only have to be finite.
    mask = np.array([[1] * 7, [1] + [0] * 6, [1, 1, 0, 0, 0, 1, 0], [1] * 3 + [0] * 4, [0] * 7])
    features = {"token_ids": ids, "padding_mask": mask}
    output_positions = np.array([[0, 6], [0, 0], [0, 5], [0, 2], [0, 0]], "int32")
    padded = backbone(features)
    with inference_mode():
        bare, there = backbone(features), backbone(features, output_positions=output_positions)
        in_training = backbone(features, training=True)
    real = mask == 1
    expected, found = padded["sequence_output"].numpy(), bare["sequence_output"].numpy()
    assert found.shape == expected.shape
    np.testing.assert_allclose(found[real], expected[real], atol=1e-5)
    np.testing.assert_array_equal(found[3, 3:], np.repeat(found[3, :1], 4, axis=0))
    for one in (bare, there):
        np.testing.assert_allclose(one["pooled_output"][:4], padded["pooled_output"][:4], atol=1e-5)
        assert np.isfinite(one["pooled_output"]).all()
    picked = np.take_along_axis(expected, output_positions[..., None], axis=1)
    np.testing.assert_allclose(there["sequence_output"][:4], picked[:4], atol=1e-5)
    # Dropout was active, on padding too.
    assert (
        np.abs(in_training["sequence_output"][3, 3] - in_training["sequence_output"][3, 0]).max()
        > 0
    )
    assert not is_inference_mode()


def test_unpadded_computation_of_no_rows():
    backbone = Backbone(BackboneConfig(vocabulary_size=30, **SMALL))
    with inference_mode():
        found = backbone({"token_ids": np.zeros((0, 2), "int32")})
    assert found["sequence_output"].shape == (0, 2, 8)


@pytest.mark.parametrize("dtype", ["int8", "int8_from_float32", "int4", "int32", "float33", 8, int])
def test_weights_are_floats(dtype, tmp_path):
    backbone = Backbone(BackboneConfig(vocabulary_size=20, max_sequence_length=8, **SMALL))
    backbone.save_to_preset(tmp_path / "model")
    advice = "; model.quantize\\('int[48]'\\) makes the weights" if "from" in str(dtype) else ""
    message = f"^dtype must be float32, bfloat16, .* or mixed_float16, found .*{advice}"
    for make in (
        lambda: Backbone(backbone.config, dtype=dtype),
        lambda: load(tmp_path / "model", dtype=dtype),
    ):
        with pytest.raises(InputError, match=message):
            make()


@pytest.mark.parametrize("dtype", ["bfloat16", "mixed_bfloat16", "float16", np.float32])
def test_dtypes(dtype):
    config = BackboneConfig(vocabulary_size=20, max_sequence_length=8, **SMALL)
    policy = keras.dtype_policies.get(dtype)
    for given in (dtype, policy):
        assert Backbone(config, dtype=given).embeddings.compute_dtype == policy.compute_dtype
