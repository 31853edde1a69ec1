"""The programs that make and describe corpora."""

import json

import pytest

from kerasbert import files
from kerasbert.errors import InputError
from kerasbert.recipes.find_duplicates import find_duplicates
from kerasbert.recipes.options import FindDuplicatesOptions, PrepareCorpusOptions
from kerasbert.recipes.prepare_corpus import prepare_corpus


@pytest.fixture
def given(vocabulary, tmp_path):
    """Options of text in which documents repeat."""
    text = ["the cat runs.", "the dog plays.", "a bird sings here."]
    rows = [{"body": text[i % 3], "n": i} for i in range(5)]
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, rows)))
    (tmp_path / "vocab.txt").write_text("\n".join(vocabulary) + "\n")
    return {"input": [str(tmp_path / "a.jsonl")], "text_column": "body"}


def prepare(tmp_path, name, **options):
    vocab = str(tmp_path / "vocab.txt")
    return prepare_corpus(PrepareCorpusOptions(vocab=vocab, output=str(tmp_path / name), **options))


def test_duplicates_are_found_before_or_meanwhile(given, tmp_path):
    output = str(tmp_path / "found")
    dedup = ["near", "document"]
    found = find_duplicates(
        FindDuplicatesOptions(**given, filter=["min_characters=14"], dedup=dedup, output=output)
    )
    assert found["documents"] == 5
    assert found["left_out"] == {"min_characters": 2, "document": 1, "near": 0}
    (example,) = found["examples"]
    path = given["input"][0]
    second = len(json.dumps({"body": "the cat runs.", "n": 0})) + 1
    assert example["kind"] == "document"
    assert example["kept"] == f"{path}@{second}"
    assert example["left_out"].startswith(f"{path}@")
    options = {**given, "filter": ["min_characters=14"]}
    before = prepare(tmp_path, "before", **options, duplicates=output)
    prepare(tmp_path, "meanwhile", **options, dedup=dedup)
    for path in (tmp_path / "before").iterdir():
        assert (tmp_path / "meanwhile" / path.name).read_bytes() == path.read_bytes()
    assert before["documents"] == 2
    assert before["left_out"] == {"min_characters": 2, "document": 1, "near": 0}
    manifest = files.read_json(tmp_path / "before" / "manifest.json")
    assert manifest["duplicates"] == {"kinds": ["document", "near"], "sha256": found["sha256"]}
    assert manifest["text_column"] == "body"
    with pytest.raises(InputError, match="found exists already"):
        find_duplicates(FindDuplicatesOptions(**given, dedup=dedup, output=output))


def test_options_that_do_not_go_together(given, tmp_path):
    for options, message in (
        ({"dedup": ["near"], "part": "1/2"}, "--dedup looks at all text: with --part, .*--duplic"),
        ({"dedup": ["near"], "duplicates": "x"}, "--dedup and --duplicates must not both"),
        ({"dedup": ["far"]}, "--dedup must be one of document, near, paragraph, found 'far'"),
        ({"filter": ["far=1"]}, "--filter must be NAME=VALUE"),
    ):
        with pytest.raises(InputError, match=message):
            prepare(tmp_path, "c", **given, **options)
