"""Model names: local directories, and downloads with the clients of the hubs."""

import os
import pathlib

from kerasbert import families, model_names, suggestions
from kerasbert.checkpoints import sentence_transformers
from kerasbert.errors import InputError
from kerasbert.model_names import HUGGING_FACE, KAGGLE

_CONFIG_AND_TOKENIZER = ["*.json", "*.txt", "*.model", "assets/tokenizer/*"]
# The files that kerasbert reads, except those that are downloaded only if there are no others:
# pickles, TensorFlow models of transformers, and checkpoints of TensorFlow.
_PATTERNS = [*_CONFIG_AND_TOKENIZER, "*.safetensors", "*.weights.h5"]
_OTHERS = ([], ["*pytorch_model*.bin"], ["*tf_model.h5"], ["*.index", "*.data-?????-of-?????"])
# What there is in the model's directory once its weights are there.
_WEIGHTS = ("model.safetensors*", "*.weights.h5", "pytorch_model*.bin", "tf_model.h5", "*.index")


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
    if name.startswith(HUGGING_FACE):
        return _from_hugging_face(name, weights)
    if name.startswith(KAGGLE):
        return _from_kaggle(name, name)
    model_names.check(name)
    return pathlib.Path(name) if os.path.isdir(name) else _from_preset(name)


def _from_preset(name: str) -> pathlib.Path:
    presets = _kerashub_presets()
    if name in presets:
        return _from_kaggle(name, presets[name])
    near = suggestions.nearest(name, presets, model_names.well_known(), most=3)
    hint = suggestions.did_you_mean(near) or "or hf://organization/name"
    raise InputError(f"{name}: neither a model directory nor a KerasHub preset; {hint}")


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

    repository, _, revision = name.removeprefix(HUGGING_FACE).partition("@")

    def download(patterns):
        return pathlib.Path(
            huggingface_hub.snapshot_download(
                repository, revision=revision or None, allow_patterns=patterns
            )
        )

    try:
        if not weights:
            return download(_CONFIG_AND_TOKENIZER)
        for more in _OTHERS:
            directory = download([*_PATTERNS, *more])
            where = sentence_transformers.transformer(directory)
            if any(any(where.glob(pattern)) for pattern in _WEIGHTS):
                break
    except InputError:
        raise
    except Exception as error:  # the client also raises exceptions of its transport
        if reason := _known_reason(repository, revision, error):
            raise InputError(f"{name}: {reason}") from error
        raise _no_download(name, error) from error
    return directory


def _known_reason(repository: str, revision: str, error: Exception) -> str | None:
    """Returns what an exception of the client means and what to do, if it is one of these."""
    from huggingface_hub import constants, errors

    if isinstance(error, errors.GatedRepoError):
        return f"{repository} is gated: accept its terms on its page, then run hf auth login"
    if isinstance(error, errors.RepositoryNotFoundError):
        return (
            f"Hugging Face has no repository {repository}, or it is private; check the name, or "
            "run hf auth login"
        )
    if isinstance(error, errors.RevisionNotFoundError):
        return f"{repository} has no revision {revision!r}"
    if not isinstance(error, errors.LocalEntryNotFoundError):
        return None
    cause = f"Hugging Face can't be reached ({_reason(error.__cause__ or error)})"
    if constants.HF_HUB_OFFLINE:
        cause = "HF_HUB_OFFLINE is set"
    return (
        f"{cause}, and {repository} is not, or not completely, in the cache "
        f"{constants.HF_HUB_CACHE} (HF_HOME selects another); give the directory of a copy, which "
        f"`hf download {repository} --local-dir DIRECTORY` makes where there is a network"
    )


def _from_kaggle(name: str, handle: str) -> pathlib.Path:
    import kagglehub

    try:
        return pathlib.Path(kagglehub.model_download(handle.removeprefix(KAGGLE)))
    except Exception as error:  # the client also raises exceptions of its transport
        raise _no_download(name, error) from error


def _no_download(name: str, error: Exception) -> InputError:
    return InputError(
        f"{name}: can't be downloaded ({_reason(error)}); check the name and the network, or copy "
        "the model to this machine and give its directory"
    )


def _reason(error: BaseException) -> str:
    """Returns the kind and the message of an error."""
    text = " ".join(str(error).split()).rstrip(".")
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
