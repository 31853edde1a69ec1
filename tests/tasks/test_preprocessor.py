"""A task's preprocessor, called directly and in a user's pipeline."""

import numpy as np
import pytest
import tensorflow as tf

from kerasbert import InputError, MaskedLM, MultipleChoice, TextClassifier, TokenClassifier

TEXTS = ["a good dog", "the cat sat on the mat", ""]


@pytest.fixture
def make(tokenizer, tiny_backbone):
    def task(kind, *args, **kwargs):
        return kind(tiny_backbone(tokenizer), *args, tokenizer=tokenizer, **kwargs)

    return task


def assert_same(ours: dict, theirs: dict):
    assert ours.keys() == theirs.keys()
    for name, value in ours.items():
        np.testing.assert_array_equal(value, theirs[name], err_msg=name)


@pytest.mark.parametrize("kind", [TextClassifier, MaskedLM])
def test_features_in_a_user_pipeline(make, kind):
    task = make(kind, *([["bad", "good"]] if kind is TextClassifier else []))
    alone = task.preprocessor(TEXTS)
    batches = tf.data.Dataset.from_tensor_slices(TEXTS).batch(3).map(task.preprocessor)
    (piped,) = batches
    assert_same(alone, piped)
    np.testing.assert_allclose(task(piped), task(TEXTS), atol=1e-6)
    np.testing.assert_allclose(task.predict(batches, verbose=0), task(TEXTS), atol=1e-5)


def test_features_of_several_columns(make):
    pairs = make(TextClassifier, ["no", "yes"], pair=True)
    columns = {"text": TEXTS, "text_pair": TEXTS[::-1]}
    assert_same(pairs.preprocessor(columns), pairs.preprocessor.features(TEXTS, TEXTS[::-1]))
    choices = make(MultipleChoice).preprocessor((["a"], [["b", "c"]]))
    assert choices["token_ids"].shape[:2] == (1, 2)


def test_a_task_without_a_tokenizer_takes_features_only(tokenizer, tiny_backbone):
    task = TextClassifier(tiny_backbone(tokenizer), ["bad", "good"])
    assert task.preprocessor is None
    with pytest.raises(InputError, match="has no tokenizer, so it takes features but no text"):
        task(TEXTS)


def test_it_follows_the_tasks_settings(make, tokenizer):
    task = make(TextClassifier, ["bad", "good"])
    first = task.preprocessor
    assert task.preprocessor is first
    features = first(TEXTS)
    task.sequence_length = 4
    assert task.preprocessor is not first
    assert task.preprocessor(TEXTS)["token_ids"].shape == (3, 4)
    assert_same(first(TEXTS), features)  # as it was when it was created
    task.tokenizer = None
    assert task.preprocessor is None


def test_windows_cannot_be_preprocessed_by_a_call(make):
    task = make(TokenClassifier, ["O", "B"])
    with pytest.raises(InputError, match="splits texts into windows"):
        task.preprocessor(TEXTS)
