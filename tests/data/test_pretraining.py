import bisect
import collections
import hashlib
import itertools
import random

import numpy as np
import pytest
import tensorflow as tf

from kerasbert.data import array_ops, graph_ops
from kerasbert.data.corpus import statistics
from kerasbert.data.corpus.prepare import prepare_corpus
from kerasbert.data.corpus.reader import Corpus
from kerasbert.data.pretraining.batches import PretrainingBatches
from kerasbert.data.pretraining.from_text import examples_from_text
from kerasbert.data.pretraining.masking import Masking
from kerasbert.data.pretraining.mixture import Mixture
from kerasbert.data.pretraining.phases import PhasedBatches
from kerasbert.data.pretraining.windows import Windows
from kerasbert.errors import InputError
from kerasbert.text import TextPacker, WordPieceTokenizer

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
CLS, SEP, FIRST_WORD = 2, 3, 5
LENGTH = 16
ROOM = LENGTH - 3


class Book:
    """A corpus in which no word occurs twice, so that a token says where it comes from."""

    def __init__(self, directory, documents, **options):
        """`documents` has the sentences' lengths of each document."""
        self.total = sum(map(sum, documents))
        self.sentences = {0, *itertools.accumulate(itertools.chain.from_iterable(documents))}
        self.documents = [0, *itertools.accumulate(map(sum, documents))]
        words = (f"w{i}" for i in range(self.total))
        text = "\n\n".join(
            "\n".join(" ".join(itertools.islice(words, length)) for length in lengths)
            for lengths in documents
        )
        directory.mkdir(exist_ok=True)
        (directory / "text.txt").write_text(text)
        tokenizer = WordPieceTokenizer([*SPECIAL, *(f"w{i}" for i in range(self.total))])
        prepare_corpus([str(directory / "text.txt")], tokenizer, directory / "corpus", **options)
        self.corpus = Corpus(directory / "corpus")

    def document(self, position):
        return bisect.bisect_right(self.documents, position) - 1


def random_documents(count, longest=9):
    chooser = random.Random(5)
    sizes = (chooser.randint(1, 12) for _ in range(count))
    return [[chooser.randint(1, longest) for _ in range(size)] for size in sizes]


@pytest.fixture(scope="module")
def book(tmp_path_factory):
    return Book(tmp_path_factory.mktemp("book"), random_documents(30))


@pytest.fixture(scope="module")
def batches(book):
    return PretrainingBatches(book.corpus, 8, LENGTH, seed=7)


def arrays(batch):
    return {key: np.asarray(value) for part in batch for key, value in part_items(part)}


def part_items(part):
    # Labels and weights have the same keys; the dtype tells them apart.
    part = part if isinstance(part, dict) else {"mlm_logits": part}
    return ((f"{name}:{value.dtype.name}", value) for name, value in part.items())


def same(a, b):
    a, b = arrays(a), arrays(b)
    return a.keys() == b.keys() and all(np.array_equal(a[key], b[key]) for key in a)


Row = collections.namedtuple("Row", "first second label")


def single_rows(batch):
    """Each row's tokens as places in the corpus, with the masks undone."""
    features, labels, weights = batch
    ids, used = features["token_ids"].numpy(), weights.numpy() == 1
    for row, positions in enumerate(features["mask_positions"].numpy()):
        ids[row, positions[used[row]]] = labels.numpy()[row, used[row]]
    for row in ids:
        (end,) = np.flatnonzero(row == SEP)
        assert row[0] == CLS
        assert not row[end + 1 :].any()
        yield tuple(int(id) - FIRST_WORD for id in row[1:end])


def rows(batch):
    """Each row's two parts as places in the corpus, with the masks undone, and its label."""
    features, labels, weights = batch
    ids, used = features["token_ids"].numpy(), weights["mlm_logits"].numpy() == 1
    for row, positions in enumerate(features["mask_positions"].numpy()):
        ids[row, positions[used[row]]] = labels["mlm_logits"].numpy()[row, used[row]]
    for row, label in zip(ids, labels["nsp_logits"].numpy(), strict=True):
        ends = np.flatnonzero(row == SEP)
        assert row[0] == CLS
        assert len(ends) == 2
        assert not row[ends[1] + 1 :].any()
        parts = row[1 : ends[0]], row[ends[0] + 1 : ends[1]]
        yield Row(*(tuple(int(id) - FIRST_WORD for id in part) for part in parts), int(label))


def all_rows(batches, start, count):
    found = (rows(batches.batch(step)) for step in range(start, start + count))
    return list(itertools.chain.from_iterable(found))


def contiguous(places):
    return list(places) == list(range(places[0], places[0] + len(places)))


def test_features(batches):
    features, labels, weights = batches.batch(0)
    masked = 3
    shapes = {name: tuple(value.shape) for name, value in features.items()}
    layout = dict.fromkeys(["token_ids", "padding_mask", "segment_ids"], (8, LENGTH))
    assert shapes == {**layout, "mask_positions": (8, masked)}
    assert {value.dtype for value in [*features.values(), *labels.values()]} == {tf.int32}
    assert {name: tuple(v.shape) for name, v in labels.items()} == {
        "mlm_logits": (8, masked),
        "nsp_logits": (8,),
    }
    assert {name: v.dtype for name, v in weights.items()} == dict.fromkeys(labels, tf.float32)
    spec, *_ = batches.dataset().element_spec
    assert {name: tuple(value.shape) for name, value in spec.items()} == shapes


@pytest.mark.parametrize("objective", ["nsp", "sop"])
def test_segments_and_padding(book, objective):
    batches = PretrainingBatches(book.corpus, 16, LENGTH, objective=objective)
    for step in range(3):
        batch = batches.batch(step)
        for row, mask, segments in zip(
            rows(batch), batch[0]["padding_mask"], batch[0]["segment_ids"], strict=True
        ):
            first, second = len(row.first) + 2, len(row.second) + 1
            padding = [0] * (LENGTH - first - second)
            assert mask.numpy().tolist() == [1] * (first + second) + padding
            assert segments.numpy().tolist() == [0] * first + [1] * second + padding


def test_a_batch_depends_on_its_number_alone(book, batches):
    again = PretrainingBatches(book.corpus, 8, LENGTH, seed=7)
    other = PretrainingBatches(book.corpus, 8, LENGTH, seed=8)
    for step in (1000, 17, 0):
        batch = batches.batch(step)
        assert same(batch, again.batch(step))
        assert not same(batch, batches.batch(step + 1))
        assert not same(batch, other.batch(step))


def test_dataset(batches):
    for start in (0, 1000):
        found = list(batches.dataset(start, steps=6))
        assert len(found) == 6
        assert all(same(batch, batches.batch(start + i)) for i, batch in enumerate(found))
    assert same(next(iter(batches.dataset(start=3))), batches.batch(3))  # without end


@pytest.mark.parametrize("objective", ["nsp", "sop"])
def test_shards_change_nothing(book, tmp_path, objective):
    many = Book(tmp_path / "many", random_documents(30), tokens_per_shard=150)
    assert len(many.corpus.manifest["shards"]) > 3
    a, b = (
        PretrainingBatches(one.corpus, 8, LENGTH, seed=7, objective=objective)
        for one in (book, many)
    )
    assert all(same(a.batch(step), b.batch(step)) for step in range(20))


def test_parts(book, batches):
    found = all_rows(batches, 0, 60)
    for row in found:
        assert contiguous(row.first)
        assert contiguous(row.second)
        assert row.first[0] in book.sentences
        assert len(row.first) + len(row.second) <= ROOM
        document = book.document(row.first[0])
        assert document == book.document(row.first[-1])
        if row.label == 0:
            assert contiguous(row.first + row.second)
            assert document == book.document(row.second[-1])
        else:
            assert document != book.document(row.second[0])
            assert book.document(row.second[0]) == book.document(row.second[-1])
    count = sum(row.label for row in found)
    assert len(found) == 480
    assert 0.4 < count / len(found) < 0.6


def test_sentence_order(book):
    batches = PretrainingBatches(book.corpus, 8, LENGTH, objective="sop")
    found = all_rows(batches, 0, 40)
    for row in found:
        before, after = (row.second, row.first) if row.label else (row.first, row.second)
        assert contiguous(before + after)
        assert before[0] in book.sentences
        assert book.document(before[0]) == book.document(after[-1])
    assert 0.4 < sum(row.label for row in found) / len(found) < 0.6


def test_masked_language_modeling_alone_has_whole_windows(tmp_path):
    book = Book(tmp_path / "book", [[3, 2, 4, 3, 2] * 4, [7], [40]])
    batches = PretrainingBatches(book.corpus, 8, LENGTH, objective="mlm", mask_rate=0.4)
    assert batches.windows == book.total // (LENGTH - 2)
    full = 0
    for step in range(40):
        features, labels, weights = batches.batch(step)
        assert features["mask_positions"].shape == (8, 7)  # 40 % of 16, rounded up
        assert labels.shape == weights.shape == (8, 7)
        assert not features["segment_ids"].numpy().any()
        masked = weights.numpy().sum(1)
        for places, count in zip(single_rows((features, labels, weights)), masked, strict=True):
            assert contiguous(places)
            # The sentence of 40 tokens, the last one, does not fit in a row.
            assert places[0] in book.sentences or places[0] > book.total - 40
            assert book.document(places[0]) == book.document(places[-1])
            assert count == max(1, round(0.4 * len(places)))
            full += len(places) == LENGTH - 2
    assert full > 0.8 * 40 * 8


@pytest.mark.parametrize("ops", [array_ops, graph_ops])
@pytest.mark.parametrize(
    "documents",
    [
        [[3 * ROOM]] * 2,
        [[ROOM + 1]] * 2,
        [[4, 50, 4], [9, 100]],  # between and after sentences that fit
        [[20, 20, 20], [15, 40]],
        [[2, 61, 1, 1], [3, 3, 30, 2]],
    ],
)
def test_long_sentences_are_read_to_their_end(tmp_path, documents, ops):
    book = Book(tmp_path / "book", documents)
    windows = Windows(ops, book.corpus, ROOM, seed=3)
    index = np.arange(25 * windows.count)
    start, end = map(np.asarray, windows.ranges(index))
    assert len({*zip(start.tolist(), end.tolist(), strict=True)}) > 2
    assert set(end - start) == {ROOM}
    assert [*map(book.document, start)] == [*map(book.document, end - 1)]
    read = {place for i, j in zip(start, end, strict=True) for place in range(i, j)}
    # No row begins with the rest of a corpus that fills no row of its own.
    assert read >= set(range(book.total // ROOM * ROOM))
    # A window starts within a sentence only if this does not fit in a window.
    fits = {
        place
        for first, last in itertools.pairwise(sorted(book.sentences))
        for place in range(first + 1, last)
        if last - first <= ROOM
    }
    assert fits.isdisjoint(start.tolist())
    seed = ops.seed_of(3, 4)
    for objective in ("nsp", "sop"):
        first, second, labels = windows.pairs(index, seed, objective)
        (i, middle), (k, j), labels = (np.asarray(part) for part in (first, second, labels))
        whole = labels == 0
        np.testing.assert_array_equal(i[whole], start[whole])
        np.testing.assert_array_equal(middle[whole], k[whole])
        np.testing.assert_array_equal(j[whole], end[whole])
        assert ((i < middle) & (k < j)).all()


def test_parts_end_with_a_sentence_where_there_are_several(tmp_path):
    book = Book(tmp_path / "book", [[3, 2, 4, 3, 2] * 4] * 6)
    for row in all_rows(PretrainingBatches(book.corpus, 8, LENGTH), 0, 20):
        assert row.first[-1] + 1 in book.sentences
        assert row.second[0] in book.sentences
        assert len(row.first) + len(row.second) == ROOM


def test_documents_of_one_token(tmp_path):
    book = Book(tmp_path / "book", [[1]] * 20 + [[40]])
    for row in all_rows(PretrainingBatches(book.corpus, 8, LENGTH), 0, 20):
        documents = {book.document(position) for position in row.first}
        assert len(documents) == 1
        if row.label:
            assert documents.isdisjoint(map(book.document, row.second))
            assert len(row.second) > 0 or documents != {20}


@pytest.mark.parametrize("documents", [[200, 137], [61] * 7])
def test_every_window_is_drawn_once_an_epoch(tmp_path, documents):
    # Sentences of one token: a window starts at the very token that was drawn.
    book = Book(tmp_path / "book", [[1] * length for length in documents])
    batches = PretrainingBatches(book.corpus, 5, LENGTH, objective="sop")
    windows = book.total // ROOM
    assert (batches.windows, batches.steps_per_epoch) == (windows, -(-windows // 5))
    found = all_rows(batches, 0, windows)

    def clamped(position):
        return min(position, book.documents[book.document(position) + 1] - ROOM)

    expected = [
        sorted(clamped((window * ROOM + shift) % book.total) for window in range(windows))
        for shift in range(ROOM)
    ]
    for epoch in range(5):
        drawn = found[epoch * windows :][:windows]
        assert sorted(min(row.first + row.second) for row in drawn) in expected


def test_epochs_differ(tmp_path):
    book = Book(tmp_path / "book", [[1] * 130] * 4)
    batches = PretrainingBatches(book.corpus, 8, LENGTH, objective="sop")
    assert batches.steps_per_epoch * 8 == batches.windows == 40
    starts = [min(row.first + row.second) for row in all_rows(batches, 0, 30)]
    epochs = [tuple(starts[i : i + 40]) for i in range(0, 240, 40)]
    assert len(set(epochs)) == 6  # another order
    assert len({frozenset(epoch) for epoch in epochs}) > 1  # and cut elsewhere
    assert all(epoch != tuple(sorted(epoch)) for epoch in epochs)


def test_whole_words_and_rate_are_passed_on(corpus_dir):
    corpus = Corpus(corpus_dir)
    batches = PretrainingBatches(corpus, 8, 32, mask_rate=0.3, whole_word=True)
    features, _, weights = batches.batch(0)
    assert features["mask_positions"].shape == (8, 10)
    real = tf.reduce_sum(features["padding_mask"]) - 3 * 8
    assert 0.2 < float(tf.reduce_sum(weights["mlm_logits"])) / float(real) < 0.32
    assert batches.masking.unit == "whole_word"


def test_whole_word_masking_reads_a_sample(book, monkeypatch):
    whole = statistics.estimated_counts(book.corpus)
    np.testing.assert_array_equal(whole, book.corpus.token_counts())
    monkeypatch.setattr(statistics, "_BLOCK", 16)
    monkeypatch.setattr(statistics, "_MOST_TOKENS", 64)
    monkeypatch.delattr(Corpus, "token_counts")
    counts = statistics.estimated_counts(book.corpus)
    assert np.count_nonzero(counts) == 64
    assert counts.sum() == pytest.approx(book.total)
    PretrainingBatches(book.corpus, 2, LENGTH, whole_word=True)
    PretrainingBatches(Mixture([book.corpus] * 2, [1, 1]), 2, LENGTH, whole_word=True)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"objective": "clm"}, "objective must be one of .* found 'clm'"),
        ({"sequence_length": 7}, "sequence_length must be 8 or more, found 7"),
        ({"batch_size": 0}, "batch_size must be 1 or more, found 0"),
        ({"mask_rate": 1.0}, "mask_rate"),
    ],
)
def test_bad_options(book, options, message):
    with pytest.raises(InputError, match=message):
        PretrainingBatches(book.corpus, **{"batch_size": 2, "sequence_length": 8, **options})


def test_one_document_has_no_other(tmp_path):
    book = Book(tmp_path / "book", [[5] * 20])
    with pytest.raises(InputError, match=r"corpus: has one document.* needs at least two"):
        PretrainingBatches(book.corpus, 2, LENGTH)
    assert len(all_rows(PretrainingBatches(book.corpus, 2, LENGTH, objective="sop"), 0, 2)) == 4


def test_a_corpus_smaller_than_a_row(tmp_path):
    book = Book(tmp_path / "book", [[2], [1, 1]])
    batches = PretrainingBatches(book.corpus, 4, LENGTH)
    assert batches.steps_per_epoch == batches.windows == 1
    for row in all_rows(batches, 0, 4):
        assert {*row.first, *row.second} <= set(range(4))


WORDS = [f"w{i}" for i in range(64 * 8)]
LINES = [" ".join(WORDS[i : i + 8]) for i in range(0, len(WORDS), 8)]


@pytest.fixture(scope="module")
def from_text():
    tokenizer = WordPieceTokenizer([*SPECIAL, *WORDS])
    packer, masking = TextPacker(tokenizer, LENGTH), Masking.of(tokenizer)
    return lambda seed, *args: examples_from_text(packer, masking, seed, *map(tf.constant, args))


def test_examples_from_single_texts(from_text):
    found = list(rows(from_text((1, 2), LINES)))
    for i, row in enumerate(found):
        assert row.first == tuple(range(8 * i, 8 * i + 4))
        own = tuple(range(8 * i + 4, 8 * i + 8))
        assert (row.second == own) == (row.label == 0)
    assert sorted(row.second for row in found) == [
        tuple(range(i + 4, i + 8)) for i in range(0, len(WORDS), 8)
    ]
    assert 0.25 < np.mean([row.label for row in found]) < 0.75
    assert same(from_text((1, 2), LINES), from_text((1, 2), LINES))
    assert not same(from_text((1, 2), LINES), from_text((1, 3), LINES))


def test_examples_from_pairs(from_text):
    first, second = LINES[:32], LINES[32:]
    for i, row in enumerate(rows(from_text((1, 2), first, second, [0, 1] * 16))):
        assert row.label == i % 2
        assert set(row.first) <= set(range(8 * i, 8 * i + 8))
        assert set(row.second) <= set(range(256 + 8 * i, 256 + 8 * i + 8))
    for i, row in enumerate(rows(from_text((1, 2), first, second))):
        assert (row.second[0] == 256 + 8 * i) == (row.label == 0)


# A run is resumed with the batches that it began with, so these never change.
@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, "a0640699e931076d"),
        ({"whole_word": True, "mask_rate": 0.4}, "d62714334ac52db2"),
        ({"mask_unit": "whole_word", "mask_rate": 0.4}, "d62714334ac52db2"),
    ],
)
def test_batches_are_those_of_earlier_versions(book, monkeypatch, settings, expected):
    continues = book.corpus.tokenizer.continues_word.copy()
    continues[::3] = True
    monkeypatch.setattr(book.corpus.tokenizer, "continues_word", continues)
    batches = PretrainingBatches(book.corpus, 8, LENGTH, seed=7, with_numpy=True, **settings)
    digest = hashlib.sha256()
    for step in (0, 1, 10**6):
        for part in batches.batch(step):
            for name in sorted(part):
                digest.update(part[name].tobytes())
    assert digest.hexdigest()[:16] == expected


# === Where TensorFlow is not installed ===


@pytest.mark.parametrize(
    ("shards", "settings"),
    [
        ({}, {}),
        ({"tokens_per_shard": 100}, {"objective": "sop", "mask_rate": 0.3}),
        ({"tokens_per_shard": 100}, {"objective": "mlm", "mask_rate": 0.3}),
        ({}, {"whole_word": True, "mask_rate": 0.4}),
        ({}, {"mask_unit": "ngram"}),
        ({}, {"mask_unit": "span"}),
    ],
)
def test_numpy_draws_what_the_graph_draws(tmp_path, shards, settings):
    corpus = Book(tmp_path, random_documents(30), **shards).corpus
    # Words of several tokens, so that they are masked as a whole.
    corpus.tokenizer.continues_word[::3] = True
    graph, numpy = (
        PretrainingBatches(corpus, 8, LENGTH, seed=7, with_numpy=chosen, **settings)
        for chosen in (False, True)
    )
    per_epoch = graph.steps_per_epoch
    assert per_epoch > 3
    for step in (0, 1, per_epoch - 1, per_epoch, 10**6):
        drawn, expected = numpy.batch(step), arrays(graph.batch(step))
        for part in drawn:
            for name, value in part_items(part):
                np.testing.assert_array_equal(value, expected[name], err_msg=name)
    data = numpy.dataset(start=3, steps=2)
    assert len(list(data)) == 2
    again = list(data.cache().as_numpy_iterator())[1][0]
    np.testing.assert_array_equal(again["token_ids"], numpy.batch(4)[0]["token_ids"])


# === Phases ===


def test_phases_go_on_where_the_phase_before_them_ended(tmp_path):
    book = Book(tmp_path / "book", [[1] * 130] * 4)
    small, large, longer = (
        PretrainingBatches(book.corpus, *shape, objective="sop", first_step=step, first_example=n)
        for shape, step, n in [((4, LENGTH), 0, 0), ((8, LENGTH), 6, 24), ((2, 32), 8, 40)]
    )
    phased = PhasedBatches([small, large, longer])
    assert phased.boundaries == [6, 8]
    assert phased.epochs(12) == pytest.approx((0.6 + 0.4 + 4 * 2 / longer.windows,))
    plain = list(itertools.chain.from_iterable(map(rows, phased.dataset(0))))
    plain += itertools.chain.from_iterable(map(rows, phased.dataset(6)))
    assert small.windows == len(plain) == 40  # an epoch: every window once
    alone = all_rows(PretrainingBatches(book.corpus, 4, LENGTH, objective="sop"), 0, 10)
    starts, expected = ([min(row.first + row.second) for row in found] for found in (plain, alone))
    assert starts == expected
    assert len(list(phased.dataset(7))) == 1
    assert same(next(iter(phased.dataset(9))), longer.batch(9))
