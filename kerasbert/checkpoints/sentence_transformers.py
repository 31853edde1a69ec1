"""What sentence-transformers keeps beside a transformers model: how it makes embeddings of it.

modules.json                        the modules, one after the other, and their folders
0_Transformer/                      the transformers model, where it has a folder of its own
1_Pooling/config.json               how tokens are pooled
sentence_bert_config.json           how many tokens a text may have; whether it is lower-cased
config_sentence_transformers.json   the prompts that stand before texts
"""

import os
import pathlib
from collections.abc import Mapping
from typing import TypedDict

from kerasbert import files
from kerasbert.errors import InputError

MODULES, LENGTH, PROMPTS = (
    "modules.json",
    "sentence_bert_config.json",
    "config_sentence_transformers.json",
)
POOLING = "1_Pooling"
# How pooling is called here and in files of before 2026.
_MODES = {
    "mean": "pooling_mode_mean_tokens",
    "cls": "pooling_mode_cls_token",
    "max": "pooling_mode_max_tokens",
}
_PREFIX = "sentence_transformers.models."


# What the files say of what is looked at.
class _Module(TypedDict, total=False):
    path: str | None
    type: str


class _Said(TypedDict, total=False):
    max_seq_length: int | None
    do_lower_case: bool | None
    transformer_task: str


class _Prompts(TypedDict, total=False):
    model_type: str | None
    prompts: dict[str, str | None] | None
    default_prompt_name: str | None
    similarity_fn_name: str | None


class _Pooling(TypedDict, total=False):
    pooling_mode: str | list[str] | None
    include_prompt: bool


def detect(directory: pathlib.Path) -> bool:
    """Whether a directory says how embeddings are made, or a pair is scored, with its model."""
    return (directory / MODULES).exists()


def transformer(directory: pathlib.Path) -> pathlib.Path:
    """Where the transformers model is: the directory itself or, in older ones, a folder of it.

    Raises:
        InputError: a damaged file, or a folder of another place.
    """
    if not detect(directory):
        return directory
    folder = _folder(directory, _modules(directory)[0])
    return folder if os.path.exists(folder / "config.json") else directory


def _modules(directory: pathlib.Path) -> list[dict]:
    modules = files.read_json(directory / MODULES, list[_Module])
    if not modules:
        raise InputError(f"{directory / MODULES}: names no module")
    return modules


def _folder(directory: pathlib.Path, module: Mapping) -> pathlib.Path:
    path = pathlib.PurePath(module.get("path") or "")
    if path.is_absolute() or ".." in path.parts:
        raise InputError(f"{directory / MODULES}: names {path}, which is of another place")
    return directory / path


def _kind(module: Mapping) -> str:
    return module.get("type", "").rsplit(".", 1)[-1]


def _read_config(directory: pathlib.Path) -> dict:
    """What is said of the transformers model; the file is named after the family in older ones."""
    where = transformer(directory)
    modes_set = [where / LENGTH, *sorted(where.glob("sentence_*_config.json"))]
    return next((files.read_json(path, _Said) for path in modes_set if path.exists()), {})


def _prompts(directory: pathlib.Path) -> dict:
    path = directory / PROMPTS
    return files.read_json(path, _Prompts) if path.exists() else {}


def embeds(directory: pathlib.Path) -> bool:
    """Whether the model makes embeddings; a cross-encoder, such as a reranker, does not."""
    classifies = _read_config(directory).get("transformer_task") == "sequence-classification"
    return not classifies and _prompts(directory).get("model_type") != "CrossEncoder"


def lower_cases(directory: pathlib.Path) -> bool:
    """Whether texts are lower-cased before the model's own tokenizer."""
    return bool(detect(directory) and _read_config(directory).get("do_lower_case"))


def read(directory: pathlib.Path) -> dict:
    """What makes a `TextEmbedder`: `head`, and `sequence_length` if it is said.

    What it has no name for becomes the name of a pooling that it refuses, so that others can still
    load the encoder.

    Raises:
        InputError: a damaged or missing file.
    """
    stored, prompts = _read_config(directory), _prompts(directory)
    texts = prompts.get("prompts") or {}
    prompt = texts.get(prompts.get("default_prompt_name")) or ""
    modules = _modules(directory)
    kinds = [_kind(module) for module in modules]
    pooling = [
        how
        for module, kind in zip(modules, kinds, strict=True)
        for how in _pooling(_folder(directory, module), kind, bool(prompt))
    ]
    if not any(kind.endswith("Pooling") for kind in kinds):
        pooling.append("no Pooling")
    if stored.get("transformer_task", "feature-extraction") != "feature-extraction":
        pooling.append(stored["transformer_task"])
    head = {
        "pooling": ", ".join(pooling),
        "normalize": "Normalize" in kinds,
        "prompt": prompt,
    }
    length = stored.get("max_seq_length")
    return {"head": head, **({"sequence_length": length} if length else {})}


def unsupported_settings(directory: pathlib.Path) -> list[str]:
    """The names of what is said and kerasbert has no place for."""
    stored = _prompts(directory)
    texts = stored.get("prompts") or {}
    default = texts.get(stored.get("default_prompt_name"))
    modes_set = [f"prompts.{name}" for name, text in texts.items() if text not in ("", default)]
    if stored.get("similarity_fn_name") not in (None, "cosine"):
        modes_set.append("similarity_fn_name")
    return modes_set


def _pooling(folder: pathlib.Path, kind: str, prompted: bool) -> list[str]:
    """What a module does that a pooling has to do, by name."""
    if kind in ("Transformer", "Normalize"):
        return []
    if kind != "Pooling":
        return [kind]
    modes = files.read_json(folder / "config.json", _Pooling)
    named = {theirs: ours for ours, theirs in _MODES.items()}
    modes_set = modes.get("pooling_mode")
    if modes_set is None:
        on = [key for key, value in modes.items() if key.startswith("pooling_mode_") and value]
        modes_set = [named.get(key, key) for key in on]
    modes_set = [modes_set] if isinstance(modes_set, str) else modes_set
    without = prompted and not modes.get("include_prompt", True)
    return [*modes_set, "include_prompt=false"] if without else modes_set


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
    modules = [("Transformer", ""), ("Pooling", POOLING), ("Normalize", "2_Normalize")]
    entries = [
        {"idx": i, "name": str(i), "path": path, "type": _PREFIX + kind}
        for i, (kind, path) in enumerate(modules[: 3 if head["normalize"] else 2])
    ]
    for entry in entries[1:]:
        (directory / entry["path"]).mkdir()
    modes = {theirs: ours == head["pooling"] for ours, theirs in _MODES.items()}
    width = {"word_embedding_dimension": config["backbone"]["hidden_dim"]}
    files.write_json(directory / POOLING / "config.json", {**width, **modes})
    length = {"max_seq_length": config["sequence_length"], "do_lower_case": False}
    files.write_json(directory / LENGTH, length)
    files.write_json(directory / MODULES, entries)
    if head["prompt"]:
        prompts_config = {"prompts": {"default": head["prompt"]}, "default_prompt_name": "default"}
        files.write_json(directory / PROMPTS, prompts_config)
