"""Filters, duplicates, and corpora without them."""

import json
import random
import sys

import numpy as np
import pytest
import safetensors.numpy

from kerasbert.data.corpus.cleaning import near
from kerasbert.data.corpus.cleaning.duplicates import Duplicates
from kerasbert.data.corpus.cleaning.filters import NO_FILTERS, Filters, language_of, non_letters
from kerasbert.data.corpus.cleaning.finding import find_duplicates
from kerasbert.data.corpus.cleaning.selection import Selection
from kerasbert.data.corpus.documents.lines import Report
from kerasbert.data.corpus.joining import join_corpora
from kerasbert.data.corpus.part import Part
from kerasbert.data.corpus.prepare import prepare_corpus
from kerasbert.data.corpus.reader import Corpus
from kerasbert.errors import InputError

LONG = "A paragraph that is long enough to be compared with those of other documents."
ENGLISH = "The cat sat on the mat and looked at the bird in the old tree."
CHINESE = "他来了，她走了。中国的城市很大，人口很多。"


def write(path, documents, sep="\n\n"):
    path.write_text(sep.join("\n".join(lines) for lines in documents) + "\n")
    return str(path)


def read(paths, selection, report=None):
    report = report or Report()
    return [
        lines
        for number, path in enumerate(paths)
        for _, lines in selection.read(number, path, report=report)
    ]


def without(paths, *kinds, **settings):
    """The documents that are left, and what was left out."""
    report = Report()
    selection = Selection(duplicates=find_duplicates(paths, kinds, **settings), **settings)
    return read(paths, selection, report), report.left_out


# === Filters ===


@pytest.mark.parametrize(
    ("filters", "lines", "reason"),
    [
        (["min_characters=5"], ["ab", "c中"], "min_characters"),
        (["min_characters=5"], ["abc", "中国"], None),
        (["max_characters=5"], ["abc", "中国x"], "max_characters"),
        (["max_characters=5"], ["abc", "中国"], None),
        (["max_non_letters=0.25"], ["a b  c.", "d1"], "max_non_letters"),
        (["max_non_letters=0.25"], ["a b  c.", "de"], None),
        (["max_non_letters=0.1"], ["हिन्दी में स्वर चिह्न"], None),  # with marks, which are no letters
        (["language=en"], [ENGLISH], None),
        (["language=de,zh"], [ENGLISH], "language"),
        (["language=zh,en"], [CHINESE], None),
        (["language=en", "min_characters=99"], [CHINESE], "min_characters"),
        ([], ["1"], None),
    ],
)
def test_filters(filters, lines, reason):
    assert Filters.parse(filters).reason(lines) == reason


def test_settings_of_filters_do_not_depend_on_their_order():
    one = Filters.parse(["language=zh,en", "min_characters=07"])
    other = Filters.parse(["min_characters=7", "language=en,zh"])
    assert one.settings() == other.settings() == ["min_characters=7", "language=en,zh"]
    assert Filters.parse(one.settings()) == one


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("min_characters", r"must be NAME=VALUE, .*found 'min_characters'; the names are min_char"),
        ("words=3", r"found 'words=3'"),
        ("min_characters=-3", r"--filter min_characters=-3: must be a whole number"),
        ("min_characters=" + "9" * 5000, r"must be a whole number"),
        ("max_non_letters=nan", r"must be between 0 and 1"),
        ("max_non_letters=1.5", r"must be between 0 and 1"),
        ("language=", r"must be language codes"),
        ("language=en,xq", r"py3langid does not know 'xq'; it knows ace, af"),
    ],
)
def test_filters_that_can_not_be(text, message):
    with pytest.raises(InputError, match=message):
        Filters.parse([text])


def test_a_filter_given_twice():
    with pytest.raises(InputError, match="--filter min_characters is given twice"):
        Filters.parse(["min_characters=1", "min_characters=2"])


def test_measures():
    assert non_letters(["a1 ", ".b"]) == 0.5
    assert non_letters([" "]) == 1.0
    assert [language_of([text]) for text in (ENGLISH, CHINESE)] == ["en", "zh"]


# === Duplicates ===


def naive(documents):
    """What is left without repeated documents and then repeated paragraphs, by definition."""
    seen, paragraphs, left = set(), set(), []
    for lines in documents:
        if tuple(lines) in seen:
            continue
        seen.add(tuple(lines))
        kept = []
        for line in lines:
            if len(line.encode()) >= 64:
                if line in paragraphs:
                    continue
                paragraphs.add(line)
            kept.append(line)
        left += [kept] if kept else []
    return left


@pytest.mark.parametrize("seed", range(5))
def test_repeated_documents_and_paragraphs(tmp_path, seed):
    chooser = random.Random(seed)
    lines = ["short", "中" * 21, "中" * 22, *(f"{LONG} {i}" for i in range(8))]
    paths, documents = [], []
    for number in range(3):
        here = [chooser.choices(lines, k=chooser.randint(1, 3)) for _ in range(20)]
        paths.append(write(tmp_path / f"{number}.txt", here))
        documents += here
    paths.append(paths[0])  # a file that is given twice adds nothing
    left, left_out = without(paths, "paragraph", "document")
    assert left == naive(documents)
    assert left_out["document"] >= 20
    assert left_out["paragraph"] > 0


def test_the_first_of_equal_documents_is_kept(tmp_path):
    path = write(tmp_path / "a", [["a"], ["b"], ["a"], ["a", "b"], ["b"]])
    found = find_duplicates([path], ["document"])
    assert list(found.examples()) == [
        ("document", path, 6, path, 0),
        ("document", path, 14, path, 3),
    ]
    assert found.counts() == {"document": 2}
    assert read([path], Selection(duplicates=found)) == [["a"], ["b"], ["a", "b"]]


def test_filtered_documents_are_not_compared(tmp_path):
    path = write(tmp_path / "a", [[LONG, "1 2 3 4 5 6 7 8 9 10" * 9], [LONG, "end"], ["end"]])
    filters = Filters.parse(["max_non_letters=0.4"])
    left, left_out = without([path], "paragraph", filters=filters)
    assert left == [[LONG, "end"], ["end"]]
    assert left_out == {"max_non_letters": 1}


def jaccard(one, other):
    sets = []
    for text in (one, other):
        words = text.split()
        sets.append({tuple(words[i : i + 5]) for i in range(len(words) - 4)})
    return len(sets[0] & sets[1]) / len(sets[0] | sets[1])


def test_near_duplicates_against_exact_similarities(tmp_path):
    chooser = random.Random(4)
    words = [f"w{i}" for i in range(3000)]
    texts = []
    for _ in range(60):
        base = chooser.choices(words, k=200)
        texts.append(" ".join(base))
        changed = list(base)
        for _ in range(chooser.randint(0, 12)):
            changed[chooser.randrange(200)] = chooser.choice(words)
        texts.append(" ".join(changed).upper() + "!")  # case and punctuation do not matter
    path = write(tmp_path / "a", [[text] for text in texts])
    dropped = {
        position
        for kind, _, position, _, _ in find_duplicates([path], ["near"]).examples()
        if kind == "near"
    }
    position, wrong = 0, []
    for i, text in enumerate(texts):
        if i % 2:
            exact = jaccard(texts[i - 1].upper(), text.rstrip("!"))
            wrong += [exact] if (position in dropped) != (exact >= near.THRESHOLD) else []
        else:
            assert position not in dropped
        position += len(text) + 2
    assert 15 < len(dropped) < 55
    assert all(abs(exact - near.THRESHOLD) < 0.12 for exact in wrong)  # three standard deviations


def test_near_duplicates_of_chinese_and_of_short_documents(tmp_path):
    other = "".join(chr(0x4E00 + 7 * i) for i in range(60)) + CHINESE
    documents = [
        [other],
        [other.replace("城市", "城镇", 1)],
        ["short text"],
        ["Short, text"],
        ["short tests"],
        ["!!"],
        ["??"],
    ]
    left, left_out = without([write(tmp_path / "a", documents)], "near")
    assert left == [[other], ["short text"], ["short tests"], ["!!"], ["??"]]
    assert left_out == {"near": 2}


def test_a_near_duplicate_is_similar_to_a_document_that_is_kept(tmp_path):
    words = [f"w{i}" for i in range(400)]
    steps = [[*words[: 400 - 25 * k], *(f"x{i}" for i in range(25 * k))] for k in range(8)]
    path = write(tmp_path / "a", [[" ".join(step)] for step in steps])
    left, _ = without([path], "near")
    assert len(left) > 2  # not one chain, of which the ends have nothing in common
    for step in steps:
        assert max(jaccard(" ".join(step), lines[0]) for lines in left) > near.THRESHOLD - 0.12


def test_packages_that_are_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "rensa", None)
    with pytest.raises(InputError, match="pip install rensa"):
        near.Signatures()


# === The file, and parts ===


@pytest.fixture(scope="module")
def inputs(corpus_files, tmp_path_factory):
    """Files with duplicates in themselves and in each other; some of them are divided."""
    directory = tmp_path_factory.mktemp("repeated")
    chooser = random.Random(7)
    texts = [text.split("\n") for path in corpus_files for text in path.read_text().split("\n\n")]
    texts = [[line for line in lines if line] for lines in texts] + [[LONG], [LONG, "one"]]
    paths = [write(directory / f"{i}.txt", chooser.choices(texts, k=40)) for i in range(3)]
    rows = (json.dumps({"text": "\n".join(lines)}) for lines in chooser.choices(texts, k=40))
    (directory / "z.jsonl").write_text("\n".join(rows))
    return [*paths, str(directory / "z.jsonl")]


ALL_KINDS = ("document", "near", "paragraph")
FILTERS = Filters.parse(["min_characters=40"])
SMALL = {"bytes_per_unit": 700, "tokens_per_shard": 100}


@pytest.fixture(scope="module")
def saved(inputs, tmp_path_factory):
    path = tmp_path_factory.mktemp("found") / "duplicates"
    find_duplicates(inputs, ALL_KINDS, filters=FILTERS).save(path)
    return path


def test_any_number_of_parts_gives_the_same_corpus(inputs, saved, tokenizer, tmp_path):
    selection = Selection(filters=FILTERS, duplicates=Duplicates.load(saved))
    report = Report()
    expected = read(inputs, selection, report)
    manifest = prepare_corpus(inputs, tokenizer, tmp_path / "w", selection=selection, **SMALL)
    assert manifest["documents"] == len(expected)
    assert manifest["filters"] == ["min_characters=40"]
    assert manifest["duplicates"]["kinds"] == list(ALL_KINDS)
    assert {k: v for k, v in manifest["left_out"].items() if v} == report.left_out
    assert min(manifest["left_out"][name] for name in ("document", "min_characters")) > 0
    for count in (2, 5):
        parts = []
        for number in range(1, count + 1):
            parts.append(tmp_path / f"{number}-{count}")
            chosen = Selection(filters=FILTERS, duplicates=Duplicates.load(saved))
            prepare_corpus(
                inputs, tokenizer, parts[-1], selection=chosen, part=Part(number, count), **SMALL
            )
        join_corpora(parts, tmp_path / f"j{count}")
        for path in (tmp_path / "w").iterdir():
            assert (tmp_path / f"j{count}" / path.name).read_bytes() == path.read_bytes(), path


def test_parts_with_other_duplicates_or_filters_are_not_joined(inputs, saved, tokenizer, tmp_path):
    first = Selection(filters=FILTERS, duplicates=Duplicates.load(saved))
    others = {
        "duplicates": Selection(
            filters=FILTERS, duplicates=find_duplicates(inputs, ["near"], filters=FILTERS)
        ),
        "filters": Selection(),
    }
    prepare_corpus(inputs, tokenizer, tmp_path / "1", selection=first, part=Part(1, 2), **SMALL)
    for name, selection in others.items():
        other = tmp_path / name
        prepare_corpus(inputs, tokenizer, other, selection=selection, part=Part(2, 2), **SMALL)
        with pytest.raises(InputError, match=f"different settings: {name} is "):
            join_corpora([tmp_path / "1", other], tmp_path / "joined")


def test_the_file_is_the_same_every_time(inputs, saved, tmp_path):
    find_duplicates(inputs, reversed(ALL_KINDS), filters=FILTERS).save(tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == saved.read_bytes()


def test_duplicates_of_other_inputs_and_settings(inputs, saved, tmp_path):
    found = Duplicates.load(str(saved))
    ready = Selection(filters=FILTERS, duplicates=found)
    ready.check(inputs)
    for selection, paths, message in (
        (Selection(duplicates=found), inputs, r"filters was \['min_characters=40'\] and is \[\]"),
        (Selection(filters=FILTERS, duplicates=found, text_column="b"), inputs, "text_column was"),
        (ready, inputs[:2], rf"other inputs: {inputs[2]} instead of nothing more"),
        (ready, inputs[1:], rf"other inputs: {inputs[0]} instead of {inputs[1]}"),
        (ready, [*inputs, "x"], r"without x"),
    ):
        with pytest.raises(InputError, match=message):
            selection.check(paths)


@pytest.mark.parametrize("kinds", [("document",), ("near",), ("paragraph",)])
def test_inputs_that_have_changed(tmp_path, kinds):
    path = write(tmp_path / "a", [[LONG], [LONG, "1"] if "paragraph" in kinds else [LONG]])
    ready = Selection(duplicates=find_duplicates([path], kinds))
    read([path], ready)
    text = (tmp_path / "a").read_text()
    (tmp_path / "a").write_text(text[::-1].replace("A", "B", 1)[::-1])
    with pytest.raises(InputError, match="a: has changed since its duplicates were found"):
        read([path], ready)
    (tmp_path / "a").write_text(text + "more")
    with pytest.raises(InputError, match="a: has changed since its duplicates were found"):
        ready.check([path])


@pytest.mark.parametrize("kinds", [("document",), ("paragraph",)])
def test_inputs_in_which_documents_have_moved(tmp_path, kinds):
    last = [LONG, "1"] if "paragraph" in kinds else [LONG]
    path = write(tmp_path / "a", [["ab"], [LONG], last, ["xy"]])
    size = (tmp_path / "a").stat().st_size
    ready = Selection(duplicates=find_duplicates([path], kinds))
    found = read([path], ready)
    for middle in range(1, size, 7):
        halves = (ready.read(0, path, *ends, report=Report()) for ends in ((0, middle), (middle,)))
        assert [lines for half in halves for _, lines in half] == found
    write(tmp_path / "a", [["abc"], [LONG], last, ["x"]])
    ready.check([path])  # of the same size
    with pytest.raises(InputError, match="a: has changed since its duplicates were found"):
        read([path], ready)


def test_a_damaged_file_is_refused(saved, tmp_path):
    whole = saved.read_bytes()
    header = 8 + int.from_bytes(whole[:8], "little")
    chooser = random.Random(0)
    positions = {header, len(whole) - 1, *chooser.sample(range(len(whole)), 60)}
    for position in positions:
        data = bytearray(whole)
        data[position] ^= 1 << chooser.randrange(8)
        (tmp_path / "bad").write_bytes(data)
        with pytest.raises(InputError, match=r"bad: |bad: is damaged"):
            Duplicates.load(str(tmp_path / "bad"))
    for data in (b"", whole[:100], whole[:-1], b"no such thing" * 9):
        (tmp_path / "bad").write_bytes(data)
        with pytest.raises(InputError, match="bad: is not a file of find_duplicates"):
            Duplicates.load(str(tmp_path / "bad"))


def test_a_file_that_contradicts_itself_is_refused(saved, tmp_path):
    """Numbers that a sum of their own does not show to be wrong."""
    arrays = safetensors.numpy.load_file(saved)
    found = Duplicates.load(str(saved))
    for name, change in {
        "document_ends": lambda a: a[::-1],
        "paragraph_ends": lambda a: a + 1,
        "document_positions": lambda a: a[:-1],
        "kept_inputs": lambda a: a + 99,
    }.items():
        changed = {k: v for k, v in arrays.items() if k != "settings"}
        changed[name] = np.ascontiguousarray(change(changed[name]))
        settings = {k: v for k, v in found.settings.items() if k != "sha256"}
        Duplicates.signed(settings, changed).save(tmp_path / "forged")
        with pytest.raises(InputError, match=r"forged: is damaged"):
            Duplicates.load(str(tmp_path / "forged"))


def test_nothing_to_find(tmp_path):
    path = write(tmp_path / "a", [["a"]])
    for kinds in ([], ["near", "far"]):
        with pytest.raises(InputError, match="the kinds of duplicates are document, near, par"):
            find_duplicates([path], kinds)
    empty = write(tmp_path / "b", [])
    left, left_out = without([empty, path, empty], *ALL_KINDS)
    assert (left, left_out) == ([["a"]], {})
    assert NO_FILTERS.settings() == []


def test_corpora_without_options_say_nothing_of_them(inputs, tokenizer, tmp_path):
    manifest = prepare_corpus(inputs, tokenizer, tmp_path / "c")
    assert not manifest.keys() & {"filters", "duplicates", "left_out", "text_column"}
    assert Corpus(tmp_path / "c").num_documents == 160 == len(read(inputs, Selection()))


def test_documents_with_the_same_boilerplate_are_not_all_compared(tmp_path, monkeypatch):
    """120 documents of which any two have a similarity of about 0.6, and a copy of one of them."""
    boilerplate = " ".join(f"b{i}" for i in range(80))
    documents = [[f"{boilerplate} " + " ".join(f"w{i}-{k}" for k in range(18))] for i in range(120)]
    documents.append([documents[70][0].replace("w70-17", "other")])
    path = write(tmp_path / "a", documents)
    compared = []
    most_similar = near._most_similar

    def counted(signatures, document, others):
        compared.append(len(others))
        return most_similar(signatures, document, others)

    monkeypatch.setattr(near, "_most_similar", counted)
    whole = find_duplicates([path], ["near"]).counts()["near"]
    assert max(compared) > 60
    compared.clear()
    monkeypatch.setattr(near, "_MOST_IN_BUCKET", 2)
    left, left_out = without([path], "near")
    assert max(compared) <= 2 * 20
    assert left_out["near"] == whole == 1
    assert left == documents[:-1]


def test_kept_documents_are_kept(tmp_path):
    words = [f"w{i}" for i in range(60)]
    first, second = " ".join(words), " ".join([*words[:-1], "other"])
    path = write(tmp_path / "a", [[first], [second], [second], [first]])
    for kinds in (["document", "near"], ["near"]):
        found = find_duplicates([path], kinds)
        assert [kept for *_, kept in found.examples()] == [0, 0, 0]
        assert len(read([path], Selection(duplicates=found))) == 1


def test_a_file_of_duplicates_without_inputs(saved, tmp_path):
    arrays = {k: v[:0] for k, v in Duplicates.load(str(saved)).arrays.items()}
    arrays |= {name: np.zeros(1, "<i8") for name in ("document_ends", "paragraph_ends")}
    settings = {k: v for k, v in Duplicates.load(str(saved)).settings.items() if k != "sha256"}
    Duplicates.signed({**settings, "inputs": []}, arrays).save(tmp_path / "forged")
    found = Duplicates.load(str(tmp_path / "forged"))
    with pytest.raises(InputError, match="the duplicates were found without x"):
        found.check(["x"], {})
