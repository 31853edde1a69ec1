"""Replacement of masked words by similar ones, whose word vectors are in a file (MacBERT)."""

import bz2
import collections
import gzip
import itertools

import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

from kerasbert.data import array_ops, graph_ops
from kerasbert.data.corpus.prepare import prepare_corpus
from kerasbert.data.corpus.reader import Corpus
from kerasbert.data.corpus.words import WordFinder
from kerasbert.data.pretraining import word_vectors
from kerasbert.data.pretraining.batches import PretrainingBatches
from kerasbert.data.pretraining.masking import Masking
from kerasbert.data.pretraining.similar_words import SimilarWords
from kerasbert.data.pretraining.word_vectors import MOST_WORDS, nearest, read_word_vectors
from kerasbert.errors import InputError
from kerasbert.text import WordPieceTokenizer

SPECIAL = 5
SEED = (3, 4)
ROWS, LENGTH = 256, 256
# A right program fails one such test in a thousand for another seed.
UNLIKELY = 1e-3
GROUP = 5
_SINGLE = (
    "the a an and of to in is was it he she they we you not with from for on reads runs sees likes "
    "hates plays writes finds makes takes good bad great poor nice red green blue old new"
)
_DOUBLE = (
    "cats dogs birds fishs horses rivers houses citys roads trees films books songs games storys "
    "words bigs smalls longs dulls"
)
_ALONE = "at by happy sad one two three four"
#: Groups of five similar words of one token, the same of two, and words that the file lacks.
SINGLE, DOUBLE, ALONE = _SINGLE.split(), _DOUBLE.split(), _ALONE.split()


@pytest.fixture(scope="module")
def vectors(tmp_path_factory):
    """Words of a group have the same direction, but for a tenth; words of all lengths share it."""
    path = tmp_path_factory.mktemp("vectors") / "vectors.txt"
    random = np.random.default_rng(0)
    lines = []
    for words in (SINGLE, DOUBLE):
        for number, word in enumerate(words):
            vector = random.normal(0, 0.05, 12)
            vector[number // GROUP] += 1
            lines.append(f"{word} {' '.join(f'{x:.5f}' for x in vector)}\n")
    path.write_text("".join(lines))
    return path


@pytest.fixture(scope="module")
def similar(vectors, tokenizer):
    return SimilarWords.of(vectors, tokenizer)


def tokens_of(tokenizer, words):
    return [tuple(ids) for ids in tokenizer.tokenize_words(words).to_list()]


def rows_of_words(tokenizer, rows=ROWS, length=LENGTH):
    """Rows that are filled with words of all three kinds."""
    words = tokens_of(tokenizer, [*SINGLE, *DOUBLE, *ALONE])
    random = np.random.default_rng(0)
    ids = np.full((rows, length), tokenizer.sep_id, np.int32)
    ids[:, 0] = tokenizer.cls_id
    for row in ids:
        at = 1
        while at < length - 2:
            word = words[random.integers(len(words))]
            row[at : at + len(word)] = word
            at += len(word)
    return ids


def masked_words(masking, tokenizer, ids, seed=SEED):
    """Yields row, position, the tokens before and the tokens after, of each word that is masked."""
    features, originals, weights = masking({"token_ids": ids}, np.array(seed))
    row, column = np.nonzero(weights)
    chosen = np.zeros(ids.shape, bool)
    chosen[row, features["mask_positions"][row, column]] = True
    np.testing.assert_array_equal(originals[row, column], ids[chosen])
    after, continues = features["token_ids"], tokenizer.continues_word[ids]
    assert after.shape == ids.shape
    np.testing.assert_array_equal(after[~chosen], ids[~chosen])
    assert not (after == tokenizer.mask_id).any()
    for row, start in zip(*np.nonzero(chosen & ~continues), strict=True):
        end = start + 1
        while continues[row, end]:
            end += 1
        assert chosen[row, start:end].all()
        yield row, start, tuple(ids[row, start:end]), tuple(after[row, start:end])


def kind_of(similar, before, now):
    if before == now:
        return "same"
    if before in similar.words and now in similar.similar_to(before):
        return "similar"
    return "random"


# === Which words are similar ===


def test_words_of_a_group_are_similar(similar, tokenizer):
    for words in (SINGLE, DOUBLE):
        ids = tokens_of(tokenizer, words)
        assert {len(word) for word in ids} == {1 if words is SINGLE else 2}
        for number, word in enumerate(ids):
            first = number - number % GROUP
            others = {*ids[first : first + GROUP]} - {word}
            assert {*similar.similar_to(word)} == others
    assert len(similar.words) == len(SINGLE) + len(DOUBLE)


def cosines(vectors):
    length = np.linalg.norm(vectors.astype(float), axis=1, keepdims=True)
    unit = vectors / np.where(length > 0, length, 1)
    found = unit @ unit.T
    np.fill_diagonal(found, -1)
    return found


@pytest.mark.parametrize(("size", "dimensions"), [(1, 3), (7, 1), (300, 16), (1000, 40)])
def test_nearest(size, dimensions):
    random = np.random.default_rng(0)
    vectors = random.normal(0, 1, (size, dimensions)).astype(np.float32)
    vectors[size // 2 :: 2] += 1.5 * vectors[: (size - size // 2 + 1) // 2]
    vectors[size // 3] = 0  # has no direction
    vectors *= 10.0 ** random.integers(-20, 15, (size, 1))  # lengths don't count
    expected, found = cosines(vectors), nearest(vectors, 10, 0.5)
    assert found.shape == (size, 10)
    for row, others in enumerate(found):
        own = others[others >= 0]
        assert (others[len(own) :] == -1).all()
        assert len({*own.tolist()}) == len(own)
        # Rounding may exchange neighbors that are equally far, to the fourth digit.
        best = np.sort(expected[row])[::-1][:10]
        assert np.sum(best >= 0.501) <= len(own) <= np.sum(best >= 0.499)
        np.testing.assert_allclose(expected[row, own], best[: len(own)], atol=1e-3)
    assert (found[size // 3] == -1).all()


def test_nearest_is_the_same_in_any_blocks_and_order(monkeypatch):
    vectors = np.random.default_rng(0).integers(-2, 3, (500, 6)).astype(np.float32)  # many ties
    found = nearest(vectors, 10, 0.5)
    monkeypatch.setattr(word_vectors, "_AT_ONCE", 7 * 512)
    np.testing.assert_array_equal(nearest(vectors, 10, 0.5), found)
    # Sums in another order have the same bits.
    np.testing.assert_array_equal(nearest(vectors[:, ::-1], 10, 0.5), found)
    directions = word_vectors._directions(vectors)
    np.testing.assert_array_equal(directions, np.rint(directions))
    assert np.square(directions.astype(float)).sum(axis=1).max() < 2**24


# === Files ===


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("plain.txt", "a 1 2\nb -3 4e-1\n"),
        ("with_counts.vec", "2 2\na 1 2\nb -3 .4\n"),
        ("of_word2vec.txt", "2 2\r\na 1 2 \r\n\r\nb\t-3 0.4 \r\n"),
        ("mark.txt", "\ufeffa 1 2\nb -3 0.4"),
        ("packed.txt.gz", "a 1 2\nb -3 0.4\n"),
        ("packed.txt.bz2", "a 1 2\nb -3 0.4\n"),
    ],
)
def test_formats(tmp_path, name, text):
    pack = {"gz": gzip.compress, "bz2": bz2.compress}.get(name.split(".")[-1], bytes)
    (tmp_path / name).write_bytes(pack(text.encode()))
    words, vectors = read_word_vectors(tmp_path / name)
    assert words == ["a", "b"]
    np.testing.assert_array_equal(vectors, np.array([[1, 2], [-3, 0.4]], np.float32))
    assert vectors.dtype == np.float32


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "has no word vectors; expected lines"),
        (b"3 2\n", "has no word vectors"),
        (b"3 2\na 1 2\nb 1 2\n", "has 2 words, but its first line says 3"),
        (b"a 1 2\nb 1\n", ":2: expected a word and 2 numbers, found 1 after the word"),
        (b"2 3\na 1 2\n", ":2: expected a word and 3 numbers, found 2"),
        (b"a 1 2\n\nb 1 2 3\n", ":3: expected a word and 2 numbers, found 3"),
        (b"a 1 2\nb 1 2 3 4\n", ":2: expected a word and 2 numbers, found 4"),
        (b"a 1 x\n", ":1: expected a number, found 'x'"),
        (b"a 1 2\nb 1 nan\n", ":2: has a number that is infinite, NaN, or too large"),
        (b"a 1 2\nb 1 1e39\n", ":2: has a number that is infinite, NaN, or too large"),
        (b"a 1 2\n\xff 1 2\n", ":2: the word is not UTF-8"),
        (b"word\n", ":1: expected a word and 1 to 4,096 numbers, .* found 0 numbers"),
        (b"a" + b" 1" * 4097, ":1: expected a word and 1 to 4,096 numbers, .* found 4097 numbers"),
        (b"9 999999999\n", ":1: expected a word and 1 to 4,096 numbers, .* found 999999999"),
        (b"a 1\n" + b"b" * (1 << 20) + b" 1\n", ":2: has more than 1,048,576 bytes"),
        (gzip.compress(b"a 1 2\n", mtime=0), "is not text but gz"),
    ],
)
def test_malformed_files(tmp_path, data, message):
    (tmp_path / "vectors.txt").write_bytes(data)
    with pytest.raises(InputError, match=rf"vectors\.txt:? ?{message}"):
        read_word_vectors(tmp_path / "vectors.txt")


def test_files_that_can_not_be_used(tmp_path, tokenizer):
    with pytest.raises(InputError, match=r"none\.txt: no such file"):
        SimilarWords.of(tmp_path / "none.txt", tokenizer)
    with pytest.raises(InputError, match="is a directory, not a file"):
        SimilarWords.of(tmp_path, tokenizer)
    (tmp_path / "damaged.gz").write_bytes(gzip.compress(b"a 1 2\n" * 99)[:-9])
    with pytest.raises(InputError, match=r"damaged\.gz: can't be read"):
        SimilarWords.of(tmp_path / "damaged.gz", tokenizer)
    (tmp_path / "unknown").write_text("漢字 1 2\n", "utf-8")
    with pytest.raises(InputError, match="none of its 1 words consists of tokens of the vocab"):
        SimilarWords.of(tmp_path / "unknown", tokenizer)
    (tmp_path / "far").write_text("cat 1 0\nCAT 1 0\ndog 0 1\ndogs 0 1\n")
    with pytest.raises(InputError, match="none of its 3 words of the vocabulary has a similar one"):
        SimilarWords.of(tmp_path / "far", tokenizer)


@pytest.mark.parametrize("counts", ["", "4 2\n"])
def test_words_with_spaces(tmp_path, counts):
    """As a few have in GloVe's largest file."""
    (tmp_path / "vectors").write_text(f"{counts}a 1 2\n. . . 3 4\n at b@c.de 5 6 \n9 7 8\n")
    words, vectors = read_word_vectors(tmp_path / "vectors")
    assert words == ["a", ". . .", "at b@c.de", "9"]
    assert vectors.tolist() == [[1, 2], [3, 4], [5, 6], [7, 8]]


def test_only_the_first_words_are_read(tmp_path, monkeypatch):
    monkeypatch.setattr(word_vectors, "MOST_WORDS", 2)
    (tmp_path / "vectors").write_text("4 1\na 1\nb 1\nc 1\nd 1\n")
    assert read_word_vectors(tmp_path / "vectors")[0] == ["a", "b"]
    assert MOST_WORDS == 100_000


# === Which words are found in rows ===


@pytest.mark.parametrize("ops", [array_ops, graph_ops], ids=["numpy", "tensorflow"])
def test_words_are_found_by_all_of_their_tokens(ops):
    random = np.random.default_rng(0)
    # Of three letters: many words begin with others.
    words = {tuple(random.integers(5, 8, size).tolist()) for size in [1, 2, 3, 4] * 12}
    words = sorted(words, key=lambda word: (len(word), word))
    others = [[i for i, w in enumerate(words) if len(w) == len(word)] for word in words]
    others = [[i for i in own if i != number][:2] for number, own in enumerate(others)]
    similar = np.array([[*own, -1, -1][:2] for own in others])
    words_of = dict(zip(words, others, strict=True))
    found = SimilarWords(words, similar, 8)
    ids = random.integers(5, 8, (40, 50), dtype=np.int32)
    begins = random.random(ids.shape) < 0.4
    begins[:, 0] = True
    first, last = array_ops.first_and_last_like(np.cumsum(begins, axis=1))
    arguments = ids, array_ops.positions_like(ids), first, last
    if ops is graph_ops:
        arguments = map(tf.constant, arguments)
    replaced = np.asarray(found.replaced(ops, *arguments, np.array(SEED)))
    assert replaced.dtype == np.int32
    counts = {True: 0, False: 0}
    for row in range(40):
        for start in np.flatnonzero(begins[row]):
            end = last[row, start] + 1
            word, now = tuple(ids[row, start:end].tolist()), tuple(replaced[row, start:end])
            if word in words_of:
                assert now in [words[i] for i in words_of[word]]
            else:
                assert {*now} == {-1}
            counts[word in words_of] += 1
    assert min(counts.values()) > 100


# === What masked words become ===


@pytest.mark.parametrize("unit", ["whole_word", "ngram"])
def test_shares_of_similar_words_and_random_tokens(tokenizer, similar, unit):
    ids = rows_of_words(tokenizer)
    masking = Masking.of(tokenizer, mask_unit=unit, similar_words=similar)
    size = tokenizer.vocabulary_size - SPECIAL
    counts = {kind: dict.fromkeys(["similar", "random", "same"], 0) for kind in (1, 2, "alone")}
    drawn = np.zeros(GROUP - 1, int)
    for _, _, before, now in masked_words(masking, tokenizer, ids):
        kind = len(before) if before in similar.words else "alone"
        outcome = kind_of(similar, before, now)
        counts[kind][outcome] += 1
        if outcome == "similar" and kind == 1:
            drawn[similar.similar_to(before).index(now)] += 1
    for length in (1, 2):
        # Random tokens may be the word, or a similar one.
        again = 0.1 / size**length
        expected = {"similar": 0.8 + 4 * again, "random": 0.1 - 5 * again, "same": 0.1 + again}
        check(counts[length], expected)
    assert counts["alone"].pop("similar") == 0
    check(counts["alone"], {"random": 0.9 - 0.9 / size, "same": 0.1 + 0.9 / size})
    assert stats.chisquare(drawn).pvalue > UNLIKELY  # each is as likely as the next
    assert sum(counts[2].values()) > 1000


def check(counts, shares):
    assert counts.keys() == shares.keys()
    total = sum(counts.values())
    assert total > 500
    expected = [shares[name] * total for name in counts]
    assert stats.chisquare([*counts.values()], expected).pvalue > UNLIKELY


def test_words_of_a_span_share_a_die(tokenizer, similar):
    ids = rows_of_words(tokenizer)
    masking = Masking.of(tokenizer, mask_unit="span", similar_words=similar)
    lengths = array_ops.split_seed(np.array(SEED), 5)[3]
    starts = masking._units(array_ops, ids, ~masking.special[ids], None, lengths).start
    spans = {}
    for row, position, before, now in masked_words(masking, tokenizer, ids):
        if before in similar.words:
            kinds = spans.setdefault((row, starts[row, position]), [])
            kinds.append(kind_of(similar, before, now))
    first = [kinds[0] for kinds in spans.values()]
    shares = {kind: first.count(kind) for kind in ("similar", "random", "same")}
    size = tokenizer.vocabulary_size - SPECIAL
    again = 0.1 / size
    check(shares, {"similar": 0.8 + 4 * again, "random": 0.1 - 5 * again, "same": 0.1 + again})
    # Other kinds only where random tokens are the word or a similar one.
    mixed = [kinds for kinds in spans.values() if len({*kinds}) > 1]
    assert len(mixed) < 0.01 * len(spans)
    assert sum(len(kinds) > 1 for kinds in spans.values()) > 500


@pytest.mark.parametrize("unit", ["whole_word", "ngram", "span"])
def test_numpy_masks_what_the_graph_masks(tokenizer, similar, unit):
    ids = rows_of_words(tokenizer, 32, 48)
    ids[::3, 40:], ids[::2, 30] = tokenizer.pad_id, tokenizer.unknown_id
    masking = Masking.of(tokenizer, 0.25, mask_unit=unit, similar_words=similar)
    seed = tf.constant(SEED, tf.int64)
    graph = tf.function(lambda ids: masking({"token_ids": ids}, seed))
    expected = masking({"token_ids": ids}, np.array(SEED))
    found = graph(tf.constant(ids))
    for theirs, ours in zip(tf.nest.flatten(found), tf.nest.flatten(expected), strict=True):
        np.testing.assert_array_equal(theirs.numpy(), ours)
        assert theirs.dtype == ours.dtype
    traced = graph.get_concrete_function(tf.TensorSpec(ids.shape, tf.int32)).graph
    constants = [node for node in traced.as_graph_def().node if node.op == "Const"]
    assert max(node.ByteSize() for node in constants) < 2000  # the tables are none


def test_the_same_places_as_with_mask_tokens(tokenizer, similar):
    """What is masked, and what is drawn, does not depend on what replaces it."""
    ids = rows_of_words(tokenizer, 16, 64)
    plain, other = (
        Masking.of(tokenizer, mask_unit="whole_word", similar_words=words)(
            {"token_ids": ids}, np.array(SEED)
        )
        for words in (None, similar)
    )
    np.testing.assert_array_equal(plain[0]["mask_positions"], other[0]["mask_positions"])
    for ours, theirs in zip(plain[1:], other[1:], strict=True):
        np.testing.assert_array_equal(ours, theirs)


# === Batches ===


@pytest.mark.parametrize("objective", ["nsp", "sop", "mlm", "packed"])
def test_batches_of_a_corpus(corpus_dir, similar, objective):
    given = {"objective": "mlm" if objective == "packed" else objective}
    given |= {"mask_unit": "ngram", "pack_documents": objective == "packed", "mask_rate": 0.3}
    one, other, plain = (
        PretrainingBatches(
            Corpus(corpus_dir), 8, 32, seed=1, with_numpy=numpy, similar_words=words, **given
        )
        for numpy, words in ((False, similar), (True, similar), (True, None))
    )
    masks = one.masking.mask_id
    for step in (0, 5):
        found, expected = one.batch(step), other.batch(step)
        for theirs, ours in zip(tf.nest.flatten(found), tf.nest.flatten(expected), strict=True):
            np.testing.assert_array_equal(theirs.numpy(), ours)
        assert not (expected[0]["token_ids"] == masks).any()
        assert (plain.batch(step)[0]["token_ids"] == masks).any()


def test_words_of_a_segmenter(tmp_path):
    """The words are those of the corpus: characters alone are not replaced by words."""
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    tokenizer = WordPieceTokenizer([*special, *"北京上海大小的"])
    (tmp_path / "text.txt").write_text("\n".join(["北京的大上海的小北上的海"] * 40), "utf-8")
    (tmp_path / "phrases.txt").write_text("北京\n上海\n", "utf-8")
    finder = WordFinder(tokenizer, phrases=tmp_path / "phrases.txt")
    prepare_corpus([str(tmp_path / "text.txt")], tokenizer, tmp_path / "corpus", words=finder)
    (tmp_path / "vectors").write_text("北京 1 0\n上海 1 0.2\n大 1 0\n小 1 0.1\n京 0 1\n", "utf-8")
    similar = SimilarWords.of(tmp_path / "vectors", tokenizer)
    batches = PretrainingBatches(
        Corpus(tmp_path / "corpus"),
        16,
        50,
        objective="mlm",
        mask_unit="whole_word",
        with_numpy=True,
        similar_words=similar,
    )
    pairs = collections.Counter()
    for step in range(30):
        features, originals, weights = batches.batch(step)
        for row, positions in enumerate(features["mask_positions"]):
            used = weights[row] == 1
            now = features["token_ids"][row, positions[used]]
            changes = zip(positions[used], originals[row, used], now, strict=True)
            changes = [(p, *map(tokenizer.id_to_token, (a, b))) for p, a, b in changes]
            for (p, a, b), (q, c, d) in itertools.pairwise(changes):
                if (a, c) == ("北", "京") and q == p + 1:
                    pairs[b + d] += 1
    assert pairs["上海"] / pairs.total() == pytest.approx(0.8, abs=0.08)
    assert pairs["北京"] / pairs.total() == pytest.approx(0.1, abs=0.06)
    assert pairs.total() > 150


def test_what_can_not_be_replaced(tokenizer, similar, corpus_dir):
    with pytest.raises(InputError, match="similar_words replace words; mask_unit must be"):
        Masking.of(tokenizer, similar_words=similar)
    with pytest.raises(InputError, match="similar_words: the objective rtd"):
        PretrainingBatches(
            Corpus(corpus_dir),
            4,
            16,
            objective="rtd",
            mask_unit="whole_word",
            similar_words=similar,
        )
