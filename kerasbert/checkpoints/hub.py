"""Model names: local directories, and downloads with the clients of the hubs."""

import difflib
import os
import pathlib

from kerasbert import families
from kerasbert.errors import InputError

_HUGGING_FACE, _KAGGLE = "hf://", "kaggle://"
_CONFIG_AND_TOKENIZER = ["*.json", "*.txt", "*.model", "assets/tokenizer/*"]
# The files that kerasbert reads, except pickles, which are downloaded only if there are no others.
_PATTERNS = [*_CONFIG_AND_TOKENIZER, "*.safetensors", "*.weights.h5"]
_PICKLES, _HDF5 = ["*pytorch_model*.bin"], ["*tf_model.h5"]


def fetch(name: str | os.PathLike[str], weights: bool = True) -> pathlib.Path:
    """Returns the directory of a model, which is downloaded if necessary.

    Args:
        name: path of a directory; "hf://organization/name", optionally with "@revision";
            "kaggle://handle"; or the name of a KerasHub preset.
        weights: whether the weights are needed; without, a download from Hugging Face is small.

    Raises:
        InputError: there is no such model, or it can't be downloaded.
    """
    name = os.fspath(name)
    if name.startswith(_HUGGING_FACE):
        return _from_hugging_face(name, weights)
    if name.startswith(_KAGGLE):
        return _from_kaggle(name, name)
    directory = pathlib.Path(name)
    if os.path.isdir(name):  # pathlib's is_dir raises for a name that is too long
        return directory
    if os.path.exists(name):
        raise InputError(f"{name}: is a file; expected the model's directory")
    if directory.name == name:  # a single word
        return _from_preset(name)
    parent = os.fspath(directory.parent)
    if directory.parent.name == parent and not os.path.exists(parent):
        raise InputError(
            f"{name}: no such model directory; on Hugging Face it is {_HUGGING_FACE}{name}"
        )
    raise InputError(
        f"{name}: no such model directory, and not hf://organization/name or a KerasHub preset"
    )


def _from_preset(name: str) -> pathlib.Path:
    well_known = _well_known()
    if _spelled(name) in well_known:
        raise InputError(
            f"{name}: no such model directory; on Hugging Face it is {well_known[_spelled(name)]}"
        )
    if name in families.PRESETS:
        raise InputError(
            f"{name!r} is an architecture without weights; "
            f"Backbone(BackboneConfig.from_preset({name!r})) builds it"
        )
    presets = _kerashub_presets()
    if name in presets:
        return _from_kaggle(name, presets[name])
    names = {**{_spelled(preset): preset for preset in presets}, **well_known}
    near = [names[each] for each in difflib.get_close_matches(_spelled(name), names, n=3)]
    hint = f"did you mean {' or '.join(near)}?" if near else "or hf://organization/name"
    raise InputError(f"{name}: neither a model directory nor a KerasHub preset; {hint}")


def _spelled(name: str) -> str:
    return name.lower().replace("_", "-")


def _well_known() -> dict[str, str]:
    """Returns the loadable names of the best-known models, by their names as `_spelled`."""
    return {
        _spelled(checkpoint.name.partition("/")[2]): f"{_HUGGING_FACE}{checkpoint.name}"
        for family in families.FAMILIES.values()
        for checkpoint in family.checkpoints
    }


def _kerashub_presets() -> dict[str, str]:
    """Returns the handles of KerasHub's presets of the supported families, by name."""
    import keras_hub

    classes = [
        getattr(keras_hub.models, layout.model_type)
        for layout in families.layouts_of("kerashub").values()
    ]
    return {
        name: registered["kaggle_handle"]
        for each in classes
        for name, registered in each.presets.items()
    }


def _from_hugging_face(name: str, weights: bool) -> pathlib.Path:
    import huggingface_hub

    repository, _, revision = name.removeprefix(_HUGGING_FACE).partition("@")

    def download(patterns):
        return pathlib.Path(
            huggingface_hub.snapshot_download(
                repository, revision=revision or None, allow_patterns=patterns
            )
        )

    try:
        if not weights:
            return download(_CONFIG_AND_TOKENIZER)
        for more in ([], _PICKLES, _HDF5):
            directory = download([*_PATTERNS, *more])
            if any(any(directory.rglob(f"*.{end}")) for end in ("safetensors", "bin", "h5")):
                break
    except Exception as error:  # the client also raises exceptions of its transport
        raise _no_download(name, error) from error
    return directory


def _from_kaggle(name: str, handle: str) -> pathlib.Path:
    import kagglehub

    try:
        return pathlib.Path(kagglehub.model_download(handle.removeprefix(_KAGGLE)))
    except Exception as error:  # the client also raises exceptions of its transport
        raise _no_download(name, error) from error


def _no_download(name: str, error: Exception) -> InputError:
    reason = " ".join(str(error).split())[:200] or type(error).__name__
    return InputError(
        f"{name}: can't be downloaded ({type(error).__name__}: {reason}); check the name and the "
        "network, or copy the model to this machine and give its directory"
    )
