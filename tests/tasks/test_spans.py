import numpy as np
import pytest
import tensorflow as tf

from kerasbert.tasks.question_answerer.spans import (
    NEVER,
    Spans,
    best_spans,
    distinct,
    in_steps,
    with_null,
)


def brute_force(start_logits, end_logits, starts, ends, n, longest):
    """Returns all spans of a row with their best logits, the best first."""
    found = {}
    for i in range(len(starts)):
        for j in range(i, min(i + longest, len(ends))):
            span = (starts[i], ends[j])
            logit = start_logits[i] + end_logits[j]
            found[span] = max(logit, found.get(span, NEVER)) if span[0] < span[1] else NEVER
    found = {span: logit for span, logit in found.items() if logit > NEVER}
    return sorted(((logit, *span) for span, logit in found.items()), reverse=True)[:n]


def words(generator, width, longest=3):
    """Returns offsets of words, the same for all tokens of a word."""
    word = np.sort(generator.integers(0, max(1, width // longest), width))
    return word * 10, word * 10 + generator.integers(1, 9, width)[word]


def rows_of(spans):
    columns = (column.numpy().tolist() for column in spans)
    return [
        [one for one in zip(*row, strict=True) if one[0] > NEVER]
        for row in zip(*columns, strict=True)
    ]


@pytest.mark.parametrize("n", [1, 6])
@pytest.mark.parametrize("longest", [1, 30])
@pytest.mark.parametrize("width", [1, 2, 29, 31, 45])
def test_best_spans(width, longest, n):
    generator = np.random.default_rng(width)
    start, end = generator.normal(scale=3, size=(2, 8, width)).astype("float32")
    starts, ends = np.stack([words(generator, width) for _ in range(8)], axis=1)
    lengths = [max(0, width - row) for row in range(8)]
    for row, length in enumerate(lengths):
        start[row, length:] = end[row, length:] = NEVER
        starts[row, length:] = ends[row, length:] = 0
    spans = rows_of(best_spans(start, end, starts, ends, n, longest))
    for row, found in enumerate(spans):
        columns = (x[row, : lengths[row]].tolist() for x in (start, end, starts, ends))
        expected = brute_force(*columns, n, longest)
        assert [one[1:] for one in found] == [one[1:] for one in expected]
        np.testing.assert_allclose([x[0] for x in found], [x[0] for x in expected], rtol=1e-5)


def test_distinct_pads():
    one = Spans(tf.constant([[1.0, 3, 2]]), *(tf.constant([[4, 5, 5]], tf.int64),) * 2)
    best = distinct(one, 3)
    assert best.logits.numpy().tolist() == [[3, 1, NEVER]]
    assert best.starts.numpy().tolist() == [[5, 4, 0]]


@pytest.mark.parametrize(
    ("null", "wins", "expected"),
    [
        (0.0, True, [(0, 0), (1, 2), (3, 4)]),
        (5.5, False, [(1, 2), (0, 0), (3, 4)]),  # the highest logit, but after the best span
        (3.5, False, [(1, 2), (3, 4), (0, 0)]),
        (0.5, False, [(1, 2), (3, 4), (5, 6)]),
    ],
)
def test_null(null, wins, expected):
    positions = (tf.constant([x], tf.int64) for x in ([1, 3, 5], [2, 4, 6]))
    spans = Spans(tf.constant([[5.0, 4.0, 1.0]]), *positions)
    found = with_null(spans, tf.constant([null]), tf.constant([wins]))
    assert [one[1:] for one in rows_of(found)[0]] == expected
    assert null in found.logits.numpy() or null == 0.5


@pytest.mark.parametrize("count", [0, 1, 4, 5, 9])
def test_in_steps(count):
    seen = []

    @tf.function(autograph=False)
    def run(count):
        def double(first):
            positions = tf.range(count)[first : first + 4]
            seen.append(first)
            return [2 * positions, tf.ones([tf.size(positions), 3])]

        specs = tf.TensorSpec([None], tf.int32), tf.TensorSpec([None, 3])
        return in_steps(double, count, 4, specs)

    doubled, ones = run(tf.constant(count))
    assert doubled.numpy().tolist() == [2 * i for i in range(count)]
    assert ones.shape == (count, 3)
    assert len(seen) == 1  # one copy of the model in the graph
