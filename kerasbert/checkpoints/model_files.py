"""The files of a model directory that belong to its format, for uploads and for replacing it."""

import pathlib
from collections.abc import Iterator

from kerasbert import files
from kerasbert.checkpoints import cards, google, sentence_transformers
from kerasbert.checkpoints.huggingface_weights import weight_files
from kerasbert.checkpoints.kerashub import names as kerashub
from kerasbert.checkpoints.preset import Preset
from kerasbert.checkpoints.tokenizer_files import names as tokenizers
from kerasbert.families import families_by

_VOCABULARIES = (tokenizers.VOCABULARY, tokenizers.PIECES, tokenizers.MERGES)
_TOKENIZER = (
    *_VOCABULARIES,
    tokenizers.FAST,
    tokenizers.SETTINGS,
    tokenizers.SPECIAL,
    tokenizers.ADDED,
    "*.model",
)
# Those of `_TOKENIZER` that kerasbert writes, but for KerasHub, which writes its own.
_WRITTEN = {
    "kerasbert": (*_VOCABULARIES, "sentencepiece.model"),
    "hf": (
        *_VOCABULARIES,
        "spiece.model",
        "sentencepiece.bpe.model",
        tokenizers.SETTINGS,
        tokenizers.SPECIAL,
    ),
    "google": (tokenizers.VOCABULARY, "spiece.model"),
}
#: A folder in the directory of a detector: its generator, a model directory too.
GENERATOR = "generator"
_ALWAYS = (cards.NAME, "LICENSE*", "NOTICE*")
_CONFIG = tokenizers.CONFIG


def model_files(preset: Preset) -> list[pathlib.Path]:
    """Returns the files of a model: weights, config, tokenizer, model card and license, sorted."""
    directory = preset.directory
    found = {path for pattern in _ALWAYS for path in directory.glob(pattern)}
    found |= set(_FILES[preset.format](directory))
    return sorted(path for path in found if path.is_file() and not path.name.startswith("."))


def files_written(directory: pathlib.Path, format: str) -> set[pathlib.Path] | None:
    """Returns the files that kerasbert writes to a model directory; None: it did not write this.

    Directories of other libraries' formats are known by the card.
    """
    card = directory / cards.NAME
    own = format == "kerasbert" or (files.exists(card) and cards.is_marked(cards.read(directory)))
    if not own:
        return None
    found = {card, *_FILES[format](directory)}
    return {path for path in found if _is_written(path, format)}


def _is_written(path: pathlib.Path, format: str) -> bool:
    """Whether kerasbert writes this file, of those that it would read or upload."""
    name = path.name
    if name.startswith("."):
        return False
    if format == "google" and (".data-" in name or name.endswith(".index")):
        return name.startswith(f"{google.CHECKPOINT}.")
    if name == tokenizers.FAST and format == "hf":  # beside a SentencePiece model alone
        return any((path.parent / model).exists() for model in tokenizers.MODELS)
    of_tokenizer = any(path.match(pattern) for pattern in _TOKENIZER)
    return name in _WRITTEN[format] if of_tokenizer and format in _WRITTEN else True


def card_for(directory: pathlib.Path, card: str | None, format: str) -> str | None:
    """Returns the card to write: what a person has edited stays, unless `card` is a person's too.

    Args:
        directory: path of the model directory, which may exist.
        card: text of the new card, or None.
        format: of the new directory, whose library the old card then names.
    """
    if (card is not None and cards.is_edited(card)) or not files.exists(directory / cards.NAME):
        return card
    old = cards.read(directory)
    return cards.with_library(old, format) if cards.is_edited(old) else card


def _native(directory: pathlib.Path) -> Iterator[pathlib.Path]:
    for pattern in (_CONFIG, "model.safetensors", *_TOKENIZER):
        yield from directory.glob(pattern)


def _huggingface(directory: pathlib.Path) -> Iterator[pathlib.Path]:
    """Yields the files of a transformers model, and those that sentence-transformers adds."""
    for name in (sentence_transformers.MODULES, sentence_transformers.PROMPTS):
        yield directory / name
    for folder in {directory, *sentence_transformers.folders(directory)}:
        for pattern in (_CONFIG, "sentence_*_config.json", *_TOKENIZER):
            yield from folder.glob(pattern)
        yield from weight_files(folder)


def _kerashub(directory: pathlib.Path) -> Iterator[pathlib.Path]:
    patterns = (
        kerashub.CONFIG,
        kerashub.WEIGHTS,
        kerashub.SHARDS,
        "model_*.weights.h5",
        kerashub.TASK,
        kerashub.TASK_WEIGHTS,
        kerashub.PREPROCESSOR,
        kerashub.TOKENIZER,
        "metadata.json",
        f"{kerashub.ASSETS.as_posix()}/vocabulary.*",
        f"{kerashub.ASSETS.as_posix()}/merges.txt",
    )
    for pattern in patterns:
        yield from directory.glob(pattern)


def _google(directory: pathlib.Path) -> Iterator[pathlib.Path]:
    configs = families_by("google", "config_file")
    for pattern in (*configs, "*.index", "*.data-?????-of-?????", *_TOKENIZER):
        yield from directory.glob(pattern)


_FILES = {
    "kerasbert": _native,
    "hf": _huggingface,
    "kerashub": _kerashub,
    "google": _google,
}
