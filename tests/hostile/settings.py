"""Attacks on JSON files of models, and on tokenizer files."""

import json
import pathlib
import random
import shutil
import struct
from collections.abc import Iterator

import mutate
from attack import ANY, REFUSED, SAME, Attack
from goldens import GOLDENS
from harness import copied, with_file

# === JSON settings ===

_HF = (
    "bert",
    "albert_groups",
    "distilbert",
    "electra",
    "ernie_task_id",
    "roberta",
    "xlm_roberta",
    "bert_sequence_classification",
    "bert_token_classification",
    "bert_masked_lm_untied",
)


def _settings(bases: pathlib.Path) -> list[tuple[pathlib.Path, str, str]]:
    """Yields directory, JSON file in it, and expectation."""
    found = [(GOLDENS / "huggingface" / name, "config.json", ANY) for name in _HF]
    found.append((GOLDENS / "huggingface" / "bert_sharded", "model.safetensors.index.json", ANY))
    for name in ("mean", "prompt", "old_layout", "cross_encoder", "splade"):
        base = GOLDENS / "sentence_transformers" / name
        found += [
            (base, str(path.relative_to(base)), ANY)
            for path in sorted(base.rglob("*.json"))
            if not path.name.startswith("tokenizer")
        ]
    found.append((GOLDENS / "tf_h5" / "distilbert_classification", "config.json", ANY))
    for name in (
        "classifier",
        "tagger",
        "answerer",
        "filler",
        "chooser",
        "embedder",
        "sentencepiece",
        "bytepair",
    ):
        found.append((bases / name, "config.json", SAME))
    for name in ("kerashub", "kerashub_sentencepiece"):
        base = bases / name
        found += [(base, path.name, ANY) for path in sorted(base.glob("*.json"))]
    found.append((bases / "google", "bert_config.json", ANY))
    found.append((bases / "google_filler", "bert_config.json", ANY))
    return found


def settings(bases, rng: random.Random, count: int) -> Iterator[Attack]:
    """Yields all listed attacks, and `count` random ones."""
    for title, base, change in _listed_settings(bases):
        path = base / "config.json"
        text = json.dumps({**json.loads(path.read_text()), **change})
        yield _setting(base, "config.json", title, text.encode(), REFUSED)
    files = _settings(bases)
    for base, file, expect in files[:: 1 if count > 500 else 9]:
        document = json.loads((base / file).read_text())
        for title, data in mutate.whole_files(document).items():
            expected = expect if title in _MAY_BE_READ or not _is_config(file) else REFUSED
            yield _setting(base, file, f"is {title}", data, expected)
        yield _setting(base, file, "is a directory", None, REFUSED if _is_config(file) else expect)
    for number in range(count):
        base, file, expect = rng.choice(files)
        document = json.loads((base / file).read_text())
        how = rng.random()
        if how < 0.75:
            path, value = (
                rng.choice(list(mutate.positions(document))),
                rng.choice(list(mutate.VALUES)),
            )
            title = f"{mutate.shown(path)} = {value}"
            data = mutate.replaced(document, path, mutate.VALUES[value]).encode("utf-8")
        elif how < 0.82:
            path = rng.choice(list(mutate.positions(document)))
            title, data = f"without {mutate.shown(path)}", mutate.without(document, path).encode()
        else:
            title, data = mutate.damaged((base / file).read_bytes(), rng)
        yield _setting(base, file, f"{number}: {title}", data, expect)


# Values that a file may have and still be accepted.
_MAY_BE_READ = ("an unknown key", "every key twice", "UTF-16", "NUL at the end")


def _is_config(file: str) -> bool:
    return file in ("config.json", "bert_config.json")


def _setting(base, file, title, data, expect) -> Attack:
    def make(directory):
        if data is not None:
            return with_file(base, file, data)(directory)
        copied(base)(directory)
        (directory / base.name / file).unlink()
        (directory / base.name / file).mkdir()

    title = f"{base.name}/{file}: {title}"
    flags = {"input": f"{{}}/{base.name}"}
    unharmed = copied(base) if expect == SAME else None
    return Attack("JSON settings", title, make, "load_model", flags, expect, unharmed)


def _listed_settings(bases) -> Iterator[tuple[str, pathlib.Path, dict]]:
    hf = GOLDENS / "huggingface"
    for key in (
        "vocab_size",
        "num_hidden_layers",
        "max_position_embeddings",
        "intermediate_size",
        "hidden_size",
        "type_vocab_size",
    ):
        for number in (10**6, 10**8, 10**12, 2**63):
            yield f"{key}={number}", hf / "bert", {key: number}
    for number in (10**7, 10**9, 2**63):
        yield (
            f"_num_labels={number}",
            hf / "bert_sequence_classification",
            {"_num_labels": number, "id2label": None, "label2id": None},
        )
        yield (
            f"num_labels={number}",
            hf / "bert_sequence_classification",
            {"num_labels": number, "id2label": None, "label2id": None},
        )
        for key in ("inner_group_num", "num_hidden_groups", "num_hidden_layers", "embedding_size"):
            yield f"{key}={number}", hf / "albert_groups", {key: number}
        yield f"embedding_size={number}", hf / "electra", {"embedding_size": number}
        yield (
            f"task_type_vocab_size={number}",
            hf / "ernie_task_id",
            {"task_type_vocab_size": number},
        )
        yield f"dim={number}", hf / "distilbert", {"dim": number}
    for value in ("x", 2, -0.5, [], True, {"a": 1}, "0.1"):
        yield (
            f"classifier_dropout={value!r}",
            hf / "bert_sequence_classification",
            {"classifier_dropout": value},
        )
    native = bases / "classifier"
    stored = json.loads((native / "config.json").read_text())
    facts = stored["backbone"]
    for number in (10**7, 10**9, 10**12, 2**63):
        for key in (
            "vocabulary_size",
            "num_layers",
            "max_sequence_length",
            "num_segments",
            "num_groups",
            "layers_per_group",
            "embedding_dim",
        ):
            yield f"{key}={number}", native, {"backbone": {**facts, key: number}}
        yield (
            f"head.max_chunks={number}",
            native,
            {"head": {**stored["head"], "long_text": "attention", "max_chunks": number}},
        )
    for value in (
        "a",
        10**12,
        [1, 2],
        ["a", "a"],
        {"a": 1},
        [["a"]],
        [None, "b"],
        ["\x1b[2J", "b"],
    ):
        yield f"head.classes={value!r}", native, {"head": {**stored["head"], "classes": value}}
    for value in ("24", 24.5, -1, 0, None, [24], True, 10**30):
        if value is not None:
            yield f"sequence_length={value!r}", native, {"sequence_length": value}


# === Tokenizer files ===

_TOKENIZERS = GOLDENS / "tokenizers"
_MODELS = {"albert": "spiece.model", "xlm_roberta": "sentencepiece.bpe.model"}


def _families() -> dict[str, str]:
    names = [path.name for path in sorted(_TOKENIZERS.iterdir())]
    return {
        name: next(f for f in ("bert", "albert", "xlm_roberta", "roberta") if name.startswith(f))
        for name in names
    }


def tokenizers(bases, rng: random.Random, count: int) -> Iterator[Attack]:
    """Yields all listed attacks, and `count` random ones."""
    yield from _listed_tokenizers(bases)
    families = _families()
    native = [
        (bases / name, path.name)
        for name in ("classifier", "sentencepiece", "bytepair")
        for path in sorted((bases / name).iterdir())
        if path.name not in ("config.json", "model.safetensors")
    ]
    for number in range(count):
        how = rng.choice(
            [
                "json",
                "json",
                "json",
                "json",
                "config",
                "config",
                "model",
                "model",
                "model",
                "native",
                "native",
                "bytes",
            ]
        )
        name = rng.choice(list(families))
        if how in ("json", "config", "bytes"):
            file = "tokenizer_config.json" if how == "config" else "tokenizer.json"
            path = _TOKENIZERS / name / file
            if how == "bytes":
                title, data = mutate.damaged(path.read_bytes(), rng)
            else:
                title, data = _swapped(json.loads(path.read_text()), rng)
            yield _golden(name, families[name], f"{number}: {file}: {title}", {file: data})
        elif how == "model":
            name = rng.choice(list(_MODELS))
            file = _MODELS[name]
            title, data = _damaged_model((_TOKENIZERS / name / file).read_bytes(), rng)
            yield _golden(
                name, families[name], f"{number}: {file}: {title}", {file: data}, only=True
            )
        else:
            base, file = rng.choice(native)
            title, data = mutate.damaged((base / file).read_bytes(), rng)
            yield Attack(
                "tokenizer files",
                f"{number}: {base.name}/{file}: {title}",
                with_file(base, file, data),
                "load_tokenizer",
                {"input": f"{{}}/{base.name}"},
                SAME,
                copied(base),
            )


def _swapped(document, rng) -> tuple[str, bytes]:
    paths = list(mutate.positions(document))
    # Most tokens of a vocabulary are alike, so the other values are drawn equally often.
    few = [path for path in paths if "vocab" not in path and "merges" not in path]
    path = rng.choice(rng.choice([few or paths, few or paths, paths]))
    if rng.random() < 0.1:
        return f"without {mutate.shown(path)}", mutate.without(document, path).encode()
    value = rng.choice(list(mutate.VALUES))
    data = mutate.replaced(document, path, mutate.VALUES[value]).encode()
    return f"{mutate.shown(path)} = {value}", data


def _golden(name, family, title, files: dict, *, only=False, expect=ANY, program="load_tokenizer"):
    """Returns an attack on a golden tokenizer with some files replaced.

    Args:
        only: whether to remove `tokenizer.json`, so that the other files are read.
    """

    def make(directory):
        target = directory / name
        target.mkdir()
        for path in (_TOKENIZERS / name).iterdir():
            if path.name != "expected.json" and not (only and path.name == "tokenizer.json"):
                shutil.copyfile(path, target / path.name)
        shutil.copyfile(GOLDENS / "huggingface" / family / "config.json", target / "config.json")
        for file, data in files.items():
            (target / file).write_bytes(data)

    return Attack(
        "tokenizer files", f"{name}: {title}", make, program, {"input": f"{{}}/{name}"}, expect
    )


def _listed_tokenizers(bases) -> Iterator[Attack]:
    bert = _TOKENIZERS / "bert_uncased" / "tokenizer.json"
    pieces = list(json.loads(bert.read_text())["model"]["vocab"])
    whole = "\n".join(pieces).encode()
    vocabularies = {
        "NUL in a piece": whole + b"\na\0b\n",
        "a piece of 1 MB": whole + b"\n" + b"x" * (1 << 20) + b"\n",
        "a piece twice": whole + b"\n" + pieces[-1].encode() + b"\n",
        "an empty line": whole.replace(b"\n", b"\n\n", 7),
        "no special tokens": b"\n".join(whole.split(b"\n")[10:]),
        "only special tokens": b"[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n",
        "only ##": b"[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n##\n",
        "no UTF-8": whole + b"\n\xff\xfe\n",
        "UTF-16": "\n".join(pieces).encode("utf-16"),
        "nothing": b"",
        "one line of 1 MB": b"x" * (1 << 20),
        "escapes": whole + b"\n\x1b[2J\x07\n\x1b[2J\x07\n",
        "HTML": b"<html>\n<body>\nNot found\n",
        "spaces in pieces": whole.replace(b"\n", b" \n"),
        "300,000 pieces": b"[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n"
        + b"\n".join(b"p%d" % i for i in range(300_000)),
    }
    for title, data in vocabularies.items():
        yield _golden("bert_uncased", "bert", f"vocab.txt: {title}", {"vocab.txt": data}, only=True)
    for name in ("bert_uncased", "albert", "roberta"):
        for title, data in mutate.whole_files(
            json.loads((_TOKENIZERS / name / "tokenizer.json").read_text())
        ).items():
            yield _golden(
                name, _families()[name], f"tokenizer.json is {title}", {"tokenizer.json": data}
            )
        for title, data in mutate.whole_files(
            json.loads((_TOKENIZERS / name / "tokenizer_config.json").read_text())
        ).items():
            yield _golden(
                name,
                _families()[name],
                f"tokenizer_config.json is {title}",
                {"tokenizer_config.json": data},
            )
    for value in (3, [], {}, None, True, "GPT2Tokenizer", "\x1b[2J"):
        settings = {
            **json.loads((_TOKENIZERS / "bert_uncased" / "tokenizer_config.json").read_text()),
            "tokenizer_class": value,
        }
        yield _golden(
            "bert_uncased",
            "bert",
            f"tokenizer_class={value!r}",
            {"tokenizer_config.json": json.dumps(settings).encode()},
        )
    for name in _MODELS:
        fast = json.loads((_TOKENIZERS / name / "tokenizer.json").read_text())
        for title, vocabulary in _unigrams(fast["model"]["vocab"]).items():
            changed = {**fast, "model": {**fast["model"], "vocab": vocabulary}}
            yield _golden(
                name, name, f"Unigram: {title}", {"tokenizer.json": json.dumps(changed).encode()}
            )
        for title, charsmap in _charsmaps().items():
            changed = {
                **fast,
                "normalizer": {"type": "Precompiled", "precompiled_charsmap": charsmap},
            }
            yield _golden(
                name, name, f"charsmap: {title}", {"tokenizer.json": json.dumps(changed).encode()}
            )
        sound = (_TOKENIZERS / name / _MODELS[name]).read_bytes()
        for title, data in _models(sound).items():
            yield _golden(name, name, f"{_MODELS[name]}: {title}", {_MODELS[name]: data}, only=True)


def _unigrams(vocabulary: list) -> dict:
    return {
        "empty": [],
        "strings": ["a", "b"],
        "one of each": [["a"], ["b"]],
        "three of each": [[*first, 1] for first in vocabulary],
        "the wrong way round": [[score, piece] for piece, score in vocabulary],
        "scores as strings": [[piece, str(score)] for piece, score in vocabulary],
        "scores of null": [[piece, None] for piece, _ in vocabulary],
        "infinite scores": [[piece, float("inf")] for piece, _ in vocabulary],
        "NaN": [[piece, float("nan")] for piece, _ in vocabulary],
        "scores of 10^300": [[piece, 1e300] for piece, _ in vocabulary],
        "an object": dict(vocabulary),
        "a number": 3,
        "empty pieces": [["", 0.0] for _ in vocabulary],
        "the same piece": [["a", 0.0] for _ in vocabulary],
        "a piece of 1 MB": [*vocabulary, ["x" * (1 << 20), -1.0]],
        "a piece of 100,000": [*vocabulary, ["x" * 100_000, -1.0]],
        "a piece with NUL": [*vocabulary, ["a\0b", -1.0]],
        "a piece of half a surrogate": [*vocabulary, ["\ud800", -1.0]],
        "a piece with escapes": [*vocabulary, ["\x1b[2J", -1.0], ["\x1b[2J", -1.0]],
        "special tokens only": vocabulary[:5],
        "one piece": vocabulary[:1],
    }


def _charsmaps() -> dict[str, object]:
    import base64

    def packed(units: bytes, normalized: bytes = b"a\0") -> str:
        return base64.b64encode(struct.pack("<I", len(units)) + units + normalized).decode()

    return {
        "0xFF": packed(b"\xff" * 1024),
        "0xFF, 64 units": packed(b"\xff" * 256),
        "zeros": packed(bytes(1024)),
        "0x7F": packed(b"\x7f" * 1024),
        "units that lead to themselves": packed(struct.pack("<I", 0x400) * 256),
        "units beyond the end": packed(struct.pack("<I", 0x7FFFFC00) * 256),
        "leaves beyond the text": packed(struct.pack("<I", 0x80000100 | 0x100) * 256),
        "values beyond the text": packed(struct.pack("<I", 0xFFFFFFFF) * 256, b""),
        "a size beyond the end": base64.b64encode(b"\xff\xff\xff\xff" + bytes(64)).decode(),
        "a size of 0": base64.b64encode(bytes(4)).decode(),
        "a size that is no multiple of 4": packed(b"\xff" * 1023),
        "three bytes": base64.b64encode(b"abc").decode(),
        "nothing": "",
        "no base64": "%%%%",
        "base64 with escapes": "\x1b[2J",
        "a number": 3,
        "null": None,
        "a list": [1],
        **{
            f"random {seed}": packed(random.Random(seed).randbytes(1024), b"\0a\0bc\0" * 9)
            for seed in range(12)
        },
    }


def _varint(number: int) -> bytes:
    out = bytearray()
    while True:
        out.append(number & 127 | (128 if number > 127 else 0))
        number >>= 7
        if not number:
            return bytes(out)


def _field(number: int, data: bytes) -> bytes:
    """Returns a bytes field of a protocol buffer."""
    return _varint(number << 3 | 2) + _varint(len(data)) + data


def _piece(text: bytes, score: float = -1.0, kind: int = 1) -> bytes:
    return _field(1, _field(1, text) + b"\x15" + struct.pack("<f", score) + b"\x18" + _varint(kind))


def _models(sound: bytes) -> dict[str, bytes]:
    def normalized(charsmap: bytes):
        return sound + _field(3, _field(2, charsmap))

    units = b"\xff" * 1024
    return {
        "nothing": b"",
        "zeros": bytes(100),
        "text": b"not a model",
        "a piece of 1 MB": sound + _piece(b"x" * (1 << 20)),
        "a piece of 100,000": sound + _piece(b"x" * 100_000),
        "an empty piece": sound + _piece(b""),
        "a piece twice": sound + _piece(b"aa") + _piece(b"aa"),
        "a piece of no UTF-8": sound + _piece(b"\xff\xfe"),
        "a piece with NUL": sound + _piece(b"a\0b"),
        "NaN": sound + _piece(b"qqq", float("nan")),
        "infinity": sound + _piece(b"qqq", float("inf")),
        "a kind of 99": sound + _piece(b"qqq", 0, 99),
        "two unknown pieces": sound + _piece(b"qqq", 0, 2),
        "all control pieces": b"".join(_piece(b"c%d" % i, 0, 3) for i in range(50)),
        "only an unknown piece": _piece(b"<unk>", 0, 2),
        "byte pieces of no byte": sound + _piece(b"<0xZZ>", 0, 6),
        "a charsmap of 0xFF": normalized(struct.pack("<I", len(units)) + units + b"a\0"),
        "a charsmap that is cut": normalized(b"\xff\xff\xff\x7fab"),
        "a charsmap of three bytes": normalized(b"abc"),
        "a model of words": sound + _field(2, b"\x18\x03"),
        "a model of characters": sound + _field(2, b"\x18\x04"),
        "a model of kind 99": sound + _field(2, b"\x18\x63"),
        "a length beyond the end": sound + b"\x0a\xff\xff\xff\xff\x0f",
        "itself twice": sound + sound,
        "100,000 pieces": sound + b"".join(_piece(b"p%d" % i) for i in range(100_000)),
        "groups in groups": b"\x0b" * 10_000,
        "a denormalizer of 0xFF": sound + _field(5, _field(2, struct.pack("<I", 1024) + units)),
    }


def _damaged_model(sound: bytes, rng) -> tuple[str, bytes]:
    if rng.random() < 0.7:
        return mutate.damaged(sound, rng)
    units = bytearray(struct.pack("<I", 0) * 64)
    for at in range(0, len(units), 4):
        units[at : at + 4] = struct.pack(
            "<I",
            rng.choice(
                [
                    0,
                    rng.getrandbits(32),
                    rng.getrandbits(12) << 10 | rng.randrange(256),
                    0x80000000 | rng.randrange(40),
                ]
            ),
        )
    charsmap = struct.pack("<I", len(units)) + bytes(units) + rng.choice([b"", b"a\0b\0", b"abc"])
    return f"charsmap, seed {rng.random():.6f}", sound + _field(3, _field(2, charsmap))
