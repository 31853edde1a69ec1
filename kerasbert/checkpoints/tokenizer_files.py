"""The tokenizer files of Hugging Face and Google directories <-> our tokenizers.

What the files say is taken; where they contradict each other, or ask for what our tokenizers don't
do, they are refused. The vocabulary's own file is read where there is one (vocab.txt, vocab.json
and merges.txt, a SentencePiece model), else tokenizer.json, which is all that transformers 5
writes.
"""

import base64
import contextlib
import dataclasses
import json
import pathlib
from collections.abc import Iterator, Mapping, Sequence

from kerasbert import files
from kerasbert.errors import InputError
from kerasbert.families import FAMILIES
from kerasbert.text import (
    BytePairTokenizer,
    SentencePieceTokenizer,
    SpecialTokens,
    Tokenizer,
    WordPieceTokenizer,
)
from kerasbert.text.normalization import MAX_WORD_CHARACTERS
from kerasbert.text.packing import PACKINGS
from kerasbert.text.sentencepiece import (
    FAIRSEQ_MASK,
    FAIRSEQ_TOKENS,
    REPLACED,
    arrange,
    lower_number_commas,
    model_parts,
    sentencepiece_model,
)
from kerasbert.text.tokenizer import ALBERT_TOKENS, BERT_TOKENS, ROBERTA_TOKENS
from kerasbert.text.vocabulary import parse_vocabulary

VOCABULARY, PIECES, MERGES = "vocab.txt", "vocab.json", "merges.txt"
FAST, SETTINGS, SPECIAL, ADDED = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
)
CONFIG = "config.json"
#: Names that SentencePiece models go by, the usual ones first.
_MODELS = ("spiece.model", "sentencepiece.bpe.model", "sentencepiece.model", "spm.model")

# Our names of special tokens -> Hugging Face's.
_ROLES = {
    "pad": "pad_token",
    "unknown": "unk_token",
    "cls": "cls_token",
    "sep": "sep_token",
    "mask": "mask_token",
}
# Classes whose tokenization is one of ours, and the family that has the facts; others
# (BertJapaneseTokenizer, ...) are not. A model may have another family's: multilingual MiniLM is
# a BERT with the tokenizer of XLM-R.
_CLASSES = {
    "BertTokenizer": "bert",
    "DistilBertTokenizer": "distilbert",
    "ElectraTokenizer": "electra",
    "ErnieTokenizer": "ernie",
    "RobertaTokenizer": "roberta",
    "XLMRobertaTokenizer": "xlm_roberta",
    "AlbertTokenizer": "albert",
}
# A piece of the Chinese BERT. Hugging Face reads it as "" and writes it so; no text ever has it.
_TRIMMED = "\u2028"
_GENERIC = ("PreTrainedTokenizerFast", "TokenizersBackend")
# What settings may say that ours always do.
_ALWAYS = {
    "tokenize_chinese_chars": (True,),
    "do_basic_tokenize": (True,),
    "never_split": (None, []),
}


def load(directory: pathlib.Path, defaults: Mapping) -> Tokenizer:
    """The tokenizer whose files are in a directory.

    Args:
        directory: a model directory of Hugging Face's or Google's.
        defaults: what the family's tokenizers have that no file says; `kind` at least.

    Raises:
        InputError: there are no such files, they ask for something else than kerasbert's
            tokenizers, contradict each other, or the vocabulary lacks a special token.
    """
    read = _reader(directory)
    if read is None:
        raise InputError(
            f"{directory}: has no tokenizer ({VOCABULARY}; {PIECES} and {MERGES}; {_MODELS[0]} or "
            f"another *.model; {FAST})"
        )
    said = _Said.read(directory)
    said.check()
    tokenizer = read(directory, said, said.defaults(defaults))
    said.check_same_pieces(tokenizer.vocabulary)
    return tokenizer


def exist(directory: pathlib.Path) -> bool:
    """Whether a directory has files of a tokenizer."""
    return _reader(directory) is not None


def _reader(directory: pathlib.Path):
    if (directory / VOCABULARY).exists():
        return _wordpiece
    if (directory / PIECES).exists() and (directory / MERGES).exists():
        return _bytepair
    if _model_path(directory) is not None:
        return _sentencepiece
    return _fast if (directory / FAST).exists() else None


def _model_path(directory: pathlib.Path) -> pathlib.Path | None:
    for name in _MODELS:
        if (directory / name).exists():
            return directory / name
    return next(iter(sorted(directory.glob("*.model"))), None)


# === What the files beside the vocabulary say ===


@dataclasses.dataclass(frozen=True)
class _Said:
    """What the files beside the vocabulary say.

    Attributes:
        directory: where they are.
        settings: the content of tokenizer_config.json.
        fast: tokenizer.json, or None.
        special: by our name of a special token: how it is spelled, and the file that says so.
        added: id and spelling of the tokens that were added to the vocabulary, or marked in it.
    """

    directory: pathlib.Path
    settings: Mapping
    fast: "_Fast | None"
    special: Mapping[str, tuple[str, pathlib.Path]]
    added: Sequence[tuple[int, str]]

    @classmethod
    def read(cls, directory: pathlib.Path) -> "_Said":
        def optional(name):
            return files.read_json(directory / name) if (directory / name).exists() else {}

        settings = dict(optional(SETTINGS))
        settings.setdefault("tokenizer_class", optional(CONFIG).get("tokenizer_class"))
        fast = _Fast.read(directory / FAST) if (directory / FAST).exists() else None
        special = {}
        for name, content in ((SPECIAL, optional(SPECIAL)), (SETTINGS, settings)):
            for ours, theirs in _ROLES.items():
                if content.get(theirs) is not None:
                    path = directory / name
                    special[ours] = _text(content[theirs], path, theirs), path
        added = set(fast.added if fast else ())
        with _well_formed(directory / ADDED):
            added |= {(int(id), token) for token, id in optional(ADDED).items()}
        with _well_formed(directory / SETTINGS):
            decoder = settings.get("added_tokens_decoder", {})
            added |= {(int(id), token["content"]) for id, token in decoder.items()}
        return cls(directory, settings, fast, special, sorted(added))

    def check(self) -> None:
        """Refuses what kerasbert's tokenizers don't do."""
        source = self.directory / SETTINGS
        name = self.settings["tokenizer_class"]
        if name and name not in _GENERIC and _plain(name) not in _CLASSES:
            if not source.exists() or "tokenizer_class" not in files.read_json(source):
                source = self.directory / CONFIG
            raise InputError(f"{source}: tokenizer_class={name!r} is none that kerasbert knows")
        for key, values in _ALWAYS.items():
            if key in self.settings and self.settings[key] not in values:
                raise _unsupported(source, key, self.settings[key], values[0])

    @property
    def generic(self) -> bool:
        """Whether tokenizer.json says it all, and transformers ignores other settings."""
        return self.settings["tokenizer_class"] in _GENERIC and self.fast is not None

    def defaults(self, family: Mapping) -> Mapping:
        """The facts of the tokenizer's class, where the files name one, else the family's."""
        family_name = _CLASSES.get(_plain(self.settings["tokenizer_class"] or ""))
        return FAMILIES[family_name].tokenizer if family_name else family

    def setting(self, key: str, steps: Sequence[Mapping], otherwise, step_key: str | None = None):
        """A setting as tokenizer_config.json says it, else as the first of `steps` does."""
        if key in self.settings and not self.generic:
            return self.settings[key]
        return steps[0].get(step_key or key, otherwise) if steps else otherwise

    def tokens(self, usual: SpecialTokens, pieces: Sequence[str], source) -> SpecialTokens:
        """The special tokens as the files spell them, else as the family does."""
        pieces = frozenset(pieces)
        for ours, (token, path) in self.special.items():
            if token not in pieces:
                raise InputError(f"{path}: {_ROLES[ours]}={token!r} is not in {source}")
        tokens = dataclasses.replace(usual, **{role: at[0] for role, at in self.special.items()})
        for role, token in dataclasses.asdict(tokens).items():
            if token not in pieces:
                raise InputError(
                    f"{source}: lacks the special token {token}, and no file beside it names "
                    f"another {_ROLES[role]}"
                )
        return tokens

    def pieces(self, ids: Mapping[str, int], source) -> list[str]:
        """The pieces of a vocabulary and the added tokens, in the order of their ids."""
        by_id = dict(zip(ids.values(), ids, strict=True))
        for id, token in self.added:
            if by_id.setdefault(id, token) != token:
                raise InputError(
                    f"{self.directory}: the added token {token!r} has the id {id}, but that is "
                    f"{by_id[id]!r} in {source}"
                )
            if ids.get(token, id) != id:
                raise InputError(
                    f"{self.directory}: the added token {token!r} has the id {id}, but {ids[token]}"
                    f" in {source}"
                )
        hole = next((id for id in range(len(by_id)) if id not in by_id), None)
        if hole is not None:
            last = max(by_id)
            raise InputError(
                f"{source}: no piece has the id {hole}, though {by_id[last]!r} has the id {last}"
            )
        return [by_id[id] for id in range(len(by_id))]

    def check_same_pieces(self, vocabulary: Sequence[str]) -> None:
        """Refuses two vocabularies in one directory."""
        for piece, id in self.fast.ids().items() if self.fast else ():
            if id >= len(vocabulary) or vocabulary[id] != piece:
                found = repr(vocabulary[id]) if id < len(vocabulary) else "nothing"
                raise InputError(
                    f"{self.fast.path}: has {piece!r} with the id {id}, where the vocabulary "
                    f"beside it has {found}; remove the one that is not the model's"
                )


def _plain(name: str) -> str:
    return name.removesuffix("Fast")


def _text(token, path: pathlib.Path, key: str) -> str:
    text = token.get("content") if isinstance(token, Mapping) else token
    if not isinstance(text, str):
        raise InputError(f"{path}: {key}={token!r} is no token")
    return text


def _unsupported(source, key: str, value, only) -> InputError:
    return InputError(f"{source}: {key}={value!r} is not supported; only {only!r} is")


# === tokenizer.json ===


@dataclasses.dataclass(frozen=True)
class _Fast:
    """A tokenizer.json that does what one of our tokenizers does.

    Attributes:
        path: the file.
        model: its `model`.
        kind: "WordPiece", "BPE" or "Unigram".
        added: id and spelling of the added tokens.
        plain: those of them that are not special.
        normalizer: the steps before the model.
        pre_tokenizer: the steps by which a text is cut into words.
    """

    path: pathlib.Path
    model: Mapping
    kind: str
    added: Sequence[tuple[int, str]]
    plain: Sequence[str]
    normalizer: Sequence[Mapping]
    pre_tokenizer: Sequence[Mapping]

    @classmethod
    def read(cls, path: pathlib.Path) -> "_Fast":
        content = files.read_json(path)
        with _well_formed(path):
            model, added = content["model"], content.get("added_tokens") or ()
            fast = cls(
                path,
                model,
                model.get("type") or _guess_kind(model),
                [(token["id"], token["content"]) for token in added],
                [token["content"] for token in added if not token.get("special")],
                _steps(content.get("normalizer"), "normalizers"),
                _steps(content.get("pre_tokenizer"), "pretokenizers"),
            )
            if fast.kind not in _FAST_CHECKS:
                raise InputError(
                    f"{path}: model.type={fast.kind!r} is none of {', '.join(_FAST_CHECKS)}"
                )
            _FAST_CHECKS[fast.kind](fast)
        return fast

    def ids(self) -> dict[str, int]:
        """The pieces of the model, with their ids."""
        if self.kind == "Unigram":
            return {piece: id for id, (piece, _) in enumerate(self.model["vocab"])}
        return {piece or _TRIMMED: id for piece, id in self.model["vocab"].items()}

    def step(self, type: str) -> Mapping | None:
        """The first step of the normalizer with this type."""
        return next((step for step in self.normalizer if step["type"] == type), None)

    def only(self, section: str, content: Mapping, key: str, *values) -> None:
        """Refuses a value that is none of `values`; the first is what a missing key means."""
        if content.get(key, values[0]) not in values:
            raise _unsupported(self.path, f"{section}.{key}", content[key], values[0])


@contextlib.contextmanager
def _well_formed(path: pathlib.Path) -> Iterator[None]:
    try:
        yield
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(
            f"{path}: is not what Hugging Face tokenizers writes ({type(error).__name__}: {error})"
        ) from None


def _guess_kind(model: Mapping) -> str | None:
    # Files of old versions don't name it.
    if isinstance(model["vocab"], list):
        return "Unigram"
    if "merges" in model:
        return "BPE"
    return "WordPiece" if "max_input_chars_per_word" in model else None


def _steps(section: Mapping | None, plural: str) -> list[Mapping]:
    if section is None:
        return []
    return section[plural] if section["type"] == "Sequence" else [section]


def _check_types(fast: _Fast, section: str, types: Sequence[str]) -> None:
    steps = fast.normalizer if section == "normalizer" else fast.pre_tokenizer
    if [step["type"] for step in steps] != types:
        found = [step["type"] for step in steps]
        raise _unsupported(fast.path, section, found, list(types))


def _check_wordpiece(fast: _Fast) -> None:
    fast.only("model", fast.model, "continuing_subword_prefix", "##")
    fast.only("model", fast.model, "max_input_chars_per_word", MAX_WORD_CHARACTERS)
    _check_types(fast, "normalizer", ["BertNormalizer"])
    _check_types(fast, "pre_tokenizer", ["BertPreTokenizer"])
    for key in ("clean_text", "handle_chinese_chars"):
        fast.only("normalizer", fast.normalizer[0], key, True)


def _check_bytepair(fast: _Fast) -> None:
    _check_types(fast, "normalizer", [])
    _check_types(fast, "pre_tokenizer", ["ByteLevel"])
    fast.only("pre_tokenizer", fast.pre_tokenizer[0], "use_regex", True)
    for key in ("continuing_subword_prefix", "end_of_word_suffix"):
        fast.only("model", fast.model, key, None, "")
    for key in ("byte_fallback", "ignore_merges"):
        fast.only("model", fast.model, key, False)


# What ALBERT and XLM-R do before the model sees a text, and what changes nothing: the model drops
# superfluous spaces anyway.
_QUOTES = ("``", "''")
_QUOTE_PATTERNS = tuple({"String": quotes} for quotes in _QUOTES)
_SPACES = {"Regex": " {2,}"}
_UNIGRAM_STEPS = ("NFKD", "StripAccents", "Lowercase", "Precompiled", "Strip")


def _check_unigram(fast: _Fast) -> None:
    fast.only("model", fast.model, "byte_fallback", False)
    for step in fast.normalizer:
        if step["type"] == "Replace":
            fast.only("normalizer.Replace", step, "pattern", *_QUOTE_PATTERNS, _SPACES)
        elif step["type"] not in _UNIGRAM_STEPS:
            raise _unsupported(fast.path, "normalizer", step["type"], list(_UNIGRAM_STEPS))
    for step in fast.pre_tokenizer:
        if step["type"] == "Metaspace":
            fast.only("pre_tokenizer.Metaspace", step, "add_prefix_space", True)
            fast.only("pre_tokenizer.Metaspace", step, "prepend_scheme", "always", "first")
        elif step["type"] != "WhitespaceSplit":
            raise _unsupported(fast.path, "pre_tokenizer", step["type"], "Metaspace")


_FAST_CHECKS = {
    "WordPiece": _check_wordpiece,
    "BPE": _check_bytepair,
    "Unigram": _check_unigram,
}


# === WordPiece ===


def _wordpiece(directory: pathlib.Path, said: _Said, defaults: Mapping) -> Tokenizer:
    path = directory / VOCABULARY
    data = path.read_bytes()
    # Which tokens are special, and may be among the added ones, is checked when all are known.
    first = data.partition(b"\n")[0].decode("utf-8", "replace")
    pieces = parse_vocabulary(data, str(path), SpecialTokens(**dict.fromkeys(_ROLES, first)))
    return _wordpiece_of({piece: id for id, piece in enumerate(pieces)}, path, said)


def _fast_wordpiece(said: _Said, defaults: Mapping) -> Tokenizer:
    return _wordpiece_of(said.fast.ids(), said.fast.path, said)


def _wordpiece_of(ids: Mapping[str, int], source, said: _Said) -> Tokenizer:
    pieces = said.pieces(ids, source)
    tokens = said.tokens(BERT_TOKENS, pieces, source)
    steps = said.fast.normalizer if said.fast else ()
    lowercase = said.setting("do_lower_case", steps, None, "lowercase")
    if lowercase is None:  # nobody says, but the vocabulary knows: a cased one has capitals
        words = {piece.removeprefix("##") for piece in pieces} - {*dataclasses.astuple(tokens)}
        lowercase = not any(word != word.lower() and word.isalpha() for word in words)
    strip_accents = said.setting("strip_accents", steps, None)
    return WordPieceTokenizer(pieces, lowercase, strip_accents, tokens)


# === Byte-level BPE ===


def _bytepair(directory: pathlib.Path, said: _Said, defaults: Mapping) -> Tokenizer:
    path = directory / PIECES
    return _bytepair_of(files.read_json(path), directory / MERGES, path, said)


def _fast_bytepair(said: _Said, defaults: Mapping) -> Tokenizer:
    # A string with a space in it, or a pair, as the file's version has it.
    return _bytepair_of(said.fast.ids(), said.fast.model["merges"], said.fast.path, said)


def _bytepair_of(ids: Mapping[str, int], merges, source, said: _Said) -> Tokenizer:
    if len(set(ids.values())) < len(ids):
        raise InputError(f"{source}: two pieces have the same id")
    pieces = said.pieces(ids, source)
    steps = said.fast.pre_tokenizer if said.fast else ()
    return BytePairTokenizer(
        {piece: id for id, piece in enumerate(pieces)},
        merges,
        add_prefix_space=said.setting("add_prefix_space", steps, False),
        special_tokens=said.tokens(ROBERTA_TOKENS, pieces, source),
    )


# === SentencePiece ===


def _sentencepiece(directory: pathlib.Path, said: _Said, defaults: Mapping) -> Tokenizer:
    path = _model_path(directory)
    settings = _sentencepiece_settings(said, defaults, path)
    data = path.read_bytes()
    if said.fast:
        parts = model_parts(data, str(path))
        if parts["pieces"] == list(said.fast.ids()):
            settings["layout"] = "model"
        settings |= _number_commas(parts, said.fast)
    return _sentencepiece_of(data, settings, path, said)


def _number_commas(parts: Mapping, fast: _Fast) -> dict:
    """Whether tokenizer.json has the scores of the model beside it, or lower ones."""
    stored = dict(zip(parts["pieces"], parts["scores"], strict=True))
    lowered, found = lower_number_commas(stored), dict(fast.model["vocab"])
    piece = next((piece for piece in stored if lowered[piece] < stored[piece]), None)
    if piece is None:
        return {}
    middle = (stored[piece] + lowered[piece]) / 2
    return {"avoid_number_commas": found.get(piece, stored[piece]) < middle}


def _fast_sentencepiece(said: _Said, defaults: Mapping) -> Tokenizer:
    path, model = said.fast.path, said.fast.model
    settings = {**_sentencepiece_settings(said, defaults, path), "avoid_number_commas": False}
    pieces, scores = (list(column) for column in zip(*model["vocab"], strict=True))
    unknown_id, count = model["unk_id"], len(FAIRSEQ_TOKENS)
    if (*pieces[:count], pieces[-1]) == (*FAIRSEQ_TOKENS, FAIRSEQ_MASK):
        # The model that fairseq had: one that can be written under its usual name again.
        pieces, scores = [*REPLACED, *pieces[count:-1]], [0.0] * len(REPLACED) + scores[count:-1]
        unknown_id = REPLACED.index(pieces[0])
        settings["layout"] = "fairseq"
    else:
        settings["layout"] = "model"
    special = {token for _, token in said.fast.added} - set(said.fast.plain)
    special |= {token for token, _ in said.special.values()}
    step = said.fast.step("Precompiled")
    try:
        data = sentencepiece_model(
            pieces,
            scores,
            unknown_id=unknown_id,
            charsmap=base64.b64decode(step["precompiled_charsmap"]) if step else b"",
            control=special,
            user_defined=said.fast.plain,
        )
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    return _sentencepiece_of(data, settings, path, said)


def _sentencepiece_settings(said: _Said, defaults: Mapping, source) -> dict:
    if defaults["kind"] != SentencePieceTokenizer.kind:
        raise InputError(
            f"{source}: is SentencePiece, but the family has {defaults['kind']}; no tokenizer_class"
            f" in {SETTINGS} says how to use it (AlbertTokenizer or XLMRobertaTokenizer)"
        )
    settings = {name: value for name, value in defaults.items() if name != "kind"}
    if said.fast:
        replaced = [step["pattern"] for step in said.fast.normalizer if step["type"] == "Replace"]
        settings["lowercase"] = said.fast.step("Lowercase") is not None
        settings["strip_accents"] = said.fast.step("StripAccents") is not None
        settings["replace_quotes"] = _QUOTE_PATTERNS[0] in replaced
    # XLM-R's class does not look at these.
    if "lowercase" in defaults and not said.generic:
        if "do_lower_case" in said.settings:
            settings["lowercase"] = said.settings["do_lower_case"]
        if "keep_accents" in said.settings:
            settings["strip_accents"] = not said.settings["keep_accents"]
    return settings


def _sentencepiece_of(data: bytes, settings: Mapping, source, said: _Said) -> Tokenizer:
    usual = ROBERTA_TOKENS if settings.get("packing") == "roberta" else ALBERT_TOKENS
    stored = model_parts(data, str(source))["pieces"]
    pieces, _ = arrange(stored, settings.get("layout", "model"), str(source))
    if len(said.pieces({piece: id for id, piece in enumerate(pieces)}, source)) > len(pieces):
        raise InputError(
            f"{said.directory}: adds tokens to a SentencePiece model, which is not supported"
        )
    tokens = said.tokens(usual, pieces, source)
    return SentencePieceTokenizer(data, special_tokens=tokens, **settings)


# === Everything in tokenizer.json ===


def _fast(directory: pathlib.Path, said: _Said, defaults: Mapping) -> Tokenizer:
    read = {"WordPiece": _fast_wordpiece, "BPE": _fast_bytepair, "Unigram": _fast_sentencepiece}
    with _well_formed(said.fast.path):
        return read[said.fast.kind](said, defaults)


# === Writing ===


def save(directory: pathlib.Path, tokenizer: Tokenizer, max_length: int | None) -> None:
    """Writes the files that transformers makes the same tokenizer of.

    Args:
        directory: where to.
        tokenizer: the tokenizer.
        max_length: how many tokens the model takes.

    Raises:
        InputError: transformers has no such tokenizer.
    """
    if (tokenizer.kind, tokenizer.packing) not in _WRITTEN:
        raise InputError(
            f"transformers has no {tokenizer.kind} tokenizer with the packing {tokenizer.packing!r}"
        )
    name, assets = _WRITTEN[tokenizer.kind, tokenizer.packing]
    for theirs, data in zip(assets, tokenizer.assets().values(), strict=True):
        (directory / theirs).write_bytes(data)
    if tokenizer.kind == SentencePieceTokenizer.kind:
        # transformers 5 would take pieces such as "(" out of a text before all else, and put a
        # space after them; and of raw models it does not avoid ALBERT's numbers with commas.
        content = json.dumps(_sentencepiece_json(tokenizer), ensure_ascii=False)
        (directory / FAST).write_text(content, encoding="utf-8")
        if not _class_does(name, tokenizer):
            name = _GENERIC[0]
    special = {theirs: getattr(tokenizer.special_tokens, ours) for ours, theirs in _ROLES.items()}
    if tokenizer.packing == "roberta":
        special |= {"bos_token": special["cls_token"], "eos_token": special["sep_token"]}
    mask = _added_token(tokenizer.special_tokens.mask, tokenizer)
    files.write_json(directory / SPECIAL, {**special, "mask_token": mask})
    told = {"tokenizer_class": name, "model_max_length": max_length or 512}
    files.write_json(directory / SETTINGS, {**told, **_written_settings(tokenizer), **special})


# By kind and packing: transformers' class and its names of our assets.
_WRITTEN = {
    ("wordpiece", "bert"): ("BertTokenizer", (VOCABULARY,)),
    ("bytepair", "roberta"): ("RobertaTokenizer", (PIECES, MERGES)),
    ("sentencepiece", "bert"): ("AlbertTokenizer", ("spiece.model",)),
    ("sentencepiece", "roberta"): ("XLMRobertaTokenizer", ("sentencepiece.bpe.model",)),
}


def _class_does(name: str, tokenizer: Tokenizer) -> bool:
    """Whether transformers' class, which makes its own steps, does what the tokenizer does."""
    settings = tokenizer.settings()
    if name == "AlbertTokenizer":
        return settings["replace_quotes"]
    changes = ("lowercase", "strip_accents", "replace_quotes")
    return settings["layout"] == "fairseq" and not any(settings[key] for key in changes)


def _written_settings(tokenizer: Tokenizer) -> dict:
    settings = tokenizer.settings()
    if tokenizer.kind == WordPieceTokenizer.kind:
        return {
            "do_lower_case": settings["lowercase"],
            "strip_accents": settings["strip_accents"],
            "tokenize_chinese_chars": True,
        }
    if tokenizer.kind == BytePairTokenizer.kind:
        return {"add_prefix_space": settings["add_prefix_space"]}
    if tokenizer.packing == "roberta":
        return {}
    return {
        "do_lower_case": settings["lowercase"],
        "keep_accents": not settings["strip_accents"],
    }


def _added_token(token: str, tokenizer: Tokenizer) -> dict:
    takes_space = tokenizer.mask_takes_space and token == tokenizer.special_tokens.mask
    return {
        "content": token,
        "single_word": False,
        "lstrip": takes_space,
        "rstrip": False,
        "normalized": False,
        "special": True,
    }


def _sentencepiece_json(tokenizer: SentencePieceTokenizer) -> dict:
    """The content of tokenizer.json."""
    (data,) = tokenizer.assets().values()
    parts = model_parts(data, "the SentencePiece model")
    scores = dict(zip(parts["pieces"], parts["scores"], strict=True))
    if tokenizer.avoid_number_commas:
        scores = lower_number_commas(scores)
    special = dataclasses.astuple(tokenizer.special_tokens)
    ids = {token: tokenizer.token_to_id(token) for token in special}
    metaspace = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always"}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [
            {"id": ids[token], **_added_token(token, tokenizer)}
            for token in sorted(set(special), key=ids.get)
        ],
        "normalizer": _normalizer_json(tokenizer.settings(), parts["charsmap"]),
        "pre_tokenizer": {
            "type": "Sequence",
            "pretokenizers": [{"type": "WhitespaceSplit"}, metaspace],
        },
        "post_processor": _template_json(tokenizer),
        "decoder": metaspace,
        "model": {
            "type": "Unigram",
            "unk_id": tokenizer.unknown_id,
            "vocab": [[piece, scores.get(piece, 0.0)] for piece in tokenizer.vocabulary],
            "byte_fallback": False,
        },
    }


def _normalizer_json(settings: Mapping, charsmap: bytes) -> dict | None:
    steps = []
    if settings["replace_quotes"]:
        steps += [{"type": "Replace", "pattern": p, "content": '"'} for p in _QUOTE_PATTERNS]
    if settings["strip_accents"]:
        steps += [{"type": "NFKD"}, {"type": "StripAccents"}]
    if settings["lowercase"]:
        steps.append({"type": "Lowercase"})
    if charsmap:
        encoded = base64.b64encode(charsmap).decode()
        steps.append({"type": "Precompiled", "precompiled_charsmap": encoded})
    if len(steps) < 2:
        return steps[0] if steps else None
    return {"type": "Sequence", "normalizers": steps}


def _template_json(tokenizer: Tokenizer) -> dict:
    """How one text and two are put together; the same as in `kerasbert.text.packing`."""
    separators, has_segments = PACKINGS[tokenizer.packing]
    second = int(has_segments)
    cls, sep = tokenizer.special_tokens.cls, tokenizer.special_tokens.sep

    def token(name, segment=0):
        return {"SpecialToken": {"id": name, "type_id": segment}}

    def text(name, segment=0):
        return {"Sequence": {"id": name, "type_id": segment}}

    return {
        "type": "TemplateProcessing",
        "single": [token(cls), text("A"), token(sep)],
        "pair": [
            *(token(cls), text("A"), *[token(sep)] * separators),
            *(text("B", second), token(sep, second)),
        ],
        "special_tokens": {
            name: {"id": name, "ids": [tokenizer.token_to_id(name)], "tokens": [name]}
            for name in (cls, sep)
        },
    }
