"""The files that sentence-transformers adds to a transformers model.

modules.json                        the modules in order, and their folders
0_Transformer/                      the transformers model, if it has its own folder
1_Pooling/config.json               the pooling of tokens
sentence_bert_config.json           the maximum length of a text; whether it is lower-cased
config_sentence_transformers.json   the prompts that are prepended to texts
"""

import os
import pathlib
from collections.abc import Mapping
from typing import Any, TypedDict

from kerasbert import files
from kerasbert.errors import InputError

MODULES, LENGTH, PROMPTS = (
    "modules.json",
    "sentence_bert_config.json",
    "config_sentence_transformers.json",
)
POOLING = "1_Pooling"
# The names of poolings here and in files from before 2026.
_MODES = {
    "mean": "pooling_mode_mean_tokens",
    "cls": "pooling_mode_cls_token",
    "max": "pooling_mode_max_tokens",
}
_PREFIX = "sentence_transformers.models."


# Schemas of the keys that are read.
class _Module(TypedDict, total=False):
    path: str | None
    type: str


class _Settings(TypedDict, total=False):
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
    """Returns whether the directory has the files of sentence-transformers."""
    return (directory / MODULES).exists()


def transformer(directory: pathlib.Path) -> pathlib.Path:
    """Returns the directory of the transformers model: the same or, in older models, a subfolder.

    Raises:
        InputError: a file is damaged, or the folder is outside the directory.
    """
    if not detect(directory):
        return directory
    folder = _folder(directory, _modules(directory)[0])
    return folder if os.path.exists(folder / "config.json") else directory


def folders(directory: pathlib.Path) -> list[pathlib.Path]:
    """Returns the folders of all modules; none if there are no files of sentence-transformers."""
    if not detect(directory):
        return []
    return [_folder(directory, module) for module in _modules(directory)]


def _modules(directory: pathlib.Path) -> list[dict]:
    modules = files.read_json(directory / MODULES, list[_Module])
    if not modules:
        raise InputError(f"{directory / MODULES}: lists no module")
    return modules


def _folder(directory: pathlib.Path, module: Mapping) -> pathlib.Path:
    path = pathlib.PurePath(module.get("path") or "")
    if path.is_absolute() or ".." in path.parts:
        raise InputError(f"{directory / MODULES}: lists {path}, which is outside the directory")
    return directory / path


def _kind(module: Mapping) -> str:
    return module.get("type", "").rsplit(".", 1)[-1]


def _read_config(directory: pathlib.Path) -> dict:
    """Returns the settings of the transformers model; older files are named after the family."""
    where = transformer(directory)
    paths = [where / LENGTH, *sorted(where.glob("sentence_*_config.json"))]
    return next((files.read_json(path, _Settings) for path in paths if path.exists()), {})


def _prompts(directory: pathlib.Path) -> dict:
    path = directory / PROMPTS
    return files.read_json(path, _Prompts) if path.exists() else {}


def embeds(directory: pathlib.Path) -> bool:
    """Returns whether the model computes embeddings; cross-encoders (rerankers) do not."""
    classifies = _read_config(directory).get("transformer_task") == "sequence-classification"
    return not classifies and _prompts(directory).get("model_type") != "CrossEncoder"


def lower_cases(directory: pathlib.Path) -> bool:
    """Returns whether texts are lower-cased before the model's own tokenizer."""
    return bool(detect(directory) and _read_config(directory).get("do_lower_case"))


def read(directory: pathlib.Path) -> dict[str, Any]:
    """Returns the config of a `TextEmbedder`: `head`, and `sequence_length` if it is set.

    Unsupported modules and settings become part of the pooling's name, which `TextEmbedder`
    rejects, so that other tasks can still load the encoder.

    Raises:
        InputError: a file is damaged or missing.
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
    """Returns the names of the settings that kerasbert does not support."""
    stored = _prompts(directory)
    texts = stored.get("prompts") or {}
    default = texts.get(stored.get("default_prompt_name"))
    names = [f"prompts.{name}" for name, text in texts.items() if text not in ("", default)]
    if stored.get("similarity_fn_name") not in (None, "cosine"):
        names.append("similarity_fn_name")
    return names


def _pooling(folder: pathlib.Path, kind: str, prompted: bool) -> list[str]:
    """Returns the names of a module's operations as parts of the pooling's name."""
    if kind in ("Transformer", "Normalize"):
        return []
    if kind != "Pooling":
        return [kind]
    modes = files.read_json(folder / "config.json", _Pooling)
    named = {theirs: ours for ours, theirs in _MODES.items()}
    chosen: Any = modes.get("pooling_mode")
    if chosen is None:
        on = [key for key, value in modes.items() if key.startswith("pooling_mode_") and value]
        chosen = [named.get(key, key) for key in on]
    chosen = [chosen] if isinstance(chosen, str) else chosen
    without = prompted and not modes.get("include_prompt", True)
    return [*chosen, "include_prompt=false"] if without else chosen


def write(directory: pathlib.Path, config: Mapping[str, Any]) -> None:
    """Writes the files of sentence-transformers to the directory of a transformers model.

    Args:
        directory: path of the directory.
        config: dict, the config of a `TextEmbedder`.

    Raises:
        InputError: the format does not support a setting of the embedder.
    """
    head = config["head"]  # as it was read from their files, without what these imply
    if tuple(head.get("layers", (-1,))) != (-1,) or head.get("long_text"):
        raise InputError(
            "sentence-transformers supports the last layer only, and no long_text; save as "
            "'kerasbert'"
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
    most = config.get("sequence_length") or config["backbone"]["max_sequence_length"]
    length = {"max_seq_length": most, "do_lower_case": False}
    files.write_json(directory / LENGTH, length)
    files.write_json(directory / MODULES, entries)
    if head["prompt"]:
        prompts_config = {"prompts": {"default": head["prompt"]}, "default_prompt_name": "default"}
        files.write_json(directory / PROMPTS, prompts_config)
