"""Weights in other files than model.safetensors, and configs of other times: the same outputs."""

import json
import pathlib
import re
import shutil

import h5py
import numpy as np
import pytest
import safetensors.numpy
from test_torch_file import PROTOCOL, plain, state, storage, tensor, write_zip

import kerasbert
from kerasbert import InputError
from kerasbert.checkpoints.tf_file import read_tf_file

GOLDENS = pathlib.Path(__file__).parents[1] / "goldens"
TENSORFLOW = GOLDENS / "tf_h5"
NAME = "bert_sequence_classification"


@pytest.fixture
def copied(tmp_path):
    def copy(source):
        directory = tmp_path / "copy"
        return shutil.copytree(source, directory, copy_function=shutil.copyfile)

    return copy


def edit(path, **changes):
    stored = {**json.loads(path.read_text()), **changes}
    path.write_text(json.dumps({k: v for k, v in stored.items() if v is not ...}))


def assert_answers(directory, name=NAME):
    values = dict(np.load(GOLDENS / "huggingface" / name / "inputs_outputs.npz"))
    features = {
        "token_ids": values["input_ids"],
        "padding_mask": values["attention_mask"],
        "segment_ids": values["token_type_ids"],
    }
    logits = kerasbert.load(directory)(features)
    np.testing.assert_allclose(logits, values["logits"], atol=1e-5)


# === TensorFlow's ===


@pytest.mark.parametrize("name", sorted(path.name for path in TENSORFLOW.iterdir()))
def test_tensorflow(name, tmp_path):
    """Against transformers 4 in TensorFlow (tests/goldens/make_tf_h5.py)."""
    values = dict(np.load(TENSORFLOW / name / "expected.npz"))
    model = kerasbert.load(TENSORFLOW / name)
    features = {"token_ids": values.pop("token_ids")}
    if "masked_lm" in name or "pretraining" in name:
        features["mask_positions"] = np.arange(7) * np.ones((2, 1), int)
    outputs = model(features)
    ours = {
        "last_hidden_state": "sequence_output",
        "prediction_logits": "mlm_logits",
        "seq_relationship_logits": "nsp_logits",
    }
    assert values
    for key, expected in values.items():
        found = outputs[ours[key]] if key in ours else outputs
        np.testing.assert_allclose(found, expected, atol=1e-5, err_msg=key)
    model.save_to_preset(tmp_path / "hf", format="hf")
    stored = safetensors.numpy.load_file(tmp_path / "hf" / "model.safetensors")
    for key, array in read_tf_file(TENSORFLOW / name / "tf_model.h5").items():
        # A model without a head has no prefix; of two biases of a decoder one is in use.
        if key in stored and key != "predictions.bias":
            np.testing.assert_array_equal(stored[key], array, err_msg=key)


def test_tensorflow_files_that_are_damaged(copied):
    directory = copied(TENSORFLOW / "electra")
    path = directory / "tf_model.h5"
    with h5py.File(path, "a") as file:
        file["other/model/electra/embeddings_project/bias:0"] = np.zeros(8, "float32")
    with pytest.raises(
        InputError, match=r"two different weights with the name electra\.embeddings_project"
    ):
        kerasbert.load(directory)
    with h5py.File(path, "a") as file:
        del file["other"]
        file["other/model/words:0"] = "no number"
    with pytest.raises(InputError, match=r"tf_model.h5: other/model/words:0 has the type object"):
        kerasbert.load(directory)
    path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(InputError, match=r"tf_model.h5: not a complete HDF5 file") as caught:
        kerasbert.load(directory)
    assert "\n" not in str(caught.value)


# === PyTorch's ===


def write_bin(path, tensors, wrap=lambda program: program):
    """What `torch.save` writes of a state dict, in `wrap`, say beside an optimizer's."""
    entries, storages = {}, {}
    for key, (name, array) in enumerate(tensors.items()):
        strides = tuple(stride // array.itemsize for stride in array.strides)
        position = storage("Float", str(key), array.size)
        entries[name] = tensor(position, 0, array.shape, strides)
        storages[str(key)] = np.ascontiguousarray(array).tobytes()
    write_zip(path, PROTOCOL + wrap(state(**entries)) + b".", storages)


def checkpoint(key):
    return lambda program: state(**{"epoch": plain(3), key: program, "optimizer": plain({"a": 1})})


@pytest.fixture
def stored(copied):
    """A directory without weights, and the weights."""
    directory = copied(GOLDENS / "huggingface" / NAME)
    tensors = safetensors.numpy.load_file(directory / "model.safetensors")
    (directory / "model.safetensors").unlink()
    return directory, tensors


WRAPPERS = {
    "plain": ("", lambda program: program),
    "data_parallel": ("module.", lambda program: program),
    "lightning": ("model.", checkpoint("state_dict")),
    "both": ("module.model.", checkpoint("model_state_dict")),
}


@pytest.mark.parametrize("name", WRAPPERS)
def test_wrapped_weights(stored, name):
    (directory, tensors), (prefix, wrap) = stored, WRAPPERS[name]
    tensors = {prefix + name: array for name, array in tensors.items()}
    write_bin(directory / "pytorch_model.bin", tensors, wrap)
    assert_answers(directory)


def test_a_prefix_of_some_is_none(stored):
    directory, tensors = stored
    tensors["module.other"] = np.zeros(2, "float32")
    write_bin(directory / "pytorch_model.bin", tensors)
    with pytest.raises(
        InputError, match=r"1 tensors that are not part of the config's model: module.oth"
    ):
        kerasbert.load(directory)


def test_two_tensors_with_one_name(stored):
    directory, tensors = stored
    name = "bert.pooler.dense.bias"
    short = name.removeprefix("bert.")
    for other in (tensors[name], tensors[name] + 1):  # the same one does no harm
        write_bin(directory / "pytorch_model.bin", {**tensors, short: other})
        if other is tensors[name]:
            assert_answers(directory)
    with pytest.raises(InputError, match=f"bin: has both {name} and {short}, which differ"):
        kerasbert.load(directory)


def test_shards(stored):
    directory, tensors = stored
    names = sorted(tensors)
    parts = {"pytorch_model-00001-of-00002.bin": names[:9], "pytorch_model-2.bin": names[9:]}
    for file, part in parts.items():
        write_bin(directory / file, {name: tensors[name] for name in part})
    where = {name: file for file, part in parts.items() for name in part}
    index = directory / "pytorch_model.bin.index.json"
    index.write_text(json.dumps({"weight_map": where}))
    assert_answers(directory)
    (directory / "pytorch_model-2.bin").unlink()
    with pytest.raises(
        InputError, match=r"bin.index.json: lists pytorch_model-2.bin, which does not"
    ):
        kerasbert.load(directory)


# === Configs without a model_type ===


def test_the_class_says_the_family(copied):
    directory = copied(GOLDENS / "huggingface" / NAME)
    edit(directory / "config.json", model_type=...)
    assert_answers(directory)
    edit(directory / "config.json", architectures=["TFBertForSequenceClassification"])
    assert_answers(directory)


def test_a_vocabulary_says_bert(copied, tmp_path):
    directory = copied(GOLDENS / "huggingface" / "bert")
    edit(directory / "config.json", model_type=..., architectures=...)
    message = "config.json: lacks 'model_type'; add it: one of bert, roberta, xlm-rob"
    with pytest.raises(InputError, match=re.escape(message)):
        kerasbert.load(directory)
    (directory / "vocab.txt").write_text("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\n")
    with pytest.warns(UserWarning, match=r"config.json: lacks 'model_type'; it is read as BERT's"):
        found = kerasbert.load(directory)
    # As pytorch-pretrained-bert called it.
    (directory / "config.json").rename(directory / "bert_config.json")
    with pytest.warns(UserWarning, match=r"bert_config.json: lacks 'model_type'"):
        again = kerasbert.load(directory)
    assert found.config == again.config
    assert again.config.activation == "gelu"
    for one, other in zip(found.weights, again.weights, strict=True):
        np.testing.assert_array_equal(one, other)


def test_other_families_are_no_bert(copied):
    directory = copied(GOLDENS / "huggingface" / "electra")
    edit(directory / "config.json", model_type=..., architectures=...)
    (directory / "vocab.txt").write_text("[PAD]\n")
    with pytest.raises(InputError, match=r"config.json: lacks 'model_type'; add it"):
        kerasbert.load(directory)
