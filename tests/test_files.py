import hashlib
import json
import math

import pytest

from kerasbert import files
from kerasbert.errors import InputError


def names(directory):
    return sorted(path.name for path in directory.iterdir())


def test_sha256(tmp_path):
    data = bytes(range(256)) * 5000
    (tmp_path / "x").write_bytes(data)
    assert files.sha256(tmp_path / "x") == hashlib.sha256(data).hexdigest()


def test_sha256_of_a_directory(tmp_path):
    (tmp_path / "a" / "b").mkdir(parents=True)
    found = set()
    for name, content in (("a/x", "1"), ("a/x", "2"), ("a/b/x", "2"), ("a/b/y", "2")):
        (tmp_path / name).write_text(content)
        found.add(files.sha256_of_all(tmp_path / "a"))
    assert len(found) == 4
    assert files.sha256_of_all(tmp_path / "a/x") == files.sha256(tmp_path / "a/x")


def test_json_round_trip(tmp_path):
    path = tmp_path / "a.json"
    files.write_json(path, {"old": 1})
    files.write_json(path, {"word": "Brücke中", "list": [1, None, 2.5]})
    assert files.read_json(path) == {"word": "Brücke中", "list": [1, None, 2.5]}
    assert "Brücke中" in path.read_text(encoding="utf-8")
    assert names(tmp_path) == ["a.json"]


def test_json_has_no_nan():
    value = {"pearson": math.nan, "all": [1.5, (-math.inf, "中")], "\udcff.tsv": "\ud800"}
    line = files.to_json(value)
    line.encode("utf-8")
    read = json.loads(line, parse_constant=pytest.fail)
    assert read == {"pearson": None, "all": [1.5, [None, "中"]], "\udcff.tsv": "\ud800"}


def test_what_is_not_json_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.json"
    files.write_json(path, {"old": 1})
    with pytest.raises(TypeError):
        files.write_json(path, {"new": object()})
    assert files.read_json(path) == {"old": 1}
    assert names(tmp_path) == ["a.json"]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"{", "not valid JSON"),
        (b"\xff", "not valid JSON"),
        (b"[1]", "expected a JSON object, found list"),
        (None, "no such file"),
    ],
)
def test_bad_json(tmp_path, data, message):
    path = tmp_path / "a.json"
    if data is not None:
        path.write_bytes(data)
    with pytest.raises(InputError, match=f"a.json: {message}"):
        files.read_json(path)


def test_a_new_directory_appears_when_it_is_whole(tmp_path):
    target = tmp_path / "deep" / "target"
    with files.new_directory(target) as directory:
        (directory / "file").write_text("new")
        assert not target.exists()
        assert directory.parent == target.parent
        assert directory.name.startswith(".")
    assert (target / "file").read_text() == "new"
    assert names(target.parent) == ["target"]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("exists", [False, True])
def test_an_interrupted_write_leaves_what_was_there(tmp_path, error, exists):
    target = tmp_path / "target"
    if exists:
        target.mkdir()
        (target / "file").write_text("old")

    def write_and_fail():
        with files.new_directory(target, overwrite=True) as directory:
            (directory / "file").write_text("new")
            raise error

    with pytest.raises(error):
        write_and_fail()
    assert names(tmp_path) == (["target"] if exists else [])
    if exists:
        assert (target / "file").read_text() == "old"


@pytest.mark.parametrize("kind", ["directory", "file", "link"])
def test_overwrite(tmp_path, kind):
    target = tmp_path / "target"
    if kind == "file":
        target.write_text("old")
    else:
        real = tmp_path / ("real" if kind == "link" else "target")
        real.mkdir()
        (real / "only-in-the-old").write_text("old")
        if kind == "link":
            target.symlink_to(real)
    with files.new_directory(target, overwrite=True) as directory:
        (directory / "file").write_text("new")
    assert names(target) == ["file"]
    assert names(tmp_path) == (["real", "target"] if kind == "link" else ["target"])
    if kind == "link":
        assert names(tmp_path / "real") == ["only-in-the-old"]


def test_an_existing_directory_is_not_overwritten(tmp_path):
    (tmp_path / "target").mkdir()
    with (
        pytest.raises(InputError, match="target exists already"),
        files.new_directory(tmp_path / "target"),
    ):
        pytest.fail("the block must not run")
    assert names(tmp_path) == ["target"]


def test_a_file_as_parent(tmp_path):
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(InputError, match="target can't be written"),
        files.new_directory(tmp_path / "file" / "target"),
    ):
        pytest.fail("the block must not run")


@pytest.mark.parametrize("name", ["a.json", "b.json.gz", "c.d/e.json", ".json.gz/f.json"])
def test_endings(name):
    assert files.ending(name) == ".json"
    assert files.ending(f"{name}.txt") == ".txt"


def test_byte_order_mark_of_json(tmp_path):
    (tmp_path / "a.json").write_text('{"a": 1}', encoding="utf-8-sig")
    assert files.read_json(tmp_path / "a.json") == {"a": 1}
