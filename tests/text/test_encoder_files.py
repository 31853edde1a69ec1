"""`kerasbert.serving.encode` gives the ids of our text ops, without TensorFlow."""

import itertools
import json
import shutil
import subprocess
import sys
import unicodedata

import numpy as np
import pytest
import tensorflow as tf
import test_bytepair
import test_sentencepiece
import test_wordpiece
import tokenizers
from hypothesis import given
from hypothesis import strategies as st

from kerasbert.errors import InputError
from kerasbert.serving import encode
from kerasbert.serving.encode import Encoder
from kerasbert.text import (
    AddedToken,
    BytePairTokenizer,
    SentencePieceTokenizer,
    TextPacker,
    WordPieceTokenizer,
    encoder_files,
)
from kerasbert.text.sentencepiece_model import sentencepiece_model
from kerasbert.text.special_tokens import ALBERT_TOKENS, ROBERTA_TOKENS
from kerasbert.text.tokenizers_library import all_characters, other_characters

LENGTH = 24
HARD = [*test_wordpiece.HARD, *test_bytepair.HARD, *test_sentencepiece.HARD]
HARD += [text for text in test_wordpiece.LONG if len(text) < 1000]
# Punctuation, marks and letters that are newer than the tables of `tokenizers`.
HARD += ["a\u2e43b \u2e52", "x\U0001e8d0a \u1abfy", "\u1c90 \ua7c2X \U00016e40", "\U0002ceb0\u9fff"]
HARD += ["\u1e9e\u0345\u0130", "a\u180eb\u061c\u2065c", "\U000e0100 \U000f0000 \ue000", "⸺‽\u2e5d"]


@pytest.fixture(scope="module")
def wordpieces(vocabulary):
    """A vocabulary with the characters of the hard strings, so that none hides in [UNK]."""
    found = set("".join(itertools.chain.from_iterable(map(test_wordpiece.all_forms, HARD))))
    found |= {*other_characters(True, True)[0]} | {*"".join(other_characters(True, True)[0])}
    found = sorted(c for c in found if unicodedata.category(c)[0] not in "CZ" and c != "#")
    return list(dict.fromkeys([*vocabulary, *found, *("##" + c for c in found), "#", "###"]))


@pytest.fixture(scope="module")
def bytepairs(texts):
    trained = tokenizers.ByteLevelBPETokenizer()
    lines = [*texts * 3, *HARD]
    special = test_bytepair.SPECIAL
    trained.train_from_iterator(lines, 700, special_tokens=special, show_progress=False)
    content = json.loads(trained._tokenizer.to_str())["model"]
    return content["vocab"], content["merges"]


@pytest.fixture(scope="module")
def pieces(texts):
    control = ["[CLS]", "[SEP]", "[MASK]"]
    return test_sentencepiece.train(
        texts, pad_id=0, unk_id=1, bos_id=-1, eos_id=-1, control_symbols=control
    )


@pytest.fixture(scope="module")
def fairseq_pieces(texts):
    return test_sentencepiece.train(texts)


XLM = {"layout": "fairseq", "special_tokens": ROBERTA_TOKENS, "packing": "roberta"}
KINDS = {
    "uncased": ("wordpieces", lambda made: WordPieceTokenizer(made)),
    "cased": ("wordpieces", lambda made: WordPieceTokenizer(made, lowercase=False)),
    "accents": ("wordpieces", lambda made: WordPieceTokenizer(made, strip_accents=False)),
    "bytes": ("bytepairs", lambda made: BytePairTokenizer(*made)),
    "spaced": ("bytepairs", lambda made: BytePairTokenizer(*made, add_prefix_space=True)),
    "pieces": ("pieces", lambda made: SentencePieceTokenizer(made)),
    "albert": (
        "pieces",
        lambda made: SentencePieceTokenizer(
            made, avoid_number_commas=True, **test_sentencepiece.ALBERT
        ),
    ),
    "xlm": ("fairseq_pieces", lambda made: SentencePieceTokenizer(made, **XLM)),
}


@pytest.fixture(scope="module", params=KINDS)
def ours(request):
    fixture, make = KINDS[request.param]
    return make(request.getfixturevalue(fixture))


def encoder(directory, tokenizer, inputs=("text",), words=False, **export):
    directory.mkdir(parents=True, exist_ok=True)
    masks = "mask_positions" in export.get("features", {})
    settings = encoder_files.write(directory, tokenizer, with_mask=masks, words=words)
    (directory / "encoder.json").write_text(json.dumps(settings))
    defaults = {"sequence_length": LENGTH, "shape": None, "prompt": "", "features": {}}
    export = {"inputs": list(inputs), **defaults, **export}
    (directory / "export.json").write_text(json.dumps(export))
    return Encoder(directory)


@pytest.fixture(scope="module")
def theirs(ours, tmp_path_factory):
    return encoder(tmp_path_factory.mktemp("encoder"), ours, sequence_length=4096)


def ids_of(features):
    rows = zip(features["token_ids"], features["padding_mask"], strict=True)
    return [[int(id) for id in ids[mask > 0]] for ids, mask in rows]


def check(ours, theirs, texts):
    refused = {*getattr(theirs._ids_of, "_refused", "")}
    for text in texts:
        if not refused.isdisjoint(text):
            with pytest.raises(ValueError, match=r"tokenizers reads U\+[0-9A-F]+ differently than"):
                theirs(text=[text])
    texts = [text for text in texts if refused.isdisjoint(text)]
    expected = ours.tokenize(tf.constant(texts, tf.string, [len(texts)])).to_list()
    expected = [[ours.cls_id, *ids[:4094], ours.sep_id] for ids in expected]
    found = ids_of(theirs(text=texts))
    pairs = zip(texts, found, expected, strict=True)
    assert [pair for pair in pairs if pair[1] != pair[2]] == []


def test_hard_strings(ours, theirs):
    check(ours, theirs, HARD)
    check(ours, theirs, [" ".join(text for text in HARD if "\u1c89" not in text)])
    check(ours, theirs, [])


ALPHABET = st.one_of(
    st.sampled_from("".join(HARD)), st.characters(exclude_categories=["Cs"]), st.sampled_from("'` ")
)


def test_random_text(ours, theirs):
    @given(st.lists(st.text(ALPHABET, max_size=60), min_size=1, max_size=5))
    def same(texts):
        check(ours, theirs, texts)

    same()


def test_packing(ours, tmp_path):
    """Pairs of all lengths, truncated or not."""
    words = ["the cat", "a", "", "a good dog " * 2, "a bird reads " * 30, "x " * 9]
    first, second = zip(*itertools.product(words, words), strict=True)
    found = encoder(tmp_path, ours, ("text", "text_pair"))(text=first, text_pair=second)
    expected = TextPacker(ours, LENGTH)(tf.constant(first), tf.constant(second))
    for name, rows in expected.items():
        np.testing.assert_array_equal(found[name], rows.numpy())


def test_words(ours, tmp_path):
    sentences = [["The", "cat", "'s", "中国", "\x00", "\u0301", "x-y"], [], ["a"]]
    made = encoder(tmp_path, ours, ("words",), words=True)
    found = ids_of(made(words=sentences))
    first = made.first_tokens(sentences)
    for words, ids, positions in zip(sentences, found, first, strict=True):
        own = ours.tokenize_words(words).to_list() if words else []
        assert ids[1:-1] == [id for word in own for id in word]
        assert [ids[position] for position in positions] == [word[0] for word in own]
    with pytest.raises(ValueError, match=r"a sentence has .* tokens, the model reads 22"):
        made(words=[["cat"] * 30])


@pytest.mark.parametrize(
    "words",
    ["a fine day", b"a fine day", 3, None, iter([["a"]])]
    + [[row] for row in ("a fine day", b"", 3, None, ["a", 3], [b"a"], iter(["a"]))],
)
def test_words_that_are_no_lists_of_strings(wordpieces, tmp_path, words):
    """A string is not the list of its characters."""
    made = encoder(tmp_path, WordPieceTokenizer(wordpieces), ("words",), words=True)
    for call in (made.first_tokens, lambda words: made(words=words)):
        with pytest.raises(ValueError, match="words must be a list of lists of strings"):
            call(words)
    with pytest.raises(ValueError, match="words must be a list of lists of strings"):
        made.batches(words=words)
    with pytest.raises(ValueError, match="words holds a surrogate, which is no character"):
        made.first_tokens([["a", "\ud800"]])


@pytest.mark.parametrize("text", ["a", b"a", b"", 3, None, iter(["a"]), [3], [None], [["a"]]])
def test_texts_that_are_no_list_of_strings(wordpieces, tmp_path, text):
    made = encoder(tmp_path, WordPieceTokenizer(wordpieces), ("text", "text_pair"))
    for columns in ({"text": text, "text_pair": ["a"]}, {"text": ["a"], "text_pair": text}):
        for call in (made, made.batches):
            with pytest.raises(ValueError, match="must be a list of strings"):
                call(**columns)


def test_masks(ours, tmp_path):
    mask = ours.special_tokens.mask
    texts = [f"the {mask} reads", f"{mask}{mask} a  {mask}x", "no mask", f"a {mask}"]
    features = {"mask_positions": [None, None]}
    found = encoder(tmp_path, ours, features=features)(text=texts)
    expected = TextPacker(ours, LENGTH)(tf.constant(texts), tokenize=ours.tokenize_with_mask)
    np.testing.assert_array_equal(found["token_ids"], expected["token_ids"].numpy())
    at_masks = np.take_along_axis(found["token_ids"], found["mask_positions"], axis=1)
    assert ((at_masks == ours.mask_id) == [[1, 0, 0], [1, 1, 1], [0, 0, 0], [1, 0, 0]]).all()


ADDED = [
    AddedToken("[E1]", special=True),
    AddedToken("<x>", special=True, lstrip=True, rstrip=True),
    AddedToken("<xyz>", special=True),
]
NORMALIZED = [AddedToken("Foo Bar"), AddedToken("ünder", single_word=True)]
WITH_ADDED = ["[E1]cat[E1] dog", "a <x> b<xyz><x>c", "<x>", "foo bar FOO BAR", "ünder ünders ÜNDER"]


@pytest.mark.parametrize("kind", KINDS)
def test_added_tokens(request, kind, tmp_path):
    fixture, make = KINDS[kind]
    ours = make(request.getfixturevalue(fixture))
    is_sentencepiece = isinstance(ours, SentencePieceTokenizer)
    ours.add_tokens(ADDED if is_sentencepiece else [*ADDED, *NORMALIZED])
    check(ours, encoder(tmp_path, ours, sequence_length=4096), WITH_ADDED)
    if is_sentencepiece:
        ours.add_tokens(NORMALIZED)
        with pytest.raises(InputError, match="'Foo Bar' with SentencePiece can't be computed"):
            encoder(tmp_path, ours)


def test_fixed_shape(wordpieces, tmp_path):
    ours = WordPieceTokenizer(wordpieces)
    made = encoder(tmp_path, ours, shape=[3, 8], sequence_length=8)
    features = made(text=["a cat", "a bird reads a long book today"])
    assert {name: rows.shape for name, rows in features.items()} == dict.fromkeys(features, (3, 8))
    assert ids_of(features)[2] == [ours.cls_id, ours.sep_id]
    with pytest.raises(ValueError, match="takes 3 rows at once, found 4"):
        made(text=["a"] * 4)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"words": [["a"]]}, "takes text, found words"),
        ({"text": "a dog"}, "text must be a list of strings"),
        ({"text": ["a", b"b"]}, "text must be a list of strings"),
        ({"text": ["caf\udce9"]}, "text holds a surrogate"),
    ],
    ids=["name", "string", "bytes", "surrogate"],
)
def test_bad_inputs(theirs, columns, message):
    with pytest.raises(ValueError, match=message):
        theirs(**columns)


def test_what_is_replaced_is_refused_beside_added_tokens(wordpieces, tmp_path):
    ours = WordPieceTokenizer(wordpieces, added_tokens=ADDED)
    made = encoder(tmp_path, ours)
    made(text=["a dog"])
    with pytest.raises(ValueError, match=r"reads U\+2E52 differently than the model"):
        made(text=["a \u2e52 dog"])
    ours.add_tokens(["\u2e52"])
    with pytest.raises(InputError, match="only a SavedModel"):
        encoder(tmp_path, ours)


def test_another_version_of_tokenizers(wordpieces, tmp_path, monkeypatch):
    encoder(tmp_path, WordPieceTokenizer(wordpieces))
    monkeypatch.setattr(tokenizers, "__version__", "0.99.1")
    with pytest.raises(ValueError, match=r"was checked with tokenizers .*, found 0.99.1: install"):
        Encoder(tmp_path)


def test_models_without_exact_ids(bytepairs, tmp_path):
    vocabulary, merges = bytepairs
    some = {piece: id for piece, id in vocabulary.items() if piece != "!"}
    some = {piece: number for number, piece in enumerate(some)}
    with pytest.raises(InputError, match="lacks 1 of the 256 bytes can't be computed exactly"):
        encoder(tmp_path, BytePairTokenizer(some, [pair for pair in merges if "!" not in pair]))
    control = ["<pad>", "[CLS]", "[SEP]", "[MASK]"]
    parts = {"pieces": ["<unk>", *control, "▁a", "b"], "scores": [0, 0, 0, 0, 0, 1.0, 0.5]}
    model = sentencepiece_model(**parts, unknown_id=0, control=control, user_defined=["b"])
    with pytest.raises(InputError, match="positive scores can't be computed"):
        encoder(tmp_path, SentencePieceTokenizer(model, special_tokens=ALBERT_TOKENS))


def test_nothing_of_kerasbert_is_needed(wordpieces, tmp_path):
    """The export's own copy, in a process without kerasbert and TensorFlow."""
    encoder(tmp_path, WordPieceTokenizer(wordpieces))
    shutil.copy(encode.__file__, tmp_path)
    program = (
        "import sys; sys.path.insert(0, '.'); from encode import Encoder; "
        "print(Encoder('.')(text=['a dog'])['token_ids'].tolist(), "
        "[name for name in ('tensorflow', 'keras', 'kerasbert') if name in sys.modules])"
    )
    words = [sys.executable, "-I", "-c", program]
    child = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True)
    expected = Encoder(tmp_path)(text=["a dog"])["token_ids"].tolist()
    assert child.stdout.strip() == f"{expected} []", child.stderr


def test_importing_it_imports_no_tensorflow():
    program = (
        "import sys; from kerasbert.serving import Encoder; "
        "print([name for name in ('tensorflow', 'keras') if name in sys.modules])"
    )
    child = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert child.stdout.strip() == "[]", child.stderr


@pytest.mark.full
@pytest.mark.parametrize("settings", [{}, {"lowercase": False}, {"strip_accents": False}], ids=str)
def test_every_character(vocabulary, settings, tmp_path):
    """With a vocabulary in which all of Unicode is known."""
    characters = [character for block in all_characters() for character in block]
    known = [c for c in characters if unicodedata.category(c)[0] not in "CZ" and c != "#"]
    pieces = dict.fromkeys([*vocabulary, *known, *("##" + c for c in known), "#", "###"])
    ours = WordPieceTokenizer(list(pieces), **settings)
    made = encoder(tmp_path, ours)
    refused = set(json.loads((tmp_path / "encoder.json").read_text())["refused"])
    assert len(refused) < 100
    texts = [f"a{c}b {c}" for c in map(chr, range(0x110000)) if c not in refused]
    texts = [text for text in texts if not "\ud800" <= text[1] < "\ue000"]
    for begin in range(0, len(texts), 2**16):
        part = texts[begin : begin + 2**16]
        expected = TextPacker(ours, LENGTH)(tf.constant(part))
        np.testing.assert_array_equal(made(text=part)["token_ids"], expected["token_ids"].numpy())
