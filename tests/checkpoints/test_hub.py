"""Names of models; the hubs' clients are replaced, so that nothing reaches for the network."""

import pathlib
import shutil

import huggingface_hub
import kagglehub
import keras_hub
import numpy as np
import pytest
from huggingface_hub.errors import (
    GatedRepoError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.utils import filter_repo_objects

import kerasbert
from kerasbert import Backbone, InputError, checkpoints, families
from kerasbert.checkpoints import hub
from kerasbert.checkpoints.model_files import model_files

GOLDENS = pathlib.Path(__file__).parents[1] / "goldens" / "huggingface"
PICKLE, HDF5, GOOGLE = "*pytorch_model*.bin", "*tf_model.h5", ["*.index", "*.data-?????-of-?????"]


class Client:
    """In place of a hub's client: gives a directory or raises, and keeps what it was asked for."""

    def __init__(self, answer):
        self.answer = answer
        self.calls = []

    def __call__(self, *args, **kwargs):
        self.calls.append((args, kwargs))
        if isinstance(self.answer, Exception):
            raise self.answer
        return str(self.answer)


@pytest.fixture(autouse=True)
def kaggle(monkeypatch):
    client = Client(RuntimeError("a test reached for Kaggle"))
    monkeypatch.setattr(kagglehub, "model_download", client)
    return client


@pytest.fixture(autouse=True)
def hugging_face(monkeypatch):
    client = Client(RuntimeError("a test reached for Hugging Face"))
    monkeypatch.setattr(huggingface_hub, "snapshot_download", client)
    return client


def refused(name, match):
    with pytest.raises(InputError, match=match) as caught:
        Backbone.from_preset(name)
    assert "\n" not in str(caught.value)


# === KerasHub's presets ===


@pytest.fixture(scope="module")
def preset(tmp_path_factory):
    model = keras_hub.models.BertBackbone(
        vocabulary_size=20, num_layers=1, num_heads=2, hidden_dim=8, intermediate_dim=16
    )
    directory = tmp_path_factory.mktemp("kaggle")
    model.save_to_preset(str(directory))
    return model, directory


def test_kerashub_preset(kaggle, preset):
    model, kaggle.answer = preset
    backbone = Backbone.from_preset("bert_tiny_en_uncased")
    handle = keras_hub.models.BertBackbone.presets["bert_tiny_en_uncased"]["kaggle_handle"]
    assert handle.startswith("kaggle://keras/bert/keras/bert_tiny_en_uncased")
    # Nothing but the handle: the client shows its progress as it always does.
    assert kaggle.calls == [((handle.removeprefix("kaggle://"),), {})]
    table = model.token_embedding.embeddings.numpy()
    np.testing.assert_array_equal(backbone.token_embedding.embeddings.numpy(), table)


def test_kaggle_handle(kaggle, preset):
    kaggle.answer = preset[1]
    Backbone.from_preset("kaggle://somebody/bert/keras/mine/2")
    assert kaggle.calls == [(("somebody/bert/keras/mine/2",), {})]


@pytest.mark.parametrize("name", ["bert_tiny_en_uncased", "kaggle://keras/bert/keras/x/1"])
def test_no_kaggle(kaggle, name):
    kaggle.answer = ConnectionError("Max retries exceeded\n with url: /api")
    match = (
        rf"^{name}: can't be downloaded .ConnectionError: Max retries exceeded with url: /api.; "
        "check the name and the network, or copy the model to .* and give its directory$"
    )
    refused(name, match)


def test_presets_are_those_of_our_families():
    presets = hub._kerashub_presets()
    wanted = {"bert_base_zh", "roberta_large_en", "xlm_roberta_base_multi", "distil_bert_base_en"}
    assert presets.keys() >= wanted | {"albert_base_en_uncased"}
    assert "gpt2_base_en" not in presets  # nobody wants to download it to hear that it is no BERT
    assert not presets.keys() & families.PRESETS.keys()


# === Hugging Face ===


def test_hugging_face(hugging_face):
    hugging_face.answer = GOLDENS / "bert"
    backbone = Backbone.from_preset("hf://somebody/model")
    assert backbone.config.family == "bert"
    ((args, kwargs),) = hugging_face.calls
    assert args == ("somebody/model",)
    # As above: nothing that would hide the client's progress bars.
    assert kwargs.keys() == {"revision", "allow_patterns"}
    assert kwargs["revision"] is None
    assert PICKLE not in kwargs["allow_patterns"]


def test_hugging_face_revision(hugging_face):
    hugging_face.answer = GOLDENS / "bert_masked_lm"
    assert isinstance(kerasbert.load("hf://somebody/model@v2"), kerasbert.MaskedLM)
    for args, kwargs in hugging_face.calls:
        assert (args, kwargs["revision"]) == (("somebody/model",), "v2")


def test_a_tokenizer_is_downloaded_without_weights(
    hugging_face, tokenizer, tiny_backbone, tmp_path
):
    hugging_face.answer = tmp_path / "model"
    backbone = tiny_backbone(tokenizer, pooler=True)
    backbone.save_to_preset(hugging_face.answer, format="hf", tokenizer=tokenizer)
    found = kerasbert.tokenizer_from_preset("hf://somebody/model")
    assert found.vocabulary == tokenizer.vocabulary
    ((_, kwargs),) = hugging_face.calls
    ends = [pattern.rpartition(".")[2] for pattern in kwargs["allow_patterns"]]
    assert not {"safetensors", "h5", "bin"} & {*ends}
    assert "json" in ends


def test_kerashub_preset_at_hugging_face(hugging_face, preset):
    hugging_face.answer = preset[1]
    assert Backbone.from_preset("hf://keras/mine").config.hidden_dim == 8
    assert len(hugging_face.calls) == 1


def test_pickles_only_where_there_is_nothing_else(hugging_face, tmp_path):
    (tmp_path / "config.json").write_text((GOLDENS / "bert" / "config.json").read_text())
    hugging_face.answer = tmp_path
    refused("hf://somebody/model", "has neither model.safetensors nor .* nor pytorch_model.bin")
    first, *others = (kwargs["allow_patterns"] for _, kwargs in hugging_face.calls)
    assert not {PICKLE, HDF5, *GOOGLE} & {*first}
    assert others == [[*first, PICKLE], [*first, HDF5], [*first, *GOOGLE]]
    (tmp_path / "onnx").mkdir()
    (tmp_path / "onnx" / "model.safetensors").touch()  # of something else
    hugging_face.calls.clear()
    refused("hf://somebody/model", "has neither")
    assert len(hugging_face.calls) == 4
    (tmp_path / "pytorch_model-00001-of-00002.bin").touch()
    hugging_face.calls.clear()
    refused("hf://somebody/model", "has neither")
    assert len(hugging_face.calls) == 1


def test_google_at_hugging_face(tokenizer, tiny_backbone, tmp_path, monkeypatch):
    """What is uploaded of a model can be downloaded."""
    source, copy = tmp_path / "source", tmp_path / "copy"
    backbone = tiny_backbone(tokenizer, pooler=True)
    backbone.save_to_preset(source, format="google", tokenizer=tokenizer)

    def download(repository, revision, allow_patterns):
        names = [path.name for path in model_files(checkpoints.load(source))]
        copy.mkdir(exist_ok=True)
        for name in filter_repo_objects(names, allow_patterns=allow_patterns):
            shutil.copy(source / name, copy)
        return str(copy)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    assert kerasbert.load("hf://somebody/model").config == backbone.config


@pytest.mark.parametrize(
    "error",
    [
        OSError("[Errno 101] Network is unreachable"),
        ValueError("Repo id must be in the form 'namespace/name'"),
    ],
)
def test_no_hugging_face(hugging_face, error):
    hugging_face.answer = error
    match = (
        rf"^hf://somebody/model: can't be downloaded .{type(error).__name__}: .*; check the name"
    )
    refused("hf://somebody/model", match)


# What the client raises without a network: its own message has 300 characters and no name.
_WHY = "An error happened while trying to locate the files on the Hub, and so on. " * 5


def test_out_of_reach(hugging_face, monkeypatch):
    error = LocalEntryNotFoundError(f"Got: ConnectError: refused\n{_WHY}")
    error.__cause__ = ConnectionError("[Errno -3] Temporary failure in name resolution")
    hugging_face.answer = error
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", "/my/cache")
    rest = (
        "and somebody/model is not, or not completely, in the cache /my/cache .HF_HOME selects "
        "another.; give the directory of a copy, which `hf download somebody/model --local-dir "
        "DIRECTORY` makes where there is a network$"
    )
    cause = r"ConnectionError: \[Errno -3\] Temporary failure in name resolution"
    refused("hf://somebody/model", rf"^hf://somebody/model: .* reached \({cause}\), {rest}")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    refused("hf://somebody/model@v2", f"^hf://somebody/model@v2: HF_HUB_OFFLINE is set, {rest}")


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (RepositoryNotFoundError, "Hugging Face has no repository a/b, or it is private; check"),
        (GatedRepoError, "a/b is gated: accept its terms on its page, then run hf auth login"),
        (RevisionNotFoundError, "a/b has no revision 'v2'"),
    ],
)
def test_what_hugging_face_lacks(hugging_face, kind, message):
    hugging_face.answer = kind.__new__(kind, "404 Client Error. (Request ID: 1)")
    refused("hf://a/b@v2", f"^hf://a/b@v2: {message}")


def test_long_reasons_are_whole(hugging_face):
    hugging_face.answer = OSError(_WHY + "the end")
    refused("hf://a/b", r"and so on\. the end\); check the name")


# === Names of nothing ===


def test_typo():
    refused("bert_tiny_en_uncasd", "^bert_tiny_en_uncasd: neither .*; did you mean bert_tiny_en_un")
    refused("roberta_bose", "did you mean .*roberta_base_en")
    refused("bert-base-uncase", "did you mean .*hf://google-bert/bert-base-uncased")
    refused("zzzz", "neither a model directory nor a KerasHub preset; or hf://organization/name")


# Every other name that is suggested has weights; architectures have none.
@pytest.mark.parametrize("name", ["roberta_bose", "bert-bas-cased", "albert_bose", "bert_tin"])
def test_no_name_is_suggested_that_fails(name, kaggle, hugging_face, preset):
    kaggle.answer = hugging_face.answer = preset[1]
    with pytest.raises(InputError, match="did you mean") as caught:
        Backbone.from_preset(name)
    for suggestion in str(caught.value).split("did you mean ")[1].rstrip("?").split(" or "):
        Backbone.from_preset(suggestion)


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("bert-base-uncased", "google-bert/bert-base-uncased"),
        ("bert_base_uncased", "google-bert/bert-base-uncased"),
        ("bert-base-multilingual-cased", "google-bert/bert-base-multilingual-cased"),
        ("roberta-base", "FacebookAI/roberta-base"),
        ("xlm-roberta-large", "FacebookAI/xlm-roberta-large"),
        ("distilbert-base-uncased", "distilbert/distilbert-base-uncased"),
        ("albert-base-v2", "albert/albert-base-v2"),
        ("electra-small-discriminator", "google/electra-small-discriminator"),
        ("all-MiniLM-L6-v2", "sentence-transformers/all-MiniLM-L6-v2"),
        ("google-bert/bert-base-uncased", "google-bert/bert-base-uncased"),
    ],
)
def test_names_of_hugging_face(name, found, monkeypatch):
    monkeypatch.setattr(hub, "_kerashub_presets", lambda: 1 / 0)  # not asked: it takes seconds
    refused(name, f"^{name}: no such model directory; on Hugging Face it is hf://{found}$")


def test_architecture():
    refused("bert_tiny", r"'bert_tiny' is an architecture without weights; .* builds it")


def test_no_directory(tmp_path):
    refused(tmp_path / "missing", "missing: no such model directory")
    refused(f"{tmp_path}/missing/", "missing/: no such model directory")
    (tmp_path / "config.json").write_text("{}")
    refused(tmp_path / "config.json", "config.json: is a file; expected the model's directory$")
    refused(tmp_path, "contains no supported model")
    (tmp_path / "model.keras").touch()
    refused(tmp_path / "model.keras", "is a file; .*; keras.models.load_model loads it$")
