import json

import pytest

from kerasbert import InputError
from kerasbert.data.pairs import read_pairs


def test_scores_without_a_first_line_of_names(tmp_path):
    path = tmp_path / "sts.csv"
    path.write_text(
        'A plane.,"An air plane, too.",5.0\n,no,1.0\nx,y,six\nx,y,5.5\nx,y,nan\na,b,0\n'
    )
    names = ("text", "text_pair", "score")
    found = read_pairs(path, column_names=names, highest_score=5)
    assert found.texts == {
        "text": ["A plane.", "a"],
        "text_pair": ["An air plane, too.", "b"],
    }
    assert (found.labels, found.lines) == ([1.0, 0.0], [1, 6])
    assert found.problems.lines == {
        "empty text": [2],
        "the score is not a number from -5 to 5": [3, 4, 5],
    }
    with pytest.raises(InputError, match=r"sts\.csv:2: empty text"):
        read_pairs(path, column_names=names, highest_score=5, strict=True)


def test_triplets(tmp_path):
    path = tmp_path / "nli.jsonl"
    rows = [{"anchor": "a", "positive": "b", "negative": "c"}, {"anchor": "a", "positive": None}]
    path.write_text("\n".join(map(json.dumps, rows)))
    found = read_pairs(path)
    assert found.texts == {"text": ["a"], "text_pair": ["b"], "text_negative": ["c"]}
    assert found.labels is None
    assert len(found) == 1


def test_columns_are_those_of_any_row(tmp_path):
    path = tmp_path / "nli.jsonl"
    rows = [{"anchor": "a", "positive": "b"}, {"anchor": "c", "positive": "d", "negative": "e"}]
    path.write_text("\n".join(map(json.dumps, rows)))
    found = read_pairs(path)
    assert found.texts == {"text": ["c"], "text_pair": ["d"], "text_negative": ["e"]}
    assert found.problems.lines == {"text_negative is not a text or number": [1]}


def test_numbers_and_other_values(tmp_path):
    path = tmp_path / "nli.jsonl"
    rows = [{"text": 7, "text_pair": 0.5}, {"text": None, "text_pair": "b"}]
    rows += [{"text": "a", "text_pair": ["b"]}, {"text": "a", "text_pair": ""}]
    rows += [{"text": "a", "text_pair": "b", "score": 10**400}]
    path.write_text("\n".join(json.dumps({"score": 1} | row) for row in rows))
    found = read_pairs(path)
    assert found.texts == {"text": ["7"], "text_pair": ["0.5"]}
    assert found.problems.lines == {
        "text is not a text or number": [2],
        "text_pair is not a text or number": [3],
        "empty text_pair": [4],
        "the score is not a number from -1 to 1": [5],
    }


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"text": "sentence2"}, "text and text_pair are both in column 'sentence2'"),
        ({"text_negative": "sentence1"}, "text and text_negative are both in column 'sentence1'"),
        ({"score": "sentence2"}, "text_pair and score are both in column 'sentence2'"),
    ],
)
def test_a_column_is_used_once(tmp_path, columns, message):
    path = tmp_path / "pairs.csv"
    path.write_text("sentence1,sentence2\na,b\n")
    with pytest.raises(InputError, match=message):
        read_pairs(path, columns=columns)


def test_given_columns(tmp_path):
    path = tmp_path / "pairs.tsv"
    path.write_text("q\tsentence2\nwho\tme\n")
    assert read_pairs(path, columns={"text": "q"}).texts == {"text": ["who"], "text_pair": ["me"]}
    with pytest.raises(InputError, match="has no column for text; the columns are q, sentence2"):
        read_pairs(path)
    with pytest.raises(InputError, match="has no column 'z'; the columns are q, sentence2"):
        read_pairs(path, columns={"text": "q", "score": "z"})
    with pytest.raises(InputError, match=r"columns of pairs are text, .* found label"):
        read_pairs(path, columns={"label": "q"})


def test_label_is_a_score(tmp_path):
    path = tmp_path / "sts.csv"
    path.write_text("a,b,5.0\na,c,1.0\n")
    names = ("text", "text_pair", "label")
    assert read_pairs(path, column_names=names, highest_score=5).labels == [1.0, 0.2]
    # Without the scale most of the data would be left out, and the rest would mean something else.
    with pytest.raises(
        InputError, match=r"sts\.csv:1: the score 5 is greater than 1; .*--max_score"
    ):
        read_pairs(path, column_names=names)
    with pytest.raises(
        InputError, match="a highest score of 5 is given, but no column of scores, such as"
    ):
        read_pairs(path, column_names=("text", "text_pair", "stars"), highest_score=5)
    with pytest.raises(InputError, match="the highest score must be greater than 0, found 0"):
        read_pairs(path, column_names=names, highest_score=0)


def test_nothing_left(tmp_path):
    path = tmp_path / "pairs.tsv"
    path.write_text("text\ttext_pair\n \tb\n")
    with pytest.raises(InputError, match=r"pairs\.tsv: no pair is left: empty text"):
        read_pairs(path)


def test_stsb(shared):
    path = shared("tasks", "stsb", "stsb-en-test.csv")
    found = read_pairs(path, column_names=("text", "text_pair", "score"), highest_score=5)
    assert len(found) == 1379
    assert (min(found.labels), max(found.labels)) == (0, 1)
