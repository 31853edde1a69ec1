"""Counts of truncated texts, for all tasks."""

import numpy as np

from kerasbert import MultipleChoice, TextClassifier, TextEmbedder, TokenClassifier
from kerasbert.features import PADDING_MASK

TEXTS = [" ".join(["cat"] * length) for length in (0, 1, 5, 6, 7, 14)]
PAIRS = [" ".join(["dog"] * length) for length in (3, 5, 1, 0, 2, 0)]


def tokens(task, length, *columns):
    """Returns the number of unpadded tokens of each row at a given length."""
    task.sequence_length = length
    features = task.preprocessor.features(*columns)
    mask = np.asarray(features[PADDING_MASK])
    return mask.reshape(len(columns[0]), -1).sum(axis=1)


def assert_counted(task, x, *columns):
    cut, whole = (tokens(task, length, *columns) for length in (8, 24))
    expected = np.count_nonzero(cut < whole)
    task.sequence_length = 8
    assert 0 < expected < len(columns[0])
    assert task.preprocessor.count_truncated(task.preprocessor.rows(x)) == expected


def test_one_text(tokenizer, tiny_backbone):
    task = TextClassifier(tiny_backbone(tokenizer), classes=2, tokenizer=tokenizer)
    assert_counted(task, TEXTS, TEXTS)


def test_pairs(tokenizer, tiny_backbone):
    task = TextClassifier(tiny_backbone(tokenizer), classes=2, tokenizer=tokenizer, pair=True)
    assert_counted(task, (TEXTS, PAIRS), TEXTS, PAIRS)


def test_chunks(tokenizer, tiny_backbone):
    facts = {"long_text": "mean", "max_chunks": 2, "chunk_overlap": 1, "sequence_length": 8}
    task = TextClassifier(tiny_backbone(tokenizer), classes=2, tokenizer=tokenizer, **facts)
    # Of 6 tokens each the second chunk repeats one.
    texts = [" ".join(["cat"] * length) for length in (10, 11, 12, 30)]
    assert task.preprocessor.count_truncated(task.preprocessor.rows(texts)) == 2


def test_texts_that_belong_together_are_read_alone(tokenizer, tiny_backbone):
    task = TextEmbedder(tiny_backbone(tokenizer), tokenizer=tokenizer, sequence_length=8)
    assert task.preprocessor.count_truncated(task.preprocessor.rows((TEXTS, PAIRS))) == 2
    assert task.preprocessor.count_truncated(task.preprocessor.rows((PAIRS, TEXTS))) == 2


def test_choices(tokenizer, tiny_backbone):
    task = MultipleChoice(tiny_backbone(tokenizer), tokenizer=tokenizer, sequence_length=8)
    rows = task.preprocessor.rows(
        {"text": ["cat dog"] * 3, "choices": [["a", "a b c"], ["a", "it is a b"], [""]]}
    )
    assert task.preprocessor.count_truncated(rows) == 1


def test_windows_are_never_too_long(tokenizer, tiny_backbone):
    task = TokenClassifier(
        tiny_backbone(tokenizer), classes=["O", "B"], tokenizer=tokenizer, sequence_length=8
    )
    assert (
        task.preprocessor.count_truncated(task.preprocessor.rows([["cat"] * 20], [["O"] * 20])) == 0
    )
