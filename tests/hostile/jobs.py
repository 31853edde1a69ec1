"""Attacks on corpora, rows of text, options, exports and run directories."""

import bz2
import dataclasses
import functools
import gzip
import io
import json
import lzma
import pathlib
import random
import shutil
import typing
from collections.abc import Iterator

import mutate
import pyarrow
import pyarrow.parquet
from attack import ANY, REFUSED, SAME, Attack
from backports import zstd
from bases import DUPLICATES, PHRASES
from harness import RUN, copied, with_file

# === Corpora ===


def corpora(bases, rng: random.Random, count: int) -> Iterator[Attack]:
    """Damaged corpora, and text to prepare as a corpus."""
    base = bases / "corpus"
    manifest = json.loads((base / "manifest.json").read_text())
    for title, changed in _manifests(manifest).items():
        yield _corpus(base, title, with_file(base, "manifest.json", json.dumps(changed).encode()))
    for title, data in mutate.whole_files(manifest).items():
        yield _corpus(base, f"manifest.json is {title}", with_file(base, "manifest.json", data))
    for title, change in _SWAPS.items():
        yield _corpus(base, title, _with_change(base, change))
    for title, (name, data) in _texts().items():
        for program in ("prepare_corpus", "build_vocab"):
            yield _text_file(bases, program, title, name, data)
    duplicates = functools.partial(_prepared_with, bases, "duplicates", DUPLICATES)
    phrases = functools.partial(_prepared_with, bases, "phrases", PHRASES)
    found = (bases / DUPLICATES).read_bytes()
    for title, data in mutate.whole_files({}).items():
        yield duplicates(f"duplicates are {title}", data, REFUSED)
    for number in range(count // 5):
        title, data = mutate.damaged(found, rng)
        if data != found:
            yield duplicates(f"{number}: {DUPLICATES}: {title}", data, REFUSED)
    for title, data in _phrases().items():
        yield phrases(f"phrases are {title}", data, ANY)
    for title, data in _vectors().items():
        yield _pretrained_with(bases, f"word vectors are {title}", data)
    for number in range(count // 5):
        title, data = mutate.damaged(_VECTORS, rng)
        yield _pretrained_with(bases, f"{number}: word vectors: {title}", data)
    names = sorted(path.name for path in base.iterdir())
    for number in range(count):
        how = rng.random()
        if how < 0.45:
            name = rng.choice(names)
            title, data = mutate.damaged((base / name).read_bytes(), rng)
            yield _corpus(base, f"{number}: {name}: {title}", with_file(base, name, data))
        elif how < 0.7:
            path, value = (
                rng.choice(list(mutate.positions(manifest))),
                rng.choice(list(mutate.VALUES)),
            )
            text = mutate.replaced(manifest, path, mutate.VALUES[value])
            title = f"{number}: manifest: {mutate.shown(path)} = {value}"
            yield _corpus(base, title, with_file(base, "manifest.json", text.encode()))
        else:
            name, sound = rng.choice(list(_sound_texts().items()))
            title, data = mutate.damaged(sound, rng)
            program = rng.choice(["prepare_corpus", "build_vocab"])
            yield _text_file(bases, program, f"{number}: {name}: {title}", name, data)


def _corpus(base, title, make) -> Attack:
    flags = {"input": f"{{}}/{base.name}"}
    return Attack("corpora", title, make, "load_corpus", flags, SAME, copied(base))


def _with_change(base, change):
    def make(directory):
        copied(base)(directory)
        change(directory / base.name)

    return make


def _manifests(sound: dict) -> dict[str, dict]:
    shards, index = sound["shards"], sound["index"]
    return {
        "shards swapped": {**sound, "shards": [shards[1], shards[0], *shards[2:]]},
        "a shard twice": {**sound, "shards": [*shards, shards[0]]},
        "one shard in all places": {**sound, "shards": [shards[0]] * len(shards)},
        "a shard left out": {**sound, "shards": shards[:-1]},
        "no shards": {**sound, "shards": []},
        "sentences as documents": {**sound, "index": [index[0], index[0]]},
        "documents as sentences": {**sound, "index": [index[1], index[1]]},
        "index swapped": {**sound, "index": index[::-1]},
        "one index": {**sound, "index": index[:1]},
        "three indexes": {**sound, "index": [*index, index[0]]},
        "a shard of another place": {
            **sound,
            "shards": [{**shards[0], "file": "../corpus/tokens-00000.bin"}, *shards[1:]],
        },
        "the index as shard": {**sound, "shards": [index[0], *shards[1:]]},
        "a count of 10^12": {**sound, "shards": [{**shards[0], "count": 10**12}, *shards[1:]]},
        "a count of tokens of 10^12": {**sound, "tokens": 10**12},
        "a tokenizer that keeps capitals": {
            **sound,
            "tokenizer": {**sound["tokenizer"], "lowercase": False},
        },
        "100,000 shards": {**sound, "shards": shards[:1] * 100_000},
    }


def _swap(directory, first, second):
    (directory / first).rename(directory / "x")
    (directory / second).rename(directory / first)
    (directory / "x").rename(directory / second)


_SWAPS = {
    "files of shards swapped": lambda d: _swap(d, "tokens-00000.bin", "tokens-00001.bin"),
    "files of indexes swapped": lambda d: _swap(d, "sentences.bin", "documents.bin"),
    "a shard missing": lambda d: (d / "tokens-00001.bin").unlink(),
    "no vocabulary": lambda d: (d / "vocab.txt").unlink(),
    "no manifest": lambda d: (d / "manifest.json").unlink(),
    "a shard that is a directory": lambda d: (
        (d / "tokens-00000.bin").unlink(),
        (d / "tokens-00000.bin").mkdir(),
    ),
    "a shard that is /dev/zero": lambda d: (
        (d / "tokens-00000.bin").unlink(),
        (d / "tokens-00000.bin").symlink_to("/dev/zero"),
    ),
}


def _sound_texts() -> dict[str, bytes]:
    text = "a fine day.\nthe cat is good.\n\nthe dog is bad.\n" * 20
    lines = "".join(json.dumps({"text": line, "id": 1}) + "\n" for line in text.split("\n"))
    wiki = "".join(f'<doc id="{i}" title="x">\n{text[:60]}\n</doc>\n' for i in range(5))
    return {
        "a.txt": text.encode(),
        "a.jsonl": lines.encode(),
        "a.wiki": wiki.encode(),
        "a.txt.gz": gzip.compress(text.encode(), mtime=0),
        "a.jsonl.gz": gzip.compress(lines.encode(), mtime=0),
        "a.txt.bz2": bz2.compress(text.encode()),
        "a.txt.xz": lzma.compress(text.encode()),
        "a.txt.zst": zstd.compress(text.encode()),
        "a.parquet": _parquet(text.split("\n"), "snappy"),
        "b.parquet": _parquet(text.split("\n"), "none"),
    }


def _parquet(texts: list[str], compression: str) -> bytes:
    file = io.BytesIO()
    columns = {"id": range(len(texts)), "text": texts}
    pyarrow.parquet.write_table(
        pyarrow.table(columns), file, compression=compression, row_group_size=9
    )
    return file.getvalue()


def _texts() -> dict[str, tuple[str, bytes]]:
    """Nearly unusable text files: description, name and bytes."""
    found = {title: ("a.txt", data) for title, data in mutate.TEXTS.items()}
    good = b'{"text": "a fine day"}\n'
    for title, value in mutate.VALUES.items():
        found[f"a text that is {title}"] = (
            "a.jsonl",
            good + b'{"text": ' + value.encode() + b"}\n",
        )
    zipped = _sound_texts()["a.txt.gz"]
    found |= {
        "JSON lines without a text": ("a.jsonl", b'{"body": "a"}\n'),
        "lines that are no objects": ("a.jsonl", good + b"[1]\n3\nnull\n"),
        "no gzip": ("a.txt.gz", b"a fine day\n"),
        "half of a gzip": ("a.txt.gz", zipped[: len(zipped) // 2]),
        "gzip twice": ("a.txt.gz", zipped + zipped),
        "a line of 256 MB in 8 kB": ("a.txt.zst", zstd.compress(b"x" * (1 << 28))),
        "no Parquet": ("a.parquet", b"a fine day\n"),
        "a Parquet file of another name": ("a.txt", _sound_texts()["a.parquet"]),
        "garbage behind a gzip": ("a.txt.gz", zipped + b"garbage"),
        "<doc> that does not end": ("a.wiki", b"<doc>\na fine day\n<doc>\nb\n"),
        "</doc> alone": ("a.wiki", b"</doc>\n</doc>\na fine day\n"),
        "100,000 empty documents": ("a.txt", b"\n\n" * 100_000),
        "carriage returns": ("a.txt", b"a fine day\r\rthe cat\r\n\r\nx"),
        "a BOM": ("a.txt", b"\xef\xbb\xbfa fine day\n"),
        "a name with [": ("a[1].txt", b"a fine day\n"),
        "a name with a backslash": ("a\\b.txt", b"a fine day\n"),
        "a name with escapes": ("a\x1b[2J.txt", b"\xff\n"),
    }
    return found


def _text_file(bases, program, title, name, data) -> Attack:
    def make(directory):
        (directory / name).write_bytes(data)

    flags = {"input": f"{{}}/{name}", "output": "{}/out"}
    if program == "prepare_corpus":
        flags["vocab"] = str(bases / "classifier" / "vocab.txt")
    return Attack("corpora", f"{program}: {title}", make, program, flags, ANY, output="out")


def _prepared_with(bases, flag, name, title, data, verdict) -> Attack:
    """prepare_corpus with a damaged file that one of its flags names."""
    flags = {"input": str(bases / "text.txt"), "vocab": str(bases / "classifier" / "vocab.txt")}
    flags |= {flag: f"{{}}/{name}", "output": "{}/out"}

    def make(directory):
        (directory / name).write_bytes(data)

    return Attack("corpora", title, make, "prepare_corpus", flags, verdict, output="out")


def _phrases() -> dict[str, bytes]:
    return {
        "nothing": b"",
        "blank": b" \n\t\n\xe3\x80\x80\n",
        "not UTF-8": b"fine day\n\xff\xfe\n",
        "NULs": b"\0" * 100,
        "a megabyte without a line": b"a" * (1 << 20),
        "every prefix": b"\n".join(b"fineday" * n for n in range(300)),
    }


_VECTORS = b"5 2\ncat 1 0\ndog 0.9 0.1\ngood 0 1\nbad 0.1 0.9\nfine 1e-1 1\n"


def _vectors() -> dict[str, bytes]:
    return {
        "sound": _VECTORS,
        "nothing": b"",
        "not UTF-8": b"cat 1 0\n\xff\xfe 1 0\n",
        "NULs": b"\0" * 100,
        "a megabyte without a line": b"a" * (1 << 20),
        "of no dimension": b"cat\ndog\n",
        "of a million dimensions": b"cat" + b" 1" * 400_000,
        "said to be a billion": b"1000000000 1000000000\ncat 1 0\n",
        "of digits": b"9" * 5000 + b" 2\ncat 1 0\n",
        "not finite": b"cat nan 0\ndog inf 0\n",
        "all zero": b"cat 0 0\ndog 0 0\n",
        "tiny and huge": b"cat 1e-45 0\ndog 3e38 3e38\nfine 3e38 1e-45\n",
        "words with escapes": b"\x1b[2J\n",
    }


def _pretrained_with(bases, title, data) -> Attack:
    """Pretraining with damaged word vectors."""
    flags = {"mask_unit": "whole_word", "similar_words": "{}/vectors.txt"}
    flags |= _programs(bases)["pretrain"]

    def make(directory):
        (directory / "vectors.txt").write_bytes(data)

    return Attack("corpora", title, make, "pretrain", flags, ANY, output="out/model")


# === Rows of text ===

_ROWS = {
    "classifier": {"text": "a fine day"},
    "tagger": {"words": ["a", "fine", "day"]},
    "answerer": {"question": "what day", "context": "a fine day", "id": "q"},
    "filler": {"text": "a [MASK] day"},
    "chooser": {"text": "a day", "choices": ["fine", "bad"]},
    "embedder": {"text": "a fine day"},
}
_SQUAD = {
    "data": [
        {
            "title": "t",
            "paragraphs": [
                {
                    "context": "a fine day",
                    "qas": [
                        {
                            "id": "1",
                            "question": "what day",
                            "answers": [{"text": "fine", "answer_start": 2}],
                        },
                        {"id": "2", "question": "what cat", "is_impossible": True, "answers": []},
                    ],
                }
            ],
        }
    ]
}
_CONLL = "a O\nfine B-X\nday I-X\n\nthe O\ncat B-X\n"


def rows(bases, rng: random.Random, count: int) -> Iterator[Attack]:
    """One invalid row among valid ones, for every task and format."""
    for model, row in _ROWS.items():
        for title, data in _bad_lines(row).items():
            yield _predict(bases, model, f"{model}: {title}", "in.jsonl", data)
    for title, text in mutate.TEXTS.items():
        for name, data in _files_with(text).items():
            yield _predict(bases, "classifier", f"{name}: {title}", name, data)
            yield _predict(bases, "filler", f"filler, {name}: {title}", name, data)
        yield _predict(
            bases, "tagger", f".conll: {title}", "in.conll", _CONLL.encode() + text + b" O\n"
        )
    sound = {
        ("classifier", "in.jsonl"): json.dumps(_ROWS["classifier"]).encode() + b"\n",
        ("classifier", "in.tsv"): b"text\tlabel\na fine day\tgood\na bad day\tbad\n",
        ("classifier", "in.csv"): b'text,label\n"a fine, day",good\na bad day,bad\n',
        ("classifier", "in.txt"): b"a fine day\na bad day\n",
        ("classifier", "in.txt.gz"): gzip.compress(b"a fine day\na bad day\n", mtime=0),
        ("tagger", "in.conll"): _CONLL.encode(),
        ("tagger", "in.jsonl"): json.dumps(_ROWS["tagger"]).encode() + b"\n",
        ("answerer", "in.json"): json.dumps(_SQUAD).encode(),
        ("chooser", "in.jsonl"): json.dumps(_ROWS["chooser"]).encode() + b"\n",
        ("filler", "in.txt"): b"a [MASK] day\n[MASK] [MASK]\n",
    }
    labelled = {
        ("classifier", "in.tsv"),
        ("classifier", "in.csv"),
        ("tagger", "in.conll"),
        ("answerer", "in.json"),
    }
    for number in range(count):
        (model, name), data = rng.choice(list(sound.items()))
        how = rng.random()
        if name == "in.json" and how < 0.7:
            path, value = (
                rng.choice(list(mutate.positions(_SQUAD))),
                rng.choice(list(mutate.VALUES)),
            )
            title = f"{mutate.shown(path)} = {value}"
            data = mutate.replaced(_SQUAD, path, mutate.VALUES[value]).encode()
        elif name == "in.jsonl" and how < 0.7:
            key, value = rng.choice(list(_ROWS[model])), rng.choice(list(mutate.VALUES))
            title = f"{key} = {value}"
            data += mutate.replaced(_ROWS[model], (key,), mutate.VALUES[value]).encode() + b"\n"
        else:
            title, data = mutate.damaged(data, rng)
        title = f"{number}: {model}, {name}: {title}"
        if (model, name) in labelled and rng.random() < 0.4:
            yield _evaluate(bases, model, f"evaluate: {title}", name, data)
        else:
            yield _predict(bases, model, title, name, data, rng.choice(["out.jsonl", "out.csv"]))


def _bad_lines(row: dict) -> dict[str, bytes]:
    good = json.dumps(row)
    found = {}
    for key in row:
        for title, value in mutate.VALUES.items():
            found[f"{key} = {title}"] = mutate.replaced(row, (key,), value)
        found[f"no {key}"] = mutate.without(row, (key,))
        if isinstance(row[key], list):
            for title in ("null", "zero", "an object", "half a surrogate", "empty string", "NaN"):
                found[f"{key}.0 = {title}"] = mutate.replaced(row, (key, 0), mutate.VALUES[title])
    found |= {
        "not JSON": "{",
        "a number": "3",
        "a list": "[]",
        "null": "null",
        "an empty line": "",
        "100,000 deep": '{"text":' * 100_000,
        "two on a line": good + good,
    }
    found["30 masks"] = json.dumps({**row, "text": "[MASK] " * 30})
    return {
        title: f"{good}\n{line}\n{good}\n".encode("utf-8", "surrogatepass")
        for title, line in found.items()
    }


def _files_with(text: bytes) -> dict[str, bytes]:
    return {
        "in.txt": b"a fine day\n" + text + b"\na bad day\n",
        "in.tsv": b"text\tlabel\na fine day\tgood\n" + text + b"\tbad\n",
        "in.csv": b"text,label\na fine day,good\n" + text + b",bad\n",
    }


def _predict(bases, model, title, name, data, output="out.jsonl") -> Attack:
    flags = {"model": str(bases / model), "input": f"{{}}/{name}", "output": f"{{}}/{output}"}
    return Attack("text rows", title, _one_file(name, data), "predict", flags, ANY, output=output)


def _evaluate(bases, model, title, name, data) -> Attack:
    flags = {"model": str(bases / model), "data": f"{{}}/{name}"}
    return Attack("text rows", title, _one_file(name, data), "evaluate", flags)


def _one_file(name, data):
    return lambda directory: (directory / name).write_bytes(data)


# === Options ===

_NUMBERS = [
    "-1",
    "0",
    "x",
    "",
    "1.5",
    "1e3",
    "0x10",
    "١٢",
    "nan",
    "inf",
    "-inf",
    "1e308",
    "1e-320",
    "-0.0",
    "9" * 30,
    "9" * 5000,
    " 1",
    "1_0",
]
_WORDS = [
    "",
    " ",
    "x",
    "\x1b[2J",
    "n" * 300,
    "n" * 5000,
    "/dev/null",
    "/",
    ".",
    "..",
    "[",
    "a\\b",
    "\udcff\udcfe",
    "{}/nothing",
    "{}/in.tsv/x",
    "-1",
    "None",
    "a,b,,a",
    "é" * 200,
    "a\nb",
    "hf://",
    "hf://a/b/c/d",
    "hf://../..",
    "tfds:",
    "tfds:../x",
]
_WHICH = ["maybe", "1", "TRUE", ""]
#: Options whose large values only take long, or that start processes.
_PATIENT = (
    "epochs",
    "steps",
    "workers",
    "num_virtual_devices",
    "strategy",
    "num_batches",
    "sequence_length",
)
_SKIPPED = ("strategy", "num_virtual_devices", "dry_run")


def _programs(bases) -> dict[str, dict]:
    """Returns flags with which each program succeeds."""
    model, rows = str(bases / "classifier"), "{}/in.tsv"
    small = {"batch_size": "4"}
    return {
        "build_vocab": {"input": str(bases / "text.txt"), "vocab_size": "80", "output": "{}/out"},
        "prepare_corpus": {
            "input": str(bases / "text.txt"),
            "vocab": f"{model}/vocab.txt",
            "output": "{}/out",
        },
        "find_duplicates": {
            "input": str(bases / "text.txt"),
            "dedup": ["document", "near", "paragraph"],
            "output": "{}/out",
        },
        "pretrain": {
            "corpus": str(bases / "corpus"),
            "init": model,
            "steps": "2",
            **small,
            "sequence_length": "8",
            "output": "{}/out",
        },
        "finetune": {"init": model, "train": rows, "epochs": "1", **small, "output": "{}/out"},
        "evaluate": {"model": model, "data": rows},
        "predict": {"model": model, "input": rows, "output": "{}/out.jsonl"},
        "export": {"model": model, "output": "{}/out/1", "check": "false"},
        "query": {"saved_model": str(bases / "export"), "text": "a fine day"},
        "convert": {"input": model, "output": "{}/out", "format": "hf"},
    }


def options(bases, rng: random.Random, count: int) -> Iterator[Attack]:
    """Every option of every program with invalid values; `count` of all of them."""
    from kerasbert.recipes import options as declared

    every = []
    for program, flags in _programs(bases).items():
        cls = getattr(declared, "".join(map(str.capitalize, program.split("_"))) + "Options")
        for field in dataclasses.fields(cls):
            kind = str(typing.get_type_hints(cls)[field.name])
            values = (
                _NUMBERS
                if "int" in kind or "float" in kind
                else _WHICH
                if "bool" in kind
                else _WORDS
            )
            for value in values:
                if field.name in _SKIPPED or (field.name in _PATIENT and _is_large(value)):
                    continue
                every.append((program, flags, field.name, value))
    for program, flags, name, value in _LISTED_OPTIONS:
        yield _option(program, {**_programs(bases)[program], **flags}, name, value)
    yield from (_option(*one) for one in rng.sample(every, min(count, len(every))))


def _is_large(value: str) -> bool:
    return value.startswith("9") or value in ("1e3", "1e308", "inf", "1_0", "0x10", "١٢")


_LISTED_OPTIONS = [
    *[
        ("finetune", {}, name, value)
        for name, value in (
            ("learning_rate", "nan"),
            ("learning_rate", "inf"),
            ("learning_rate", "-1"),
            ("learning_rate", "1e30"),
            ("weight_decay", "nan"),
            ("weight_decay", "inf"),
            ("weight_decay", "-1"),
            ("weight_decay", "1e30"),
            ("clip_norm", "inf"),
            ("clip_norm", "nan"),
            ("clip_norm", "-1"),
            ("label_smoothing", "5"),
            ("class_weight", "good=nan"),
            ("class_weight", "good=inf"),
            ("class_weight", "good=-1"),
            ("class_weight", "=1"),
            ("class_weight", "good"),
            ("class_weight", "good=1e308"),
            ("validation_interval", "-1"),
            ("seed", "-1"),
            ("seed", str(2**32)),
            ("seed", str(2**64)),
            ("warmup_ratio", "2"),
            ("classes", "good,good"),
            ("classes", ","),
            ("layerwise_lr_decay", "1e-300"),
        )
    ],
    *[
        ("pretrain", {}, name, value)
        for name, value in (
            ("validation_interval", "-1"),
            ("learning_rate", "nan"),
            ("clip_norm", "inf"),
            ("mask_rate", "nan"),
            ("seed", "-1"),
            ("preset", "bert_large"),
        )
    ],
    *[("prepare_corpus", {}, "tokens_per_shard", value) for value in ("-5", "0", "1", "9" * 25)],
    *[("prepare_corpus", {}, "bytes_per_unit", value) for value in ("-5", "0", "9" * 25)],
    *[
        ("prepare_corpus", {}, "part", value)
        for value in ("", "1", "0/1", "2/1", "1/1/1", "-1/1", "1/" + "9" * 25)
    ],
    *[
        ("prepare_corpus", {}, "word_segmenter", value)
        for value in ("", ":", "..:f", "os:sep", "no_such:f", "a\0b:f", "\udcff:f", "\x1b[2J:f")
    ],
    *[
        ("export", {}, "output", value)
        for value in ("{}/a[1]/1", "{}/a\\b/1", "{}/in.tsv/1", "{}/" + "n" * 300 + "/1")
    ],
    *[
        ("convert", {"format": form}, "output", value)
        for form in ("google", "hf", "kerashub", "kerasbert")
        for value in (
            "{}/a[1]",
            "{}/a\\b",
            "{}/a*",
            "{}/" + "n" * 300,
            "{}/in.tsv",
            "{}/\udcff",
            "{}/a?b",
        )
    ],
    *[
        ("query", {}, "text", value)
        for value in ("\udcff", "", "[MASK]" * 100, "\x1b[2J", "a\0b", "x" * 100_000)
    ],
]


def _option(program, flags, name, value) -> Attack:
    def make(directory):
        (directory / "in.tsv").write_text(
            "text\tlabel\n" + "a fine day\tgood\na bad day\tbad\n" * 4
        )

    output = flags.get("output", "").removeprefix("{}/") or None
    if program in ("finetune", "pretrain"):  # a run that has begun keeps its reports
        output = f"{output}/model"
    shown = value if len(value) < 60 else f"{value[:20]}... of {len(value)}"
    if name == "output":
        output = None
    return Attack(
        "options",
        f"{program} {' '.join(flags.get('format', '').split())} --{name}={shown!r}",
        make,
        program,
        {**flags, name: value},
        output=output,
    )


# === Exports ===


def exports(bases, rng: random.Random, count: int) -> Iterator[Attack]:
    """Queries of a damaged SavedModel."""
    base = bases / "export"
    names = [str(path.relative_to(base)) for path in sorted(base.rglob("*")) if path.is_file()]
    for name in names:
        for title, data in {
            "empty": b"",
            "zeros": bytes(5000),
            "text": b"hello",
            "half": (base / name).read_bytes()[: (base / name).stat().st_size // 2],
        }.items():
            yield _export(base, f"{name}: {title}", with_file(base, name, data))
        yield _export(
            base,
            f"no {name}",
            _with_change(base, lambda d, n=name: (d / n).unlink()),
            REFUSED if "fingerprint" not in name else ANY,
        )
        yield _export(
            base,
            f"{name} is a directory",
            _with_change(base, lambda d, n=name: ((d / n).unlink(), (d / n).mkdir())),
        )
    metadata = json.loads((base / "1/assets.extra/kerasbert.json").read_text())
    for path in mutate.positions(metadata):
        for title in (
            "null",
            "zero",
            "a list",
            "an object",
            "escapes",
            "200,000 deep",
            "5,000 digits",
        ):
            text = mutate.replaced(metadata, path, mutate.VALUES[title]).encode()
            yield _export(
                base,
                f"metadata: {mutate.shown(path)} = {title}",
                with_file(base, "1/assets.extra/kerasbert.json", text),
            )
    for title, data in mutate.whole_files(metadata).items():
        yield _export(
            base, f"metadata: {title}", with_file(base, "1/assets.extra/kerasbert.json", data)
        )
    for title in ("2", "02", "9" * 30, "٣", "x", "-1"):
        yield _export(
            base, f"a directory {title}", _with_change(base, lambda d, n=title: (d / n).mkdir())
        )
    for number in range(count):
        name = rng.choice(names)
        title, data = mutate.damaged((base / name).read_bytes(), rng)
        yield _export(base, f"{number}: {name}: {title}", with_file(base, name, data))


def _export(base, title, make, expect=ANY) -> Attack:
    flags = {"saved_model": "{}/export", "text": ["a fine day", "a bad day"]}
    return Attack("exports", title, make, "query", flags, expect)


# === Run directories ===


def runs(bases, rng: random.Random, count: int) -> Iterator[Attack]:
    """Resuming an interrupted run in a damaged directory."""
    base = bases / RUN
    names = [str(path.relative_to(base)) for path in sorted(base.rglob("*")) if path.is_file()]
    json_names = [name for name in names if name.endswith((".json", ".jsonl"))]
    for name in json_names:
        sound = (base / name).read_bytes()
        changes = {
            "empty": b"",
            "half a line": sound[:-5],
            "garbage behind": sound + b"\xff\0garbage",
            "a list": b"[]\n",
            "a line of numbers": sound + b"3\nnull\n",
            "100,000 deep": b"[" * 100_000,
            "escapes": b'{"\x1b[2J": 1}\n',
            "NUL": bytes(100),
        }
        for title, data in changes.items():
            yield _run(base, f"{name}: {title}", with_file(base, name, data))
    checkpoints = sorted(
        {str(pathlib.Path(name).parent) for name in names if name.startswith("checkpoints/step-")}
    )
    for title, change in {
        "no newest checkpoint": lambda d: shutil.rmtree(d / checkpoints[-1]),
        "no checkpoints": lambda d: shutil.rmtree(d / "checkpoints"),
        "checkpoints that are a file": lambda d: (
            shutil.rmtree(d / "checkpoints"),
            (d / "checkpoints").write_text("x"),
        ),
        "a checkpoint of another name": lambda d: (d / checkpoints[-1]).rename(
            d / "checkpoints/step-9999999999"
        ),
        "the oldest as the newest": lambda d: shutil.copytree(
            d / checkpoints[0], d / "checkpoints/step-0000000050"
        ),
        "no settings": lambda d: (d / "config.json").unlink(),
        "no reports": lambda d: (d / "metrics.jsonl").unlink(missing_ok=True),
        "an unfinished checkpoint of a dead process": lambda d: (
            d / "checkpoints/.step-0000000050.999999.tmp"
        ).mkdir(),
        "a model that is a file": lambda d: (d / "model").write_text("x"),
        "an empty model": lambda d: (d / "model").mkdir(),
    }.items():
        yield _run(base, title, _with_change(base, change), ANY)
    for number in range(count):
        name = rng.choice(rng.choice([names, json_names]))
        data = (base / name).read_bytes()
        if not data:
            continue
        title, data = mutate.damaged(data, rng)
        yield _run(base, f"{number}: {name}: {title}", with_file(base, name, data))


def _run(base, title, make, expect=SAME) -> Attack:
    return Attack(
        "run directories", title, make, "finish_run", {"input": RUN}, expect, copied(base)
    )
