"""Apache Beam makes the same corpus as one process."""

import importlib.util
import json

import pytest
from test_scripts import assert_refused, run

HAS_BEAM = importlib.util.find_spec("apache_beam") is not None
needs_beam = pytest.mark.skipif(not HAS_BEAM, reason="apache_beam is not installed")
LOCAL = ("--runner=DirectRunner", "--direct_running_mode=multi_processing")
RUNNERS = {
    "1 worker": [*LOCAL, "--direct_num_workers=1"],
    "2 workers": [*LOCAL, "--direct_num_workers=2"],
    "4 workers": [*LOCAL, "--direct_num_workers=4"],
    "portable": [
        "--runner=PortableRunner",
        "--job_endpoint=embed",
        "--environment_type=LOOPBACK",
    ],
}


@pytest.fixture(scope="module")
def given(corpus_files, vocabulary, tmp_path_factory):
    """Flags of prepare_corpus."""
    vocab = tmp_path_factory.mktemp("vocab") / "vocab.txt"
    vocab.write_text("\n".join(vocabulary) + "\n")
    text = str(corpus_files[0].parent / "*.txt")
    return {"input": text, "vocab": vocab, "bytes_per_unit": 700, "threads": 1}


@pytest.fixture(scope="module")
def whole(given, tmp_path_factory):
    output = tmp_path_factory.mktemp("whole") / "corpus"
    assert run("prepare_corpus", **given, output=output).returncode == 0
    return contents(output)


def contents(directory):
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def with_beam(given, output, *flags, parts=3):
    return run("prepare_corpus_beam", *flags, **given, output=output, parts=parts)


@needs_beam
def test_the_same_bytes_as_of_one_process(given, whole, tmp_path):
    child = with_beam(given, tmp_path / "corpus")
    assert child.returncode == 0, child.stderr
    assert json.loads(child.stdout.splitlines()[-1])["parts"] == 3
    assert contents(tmp_path / "corpus") == whole
    assert [path.name for path in tmp_path.iterdir()] == ["corpus"]  # the parts are removed


@pytest.mark.full
@pytest.mark.parametrize("flags", RUNNERS.values(), ids=RUNNERS)
@needs_beam
def test_runners(given, whole, tmp_path, flags):
    child = with_beam(given, tmp_path / "corpus", *flags, parts=4)
    assert child.returncode == 0, child.stderr
    assert contents(tmp_path / "corpus") == whole


@needs_beam
def test_a_part_that_fails_is_made_again_alone(given, tmp_path):
    # Lines of the same length: sizes of inputs are part of the name of the directory of parts.
    good, bad = '{"text": "the cat\\nthe dog"}\n', '{"text": "the cat\\nthe dog" \n'
    for name in ("a", "b", "c"):
        (tmp_path / name).write_text(good * 19 + (bad if name == "b" else good))
    flags = {**given, "input": str(tmp_path / "[abc]"), "bytes_per_unit": 600}
    child = with_beam(flags, tmp_path / "corpus")
    assert child.returncode == 1
    assert child.stderr.splitlines()[-1].startswith(f"error: {tmp_path}/b:20: not valid JSON")
    (parts,) = tmp_path.glob("corpus-parts-*")
    made = {path.name: (path / "tokens-00000.bin").stat().st_ino for path in parts.iterdir()}
    assert made
    assert "2" not in made
    (tmp_path / "b").write_text(good * 20)
    child = with_beam(flags, tmp_path / "corpus")
    assert child.returncode == 0, child.stderr
    assert json.loads(child.stdout.splitlines()[-1])["documents"] == 60
    assert {path.stat().st_ino for path in (tmp_path / "corpus").glob("tokens-*")} > {
        *made.values()
    }
    assert not parts.exists()


@needs_beam
def test_flags_that_nobody_has(given, tmp_path):
    child = with_beam(given, tmp_path / "corpus", "--direct_number_workers=2")
    assert_refused(child, "neither this program nor Beam has '--direct_number_workers=2'")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(HAS_BEAM, reason="apache_beam is installed")
def test_beam_is_an_extra(given, tmp_path):
    message = "this needs apache_beam, which is not installed: pip install 'kerasbert[beam]'"
    assert_refused(with_beam(given, tmp_path / "corpus"), message)
