"""Models that an earlier kerasbert wrote load, and answer as they did; see goldens/README.md."""

import json
import pathlib

import keras
import numpy as np
import pytest

from kerasbert import load

SAVED = pathlib.Path(__file__).parents[1] / "goldens" / "saved"
ANSWERS = json.loads((SAVED / "answers.json").read_text())
TEXTS = ["a good dog", "the bad cat sat", "good"]


@pytest.mark.parametrize("name", ["classifier", "classifier.keras"])
def test_classifier(name):
    path = SAVED / name
    task = keras.models.load_model(path) if path.suffix else load(path)
    np.testing.assert_allclose(task.predict(TEXTS, verbose=0), ANSWERS["classifier"], atol=1e-5)
    assert task.compiled == bool(path.suffix)


def test_masked_lm():
    found = load(SAVED / "masked_lm").fill_mask(["the [MASK] sat"], 3)[0][0]
    assert [guess.token for guess in found] == ANSWERS["masked_lm"]
