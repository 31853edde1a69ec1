"""Results in tables: pandas takes them, and notebooks show them."""

import json

import keras
import numpy as np
import pandas
import pytest

from kerasbert import (
    MaskedLM,
    MultipleChoice,
    QuestionAnswerer,
    TextClassifier,
    TokenClassifier,
)
from kerasbert.tasks import Results

TEXTS = ["the good cat", "a bad dog", "it"]


@pytest.fixture(scope="module")
def make(tiny_backbone, tokenizer):
    def make(task, *args, **options):
        keras.utils.set_random_seed(0)
        return task(tiny_backbone(tokenizer, pooler=True), *args, tokenizer=tokenizer, **options)

    return make


def test_classes(make):
    task = make(TextClassifier, ["bad", "good"])
    results = task.classify(TEXTS)
    frame = pandas.DataFrame(results.records())
    assert list(frame) == ["example", "label", "scores.bad", "scores.good"]
    assert list(frame["example"]) == [0, 1, 2]
    assert list(frame["label"]) == [one["label"] for one in results]
    np.testing.assert_allclose(frame["scores.bad"] + frame["scores.good"], 1.0, atol=1e-6)
    assert list(pandas.DataFrame(results)["label"]) == list(frame["label"])
    logits = pandas.DataFrame(task.predict(TEXTS, verbose=0), columns=task.classes)
    assert logits.shape == (3, 2)
    assert list(logits.idxmax(axis=1)) == list(frame["label"])
    scores = pandas.DataFrame([task.score(TEXTS, ["good", "bad", "bad"])])
    assert scores.loc[0, "accuracy"] == task.score(TEXTS, ["good", "bad", "bad"])["accuracy"]
    assert json.loads(json.dumps(results)) == results  # it is a list, too


def test_words_and_entities(make):
    tagger = make(TokenClassifier, ["O", "B-PER"])
    tagged = tagger.tag(TEXTS)
    frame = pandas.DataFrame(tagged.records())
    assert list(frame) == ["example", "word", "label", "score", "start", "end"]
    assert list(frame["example"]) == [0, 0, 0, 1, 1, 1, 2]
    assert list(frame["word"]) == " ".join(TEXTS).split()
    entities = tagger.tag(TEXTS, aggregation="first")
    rows = pandas.DataFrame(entities.records())
    assert len(rows) == sum(map(len, entities))
    for row in rows.itertuples():
        assert TEXTS[row.example][row.start : row.end] == row.text


def test_answers(make):
    questions, contexts = ["what", "who"], ["a cat runs", "the dog sees it"]
    answers = make(QuestionAnswerer).answer(questions, contexts, n_best=2)
    frame = pandas.DataFrame(answers.records())
    assert list(frame) == ["example", "rank", "text", "score", "start", "end"]
    assert list(frame["rank"]) == [0, 1, 0, 1]
    assert frame["text"][2] == answers[1][0].text


def test_masks(make):
    filled = make(MaskedLM).fill_mask(["a [MASK] and [MASK]", "the [MASK]"], top_k=2)
    frame = pandas.DataFrame(filled.records())
    assert list(frame) == ["example", "mask", "rank", "token", "score", "sequence"]
    assert list(frame["mask"]) == [0, 0, 1, 1, 0, 0]
    assert frame["token"][5] == filled[1][0][1].token


def test_choices(make):
    chosen = make(MultipleChoice).choose(["a", "b"], [["cat", "dog"], ["bird"]])
    assert list(pandas.DataFrame(chosen)) == ["text", "score"]
    assert chosen[1] == ("bird", 1.0)
    assert list(pandas.DataFrame(chosen.records())) == ["example", "text", "score"]
    assert make(MultipleChoice).choose([], []).records() == []


def test_notebooks_show_a_table():
    shown = Results([{"label": "<b>", "score": 0.123456}])._repr_html_()
    assert shown == (
        "<table><tr><th>example</th><th>label</th><th>score</th></tr>"
        "<tr><td>0</td><td>&lt;b&gt;</td><td>0.1235</td></tr></table>"
    )
    many = Results([{"label": "a"}] * 50)._repr_html_()
    assert many.count("<tr>") == 21
    assert many.endswith("<p>and more, of 50 examples</p>")
    assert Results()._repr_html_() == "<table><tr></tr></table>"
