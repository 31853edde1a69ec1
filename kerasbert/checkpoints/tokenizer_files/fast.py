"""tokenizer.json, the file of Hugging Face `tokenizers`."""

import contextlib
import dataclasses
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NotRequired, TypedDict

from kerasbert import files, schema
from kerasbert.checkpoints.tokenizer_files.names import QUOTE_PATTERNS, TRIMMED
from kerasbert.errors import InputError, about
from kerasbert.text import AddedToken
from kerasbert.text.normalization import MAX_WORD_CHARACTERS
from kerasbert.text.vocabulary import unused_token

_FLAGS = tuple(field.name for field in dataclasses.fields(AddedToken))


# Schemas of the keys that are required or read, in addition to the checks in `_FAST_CHECKS`.
class _Added(TypedDict):
    id: int
    content: str


class _Step(TypedDict):
    type: str


class _Steps(_Step, total=False):
    normalizers: list[_Step]
    pretokenizers: list[_Step]
    processors: list[_Step]


class _File(TypedDict):
    model: dict
    added_tokens: NotRequired[list[_Added] | None]
    normalizer: NotRequired[_Steps | None]
    pre_tokenizer: NotRequired[_Steps | None]
    post_processor: NotRequired[_Steps | None]


class _Pieces(TypedDict):
    vocab: dict[str, int]


class _Merged(_Pieces):
    merges: list[str | tuple[str, str]]


class _Scored(TypedDict):
    vocab: list[tuple[str, float]]
    unk_id: int


_MODELS = {"WordPiece": _Pieces, "BPE": _Merged, "Unigram": _Scored}


@dataclasses.dataclass(frozen=True)
class FastTokenizerFile:
    """A tokenizer.json that is equivalent to one of our tokenizers.

    Attributes:
        path: path of the file.
        model: dict, its `model`.
        kind: "WordPiece", "BPE" or "Unigram".
        added: list of the ids and the added tokens.
        normalizer: list of the steps before the model.
        pre_tokenizer: list of the steps that split a text into words.
        post_processor: dict, what adds special tokens; None: nothing does.
    """

    path: pathlib.Path
    model: Mapping
    kind: str
    added: Sequence[tuple[int, AddedToken]]
    normalizer: Sequence[Mapping]
    pre_tokenizer: Sequence[Mapping]
    post_processor: Mapping | None = None

    @classmethod
    def read(cls, path: pathlib.Path) -> "FastTokenizerFile":
        """Reads the file; raises `InputError` if our tokenizers do not support it."""
        content = files.read_json(path, _File)
        with well_formed(path):
            model, added = content["model"], content.get("added_tokens") or ()
            kind = model.get("type") or _guess_kind(model)
            if kind not in _FAST_CHECKS:
                raise InputError(
                    f"{path}: model.type={kind!r} is not one of {', '.join(_FAST_CHECKS)}"
                )
            fast = cls(
                path,
                model,
                kind,
                [(token["id"], added_token(token)) for token in added],
                _steps(content.get("normalizer"), "normalizers"),
                _steps(content.get("pre_tokenizer"), "pretokenizers"),
                content.get("post_processor"),
            )
            schema.check(model, _MODELS[fast.kind], path, "model")
            _FAST_CHECKS[fast.kind](fast)
        return fast

    def ids(self) -> dict[str, int]:
        """Returns the tokens of the model and their ids."""
        if self.kind == "Unigram":
            return {piece: id for id, (piece, _) in enumerate(self.model["vocab"])}
        ids = {piece or TRIMMED: id for piece, id in self.model["vocab"].items()}
        if self.kind == "WordPiece" and max(ids.values()) < 2 * len(ids):
            # Of a duplicate token in the vocabulary, only the last id is stored.
            holes = {*range(max(ids.values()))} - {*ids.values()}
            ids |= {unused_token(id): id for id in sorted(holes)}
        return ids

    def step(self, type: str) -> Mapping[str, Any] | None:
        """Returns the first step of the normalizer with this type, or None."""
        return next((step for step in self.normalizer if step["type"] == type), None)

    def only(self, section: str, content: Mapping[str, Any], key: str, *values: Any) -> None:
        """Raises `InputError` for a value not in `values`, whose first one is the default."""
        if content.get(key, values[0]) not in values:
            raise unsupported(self.path, f"{section}.{key}", content[key], values[0])


def added_token(content: Mapping[str, Any]) -> AddedToken:
    """Returns the added token for its dict in Hugging Face's files."""
    return AddedToken(**{name: content[name] for name in _FLAGS if name in content})


def unsupported(source: Any, key: str, value: Any, only: Any) -> InputError:
    """Returns the error for a value other than `only`."""
    return InputError(f"{source}: {key}={value!r} is not supported; only {only!r} is")


@contextlib.contextmanager
def well_formed(path: pathlib.Path) -> Iterator[None]:
    """Converts exceptions from reading a file's content to `InputError`s that name the file."""
    try:
        with about(path):
            yield
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(
            f"{path}: not the format of Hugging Face tokenizers ({type(error).__name__}: {error})"
        ) from None


def _guess_kind(model: Mapping) -> str | None:
    # Files of old versions do not store it.
    if isinstance(model.get("vocab"), list):
        return "Unigram"
    if "merges" in model:
        return "BPE"
    return "WordPiece" if "max_input_chars_per_word" in model else None


def _steps(section: Mapping | None, plural: str) -> list[Mapping]:
    if section is None:
        return []
    return section[plural] if section["type"] == "Sequence" else [section]


def _check_types(fast: FastTokenizerFile, section: str, types: Sequence[str]) -> None:
    steps = fast.normalizer if section == "normalizer" else fast.pre_tokenizer
    if [step["type"] for step in steps] != types:
        present = [step["type"] for step in steps]
        raise unsupported(fast.path, section, present, list(types))


def _check_wordpiece(fast: FastTokenizerFile) -> None:
    fast.only("model", fast.model, "continuing_subword_prefix", "##")
    fast.only("model", fast.model, "max_input_chars_per_word", MAX_WORD_CHARACTERS)
    _check_types(fast, "normalizer", ["BertNormalizer"])
    _check_types(fast, "pre_tokenizer", ["BertPreTokenizer"])
    for key in ("clean_text", "handle_chinese_chars"):
        fast.only("normalizer", fast.normalizer[0], key, True)


def _check_bytepair(fast: FastTokenizerFile) -> None:
    _check_types(fast, "normalizer", [])
    _check_types(fast, "pre_tokenizer", ["ByteLevel"])
    fast.only("pre_tokenizer", fast.pre_tokenizer[0], "use_regex", True)
    for key in ("continuing_subword_prefix", "end_of_word_suffix"):
        fast.only("model", fast.model, key, None, "")
    for key in ("byte_fallback", "ignore_merges"):
        fast.only("model", fast.model, key, False)


# A step without effect, because the model removes extra spaces; and the steps of our tokenizers.
_SPACES, _SPACE = {"Regex": " {2,}"}, (" ", "▁")
_UNIGRAM_STEPS = ("NFKD", "StripAccents", "Lowercase", "Precompiled", "Strip")


def _check_unigram(fast: FastTokenizerFile) -> None:
    fast.only("model", fast.model, "byte_fallback", False)
    for step in fast.normalizer:
        if step["type"] == "Replace":
            fast.only("normalizer.Replace", step, "pattern", *QUOTE_PATTERNS, _SPACES)
            contents = _SPACE if step.get("pattern") == _SPACES else ('"',)
            fast.only("normalizer.Replace", step, "content", *contents)
        elif step["type"] not in _UNIGRAM_STEPS:
            raise unsupported(fast.path, "normalizer", step["type"], list(_UNIGRAM_STEPS))
    replaced = [step.get("pattern") for step in fast.normalizer if step["type"] == "Replace"]
    quotes = [pattern for pattern in QUOTE_PATTERNS if pattern in replaced]
    if quotes and len(quotes) < len(QUOTE_PATTERNS):
        raise unsupported(fast.path, "normalizer.Replace", quotes, list(QUOTE_PATTERNS))
    for step in fast.pre_tokenizer:
        if step["type"] == "Metaspace":
            fast.only("pre_tokenizer.Metaspace", step, "add_prefix_space", True)
            fast.only("pre_tokenizer.Metaspace", step, "prepend_scheme", "always", "first")
        elif step["type"] != "WhitespaceSplit":
            raise unsupported(fast.path, "pre_tokenizer", step["type"], "Metaspace")


_FAST_CHECKS = {
    "WordPiece": _check_wordpiece,
    "BPE": _check_bytepair,
    "Unigram": _check_unigram,
}
