"""`kerasbert presets` and `kerasbert doctor`: what they say is so."""

import re

import pytest

import kerasbert
from kerasbert import families
from kerasbert.recipes import doctor as doctor_recipe
from kerasbert.recipes.doctor import doctor
from kerasbert.recipes.options import DoctorOptions, PresetsOptions
from kerasbert.recipes.presets import presets

# The numbers of parameters of transformers' models without heads, with their poolers.
PUBLISHED = {
    "hf://google-bert/bert-base-uncased": 109_482_240,
    "hf://google-bert/bert-base-chinese": 102_267_648,
    "hf://sentence-transformers/all-MiniLM-L6-v2": 22_713_216,
    "hf://FacebookAI/roberta-base": 124_645_632,
    "hf://FacebookAI/xlm-roberta-base": 278_043_648,
    "hf://distilbert/distilbert-base-uncased": 66_362_880,
    "hf://albert/albert-base-v2": 11_683_584,
    "hf://google/electra-base-discriminator": 108_891_648,
}


@pytest.fixture(scope="module")
def listed():
    return presets(PresetsOptions(json=True))


def test_numbers_of_parameters(listed):
    counted = {one["name"]: one["parameters"] for one in listed["checkpoints"]}
    assert {name: counted[name] for name in PUBLISHED} == PUBLISHED
    config = kerasbert.BackboneConfig.from_preset("bert_tiny")
    counted = {one["name"]: one["parameters"] for one in listed["architectures"]}
    assert counted["bert_tiny"] == kerasbert.Backbone(config).count_params()
    assert sorted(counted) == kerasbert.list_presets()


def test_every_checkpoint_has_a_line_that_loads_it(listed):
    for one in listed["checkpoints"]:
        pattern = r'kerasbert\.(\w+)\.from_preset\("(.*?)"(, pair=True)?\)'
        task, name, _ = re.fullmatch(pattern, one["load"]).groups()
        assert name == one["name"]
        models = families.FAMILIES[one["family"]].layouts["hf"].models
        kind = getattr(kerasbert, task)  # a task that is known to Hugging Face, or
        assert task in models or task in ("Backbone", "TextEmbedder"), one
        assert callable(kind.from_preset)


def test_tables(listed):
    text = presets(PresetsOptions())
    for one in listed["checkpoints"]:
        assert re.search(
            rf" {one['parameters'] / 1e6:.1f} M .*{re.escape(one['load'])}\n", text + "\n"
        )
    for name in kerasbert.list_presets():
        assert f" {name}\n" in text
    assert not [line for line in text.splitlines() if line != line.rstrip()]


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(doctor_recipe, "_SHAPE", (16, 16, 16))
    monkeypatch.setattr(doctor_recipe, "_SECONDS", 0.001)


@pytest.mark.usefixtures("quick")
def test_doctor():
    found = doctor(DoctorOptions(json=True))
    assert found["packages"]["keras"]
    assert found["cores"] >= 1
    assert found["gflops"].keys() == {"float32", "bfloat16"}
    assert found["bfloat16_speed"] > 0
    (line,) = [line for line in found["advice"] if "--precision" in line]
    assert ("bfloat16 pays" in line) == (found["bfloat16_speed"] >= 1.2)
    text = doctor(DoctorOptions())
    assert text.startswith(f"kerasbert {kerasbert.__version__}, Python 3.")
    assert f"{found['cores']} cores" in text


@pytest.mark.parametrize(
    ("speed", "advice"),
    [
        (0.5, "keep --precision float32: bfloat16's products are 0.5 x as fast here"),
        (1.1, "keep --precision float32: bfloat16's products are 1.1 x as fast here"),
        (2.0, "--precision bfloat16 pays: its products are 2.0 x as fast here"),
    ],
)
def test_the_precision_that_pays(speed, advice):
    found = {"packages": {"tensorflow-text": "2"}, "missing": {}, "bfloat16_speed": speed}
    assert doctor_recipe._advice(found) == [advice]


def test_missing_packages(monkeypatch):
    required = [
        'nothing-plots>=3.9,<4; extra == "plots"',
        'pytest>=8; extra == "plots"',
        'nothing-test; extra == "test"',
        "keras>=3",
    ]
    monkeypatch.setattr(doctor_recipe.importlib.metadata, "requires", lambda name: required)
    missing = doctor_recipe._missing_extras()
    assert missing == {"plots": ["nothing-plots"]}
    advice = doctor_recipe._advice({"packages": {"tensorflow-text": "2"}, "missing": missing})
    assert advice == ["nothing-plots is not installed: pip install 'kerasbert[plots]'"]


def test_a_broken_installation_is_described_too(monkeypatch):
    def fail():
        raise ImportError("libtensorflow_cc.so.2:\nno such file")

    monkeypatch.setattr(doctor_recipe, "_computing", fail)
    text = doctor(DoctorOptions())
    assert re.search(r"^processor: ", text, re.MULTILINE)
    line = r"Keras can't compute: ImportError: libtensorflow_cc.so.2:\nno such file"
    assert line in text.splitlines()
