"""Bars over what tasks answer."""

import re
import sys
import types

import pytest

from kerasbert import QuestionAnswerer, TextClassifier, TextEmbedder, TokenClassifier
from kerasbert.training import progress

TEXTS = ["the cat", "a dog", "it", "sees", "the bird likes it"]


def evaluated(task):
    task.compile()
    callbacks = [progress.EvaluationProgress(2)]
    task.evaluate(TEXTS, list("ababa"), batch_size=2, verbose=0, callbacks=callbacks)


def classifier(backbone, tokenizer):
    return TextClassifier(backbone, classes=["a", "b"], tokenizer=tokenizer)


def embedder(backbone, tokenizer):
    return TextEmbedder(backbone, tokenizer=tokenizer)


def tagger(backbone, tokenizer):
    return TokenClassifier(backbone, classes=["O", "B"], tokenizer=tokenizer)


def answerer(backbone, tokenizer):
    return QuestionAnswerer(backbone, tokenizer=tokenizer)


@pytest.mark.parametrize(
    ("make", "answer", "expected"),
    [
        (classifier, evaluated, 6),  # three whole batches, as far as Keras tells
        (classifier, lambda task: task.score(TEXTS * 8, list("ababa") * 8, batch_size=2), 40),
        (embedder, lambda task: task.embed(TEXTS * 8, batch_size=2), 40),
        (tagger, lambda task: task.tag([["the", "cat"]] * 5, batch_size=2), 5),
        (answerer, lambda task: task.answer(["who"] * 5, TEXTS, batch_size=2), 5),
    ],
)
def test_examples_are_counted(tokenizer, tiny_backbone, monkeypatch, make, answer, expected):
    counts = []
    monkeypatch.setattr(progress.ProgressBar, "update", lambda bar, count: counts.append(count))
    task = make(tiny_backbone(tokenizer), tokenizer)
    answer(task)  # there is no bar
    assert counts == []
    with progress.progress_bar("answer"):
        answer(task)
    assert sum(counts) == expected
    answer(task)
    assert sum(counts) == expected


def test_a_bar_of_what_lasts(tokenizer, tiny_backbone, monkeypatch, capsys):
    task = classifier(tiny_backbone(tokenizer), tokenizer)
    with progress.progress_bar("answer"):
        task.score(TEXTS * 8, list("ababa") * 8, batch_size=2)
    assert capsys.readouterr().err == ""
    monkeypatch.setitem(progress._SECONDS_UNTIL_SHOWN, False, 0.001)
    monkeypatch.setattr(progress, "_SECONDS_BETWEEN_LOG_LINES", 0)
    with progress.progress_bar("answer"):
        task.score(TEXTS * 8, list("ababa") * 8, batch_size=2)
    assert re.search(r"answer: \d+\.?\d* example", capsys.readouterr().err)


def test_in_a_notebook_a_bar_stays_in_one_place(monkeypatch, capsys):
    """Its output is no terminal, but understands a carriage return."""
    for in_notebook, count in ((False, 0), (True, 3)):
        if in_notebook:
            monkeypatch.setitem(sys.modules, "ipykernel", types.ModuleType("ipykernel"))
        bar = progress.ProgressBar("train", 3, "step")
        bar.mininterval = 0
        for _ in range(3):
            bar.update(1)
        bar.close()
        shown = capsys.readouterr().err
        assert shown.count("\r") >= count
        assert (shown.count("\n") == 1) == in_notebook
        assert "3/3" in shown


def test_steps_before_a_resumed_run_are_not_in_its_rate():
    bar = progress.TrainingBar("train", 1000, first=900)
    bar.bar.update(20)
    assert bar.bar.n == 920
    # Without smoothing, the mean rate of this process.
    facts = {**bar.bar.format_dict, "rate": None, "elapsed": 10.0}
    assert "92%" in bar.bar.format_meter(**facts)
    assert "2.00 step/s" in bar.bar.format_meter(**facts)
    bar.close()
