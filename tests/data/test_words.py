"""Words of several tokens, found when a corpus is prepared."""

import random
import re
import shutil
import sys
import warnings

import numpy as np
import pytest
import tensorflow as tf

from kerasbert import files
from kerasbert.data.corpus.joining import join_corpora
from kerasbert.data.corpus.part import Part
from kerasbert.data.corpus.prepare import prepare_corpus
from kerasbert.data.corpus.reader import BEGINS, CONTINUES, Corpus
from kerasbert.data.corpus.segmenters import load_segmenter
from kerasbert.data.corpus.words import WordFinder
from kerasbert.data.pretraining.batches import PretrainingBatches
from kerasbert.errors import InputError
from kerasbert.text import WordPieceTokenizer

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
CHINESE = "我爱北京天安门上海人工智能大学生哈尔滨业的在了。，！"


@pytest.fixture(scope="module")
def chinese():
    return WordPieceTokenizer(
        [*SPECIAL, *CHINESE, "new", "york", "##er", "the", "-", "'", "don", "t"]
    )


def words(finder, tokenizer, sentences):
    """The tokens of the sentences, those of a word joined by +."""
    data = [sentence.encode() for sentence in sentences]
    ids, starts, ends = tokenizer.tokenize_with_offsets(data)
    lengths = ids.row_lengths().numpy()
    continues = finder(lengths, data, *(x.flat_values.numpy() for x in (starts, ends)))
    assert continues.dtype == bool
    spelled = [tokenizer.id_to_token(id) for id in ids.flat_values.numpy()]
    joined = [
        ("+" if go_on else " ") + token for go_on, token in zip(continues, spelled, strict=True)
    ]
    cuts = np.cumsum(lengths)[:-1]
    return ["".join(part).strip() for part in np.split(np.array(joined, object), cuts)]


def segmenter(monkeypatch, function):
    """The name of a segmenter that calls this function."""
    monkeypatch.setitem(sys.modules, "its_module", type(sys)("its_module"))
    monkeypatch.setattr(sys.modules["its_module"], "cut", function, raising=False)
    return "its_module:cut"


def given(*answers):
    return lambda texts: [list(one) for one in answers]


def test_words_of_a_segmenter(chinese, monkeypatch):
    cut = segmenter(
        monkeypatch, given(["我", "爱", "北京", "天安门"], ["大学生", "在", "上海", "。"])
    )
    found = words(WordFinder(chinese, cut), chinese, ["我爱 北 京天安门", "大学生在上海。"])
    assert found == ["我 爱 北+京 天+安+门", "大+学+生 在 上+海 。"]


def test_words_never_join_sentences_and_never_split_the_tokenizers(chinese, monkeypatch):
    cut = segmenter(monkeypatch, given(["New", "York", "er"], ["the", "上", "海"], [], ["上海"]))
    found = words(
        WordFinder(chinese, cut), chinese, ["New Yorker", "the上海", "\u200b \t"[1:], "上海"]
    )
    assert found == ["new york+##er", "the 上 海", "", "上+海"]


def test_dropped_invisible_and_unknown_characters(chinese, monkeypatch):
    text = "北\u200b京\u3000在\n龘海 \U00020000上😀海"
    cut = segmenter(monkeypatch, given(["北\u200b京", "在龘海", "\U00020000上", "😀海"]))
    found = words(WordFinder(chinese, cut), chinese, [text])
    assert found == ["北+京 在+[UNK]+海 [UNK]+上 [UNK]+海"]


def test_white_space_of_a_segmenter_does_not_count(chinese, monkeypatch):
    cut = segmenter(monkeypatch, lambda texts: [re.findall(r"\s+|\S+", text) for text in texts])
    assert words(WordFinder(chinese, cut), chinese, ["北京 上\u3000海"]) == ["北+京 上 海"]


def test_sentencepiece(make_tokenizer, monkeypatch):
    tokenizer = make_tokenizer({"kind": "sentencepiece"})
    cut = segmenter(monkeypatch, given(["the", "cat", "中国"]))
    (found,) = words(WordFinder(tokenizer, cut), tokenizer, ["the cat 中国"])
    assert found.replace("+", "").replace(" ", "").replace("▁", "") == "thecat中国"
    assert [word.replace("+", "") for word in found.split()][-1].strip("▁") == "中国"


def test_jieba(chinese):
    pytest.importorskip("jieba")
    name, cut = load_segmenter("jieba")
    assert re.fullmatch(r"jieba \d[\d.]+", name)
    assert cut(["我爱北京天安门"]) == [["我", "爱", "北京", "天安门"]]
    finder = WordFinder(chinese, "jieba")
    assert finder.settings == {"segmenter": name}
    found = words(finder, chinese, ["我爱北京天安门", "上海 the 人工智能，new york！"])
    assert found == ["我 爱 北+京 天+安+门", "上+海 the 人+工+智+能 ， new york ！"]


PHRASES = "哈尔滨工业大学\n  New York\n\n人工 智能\n人工智能大学\n-'\n"


def test_phrases(chinese, tmp_path, monkeypatch):
    (tmp_path / "phrases.txt").write_text(PHRASES)
    finder = WordFinder(chinese, phrases=tmp_path / "phrases.txt")
    assert finder.settings.keys() == {"segmenter", "phrases_sha256"}
    found = words(
        finder,
        chinese,
        [
            "在哈尔滨工业大学的",
            "New York New Yorker",
            "人工智能大",
            "人工智能大学生",
            "哈尔",
            "滨工业大学",
        ],
    )
    assert found == [
        "在 哈+尔+滨+工+业+大+学 的",
        "new+york new york+##er",
        "人+工+智+能 大",
        "人+工+智+能+大+学 生",
        "哈 尔",
        "滨 工 业 大 学",
    ]
    # With a segmenter, phrases consist of its words.
    cut = segmenter(monkeypatch, given(["哈尔滨", "工业", "大学生"], ["哈尔滨", "工业", "大学"]))
    finder = WordFinder(chinese, cut, tmp_path / "phrases.txt")
    assert words(finder, chinese, ["哈尔滨工业大学生", "哈尔滨工业大学"]) == [
        "哈+尔+滨 工+业 大+学+生",
        "哈+尔+滨+工+业+大+学",
    ]


WRONG = {
    "joined, the words .* are not '我爱' without white space": given(["我"]),
    "joined, the words .* are not": given(["我", "愛"]),
    "expected a list for each of 1 texts, found": given(["我爱"], []),
    "expected a list for each of 1 texts, found None": lambda texts: None,
    "expected a list of words for each text, found '我爱'": lambda texts: texts,
    "expected a list of words for each text, found .*b'": lambda texts: [["我爱".encode()]],
    "expected a list of words for each text, found 7": lambda texts: [7],
}


@pytest.mark.parametrize("message", WRONG)
def test_a_wrong_segmenter(chinese, monkeypatch, message):
    finder = WordFinder(chinese, segmenter(monkeypatch, WRONG[message]))
    with pytest.raises(InputError, match=f"word_segmenter its_module:cut: {message}"):
        words(finder, chinese, ["我爱"])


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("stanza", "must be none, jieba or module:function, found 'stanza'"),
        (":f", "must be none, jieba or module:function"),
        ("m:", "must be none, jieba or module:function"),
        ("no_such_module:f", "can't import no_such_module"),
        ("..:f", "can't import"),
        ("\0:f", "can't import"),
        ("re:no_such_function", "re has no function 'no_such_function'"),
        ("re:IGNORECASE", "re has no function 'IGNORECASE'"),
    ],
)
def test_no_such_segmenter(chinese, name, message):
    with pytest.raises(InputError, match=message):
        WordFinder(chinese, name)


def test_what_has_no_words_is_refused(chinese, make_tokenizer, tmp_path):
    with pytest.raises(InputError, match="byte-level BPE"):
        WordFinder(make_tokenizer({"kind": "bytepair"}), "re:split")
    (tmp_path / "empty.txt").write_text(" \n\n")
    with pytest.raises(InputError, match=r"empty.txt: contains no phrase"):
        WordFinder(chinese, phrases=tmp_path / "empty.txt")
    with pytest.raises(InputError, match=r"none.txt"):
        WordFinder(chinese, phrases=tmp_path / "none.txt")


# === In a corpus ===

RANDOM = random.Random(4)
LINES = ["".join(RANDOM.choices(CHINESE[:-3], k=RANDOM.randint(3, 40))) + "。" for _ in range(300)]


def pairs_and_triples(texts):
    """Words of one to three characters, whose lengths depend on the characters."""
    return [re.findall("[我爱北].{0,2}|[京天安].?|.", text) for text in texts]


@pytest.fixture
def prepared(chinese, tmp_path, monkeypatch):
    """Returns a function that prepares a corpus with words; its finder is in `prepared.finder`."""
    for number in range(3):
        lines = LINES[number::3]
        documents = ["\n".join(lines[i : i + 5]) for i in range(0, len(lines), 5)]
        (tmp_path / f"{number}.txt").write_text("\n\n".join(documents))
    monkeypatch.setitem(sys.modules, "its_module", type(sys)("its_module"))
    monkeypatch.setattr(sys.modules["its_module"], "cut", pairs_and_triples, raising=False)

    def prepare(name, *, finder=None, **options):
        inputs = [str(tmp_path / f"{number}.txt") for number in range(3)]
        words = WordFinder(chinese, "its_module:cut") if finder is None else finder or None
        prepare_corpus(inputs, chinese, tmp_path / name, words=words, **options)
        return Corpus(tmp_path / name)

    return prepare


def test_a_corpus_has_the_words(prepared, chinese):
    corpus = prepared("c", tokens_per_shard=501)
    manifest = corpus.manifest
    assert manifest["found_words_by"] == {"segmenter": "its_module:cut"}
    assert len(manifest["words"]) == len(manifest["shards"]) > 5
    for number, (bits, shard) in enumerate(zip(manifest["words"], manifest["shards"], strict=True)):
        assert bits["file"] == f"words-{number:05d}.bin"
        assert bits["count"] == shard["count"]
        path = corpus.directory / bits["file"]
        assert path.stat().st_size == -(-shard["count"] // 8)
        assert files.sha256(path) == bits["sha256"]
    marks = corpus.word_marks_at(np.arange(corpus.num_tokens))
    assert set(marks) == {CONTINUES, BEGINS}
    bounds = zip(corpus.sentences[:-1], corpus.sentences[1:], strict=True)
    tokens = corpus.tokens_at(np.arange(corpus.num_tokens))
    for start, end in list(bounds)[::7]:
        text = "".join(chinese.id_to_token(id) for id in tokens[start:end])
        (words,) = pairs_and_triples([text])
        expected = [part for word in words for part in [BEGINS] + [CONTINUES] * (len(word) - 1)]
        assert marks[start:end].tolist() == expected

    starts = tf.constant([0, 490, 1000], tf.int64)
    ends = tf.constant([7, 1600, corpus.num_tokens], tf.int64)
    for start, end, row in zip(starts, ends, corpus.read_word_marks(starts, ends), strict=True):
        np.testing.assert_array_equal(row, marks[start:end])


def test_without_words_nothing_changes(prepared):
    with_words, without = prepared("with"), prepared("without", finder=False)
    assert not without.has_words
    assert "words" not in without.manifest
    assert {path.name for path in with_words.directory.iterdir()} == {
        "words-00000.bin",
        *(path.name for path in without.directory.iterdir()),
    }
    for name in ("tokens-00000.bin", "sentences.bin", "documents.bin"):
        one, other = ((c.directory / name).read_bytes() for c in (with_words, without))
        assert one == other


@pytest.mark.parametrize("tokens_per_shard", [300, 1 << 20])
def test_parts_are_joined_with_their_words(prepared, tmp_path, tokens_per_shard):
    settings = {"tokens_per_shard": tokens_per_shard, "bytes_per_unit": 4000}
    whole = prepared("whole", **settings)
    parts = [prepared(f"part{n}", part=Part(n, 3), **settings).directory for n in (1, 2, 3)]
    join_corpora(parts, tmp_path / "joined")
    names = {path.name for path in whole.directory.iterdir()}
    assert "words-00001.bin" in names
    assert {path.name for path in (tmp_path / "joined").iterdir()} == names
    for name in names:
        data = [
            (directory / name).read_bytes() for directory in (whole.directory, tmp_path / "joined")
        ]
        assert data[0] == data[1]

    (parts[1] / "words-00000.bin").write_bytes(b"1")
    with pytest.raises(InputError, match=r"part2/words-00000.bin: is damaged .* this part again"):
        join_corpora(parts, tmp_path / "again")
    shutil.rmtree(parts[1])
    prepared("part2", finder=False, part=Part(2, 3), **settings)
    with pytest.raises(InputError, match="different settings: found_words_by is None and"):
        join_corpora(parts, tmp_path / "again")


def test_damaged_words(prepared):
    corpus = prepared("c")
    path = corpus.directory / "words-00000.bin"
    data = path.read_bytes()
    path.write_bytes(bytes([data[0] ^ 1, *data[1:]]))
    with pytest.raises(InputError, match=r"words-00000.bin: is damaged"):
        Corpus(corpus.directory)
    path.write_bytes(data[:-1])
    with pytest.raises(InputError, match=r"words-00000.bin: contains \d+ numbers, expected \d+"):
        Corpus(corpus.directory, verify=False)
    path.unlink()
    with pytest.raises(InputError, match=r"words-00000.bin: is missing"):
        Corpus(corpus.directory)
    manifest = files.read_json(corpus.directory / "manifest.json")
    manifest["words"][0]["count"] += 1
    files.write_json(corpus.directory / "manifest.json", {**manifest, "version": 1})
    with pytest.raises(InputError, match="its words are not those of its shards"):
        Corpus(corpus.directory)


@pytest.mark.parametrize(
    ("unit", "tokens_per_shard", "settings"),
    [
        ("whole_word", 701, {"objective": "nsp"}),
        ("ngram", 1 << 20, {"objective": "sop"}),
        ("span", 701, {"objective": "mlm"}),
        ("whole_word", 701, {"objective": "mlm", "pack_documents": True}),
        ("token", 701, {"objective": "mlm"}),
    ],
)
def test_batches_mask_the_words_of_the_corpus(prepared, unit, tokens_per_shard, settings):
    corpus = prepared("c", tokens_per_shard=tokens_per_shard)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # there is nothing to warn of: the words are known
        graph, numpy = (
            PretrainingBatches(corpus, 16, 64, mask_unit=unit, with_numpy=with_numpy, **settings)
            for with_numpy in (False, True)
        )
    split = 0
    for step in range(3):
        ours, theirs = numpy.batch(step), graph.batch(step)
        for one, other in zip(tf.nest.flatten(ours), tf.nest.flatten(theirs), strict=True):
            np.testing.assert_array_equal(one, other)
        features, ids, weights = ours
        ids, weights = (x["mlm_logits"] if isinstance(x, dict) else x for x in (ids, weights))
        for row in range(16):
            places = features["mask_positions"][row][weights[row] == 1]
            before = features["token_ids"][row].copy()
            before[places] = ids[row][weights[row] == 1]
            split += split_words(corpus.tokenizer, before, places)
        assert weights.sum() > 0.08 * features["padding_mask"].sum()
    assert (split > 10) if unit == "token" else (split == 0)


def split_words(tokenizer, ids, places):
    """Counts the words of which a part is masked; those at the ends of a text do not count."""
    text = "".join(tokenizer.id_to_token(id)[0] for id in ids).replace("[", " ")
    masked, count = np.isin(np.arange(len(ids)), places), 0
    for sentence in re.finditer("(?<=。)[^ 。]*。", text):
        begin = sentence.start()
        for word in pairs_and_triples([sentence[0]])[0]:
            inside = masked[begin : begin + len(word)]
            count += inside.any() and not inside.all()
            begin += len(word)
    return count


def test_characters_are_masked_as_before(prepared):
    with_words, without = prepared("with"), prepared("without", finder=False)
    batches = [PretrainingBatches(corpus, 16, 64) for corpus in (with_words, without)]
    one, other = (tf.nest.flatten(each.batch(3)) for each in batches)
    for a, b in zip(one, other, strict=True):
        np.testing.assert_array_equal(a, b)
    with pytest.warns(UserWarning, match="prepare_corpus --word_segmenter finds them"):
        PretrainingBatches(without, 16, 64, mask_unit="whole_word")
