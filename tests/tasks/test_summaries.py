"""What people see of a task: `repr`, `summary`, and presets without weights."""

import keras
import numpy as np
import pytest

import kerasbert
from kerasbert import (
    Backbone,
    InputError,
    ReplacedTokenDetector,
    TextClassifier,
    checkpoints,
    load,
)


@pytest.fixture(scope="module")
def classifier(tiny_backbone, tokenizer):
    keras.utils.set_random_seed(0)
    return TextClassifier(
        tiny_backbone(tokenizer, pooler=True),
        ["bad", "so so", "good", "fine", "very\n good"],
        tokenizer=tokenizer,
        sequence_length=16,
        name="opinions",
    )


@pytest.fixture(scope="module")
def saved(classifier, tmp_path_factory):
    directory = tmp_path_factory.mktemp("saved") / "model"
    classifier.save_to_preset(directory)
    return directory


def test_repr_is_one_line(classifier, tokenizer, saved):
    layers, size = "bert, 1 layer of 16", f"{classifier.count_params():,}"
    assert repr(classifier) == (
        f"<TextClassifier 'opinions': {layers}, {size} parameters, 16 tokens, "
        "5 classes ('bad', 'so so', 'good', 'fine', ...)>"
    )
    assert repr(classifier.backbone).startswith(f"<Backbone 'backbone': {layers}, ")
    count = tokenizer.vocabulary_size
    assert repr(tokenizer) == f"<WordPieceTokenizer: {count} tokens, lowercase>"
    preset = checkpoints.load(saved)
    weights = len(classifier.weights)
    assert repr(preset) == (
        f"<Preset of TextClassifier: bert, {weights} weights, from {saved} (kerasbert)>"
    )


def test_summary_shows_the_preprocessor(classifier, tokenizer, tiny_backbone, capsys):
    lines = []
    classifier.summary(print_fn=lambda text: lines.extend(text.splitlines()))
    assert lines[:4] == [
        'Preprocessor: "opinions"',
        " Tokenizer:       WordPieceTokenizer",
        f" Vocabulary size: {tokenizer.vocabulary_size}",
        " Sequence length: 16",
    ]
    assert lines[4] == 'Model: "opinions"'
    assert any("classifier (Dense)" in line for line in lines)
    classifier.summary()
    shown = capsys.readouterr().out
    assert shown.index("Preprocessor:") < shown.index("Model:")
    assert "WordPieceTokenizer" in shown
    TextClassifier(tiny_backbone(tokenizer, pooler=True), 2).summary(print_fn=lines.append)
    assert 'Preprocessor: none, "text_classifier" takes ready features' in lines


def test_from_preset_without_weights(classifier, saved):
    texts = ["a good cat", "the bad dog"]
    keras.utils.set_random_seed(1)
    new = TextClassifier.from_preset(saved, load_weights=False)
    assert new.get_config()["sequence_length"] == 16
    assert new.head_config() == classifier.head_config()
    assert new.tokenizer.vocabulary == classifier.tokenizer.vocabulary
    assert new.uninitialized_weights == [variable.path for variable in new.weights]
    kernels = [v for v in new.weights if v.path.endswith("kernel")]
    stored = {v.path: v.numpy() for v in classifier.weights}
    assert all(not np.allclose(kernel, stored[kernel.path]) for kernel in kernels)
    with pytest.warns(UserWarning, match=f"random .*{new.weights[0].path}, .* and 21 more"):
        answers = new.predict(texts, verbose=0)
    assert not np.allclose(answers, classifier.predict(texts, verbose=0))
    keras.utils.set_random_seed(1)
    again = load(saved, load_weights=False)
    with pytest.warns(UserWarning, match="random"):
        np.testing.assert_array_equal(again.predict(texts, verbose=0), answers)
    encoder = Backbone.from_preset(saved, load_weights=False, dropout=0.25)
    assert encoder.config.dropout == 0.25
    assert not np.allclose(
        encoder.token_embedding.embeddings, classifier.backbone.token_embedding.embeddings
    )
    with pytest.raises(InputError, match="no such model directory"):
        kerasbert.Backbone.from_preset(saved / "nothing", load_weights=False)


@pytest.mark.parametrize("count", [3, 12], ids=["few batches", "a pipeline"])
def test_outputs_of_tokens_are_one_array(tiny_backbone, tokenizer, count):
    """Batches of different lengths."""
    detector = ReplacedTokenDetector(tiny_backbone(tokenizer), tokenizer=tokenizer)
    texts = [" ".join(["cat"] * (1 + number % 5)) for number in range(count)]
    logits = detector.predict(texts, batch_size=1, verbose=0)
    longest = 2 + min(5, count)
    assert (logits.shape, logits.dtype) == ((count, longest), "float32")
    for row, text in zip(logits, texts, strict=True):
        length = 2 + len(text.split())
        np.testing.assert_allclose(row[:length], detector([text])[0], atol=1e-5)
        assert not row[length:].any()
