import os

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"  # before TensorFlow is imported

import pathlib
import random
import string

import pytest

from kerasbert.data.prepare import prepare_corpus
from kerasbert.text import WordPieceTokenizer

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


def _sentence(chooser: random.Random) -> str:
    words = chooser.choices(WORDS, k=chooser.randint(3, 9))
    return " ".join(words).capitalize() + chooser.choice(".!?")


@pytest.fixture(scope="session")
def texts() -> list[str]:
    chooser = random.Random(1)
    texts = [_sentence(chooser) for _ in range(36)]
    return [*texts, "Unlikely words: zebra, quixotic!", "Café", "x", "It's 42 % (or 7/9) - good."]


@pytest.fixture(scope="session")
def corpus_files(tmp_path_factory) -> list[pathlib.Path]:
    """Three plain-text files of 20 documents each."""
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
