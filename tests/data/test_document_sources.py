import bz2
import codecs
import functools
import gzip
import io
import json
import lzma
import pathlib
import sys
import tarfile

import fsspec
import pyarrow
import pyarrow.parquet
import pytest
from backports import zstd
from fsspec.implementations.memory import MemoryFileSystem

from kerasbert.data.corpus.documents.lines import Report
from kerasbert.data.corpus.documents.reading import (
    find_files,
    read_documents,
    read_range,
    size_to_cut,
)
from kerasbert.data.corpus.units import Piece, plan_units
from kerasbert.errors import InputError

DOCUMENTS = [["First line.", "Second line."], ["Only line, é中."], ["x", "y", "z"]]
TEXTS = ["\n".join(lines) for lines in DOCUMENTS]
PLAIN = "\n\n".join(TEXTS).encode()
JSON = "\n".join(json.dumps({"text": text, "body": text.upper()}) for text in TEXTS).encode()
CHECKED = {zstd.CompressionParameter.checksum_flag: 1}
COMPRESS = {
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
    ".zst": functools.partial(zstd.compress, options=CHECKED),
}


def write_parquet(path, columns, **settings):
    pyarrow.parquet.write_table(pyarrow.table(columns), path, **settings)
    return str(path)


def read(*inputs, **settings):
    return list(read_documents([str(path) for path in inputs], **settings))


@pytest.fixture
def memory():
    """fsspec's file system in memory, empty."""
    system = fsspec.filesystem("memory")
    system.store.clear()
    system.pseudo_dirs[:] = [""]
    yield system
    system.store.clear()


# === Compression ===


@pytest.mark.parametrize("ending", COMPRESS)
def test_compressed(tmp_path, ending):
    path = tmp_path / f"a{ending}"
    path.write_bytes(COMPRESS[ending](PLAIN[:20]) + COMPRESS[ending](PLAIN[20:]))  # as from `cat`
    assert read(path) == DOCUMENTS
    assert size_to_cut(str(path)) is None


@pytest.mark.parametrize("ending", COMPRESS)
def test_damaged_compressed_files(tmp_path, ending):
    whole = COMPRESS[ending](bytes(range(32, 127)) * 500 + PLAIN)
    middle = len(whole) // 2
    flipped = whole[:middle] + bytes([whole[middle] ^ 0xFF]) + whole[middle + 1 :]
    for name, data in {"cut": whole[:-9], "flipped": flipped, "text": b"no such thing\n"}.items():
        path = tmp_path / f"{name}{ending}"
        path.write_bytes(data)
        with pytest.raises(InputError, match=rf"{name}{ending}: can't be read: \w+") as caught:
            read(path)
        assert str(caught.value).count(str(path)) == 1


@pytest.mark.parametrize("ending", COMPRESS)
def test_damage_after_the_first_stream(tmp_path, ending):
    one, path = COMPRESS[ending](b"first\n\n"), tmp_path / f"a{ending}"
    other = COMPRESS[ending](bytes(range(32, 127)) * 500 + PLAIN)
    middle = len(other) // 2
    flipped = other[:middle] + bytes([other[middle] ^ 0xFF]) + other[middle + 1 :]
    for data in (other[:-9], flipped, b"garbage"):
        path.write_bytes(one + data)
        with pytest.raises(InputError, match=rf"a{ending}: can't be read: \w+"):
            read(path)


@pytest.mark.parametrize("ending", [".gz", ".bz2", ".xz"])
def test_streams_with_zeros_between_them(tmp_path, ending):
    streams = COMPRESS[ending](PLAIN[:20]), COMPRESS[ending](b""), COMPRESS[ending](PLAIN[20:])
    (tmp_path / f"a{ending}").write_bytes(b"".join(one + bytes(8) for one in streams))
    assert read(tmp_path / f"a{ending}") == DOCUMENTS
    (tmp_path / f"b{ending}").write_bytes(COMPRESS[ending](b'{"text": "a"}\n{'))
    with pytest.raises(InputError, match=rf"b{ending}:2: not valid JSON"):
        read(tmp_path / f"b{ending}")


@pytest.mark.parametrize("ending", COMPRESS)
def test_compressed_files_without_a_byte(tmp_path, ending):
    (tmp_path / f"a{ending}").write_bytes(b"")
    with pytest.raises(InputError, match=rf"a{ending}: has 0 bytes"):
        read(tmp_path / f"a{ending}")


def archived():
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        about = tarfile.TarInfo("a.txt")
        about.size = len(PLAIN)
        archive.addfile(about, io.BytesIO(PLAIN))
    return file.getvalue()


@pytest.mark.parametrize("ending", ["", ".gz"])
@pytest.mark.parametrize(
    ("data", "message"),
    [
        (archived(), "not text in UTF-8: .* are NUL; unpack archives"),
        (PLAIN.decode().encode("utf-16-le"), "not text in UTF-8: .* are NUL; .* other encodings"),
        (codecs.BOM_UTF16_LE + PLAIN, "is UTF-16, not UTF-8"),
        (codecs.BOM_UTF16_BE + PLAIN, "is UTF-16, not UTF-8"),
        (b"PK\3\4" + PLAIN, "is a zip archive"),
        (b"%PDF-1.7\n" + PLAIN, "is PDF"),
    ],
    ids=["tar", "utf-16", "little", "big", "zip", "pdf"],
)
def test_what_is_no_text(tmp_path, data, message, ending):
    path = tmp_path / f"a{ending}"
    path.write_bytes(gzip.compress(data) if ending else data)
    with pytest.raises(InputError, match=rf"a{ending}: {message}|a{ending}: is {message}"):
        read(path)


@pytest.mark.parametrize("ending", COMPRESS)
def test_a_compressed_file_that_is_not_named_so(tmp_path, ending):
    (tmp_path / "a.txt").write_bytes(COMPRESS[ending](PLAIN))
    with pytest.raises(InputError, match=rf"a.txt: is not text but \w+; .* must end in {ending}"):
        read(tmp_path / "a.txt")


def test_zstandard_without_its_package(tmp_path, monkeypatch):
    (tmp_path / "a.zst").write_bytes(zstd.compress(PLAIN))
    monkeypatch.setitem(sys.modules, "backports.zstd", None)
    with pytest.raises(InputError, match=r"a.zst: .* not installed: pip install backports.zstd"):
        read(tmp_path / "a.zst")


# === Columns ===


def test_json_lines_with_another_key(tmp_path):
    (tmp_path / "a").write_bytes(JSON)
    assert read(tmp_path / "a", text_column="body")[0] == ["FIRST LINE.", "SECOND LINE."]
    with pytest.raises(InputError, match="a:1: expected a string under 'title'"):
        read(tmp_path / "a", text_column="title")


@pytest.mark.parametrize("settings", [{}, {"use_dictionary": False, "compression": "zstd"}])
@pytest.mark.parametrize("kind", [pyarrow.string(), pyarrow.large_string(), "dictionary"])
def test_parquet(tmp_path, kind, settings):
    values = pyarrow.array([*TEXTS, None, ""])
    values = values.dictionary_encode() if kind == "dictionary" else values.cast(kind)
    path = write_parquet(tmp_path / "a.parquet", {"id": range(5), "text": values}, **settings)
    report = Report()
    assert read(path, report=report) == DOCUMENTS
    assert report == Report(documents=3, empty=2)
    names = write_parquet(tmp_path / "b.parquet", {"id": range(5), "body": values}, **settings)
    assert read(names, text_column="body") == DOCUMENTS


def test_row_groups_are_cut(tmp_path):
    texts = [f"text {i}" for i in range(1000)]
    path = write_parquet(
        tmp_path / "a.parquet", {"n": range(1000), "text": texts}, row_group_size=90
    )
    whole = list(read_range(path))
    assert whole == [(i, [text]) for i, text in enumerate(texts)]
    size = size_to_cut(path)
    for step in (1000, size // 3, size):
        ranges = [(a, min(a + step, size)) for a in range(0, size, step)]
        assert [one for a, b in ranges for one in read_range(path, a, b)] == whole
    assert 0 < len(list(read_range(path, 0, size // 2))) < 1000


def test_parquet_that_can_not_be_used(tmp_path):
    path = write_parquet(tmp_path / "a.parquet", {"id": [1, 2], "tags": [["a"], ["b"]]})
    with pytest.raises(InputError, match=r"a.parquet: has no column 'text'; .* are id, tags"):
        read(path)
    with pytest.raises(
        InputError, match=r"a.parquet: the column 'id' must be of strings, .* int64"
    ):
        read(path, text_column="id")
    with pytest.raises(InputError, match=r"the column 'tags' must be of strings, found list<"):
        read(path, text_column="tags")
    whole = pathlib.Path(write_parquet(tmp_path / "b.parquet", {"text": TEXTS * 99})).read_bytes()
    for name, data in {"cut": whole[:-9], "text": b"no table", "empty": b""}.items():
        (tmp_path / f"{name}.parquet").write_bytes(data)
        with pytest.raises(InputError, match=rf"{name}.parquet: can't be read: "):
            read(tmp_path / f"{name}.parquet")
    (tmp_path / "c.txt").write_bytes(whole)
    with pytest.raises(InputError, match=r"c.txt: is not text but parquet"):
        read(tmp_path / "c.txt")


def test_invalid_utf8_in_parquet(tmp_path, caplog):
    data = pyarrow.array([b"good", b"bad \xff\nline"])
    values = pyarrow.StringArray.from_buffers(2, *data.buffers()[1:])
    report = Report()
    path = write_parquet(tmp_path / "a.parquet", {"text": values})
    assert read(path, report=report) == [["good"], ["bad \ufffd", "line"]]
    assert report.invalid_utf8 == 1
    assert caplog.records[0].getMessage().startswith(f"{path}: row 2: ")


# === Remote stores ===


def test_memory_store(memory):
    memory.pipe({"/b/deep/1.txt": PLAIN, "/b/2.jsonl.zst": zstd.compress(JSON), "/b/x.md": b"no"})
    with memory.open("/b/3.parquet", "wb") as file:
        pyarrow.parquet.write_table(pyarrow.table({"text": TEXTS}), file)
    found = find_files(["memory://b/**/*.txt", "memory://b/[23].*"])
    assert found == [f"memory://b/{name}" for name in ("deep/1.txt", "2.jsonl.zst", "3.parquet")]
    assert read(*found) == DOCUMENTS * 3
    assert read("memory://b/2.jsonl.zst") == DOCUMENTS
    assert [size_to_cut(path) for path in found[:2]] == [len(PLAIN), None]
    parts = [list(read_range(found[0], a, a + 9)) for a in range(0, len(PLAIN), 9)]
    assert [one for part in parts for one in part] == list(read_range(found[0]))
    with pytest.raises(InputError, match=r"memory://b/y.txt: no such file"):
        find_files(["memory://b/y.txt"])
    with pytest.raises(InputError, match=r"memory://b/\*.csv: no such file"):
        find_files(["memory://b/*.csv"])
    with pytest.raises(
        InputError, match=r"memory://b/deep: is a directory; .*'memory://b/deep/\*'"
    ):
        find_files(["memory://b/deep"])


def test_lines_of_a_store_have_their_numbers(memory):
    memory.pipe("/a.jsonl", b'{"text": "a"}\n' * 9 + b"{")
    with pytest.raises(InputError, match=r"memory://a.jsonl:10: not valid JSON"):
        read("memory://a.jsonl")


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("nosuch://a/b", "nosuch://a/b: can't be used: Protocol not known: nosuch"),
        ("s3://bucket/a*.txt", r"s3:// needs a package that is not installed: pip install s3fs"),
        ("gs://bucket/a.txt", r"gs:// needs a package that is not installed: pip install gcsfs"),
    ],
)
def test_stores_that_can_not_be_used(url, message, monkeypatch):
    for name in ("s3fs", "gcsfs"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(InputError, match=message):
        find_files([url])


class Refusing(fsspec.AbstractFileSystem):
    """A store whose package raises exceptions of its own."""

    protocol = "refusing"

    class NoCredentialsError(Exception):
        pass

    def info(self, path, **kwargs):
        raise self.NoCredentialsError("Unable to locate credentials")

    exists = glob = info


@pytest.mark.parametrize("name", ["a.txt", "*.txt"])
def test_errors_of_a_store_are_one_line(name):
    fsspec.register_implementation("refusing", Refusing, clobber=True)
    message = f"refusing://b/{name}: can't be read: Unable to locate credentials; .*credentials"
    with pytest.raises(InputError, match=message.replace("*.txt", r"\*.txt")):
        find_files([f"refusing://b/{name}"])


# === Data sets ===


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A folder of data that `datasets` can load by its path, in two configurations."""
    pytest.importorskip("datasets")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
    folder = tmp_path / "texts"
    for config, rows in {"small": TEXTS[:1], "large": TEXTS}.items():
        for split in ("train", "test"):
            (folder / config).mkdir(parents=True, exist_ok=True)
            values = rows if split == "train" else [None, "of the test split"]
            columns = {"text": values, "n": list(range(len(values)))}
            write_parquet(folder / config / f"{split}.parquet", columns)
    configs = "".join(
        f"- config_name: {name}\n  default: {str(name == 'large').lower()}\n  data_files:\n"
        f"  - split: train\n    path: {name}/train.parquet\n"
        f"  - split: test\n    path: {name}/test.parquet\n"
        for name in ("small", "large")
    )
    (folder / "README.md").write_text(f"---\nconfigs:\n{configs}---\n")
    return f"hf:{folder}"


def test_hugging_face_datasets(hub):
    assert read(hub) == DOCUMENTS
    assert read(f"{hub}:small") == DOCUMENTS[:1]
    report = Report()
    assert read(f"{hub}:small:test", report=report) == [["of the test split"]]
    assert report == Report(documents=1, empty=1)
    assert size_to_cut(hub) is None
    assert list(read_range(hub)) == list(enumerate(DOCUMENTS))
    for source, column, message in (
        (hub, "body", "has no column 'body'; its columns are text, n"),
        (hub, "n", "example 1: the column 'n' must be of strings, found int"),
        (f"{hub}:tiny", "text", "datasets can't read it .*tiny"),
        (f"{hub}::dev", "text", "datasets can't read it .*dev"),
        (f"{hub}x", "text", "datasets can't read it"),
    ):
        with pytest.raises(InputError, match=message) as caught:
            read(source, text_column=column)
        assert str(caught.value).startswith(f"{source}: ")


def test_hugging_face_datasets_without_their_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(InputError, match="not installed: pip install datasets"):
        read("hf:wikitext")


def test_a_compressed_file_that_expands_to_one_line(tmp_path):
    (tmp_path / "a.zst").write_bytes(zstd.compress(b"good\n" + b"x" * ((1 << 26) + 1)))
    assert (tmp_path / "a.zst").stat().st_size < 10_000
    with pytest.raises(InputError, match=r"a.zst: has a line of over 67,108,864 bytes when dec"):
        read(tmp_path / "a.zst")
    (tmp_path / "a.zst").write_bytes(zstd.compress(b"good\n" + b" " * (1 << 26)))
    assert read(tmp_path / "a.zst") == [["good"]]


class Hosts(MemoryFileSystem):
    """A store whose URLs have a host, which is not part of the names, as with ftp://."""

    protocol = "hosts"

    @classmethod
    def _strip_protocol(cls, path):
        path = path.removeprefix(f"{cls.protocol}://").partition("/")[2] if "://" in path else path
        return "/" + path.strip("/")


def test_patterns_keep_the_hosts_of_urls(memory):
    fsspec.register_implementation("hosts", Hosts, clobber=True)
    memory.pipe({"/b/1.txt": PLAIN, "/b/2.txt": PLAIN})
    assert find_files(["hosts://me@here:21/b/*.txt"]) == [
        f"hosts://me@here:21/b/{number}.txt" for number in (1, 2)
    ]
    with pytest.raises(InputError, match="patterns of URLs of this kind are not supported"):
        find_files(["dir://*.txt::memory://b"])


class Stream(io.BytesIO):
    def seekable(self):
        return False

    def seek(self, *position):
        raise io.UnsupportedOperation("seek")

    tell = seek


class WithoutSizes(Hosts):
    """A store that does not know the sizes of its files, as some web servers; nothing can seek."""

    protocol = "sizeless"

    def info(self, path, **kwargs):
        return {**super().info(path, **kwargs), "size": None}

    def _open(self, path, *args, **kwargs):
        return Stream(self.cat_file(path))

    def cat_file(self, path, **kwargs):
        return self.store[path].getvalue()


@pytest.mark.parametrize("name", ["a.txt", "a.txt.gz"])
def test_files_of_unknown_size(memory, name):
    fsspec.register_implementation("sizeless", WithoutSizes, clobber=True)
    memory.pipe("/a.txt", PLAIN)
    memory.pipe("/a.txt.gz", gzip.compress(PLAIN))
    url = f"sizeless://host/{name}"
    assert size_to_cut(url) is None
    assert read(url) == DOCUMENTS
    assert plan_units([url, url], 99) == [(Piece(i, url, 0, None, 99),) for i in (0, 1)]
