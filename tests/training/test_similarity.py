import pathlib

import keras
import numpy as np
import programs
import pytest

from kerasbert.training.similarity import CosineError, InBatchNegatives, cosines, found_partner

PROGRAM = pathlib.Path(__file__).with_name("contrastive_program.py")


@pytest.fixture
def embeddings():
    return np.random.default_rng(0).normal(size=(5, 3, 4)).astype("float32")


def unit(vectors):
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def scores_of(embeddings):
    """Every first text with all second ones, then with all third ones, one at a time."""
    vectors = unit(embeddings.astype("float64"))
    others = [vectors[j, k] for k in range(1, vectors.shape[1]) for j in range(len(vectors))]
    return np.array([[vector[0] @ other for other in others] for vector in vectors])


@pytest.mark.parametrize("texts", [2, 3])
@pytest.mark.parametrize("temperature", [0.05, 1.0])
def test_cross_entropy_of_the_own_partner(embeddings, texts, temperature):
    embeddings = embeddings[:, :texts]
    scores = np.exp(scores_of(embeddings) / temperature)
    expected = -np.log(scores[np.arange(5), np.arange(5)] / scores.sum(1))
    found = InBatchNegatives(temperature).call(np.ones(5), embeddings)
    np.testing.assert_allclose(found, expected, rtol=1e-4)
    assert float(InBatchNegatives(temperature)(np.ones(5), embeddings)) == pytest.approx(
        expected.mean(), rel=1e-4
    )


def test_found_partner(embeddings):
    expected = scores_of(embeddings).argmax(1) == np.arange(5)
    np.testing.assert_array_equal(found_partner(np.ones(5), embeddings), expected)
    embeddings[:, 1] = embeddings[:, 0]
    np.testing.assert_array_equal(found_partner(np.ones(5), embeddings), np.ones(5))


def test_cosine_error(embeddings):
    vectors = unit(embeddings)
    expected = (vectors[:, 0] * vectors[:, 1]).sum(1)
    np.testing.assert_allclose(cosines(embeddings), expected, atol=1e-6)
    gold = np.linspace(-1, 1, 5)
    found = CosineError()(gold, embeddings[:, :2])
    assert float(found) == pytest.approx(np.mean((expected - gold) ** 2), rel=1e-5)


def test_config():
    loss = keras.losses.deserialize(keras.losses.serialize(InBatchNegatives(0.3)))
    assert loss.temperature == 0.3


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """What `contrastive_program.py` found with 1 and 3 replicas."""
    threads = {"TF_NUM_INTEROP_THREADS": "2"}
    runs = {devices: (devices, threads) for devices in (1, 3)}
    return programs.arrays(PROGRAM, tmp_path_factory.mktemp("runs"), runs)


def test_negatives_come_from_all_replicas(runs):
    one, run = runs[1], runs[3]
    assert run["replicas"] == 3
    np.testing.assert_array_equal(run["before"], one["before"])
    assert np.abs(one["after"] - one["before"]).max() > 0.05
    np.testing.assert_allclose(run["after"], one["after"], rtol=0, atol=1e-5)
    np.testing.assert_allclose(run["loss"], one["loss"], rtol=1e-5)
    np.testing.assert_allclose(run["accuracy"], one["accuracy"], rtol=1e-5)


def test_cosine_error_of_scores_in_a_column(embeddings):
    scores = np.linspace(-1, 1, len(embeddings))
    loss = CosineError()
    expected = float(loss(scores, embeddings[:, :2]))
    assert float(loss(scores[:, None], embeddings[:, :2])) == pytest.approx(expected, rel=1e-6)


def test_no_text_is_nearer_than_an_equal_one():
    """Several questions may have the same answer."""
    random = np.random.default_rng(0)
    answers = np.repeat(random.normal(0, 1, (2, 8)), 3, axis=0)
    pairs = np.stack([answers + random.normal(0, 0.01, answers.shape), answers], axis=1)
    np.testing.assert_array_equal(found_partner(None, pairs.astype("float32")), np.ones(6))
