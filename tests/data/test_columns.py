import gzip
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kerasbert import InputError
from kerasbert.data.columns import read_columns, write_columns
from kerasbert.data.tag_schemes import find_scheme, to_iob2


@pytest.fixture
def write(tmp_path):
    def write(text, name="data.conll"):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


CONLL = """-DOCSTART- -X- -X- O

EU NNP I-NP B-ORG
rejects VBZ I-VP O

Peter NNP I-NP B-PER
Blackburn NNP I-NP I-PER
"""


def test_conll_2003(write):
    found = read_columns(write(CONLL))
    assert found.texts == {"words": [["EU", "rejects"], ["Peter", "Blackburn"]]}
    assert found.labels == [["B-ORG", "O"], ["B-PER", "I-PER"]]
    assert found.lines == [3, 6]
    assert (found.scheme, len(found)) == ("IOB2", 2)
    assert found.problems.lines == {}
    assert found.classes == ["B-ORG", "B-PER", "I-PER", "O"]


def test_another_column(write):
    found = read_columns(write(CONLL), word_column=-4, label_column=1)
    assert found.labels == [["NNP", "VBZ"], ["NNP", "NNP"]]
    assert found.scheme == "any"


def test_no_labels(write):
    found = read_columns(write("a\nb\n\n\n\nc"), label_column=None)
    assert found.texts["words"] == [["a", "b"], ["c"]]
    assert (found.labels, found.lines) == ([], [1, 6])


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("blank", ["", "\t", " "])
def test_tabs_keep_spaces_in_words(write, end, blank):
    lines = ["New York\tB-loc", "is\tO", blank, "#\tO", "-DOCSTART-\tO", "it\u2028x\tO", ""]
    found = read_columns(write(end.join(lines)))
    assert found.texts["words"] == [["New York", "is"], ["#"], ["it\u2028x"]]
    assert found.lines == [1, 4, 6]


def test_spaces_are_the_only_separator_without_tabs(write):
    found = read_columns(write("a\u00a0b   O \nc O"))
    assert found.texts["words"] == [["a\u00a0b", "c"]]


def test_byte_order_mark_and_comments(write):
    text = "\ufeff# id = 1\na O\n# in between\nb O\n#c O\n"
    found = read_columns(write(text), comment="# ")
    assert (found.texts["words"], found.lines) == ([["a", "b", "#c"]], [2])


# === Other layouts ===

NUMBERED = "1 EU NNP I-ORG\n2 rejects VBZ O\n\n1 Peter NNP I-PER\n"
GERMEVAL = (
    "#\thttp://de.wikipedia.org/wiki/Bayern [2009-10-17]\n1\tFC\tB-ORG\tO\n"
    "2\tBayern\tI-ORG\tB-LOC\n\n#\tn-tv.de\n1\tAufgrund\tO\tO\n2\t#\tO\tO\n"
)
CONLLU = (
    "# newdoc\n# sent_id = 1\n1-2\tvámonos\t_\t_\t_\t_\t_\t_\t_\t_\n"
    "1\tvamos\tir\tVERB\tV\t_\t0\troot\t_\t_\n2\tnos\tyo\tPRON\tP\t_\t1\tobj\t_\t_\n"
    "2.1\tx\t_\t_\t_\t_\t_\t_\t_\t_\n\n# text = ya\n1\tya\tya\tADV\tR\t_\t0\troot\t_\t_\n"
)


@pytest.mark.parametrize(
    ("text", "words", "labels"),
    [
        (NUMBERED, [["EU", "rejects"], ["Peter"]], [["I-ORG", "O"], ["I-PER"]]),
        (
            NUMBERED.replace("1 ", "0 ").replace("2 ", "1 ").replace(" ", "\t"),
            [["EU", "rejects"], ["Peter"]],
            [["I-ORG", "O"], ["I-PER"]],
        ),
        (
            GERMEVAL,
            [["FC", "Bayern"], ["Aufgrund", "#"]],
            [["B-ORG", "I-ORG"], ["O", "O"]],
        ),
        (CONLLU, [["vamos", "nos"], ["ya"]], [["VERB", "PRON"], ["ADV"]]),
        ("1 a\n2 b\n", [["1", "2"]], [["a", "b"]]),
        ("1 x A\n3 y B\n", [["1", "3"]], [["A", "B"]]),
    ],
)
def test_numbered_words(write, text, words, labels):
    found = read_columns(write(text), strict=True)
    assert (found.texts["words"], found.labels) == (words, labels)


def test_numbered_words_and_given_columns(write):
    assert read_columns(write(NUMBERED), label_column=2).labels == [["NNP", "VBZ"], ["NNP"]]
    assert read_columns(write(NUMBERED), word_column=0).texts["words"] == [["1", "2"], ["1"]]
    assert read_columns(write(CONLLU), label_column=4).labels == [["V", "P"], ["R"]]
    inner = read_columns(write(GERMEVAL), label_column=-1)
    assert inner.labels == [["O", "B-LOC"], ["O", "O"]]
    assert read_columns(write("1\ta\n2\tb\n"), label_column=None).texts["words"] == [["a", "b"]]


@pytest.mark.parametrize("blank", ["", "\n"])
@pytest.mark.parametrize("names", ["id\tword\tlabel", "Nr\tWort\tEtikett"])
def test_numbered_words_below_names(write, names, blank):
    numbered = "1\tEU\tI-ORG\n2\trejects\tO\n\n1\tPeter\tI-PER\n"
    path = write(f"{names}\n{blank}{numbered}")
    found = read_columns(path, strict=True)
    assert found.texts["words"] == [["EU", "rejects"], ["Peter"]]
    assert found.labels == [["I-ORG", "O"], ["I-PER"]]
    assert found.lines[0] == 2 + len(blank)
    words = read_columns(path, label_column=None, strict=True)
    assert words.texts["words"] == [["EU", "rejects"], ["Peter"]]


@pytest.mark.parametrize("line", ["1-2\tdu\t_\tX\n", "0.1\tx\t_\tX\n"])
def test_sentences_without_words_of_their_own(write, line):
    found = read_columns(write(f"{line}\n1\ta\tb\tX\n2\tc\td\tY\n\n{line}"), strict=True)
    assert (found.texts["words"], found.labels) == ([["a", "c"]], [["X", "Y"]])
    assert found.lines == [3]


def test_tabs_at_the_end_of_lines(write):
    for text in ("a\tO\t\nb\tX\t\n", "a\tO\nb\tX\t \t\n", "a\tO\t\nb\tX\n"):
        assert read_columns(write(text), strict=True).labels == [["O", "X"]]


def test_labels_are_stripped(write):
    assert read_columns(write("a b\tO \nc\t B-x\n")).labels == [["O", "B-x"]]
    found = read_columns(json_file(write, {"words": ["a", "b"], "labels": [" O", "B-x\u00a0"]}))
    assert found.labels == [["O", "B-x"]]


def test_a_first_line_of_names(write):
    found = read_columns(write("Token\tPOS\tNER\na\tDT\tO\nb\tNN\tB-x\n"), strict=True)
    assert (found.texts["words"], found.labels) == ([["a", "b"]], [["O", "B-x"]])
    assert read_columns(write("word\tO\n")).texts["words"] == [["word"]]


def test_a_first_line_of_names_without_labels(write):
    path = write("Token\tPOS\tNER\nToken\tDT\tO\nb\tNN\tB-x\n")
    found = read_columns(path, label_column=None, strict=True)
    assert (found.texts["words"], found.lines) == ([["Token", "b"]], [2])
    path = write("Token\tPOS\tChunk\na\tDT\tO\nb\tNN\tB-x\n")
    assert read_columns(path, strict=True).labels == [["O", "B-x"]]
    # Without other columns, nothing says that the first word is a name.
    alone = read_columns(write("word\nlabel\n"), label_column=None)
    assert alone.texts["words"] == [["word", "label"]]


@pytest.mark.parametrize("end", [".gz", ""])
def test_packed_columns(write, end):
    data = CONLL.encode()
    found = read_columns(write(gzip.compress(data) if end else data, f"data.txt{end}"))
    assert len(found) == 2


# === Texts instead of words ===


@pytest.mark.parametrize(
    "text",
    [
        "text\tlabel\nfine\t1\nbad\t0\n",
        "label\ttext_a\n1\t选择珠江花园的原因就是方便\n0\t不好\n",
        "a fine day\t1\nwhat a bad day this is\t0\n",
        "1\ta fine day\n0\twhat a bad day this is\n",
        "选择珠江花园的原因就是方便有电动扶梯直接到达海边周围餐馆食廊\t1\n",
    ],
)
@pytest.mark.parametrize("label_column", ["auto", None])
def test_texts_are_no_words(write, text, label_column):
    if label_column is None and text.startswith(("1", "label")):
        pytest.skip("what is read is short")
    with pytest.raises(InputError, match=r"data.conll:1: lines contain texts .* --task text_class"):
        read_columns(write(text), label_column=label_column)


def test_numbered_texts_are_no_words(write):
    with pytest.raises(InputError, match=r"data.conll:1: lines contain texts \('text'\)"):
        read_columns(write("id\ttext\tlabel\n1\tfine\t1\n2\tbad\t0\n"))


def test_long_labels_of_numbered_words(write):
    features = "Case=Nom|Gender=Masc|Number=Sing|Person=3|PronType=Prs"
    path = write(f"1\tHe\t{features}\n2\tcame\t_\n\n1\tShe\t{features}\n")
    assert read_columns(path, strict=True).labels == [[features, "_"], [features]]
    long = "选择珠江花园的原因就是方便有电动扶梯直接到达海边周围餐馆食廊"
    for label_column in ("auto", None):
        with pytest.raises(InputError, match=r"data.conll:1: lines contain texts"):
            read_columns(write(f"1\t{long}\tpos\n2\t{long}\tneg\n"), label_column=label_column)


def test_csv_is_no_column_format(write):
    with pytest.raises(InputError, match=r"data.csv: is CSV; expected words and labels in columns"):
        read_columns(write("text,label\na,1\n", "data.csv"))


# === What is left out ===

BAD = "a O\nb\n\nc O\nd O O\n\ne O\n\n\n"


def test_wrong_number_of_columns(write):
    found = read_columns(write(BAD))
    assert found.texts["words"] == [["e"]]
    assert found.problems.lines == {"different number of columns": [2, 5]}
    said = []
    found.problems.report(said.append)
    assert said[0].endswith("2 skipped: different number of columns (line 2, 5)")


def test_strict(write):
    with pytest.raises(InputError, match=r"data.conll:2: different number of columns"):
        read_columns(write(BAD), strict=True)


def test_empty_words_and_labels(write):
    found = read_columns(write("a\tO\n\tO\n\nb\tO\n \tO\n\nc\t\n\nd\tO\n"))
    assert found.texts["words"] == [["d"]]
    assert found.problems.lines == {"empty word": [2, 5], "empty label": [7]}


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("", {}, "has no sentences$"),
        ("\n \n", {}, "has no sentences$"),
        ("-DOCSTART- O\n", {}, "has no sentences$"),
        ("a\nb\n", {}, "data.conll:1: word and label are the same column"),
        ("a O\n", {"label_column": 2}, "data.conll:1: has 2 columns; there is no column 2"),
        ("a O\n", {"word_column": -3}, "data.conll:1: has 2 columns; there is no column -3"),
        ("a\tO\nb\n", {}, "no sentences except those with: different number of columns, line 2"),
        (b"a O\n\xff O\n", {}, "is not UTF-8"),
        ("a O\n", {"scheme": "IOB"}, "scheme must be one of IOB1, IOB2"),
    ],
)
def test_bad_files(write, text, options, message):
    with pytest.raises(InputError, match=message):
        read_columns(write(text), **options)


def test_absent_file(tmp_path):
    with pytest.raises(InputError, match="can't be read: No such file"):
        read_columns(tmp_path / "nothing.conll")


# === Schemes ===

# The same entities in all schemes: x from 0 to 1, x at 2, y at 3, nothing, y from 5 to 7.
SAME = {
    "IOB1": "I-x I-x B-x I-y O I-y I-y I-y",
    "IOB2": "B-x I-x B-x B-y O B-y I-y I-y",
    "IOBES": "B-x E-x S-x S-y O B-y I-y E-y",
    "BILOU": "B-x L-x U-x U-y O B-y I-y L-y",
}


def lines_of(tags):
    return "".join(f"w {tag}\n" for tag in tags.split()) + "\n"


@pytest.mark.parametrize("scheme", SAME)
@pytest.mark.parametrize("given_scheme", [True, False])
def test_schemes(write, scheme, given_scheme):
    path = write(lines_of(SAME[scheme]) * 2)
    found = read_columns(path, scheme=scheme if given_scheme else None)
    assert (found.scheme, found.labels) == (scheme, [SAME[scheme].split()] * 2)
    turned = read_columns(path, scheme=scheme, as_iob2=True)
    assert (turned.scheme, turned.labels) == ("IOB2", [SAME["IOB2"].split()] * 2)


FAULTS = [
    ("IOB2", "O I-x", 2, "I- after O"),
    ("IOB2", "B-x I-y", 2, "I- after another type"),
    ("IOB2", "B-x S-x", 2, "S-"),
    ("IOB1", "O B-x", 2, "B- after O"),
    ("IOB1", "I-x B-y", 2, "B- after another type"),
    ("IOBES", "B-x O", 2, "O after B-"),
    ("IOBES", "S-x I-x", 2, "I- after S"),
    ("IOBES", "B-x E-y", 2, "E- after another type"),
    ("IOBES", "O I-x E-x", 2, "I- after O"),
    ("IOBES", "O B-x", 2, "O after B-"),  # the sentence ends
    ("IOBES", "B-x S-x", 2, "S after B-"),
    ("BILOU", "B-x E-x", 2, "E-"),
    ("BILOU", "U-x L-x", 2, "L- after U"),
    ("BILOU", "B-x I-x", 2, "O after I-"),
]


@pytest.mark.parametrize(("scheme", "tags", "line", "fault"), FAULTS)
def test_forbidden_tags(write, scheme, tags, line, fault):
    path = write(lines_of(tags) + lines_of("O O"))
    found = read_columns(path, scheme=scheme)
    assert found.problems.lines == {f"not {scheme}: {fault}": [line]}
    assert found.labels == [["O", "O"]]
    assert len(read_columns(path, scheme="any")) == 2
    with pytest.raises(InputError, match=rf"data.conll:{line}: not {scheme}: {fault}"):
        read_columns(path, scheme=scheme, strict=True)


def test_the_scheme_of_most_sentences(write):
    found = read_columns(write(lines_of("B-x I-x") * 3 + lines_of("O I-x")))
    assert (found.scheme, len(found)) == ("IOB2", 3)
    assert found.problems.lines == {"not IOB2: I- after O": [11]}


@pytest.mark.parametrize("labels", [[["NN", "VB"]], [["0", "1"]], [["O", "B-"]]])
def test_labels_that_are_no_tags(labels):
    assert find_scheme(labels) == "any"
    with pytest.raises(InputError, match="can't be converted to IOB2"):
        to_iob2(labels[0], "any")


# === JSON lines ===


def json_file(write, *rows):
    return write("".join(json.dumps(row) + "\n" for row in rows), "data.jsonl")


@pytest.mark.parametrize("names", [("words", "labels"), ("tokens", "ner_tags"), ("tokens", "tags")])
def test_json_lines(write, names):
    rows = [dict(zip(names, row, strict=True)) for row in ((["a b", "c"], [0, 10]), (["d"], [2]))]
    found = read_columns(json_file(write, *rows))
    assert found.texts["words"] == [["a b", "c"], ["d"]]
    assert (found.labels, found.lines) == ([["0", "10"], ["2"]], [1, 2])
    assert found.classes == ["0", "2", "10"]


def test_json_lines_that_are_left_out(write):
    good = {"words": ["\ud800x"], "labels": ["O"]}
    bad = [
        {"words": ["a"], "labels": []},
        {"words": "a", "labels": ["O"]},
        {"words": ["a"]},
        {"words": ["a", " "], "labels": ["O", "O"]},
        {"words": [], "labels": []},
        {"words": ["a"], "labels": [" "]},
        {"words": ["a"], "labels": ["I-x"]},
    ]
    found = read_columns(json_file(write, good, *bad), scheme="IOB2")
    assert found.texts["words"] == [["\ufffdx"]]
    assert found.problems.lines == {
        "different numbers of words and labels": [2],
        "no list of strings under words or tokens": [3],
        "no list of strings under labels or tags or ner_tags": [4],
        "empty word": [5],
        "no words": [6],
        "empty label": [7],
        "not IOB2: I- after O": [8],
    }


def test_json_lines_without_labels(write):
    found = read_columns(json_file(write, {"tokens": ["a"]}), label_column=None)
    assert (found.texts["words"], found.labels) == ([["a"]], [])


# === Written and read again ===

VALUES = st.text(st.characters(exclude_characters="\t\r\n", exclude_categories=["Cs"]), min_size=1)
WORDS = VALUES.filter(
    lambda word: (
        word.strip()
        and not word.startswith(("-DOCSTART-", "\ufeff"))
        and not word.isdecimal()  # all words may be numbers, but not all 1, 2, ...
        and len(word) <= 25
        and len(word.split()) <= 2  # else they are texts
    )
)
LABELS = WORDS.map(str.strip)


@given(st.lists(st.lists(st.tuples(WORDS, LABELS), min_size=1), min_size=1))
def test_round_trip(tmp_path_factory, sentences):
    path = tmp_path_factory.mktemp("columns") / "data.tsv"
    words = [[word for word, _ in sentence] for sentence in sentences]
    labels = [[label for _, label in sentence] for sentence in sentences]
    write_columns(path, words, labels)
    found = read_columns(path, scheme="any")
    assert (found.texts["words"], found.labels) == (words, labels)


@pytest.mark.parametrize(
    ("words", "labels", "message"),
    [
        ([["a\tb"]], [["O"]], "can't be written"),
        ([["a"]], [["O\n"]], "can't be written"),
        ([[" "]], [["O"]], "can't be written"),
        ([["a"]], [["O", "O"]], "sentence 0 has 1 words, but 2 labels"),
        ([["a"]], [["O"], ["O"]], "there are 1 sentences, but labels of 2"),
    ],
)
def test_what_is_not_written(tmp_path, words, labels, message):
    with pytest.raises(InputError, match=message):
        write_columns(tmp_path / "data.conll", words, labels)
    assert list(tmp_path.iterdir()) == []


# === Real files ===


@pytest.mark.parametrize(
    ("name", "sentences", "words"),
    [
        ("wnut17train.conll", 3394, 62730),
        ("emerging.dev.conll", 1009, 15733),
        ("emerging.test.annotated", 1287, 23394),
    ],
)
def test_wnut17(shared, name, sentences, words):
    found = read_columns(shared("tasks", "wnut17", name), strict=True)
    assert (len(found), sum(map(len, found.labels))) == (sentences, words)
    assert (found.scheme, len(found.classes)) == ("IOB2", 13)
