import hashlib
import itertools

import pytest

from kerasbert.errors import InputError
from kerasbert.text import WordPieceTokenizer, load_vocabulary, train_vocabulary
from kerasbert.text.vocabulary import check_vocabulary, save_vocabulary, vocabulary_sha256

GOOD = b"[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nthe\n##s\n"


@pytest.mark.parametrize(
    "data",
    [
        GOOD,
        GOOD.removesuffix(b"\n"),
        GOOD + b"\n\n",
        GOOD.replace(b"the\n", b"the\r\n"),
        GOOD.replace(b"\n", b"\r\n"),
        b"\xef\xbb\xbf" + GOOD,
    ],
)
def test_load(tmp_path, data):
    path = tmp_path / "vocab.txt"
    path.write_bytes(data)
    assert load_vocabulary(path) == ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "##s"]


def test_strange_pieces_survive(tmp_path):
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "\u2028", "\x85", " ", "\u3000", "中"]
    save_vocabulary(pieces, tmp_path / "new" / "vocab.txt")
    assert load_vocabulary(tmp_path / "new" / "vocab.txt") == pieces
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["vocab.txt"]
    data = (tmp_path / "new" / "vocab.txt").read_bytes()
    assert vocabulary_sha256(pieces) == hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize(
    ("data", "pieces", "message"),
    [
        (b"cat\nthe\n", {5: "[no piece 5]", 8: "the"}, "line 6 is 'the', as is line 9"),
        (b"\ncat\n", {7: "\u2028"}, "line 8 is empty"),
        (b"\n\ncat\n", {7: "[no piece 7]", 8: "\u2028"}, "2 lines are ignored.* line 8 is empty"),
        ("\n\u2028\n".encode(), {7: "[no piece 7]", 8: "\u2028"}, "line 8 is empty"),
    ],
)
def test_lines_that_do_not_count(tmp_path, data, pieces, message):
    path = tmp_path / "vocab.txt"
    path.write_bytes(GOOD + data)
    with pytest.warns(UserWarning, match=message):
        found = load_vocabulary(path)
    assert {id: found[id] for id in pieces} == pieces
    save_vocabulary(found, path)
    assert load_vocabulary(path) == found


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (GOOD.replace(b"[MASK]\n", b""), r": lacks the special token \[MASK\]"),
        (GOOD.replace(b"[CLS]", b"[cls]"), r": lacks .* \[CLS\]; line 3 has it as '\[cls\]'"),
        (GOOD + b"cat\ncaf\xe9\n", r":9: is not UTF-8"),
        (b"", r":1: empty line"),
    ],
)
def test_bad_files(tmp_path, data, message):
    path = tmp_path / "vocab.txt"
    path.write_bytes(data)
    with pytest.raises(InputError, match=f"vocab.txt{message}") as caught:
        load_vocabulary(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match=f"vocab.txt{message}"):
        WordPieceTokenizer(path)


def test_missing_file(tmp_path):
    with pytest.raises(InputError, match=r"none.txt: no such file"):
        load_vocabulary(tmp_path / "none.txt")
    with pytest.raises(InputError, match=r"directory"):
        load_vocabulary(tmp_path)


@pytest.mark.parametrize("check", [check_vocabulary, WordPieceTokenizer, vocabulary_sha256])
def test_bad_lists(check, vocabulary):
    if check is not vocabulary_sha256:
        with pytest.raises(InputError, match=r"'the' is already"):
            check([*vocabulary, "the"])
    check(vocabulary)


def test_bad_vocabularies_are_not_saved(tmp_path, vocabulary):
    with pytest.raises(InputError, match="empty line"):
        save_vocabulary([*vocabulary, ""], tmp_path / "vocab.txt")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("size", [100, 200])
def test_train(corpus_files, size):
    lines = [line for path in corpus_files for line in path.read_text().splitlines()]
    pieces = train_vocabulary(lines, size)
    assert pieces[:5] == ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    assert 30 < len(pieces) <= size
    check_vocabulary(pieces)
    assert all(piece == piece.lower() for piece in pieces[5:])
    tokenizer = WordPieceTokenizer(pieces)
    assert len(tokenizer(lines).flat_values) > 0


def test_train_joins_what_is_frequent():
    pieces = train_vocabulary(["Über die Brücke über"] * 10, 100)
    assert {"uber", "brucke"} < set(pieces)
    pieces = train_vocabulary(["Über die Brücke Über"] * 10, 100, lowercase=False)
    assert {"Über", "Brücke"} < set(pieces)
    pieces = train_vocabulary(["Über die Brücke Über"] * 10, 100, strip_accents=False)
    assert {"über", "brücke"} < set(pieces)


def single(pieces):
    return {piece.removeprefix("##") for piece in pieces[5:] if len(piece.removeprefix("##")) == 1}


CHINESE = "".join(map(chr, range(0x4E00, 0x4E00 + 300)))


def test_alphabet_is_bounded():
    texts = ["the cat " * 20 + CHINESE]
    pieces = train_vocabulary(texts, 40, alphabet_size=10)
    assert single(pieces) >= {"t", "h", "e", "c", "a"}
    assert len(single(pieces)) == 10
    with pytest.raises(InputError, match="an alphabet of 36 characters does not fit a vocabulary"):
        train_vocabulary(texts, 40, alphabet_size=36)


def test_characters_get_what_longer_pieces_leave():
    # A quarter of 400 pieces, as this was once, has no place for two thirds of the characters.
    pieces = train_vocabulary(["the cat " * 20 + CHINESE], 400)
    assert single(pieces) == {*CHINESE, *"thecat"}
    assert {"the", "cat"} <= set(pieces)
    assert len(pieces) < 400
    assert set(train_vocabulary(["the cat " * 20 + CHINESE], 100_000)) == set(pieces)


def test_rare_characters_are_left_out_of_a_full_vocabulary():
    words = ["".join(pair) for pair in itertools.permutations("abcdefghij", 2)]
    texts = [" ".join(words)] * 400 + ["xa bć"]
    pieces = train_vocabulary(texts, 5 + 20 + 50, strip_accents=False)
    assert single(pieces) == set("abcdefghij")
    assert len(pieces) == 75
    assert single(train_vocabulary(texts, 200, strip_accents=False)) == set("abcdefghijćx")


def test_rare_characters_are_only_trained_on_with_their_neighbours():
    # An alphabet that is cut before the training joins "a" and "b" here, which never meet.
    pieces = train_vocabulary(["a\u0107b " * 5 + "cd " * 100_000], 30, alphabet_size=4)
    assert {"a", "##b", "cd"} <= set(pieces)
    assert "ab" not in pieces


def test_sizes_that_lose_the_text_are_refused():
    with pytest.raises(
        InputError, match=r"100 tokens have no room for 229 of the text's 300 .* 76"
    ):
        train_vocabulary([CHINESE], 100)
    pairs = [" ".join(map("".join, itertools.permutations("abcdefghij", 2)))]
    with pytest.raises(
        InputError, match=r"17 tokens have no room for 10 characters, .* only for 6;"
    ):
        train_vocabulary(pairs, 17, alphabet_size=10)
    assert len(single(train_vocabulary(pairs, 17, alphabet_size=6))) == 6


@pytest.mark.parametrize(
    ("texts", "size", "message"),
    [
        ([], 100, "no text"),
        ([""], 100, "no text"),
        (["a"], 5, "5"),
        (["a"], 10**9, "10 to 1,000,000 tokens, found 1,000,000,000"),
    ],
)
def test_nothing_to_train_on(texts, size, message):
    with pytest.raises(InputError, match=message):
        train_vocabulary(texts, size)


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ("the dog barks", "texts must be a list of strings, found 'the dog barks'"),
        (None, "texts must be a list of strings, found None"),
        (["the dog", None], r"texts\[1\] must be a string, found None"),
        ([b"the dog"], r"texts\[0\] must be a string, found b'the dog'"),
    ],
)
def test_texts_of_other_types(texts, message):
    with pytest.raises(InputError, match=message):
        train_vocabulary(texts, 50)


def test_words_that_are_unknown_for_their_length_are_not_learnt():
    long, chinese = "x" * 1_000_000, "东京" * 200  # the trainer took minutes for the first
    vocabulary = train_vocabulary(["a dog", long, f"the {long} cat", chinese] * 3, 60)
    assert not {"x", "##x", "xx"} & set(vocabulary)
    assert {"东", "京", "dog", "cat"} <= set(vocabulary)
