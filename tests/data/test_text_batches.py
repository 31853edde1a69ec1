import numpy as np
import pytest
import tensorflow as tf

from kerasbert import InputError
from kerasbert.data.inputs import raw_columns
from kerasbert.data.text_batches import (
    Rows,
    batches,
    convert,
    few,
    longest_first,
    of_dataset,
    shuffled,
    split,
)
from kerasbert.training.strategies import sharded

TEXTS, SECOND = ["a", "b", "é", "d", "e"], ["v", "w", "x", "y", "z"]
SINGLE = [{"text": TEXTS}, {"text": tf.constant(TEXTS)}]
PAIRS = [{"text": TEXTS, "text_pair": SECOND}, {"text": tf.constant(TEXTS), "text_pair": SECOND}]


def columns(x):
    return raw_columns(x, (("text",), ("text", "text_pair")), "model")


def texts_of(dataset, name="text"):
    return [[value.decode() for value in text[name].numpy()] for text, *_ in dataset]


@pytest.mark.parametrize("x", [*SINGLE, *PAIRS])
def test_columns(x):
    dataset = batches(Rows(x), batch_size=2)
    assert texts_of(dataset) == [["a", "b"], ["é", "d"], ["e"]]
    for text, y, weight in dataset:
        assert list(text) == list(x)
        assert text["text"].dtype == tf.string
        assert y is None
        assert weight is None
    if "text_pair" in x:
        assert texts_of(dataset, "text_pair") == [["v", "w"], ["x", "y"], ["z"]]


def test_columns_of_lists():
    dataset = batches(Rows({"words": [["a", "b"], [], ["c"]]}), batch_size=2)
    assert [text["words"].to_list() for text, *_ in dataset] == [[[b"a", b"b"], []], [[b"c"]]]
    nothing = Rows({"text": [], "choices": []}).columns["x"]
    assert [column.dtype for column in nothing.values()] == [tf.string] * 2
    assert nothing["choices"].shape.rank == 2


@pytest.mark.parametrize("make", [list, tf.constant])
@pytest.mark.parametrize("batch_size", [2, 5, 9])
def test_few_batches_without_a_pipeline(make, batch_size):
    texts = ["a", "bbb", "", "cc", "dd"]
    parts, places = few({"text": make(texts)}, batch_size)
    found = [one.decode() for part in parts for one in part["text"].numpy()]
    assert [found[position] for position in np.arange(5)[places]] == texts
    assert [len(part["text"]) for part in parts][:-1] == [batch_size] * (len(parts) - 1)
    if batch_size < 5:
        assert found == ["bbb", "cc", "dd", "a", ""]


def test_few_rows_of_lists():
    columns = {"text": ["a", "b"], "choices": [["x", ""], ["y", "z"]]}
    ((part,), _) = few(columns, 8)
    assert part["choices"].numpy().tolist() == [[b"x", b""], [b"y", b"z"]]
    (none,), _ = few({"text": [], "choices": []}, 8)
    assert [none[name].shape.as_list() for name in columns] == [[0], [0, 0]]


@pytest.mark.parametrize("with_y", [False, True])
@pytest.mark.parametrize("with_weights", [False, True])
def test_labels_and_weights(with_y, with_weights):
    y = [0, 1, 2, 3, 4] if with_y else None
    weights = np.arange(5) / 2 if with_weights else None
    (_, first_y, first_weights), *_ = batches(Rows({"text": TEXTS}, y, weights), batch_size=2)
    assert (None if first_y is None else first_y.numpy().tolist()) == ([0, 1] if with_y else None)
    expected = [0, 0.5] if with_weights else None
    assert (None if first_weights is None else first_weights.numpy().tolist()) == expected


def test_shuffle_keeps_texts_and_labels_together():
    texts = [str(i) for i in range(100)]
    dataset = batches(
        Rows({"text": texts, "text_pair": texts}, list(range(100))), batch_size=7, shuffle=True
    )
    passes = []
    for _ in range(2):
        seen = []
        for text, y, _ in dataset:
            expected = [str(i).encode() for i in y.numpy()]
            assert text["text"].numpy().tolist() == text["text_pair"].numpy().tolist() == expected
            seen += y.numpy().tolist()
        assert sorted(seen) == list(range(100))
        passes.append(seen)
    assert passes[0] != passes[1]
    assert passes[0] != list(range(100))


@pytest.mark.parametrize(
    ("x", "y", "weight", "message"),
    [
        (SINGLE[0], [1], None, r"5 texts, but y has 1"),
        (SINGLE[0], None, [1.0] * 6, r"5 texts, but sample_weight has 6"),
        ({**PAIRS[0], "text_pair": SECOND[:4]}, None, None, r"5 texts, but text_pair has 4"),
    ],
)
def test_lengths_differ(x, y, weight, message):
    with pytest.raises(InputError, match=message):
        Rows(x, y, weight)


@pytest.mark.parametrize(
    ("element", "expected"),
    [
        (TEXTS, (False, False)),
        ((TEXTS, [0, 1, 2, 3, 4]), (True, False)),
        (({"text": TEXTS}, [0, 1, 2, 3, 4], [1.0] * 5), (True, True)),
        (({"text": TEXTS, "text_pair": SECOND}, [0, 1, 2, 3, 4]), (True, False)),
        (((TEXTS, SECOND), [0, 1, 2, 3, 4]), (True, False)),
    ],
)
def test_datasets(element, expected):
    dataset = tf.data.Dataset.from_tensor_slices(element).batch(4)
    found = list(of_dataset(dataset, columns))
    assert texts_of(found) == [TEXTS[:4], TEXTS[4:]]
    _, y, weights = found[0]
    assert (y is not None, weights is not None) == expected
    if y is not None:
        assert y.numpy().tolist() == [0, 1, 2, 3]


def test_a_dataset_that_is_not_batched():
    with pytest.raises(InputError, match="batch the dataset first"):
        of_dataset(tf.data.Dataset.from_tensor_slices(TEXTS), columns)


@pytest.mark.parametrize("x", [*SINGLE, *PAIRS])
@pytest.mark.parametrize(("fraction", "first"), [(0.2, 4), (0.5, 2), (0.4, 3)])
def test_split(x, fraction, first):
    y, weights = np.arange(5), np.arange(5) / 2
    parts = split(x, y, weights, fraction)
    for (part, part_y, part_weights), expected in zip(
        parts, (slice(first), slice(first, None)), strict=True
    ):
        assert texts_of(batches(Rows(part), batch_size=9)) == [TEXTS[expected]]
        if "text_pair" in part:
            assert texts_of(batches(Rows(part), batch_size=9), "text_pair") == [SECOND[expected]]
        np.testing.assert_array_equal(part_y, y[expected])
        np.testing.assert_array_equal(part_weights, weights[expected])


def test_split_without_labels():
    first, second = split({"text": TEXTS}, None, None, 0.2)
    assert first == ({"text": TEXTS[:4]}, None, None)
    assert second == ({"text": TEXTS[4:]}, None, None)


def test_longest_first():
    ids = tf.ragged.constant([[1], [1, 2, 3], [], [4, 5, 6]])
    given = Rows({"text": ["bb", "a", "ééé", "ccc"], "ids": ids}, [0, 1, 2, 3])
    found, places = longest_first(given)
    assert found.y.numpy().tolist() == [2, 3, 1, 0]  # 6 + 0, 3 + 3, 1 + 3, 2 + 1
    assert found.x["text"].numpy()[0].decode() == "ééé"
    assert found.x["ids"].to_list() == [[], [4, 5, 6], [1, 2, 3], [1]]
    assert found.y.numpy()[places].tolist() == [0, 1, 2, 3]
    assert found.sample_weight is None


# The numbers of Keras: floor(count * (1 - fraction)) examples are trained on.
@pytest.mark.parametrize(
    ("count", "fraction", "at"),
    [(2, 0.1, 1), (3, 0.1, 2), (3, 0.4, 1), (7, 0.5, 3), (8, 0.25, 6), (10, 0.05, 9)],
)
def test_split_as_keras(count, fraction, at):
    numbers = np.arange(count)
    columns = {"text": [str(i) for i in numbers]}
    (first, y, weights), (second, later, _) = split(columns, numbers, None, fraction)
    assert weights is None
    assert first["text"] + second["text"] == columns["text"]
    assert (y.tolist(), later.tolist()) == (list(range(at)), list(range(at, count)))
    assert len(first["text"]) == at


@pytest.mark.parametrize(
    ("count", "fraction", "use"),
    [(1, 0.5, "train"), (10, 0.9, "train"), (3, 1e-20, "validate"), (0, 0.5, "train")],
)
def test_a_split_leaves_both_parts(count, fraction, use):
    message = f"of {count} texts none is left to {use} with validation_split={fraction}$"
    with pytest.raises(InputError, match=message):
        split({"text": ["a"] * count}, None, None, fraction)


# === shuffled ===


def orders(start=0, seed=0, steps=20, count=10):
    """The labels of batches of 3; every text must have kept its label."""
    texts = [str(i) for i in range(count)]
    found = []
    dataset = shuffled(
        Rows({"text": texts, "text_pair": texts}, list(range(count))),
        batch_size=3,
        seed=seed,
        start=start,
    )
    for number, (step, (text, y, weight)) in enumerate(dataset.take(steps)):
        assert int(step) == start + number
        assert weight is None
        expected = [str(i).encode() for i in y.numpy()]
        assert text["text"].numpy().tolist() == text["text_pair"].numpy().tolist() == expected
        found.append(y.numpy().tolist())
    return found


@pytest.mark.parametrize("start", [1, 4, 7, 400_000_001])
def test_shuffled_from_anywhere(start):
    if start < 20:
        assert orders(start, steps=20 - start) == orders()[start:]
    assert orders(start) == orders(start)


def test_shuffled_visits_every_example_once_an_epoch():
    found = orders()
    epochs = [[y for batch in found[i : i + 4] for y in batch] for i in range(0, 20, 4)]
    assert [len(batch) for batch in found] == [3, 3, 3, 1] * 5
    assert all(sorted(epoch) == list(range(10)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in [*epochs, range(10)]}) == 6


def test_shuffled_in_groups_from_anywhere():
    assert orders(33, steps=107, count=100) == orders(steps=140, count=100)[33:]


@pytest.mark.parametrize("shuffle_of_fit", [False, True])
def test_rows_of_like_length_come_together(shuffle_of_fit):
    lengths = np.random.default_rng(0).integers(1, 100, 1001)
    columns = {"text": ["x" * n for n in lengths], "text_pair": ["é"] * 1001}
    texts = Rows(columns, np.arange(1001))
    epochs = []
    if shuffle_of_fit:
        dataset = batches(texts, batch_size=4, shuffle=True)
        assert dataset.cardinality() == 251
        epochs = [[y.numpy() for _, y, _ in dataset] for _ in range(2)]
    else:
        found = [y.numpy() for _, (_, y, _) in shuffled(texts, batch_size=4, seed=0).take(502)]
        epochs = [found[:251], found[251:]]
    for epoch in epochs:
        assert sorted(np.concatenate(epoch)) == list(range(1001))
        assert [len(batch) for batch in epoch] == [4] * 250 + [1]
        # Of four random ones the longest is 80 and the shortest 20 on average.
        assert np.mean([np.ptp(lengths[batch]) for batch in epoch]) < 3
        means = np.array([lengths[batch].mean() for batch in epoch])
        assert abs(np.corrcoef(means[1:], means[:-1])[0, 1]) < 0.2  # in no order of their own
    together = [{tuple(sorted(batch)) for batch in epoch} for epoch in epochs]
    assert len(together[0] & together[1]) < 3  # by chance


def test_shuffled_by_seed():
    firsts = {tuple(map(tuple, orders(seed=seed, steps=4))) for seed in range(5)}
    assert len(firsts) == 5


def test_an_iterator_ends_at_once():
    """TensorFlow's tuner, when it is on, keeps an iterator of a second for another one."""
    texts = Rows({"text": ["a"] * 10})
    for made in (batches(texts, batch_size=3), batches(texts, batch_size=3, shuffle=True)):
        converted = convert(made, lambda x, y, sample_weight: x)
        assert len(list(converted)) == 4
        for dataset in (converted, sharded(converted), sharded(converted.cache())):
            assert dataset.options().autotune.enabled is False
