"""The guides: pages have the text and the code of their scripts, and scripts run in a short form.

Downloads are replaced by tiny files and a tiny model, in the caches where the scripts find them.
"""

import os
import pathlib
import re

import programs
import pytest

import kerasbert

ROOT = pathlib.Path(__file__).parents[1]
SCRIPTS = sorted(ROOT.glob("docs/guides/*.py"))
LARGEST_PICTURE = 60_000  # bytes

_SQUAD = """{"data": [{"title": "Pets", "paragraphs": [{"context": "%s", "qas": [
  {"id": "%s", "question": "who runs", "answers": [{"text": "The dog", "answer_start": 0}]}
]}]}]}"""
_TAGGED = "He\tO\nlikes\tO\nGreen\tB-location\nRiver\tI-location\n\n" * 8

_ARTICLE = """<doc id="1" url="" title="Town">
Town

The town is on a river, and it has been the largest of the county for long.
History.
%s
</doc>
""" % ("The town has a long river, and many people live near the old bridge. " * 20)
_CHINESE = """<doc id="1" url="" title="北京">
北京

北京大学在北京。他在大学学习。这里有很多学生和老师！
</doc>
"""
_RELATION = "0\tthe [E11] engine [E12] of the [E21] car [E22]\t12\twhole\tcomponent\t2\n"
_OTHER = "1\ta [E11] dog [E12] and a [E21] cat [E22]\t0\tother\tother\t0\n"
_ROLES = """# text = He said that she left
1\tHe\the\tPRON\tPRP\t_\t2\tnsubj\t_\t_\t_\tARG0\t_
2\tsaid\tsay\tVERB\tVBD\t_\t0\troot\t_\t_\tsay.01\tV\t_
3\tthat\tthat\tSCONJ\tIN\t_\t5\tmark\t_\t_\t_\t_\t_
4\tshe\tshe\tPRON\tPRP\t_\t5\tnsubj\t_\t_\t_\t_\tARG0
5\tleft\tleave\tVERB\tVBD\t_\t2\tccomp\t_\t_\tleave.01\tARG1\tV

"""

#: What the guides download with `keras.utils.get_file`, by name.
FILES = {
    "wnut17train.conll": _TAGGED,
    "emerging.dev.conll": _TAGGED,
    "emerging.test.annotated": _TAGGED,
    "squad2-part.json": _SQUAD % ("The dog runs. The cat reads.", "1"),
    "xquad.en.json": _SQUAD % ("The dog runs. The bird sees it.", "2"),
    "sst2-train.tsv": "sentence\tlabel\n" + "a good film \t1\na dull story \t0\n" * 40,
    "sst2-dev.tsv": "sentence\tlabel\n" + "a great book \t1\na bad film \t0\n" * 8,
    **dict.fromkeys(("enwiki_00", "enwiki_01", "enwiki_20"), _ARTICLE * 6),
    "zhwiki_00": _CHINESE * 20,
    **dict.fromkeys(("semeval10-train.tsv", "semeval10-test.tsv"), (_RELATION + _OTHER) * 20),
    **dict.fromkeys(("ewt-propbank-dev.conllu", "ewt-propbank-test.conllu"), _ROLES * 20),
    "chnsenticorp-train.tsv": "label\ttext_a\n" + "1\t房间很好\n0\t服务太差\n" * 20,
    "chnsenticorp-dev.tsv": "label\ttext_a\n" + "1\t早餐很好\n0\t房间太差\n" * 8,
}

guides = pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)


def cells(script):
    """Returns the cells of a script in percent format: whether it is text, and what it contains."""
    head, *parts = re.split(r"^# %%(.*)\n", script.read_text(), flags=re.MULTILINE)
    assert not head.strip()
    for kind, source in zip(parts[::2], parts[1::2], strict=True):
        is_text = "[markdown]" in kind
        if is_text:
            source = re.sub(r"^# ?", "", source, flags=re.MULTILINE)
        yield is_text, source.strip()


@guides
def test_pages_have_the_text_and_the_code_of_the_scripts(script):
    page = script.with_suffix(".md").read_text()
    (_, first), *others = cells(script)
    title, _, introduction = first.partition("\n")
    assert page.startswith(f"{title}\n")
    expected = [introduction.strip()]
    expected += [text if is_text else f"```python\n{text}\n```" for is_text, text in others]
    position = 0
    for part in expected:
        assert part in page[position:], f"{part}\n-- is not on the page; run make guides"
        position = page.index(part, position) + len(part)
    assert page.count("```python\n") == len([text for is_text, text in others if not is_text])


@guides
def test_pages_have_pictures_and_no_litter(script):
    page = script.with_suffix(".md").read_text()
    pictures = re.findall(r"!\[.+\]\((.+)\)", page)
    there = [p.relative_to(script.parent).as_posix() for p in script.with_suffix("").glob("*")]
    assert sorted(pictures) == sorted(there)
    for picture in pictures:
        assert (script.parent / picture).stat().st_size <= LARGEST_PICTURE
    assert not re.findall(r"[\b\r\x1b━]|/tmp/|/home/|WARNING|Traceback", page)


def test_every_guide_is_in_the_list_and_in_the_navigation():
    index = (ROOT / "docs/guides/index.md").read_text()
    navigation = (ROOT / "mkdocs.yml").read_text()
    for script in SCRIPTS:
        assert f"]({script.stem}.md)" in index
        assert f": guides/{script.stem}.md\n" in navigation


@pytest.fixture(scope="module")
def downloads(tokenizer, tiny_backbone, tmp_path_factory):
    """Environment variables for caches with tiny files and models."""
    root = tmp_path_factory.mktemp("downloads")
    data = root / "keras" / "datasets"
    data.mkdir(parents=True)
    for name, text in FILES.items():
        (data / name).write_text(text)
    encoder = tiny_backbone(tokenizer, max_sequence_length=512, pooler=True)
    embedder = kerasbert.TextEmbedder(encoder, tokenizer=tokenizer)
    model = root / "hub" / "hub" / "models--sentence-transformers--all-MiniLM-L6-v2"
    (model / "refs").mkdir(parents=True)
    (model / "refs" / "main").write_text("0" * 40)
    (model / "snapshots").mkdir()
    embedder.save_to_preset(model / "snapshots" / ("0" * 40))
    return {"KERAS_HOME": str(root / "keras"), "HF_HOME": str(root / "hub"), "HF_HUB_OFFLINE": "1"}


@pytest.mark.full
@guides
def test_scripts_run_in_their_short_form(script, downloads, tmp_path):
    proxy = dict.fromkeys(("http_proxy", "https_proxy"), "http://127.0.0.1:9")  # there is none
    own = {"KERASBERT_GUIDE": "short", "MPLBACKEND": "agg", "PYTHONPATH": str(ROOT)}
    own["no_proxy"] = "127.0.0.1"  # of a server that a guide starts
    environment = {**os.environ, **downloads, **proxy, **own}
    done = programs.run([script], cwd=tmp_path, env=environment, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
