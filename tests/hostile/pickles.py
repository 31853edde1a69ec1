"""Attacks on `pytorch_model.bin`, written opcode by opcode."""

import functools
import io
import json
import os
import pickle
import random
import struct
import zipfile
from collections.abc import Iterator

import mutate
from attack import CANARY, REFUSED, Attack
from goldens import GOLDENS
from harness import copied, with_file
from safetensors.numpy import load_file

_MODEL = GOLDENS / "huggingface" / "bert"
_FILE = "pytorch_model.bin"
_MAGIC, _PROTOCOL = 0x1950A86A20F9469CFC6C, 1001

# === A small assembler ===

STOP, MARK, DUP, NONE, EMPTY_TUPLE = b".", b"(", b"2", b"N", b")"
TUPLE, TUPLE1, TUPLE2, REDUCE, BUILD, BINPERSID = b"t", b"\x85", b"\x86", b"R", b"b", b"Q"


def const(value) -> bytes:
    """Returns opcodes that push a number, string, tuple, list, dict or None."""
    return pickle.dumps(value, 2)[2:-1]


def name(module: str, attribute: str) -> bytes:
    """Returns opcodes that push an attribute of a module."""
    return f"c{module}\n{attribute}\n".encode()


def tuple_of(*parts: bytes) -> bytes:
    return MARK + b"".join(parts) + TUPLE


def call(function: bytes, *arguments: bytes) -> bytes:
    return function + tuple_of(*arguments) + REDUCE


def dict_of(*pairs: bytes) -> bytes:
    return b"}" + MARK + b"".join(pairs) + b"u"


def storage(key, count, kind="FloatStorage") -> bytes:
    parts = [const("storage"), name("torch", kind), const(key), const("cpu"), const(count)]
    return tuple_of(*parts) + BINPERSID


def tensor(stored: bytes, offset, shape, strides) -> bytes:
    function = name("torch._utils", "_rebuild_tensor_v2")
    hooks = call(name("collections", "OrderedDict"))
    view = [const(offset), const(shape), const(strides)]
    return call(function, stored, *view, const(False), hooks)


def program(*parts: bytes) -> bytes:
    return b"\x80\x02" + b"".join(parts) + STOP


def zipped(data: bytes, storages: dict, root="archive", **more) -> bytes:
    """Returns a file as PyTorch 1.6 and later write it."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", more.pop("compression", zipfile.ZIP_STORED)) as archive:
        archive.writestr(f"{root}/data.pkl", data)
        archive.writestr(f"{root}/byteorder", "little")
        for key, content in storages.items():
            archive.writestr(f"{root}/data/{key}", content)
        for path, content in more.items():
            archive.writestr(path, content)
    return file.getvalue()


def legacy(data: bytes, storages: dict) -> bytes:
    """Returns a file as earlier versions of PyTorch wrote it."""
    machine = {"protocol_version": _PROTOCOL, "little_endian": True, "type_sizes": {}}
    heads = [pickle.dumps(value, 2) for value in (_MAGIC, _PROTOCOL, machine)]
    keys = pickle.dumps(list(storages), 2)
    bodies = [struct.pack("<q", len(content) // 4) + content for content in storages.values()]
    return b"".join([*heads, data, keys, *bodies])


@functools.cache
def _sound() -> tuple[bytes, dict]:
    """Returns the state dict of a small model, and its storages."""
    arrays = load_file(_MODEL / "model.safetensors")
    pairs, storages = [], {}
    for number, (key, array) in enumerate(arrays.items()):
        strides = tuple(step // array.itemsize for step in array.strides)
        view = tensor(storage(str(number), array.size), 0, array.shape, strides)
        pairs += [const(key), view]
        storages[str(number)] = array.tobytes()
    return program(dict_of(*pairs)), storages


# === Attacks ===


def attacks(bases, rng: random.Random, count: int) -> Iterator[Attack]:
    """Yields all listed attacks, and `count` random ones."""
    for title, data in _listed().items():
        yield _attack(title, data, REFUSED)
    yield from _special_files()
    wholes = {"zip": zipped(*_sound()), "legacy": legacy(*_sound())}
    for number in range(count):
        how = rng.choice(["damaged", "pickle", "pickle", "program", "program", "program", "view"])
        if how == "damaged":
            which = rng.choice(list(wholes))
            title, data = mutate.damaged(wholes[which], rng)
            title = f"{which}: {title}"
        elif how == "pickle":
            fault, damaged = mutate.damaged(_sound()[0], rng)
            title, data = f"data.pkl: {fault}", _either(damaged, rng)
        elif how == "program":
            title, data = "opcodes at random", _either(program(_random_opcodes(rng)), rng)
        else:
            title, data = _random_view(rng)
        yield _attack(f"{number}: {title}", data)


def _either(data: bytes, rng: random.Random) -> bytes:
    return rng.choice([zipped, legacy])(data, _sound()[1])


def _attack(title, data, expect="any") -> Attack:
    def make(directory):
        with_file(_MODEL, _FILE, data)(directory)
        (directory / _MODEL.name / "model.safetensors").unlink()

    flags = {"input": f"{{}}/{_MODEL.name}"}
    return Attack("pickles", title, make, "load_model", flags, expect)


def _special_files() -> Iterator[Attack]:
    makers = {
        "a FIFO": os.mkfifo,
        "/dev/zero": lambda path: path.symlink_to("/dev/zero"),
        "/dev/urandom": lambda path: path.symlink_to("/dev/urandom"),
        "/dev/stdin": lambda path: path.symlink_to("/dev/stdin"),
        "a directory": os.mkdir,
        "a link to itself": lambda path: path.symlink_to(path.name),
        "a link to nothing": lambda path: path.symlink_to("nothing"),
        "a sparse file of 100 GB": _sparse,
        "/proc/self/mem": lambda path: path.symlink_to("/proc/self/mem"),
    }
    for file, kind in (
        (_FILE, "pickles"),
        ("model.safetensors", "safetensors"),
        ("config.json", "JSON settings"),
        ("vocab.txt", "tokenizer files"),
    ):
        for title, maker in makers.items():
            yield _special(kind, file, title, maker)


def _special(kind, file, title, maker) -> Attack:
    def make(directory):
        copied(_MODEL)(directory)
        path = directory / _MODEL.name / file
        if file == _FILE:
            (path.parent / "model.safetensors").unlink()
        path.unlink(missing_ok=True)
        maker(path)

    program = "load_tokenizer" if file == "vocab.txt" else "load_model"
    flags = {"input": f"{{}}/{_MODEL.name}"}
    return Attack(kind, f"{file} is {title}", make, program, flags, REFUSED)


def _sparse(path) -> None:
    with open(path, "wb") as file:
        file.truncate(100 * 10**9)


def _nested(depth: int) -> bytes:
    return EMPTY_TUPLE + (DUP + TUPLE2) * depth


def _listed() -> dict[str, bytes]:
    """Returns files that must be refused, by what is wrong."""
    canary = [const(CANARY)]
    sound, storages = _sound()
    one = {"0": bytes(4)}
    float32 = storage("0", 1)

    def state(stored, *view, data=one):
        return zipped(program(dict_of(const("embeddings.x"), tensor(stored, *view))), data)

    alone = {
        # Code.
        "os.mkdir": call(name("os", "mkdir"), *canary),
        "posix.mkdir": call(name("posix", "mkdir"), *canary),
        "builtins.open": call(name("builtins", "open"), *canary, const("w")),
        "builtins.eval": call(name("builtins", "eval"), const(f"open({CANARY!r}, 'w')")),
        "os.system": call(name("os", "system"), const(f"touch {CANARY}")),
        "nt.system": call(name("nt", "system"), const(f"touch {CANARY}")),
        "subprocess.call": call(name("subprocess", "call"), const(["touch", CANARY])),
        "runpy.run_path": call(name("runpy", "run_path"), const("/etc/passwd")),
        "numpy.load": call(name("numpy", "load"), const("/etc/passwd")),
        "torch.load": call(name("torch", "load"), const("/etc/passwd")),
        "torch.storage._load_from_bytes": call(
            name("torch.storage", "_load_from_bytes"), const(b"x")
        ),
        "a dotted name": call(b"\x8c\x0bcollections\x8c\x14OrderedDict.__init__\x93", const(1)),
        "collections.OrderedDict.fromkeys": call(
            b"\x8c\x0bcollections\x8c\x14OrderedDict.fromkeys\x93", const(range(3))
        ),
        "INST": MARK + const(CANARY) + b"ios\nmkdir\n",
        "OBJ": MARK + name("os", "mkdir") + const(CANARY) + b"o",
        "NEWOBJ of a name": name("torch", "FloatStorage") + EMPTY_TUPLE + b"\x81",
        "NEWOBJ_EX": name("collections", "OrderedDict") + EMPTY_TUPLE + b"}\x92",
        "BUILD on a name": name("torch", "FloatStorage") + const({"dtype": "O"}) + BUILD,
        "BUILD on a dict": call(name("collections", "OrderedDict")) + const({"get": 1}) + BUILD,
        "BUILD with slots": call(name("collections", "OrderedDict"))
        + tuple_of(NONE, const({"__class__": 1}))
        + BUILD,
        "a storage that is called": call(name("torch", "FloatStorage"), const(10**9)),
        "an extension": b"\x82\x01",
        "4 bytes of extension": b"\x84\xff\xff\xff\x7f",
        # What the interpreter does in C, for as long as it is told to.
        "30 nested tuples as a key": b"}" + _nested(30) + NONE + b"s",
        "60 nested tuples as a key": b"}" + _nested(60) + NONE + b"s",
        "60 nested tuples as a member": b"\x8f" + MARK + _nested(60) + b"\x90",
        "60 nested tuples as a frozen member": MARK + _nested(60) + b"\x91",
        "60 nested tuples as a name": call(name("collections", "OrderedDict"))
        + _nested(60)
        + NONE
        + b"s",
        "nested tuples as the key of a storage": tuple_of(
            const("storage"), name("torch", "FloatStorage"), _nested(60), const("cpu"), const(1)
        )
        + BINPERSID,
        "nested frozensets": (MARK + b"\x91")
        + (DUP + TUPLE2 + b"q\x000h\x00" + MARK + b"h\x00\x91") * 40,
        "a list in itself": b"]" + DUP + b"a",
        "a dict in itself": b"}" + const("a") + b"h\x00" + b"s",
        "memo of 2^31": const(1) + b"r\xff\xff\xff\x7f",
        "memo of 2^62 in text": const(1) + b"p4611686018427387904\n",
        "memo that is not there": b"j\x00\x00\x00\x10",
        "100,000 MARKs": MARK * 100_000,
        "100,000 nested tuples": EMPTY_TUPLE + TUPLE1 * 100_000,
        "100,000 nested lists": b"]" * 100_000 + b"a" * 99_999,
        "a string of 2^62": b"\x8d" + struct.pack("<Q", 1 << 62) + b"abc",
        "bytes of 2^40": b"\x8e" + struct.pack("<Q", 1 << 40) + b"abc",
        "a bytearray of 2^40": b"\x96" + struct.pack("<Q", 1 << 40) + b"abc",
        "a bytearray of 2^33": b"\x96" + struct.pack("<Q", 1 << 33) + b"abc",
        "a frame of 2^62": b"\x95" + struct.pack("<Q", 1 << 62) + const(1),
        "a number of 100,000 digits": b"I" + b"9" * 100_000 + b"\n",
        "a long of 1 MB": b"\x8b" + struct.pack("<I", 1 << 20) + b"\x7f" * (1 << 20),
        "a long of negative length": b"\x8b\xff\xff\xff\xff" + b"x",
        "NEXT_BUFFER": b"\x97",
        "READONLY_BUFFER": const(b"x") + b"\x98",
        "an empty stack": b"0",
        "nothing": b"",
        "a string": const("a state dict"),
        "a list of tensors": MARK + tensor(float32, 0, (1,), (1,)) + b"l",
        "a key that is no string": dict_of(const(3), tensor(float32, 0, (1,), (1,))),
        "a tuple as key": dict_of(const((1, 2)), tensor(float32, 0, (1,), (1,))),
        "None as tensor": dict_of(const("a"), NONE),
        "a storage as tensor": dict_of(const("a"), float32),
        "a persistent id that is a string": const("storage") + BINPERSID,
        "a persistent id in text": b"Pstorage\n",
        "a persistent id of numbers": const((1, 2, 3, 4, 5)) + BINPERSID,
        "a persistent id that is a dict": b"}" + BINPERSID,
        "the name of a tensor with escapes": dict_of(const("\x1b[2J\n\x1b]0;x\x07"), const(1)),
        "a module with escapes": name("\x1b[2Jos", "\x1b]0;mkdir\x07"),
        "a module of 1 MB": name("m" * (1 << 20), "x"),
        "the name of a tensor of 1 MB": dict_of(const("n" * (1 << 20)), const(1)),
    }
    found = {f"{title} (zip)": zipped(program(code), one) for title, code in alone.items()}
    some = list(alone.items())[::3]
    found |= {f"{title} (legacy)": legacy(program(code), one) for title, code in some}
    views = {
        "stride 0": (0, (40_000, 40_000), (0, 0)),
        "stride 0 of 10^18": (0, (10**9, 10**9), (0, 0)),
        "overflow": (0, (1 << 62, 4), (1, 1 << 62)),
        "negative offset": (-1, (1,), (1,)),
        "negative stride": (0, (2,), (-1,)),
        "negative shape": (0, (-1,), (1,)),
        "shape of booleans": (0, (True,), (1,)),
        "shape of floats": (0, (1.0,), (1,)),
        "shape of strings": (0, ("1",), (1,)),
        "shape that is a number": (0, 1, 1),
        "shape and strides of different lengths": (0, (1, 1), (1,)),
        "100 dimensions": (0, (1,) * 100, (1,) * 100),
        "no elements of 2^62": (0, (0, 1 << 62), (1, 1)),
        "beyond the end": (1, (1,), (1,)),
        "offset 2^63": (1 << 63, (1,), (1,)),
        "stride 2^63 of one": (0, (1,), (1 << 63,)),
    }
    found |= {f"view: {title}": state(float32, *view) for title, view in views.items()}
    found["a storage larger than its data"] = state(storage("0", 10**9), 0, (10**9,), (1,))
    found["a storage of negative size"] = state(storage("0", -1), 0, (1,), (1,))
    found["a storage of a path"] = state(storage("../../../../etc/passwd", 1), 0, (1,), (1,))
    found["a storage of an unknown type"] = state(storage("0", 1, "FileStorage"), 0, (1,), (1,))
    found["a quantized storage"] = state(storage("0", 1, "QInt8Storage"), 0, (1,), (1,))
    found["a storage that is not there"] = state(storage("7", 1), 0, (1,), (1,))
    found["two data.pkl"] = zipped(sound, storages, **{"other/data.pkl": sound})
    found["no data.pkl"] = zipped(sound, storages).replace(b"data.pkl", b"data.pkx")
    found["compressed zeros"] = zipped(
        sound, {**storages, "99": bytes(50 << 20)}, compression=zipfile.ZIP_DEFLATED
    )
    found["bzip2"] = zipped(
        sound, {**storages, "99": bytes(9 << 20)}, compression=zipfile.ZIP_BZIP2
    )
    found["a zip of nothing"] = zipped(b"", {})
    found["a zip in a zip"] = zipped(zipped(sound, storages), storages)
    whole = zipped(sound, storages)
    found["an end record alone"] = b"PK\x05\x06" + bytes(18)
    found["100,000 members"] = (
        whole[:-22] + b"PK\x05\x06" + struct.pack("<HHHHIIH", 0, 0, 65535, 65535, 0xFFFFFFF, 0, 0)
    )
    found["an encrypted member"] = _flagged(whole, 1)
    found["a member of 2^32"] = whole.replace(struct.pack("<I", len(sound)), b"\xff\xff\xff\xff")
    found["another magic number"] = legacy(sound, storages).replace(b"lz\xf9", b"lz\xf8", 1)[:200]
    found["a tar of PyTorch 0.1"] = b"storages" + bytes(600)
    found["HTML"] = b"<!DOCTYPE html><html>Access denied</html>"
    found["a pointer of Git LFS"] = (
        b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"
    )
    found["JSON"] = json.dumps({"embeddings.x": [1.0]}).encode()
    found["empty"] = b""
    return found


def _flagged(data: bytes, flag: int) -> bytes:
    changed, at = bytearray(data), -1
    while (at := data.find(b"PK\x01\x02", at + 1)) >= 0:
        changed[at + 8] |= flag
    return bytes(changed)


def _random_view(rng: random.Random) -> tuple[str, bytes]:
    numbers = [0, 1, 2, 16, 40, 640, -1, 1 << 31, 1 << 62, 1 << 64]
    dims = rng.randrange(4)
    view = (
        rng.choice(numbers),
        tuple(rng.choice(numbers) for _ in range(dims)),
        tuple(rng.choice(numbers) for _ in range(rng.choice([dims, dims, dims, dims + 1]))),
    )
    count = rng.choice([640, 640, 640, *numbers])
    pairs = [const("embeddings.word_embeddings.weight"), tensor(storage("0", count), *view)]
    data = _either(program(dict_of(*pairs)), rng)
    return f"view {view} of {count}", data


def _random_opcodes(rng: random.Random) -> bytes:
    """Returns mostly sensible opcodes, so that the interpreter gets far."""
    steps = [
        lambda: const(
            rng.choice(
                [0, 1, -1, 640, 1 << 40, 1 << 200, 1.5, "a", "storage", "cpu", b"x", True, None]
            )
        ),
        lambda: rng.choice([EMPTY_TUPLE, b"]", b"}", b"\x8f", NONE]),
        lambda: rng.choice([TUPLE1, TUPLE2, b"\x87"]),
        lambda: DUP,
        lambda: DUP + TUPLE2,
        lambda: (DUP + TUPLE2) * rng.choice([5, 25, 40]),
        lambda: MARK,
        lambda: rng.choice([TUPLE, b"l", b"d", b"\x90", b"\x91", b"e", b"u"]),
        lambda: rng.choice([b"a", b"s", REDUCE, BUILD, BINPERSID, b"\x81", b"o", b"0", b"1"]),
        lambda: b"q" + bytes([rng.randrange(8)]),
        lambda: b"h" + bytes([rng.randrange(8)]),
        lambda: b"\x94",
        lambda: name(*rng.choice(_NAMES)),
        lambda: call(name("collections", "OrderedDict")),
        lambda: storage(rng.choice(["0", "1", "x", 0, None]), rng.choice([640, 1, 0, -1, "1"])),
        lambda: tensor(storage("0", 640), 0, (40, 16), (16, 1)),
        lambda: const("embeddings.word_embeddings.weight"),
        lambda: bytes([rng.randrange(256)]),
        lambda: rng.randbytes(rng.randrange(1, 9)),
    ]
    return b"".join(rng.choice(steps)() for _ in range(rng.randrange(2, 60)))


_NAMES = [
    ("collections", "OrderedDict"),
    ("torch", "FloatStorage"),
    ("torch._utils", "_rebuild_tensor_v2"),
    ("torch._utils", "_rebuild_parameter"),
    ("builtins", "list"),
    ("os", "system"),
]
