"""The files are written opcode by opcode: no torch here, and torch would not write the bad ones."""

import ast
import copyreg
import os
import pickle
import random
import shlex
import zipfile

import numpy as np
import pytest

from kerasbert.checkpoints import torch_file
from kerasbert.checkpoints.torch_file import read_torch_file
from kerasbert.errors import InputError

MAGIC = 0x1950A86A20F9469CFC6C
PROTOCOL = b"\x80\x02"


def plain(value) -> bytes:
    """The opcodes that push numbers, strings, tuples, or objects that pickle by themselves."""
    return pickle.dumps(value, 2)[2:-1]


def name(module: str, name: str) -> bytes:
    return f"c{module}\n{name}\n".encode()


def call(function: bytes, *arguments: bytes) -> bytes:
    return function + b"(" + b"".join(arguments) + b"tR"


ORDERED = name("collections", "OrderedDict")
REBUILD = name("torch._utils", "_rebuild_tensor_v2")


def storage(kind: str, key: str, count, view: bytes = b"") -> bytes:
    facts = plain("storage") + name("torch", f"{kind}Storage") + plain(key) + plain("cpu")
    return b"(" + facts + plain(count) + view + b"tQ"


def tensor(storage: bytes, offset, shape, strides) -> bytes:
    view = [plain(offset), plain(shape), plain(strides)]
    return call(REBUILD, storage, *view, plain(False), call(ORDERED))


def state(**entries: bytes) -> bytes:
    items = b"".join(plain(key) + value for key, value in entries.items())
    return call(ORDERED) + b"(" + items + b"u"


def write_zip(path, program: bytes, storages: dict, byteorder=b"little", **options):
    with zipfile.ZipFile(path, "w", **options) as archive:
        archive.writestr("archive/data.pkl", program)
        archive.writestr("archive/byteorder", byteorder)
        for key, data in storages.items():
            archive.writestr(f"archive/data/{key}", data)
    return path


def write_legacy(path, program: bytes, storages: dict):
    machine = {"protocol_version": 1001, "little_endian": True, "type_sizes": {"int": 4}}
    parts = [pickle.dumps(part, 2) for part in (MAGIC, 1001, machine)]
    parts += [program, pickle.dumps(list(storages), 2)]
    for array in storages.values():
        parts += [len(array).to_bytes(8, "little"), array.tobytes()]
    path.write_bytes(b"".join(parts))
    return path


WRITERS = [write_zip, write_legacy]
both = pytest.mark.parametrize("write", WRITERS)


def write_state(write, path, program: bytes, storages: dict | None = None):
    return write(path, PROTOCOL + program + b".", storages or {})


def numbers(count: int, dtype="float32") -> np.ndarray:
    return np.arange(count).astype(dtype)


@pytest.mark.parametrize(
    ("directory", "count", "names"),
    [
        (
            "hf_ner_1L_H16_camphr",
            24,
            {"bert.embeddings.word_embeddings.weight": (402, 16), "classifier.bias": (9,)},
        ),
        (
            "hf_bert_1L_H20_allennlp",
            23,
            {"embeddings.position_embeddings.weight": (512, 20), "pooler.dense.weight": (20, 20)},
        ),
    ],
)
def test_files_that_torch_wrote(shared, directory, count, names):
    tensors = read_torch_file(shared("checkpoints", directory, "pytorch_model.bin"))
    assert len(tensors) == count
    assert {name: tensors[name].shape for name in names} == names
    for name, array in tensors.items():
        if array.dtype == np.float32:
            assert 0 <= np.abs(array).max() < 10, name
        else:  # old files have the buffer of positions
            np.testing.assert_array_equal(array, np.arange(array.size)[None])


@both
@pytest.mark.parametrize(
    ("kind", "dtype"),
    [
        ("Float", "float32"),
        ("Double", "float64"),
        ("Half", "float16"),
        ("Long", "int64"),
        ("Int", "int32"),
        ("Short", "int16"),
        ("Char", "int8"),
        ("Byte", "uint8"),
        ("Bool", "bool"),
    ],
)
def test_dtypes(tmp_path, write, kind, dtype):
    array = numbers(6, dtype)
    program = state(a=tensor(storage(kind, "0", 6), 0, (2, 3), (3, 1)))
    tensors = read_torch_file(write_state(write, tmp_path / "f", program, {"0": array}))
    assert tensors["a"].dtype == dtype
    np.testing.assert_array_equal(tensors["a"], array.reshape(2, 3))


@both
def test_bfloat16(tmp_path, write):
    values = np.array([1.0, -2.5, 0.15625, 3e38], np.float32)
    half = (values.view(np.uint32) >> 16).astype(np.uint16)
    program = state(a=tensor(storage("BFloat16", "0", 4), 0, (4,), (1,)))
    tensors = read_torch_file(write_state(write, tmp_path / "f", program, {"0": half}))
    expected = (half.astype(np.uint32) << 16).view(np.float32)
    np.testing.assert_array_equal(tensors["a"], expected)
    np.testing.assert_array_equal(tensors["a"][:3], values[:3])


def test_big_endian_zip(tmp_path):
    program = state(a=tensor(storage("Float", "0", 4), 0, (4,), (1,)))
    data = {"0": numbers(4, ">f4")}
    path = write_zip(tmp_path / "f", PROTOCOL + program + b".", data, byteorder=b"big")
    tensors = read_torch_file(path)
    np.testing.assert_array_equal(tensors["a"], numbers(4))
    assert tensors["a"].dtype == np.float32


@both
def test_views_of_one_storage(tmp_path, write):
    """Offsets, strides that are not contiguous, expanded, empty and 0-d, all of one storage."""
    one = storage("Float", "7", 24)
    matrix = numbers(24).reshape(4, 6)
    program = state(
        all=tensor(one, 0, (4, 6), (6, 1)),
        transposed=tensor(one, 0, (6, 4), (1, 6)),
        part=tensor(one, 8, (2, 2), (12, 3)),
        expanded=tensor(one, 2, (5, 3), (0, 1)),
        empty=tensor(one, 24, (0, 6), (6, 1)),
        scalar=tensor(one, 23, (), ()),
    )
    tensors = read_torch_file(write_state(write, tmp_path / "f", program, {"7": numbers(24)}))
    expected = {
        "all": matrix,
        "transposed": matrix.T,
        "part": matrix[1:4:2, 2:6:3],
        "expanded": np.tile(matrix[0, 2:5], (5, 1)),
        "empty": np.empty((0, 6), np.float32),
        "scalar": np.float32(23),
    }
    assert list(tensors) == list(expected)
    for key, array in expected.items():
        np.testing.assert_array_equal(tensors[key], array, strict=True, err_msg=key)
    assert np.shares_memory(tensors["all"], tensors["transposed"])
    assert not any(array.flags.writeable for array in tensors.values())


@both
def test_what_torch_wraps_a_state_dict_in(tmp_path, write):
    """`_metadata` as an attribute, parameters, a plain dict."""
    value = tensor(storage("Float", "0", 2), 0, (2,), (1,))
    parameter = call(name("torch._utils", "_rebuild_parameter"), value, plain(True), call(ORDERED))
    metadata = plain({"_metadata": {"": {"version": 1}}, "items": 3, "__class__": 4}) + b"b"
    for program in (
        state(a=value) + metadata,
        state(a=parameter),
        b"}(" + plain("a") + value + b"u",
    ):
        path = write_state(write, tmp_path / "f", program, {"0": numbers(2)})
        np.testing.assert_array_equal(read_torch_file(path)["a"], [0, 1])


class Attack:
    def __init__(self, function, *arguments):
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


@both
@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("function", ["system", "eval", "exec", "getattr", "open"])
def test_malicious_pickles_are_not_executed(tmp_path, write, protocol, function):
    marker = tmp_path / "marker"
    attack, named = {
        "system": (Attack(os.system, f"touch {marker}"), f"{os.system.__module__}.system"),
        "eval": (Attack(eval, f"open({str(marker)!r}, 'w')"), "builtins.eval"),
        "exec": (Attack(exec, f"open({str(marker)!r}, 'w')"), "builtins.exec"),
        "getattr": (Attack(getattr, Attack(open, str(marker), "w"), "close"), ".getattr"),
        "open": (Attack(open, str(marker), "w"), "open"),
    }[function]
    if protocol < 3:
        named = named.replace("builtins", "__builtin__").replace("io.", "")
    value = tensor(storage("Float", "0", 2), 0, (2,), (1,))
    whole = pickle.dumps(attack, protocol)
    programs = [whole, pickle.dumps({"a": [attack]}, protocol)]
    if protocol == 2:
        programs.append(PROTOCOL + state(a=value, b=plain(attack)) + b".")
        programs.append(PROTOCOL + state(a=value) + plain({"_metadata": attack}) + b"b.")
    for program in programs:
        path = write(tmp_path / "model.bin", program, {"0": numbers(2)})
        with pytest.raises(InputError, match="not executed; if you trust it, convert it") as info:
            read_torch_file(path)
        assert str(path) in str(info.value)
        assert named in str(info.value)
        assert "\n" not in str(info.value)
        assert not marker.exists()


@both
@pytest.mark.parametrize(
    ("module", "attribute"),
    [
        ("os", "system"),
        ("__builtin__", "eval"),
        ("collections", "OrderedDict.fromkeys"),
        ("collections", "namedtuple"),
        ("torch", "load"),
        ("torch", "FloatStorage.__class__"),
        ("torch._utils", "__builtins__"),
        ("kerasbert.checkpoints.torch_file", "os"),
    ],
)
def test_names_that_are_not_known(tmp_path, write, module, attribute):
    for asking in (
        name(module, attribute),
        plain(module) + plain(attribute) + b"\x93",
        f"(i{module}\n{attribute}\n".encode(),
    ):
        path = write_state(write, tmp_path / "f", state(a=asking))
        with pytest.raises(InputError, match=f"calls {module}.{attribute}, which was not executed"):
            read_torch_file(path)


@both
def test_a_name_that_would_break_the_line(tmp_path, write):
    path = write_state(write, tmp_path / "f", plain("o\ns") + plain("sys\x1btem") + b"\x93")
    with pytest.raises(InputError, match=r"calls o\?s.sys\?tem, which was not executed"):
        read_torch_file(path)


@both
def test_known_names_cannot_be_altered_or_instantiated(tmp_path, write):
    """BUILD and NEWOBJ on what find_class gave out; a file read afterwards reads as before."""
    good = state(a=tensor(storage("Float", "0", 2), 0, (2,), (1,)))
    names = [ORDERED, REBUILD, name("torch", "FloatStorage")]
    attacks = [
        *[
            known + plain(state_) + b"b"
            for known in names
            for state_ in ({"x": 1}, (None, {"dtype": 1}))
        ],
        *[known + b")\x81" for known in names],
        *[known + b")}\x92" for known in names],
        call(name("torch", "FloatStorage"), plain(1)),
        storage("Float", "0", 2) + plain((None, {"count": 99})) + b"b",
        tensor(storage("Float", "0", 2), 0, (2,), (1,)) + plain({"shape": (99,)}) + b"b",
        tensor(storage("Float", "0", 2), 0, (2,), (1,)) + plain((None, {"shape": (99,)})) + b"b",
    ]
    for attack in attacks:
        path = write_state(write, tmp_path / "f", state(a=attack), {"0": numbers(2)})
        with pytest.raises(InputError, match="not a PyTorch state dict, or an incomplete one"):
            read_torch_file(path)
    path = write_state(write, tmp_path / "f", good, {"0": numbers(2)})
    np.testing.assert_array_equal(read_torch_file(path)["a"], [0, 1])


@both
def test_extension_codes(tmp_path, write):
    """Once the process has used a code, unpicklers take its object from a cache of their own."""
    marker = tmp_path / "marker"
    copyreg.add_extension(os.system.__module__, "system", 240)
    try:
        assert pickle.loads(pickle.dumps(os.system, 2)) is os.system
        attack = call(b"\x82\xf0", plain(f"touch {marker}"))
        path = write_state(write, tmp_path / "f", state(a=attack))
        with pytest.raises(InputError, match="extension code 240, which was not executed"):
            read_torch_file(path)
    finally:
        copyreg.remove_extension(os.system.__module__, "system", 240)
    assert not marker.exists()


@both
def test_a_memo_of_gigabytes(tmp_path, write):
    path = write_state(write, tmp_path / "f", b"}r\xff\xff\xff\x7f")
    with pytest.raises(InputError, match="memo index 2147483647"):
        read_torch_file(path)


@both
@pytest.mark.parametrize(
    ("offset", "shape", "strides"),
    [
        (0, (7,), (1,)),
        (1, (6,), (1,)),
        (7, (1,), (1,)),
        (10**30, (1,), (1,)),
        (0, (2, 3), (4, 1)),
        (0, (2,), (2**62,)),
        (0, (2**62, 2**62), (0, 0)),
        (0, (2**70,), (0,)),
        (-1, (1,), (1,)),
        (3, (2,), (-1,)),
        (0, (-1,), (1,)),
        (0, (2, 3), (1,)),
        (0, (2.0,), (1,)),
        (0, (True,), (1,)),
        (0, (1,) * 65, (1,) * 65),
        (0, 2, 1),
        (0, "2", "1"),
        (0, None, None),
    ],
)
def test_views_out_of_range(tmp_path, write, offset, shape, strides):
    program = state(weight=tensor(storage("Float", "0", 6), offset, shape, strides))
    path = write_state(write, tmp_path / "f", program, {"0": numbers(6)})
    with pytest.raises(InputError, match="not a PyTorch state dict, or an incomplete one"):
        read_torch_file(path)


@both
def test_an_empty_storage_has_no_elements(tmp_path, write):
    program = state(weight=tensor(storage("Float", "0", 0), 0, (1,), (1,)))
    path = write_state(write, tmp_path / "f", program, {"0": numbers(0)})
    with pytest.raises(InputError, match="'weight' reaches beyond its storage"):
        read_torch_file(path)


@both
@pytest.mark.parametrize("count", [5, 7, 2**61, -1, 2.0, None])
def test_storages_of_another_size(tmp_path, write, count):
    program = state(a=tensor(storage("Float", "0", count), 0, (1,), (1,)))
    path = write_state(write, tmp_path / "f", program, {"0": numbers(6)})
    with pytest.raises(InputError, match="not a PyTorch state dict, or an incomplete one"):
        read_torch_file(path)


@both
@pytest.mark.parametrize(
    ("program", "message"),
    [
        (plain([1]), "a list instead of a state dict"),
        (state(model=plain({"a": 1})), "'model' is a dict instead of a tensor"),
        (state(epoch=plain(3)), "'epoch' is a int instead of a tensor"),
        (state(a=storage("Float", "0", 2)), "'a' is a Storage instead of a tensor"),
        (state(a=tensor(plain(0), 0, (1,), (1,))), "'a' is not a view of a storage"),
        (state(a=tensor(storage("Float", "1", 2), 0, (1,), (1,))), "KeyError"),
        (
            state(
                a=tensor(storage("Float", "0", 2), 0, (1,), (1,)),
                b=tensor(storage("Int", "0", 2), 0, (1,), (1,)),
            ),
            "storage 0 has two types or sizes",
        ),
        (b"(" + plain("module") + plain(1) * 4 + b"tQ", "reference to something other"),
        (plain(3) + b"Q", "cannot unpack"),
        (
            state(a=tensor(storage("Float", "0", 2, plain(("k", 0, 1))), 0, (1,), (1,))),
            "reference to something other",
        ),
    ],
)
def test_other_content(tmp_path, write, program, message):
    storages = {"0": numbers(2)} if b"Storage" in program else {}
    path = write_state(write, tmp_path / "f", program, storages)
    with pytest.raises(InputError, match=f"not a PyTorch state dict.*{message}"):
        read_torch_file(path)


def small(tmp_path, write) -> bytes:
    program = state(
        a=tensor(storage("Float", "0", 6), 1, (2, 2), (2, 1)),
        b=tensor(storage("Long", "1", 3), 0, (3,), (1,)),
    )
    data = {"0": numbers(6), "1": numbers(3, "int64")}
    return write_state(write, tmp_path / "whole", program, data).read_bytes()


@both
def test_truncated_anywhere(tmp_path, write):
    whole = small(tmp_path, write)
    assert set(read_torch_file(tmp_path / "whole")) == {"a", "b"}
    path = tmp_path / "f"
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(InputError, match="not a PyTorch state dict"):
            read_torch_file(path)


@both
def test_damaged_anywhere(tmp_path, write):
    """Any damage is an InputError or goes unnoticed; nothing else is raised."""
    whole = small(tmp_path, write)
    chooser = random.Random(3)
    path = tmp_path / "f"
    refused = 0
    for _ in range(1500):
        damaged = bytearray(whole)
        for _ in range(chooser.randint(1, 3)):
            damaged[chooser.randrange(len(damaged))] = chooser.randrange(256)
        path.write_bytes(damaged)
        try:
            for array in read_torch_file(path).values():
                assert array.nbytes < 2**20
        except InputError:
            refused += 1
    assert refused > 500


def test_compressed_and_other_zip_files(tmp_path):
    program = PROTOCOL + state() + b"."
    zeros = {"0": np.zeros(10_000)}
    path = write_zip(tmp_path / "f", program, zeros, compression=zipfile.ZIP_DEFLATED)
    with pytest.raises(InputError, match="members that are larger than the file"):
        read_torch_file(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme", "hello")
    with pytest.raises(InputError, match="not a PyTorch state dict"):
        read_torch_file(path)
    write_zip(path, program, {})
    assert read_torch_file(path) == {}


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"not a model", pickle.dumps({"a": 1})])
def test_other_files(tmp_path, content):
    path = tmp_path / "f"
    path.write_bytes(content)
    with pytest.raises(InputError, match=f"{path}: not a PyTorch state dict"):
        read_torch_file(path)


def test_the_command_that_converts(tmp_path):
    """The message quotes it for a shell, for any file name."""
    path = tmp_path / 'it\'s a "model" {0}.bin'
    write_state(write_zip, path, name("os", "system"))
    with pytest.raises(InputError) as info:
        read_torch_file(path)
    python, option, command = shlex.split(str(info.value).split("convert it: ")[1])
    assert (python, option) == ("python", "-c")
    strings = [n.value for n in ast.walk(ast.parse(command)) if isinstance(n, ast.Constant)]
    assert {str(path), str(tmp_path / "model.safetensors")} <= set(strings)


def test_missing_file_and_directory(tmp_path):
    with pytest.raises(InputError, match="f: no such file"):
        read_torch_file(tmp_path / "f")
    with pytest.raises(InputError, match="Is a directory"):
        read_torch_file(tmp_path)


def test_what_is_known_is_of_our_own_making():
    assert {type(known) for known in torch_file._KNOWN.values()} == {torch_file._Name}


def nested_tuples(depth: int) -> bytes:
    """Opcodes of a tuple that holds twice one that holds twice one and so on: a long hash."""
    parts = [b"K\x01K\x02\x86q\x01"]
    for position in range(1, depth):
        last = bytes([position])
        parts.append(b"0h" + last + b"h" + last + b"\x86q" + bytes([position + 1]))
    return b"".join(parts)


def of_storage_key(key: bytes) -> bytes:
    facts = plain("storage") + name("torch", "FloatStorage") + key + plain("cpu")
    return b"(" + facts + plain(2) + b"tQ"


LONG = nested_tuples(60)
TENSOR = name("torch._utils", "_rebuild_tensor_v2")
HASHED = {
    "key": (b"}" + LONG + b"K\x01s", "unhashable"),
    "keys": (b"}(" + LONG + b"K\x01u", "unhashable"),
    "key of a dict": (b"(" + LONG + b"K\x01d", "unhashable"),
    "key of an ordered dict": (call(ORDERED, b"]" + LONG + b"K\x01\x86a"), "unhashable"),
    "storage": (of_storage_key(LONG), "reference to something other"),
    "member": (b"\x8f(" + LONG + b"\x90", "a set"),
    "frozen member": (b"(" + LONG + b"\x91", "a set"),
    "tensor as a key": (b"}" + call(TENSOR, *[plain(0)] * 4) + b"K\x01s", "unhashable"),
    "name": (b"}K\x01" + LONG + b"s", "a name of type int"),
    "shape": (
        state(a=call(TENSOR, storage("Float", "0", 2), plain(0), LONG, LONG, *[plain(0)] * 2)),
        "'a' is not a view of a storage",
    ),
}


@both
@pytest.mark.parametrize("case", HASHED)
def test_nested_tuples_take_no_time(tmp_path, write, case):
    program, message = HASHED[case]
    storages = {"0": numbers(2)} if b"Storage" in program else {}
    path = write_state(write, tmp_path / "f", program, storages)
    with pytest.raises(InputError, match=message):
        read_torch_file(path)


@both
def test_repeated_elements(tmp_path, write):
    """Strides of 0 and shared storages, so that small files make large tensors."""
    one = storage("Float", "0", 6)
    program = state(a=tensor(one, 0, (40_000, 40_000), (0, 0)))
    path = write_state(write, tmp_path / "f", program, {"0": numbers(6)})
    with pytest.raises(InputError, match="bytes, but its tensors would take 6,400,000,000"):
        read_torch_file(path)
    tied = {f"layer_{i}": tensor(one, 0, (3, 2), (2, 1)) for i in range(30)}
    path = write_state(write, tmp_path / "f", state(**tied), {"0": numbers(6)})
    assert len(read_torch_file(path)) == 30


@both
def test_integers_of_a_megabyte(tmp_path, write):
    """Offsets are computed of these; a shape of thousands of them would take hours."""
    large = plain(2 ** (8 * 100_000)) + b"q\x01"
    shape = b"(" + b"h\x01" * 20_000 + b"tq\x02"
    view = call(REBUILD, storage("Float", "0", 6), plain(0), shape, b"h\x02")
    path = write_state(write, tmp_path / "f", large + b"0" + state(a=view), {"0": numbers(6)})
    with pytest.raises(InputError, match="'a' is not a view of a storage"):
        read_torch_file(path)


@both
def test_too_many_objects(tmp_path, write, monkeypatch):
    monkeypatch.setattr(torch_file, "_MOST_OPCODES", 1000)
    path = write_state(write, tmp_path / "f", b"}" * 2000)
    with pytest.raises(InputError, match="more than 1,000 opcodes"):
        read_torch_file(path)
