"""What sentence-transformers keeps beside a transformers model: how it makes embeddings of it.

modules.json                  the modules, one after the other
1_Pooling/config.json         how tokens are pooled
sentence_bert_config.json     how many tokens a text may have
"""

import pathlib
from collections.abc import Mapping

from kerasbert import files
from kerasbert.errors import InputError

MODULES, LENGTH = "modules.json", "sentence_bert_config.json"
POOLING = pathlib.Path("1_Pooling") / "config.json"
_MODES = {
    "mean": "pooling_mode_mean_tokens",
    "cls": "pooling_mode_cls_token",
    "max": "pooling_mode_max_tokens",
}
_PREFIX = "sentence_transformers.models."


def detect(directory: pathlib.Path) -> bool:
    """Whether a model's directory says how embeddings are made."""
    return (directory / MODULES).exists()


def read(directory: pathlib.Path) -> dict:
    """The arguments of a `TextEmbedder`: `head`, and `sequence_length` if it is said.

    What it has no name for becomes the name of a pooling that it refuses, so that others can still
    load the encoder.

    Raises:
        InputError: a damaged or missing file.
    """
    modules = files.read_json(directory / MODULES, list)
    if not all(isinstance(module, dict) for module in modules):
        raise InputError(f"{directory / MODULES}: is no list of modules")
    kinds = [str(module.get("type")).rsplit(".", 1)[-1] for module in modules]
    modes = files.read_json(directory / POOLING)
    on = [key for key, value in modes.items() if key.startswith("pooling_mode_") and value]
    named = {theirs: ours for ours, theirs in _MODES.items()}
    others = [kind for kind in kinds if kind not in ("Transformer", "Pooling", "Normalize")]
    pooling = ", ".join([*(named.get(mode, mode) for mode in on), *others])
    found = {"head": {"pooling": pooling, "normalize": "Normalize" in kinds}}
    if (directory / LENGTH).exists():
        length = files.read_json(directory / LENGTH).get("max_seq_length")
        found |= {"sequence_length": length} if length else {}
    return found


def write(directory: pathlib.Path, config: Mapping) -> None:
    """Writes the same beside a transformers model.

    Args:
        directory: the model's.
        config: of a `TextEmbedder`.

    Raises:
        InputError: the format has no place for how the embedder works.
    """
    head = config["head"]
    if tuple(head["layers"]) != (-1,) or head["long_text"]:
        raise InputError(
            "sentence-transformers has no place for other layers than the last nor for long_text; "
            "save as 'kerasbert'"
        )
    modules = [("Transformer", ""), ("Pooling", "1_Pooling"), ("Normalize", "2_Normalize")]
    entries = [
        {"idx": i, "name": str(i), "path": path, "type": _PREFIX + kind}
        for i, (kind, path) in enumerate(modules[: 3 if head["normalize"] else 2])
    ]
    for entry in entries[1:]:
        (directory / entry["path"]).mkdir()
    modes = {theirs: ours == head["pooling"] for ours, theirs in _MODES.items()}
    width = {"word_embedding_dimension": config["backbone"]["hidden_dim"]}
    files.write_json(directory / POOLING, {**width, **modes})
    length = {"max_seq_length": config["sequence_length"], "do_lower_case": False}
    files.write_json(directory / LENGTH, length)
    files.write_json(directory / MODULES, entries)
