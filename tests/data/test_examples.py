import gzip
import json
import re

import pytest

from kerasbert.data.examples import read_examples, read_texts
from kerasbert.errors import InputError


def write(tmp_path, name, text):
    path = tmp_path / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def test_tsv_leaves_quotes_alone(tmp_path):
    text = 'sentence\tlabel\n"open quote, he said\t1\n\'a\' "b"\t0\n\n"c"\t1\n'
    path = write(tmp_path, "a.tsv", text)
    examples = read_examples(path)
    assert examples.texts == {"text": ['"open quote, he said', "'a' \"b\"", '"c"']}
    assert examples.labels == ["1", "0", "1"]
    assert examples.lines == [2, 3, 5]
    assert examples.source == str(path)
    assert len(examples) == 3


def test_csv_with_quotes_and_newlines(tmp_path):
    text = 'label,text_a,text_b\r\nyes,"a, ""b""\nc",d\r\nno,e,"f\n\ng"\r\n'
    examples = read_examples(write(tmp_path, "a.csv", text))
    assert examples.texts == {"text": ['a, "b"\nc', "e"], "text_pair": ["d", "f\n\ng"]}
    assert examples.labels == ["yes", "no"]


def test_csv_rows_are_named_by_their_first_line(tmp_path):
    text = 'text,label\n"a\nb",1\n\n"c\n\nd",\ne,2\n"f\ng",1,x\n'
    examples = read_examples(write(tmp_path, "a.csv", text))
    assert (examples.texts["text"], examples.lines) == (["a\nb", "e"], [2, 8])
    assert examples.problems.lines == {"has 3 columns, the header has 2": [9], "empty label": [5]}


@pytest.mark.parametrize("name", ["a.tsv", "a.csv"])
def test_byte_order_mark(tmp_path, name):
    separator = "\t" if name == "a.tsv" else ","
    data = "\ufeff" + separator.join(["text", "label"]) + "\n" + separator.join(["é", "1"])
    assert read_examples(write(tmp_path, name, data)).texts == {"text": ["é"]}


def test_json_lines(tmp_path):
    rows = [{"text": "a\nb", "label": 1, "x": None}, {"label": "c", "text": "é中"}]
    text = "\n\n".join(json.dumps(row) for row in rows)
    examples = read_examples(write(tmp_path, "a.jsonl", text))
    assert examples.texts == {"text": ["a\nb", "é中"]}
    assert examples.labels == ["1", "c"]
    assert examples.lines == [1, 3]


def test_columns_are_those_of_any_row(tmp_path):
    rows = [{"text": "a", "label": 1}, {"text": "b", "text_pair": "c", "label": 1}]
    path = write(tmp_path, "a.jsonl", "\n".join(map(json.dumps, rows)))
    examples = read_examples(path)
    assert examples.texts == {"text": ["b"], "text_pair": ["c"]}
    assert examples.problems.lines == {"text_pair is not a text or number": [1]}


@pytest.mark.parametrize(
    ("columns", "options", "expected"),
    [
        (["text", "label"], {}, {"text": "0"}),
        (["sentence", "label"], {}, {"text": "0"}),
        (["text_a", "text_b", "label"], {}, {"text": "0", "text_pair": "1"}),
        (["index", "sentence1", "sentence2", "label"], {}, {"text": "1", "text_pair": "2"}),
        (["text_pair", "label", "text"], {}, {"text": "2", "text_pair": "0"}),
        (["sentence", "text", "label"], {}, {"text": "1"}),
        (["q", "a", "label"], {"text_column": "a"}, {"text": "1"}),
        (
            ["q", "a", "label"],
            {"text_column": "q", "text_pair_column": "a"},
            {"text": "0", "text_pair": "1"},
        ),
        (["text", "gold", "label"], {"label_column": "gold"}, {"text": "0"}),
    ],
)
def test_columns(tmp_path, columns, options, expected):
    text = "\t".join(columns) + "\n" + "\t".join(map(str, range(len(columns))))
    examples = read_examples(write(tmp_path, "a.tsv", text), **options)
    assert examples.texts == {name: [value] for name, value in expected.items()}
    assert examples.labels == [str(columns.index(options.get("label_column", "label")))]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.tsv", "text\tlabel\na\tb\t1\n", r": has no examples \(has 3 columns, the header has 2"),
        ("a.tsv", "text\tlabel\n \t1\nb\t\n", r": no example is left: empty text; empty label"),
        ("a.tsv", "question\tlabel\na\t1\n", r": has no text column .* are question, label"),
        (
            "a.tsv",
            "text\tgold\na\t1\n",
            r": has no column 'label'; the columns are text, gold .*--label_",
        ),
        ("a.jsonl", '{"text": "a", "label": 1}\n\n{"text": \n', r":3: not valid JSON"),
        ("a.jsonl", f'{{"text": {"[" * 99_000}', r":1: not valid JSON \(nested too deeply"),
        ("a.jsonl", f'{{"text": {"9" * 5_000}}}', r":1: not valid JSON \(an integer of thousands"),
        ("a.jsonl", "[1]\n", r":1: the content must be an object"),
        ("a.tsv", "text\tlabel\n", r": has no examples"),
        ("a.csv", "", r": has no examples"),
        ("a.tsv", b"text\tlabel\ncaf\xe9\t1\n", r":2: is not UTF-8"),
        ("a.jsonl", b'{"text": "\xe9", "label": 1}', r":1: is not UTF-8"),
        ("a.doc", "text\tlabel\na\t1\n", r": expected a name .*\.csv, \.jsonl, \.tsv"),
        ("a.txt", "text\tlabel\na\t1\n", r": has no column 'label'"),
        ("none", None, r": expected a name"),
        ("none.tsv", None, r": can't be read: No such file"),
    ],
)
def test_bad_files(tmp_path, name, text, message):
    path = tmp_path / name if text is None else write(tmp_path, name, text)
    with pytest.raises(InputError, match=message) as caught:
        read_examples(path)
    assert str(caught.value).startswith(str(path))


@pytest.mark.parametrize(
    ("columns", "options", "message"),
    [
        ("sentence1\tlabel", {"text_column": "label"}, "text and label are both in column 'label'"),
        (
            "text\tlabel\tid",
            {"text_pair_column": "label"},
            "text_pair and label are both in column 'label'",
        ),
        ("text\tstars\tid", {"label_column": "text"}, "text and label are both in column 'text'"),
        (
            "text\tlabel\tx",
            {"label_column": ["x", "text"], "problem_type": "multi_label_classification"},
            "text and label are both in column 'text'",
        ),
    ],
)
def test_a_column_is_used_once(tmp_path, columns, options, message):
    path = write(tmp_path, "a.tsv", columns + "\n" + "\t".join("1" for _ in columns.split("\t")))
    with pytest.raises(InputError, match=f"{message}; name two columns"):
        read_examples(path, **options)


def test_asked_column_is_missing(tmp_path):
    path = write(tmp_path, "a.tsv", "text\tlabel\na\t1\n")
    with pytest.raises(
        InputError, match=r"no column 'body'; the columns are text, label .*--text_column"
    ):
        read_examples(path, text_column="body")
    with pytest.raises(InputError, match=r"no column 'other'.*--text_pair_column"):
        read_examples(path, text_pair_column="other")


@pytest.mark.parametrize(
    ("labels", "classes"),
    [
        (["10", "9", "-1", "9"], ["-1", "9", "10"]),
        (["b", "a", "10", "9"], ["10", "9", "a", "b"]),
        (["neutral", "entailment"], ["entailment", "neutral"]),
    ],
)
def test_classes(tmp_path, labels, classes):
    text = "text\tlabel\n" + "".join(f"x\t{label}\n" for label in labels)
    examples = read_examples(write(tmp_path, "a.tsv", text))
    assert examples.classes == classes


def test_of_classes(tmp_path):
    path = write(tmp_path, "a.tsv", "text\tlabel\na\t0\n\nb\t1\nc\t2\n")
    examples = read_examples(path)
    found = examples.of_classes(["2", "3", "0"])
    assert (found.texts, found.labels) == ({"text": ["a", "c"]}, ["0", "2"])
    assert (found.lines, found.classes, found.num_skipped) == ([2, 5], ["2", "3", "0"], 1)
    said = []
    found.problems.report(said.append)
    assert said == [f"{path}: 1 skipped: label '1' is not one of 2, 3, 0 (line 4)"]
    with pytest.raises(InputError, match=r"a.tsv: no example is left: label '0' is not one of q"):
        examples.of_classes(["q"])
    assert examples.num_skipped == 0
    many = [f"class{i}" for i in range(30)]
    with pytest.raises(InputError, match=r"a.tsv:2: .* class8, class9 and 20 more$"):
        read_examples(path, strict=True).of_classes(many)


def test_many_kinds_of_problems_are_told_in_few_lines(tmp_path):
    rows = "".join(f"a\tx{i}\n" for i in range(100))
    path = write(tmp_path, "a.tsv", "text\tlabel\nb\t1\n" + rows)
    said = []
    read_examples(path, problem_type="regression").problems.report(said.append)
    assert said[-1] == f"{path}: 90 more skipped for other reasons"
    assert len(said) == 11
    path = write(tmp_path, "a.tsv", "text\tlabel\n" + rows)
    with pytest.raises(InputError, match=r"no example is left: .*'x4' is not a number; \.\.\.$"):
        read_examples(path, problem_type="regression")


def test_glue(shared):
    examples = read_examples(shared("tasks", "glue-sst2", "dev.tsv"))
    assert len(examples) == 872
    assert examples.classes == ["0", "1"]


def test_labels_that_only_look_like_numbers(tmp_path):
    (tmp_path / "x.tsv").write_text("text\tlabel\na\t--5\nb\t1\n")
    assert read_examples(tmp_path / "x.tsv").classes == ["--5", "1"]


def test_tsv_is_split_at_tabs_and_line_feeds_only(tmp_path):
    long = "a" * 200_000
    (tmp_path / "x.tsv").write_bytes(f"text\tlabel\n{long}\rb\t1\n".encode())
    assert read_examples(tmp_path / "x.tsv").texts["text"] == [f"{long}\rb"]


def test_repeated_columns_are_refused(tmp_path):
    (tmp_path / "x.tsv").write_text("text\ttext\tlabel\na\tb\t1\n")
    with pytest.raises(InputError, match="the column 'text' occurs more than once"):
        read_examples(tmp_path / "x.tsv")


def test_csv_cells_of_any_length(tmp_path):
    long = "a, " * 100_000
    path = write(tmp_path, "x.csv", f'text,label\n"{long}",1\n')
    assert read_examples(path).texts["text"] == [long]


@pytest.mark.parametrize("end", ["", "\n", "\nc,0\nd,1"])
def test_csv_quotations_that_never_end(tmp_path, end):
    path = write(tmp_path, "x.csv", f'text,label\n"a\nb",1\n"b,0{end}')
    with pytest.raises(InputError, match=r"x.csv:4: has an unclosed quotation mark"):
        read_examples(path)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("x.tsv", "text\tlabel\t\na\t1\t\nb\t0\n"),
        ("x.tsv", "text\tlabel\na\t1\t\t\nb\t0\t \n"),
        ("x.csv", "text, label,\na, 1,\nb,0\n"),
    ],
)
def test_separators_at_the_end_of_a_line(tmp_path, name, text):
    examples = read_examples(write(tmp_path, name, text))
    assert (examples.texts, examples.labels) == ({"text": ["a", "b"]}, ["1", "0"])
    assert examples.num_skipped == 0


@pytest.mark.parametrize("name", ["x.tsv.gz", "x.csv.gz", "x.jsonl.gz"])
def test_packed_files(tmp_path, name):
    text = {
        "x.tsv.gz": "\ufefftext\tlabel\né\t1\n",
        "x.csv.gz": "text,label\né,1\n",
        "x.jsonl.gz": '{"text": "é", "label": "1"}\n',
    }[name]
    path = write(tmp_path, name, gzip.compress(text.encode()))
    examples = read_examples(path)
    assert (examples.texts, examples.labels) == ({"text": ["é"]}, ["1"])
    for content in (b"text", gzip.compress(text.encode() * 1000)[:-20]):
        with pytest.raises(InputError, match=rf"{name}: can't be read: "):
            read_examples(write(tmp_path, name, content))


def test_texts(tmp_path):
    assert read_texts(write(tmp_path, "x.txt", "a\n\nb")).texts == {"text": ["a", "b"]}
    path = write(tmp_path, "x.tsv", "1\ta b\n2\tc\n")
    assert read_texts(path, column_names=["id", "text"]).texts == {"text": ["a b", "c"]}
    with pytest.raises(InputError, match=r"no text column .* are 1, a b .*--column_names"):
        read_texts(path)


# === What is left out ===

PAIRS = "text\ttext_pair\tlabel\n"
LEFT_OUT = [
    ("a.tsv", "text\tlabel\na\t1\nb\n", {}, "has 1 columns, the header has 2"),
    ("a.csv", "text,label\na,1\nb,c,1\n", {}, "has 3 columns, the header has 2"),
    ("a.jsonl", '{"text": "a", "label": 1}\n{"text": "b"}\n', {}, "label is not a text or number"),
    (
        "a.jsonl",
        '{"text": "a", "label": 1}\n{"text": ["b"], "label": 1}',
        {},
        "text is not a text or number",
    ),
    ("a.tsv", "text\tlabel\na\t1\n \t1\n", {}, "empty text"),
    ("a.tsv", "text\tlabel\na\t1\nb\t\n", {}, "empty label"),
    ("a.tsv", PAIRS + "a\tb\t1\na\t \t1\n", {}, "empty text_pair"),
    (
        "a.jsonl",
        '{"text": "a", "label": 1}\n{"text": "b", "label": NaN}',
        {},
        "label is not a text",
    ),
    ("a.jsonl", '{"text": "a", "label": 1}\n{"text": NaN, "label": 1}', {}, "text is not a text"),
    (
        "a.jsonl",
        '{"text": "a", "text_pair": "c", "label": 1}\n{"text": "b", "label": 1}',
        {},
        "text_pair is not a text or number",
    ),
    ("a.tsv", "sentence\tlabel\na\t1\nb\t2\n", {"glue": "sst2"}, "label '2' is not one of 0, 1"),
    ("a.tsv", "text\tlabel\na\t1\nb\tx\n", {"problem_type": "regression"}, "'x' is not a number"),
    ("a.tsv", "text\tlabel\na\t1\nb\tnan\n", {"problem_type": "regression"}, "is not a number"),
    (
        "a.tsv",
        'text\tlabel\na\t["x"]\nb\ty\n',
        {"problem_type": "multi_label_classification"},
        "not a JSON list",
    ),
    (
        "a.jsonl",
        '{"text": "a", "label": ["x"]}\n{"text": "b", "label": 3}',
        {"problem_type": "multi_label_classification"},
        "the label is not a list",
    ),
]


@pytest.mark.parametrize(("name", "text", "options", "what"), LEFT_OUT)
def test_left_out(tmp_path, name, text, options, what):
    path = write(tmp_path, name, text)
    line = text.rstrip().count("\n") + 1
    examples = read_examples(path, **options)
    assert examples.texts["text"] == ["a"]
    assert examples.lines == [line - 1]
    said = []
    examples.problems.report(said.append)
    assert len(said) == 1
    assert what in said[0]
    assert said[0].startswith(f"{path}: 1 skipped: ")
    assert said[0].endswith(f"(line {line})")
    with pytest.raises(InputError, match=rf"a\.\w+:{line}: .*{re.escape(what)}"):
        read_examples(path, strict=True, **options)


# === Kinds of labels ===


def test_numbers_as_labels(tmp_path):
    path = write(tmp_path, "a.csv", 'A man.,"A ""man"".",4.75\nB,C,0\n')
    options = {"column_names": ["text", "text_pair", "label"], "problem_type": "regression"}
    examples = read_examples(path, **options)
    assert examples.texts == {"text": ["A man.", "B"], "text_pair": ['A "man".', "C"]}
    assert examples.labels == [4.75, 0.0]
    assert examples.classes == []
    assert examples.lines == [1, 2]


@pytest.mark.parametrize(
    ("name", "text", "separator"),
    [
        ("a.tsv", "text\tlabel\na\tx, y\nb\t\nc\ty\n", ","),
        ("a.csv", 'text,label\na,"[""x"", ""y""]"\nb,\nc,"[""y""]"\n', None),
        (
            "a.jsonl",
            '{"text": "a", "label": ["x", "y"]}\n{"text": "b", "label": []}\n'
            '{"text": "c", "label": ["y"]}',
            None,
        ),
    ],
)
def test_several_labels(tmp_path, name, text, separator):
    examples = read_examples(
        write(tmp_path, name, text),
        problem_type="multi_label_classification",
        label_separator=separator,
    )
    assert examples.labels == [["x", "y"], [], ["y"]]
    assert examples.classes == ["x", "y"]
    assert examples.problems.lines == {}
    assert examples.of_classes(["y", "z"]).labels == [[], ["y"]]


FLAGS = "id\tbody\ttoxic\trude\n1\ta\t1\t0\n2\tb\t0\t0\n3\tc\t1.0\tTrue\n"


def test_a_column_for_each_label(tmp_path):
    path = write(tmp_path, "a.tsv", FLAGS + "4\td\t-1\t-1\n")
    facts = {"problem_type": "multi_label_classification", "text_column": "body"}
    examples = read_examples(path, label_column=["toxic", "rude"], **facts)
    assert examples.texts == {"text": ["a", "b", "c"]}
    assert examples.labels == [["toxic"], [], ["toxic", "rude"]]
    assert examples.classes == ["toxic", "rude"]
    assert examples.problems.lines == {"toxic is neither 1 nor 0": [5]}
    with pytest.raises(
        InputError, match=r"no column 'gone'; the columns are id, body, toxic, rude"
    ):
        read_examples(path, label_column=["toxic", "gone"], **facts)
    path = write(tmp_path, "b.tsv", FLAGS)
    with pytest.raises(
        InputError, match=r"of 1 and 0 are the classes, use --label_column toxic,rude$"
    ):
        read_examples(path, **facts)
    with pytest.raises(InputError, match="label_column can be several columns in multi_label"):
        read_examples(path, text_column="body", label_column=["toxic", "rude"])


def test_white_space_around_labels(tmp_path):
    examples = read_examples(write(tmp_path, "a.csv", "text,label\na, pos\nb,pos \nc,pos\u00a0\n"))
    assert examples.labels == ["pos"] * 3
    path = write(tmp_path, "b.tsv", "sentence\tlabel\na\t 1\n")
    assert read_examples(path, glue="sst2").labels == ["positive"]
    rows = '{"text": "a", "label": 1.0}\n{"text": "b", "label": 1}\n{"text": "c", "label": 0.5}'
    assert read_examples(write(tmp_path, "c.jsonl", rows)).labels == ["1", "1", "0.5"]


def test_measured_values_are_no_classes(tmp_path):
    rows = "".join(f"a\t{i / 8:g}\n" for i in range(21))
    path = write(tmp_path, "a.tsv", "text\tlabel\n" + rows)
    with pytest.raises(InputError, match=r"are 21 different decimal .* 0, .*--task regression"):
        read_examples(path)
    assert len(read_examples(path, problem_type="regression")) == 21
    assert len(read_examples(write(tmp_path, "b.tsv", "text\tlabel\n" + rows[:-6]))) == 20


def test_unknown_problem_type(tmp_path):
    path = write(tmp_path, "a.tsv", "text\tlabel\na\t1\n")
    with pytest.raises(InputError, match="problem_type must be one of"):
        read_examples(path, problem_type="ranking")


@pytest.mark.parametrize("language", ["en", "zh"])
def test_stsb(shared, language):
    examples = read_examples(
        shared("tasks", "stsb", f"stsb-{language}-dev.csv"),
        column_names=["sentence1", "sentence2", "label"],
        problem_type="regression",
    )
    assert len(examples) + sum(map(len, examples.problems.lines.values())) == 1500
    assert len(examples) >= 1499
    assert min(examples.labels) == 0.0
    assert max(examples.labels) == 5.0


@pytest.mark.parametrize(("split", "count"), [("train", 9600), ("dev", 1200), ("test", 1200)])
def test_chnsenticorp(shared, split, count):
    examples = read_examples(shared("tasks", "chnsenticorp", f"{split}.tsv"))
    assert len(examples) + sum(map(len, examples.problems.lines.values())) == count
    assert len(examples) >= count - 2
    assert examples.classes == ["0", "1"]


@pytest.mark.parametrize("row", [[0, 1, 0], [0.0, 1.0, 0.0], ["0", "1", "1"], [True, False, True]])
def test_zeros_and_ones_are_no_names(tmp_path, row):
    """A label for each class, as in many data sets of transformers, is not a list of names."""
    lines = "".join(json.dumps({"text": "a", "label": each}) + "\n" for each in (row, row[::-1]))
    path = write(tmp_path, "data.jsonl", lines.encode())
    message = "labels are 0 and 1 for each of 3 classes, such as .*; give lists of class names"
    with pytest.raises(InputError, match=message):
        read_examples(path, problem_type="multi_label_classification")
    path = write(tmp_path, "other.jsonl", b'{"text": "a", "label": ["0"]}\n')
    found = read_examples(path, problem_type="multi_label_classification")
    assert found.labels == [["0"]]
