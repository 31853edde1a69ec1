import gzip
import json
import logging
import types

import pytest
import tensorflow as tf
import tensorflow_datasets as tfds

from kerasbert.data.corpus.documents import formats
from kerasbert.data.corpus.documents import lines as line_reading
from kerasbert.data.corpus.documents.lines import Report
from kerasbert.data.corpus.documents.reading import find_files, read_documents
from kerasbert.errors import InputError

DOCUMENTS = [["First line.", "Second line."], ["Only line, é中."], ["x", "y", "z"]]
PLAIN = "\n\n".join("\n".join(lines) for lines in DOCUMENTS) + "\n"
JSON_LINES = "\n".join(json.dumps({"text": "\n".join(lines)}) for lines in DOCUMENTS)
WIKI = "".join(
    f'<doc id="{i}" url="u" title="T{i}">\nT{i}\n\n' + "\n".join(lines) + "\n\n</doc>\n"
    for i, lines in enumerate(DOCUMENTS)
)
FORMATS = {"plain": PLAIN, "json_lines": JSON_LINES, "wikiextractor": WIKI}


def write(path, text):
    data = text if isinstance(text, bytes) else text.encode()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return str(path)


@pytest.mark.parametrize("name", ["a.txt", "a.gz"])
@pytest.mark.parametrize("text", FORMATS.values(), ids=FORMATS)
def test_formats(tmp_path, text, name):
    report = Report()
    assert list(read_documents([write(tmp_path / name, text)], report)) == DOCUMENTS
    assert report == Report(documents=3)


@pytest.mark.parametrize("text", FORMATS.values(), ids=FORMATS)
def test_line_ends_and_space_around(tmp_path, text):
    path = write(tmp_path / "a", "\n \n" + text.replace("\n", " \r\n") + "\n\n\n")
    assert list(read_documents([path])) == DOCUMENTS


def test_json_lines_ignore_other_keys_and_empty_lines(tmp_path):
    text = '{"id": 1, "text": "a\\n\\n b "}\n\n{"text": "c", "meta": {"text": "d"}}\n'
    assert list(read_documents([write(tmp_path / "a", text)])) == [["a", "b"], ["c"]]


def test_json_after_white_space(tmp_path):
    path = write(tmp_path / "a", ' \n  {"text": "a"}\n\t{"text": "b"}')
    assert list(read_documents([path])) == [["a"], ["b"]]


@pytest.mark.parametrize("text", ['[{"text": "a"}]', '\n [\r\n  {"text": "a"}\n]', "[ {"])
def test_an_array_of_json_is_refused(tmp_path, text):
    with pytest.raises(InputError, match=r"/a: is one array of JSON; write JSON lines"):
        list(read_documents([write(tmp_path / "a", text)]))


def test_long_documents_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(formats, "LONGEST", 20)
    for text, message in (
        ("a\nb\n\n" + "cd\n" * 7, "a:4: begins a document of over 20 bytes; put empty lines"),
        ("<doc>\na\n" + "cd\n" * 5, "a:1: begins a document of over 20 bytes; a line with </doc>"),
    ):
        path = write(tmp_path / "a", text)
        with pytest.raises(InputError, match=message):
            list(read_documents([path]))
    path = write(tmp_path / "b", ("abc\n" * 5 + "\n") * 9)
    assert list(read_documents([path])) == [["abc"] * 5] * 9
    monkeypatch.setattr(line_reading, "LONGEST", 3)
    with pytest.raises(InputError, match="b: has a line of over 3 bytes; divide it"):
        list(read_documents([path]))


@pytest.mark.parametrize(
    ("text", "documents", "empty"),
    [
        ('{"text": ""}\n{"text": " \\n"}\n{"text": "a"}', [["a"]], 2),
        ("<doc id=1>\nTitle\n\n</doc>\n<doc id=2>\n</doc>\n<doc id=3>\nT\na\n</doc>", [["a"]], 2),
        ("a\n\n\n\n\nb\n\n", [["a"], ["b"]], 0),
        ("", [], 0),
        ("\n\n", [], 0),
    ],
)
def test_empty_documents_are_counted(tmp_path, text, documents, empty):
    report = Report()
    assert list(read_documents([write(tmp_path / "a", text)], report)) == documents
    assert report == Report(documents=len(documents), empty=empty)


def test_globs_and_order(tmp_path):
    (tmp_path / "deep").mkdir()
    for name in ("b.txt", "a.txt", "deep/c.txt", "other.md"):
        write(tmp_path / name, name)
    paths = [str(tmp_path / "*.txt"), str(tmp_path / "other.md"), str(tmp_path / "deep*" / "*")]
    found = list(read_documents(paths))
    assert found == [["a.txt"], ["b.txt"], ["other.md"], ["deep/c.txt"]]
    found = find_files([str(tmp_path / "**" / "*.txt"), "tfds:imdb_reviews"])
    assert found == [str(tmp_path / name) for name in ("a.txt", "b.txt", "deep/c.txt")] + [
        "tfds:imdb_reviews"
    ]


def test_a_name_with_glob_characters(tmp_path):
    assert list(read_documents([write(tmp_path / "[a].txt", "x")])) == [["x"]]
    write(tmp_path / "a.txt", "what the name means as a glob")
    assert list(read_documents([str(tmp_path / "[a].txt")])) == [["x"]]
    assert list(read_documents([str(tmp_path / "[[]a[]].t*")])) == [["x"]]
    with pytest.raises(InputError, match=r"no such file; in a glob pattern, \[\[\] matches \["):
        find_files([str(tmp_path / "[b].txt")])


def test_invalid_utf8_is_replaced_and_reported(tmp_path, caplog):
    path = write(tmp_path / "a.txt", b"good\nbad \xff\xe4\n\n\xc3( end\n")
    report = Report()
    with caplog.at_level(logging.WARNING):
        documents = list(read_documents([path], report))
    assert documents == [["good", "bad \ufffd\ufffd"], ["\ufffd( end"]]
    assert report == Report(documents=2, invalid_utf8=2)
    messages = [record.getMessage() for record in caplog.records]
    assert [m.split(": ")[0] for m in messages] == [f"{path}:2", f"{path}:4"]


def test_many_invalid_lines_are_counted_but_not_all_named(tmp_path, caplog):
    report = Report()
    list(read_documents([write(tmp_path / "a.txt", b"\xff\n" * 1000)], report))
    assert report.invalid_utf8 == 1000
    assert len(caplog.records) < 20


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"text": "a"}\n\n{"text": \n', r"a:3: not valid JSON"),
        ('{"text": "a"}\nplain\n', r"a:2: not valid JSON"),
        ('{"text": "a"}\n[1]\n', r"a:2: the content must be an object"),
        ('{"text": "a"}\n{"txt": "a"}\n', r"a:2: expected a string under 'text'"),
        ('{"text": null}\n', r"a:1: expected a string under 'text'"),
        ("<doc id=1>\nT\na\n</doc>\n<doc id=2>\nT\nb\n", r"a:5: this <doc> has no </doc>"),
        ("\n<doc id=1>\nT\na\n<doc id=2>\nT\nb\n</doc>\n", r"a:5: <doc> inside .* line 2"),
    ],
)
def test_malformed_lines(tmp_path, text, message):
    path = write(tmp_path / "a", text)
    with pytest.raises(InputError, match=message) as caught:
        list(read_documents([path]))
    assert str(caught.value).startswith(path)


def test_bad_gzip(tmp_path):
    whole = gzip.compress(PLAIN.encode() * 100)
    flipped = whole[:50] + bytes([whole[50] ^ 0xFF]) + whole[51:]
    for name, data in {"cut": whole[:-20], "flipped": flipped, "text": b"no gzip\n"}.items():
        path = tmp_path / f"{name}.gz"
        path.write_bytes(data)
        with pytest.raises(InputError, match=f"{name}.gz: can't be read: .+"):
            list(read_documents([str(path)]))


def test_inputs_that_are_not_there(tmp_path):
    with pytest.raises(InputError, match=r"none.txt: no such file"):
        list(read_documents([str(tmp_path / "none.txt")]))
    with pytest.raises(InputError, match=r"\*.txt: no such file"):
        list(read_documents([str(tmp_path / "*.txt")]))
    with pytest.raises(InputError, match=f"{tmp_path}: is a directory; .*/\\*"):
        list(read_documents([str(tmp_path)]))
    with pytest.raises(InputError, match="no input"):
        list(read_documents([]))
    (tmp_path / "link.txt").symlink_to(tmp_path / "gone")
    write(tmp_path / "there.txt", "a")
    for name in ("*.txt", "link.txt"):
        with pytest.raises(
            InputError, match=r"link.txt: is a link to /.*/gone, which is not there"
        ):
            find_files([str(tmp_path / name)])


def test_paths_are_inputs_but_only_in_a_list(tmp_path):
    write(tmp_path / "a.txt", "text")
    assert list(read_documents([tmp_path / "a.txt"])) == [["text"]]
    for one in (tmp_path / "a.txt", str(tmp_path / "a.txt")):
        with pytest.raises(
            InputError, match=r"inputs must be a list of files .*a.txt'.* in a list"
        ):
            list(read_documents(one))


class TinyTexts(tfds.core.GeneratorBasedBuilder):
    VERSION = tfds.core.Version("1.0.0")
    FEATURE = "text"

    def _info(self):
        features = tfds.features.FeaturesDict({self.FEATURE: tfds.features.Text()})
        return tfds.core.DatasetInfo(builder=self, features=features)

    def _split_generators(self, dl_manager):
        return {"train": self._examples(DOCUMENTS), "test": self._examples(DOCUMENTS[:1])}

    def _generate_examples(self):
        raise AssertionError

    def _examples(self, documents):
        for i, lines in enumerate(documents):
            yield i, {self.FEATURE: "\n".join(lines)}


class TinyImages(TinyTexts):
    FEATURE = "caption"


@pytest.fixture
def tiny_datasets(tmp_path, monkeypatch):
    original = tfds.builder
    known = {"tiny_texts": TinyTexts, "tiny_images": TinyImages}

    def builder(name, **kwargs):
        if name in known:
            return known[name](data_dir=tmp_path, **kwargs)
        return original(name, data_dir=tmp_path, try_gcs=False, **kwargs)

    monkeypatch.setattr(tfds, "builder", builder)


@pytest.mark.parametrize(
    ("name", "expected"),
    [("tfds:tiny_texts", DOCUMENTS), ("tfds:tiny_texts:test", DOCUMENTS[:1])],
)
def test_tfds(tiny_datasets, name, expected):
    report = Report()
    assert sorted(read_documents([name], report)) == sorted(expected)
    assert report.documents == len(expected)


def test_tfds_without_text(tiny_datasets):
    with pytest.raises(
        InputError, match=r"^tfds:tiny_images: has no feature 'text'; its features are caption$"
    ):
        list(read_documents(["tfds:tiny_images"]))


def test_tfds_unknown(tiny_datasets):
    with pytest.raises(InputError, match="no dataset of this name"):
        list(read_documents(["tfds:no_such_dataset_at_all"]))


def test_errors_of_tfds_without_a_message(monkeypatch):
    def builder(name):
        raise AssertionError

    monkeypatch.setattr(tfds, "builder", builder)
    with pytest.raises(InputError, match=r"^tfds:x: TFDS can't read it \(AssertionError\)$"):
        list(read_documents(["tfds:x"]))


def test_examples_of_tfds_that_are_damaged(monkeypatch, caplog):
    def read(dataset, report):
        monkeypatch.setattr(
            tfds,
            "builder",
            lambda name: types.SimpleNamespace(
                info=types.SimpleNamespace(features=["text"]),
                download_and_prepare=lambda: None,
                as_dataset=lambda split: dataset.map(lambda text: {"text": text}),
            ),
        )
        return list(read_documents(["tfds:x"], report))

    report = Report()
    texts = tf.data.Dataset.from_tensor_slices([b"good\nline", b"bad \xff\nline"])
    assert read(texts, report) == [["good", "line"], ["bad \ufffd", "line"]]
    assert report == Report(documents=2, invalid_utf8=1)
    assert caplog.records[0].getMessage().startswith("tfds:x: example 2: ")
    with pytest.raises(InputError, match=r"^tfds:x: TFDS can't read it \(.*no-such-file"):
        read(tf.data.TFRecordDataset("no-such-file"), report)


@pytest.mark.parametrize("text", ['{"text": "a b"}', "<doc id=1>\ntitle\na b\n</doc>", "a b"])
def test_byte_order_mark_is_no_text(tmp_path, text):
    (tmp_path / "x").write_bytes(b"\xef\xbb\xbf" + text.encode())
    assert list(read_documents([str(tmp_path / "x")])) == [["a b"]]


def test_escaped_surrogates_are_replaced(tmp_path):
    (tmp_path / "x").write_text(r'{"text": "a \ud800 b"}')
    assert list(read_documents([str(tmp_path / "x")])) == [["a \ufffd b"]]


@pytest.mark.parametrize("source", ["tfds:../x", "tfds:", "tfds:a b"])
def test_names_that_tfds_cannot_read(source):
    with pytest.raises(InputError, match="TFDS can't read it"):
        list(read_documents([source], Report()))
