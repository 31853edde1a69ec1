import random

import numpy as np
import pytest

from kerasbert import InputError, QuestionAnswerer, load
from kerasbert.serving.client import SavedModelClient
from kerasbert.tasks.question_answerer import best_span
from kerasbert.training.optimizers import adamw

QUESTION = "who sees it?"
ANIMALS = ["cat", "dog", "bird"]
OTHERS = ["the", "a", "house", "sees", "and", "good", "red", "river", "is", ",", "."]
HARD = [
    "中国 cat 中, dog",
    "e\u0301 Cafe\u0301 the cat\tdog  bird",
    "unlikely zebras: quixotic dogs!",
    "the cat sees the dog " * 20,
    "",
    " ",
]


def context(chooser):
    words = chooser.choices(OTHERS, k=chooser.randint(1, 10))
    words.insert(chooser.randint(0, len(words)), chooser.choice(ANIMALS))
    return " ".join(words)


@pytest.fixture(scope="module")
def task(tokenizer, tiny_backbone):
    """Has learned that the answer is always the animal."""
    task = QuestionAnswerer(tiny_backbone(tokenizer), tokenizer=tokenizer)
    task.compile(adamw(1e-2))
    chooser = random.Random(0)
    contexts = [context(chooser) for _ in range(64)]
    features = task.text_features([QUESTION] * 64, contexts)
    ids = [tokenizer.token_to_id(word) for word in ANIMALS]
    places = np.isin(features["token_ids"].numpy(), ids).argmax(axis=1)
    labels = {"start_logits": places, "end_logits": places}
    features = {name: value.numpy() for name, value in features.items()}
    task.fit(features, labels, epochs=30, shuffle=False, verbose=0)
    return task


@pytest.fixture(scope="module")
def client(task, tmp_path_factory):
    directory = tmp_path_factory.mktemp("export") / "1"
    task.export(directory, check=False)
    return SavedModelClient(directory)


def test_shapes(task):
    outputs = task.predict((["the dog"], ["a cat sees"]), verbose=0)
    shapes = {name: value.shape for name, value in outputs.items()}
    assert shapes == {"start_logits": (1, 8), "end_logits": (1, 8)}


def test_learns(client):
    contexts = ["the cat sees the house.", "a good dog", "and the bird is red"]
    rows = client(question=[QUESTION] * 3, context=contexts)
    assert [row["answer"] for row in rows] == ["cat", "dog", "bird"]
    assert all(0.25 < row["score"] <= 1 for row in rows)


def check(question, context, row):
    assert row["answer"] == context[row["start"] : row["end"]]
    assert 0 <= row["start"] <= row["end"] <= len(context)
    assert 0 <= row["score"] <= 1
    assert bool(row["answer"]) == bool(context.strip())


@pytest.mark.parametrize("question", [QUESTION, "", "国?", "why " * 200])
def test_an_answer_is_a_part_of_the_context(client, question):
    rows = client(question=[question] * len(HARD), context=HARD)
    for context, row in zip(HARD, rows, strict=True):
        check(question, context, row)
        (alone,) = client(question=[question], context=[context])
        assert (alone["start"], alone["end"]) == (row["start"], row["end"])
        assert alone["score"] == pytest.approx(row["score"], abs=1e-5)


def test_no_context_has_no_answer(client):
    (row,) = client(question=[QUESTION], context=[""])
    assert row == {"answer": "", "score": 0.0, "start": 0, "end": 0}
    assert client(question=[], context=[]) == []


def test_what_is_too_long_is_not_read(task, client):
    context = "the house is red " * 20
    (row,) = client(question=[QUESTION], context=[context])
    read = task.packer.pair_room - task.tokenizer([QUESTION]).row_lengths().numpy()[0]
    assert row["end"] <= len(" ".join(context.split()[:read]))


def test_answers_are_those_of_the_logits(task, client, tokenizer):
    question, context = QUESTION, "the big cat, the dogs and a bird"
    outputs = task.predict(([question], [context]), verbose=0)
    _, starts, ends = (x.to_list()[0] for x in tokenizer.tokenize_with_offsets([context]))
    begin = 2 + len(tokenizer([question]).to_list()[0])
    part = slice(begin, begin + len(starts))
    first, last, score = brute_force(
        outputs["start_logits"][0, part], outputs["end_logits"][0, part]
    )
    (row,) = client(question=[question], context=[context])
    assert (row["start"], row["end"]) == (starts[first], ends[last])
    assert row["score"] == pytest.approx(score, abs=1e-5)


@pytest.mark.parametrize(
    "settings",
    [
        {"kind": "bytepair"},
        {"kind": "sentencepiece", "lowercase": True, "strip_accents": True},
        {"kind": "sentencepiece", "layout": "fairseq", "packing": "roberta"},
    ],
    ids=["bytepair", "albert", "fairseq"],
)
def test_other_tokenizers(make_tokenizer, tiny_backbone, settings, answer):
    tokenizer = make_tokenizer(settings)
    task = QuestionAnswerer(tiny_backbone(tokenizer), tokenizer=tokenizer)
    rows = answer(task, question=[QUESTION, "", "why " * 200] * 2, context=HARD)
    for context, row in zip(HARD, rows, strict=True):
        assert row["answer"] == context[row["start"] : row["end"]]


# === The best span ===


def softmax(x):
    scores = np.exp(x - x.max())
    return scores / scores.sum()


def brute_force(start_logits, end_logits, longest=30):
    start, end = softmax(start_logits), softmax(end_logits)
    spans = (
        (start[i] * end[j], i, j)
        for i in range(len(start))
        for j in range(i, min(i + longest, len(end)))
    )
    score, first, last = max(spans, key=lambda span: span[0])
    return first, last, score


@pytest.mark.parametrize("width", [1, 2, 29, 30, 31, 60])
def test_best_span(width):
    generator = np.random.default_rng(width)
    start, end = generator.normal(scale=3, size=(2, 20, width)).astype("float32")
    first, last, score = (value.numpy() for value in best_span(start, end))
    expected = [brute_force(*row) for row in zip(start, end, strict=True)]
    np.testing.assert_array_equal(first, [row[0] for row in expected])
    np.testing.assert_array_equal(last, [row[1] for row in expected])
    np.testing.assert_allclose(score, [row[2] for row in expected], rtol=1e-4)


def test_best_span_is_neither_backwards_nor_too_long():
    start, end = np.full((2, 40), -9, "float32"), np.full((2, 40), -9, "float32")
    start[0, 39] = end[0, 0] = start[1, 0] = end[1, 39] = 9  # backwards, and 40 tokens long
    first, last, _ = (value.numpy() for value in best_span(start, end))
    assert (first <= last).all()
    assert (last - first < 30).all()


# === The rest ===


@pytest.mark.parametrize("length", [3, 25])
def test_bad_sequence_length(tokenizer, tiny_backbone, length):
    with pytest.raises(InputError, match=rf"sequence_length must be in \[4, 24\], found {length}"):
        QuestionAnswerer(tiny_backbone(tokenizer), sequence_length=length)


def test_inputs_have_names(client):
    with pytest.raises(InputError, match="takes question and context, found text"):
        client(text=["a"])


def test_round_trip(task, tmp_path):
    texts = [QUESTION], ["a good cat"]
    expected = task(task.text_features(*texts))
    task.save_to_preset(tmp_path / "model")
    loaded = load(tmp_path / "model")
    for name, value in loaded(loaded.text_features(*texts)).items():
        np.testing.assert_allclose(value, expected[name], atol=1e-6)
