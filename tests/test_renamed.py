"""Old names work for one version more, and say what they are now."""

import numpy as np
import pytest

from kerasbert import Backbone, TextClassifier, tokenizer_from_preset


@pytest.fixture
def saved(tokenizer, tiny_backbone, tmp_path):
    backbone = tiny_backbone(tokenizer)
    backbone.save_to_preset(tmp_path / "model", tokenizer=tokenizer)
    return backbone, tmp_path / "model"


def test_old_names(saved):
    backbone, directory = saved
    with pytest.warns(FutureWarning, match="directory is now preset"):
        task = TextClassifier.from_preset(directory=directory, classes=["no", "yes"])
    with pytest.warns(FutureWarning, match="new_weights is now uninitialized_weights"):
        assert task.new_weights == task.uninitialized_weights != []
    with pytest.warns(FutureWarning, match="directory is now preset"):
        assert Backbone.from_preset(directory=directory).config == backbone.config
    with pytest.warns(FutureWarning, match="directory is now preset"):
        tokenizer_from_preset(directory=directory)
    features, positions = {"token_ids": np.ones((2, 4), "int32")}, np.zeros((2, 1), "int32")
    with pytest.warns(FutureWarning, match="places is now output_positions"):
        old = backbone(features, places=positions)["sequence_output"]
    np.testing.assert_array_equal(
        old, backbone(features, output_positions=positions)["sequence_output"]
    )


def test_both_names_at_once(saved):
    with (
        pytest.warns(FutureWarning, match="directory is now preset"),
        pytest.raises(TypeError, match="preset is given twice: as directory, too"),
    ):
        Backbone.from_preset(preset=saved[1], directory=saved[1])


def test_attributes_that_there_are_not(saved):
    with pytest.raises(AttributeError, match="TextClassifier has no attribute 'weihgts'"):
        _ = TextClassifier.from_preset(saved[1], classes=["no", "yes"]).weihgts
