"""Code for kerasbert on the site's pages runs, and the commands of all pages exist."""

import ast
import importlib
import pathlib
import re
import shlex

import pytest
import site_hooks
from model_tables import PAGE, filled_in

import kerasbert
from kerasbert import cli
from kerasbert.checkpoints import hub
from kerasbert.recipes.options import programs

ROOT = pathlib.Path(__file__).parents[1]
#: What Keras and Hugging Face spell in the American way, as the documentation and messages do.
BRITISH = re.compile(
    r"\b\w*(?:labell(?:ed|ing)(?!by)|colour|neighbour|behaviour|licence|centred|\bgrey\b|"
    r"\w(?:al|an|ar|er|im|en|gn|nt|on)is(?:e[drs]?|ing|ation)\b)\w*",
    re.IGNORECASE,
)
PAGES = [*sorted(ROOT.glob("docs/coming_from/*.md")), ROOT / "docs/start/quickstart.md"]


def blocks(page, language):
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def models(tokenizer, tiny_backbone, tmp_path_factory):
    """Tiny models instead of the pages' checkpoints, by name."""
    root = tmp_path_factory.mktemp("models")
    encoder = tiny_backbone(tokenizer, pooler=True)
    pretrainer = kerasbert.Pretrainer(encoder, tokenizer=tokenizer, sequence_length=24)
    pretrainer.save_to_preset(root / "bert", format="hf")  # with pooler, as the original
    classes = ["O", "B-PER", "B-LOC"]
    kerasbert.TokenClassifier(
        encoder, tokenizer=tokenizer, sequence_length=24, classes=classes
    ).save_to_preset(root / "ner", format="hf")
    kerasbert.TextEmbedder(
        encoder, tokenizer=tokenizer, sequence_length=24, pooling="mean", normalize=True
    ).save_to_preset(root / "embedder")
    # KerasHub's and Google's GELU.
    approximate = tiny_backbone(tokenizer, pooler=True, activation="gelu_tanh")
    approximate.save_to_preset(root / "kerashub", format="kerashub", tokenizer=tokenizer)
    approximate.save_to_preset(root / "google", format="google", tokenizer=tokenizer)
    return {
        "hf://google-bert/bert-base-uncased": root / "bert",
        "hf://dslim/bert-base-NER": root / "ner",
        "hf://sentence-transformers/all-MiniLM-L6-v2": root / "embedder",
        "bert_base_en_uncased": root / "kerashub",
        "uncased_L-12_H-768_A-12": root / "google",
        "chinese_L-12_H-768_A-12": root / "google",
    }


@pytest.mark.filterwarnings("ignore:the format stores the number of classes")
@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.stem)
def test_code_for_kerasbert_runs(page, models, monkeypatch, tmp_path):
    fetch = hub.fetch
    monkeypatch.setattr(
        hub, "fetch", lambda name, weights=True: models.get(str(name)) or fetch(name)
    )
    monkeypatch.chdir(tmp_path)
    code = blocks(page, 'python title="kerasbert"')
    assert code
    namespace = {}
    for block in code:
        exec(compile(block, page.name, "exec"), namespace)


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.stem)
def test_code_of_others_is_python(page):
    titles = re.findall(r"^```python(.*)$", page.read_text(), re.MULTILINE)
    assert all(re.fullmatch(r' title="[\w -/]+"', title) for title in titles)
    for title in set(titles):
        for block in blocks(page, f"python{title}"):
            ast.parse(block)


def commands():
    """Returns the command lines of kerasbert in the fenced blocks of all pages of docs/."""
    for page in sorted(ROOT.glob("docs/**/*.md")):
        for block in blocks(page, "bash"):
            for line in block.replace("\\\n", "").splitlines():
                if line.startswith("kerasbert "):
                    yield pytest.param(line, id=f"{page.stem}-{line[10:30]}")


@pytest.mark.parametrize("line", list(commands()))
def test_commands_are_command_lines(line):
    _, name, *flags = shlex.split(line)
    cli.parse([name, *flags], programs()[name])


def test_spelling_is_american():
    paths = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("kerasbert/**/*.py")]
    found = {(path.name, word) for path in paths for word in BRITISH.findall(path.read_text())}
    # A method of task specs, which other packages may override.
    assert {word for _, word in found} <= {"unlabelled"}, found


def test_the_tables_of_models_are_current():
    """`python tests/model_tables.py` writes them."""
    text = PAGE.read_text()
    assert (
        "| `hf://google-bert/bert-base-chinese` | bert | 102.3 M | Chinese | Apache-2.0 |" in text
    )
    assert filled_in(text) == text


def test_the_reference_has_every_public_name():
    """The site's pages are made without importing kerasbert; here they are compared with it."""
    hooks = site_hooks.load()
    documented = set()
    pages = [hooks._reference(*entry, documented) for entry in hooks.REFERENCE.items()]
    for package in ("", ".tasks", ".text", ".layers", ".data", ".training", ".distillation"):
        module = importlib.import_module(f"kerasbert{package}")
        assert sorted(hooks.public_names(module.__name__)) == sorted(module.__all__)
        for name in module.__all__:
            if callable(getattr(module, name)):
                home = hooks._home(module.__name__, name)
                assert home in documented, name
    assert sum(page.count("\n::: ") for page in pages) == len(documented)
    text = hooks._commands()
    assert [name for name in programs() if f"\n## {name}\n" not in text] == []
