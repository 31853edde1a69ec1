import os

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"  # before TensorFlow is imported
# So that tests and the programs that they start can share a GPU.
os.environ |= {"TF_FORCE_GPU_ALLOW_GROWTH": "true", "XLA_PYTHON_CLIENT_PREALLOCATE": "false"}

import contextlib
import functools
import io
import pathlib
import random
import resource
import string
import sys

import programs
import pytest

from kerasbert import Backbone, BackboneConfig
from kerasbert.data.corpus.prepare import prepare_corpus
from kerasbert.serving.client import answer_rows
from kerasbert.text import (
    BytePairTokenizer,
    SentencePieceTokenizer,
    WordPieceTokenizer,
)
from kerasbert.text.special_tokens import ALBERT_TOKENS, ROBERTA_TOKENS

try:
    import hypothesis
except ModuleNotFoundError:  # on a GPU's machine that can fetch nothing
    hypothesis = None

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.append(str(ROOT / "scripts"))  # for `benchmarks`, which is not installed

SHARED = pathlib.Path(__file__).resolve().parents[2] / "shared" / "data"

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
_WORDS = (
    "the a an and of to in is was it he she they we you not with from for on at by "
    "cat dog bird fish horse river house city road tree film book song game story word "
    "good bad great poor nice dull happy sad red green blue old new big small long "
    "reads runs sees likes hates plays writes finds makes takes one two three four"
)
WORDS = _WORDS.split()
ENDINGS = ["##s", "##ed", "##ing", "##er", "##ly", "##ness", "##est", "##able"]
PUNCTUATION = [".", ",", "!", "?", ";", ":", "'", '"', "-", "(", ")", "/", "&", "%"]


def shared_path(*parts: str) -> pathlib.Path:
    path = SHARED.joinpath(*parts)
    if not path.exists():
        pytest.skip(f"shared/data/{'/'.join(parts)} is not there")
    return path


def pytest_addoption(parser):
    parser.addoption("--full", action="store_true", help="run the tests marked full, too")
    parser.addoption(
        "--device", default="GPU:0", help="of the tests marked gpu; CPU:0 tries them without one"
    )


def pytest_configure(config):
    full = config.getoption("--full")
    programs.fresh = full
    if hypothesis is None:
        return
    hypothesis.settings.register_profile(
        "project",
        max_examples=200 if full else 20,
        derandomize=not full,
        deadline=None,
        database=None,
        suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture],
    )
    hypothesis.settings.load_profile("project")


# The slowest tests come first, so that no process is left alone with one at the end.
_SLOW = (
    "test_readme",
    "test_reference",
    "test_resume",
    "test_global_batch",
    "test_distill",
    "test_task_specs",
    "test_jax",
)


def pytest_collection_modifyitems(config, items):
    items.sort(key=lambda item: item.path.stem not in _SLOW)
    left_out = [item for item in items if item.get_closest_marker("full")]
    if left_out and not config.getoption("--full"):
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


@pytest.fixture(scope="session")
def shared():
    return shared_path


@pytest.fixture(scope="session")
def vocabulary() -> list[str]:
    characters = [*string.ascii_lowercase, *string.digits]
    pieces = [*SPECIAL, *PUNCTUATION, *characters, *("##" + c for c in characters)]
    return list(dict.fromkeys([*pieces, *WORDS, *ENDINGS, "中", "国", "é", "ß", "##ß", "σ", "##σ"]))


@pytest.fixture(scope="session")
def tokenizer(vocabulary) -> WordPieceTokenizer:
    return WordPieceTokenizer(vocabulary)


@pytest.fixture(scope="session")
def tiny_backbone():
    """Returns a function from a tokenizer and settings to a backbone that learns fast."""
    facts = {
        "num_layers": 1,
        "hidden_dim": 16,
        "num_heads": 2,
        "intermediate_dim": 32,
        "max_sequence_length": 24,
        "dropout": 0.0,
        "attention_dropout": 0.0,
        "initializer_range": 0.2,
    }

    def make(tokenizer, **change):
        random.seed(0)  # Keras draws the seeds of its initializers from it
        size = {"vocabulary_size": tokenizer.vocabulary_size}
        return Backbone(BackboneConfig(**{**size, **facts, **change}))

    return make


@pytest.fixture(scope="session")
def answer():
    """Computes the outputs of a task's export without exporting it."""
    import tensorflow as tf

    def answer(task, **texts):
        names, function = task.serving_signature()
        return answer_rows(function(*(tf.constant(texts[name]) for name in names)))

    return answer


def _sentence(chooser: random.Random) -> str:
    words = chooser.choices(WORDS, k=chooser.randint(3, 9))
    return " ".join(words).capitalize() + chooser.choice(".!?")


@pytest.fixture(scope="session")
def texts() -> list[str]:
    chooser = random.Random(1)
    texts = [_sentence(chooser) for _ in range(36)]
    return [*texts, "Unlikely words: zebra, quixotic!", "Café", "x", "It's 42 % (or 7/9) - good."]


def _bytepair_tokenizer(texts, directory, **settings) -> BytePairTokenizer:
    from tokenizers import ByteLevelBPETokenizer

    trainer = ByteLevelBPETokenizer()
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    trainer.train_from_iterator(texts, 400, special_tokens=special, show_progress=False)
    trainer.save_model(str(directory))
    return BytePairTokenizer(directory / "vocab.json", directory / "merges.txt", **settings)


# The first tokens of the SentencePiece models of ALBERT and of fairseq.
_SENTENCEPIECE = {
    "model": {
        "pad_id": 0,
        "unk_id": 1,
        "bos_id": -1,
        "eos_id": -1,
        "control_symbols": ["[CLS]", "[SEP]", "[MASK]"],
    },
    "fairseq": {},
}


def _sentencepiece_tokenizer(texts, layout="model", **settings) -> SentencePieceTokenizer:
    import sentencepiece

    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([*texts, *(text.lower() for text in texts), "中国"] * 5),
        model_writer=model,
        vocab_size=250,
        hard_vocab_limit=False,
        character_coverage=1.0,
        num_threads=1,
        minloglevel=2,
        **_SENTENCEPIECE[layout],
    )
    special = ROBERTA_TOKENS if settings.get("packing") == "roberta" else ALBERT_TOKENS
    return SentencePieceTokenizer(
        model.getvalue(), layout=layout, special_tokens=special, **settings
    )


@pytest.fixture(scope="module")
def make_tokenizer(vocabulary, texts, tmp_path_factory):
    """Returns a function from a family's tokenizer settings, a dict, to a tiny tokenizer."""
    makers = {
        "wordpiece": lambda **settings: WordPieceTokenizer(vocabulary, **settings),
        "bytepair": lambda **settings: _bytepair_tokenizer(
            texts, tmp_path_factory.mktemp("bytepair"), **settings
        ),
        "sentencepiece": lambda **settings: _sentencepiece_tokenizer(texts, **settings),
    }

    @functools.cache
    def make(settings):
        settings = dict(settings)
        return makers[settings.pop("kind")](**settings)

    return lambda settings: make(frozenset(settings.items()))


@pytest.fixture(scope="session")
def corpus_files(tmp_path_factory) -> list[pathlib.Path]:
    """Writes three plain-text files of 20 documents each."""
    chooser = random.Random(2)
    directory = tmp_path_factory.mktemp("text")
    paths = [directory / f"part{i}.txt" for i in range(3)]
    for path in paths:
        documents = (
            "\n".join(
                " ".join(_sentence(chooser) for _ in range(chooser.randint(1, 3)))
                for _ in range(chooser.randint(1, 6))
            )
            for _ in range(20)
        )
        path.write_text("\n\n".join(documents) + "\n", encoding="utf-8")
    return paths


@pytest.fixture(scope="session")
def corpus_dir(corpus_files, tokenizer, tmp_path_factory) -> pathlib.Path:
    directory = tmp_path_factory.mktemp("prepared") / "corpus"
    prepare_corpus([str(path) for path in corpus_files], tokenizer, directory)
    return directory


@pytest.fixture(scope="session")
def full_disk():
    """Returns a context, `full_disk(size)`, in which no file can exceed so many bytes."""

    @contextlib.contextmanager
    def full_disk(size):
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        # Python would keep truncated bytecode of a module that is imported meanwhile.
        before, sys.dont_write_bytecode = sys.dont_write_bytecode, True
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
            sys.dont_write_bytecode = before

    return full_disk
