"""Names of models: what can be said of them without a network, and before Keras is imported."""

import os
import pathlib

from kerasbert import families, suggestions
from kerasbert.errors import InputError

HUGGING_FACE, KAGGLE = "hf://", "kaggle://"


def check(name: str) -> None:
    """Raises `InputError` for a name that is neither a directory nor of a hub.

    It leaves a single word to the client of KerasHub's presets, unless the word is the name of a
    well-known model of Hugging Face or of an architecture.
    """
    if name.startswith((HUGGING_FACE, KAGGLE)) or os.path.isdir(name):
        return
    if os.path.exists(name):  # pathlib's methods raise for a name that is too long
        of_keras = "; keras.models.load_model loads it" if name.endswith(".keras") else ""
        raise InputError(f"{name}: is a file; expected the model's directory{of_keras}")
    directory = pathlib.Path(name)
    if directory.name == name:
        _check_word(name)
        return
    parent = os.fspath(directory.parent)
    if directory.parent.name == parent and not os.path.exists(parent):
        raise InputError(
            f"{name}: no such model directory; on Hugging Face it is {HUGGING_FACE}{name}"
        )
    near = suggestions.similar_paths(name)
    raise InputError(
        f"{name}: no such model directory, and not hf://organization/name or a KerasHub preset"
        + (f"; {suggestions.did_you_mean(near)}" if near else "")
    )


def _check_word(name: str) -> None:
    known = {suggestions.spelled(word): address for word, address in well_known().items()}
    if address := known.get(suggestions.spelled(name)):
        raise InputError(f"{name}: no such model directory; on Hugging Face it is {address}")
    if name in families.PRESETS:
        raise InputError(
            f"{name!r} is an architecture without weights; "
            f"Backbone(BackboneConfig.from_preset({name!r})) builds it"
        )


def well_known() -> dict[str, str]:
    """Returns what loads the best-known models, by their names without an organization."""
    return {
        checkpoint.name.partition("/")[2]: f"{HUGGING_FACE}{checkpoint.name}"
        for family in families.FAMILIES.values()
        for checkpoint in family.checkpoints
    }
