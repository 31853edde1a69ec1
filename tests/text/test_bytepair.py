import dataclasses
import json
import pathlib
import random
import subprocess
import sys
import unicodedata

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import ByteLevelBPETokenizer, Tokenizer
from tokenizers.decoders import ByteLevel as ByteLevelDecoder
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel

from kerasbert.errors import InputError
from kerasbert.text import bytes_to_characters
from kerasbert.text.bytepair import BytePairTokenizer
from kerasbert.text.special_tokens import ROBERTA_TOKENS

SPECIAL = list(dataclasses.astuple(ROBERTA_TOKENS))
SPACES = [
    " ",
    "  ",
    "   ",
    "\t",
    "\n",
    "\n\n",
    " \n",
    "\n ",
    "\u00a0",
    " \u00a0",
    "\u00a0 ",
    "\x0b",
]
SPACES += ["\x85", "\u3000", "\u2028 ", " \u1680", "\r\n", "\u200a\u2029\u202f\u205f", "\u2000 \t"]
HARD = [
    "",
    "The cat, the dog",
    "it's they'll we've I'm he'd you're don't 's 't",
    "  's !'s ''s 'S 'LL 'l 'v '' 'tis o'er it'sit",
    *(f"{before}{space}{after}" for space in SPACES for before in ("", "a") for after in ("", "a")),
    *(f"!{space}'s{space}1" for space in SPACES),
    "  runs   of    spaces \t\t tabs\n\n\nlines  ",
    "😀 👩\u200d👩\u200d👧 🇨🇭 ❤\ufe0f!😀a1",
    "中国人 reads中文books 鴿㐀𠀀 カタカナ ひらがな 각 한국어",
    "e\u0301 a\u0308\u0301 \u0301start \u0301 か\u3099",
    "1२३ ٣٤ ½ ² ① Ⅷ 12,345.67 a1b2 １２",
    "nul\x00inside \x00 \x00\x00",
    "\x01\x02 control\x7f \x1f\x1e soft\u00adhyphen \u200b\ufeff\u2060\u180e",
    "a" * 1000,
    "aa aaa aaaa aaaaa aaaaaa aaaaaaa",
    "theatheathe the" * 50,
    "नमस्ते ไทย עִבְרִית عَرَبِيّ Привет ﬁne ß İ",
    "<s> </s> <mask> Ġ Ċ ĠĠa",
    "\U000e0001 \U0010ffff \ue000 \ufffd \ufffe",
    "\u1c89 \U00010d4a1 \U00010d40a \U0002ebf0\U00013460",
]


class Pair:
    """Our tokenizer and the reference, of one vocabulary."""

    def __init__(self, vocabulary, merges, *, add_prefix_space=False):
        self.ours = BytePairTokenizer(vocabulary, merges, add_prefix_space)
        self.graph = tf.function(
            self.ours.tokenize,
            input_signature=[tf.TensorSpec([None], tf.string)],
            autograph=False,
        )
        if not isinstance(vocabulary, dict):
            vocabulary, merges = str(vocabulary), str(merges)
        self.reference = ByteLevelBPETokenizer(
            vocabulary, merges, add_prefix_space=add_prefix_space
        )

    def expected(self, texts):
        return [one.ids for one in self.reference.encode_batch(list(texts))]

    def check(self, texts):
        found = self.graph(tf.constant(texts, tf.string, [len(texts)])).to_list()
        pairs = zip(texts, found, self.expected(texts), strict=True)
        assert [pair for pair in pairs if pair[1] != pair[2]] == []


@pytest.fixture(scope="module")
def files(texts, tmp_path_factory):
    """A vocabulary of a thousand pieces, and its merges."""
    trainer = ByteLevelBPETokenizer()
    lines = [*texts, *HARD, "the cats  and\n\nthe dogs aren't   here"]
    trainer.train_from_iterator(
        [*lines] * 3, vocab_size=1000, special_tokens=SPECIAL, show_progress=False
    )
    directory = tmp_path_factory.mktemp("bytepair")
    trainer.save_model(str(directory))
    return directory / "vocab.json", directory / "merges.txt"


@pytest.fixture(scope="module", params=[False, True], ids=["", "add_prefix_space"])
def pair(request, files):
    return Pair(*files, add_prefix_space=request.param)


@pytest.fixture(scope="module")
def tokenizer(files):
    return BytePairTokenizer(*files)


@pytest.fixture(scope="module")
def roberta(shared):
    directory = "vocab", "roberta-base"
    return Pair(shared(*directory, "vocab.json"), shared(*directory, "merges.txt"))


# === The same ids as the reference ===


def test_hard_strings(pair):
    pair.check(HARD)
    pair.check([" ".join(HARD)])
    pair.check(["".join(HARD)])


@pytest.mark.parametrize("text", HARD, ids=ascii)
def test_each_hard_string(pair, text):
    pair.check([text])


def test_hard_strings_eagerly(pair):
    assert pair.ours.tokenize(HARD).to_list() == pair.expected(HARD)


ALPHABET = st.one_of(
    st.sampled_from("aethcsdr'slm  \t\n\u00a0\u3000.,!1"),
    st.characters(max_codepoint=0x24F),
    st.characters(max_codepoint=0xFFFF, exclude_categories=["Cs", "Cn"]),
    st.characters(exclude_categories=["Cs", "Cn"]),
)


def test_random_text(pair):
    @given(st.lists(st.text(ALPHABET, max_size=60), max_size=5))
    def check(texts):
        pair.check(texts)

    check()


def test_each_class_of_characters(roberta):
    """At both ends of every run of characters of one class, as Python's tables have them."""
    kinds = [unicodedata.category(chr(code)) for code in range(0x110000)]
    ends = [
        code
        for code in range(1, 0x10FFFF)
        if kinds[code] not in ("Cs", "Cn")
        and (kinds[code - 1][0] != kinds[code][0] or kinds[code + 1][0] != kinds[code][0])
    ]
    roberta.check([f"a{c} {c}{c}1{c}!{c}  {c}" for c in map(chr, ends)])


def words_without_end(count):
    chooser = random.Random(3)
    for letters in ("a", "ab", "abcdefghijklmnopqrstuvwxyz", "etaoin", "中国人大", "!=-"):
        yield "".join(chooser.choice(letters) for _ in range(count))


def test_long_words(roberta):
    words = list(words_without_end(20_000))
    roberta.check([*words, f"the {words[2]} and {words[3]}'s", "a"])
    roberta.check(["".join(words)])
    roberta.check(["x" + "a" * 100_000 + "n"])


@pytest.mark.parametrize("count", [1, 511, 512, 513, 1024, 2000])
def test_words_of_a_few_blocks(roberta, count):
    roberta.check(list(words_without_end(count)))


def test_runs_over_a_few_blocks(roberta):
    runs = [before + "a" * n + after for n in range(250, 262) for before in "bh" for after in "nz"]
    runs += [before + "-" * n + after for n in range(510, 518) for before in ".!" for after in "_-"]
    roberta.check(runs)


@pytest.mark.parametrize("corpus", ["enwiki-2015", "zhwiki"])
def test_real_text(shared, roberta, corpus):
    files = sorted(shared("corpora", corpus).glob("wiki_*"))
    lines = [
        line
        for file in files[:: len(files) // 4]
        for line in file.read_text(encoding="utf-8").split("\n")
        if line.strip() and not line.startswith(("<doc", "</doc"))
    ]
    lines = lines[:: len(lines) // 2000][:2000]
    assert len(lines) == 2000
    roberta.check(lines)


# === Other lists of merges ===


def alphabet():
    return [*SPECIAL, *sorted(ByteLevel.alphabet())]


def small_pair(merges):
    pieces = [*alphabet(), *("".join(pair) for pair in merges)]
    pieces = {piece: id for id, piece in enumerate(dict.fromkeys(pieces))}
    return Pair(pieces, merges)


def letters(alphabet, count=200):
    chooser = random.Random(5)
    return [
        "".join(chooser.choice(alphabet) for _ in range(chooser.randint(1, 30)))
        for _ in range(count)
    ]


@pytest.mark.parametrize(
    "merges",
    [
        [],
        [("a", "a")],
        [("a", "a"), ("aa", "a"), ("b", "aaa")],
        [("aa", "b"), ("a", "a"), ("b", "a")],  # a piece is used before it is made
        [("b", "c"), ("a", "b"), ("abc", "a"), ("a", "bc"), ("ab", "c")],  # "abc" is made twice
        [("a", "b"), ("b", "a"), ("a", "b")],  # twice the same
    ],
    ids=str,
)
def test_odd_merges(merges):
    small_pair(merges).check([*letters("abc"), *letters("aab"), "abc" * 300, "a" * 999])


@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.parametrize("seed", range(4))
def test_random_merges(seed, ordered):
    chooser = random.Random(seed)
    pieces, merges = ["a", "b", "c"], []
    for _ in range(12):
        merges.append((chooser.choice(pieces), chooser.choice(pieces)))
        pieces.append("".join(merges[-1]))
    if not ordered:
        chooser.shuffle(merges)
    pair = small_pair(merges)
    texts = [*letters("abc"), "abcacb" * 100]
    assert pair.ours.tokenize(texts).to_list() == pair.expected(texts)


def test_missing_bytes_are_unknown():
    pieces = {piece: id for id, piece in enumerate([*SPECIAL, "a", "b", "Ġ", "ab", "Ġab"])}
    merges = [("a", "b"), ("Ġ", "ab")]
    ours = BytePairTokenizer(pieces, merges)
    reference = Tokenizer(BPE(pieces, merges, unk_token="<unk>"))
    reference.pre_tokenizer = ByteLevel(add_prefix_space=False)
    for text in ["ab ab", "xab yb", "é", "a\u00e9b"]:
        assert ours([text]).to_list() == [reference.encode(text).ids], text


# === Bytes ===


def test_invalid_utf8_is_dropped(tokenizer):
    data = [b"\xff", b"the\xffcat", b"cat \xe4\xb8", b"\xed\xa0\x80 a", b"a \x80 b", b"\xc0\x80"]
    cleaned = [one.decode("utf-8", "ignore") for one in data]
    expected = tokenizer(cleaned).to_list()
    assert tokenizer(data).to_list() == expected
    assert [tokenizer([one]).to_list()[0] for one in data] == expected


def test_random_bytes(tokenizer):
    signature = [tf.TensorSpec([None], tf.string)]
    tokenize = tf.function(tokenizer.tokenize_with_offsets, signature, autograph=False)

    @given(st.lists(st.binary(max_size=40), min_size=1, max_size=5))
    def check(data):
        ids, starts, ends = tokenize(tf.constant(data))
        cleaned = [one.decode("utf-8", "ignore") for one in data]
        assert tokenizer.detokenize(ids).numpy().tolist() == [one.encode() for one in cleaned]
        assert starts.row_lengths().numpy().tolist() == [len(row) for row in ids.to_list()]
        assert tf.reduce_all(ends.flat_values > starts.flat_values)

    check()


# === Offsets ===


def words_of(tokenizer, text):
    """Each word of a text, with its ids."""
    data = text if isinstance(text, bytes) else text.encode()
    ids, starts, ends = (x.to_list()[0] for x in tokenizer.tokenize_with_offsets([data]))
    words = {}
    for id, start, end in zip(ids, starts, ends, strict=True):
        words.setdefault((start, end), []).append(id)
    return [(data[start:end].decode(), ids) for (start, end), ids in words.items()]


def test_words(tokenizer):
    found = [word for word, _ in words_of(tokenizer, "It's  the\n\ncat,\tunbelievable 中国! ")]
    expected = ["It", "'s", " ", "the", "\n", "\n", "cat", ",", "\t", "unbelievable", "中国", "!"]
    assert found == [*expected, " "]


def test_words_of_invalid_utf8(tokenizer):
    data = b"\xffthe\xff c\xe4\xb8at\x80 \xff\xc3\xa9"
    ids, starts, ends = tokenizer.tokenize_with_offsets(["the", data, ""])
    assert ids.to_list() == tokenizer(["the", "the cat é", ""]).to_list()
    positions = sorted(set(zip(starts.to_list()[1], ends.to_list()[1], strict=True)))
    assert [data[a:b] for a, b in positions] == [b"the", b"c\xe4\xb8at", b"\xc3\xa9"]


def test_offsets_match_the_reference(pair):
    """Every token of the reference lies in the word that ours says, and words have one start."""
    texts = [text for text in HARD if text[:1] not in "".join(SPACES)]
    ids, starts, ends = pair.ours.tokenize_with_offsets(texts)
    assert ids.to_list() == pair.expected(texts)
    starts, ends = (bytes_to_characters(tf.constant(texts), x).to_list() for x in (starts, ends))
    pieces = ByteLevel(add_prefix_space=pair.ours.add_prefix_space)
    for row, text in enumerate(texts):
        found = sorted(set(zip(starts[row], ends[row], strict=True)))
        expected = []
        for _, (start, end) in pieces.pre_tokenize_str(text):
            if text[start] == " " and text[start:end].strip("".join(SPACES)):
                start += 1
            expected.append((start, end))
        assert found == expected, text


def test_offsets_with_an_added_space(files):
    tokenizer = BytePairTokenizer(*files, add_prefix_space=True)
    texts = ["cat the", " cat", "", "\ncat", "\tcat", "  cat", b"\xffcat"]
    _, starts, ends = tokenizer.tokenize_with_offsets(texts)
    found = [
        list(dict.fromkeys(zip(*row, strict=True)))
        for row in zip(starts.to_list(), ends.to_list(), strict=True)
    ]
    assert found[:4] == [[(0, 3), (4, 7)], [(1, 4)], [], [(0, 0), (0, 1), (1, 4)]]
    assert found[4:] == [[(0, 0), (0, 1), (1, 4)], [(0, 1), (2, 5)], [(1, 4)]]


# === And back ===


def test_detokenize(tokenizer):
    ids = tokenizer(HARD)
    assert tokenizer.detokenize(ids).numpy().tolist() == [text.encode() for text in HARD]
    dense = tf.constant([[tokenizer.cls_id, *tokenizer(["the cat"]).to_list()[0]]])
    assert tokenizer.detokenize(dense).numpy().tolist() == [b"<s>the cat"]


def test_detokenize_matches_the_reference(tokenizer):
    decoder = ByteLevelDecoder()
    found = tokenizer.detokenize([[id] for id in range(tokenizer.vocabulary_size)]).numpy()
    for piece, data in zip(tokenizer.vocabulary, found, strict=True):
        assert data.decode("utf-8", "replace") == decoder.decode([piece]), piece


def test_added_tokens_are_spelled_as_they_are():
    extra = ["中国", "a b", "\u00a0x", "\u00adĠ"]
    pieces = {piece: id for id, piece in enumerate([*alphabet(), *extra])}
    tokenizer = BytePairTokenizer(pieces, [])
    ids = [[tokenizer.token_to_id(piece)] for piece in extra]
    assert tokenizer.detokenize(ids).numpy().tolist() == [piece.encode() for piece in extra]
    assert tokenizer.detokenize(tokenizer(extra)).numpy().tolist() == [p.encode() for p in extra]
    assert max(map(max, tokenizer(extra).to_list())) < len(alphabet())


# === The rest of the base's promises ===


def test_result_type(tokenizer):
    ids = tokenizer(["the cats", ""])
    assert isinstance(ids, tf.RaggedTensor)
    assert ids.dtype == tf.int32
    assert ids.to_list()[1] == []
    _, starts, ends = tokenizer.tokenize_with_offsets(["the cats", ""])
    assert starts.dtype == ends.dtype == tf.int64


def test_no_text(tokenizer):
    assert tokenizer(tf.zeros([0], tf.string)).to_list() == []
    assert [x.to_list() for x in tokenizer.tokenize_with_offsets(tf.zeros([0], tf.string))] == [
        [],
        [],
        [],
    ]
    assert tokenizer.tokenize_with_mask(tf.zeros([0], tf.string)).to_list() == []


def test_thousands_of_rows(tokenizer, texts):
    expected = tokenizer(texts).to_list()
    assert tokenizer(texts * 100).to_list() == expected * 100


def test_continues_word(tokenizer):
    expected = [not piece.startswith("Ġ") for piece in tokenizer.vocabulary]
    np.testing.assert_array_equal(tokenizer.continues_word, expected)


def test_special_tokens_in_a_text_are_ordinary_characters(tokenizer):
    ids = set(tokenizer([" ".join(SPECIAL)]).to_list()[0])
    assert ids.isdisjoint(tokenizer.special_token_ids)


def test_tokenize_with_mask(tokenizer):
    def ids(text):
        return tokenizer([text]).to_list()[0]

    mask = tokenizer.mask_id
    found = tokenizer.tokenize_with_mask(
        ["the <mask> sees", "<mask>", "cat<mask><mask>", "the cat", "", "the   <mask>."]
    )
    expected = [
        [*ids("the"), mask, *ids(" sees")],
        [mask],
        [*ids("cat"), mask, mask],
        ids("the cat"),
        [],
        [*ids("the"), mask, *ids(".")],
    ]
    assert found.to_list() == expected


def test_assets(tokenizer, files):
    assets = tokenizer.assets()
    assert tuple(assets) == BytePairTokenizer.asset_names
    assert json.loads(assets["vocab.json"]) == json.loads(files[0].read_bytes())
    assert assets["merges.txt"] == files[1].read_bytes()
    again = BytePairTokenizer.from_assets(assets, ROBERTA_TOKENS, **tokenizer.settings())
    assert again.assets() == assets
    assert again.get_config() == tokenizer.get_config()
    assert again(HARD).to_list() == tokenizer(HARD).to_list()


def test_settings(files):
    tokenizer = BytePairTokenizer(
        *files, add_prefix_space=True, packing="bert", mask_takes_space=False
    )
    again = BytePairTokenizer.from_assets(tokenizer.assets(), **tokenizer.settings())
    assert again.get_config() == tokenizer.get_config()
    assert again.settings() == {
        "add_prefix_space": True,
        "packing": "bert",
        "mask_takes_space": False,
    }


def test_from_memory(tokenizer, files):
    pieces = json.loads(files[0].read_text(encoding="utf-8"))
    lines = files[1].read_text(encoding="utf-8").split("\n")[1:-1]
    assert BytePairTokenizer(pieces, lines).get_config() == tokenizer.get_config()
    pairs = [line.split(" ") for line in lines]
    assert BytePairTokenizer(pieces, pairs).get_config() == tokenizer.get_config()


# === Files that can't be used ===


@pytest.mark.parametrize(
    ("vocabulary", "message"),
    [
        (b'{"a": 0,\n "b"', r"vocab\.json: not valid JSON \(.* line 2"),
        (b'{"a": 0,\n "\xff": 1}', r"vocab\.json:2: is not UTF-8"),
        (b"[1]", "must be an object"),
        (b'{"a": 0, "b": 2}', "no token has the id 1"),
        (b'{"a": 0, "b": 0}', "same id 0"),
        (b'{"a": 0, "a": 1}', "no token has the id 0"),
        (b'{"a": "0"}', "whole number"),
        (b'{"a": true}', "whole number"),
        (b'{"\\ud800": 0}', "surrogate"),
        (b'{"a": 0}', "special token <pad>"),
    ],
)
def test_unusable_vocabulary(tmp_path, files, vocabulary, message):
    path = tmp_path / "vocab.json"
    path.write_bytes(vocabulary)
    with pytest.raises(InputError, match=message) as error:
        BytePairTokenizer(path, files[1])
    assert str(path) in str(error.value)


@pytest.mark.parametrize(
    ("merges", "message"),
    [
        (b"#version: 0.2\na b\nac\n", r"merges\.txt:3: expected two tokens"),
        (b"a b\n\nb c\n", r"merges\.txt:2: expected two tokens"),
        (b"a b c\n", "expected two tokens"),
        (b"a \n", "expected two tokens"),
        (b"#version: 0.2\na ab\n", r"merges\.txt:2: 'ab' is not in the vocabulary"),
        (b"a c\n", r"merges\.txt:1: 'ac' is not in the vocabulary"),
        (b"a b\n\xff\n", r"merges\.txt:2: is not UTF-8"),
    ],
)
def test_unusable_merges(tmp_path, merges, message):
    path = tmp_path / "merges.txt"
    path.write_bytes(merges.replace(b"a b", "Ġ a".encode()))
    pieces = {piece: id for id, piece in enumerate([*alphabet(), "Ġa"])}
    with pytest.raises(InputError, match=message):
        BytePairTokenizer(pieces, path)


@pytest.mark.parametrize(
    "change",
    [
        lambda data: data.replace(b"\n", b"\r\n"),
        lambda data: b"\xef\xbb\xbf" + data,
        lambda data: data + b"\n\n",
    ],
)
def test_line_ends_and_a_byte_order_mark(tmp_path, files, change):
    paths = [tmp_path / name for name in ("vocab.json", "merges.txt")]
    for path, source in zip(paths, files, strict=True):
        path.write_bytes(change(pathlib.Path(source).read_bytes()))
    assert BytePairTokenizer(*paths).get_config() == BytePairTokenizer(*files).get_config()


def test_missing_files(tmp_path, files):
    with pytest.raises(InputError, match=r"vocab\.json: no such file"):
        BytePairTokenizer(tmp_path / "vocab.json", files[1])
    with pytest.raises(InputError, match=r"merges\.txt: no such file"):
        BytePairTokenizer(files[0], tmp_path / "merges.txt")


def test_unusable_memory(tokenizer):
    with pytest.raises(InputError, match=r"vocabulary: no token has the id 0"):
        BytePairTokenizer({"a": 1}, [])
    with pytest.raises(InputError, match=r"merges:2: 'zq' is not"):
        BytePairTokenizer({p: i for i, p in enumerate([*alphabet(), "ab"])}, ["a b", "z q"])


# === Inside a graph ===

ASK = """
import json, sys
import tensorflow as tf
import tensorflow_text
model = tf.saved_model.load(sys.argv[1])
texts = json.load(open(sys.argv[2], encoding="utf-8"))
found = model(tf.constant(texts))
assert not any(name.startswith("kerasbert") for name in sys.modules)
print(json.dumps([x.to_list() for x in found]))
"""


@pytest.mark.full  # test_families.py exports a task with this tokenizer
def test_export_to_a_fresh_process(tokenizer, tmp_path):
    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
    def answer(text):
        with_mask = tokenizer.tokenize_with_mask(text)
        return (*tokenizer.tokenize_with_offsets(text), tokenizer.tokenize(text), with_mask)

    module = tf.Module()
    module.__call__ = answer
    tf.saved_model.save(module, str(tmp_path / "model"))
    texts = [*HARD, "the <mask> sees", *words_without_end(1000)]
    (tmp_path / "texts.json").write_text(json.dumps(texts), encoding="utf-8")
    command = [sys.executable, "-c", ASK, tmp_path / "model", tmp_path / "texts.json"]
    run = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert run.returncode == 0, run.stderr
    expected = [x.to_list() for x in answer(tf.constant(texts))]
    assert json.loads(run.stdout) == expected
    assert expected[0] == expected[3] == tokenizer(texts).to_list()


def test_in_a_dataset(tokenizer, texts):
    dataset = tf.data.Dataset.from_tensor_slices(texts).batch(16).map(tokenizer.tokenize)
    found = [ids for batch in dataset for ids in batch.to_list()]
    assert found == tokenizer(texts).to_list()


def test_a_tokenizer_can_be_made_inside_a_graph(tokenizer, files, texts):
    @tf.function
    def tokenize(text):
        return BytePairTokenizer(*files).tokenize(text)

    assert tokenize(tf.constant(texts)).to_list() == tokenizer(texts).to_list()
