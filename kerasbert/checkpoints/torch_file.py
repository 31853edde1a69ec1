"""PyTorch's `pytorch_model.bin`, read without PyTorch and without executing its content.

The file is a pickle: a program that can call anything it can name. Here, it can name only the
entries of `_KNOWN`, which are stand-ins that record their arguments. Arrays are made afterwards,
from checked values.

zip (torch 1.6 and later)   NAME/data.pkl, NAME/data/KEY for each storage, NAME/byteorder
before that                 five consecutive pickles (magic number, protocol, machine, state dict,
                            keys of the storages), then each storage: a count and its elements
"""

import io
import json
import os
import pickle
import pickletools
import shlex
import zipfile
from collections.abc import Callable
from typing import Any, BinaryIO, ClassVar, Literal, NamedTuple

import numpy as np

from kerasbert import files
from kerasbert.checkpoints import sizes
from kerasbert.errors import InputError

_MAGIC, _PROTOCOL = 0x1950A86A20F9469CFC6C, 1001
# A tensor takes about 40 opcodes. One opcode, a byte of the file, can create an object of 64 bytes.
_MOST_OPCODES = 5_000_000
_CONVERT = (
    "import torch, safetensors.torch as s; s.save_file({{k: v.clone().contiguous() for k, v in "
    'torch.load({}, map_location="cpu", weights_only=False).items()}}, {})'
)


class _Storage(NamedTuple):
    dtype: str  # NumPy's name, or bfloat16
    key: str
    count: int
    __hash__ = None  # pyright: ignore[reportAssignmentType] - unhashable; see `_Tuple`

    @property
    def stored(self) -> np.dtype:
        return np.dtype("uint16" if self.dtype == "bfloat16" else self.dtype)

    def array(self, data: bytes, order: Literal["<", ">"] = "<") -> np.ndarray:
        if len(data) != self.count * self.stored.itemsize:
            raise ValueError(
                f"storage {self.key} has {len(data)} bytes, expected {self.count} elements"
            )
        array = np.frombuffer(data, self.stored.newbyteorder(order)).astype(self.stored, copy=False)
        if self.dtype == "bfloat16":  # the upper half of a float32
            array = (array.astype(np.uint32) << 16).view(np.float32)
        return array


class _Tensor(NamedTuple):
    """A view of a storage, in elements, as stored in the pickle and not yet checked."""

    storage: Any
    offset: Any
    shape: Any
    strides: Any
    __hash__ = None  # pyright: ignore[reportAssignmentType] - unhashable; see `_Tuple`


class _StateDict(dict):
    """Stands for `collections.OrderedDict`; drops the `_metadata` that PyTorch sets on it."""

    __slots__ = ()

    def __setstate__(self, state):
        pass


class _Tuple(tuple):
    """An unhashable tuple: hashing a tuple nested 60 deep, each twice in the next, takes years."""

    __slots__ = ()
    __hash__ = None  # pyright: ignore[reportAssignmentType] - a method of other tuples


class _Name:
    """The replacement of a name in the pickle, which is never a class or a function.

    A pickle can set attributes of any object (BUILD) and call `__new__` of a class (NEWOBJ). What
    it did to a class or a function of ours would outlast the file.
    """

    __slots__ = ("_make", "dtype")

    def __init__(self, make: Callable | None = None, dtype: str | None = None):
        self._make = make
        self.dtype = dtype

    def __call__(self, *arguments):
        if self._make is None:
            raise ValueError("a call of a storage type")
        return self._make(*arguments)

    def __setstate__(self, state):
        raise ValueError("a state for a name")


_DTYPES = (
    "Float float32, Double float64, Half float16, BFloat16 bfloat16, Long int64, Int int32, "
    "Short int16, Char int8, Byte uint8, Bool bool"
)
_KNOWN = {
    ("collections", "OrderedDict"): _Name(_StateDict),
    ("torch._utils", "_rebuild_tensor_v2"): _Name(lambda *args: _Tensor(*args[:4])),
    ("torch._utils", "_rebuild_parameter"): _Name(lambda tensor, *_: tensor),
    **{
        ("torch", f"{name}Storage"): _Name(dtype=dtype)
        for name, dtype in map(str.split, _DTYPES.split(", "))
    },
}


class _ForbiddenError(Exception):
    pass


class _Unpickler(pickle._Unpickler):
    """Unpickles dicts, lists, tuples, numbers, strings and the records above, nothing else.

    It is based on the Python implementation, whose opcodes can be replaced and which Ctrl-C stops.
    """

    dispatch: ClassVar[dict[int, Callable[[Any], None]]] = dict(pickle._Unpickler.dispatch)
    # Of the base class, which has no types.
    stack: list
    append: Callable[[Any], None]
    pop_mark: Callable[[], list]

    def __init__(self, file: BinaryIO):
        super().__init__(file, encoding="utf-8")  # including strings of Python 2
        self._file = file
        self.storages: dict[str, _Storage] = {}

    def _load_tuple(self):
        items = self.pop_mark()  # also replaces `append`
        self.append(_Tuple(items))

    def _load_short_tuple(self, length: int):
        self.stack[-length:] = [_Tuple(self.stack[-length:])]

    dispatch[pickle.TUPLE[0]] = _load_tuple
    dispatch[pickle.TUPLE1[0]] = lambda self: self._load_short_tuple(1)
    dispatch[pickle.TUPLE2[0]] = lambda self: self._load_short_tuple(2)
    dispatch[pickle.TUPLE3[0]] = lambda self: self._load_short_tuple(3)

    def find_class(self, module, name):
        if (module, name) not in _KNOWN:
            raise _ForbiddenError(f"{module}.{name}")
        return _KNOWN[module, name]

    def load(self):
        start = self._file.tell()
        for count, (opcode, argument, position) in enumerate(pickletools.genops(self._file)):
            # An extension code that this process has used before returns its callable without
            # find_class. A memo has the size of its largest index, but each entry needs an opcode.
            if opcode.name.startswith("EXT"):
                raise _ForbiddenError(f"extension code {argument}")
            if opcode.name in ("PUT", "LONG_BINPUT") and (argument or 0) > (position or 0):
                raise ValueError(f"memo index {argument}")
            # Sets compare their members, which takes as long as hashing tuples; state dicts contain
            # none.
            if opcode.name in ("EMPTY_SET", "ADDITEMS", "FROZENSET"):
                raise ValueError("a set")
            if count > _MOST_OPCODES:
                raise ValueError(f"more than {_MOST_OPCODES:,} opcodes")
        self._file.seek(start)
        return super().load()

    def persistent_load(self, identifier):
        kind, name, key, _, count, *view = identifier
        if (
            kind != "storage"
            or not (isinstance(name, _Name) and name.dtype and isinstance(key, str))
            or not _are_counts(count)
            or any(view)
        ):
            raise ValueError("a reference to something other than a storage")
        storage = _Storage(name.dtype, key, count)
        if self.storages.setdefault(key, storage) != storage:
            raise ValueError(f"storage {key} has two types or sizes")
        return storage


def read_torch_file(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """Reads a state dict that `torch.save` wrote, in both of its formats.

    Args:
        path: path of the file, which need not be trusted: its content is not executed.

    Returns:
        Dict of arrays by name, in the file's order; bfloat16 becomes float32, without loss. The
        arrays are read-only, and tensors that share a storage share memory.

    Raises:
        InputError: the file is missing, truncated, not a state dict of plain tensors, or names
            objects that a state dict does not need.
    """
    try:
        with open(path, "rb") as file:
            is_zip = file.read(4) == b"PK\x03\x04"
            size = file.seek(0, os.SEEK_END)
            file.seek(0)
            state, storages = _read_zip(file) if is_zip else _read_legacy(file, size)
        state = _state_dict(state)
        if not isinstance(state, dict):
            raise ValueError(f"a {_kind(state)} instead of a state dict")
        tensors = {name: _view(name, tensor, storages) for name, tensor in state.items()}
    except _ForbiddenError as error:
        target = os.path.join(os.path.dirname(path), "model.safetensors")
        command = _CONVERT.format(json.dumps(os.fspath(path)), json.dumps(target))
        raise InputError(
            f"{path}: a pickle that calls {_printable(error)}, which was not executed; if you "
            f"trust it, convert it: python -c {shlex.quote(command)}"
        ) from None
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except Exception as error:  # a broken pickle or zip fails in too many ways to list
        files.refuse_stand_in(path)
        why = f"{type(error).__name__}: {_printable(error)}"
        raise InputError(
            f"{path}: not a PyTorch state dict, or an incomplete one ({why})"
        ) from error
    # Tensors can share a storage, as tied weights do, and can repeat its elements.
    sizes.check_total(sum(array.nbytes for array in tensors.values()), size, os.fspath(path))
    return tensors


def _state_dict(state: Any) -> Any:
    """Returns the state dict of a model, which can be part of a training checkpoint."""
    inner = [state[key] for key in _INSIDE if key in state] if isinstance(state, dict) else []
    return inner[0] if len(inner) == 1 and isinstance(inner[0], dict) else state


# The keys of a model's state dict in a training checkpoint.
_INSIDE = ("state_dict", "model_state_dict")


def _read_zip(file: BinaryIO) -> tuple[Any, dict[str, np.ndarray]]:
    with zipfile.ZipFile(file) as archive:
        # PyTorch does not compress. With compression, a few bytes could expand to gigabytes.
        if sum(member.file_size for member in archive.infolist()) > file.seek(0, os.SEEK_END):
            raise ValueError("members that are larger than the file")
        names = archive.namelist()
        (root,) = (n.removesuffix("data.pkl") for n in names if n.endswith("/data.pkl"))
        unpickler = _Unpickler(io.BytesIO(archive.read(f"{root}data.pkl")))
        state = unpickler.load()
        is_big = f"{root}byteorder" in names and archive.read(f"{root}byteorder") == b"big"
        return state, {
            key: storage.array(archive.read(f"{root}data/{key}"), ">" if is_big else "<")
            for key, storage in unpickler.storages.items()
        }


def _read_legacy(file: BinaryIO, size: int) -> tuple[Any, dict[str, np.ndarray]]:
    # Each pickle needs a new unpickler, with a new memo.
    if _Unpickler(file).load() != _MAGIC or _Unpickler(file).load() != _PROTOCOL:
        raise ValueError("another magic number")
    _Unpickler(file).load()  # the machine; storages are always little-endian
    unpickler = _Unpickler(file)
    state = unpickler.load()
    storages = {}
    for key in _Unpickler(file).load():
        storage = unpickler.storages.pop(key)
        if file.read(8) != storage.count.to_bytes(8, "little"):
            raise ValueError(f"storage {key} is missing or has another size")
        length = storage.count * storage.stored.itemsize
        storages[key] = storage.array(file.read(min(length, size)))
    return state, storages


def _view(name: Any, tensor: Any, storages: dict[str, np.ndarray]) -> np.ndarray:
    if not isinstance(name, str):
        raise ValueError(f"a name of type {_kind(name)}")
    if not isinstance(tensor, _Tensor):
        raise ValueError(f"{name!r} is a {_kind(tensor)} instead of a tensor")
    storage, offset, shape, strides = tensor
    if not isinstance(storage, _Storage) or not _are_counts(offset, *shape, *strides):
        raise ValueError(f"{name!r} is not a view of a storage")
    # Checked here, with exact integers, because as_strided reads any memory it is told to.
    last = offset + sum((n - 1) * stride for n, stride in zip(shape, strides, strict=True))
    if 0 in shape:
        offset = 0
    elif last >= storage.count:
        raise ValueError(f"{name!r} reaches beyond its storage")
    array = storages[storage.key][offset:]
    steps = [stride * array.itemsize for stride in strides]
    return np.lib.stride_tricks.as_strided(array, shape, steps, writeable=False)


def _are_counts(*values: Any) -> bool:
    # Integers of a megabyte each would make the computation of an offset take hours.
    return all(type(value) is int and 0 <= value < 2**63 for value in values)


def _kind(value: Any) -> str:
    return type(value).__name__.lstrip("_")


def _printable(error: Exception) -> str:
    return "".join(c if c.isprintable() else "?" for c in str(error)[:200])
