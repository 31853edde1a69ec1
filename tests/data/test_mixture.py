import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
from test_pretraining import FIRST_WORD, LENGTH, SPECIAL, all_rows, arrays, contiguous, part_items

from kerasbert import InputError
from kerasbert.data.corpus.prepare import prepare_corpus
from kerasbert.data.corpus.reader import BEGINS, CONTINUES, Corpus
from kerasbert.data.corpus.words import WordFinder
from kerasbert.data.pretraining.batches import PretrainingBatches
from kerasbert.data.pretraining.mixture import Mixture
from kerasbert.data.pretraining.phases import PhasedBatches
from kerasbert.text import WordPieceTokenizer

# Tokens of the documents of three corpora; no word occurs twice in all of them.
DOCUMENTS = [[90, 40, 75], [30] * 8, [61, 200]]
WEIGHTS = [Fraction("0.6"), Fraction("0.3"), Fraction("0.1")]
STARTS = np.cumsum([0, *map(sum, DOCUMENTS)])


@pytest.fixture(scope="module")
def corpora(tmp_path_factory):
    words = iter(range(STARTS[-1]))
    tokenizer = WordPieceTokenizer([*SPECIAL, *(f"w{i}" for i in range(STARTS[-1]))])
    found = []
    for documents in DOCUMENTS:
        directory = tmp_path_factory.mktemp("corpus")
        lines = ["\n".join(f"w{next(words)}" for _ in range(count)) for count in documents]
        (directory / "text.txt").write_text("\n\n".join(lines))
        prepare_corpus(
            [str(directory / "text.txt")], tokenizer, directory / "corpus", tokens_per_shard=100
        )
        found.append(Corpus(directory / "corpus"))
    return found


def batches(corpora, weights=WEIGHTS, size=10, **options):
    return PretrainingBatches(Mixture(corpora, weights), size, LENGTH, seed=3, **options)


def corpus_of(place):
    return int(np.searchsorted(STARTS, place, side="right")) - 1


def documents_of(row):
    bounds = np.cumsum([0, *itertools.chain.from_iterable(DOCUMENTS)])
    return {int(np.searchsorted(bounds, place, side="right")) - 1 for place in row}


def test_shares_are_exact(corpora):
    mixed = batches(corpora)
    assert mixed.corpus.shares == (6, 3, 1)
    found = [corpus_of(row.first[0]) for row in all_rows(mixed, 0, 30)]
    tens = [tuple(found[i : i + 10]) for i in range(0, len(found), 10)]
    assert all(sorted(ten) == [0] * 6 + [1] * 3 + [2] for ten in tens)
    assert len(set(tens)) > 20  # in another order each time
    assert Mixture(corpora, [1, 1, 1]).shares == (1, 1, 1)
    assert Mixture(corpora, [4, 2, Fraction("0.5")]).shares == (8, 4, 1)
    assert Mixture(corpora, [0.6, np.float32(0.3), 1e-1]).shares == (6, 3, 1)


def test_rows_are_of_one_corpus(corpora):
    counts = [0, 0]
    for row in all_rows(batches(corpora), 0, 40):
        first, second = documents_of(row.first), documents_of(row.second)
        assert len(first) == len(second) == 1
        assert corpus_of(row.first[0]) == corpus_of(row.second[0])
        assert (first == second) == (row.label == 0)
        counts[row.label] += 1
    assert min(counts) > 150


def test_each_corpus_has_its_own_epochs(corpora):
    mixed = batches(corpora, objective="sop")
    found = [min(row.first + row.second) for row in all_rows(mixed, 0, 60)]
    for number, corpus in enumerate(corpora):
        alone = PretrainingBatches(corpus, 10, LENGTH, seed=3, objective="sop")
        own = [place for place in found if corpus_of(place) == number]
        expected = [min(row.first + row.second) for row in all_rows(alone, 0, 40)][: len(own)]
        # Of a block of ten, the examples of a corpus come in any order.
        share = mixed.corpus.shares[number]
        ours, theirs = (
            [sorted(places[i : i + share]) for i in range(0, len(own), share)]
            for places in (own, expected)
        )
        assert ours == theirs
    windows = [total // (LENGTH - 3) for total in map(sum, DOCUMENTS)]
    expected = [60 * share / count for share, count in zip((6, 3, 1), windows, strict=True)]
    assert mixed.epochs(60) == pytest.approx(expected)
    assert PhasedBatches([mixed]).epochs(60) == mixed.epochs(60)


@pytest.mark.parametrize("objective", ["nsp", "sop", "mlm"])
def test_numpy_draws_what_the_graph_draws(corpora, objective):
    graph, numpy = (
        batches(corpora, objective=objective, with_numpy=chosen) for chosen in (False, True)
    )
    for step in (0, 1, 17, 10**6):
        expected = arrays(graph.batch(step))
        for part in numpy.batch(step):
            for name, value in part_items(part):
                np.testing.assert_array_equal(value, expected[name], err_msg=name)


def test_ranges_are_contiguous_across_shards(corpora):
    for row in all_rows(batches(corpora, objective="sop"), 0, 20):
        before, after = (row.second, row.first) if row.label else (row.first, row.second)
        assert contiguous(before + after)
        assert before[0] >= 0 < FIRST_WORD


def test_mixtures_that_cannot_be(corpora, corpus_dir, tmp_path):
    with pytest.raises(InputError, match="prepared with different tokenizers"):
        Mixture([*corpora, Corpus(corpus_dir)], [1, 1, 1, 1])
    with pytest.raises(InputError, match="must be more than 0"):
        Mixture(corpora, [1, 0, 1])
    for weight in (math.nan, math.inf, -math.inf):
        with pytest.raises(InputError, match="must be more than 0"):
            Mixture(corpora, [1, weight, 1])
    for weights in ([1, 1], [1, 1, 1, 1], []):
        message = f"one weight for each of the 3 corpora, found {len(weights)}"
        with pytest.raises(InputError, match=message):
            Mixture(corpora, weights)
    with pytest.raises(InputError, match="too many digits"):
        Mixture(corpora, [Fraction("0.1234567"), 1, 1])
    (tmp_path / "text.txt").write_text("w1 w2")
    prepare_corpus([str(tmp_path / "text.txt")], corpora[0].tokenizer, tmp_path / "one")
    mixed = [*corpora, Corpus(tmp_path / "one")]
    with pytest.raises(InputError, match="one: has one document"):
        batches(mixed, [1, 1, 1, 1])
    assert len(all_rows(batches(mixed, [1, 1, 1, 1], objective="sop"), 0, 1)) == 10


def test_words_of_corpora(corpora, tmp_path):
    tokenizer = corpora[0].tokenizer
    (tmp_path / "phrases").write_text("w1 w2\n")
    words, known = WordFinder(tokenizer, phrases=tmp_path / "phrases"), []
    for name in "ab":
        (tmp_path / name).write_text("\n\n".join("w1 w2 w3\nw4 w5" for _ in range(4)))
        directory = tmp_path / f"c{name}"
        prepare_corpus([str(tmp_path / name)], tokenizer, directory, words=words)
        known.append(Corpus(directory))
    # The words of another corpus, without any of its own, are those of the tokenizer.
    without = prepare_corpus([str(tmp_path / "a")], tokenizer, tmp_path / "cc")
    assert "words" not in without
    known.append(Corpus(tmp_path / "cc"))
    graph, numpy = (
        batches(known, [2, 1, 1], mask_unit="whole_word", with_numpy=chosen)
        for chosen in (False, True)
    )
    assert graph.corpus.has_words
    marks = numpy.corpus.word_marks_at(np.array([0, 1, 2, 40, 41, 42]))
    assert marks.tolist() == [BEGINS, CONTINUES, BEGINS, BEGINS, BEGINS, BEGINS]
    for part, expected in zip(numpy.batch(3), graph.batch(3), strict=True):
        for name, value in part.items():
            np.testing.assert_array_equal(value, expected[name], err_msg=name)
