"""Attacks on safetensors, HDF5 and TensorFlow 1 checkpoints."""

import functools
import io
import json
import random
import shutil
import struct
from collections.abc import Iterator

import h5py
import mutate
import numpy as np
from attack import ANY, REFUSED, SAME, Attack
from goldens import GOLDENS
from harness import copied, with_file
from safetensors.numpy import load, save

_ESCAPES = "\x1b[2J\x1b]0;x\x07\nerror: all is well"

# === safetensors ===

_HF = GOLDENS / "huggingface" / "bert"
_FILE = "model.safetensors"
_BIAS = "encoder.layer.1.output.dense.bias"


def safetensors(bases, rng: random.Random, count: int) -> Iterator[Attack]:
    """Yields all listed attacks, and `count` random ones."""
    sound = (_HF / _FILE).read_bytes()
    for title, data in _listed_safetensors(sound).items():
        yield _safetensors(_HF, title, data, REFUSED)
    native = bases / "classifier"
    native_sound = (native / _FILE).read_bytes()
    for number in range(count):
        which = rng.choice(["native", "Hugging Face", "header", "header"])
        if which == "native":
            title, data = mutate.damaged(native_sound, rng)
            yield _safetensors(native, f"{number}: native: {title}", data, SAME, copied(native))
            continue
        if which == "header":
            title, data = _other_header(sound, rng)
        else:
            title, data = mutate.damaged(sound, rng)
        yield _safetensors(_HF, f"{number}: {which}: {title}", data)


def _safetensors(base, title, data, expect=ANY, unharmed=None) -> Attack:
    make = with_file(base, _FILE, data)
    flags = {"input": f"{{}}/{base.name}"}
    return Attack("safetensors", title, make, "load_model", flags, expect, unharmed)


def _split(data: bytes) -> tuple[dict, bytes]:
    (length,) = struct.unpack("<Q", data[:8])
    return json.loads(data[8 : 8 + length]), data[8 + length :]


def _joined(header, body: bytes) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + body


def _other_header(sound: bytes, rng: random.Random) -> tuple[str, bytes]:
    header, body = _split(sound)
    if rng.random() < 0.3:
        title, text = mutate.damaged(json.dumps(header).encode(), rng)
        return title, _joined(text, body)
    path = rng.choice(list(mutate.positions(header)))
    value = rng.choice(list(mutate.VALUES))
    text = mutate.replaced(header, path, mutate.VALUES[value])
    return f"{mutate.shown(path)} = {value}", _joined(text.encode(), body)


def _listed_safetensors(sound: bytes) -> dict[str, bytes]:
    header, body = _split(sound)
    first, second = [name for name in header if name != "__metadata__"][:2]

    def entry(**change):
        return _joined({**header, first: {**header[first], **change}}, body)

    def named(name, **facts):
        array = {"dtype": "F32", "shape": [0], "data_offsets": [len(body)] * 2, **facts}
        return _joined({**header, name: array}, body)

    tensors = load(sound)
    begin, end = header[first]["data_offsets"]
    found = {
        f"type {dtype}": entry(dtype=dtype)
        for dtype in (
            "F8_E4M3",
            "F8_E5M2",
            "F8_E8M0",
            "F4",
            "F6_E2M3",
            "C64",
            "U64",
            "BOOL",
            "f32",
            "F128",
            "O",
            "",
            "F32\u0000",
        )
    }
    found |= {
        "F8 of the right size": _of_type(tensors, "F8_E4M3", 1),
        "F8_E5M2 of the right size": _of_type(tensors, "F8_E5M2", 1),
        "C64 of the right size": _of_type(tensors, "C64", 8),
        "F4 of half the size": _of_type(tensors, "F4", 0.5),
        "a header of 2^63": b"\xff" * 8 + sound[8:],
        "a header of 100 MB": struct.pack("<Q", 100_000_000) + sound[8:],
        "a header of no bytes": bytes(8),
        "eight bytes": sound[:8],
        "a header of white space": struct.pack("<Q", 1000) + b" " * 1000,
        "offsets the wrong way round": entry(data_offsets=[end, begin]),
        "negative offsets": entry(data_offsets=[-4, end]),
        "offsets beyond the end": entry(data_offsets=[len(body), len(body) + end - begin]),
        "offsets of 2^63": entry(data_offsets=[1 << 63, (1 << 63) + end - begin]),
        "offsets as fractions": entry(data_offsets=[begin + 0.5, end + 0.5]),
        "one offset": entry(data_offsets=[begin]),
        "the same bytes twice": entry(data_offsets=header[second]["data_offsets"]),
        "a shape of 2^62": entry(shape=[1 << 62, 1 << 62]),
        "a shape that overflows to the right size": entry(shape=[1 << 32, 1 << 32, 0]),
        "a negative shape": entry(shape=[-1]),
        "100,000 dimensions": entry(shape=[1] * 100_000),
        "100 dimensions of 1": entry(shape=[*[1] * 100, *header[first]["shape"]]),
        "no shape": _joined({**header, first: {"dtype": "F32"}}, body),
        "a tensor that is a list": _joined({**header, first: [1, 2]}, body),
        "metadata that is a list": _joined({**header, "__metadata__": [1]}, body),
        "bytes behind the last tensor": sound + bytes(64),
        "a gap": _joined(header, body[:-4]),
        "a name with escapes": named(f"encoder.{_ESCAPES}"),
        "a name of 1 MB": named("encoder." + "n" * (1 << 20)),
        "20,000 tensors": _joined(
            {
                **header,
                **{
                    f"encoder.x{i}": {"dtype": "F32", "shape": [0], "data_offsets": [len(body)] * 2}
                    for i in range(20_000)
                },
            },
            body,
        ),
        "UTF-16": _joined(json.dumps(header).encode("utf-16"), body),
        "a header that is a list": _joined(b"[]", body),
        "100,000 deep": _joined(b'{"a":' * 100_000, body),
        "a number of 5,000 digits": _joined(
            json.dumps(header).replace(str(end), "9" * 5000).encode(), body
        ),
        "a pickle": b"\x80\x02}q\x00.",
        "a zip": b"PK\x03\x04" + bytes(100),
        "HDF5": b"\x89HDF\r\n\x1a\n" + bytes(100),
        "all NaN in no bytes": save({_BIAS: np.zeros(0, "float32")}),
        "scalars": save({name: np.ones((), "float32") for name in tensors}),
        "integers": save({name: array.astype("int64") for name, array in tensors.items()}),
        "booleans": save({name: array > 0 for name, array in tensors.items()}),
        "one axis more": save({name: array[None] for name, array in tensors.items()}),
        "a missing tensor": save({k: v for k, v in tensors.items() if k != _BIAS}),
        "one of another shape": save({**tensors, _BIAS: np.zeros(3, "float32")}),
        "one more": save({**tensors, "encoder.colour": np.zeros(3, "float32")}),
        "one with nothing": save({**tensors, _BIAS: np.zeros((0, 16), "float32")}),
        "a layer of 10^9": save(
            {**tensors, "encoder.layer.1000000000.output.dense.bias": np.zeros(16, "float32")}
        ),
        "a layer of 5,000 digits": save(
            {**tensors, f"encoder.layer.{'9' * 5000}.output.dense.bias": np.zeros(16, "float32")}
        ),
        "a layer of Arabic digits": save(
            {**tensors, "encoder.layer.\u0661.output.dense.bias": np.zeros(16, "float32")}
        ),
    }
    return found


def _of_type(tensors: dict, dtype: str, width: float) -> bytes:
    header, at = {}, 0
    for name, array in tensors.items():
        size = int(array.size * width)
        header[name] = {"dtype": dtype, "shape": list(array.shape), "data_offsets": [at, at + size]}
        at += size
    return _joined(header, bytes(at))


# === HDF5 ===


def hdf5(bases, rng: random.Random, count: int) -> Iterator[Attack]:
    """Yields all listed attacks, and `count` random ones."""
    tf_models = [path for path in sorted((GOLDENS / "tf_h5").iterdir()) if path.is_dir()]
    for base, file in (
        (bases / "kerashub", "model.weights.h5"),
        (bases / "kerashub", "task.weights.h5"),
        (tf_models[1], "tf_model.h5"),
    ):
        for title, change in _H5_CHANGES.items():
            yield _h5(base, file, title, _changed(base / file, change))
        for title, data in _NO_H5.items():
            yield _h5(base, file, title, data, REFUSED)
    files = [(bases / "kerashub", "model.weights.h5"), (bases / "kerashub", "task.weights.h5")]
    files += [(model, "tf_model.h5") for model in tf_models]
    for number in range(count):
        base, file = rng.choice(files)
        title, data = mutate.damaged((base / file).read_bytes(), rng)
        if rng.random() < 0.5:  # the metadata are at the beginning
            begin = (base / file).read_bytes()
            title, head = mutate.damaged(begin[:8192], rng)
            data = head + begin[8192:]
        yield _h5(base, file, f"{number}: {title}", data)


def _h5(base, file, title, data, expect=ANY) -> Attack:
    flags = {"input": f"{{}}/{base.name}"}
    title = f"{base.name}/{file}: {title}"
    return Attack("HDF5", title, with_file(base, file, data), "load_model", flags, expect)


_NO_H5 = {
    "empty": b"",
    "its first bytes": b"\x89HDF\r\n\x1a\n",
    "zeros": bytes(10_000),
    "JSON": b"{}",
    "HTML": b"<html>",
    "a user block of 2^20": bytes(1 << 20) + b"\x89HDF\r\n\x1a\n",
}


@functools.cache
def _changed(path, change) -> bytes:
    file = io.BytesIO(path.read_bytes())
    with h5py.File(file, "r+") as h5:
        names = []
        h5.visititems(
            lambda name, item: (
                names.append(name) if isinstance(item, h5py.Dataset) and item.ndim else None
            )
        )
        change(h5, names[0])
    return file.getvalue()


def _instead(make):
    def change(h5, name):
        shape = h5[name].shape
        del h5[name]
        make(h5, name, shape)

    return change


def _virtual(h5, name, shape):
    layout = h5py.VirtualLayout(shape, "f4")
    layout[...] = h5py.VirtualSource("/etc/passwd", "x", shape)
    h5.create_virtual_dataset(name, layout)


def _loop(h5, name):
    h5["loop"] = h5["/"]
    h5["a/b"] = h5py.SoftLink("/a")


_H5_CHANGES = {
    "a dataset of strings": _instead(lambda h, n, s: h.create_dataset(n, s, h5py.string_dtype())),
    "a dataset of fixed strings": _instead(lambda h, n, s: h.create_dataset(n, s, "S10")),
    "a dataset of records": _instead(lambda h, n, s: h.create_dataset(n, s, [("a", "f4")])),
    "a dataset of references": _instead(lambda h, n, s: h.create_dataset(n, s, h5py.ref_dtype)),
    "a dataset of lists": _instead(lambda h, n, s: h.create_dataset(n, s, h5py.vlen_dtype("f4"))),
    "an enumeration": _instead(lambda h, n, s: h.create_dataset(n, s, h5py.enum_dtype({"a": 1}))),
    "complex numbers": _instead(lambda h, n, s: h.create_dataset(n, s, "c8")),
    "integers": _instead(lambda h, n, s: h.create_dataset(n, s, "i8")),
    "half precision": _instead(lambda h, n, s: h.create_dataset(n, s, "f2")),
    "no elements": _instead(lambda h, n, s: h.create_dataset(n, (0, *s[1:]), "f4")),
    "nothing": _instead(lambda h, n, s: h.create_dataset(n, dtype="f4")),
    "a scalar": _instead(lambda h, n, s: h.create_dataset(n, data=np.float32(1))),
    "10^12 elements that are not there": _instead(
        lambda h, n, s: h.create_dataset(n, (10**6, 10**6), "f4", chunks=(1000, 1000))
    ),
    "2^63 elements that are not there": _instead(
        lambda h, n, s: h.create_dataset(n, (1 << 31, 1 << 30), "f8", chunks=(8, 8))
    ),
    "4 GB of compressed zeros": _instead(
        lambda h, n, s: h.create_dataset(n, (10**6, 1000), "f4", chunks=(1000, 1000), compression=9)
    ),
    "NaN": _instead(lambda h, n, s: h.create_dataset(n, s, "f4", fillvalue=np.nan)),
    "the bytes of /etc/passwd": _instead(
        lambda h, n, s: h.create_dataset(
            n, s, "f4", external=[("/etc/passwd", 0, h5py.h5f.UNLIMITED)]
        )
    ),
    "a virtual dataset of another file": _instead(_virtual),
    "a link to another file": _instead(
        lambda h, n, s: h.__setitem__(n, h5py.ExternalLink("/etc/passwd", "/x"))
    ),
    "a link to nothing": _instead(lambda h, n, s: h.__setitem__(n, h5py.SoftLink("/nothing"))),
    "a link to itself": _instead(lambda h, n, s: h.__setitem__(n, h5py.SoftLink("/" + n))),
    "a group": _instead(lambda h, n, s: h.create_group(n)),
    "a missing dataset": lambda h5, name: h5.__delitem__(name),
    "a group in itself": _loop,
    "5,000 groups": lambda h5, name: [h5.create_group(f"g{i}") for i in range(5000)],
    "500 groups in one another": lambda h5, name: h5.create_group("/".join("g" * 500)),
    "a name with escapes": lambda h5, name: h5.create_dataset(_ESCAPES, data=np.zeros(3, "f4")),
    "a name of 60,000 letters": lambda h5, name: h5.create_dataset(
        "n" * 60_000, data=np.zeros(3, "f4")
    ),
    "strings with a name with escapes": lambda h5, name: h5.create_dataset(_ESCAPES, data="x"),
    "attributes of lists": lambda h5, name: h5.attrs.__setitem__("weight_names", np.zeros(100)),
}

# === TensorFlow 1 ===

_INDEX, _DATA = "bert_model.ckpt.index", "bert_model.ckpt.data-00000-of-00001"


def make_tf1(bases) -> None:
    """Writes checkpoints with tensors that no BERT has; needs TensorFlow."""
    import tensorflow as tf

    prefix = str(bases / "google_filler" / "bert_model.ckpt")
    reader = tf.train.load_checkpoint(prefix)
    sound = {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()}
    for title, tensors in _tf1_variants(sound).items():
        target = bases / "tf1" / title
        shutil.copytree(bases / "google_filler", target)
        tf.raw_ops.SaveV2(
            prefix=str(target / "bert_model.ckpt"),
            tensor_names=sorted(tensors),
            shape_and_slices=[""] * len(tensors),
            tensors=[tf.constant(tensors[name]) for name in sorted(tensors)],
        )


def _tf1_variants(sound: dict) -> dict[str, dict]:
    bias = "bert/encoder/layer_0/output/dense/bias"
    word = "bert/embeddings/word_embeddings"
    layer = "bert/encoder/layer_{}/output/dense/bias"
    return {
        "strings": {**sound, bias: np.array([b"x"] * 8)},
        "a string": {**sound, bias: np.array(b"\x1b[2J\n" * 1000)},
        "strings beside": {**sound, "global_step": np.array(b"x")},
        "all strings": {name: np.array(b"x") for name in sound},
        "integers": {**sound, bias: np.zeros(8, "int32")},
        "complex": {**sound, bias: np.zeros(8, "complex64")},
        "booleans": {**sound, bias: np.zeros(8, bool)},
        "half": {**sound, bias: np.zeros(8, "float16")},
        "a scalar": {**sound, bias: np.float32(1)},
        "no elements": {**sound, word: np.zeros((0, 8), "float32")},
        "one axis more": {**sound, word: sound[word][None]},
        "NaN": {**sound, bias: np.full(8, np.nan, "float32")},
        "one missing": {name: array for name, array in sound.items() if name != bias},
        "only a step": {"global_step": np.int64(1)},
        "a layer of 10^9": {**sound, layer.format(10**9): np.zeros(8, "float32")},
        "a layer of 5,000 digits": {**sound, layer.format("9" * 5000): np.zeros(8, "float32")},
        "a name with escapes": {**sound, f"bert/{_ESCAPES}": np.zeros(8, "float32")},
        "a name of 1 MB": {**sound, "bert/" + "n" * (1 << 20): np.zeros(8, "float32")},
        "20,000 names": {**sound, **{f"bert/x{i}": np.float32(1) for i in range(20_000)}},
        "a name with NUL": {**sound, "bert/a\0b": np.zeros(8, "float32")},
    }


def tensorflow1(bases, rng: random.Random, count: int) -> Iterator[Attack]:
    """Yields all listed attacks, and `count` random ones."""
    for base in sorted((bases / "tf1").iterdir()):
        yield _tf1(base, base.name, copied(base))
    base = bases / "google_filler"
    for file in (_INDEX, _DATA):
        for title, data in {"empty": b"", "zeros": bytes(5000), "JSON": b"{}"}.items():
            yield _tf1(base, f"{file}: {title}", with_file(base, file, data), REFUSED)
    for number in range(count):
        file = rng.choice([_INDEX, _INDEX, _DATA])
        title, data = mutate.damaged((base / file).read_bytes(), rng)
        # Blocks of the index and tensors have checksums.
        yield _tf1(
            base, f"{number}: {file}: {title}", with_file(base, file, data), SAME, copied(base)
        )


def _tf1(base, title, make, expect=ANY, unharmed=None) -> Attack:
    flags = {"input": f"{{}}/{base.name}"}
    return Attack("TF1 checkpoints", title, make, "load_model", flags, expect, unharmed)
