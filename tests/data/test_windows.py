import numpy as np
import pytest
import tensorflow as tf

from kerasbert.data.windows import cut, overlapping_windows


def reference(length, size, stride):
    """As run_squad.py finds them, one after the other."""
    windows, start = [], 0
    while True:
        part = min(length - start, size)
        windows.append((start, part))
        if start + part == length:
            return windows
        start += min(part, stride)


@pytest.mark.parametrize("size", [1, 2, 7, 10])
@pytest.mark.parametrize("stride", [1, 3, 7, 100])
def test_windows(size, stride):
    lengths = list(range(40))
    windows = overlapping_windows(tf.constant(lengths, tf.int64), size, stride)
    found = [tuple(one) for one in np.stack([part.numpy() for part in windows], axis=1).tolist()]
    expected = [(r, *w) for r in lengths for w in reference(r, size, stride)]
    assert found == expected


def test_each_row_has_its_size():
    windows = overlapping_windows(tf.constant([5, 5], tf.int64), tf.constant([4, 2], tf.int64), 3)
    assert windows.row.numpy().tolist() == [0, 0, 1, 1, 1]
    assert windows.start.numpy().tolist() == [0, 3, 0, 2, 4]
    assert windows.length.numpy().tolist() == [4, 2, 2, 2, 1]


def test_cut():
    rows = tf.ragged.constant([[1, 2, 3, 4, 5], [], [6, 7]])
    windows = overlapping_windows(rows.row_lengths(), 3, 2)
    assert cut(rows, windows).to_list() == [[1, 2, 3], [3, 4, 5], [], [6, 7]]
    assert cut(rows, windows.batch(1, 2)).to_list() == [[3, 4, 5], []]


def test_no_rows():
    rows = tf.RaggedTensor.from_row_splits(tf.zeros([0], tf.int32), tf.constant([0], tf.int64))
    assert cut(rows, overlapping_windows(rows.row_lengths(), 3, 2)).to_list() == []
