import numpy as np
import pytest
import tensorflow as tf

from kerasbert.data.corpus.mapping import mapped, shared_tensor
from kerasbert.errors import InputError

INTEGER = np.dtype("<i8")


def test_an_index_may_be_larger_than_memory(tmp_path):
    """A file with a hole takes no space: this one seems to have 1 TiB."""
    count = 1 << 37
    path = tmp_path / "sentences.bin"
    with open(path, "wb") as file:
        file.truncate(count * INTEGER.itemsize)
        file.seek(-INTEGER.itemsize, 2)
        file.write(np.array([7], INTEGER).tobytes())
    values, _ = mapped([path], [count], INTEGER)
    assert (values[0], values[-1]) == (0, 7)
    tensor = shared_tensor(values)
    assert tensor.shape == [count]
    assert tf.gather(tensor, [count - 1, 3]).numpy().tolist() == [7, 0]


def test_files_one_after_the_other(tmp_path):
    files = [np.arange(size, dtype="<u2") for size in (1, 5000, 2048, 3)]
    paths = [tmp_path / str(i) for i in range(len(files))]
    for path, numbers in zip(paths, files, strict=True):
        path.write_bytes(numbers.tobytes())
    values, begins = mapped(paths, list(map(len, files)), np.dtype("<u2"))
    for begin, numbers in zip(begins, files, strict=True):
        np.testing.assert_array_equal(values[begin : begin + len(numbers)], numbers)
    with pytest.raises(ValueError, match="read-only"):
        values[0] = 1


@pytest.mark.parametrize(
    ("name", "count", "message"),
    [
        ("a", 4, r"a: contains 3 numbers, expected 4"),
        ("odd", 3, r"odd: contains 3.125 numbers, expected 3"),
        ("empty", 0, r"empty: contains 0 numbers, expected 0"),
        ("none", 3, r"none: can't be read: No such file"),
    ],
)
def test_files_that_do_not_fit(tmp_path, name, count, message):
    for other, size in {"a": 24, "odd": 25, "empty": 0}.items():
        (tmp_path / other).write_bytes(b"0" * size)
    with pytest.raises(InputError, match=message):
        mapped([tmp_path / "a", tmp_path / name], [3, count], INTEGER)
