import pytest

from kerasbert import InputError
from kerasbert.data.answers import answer_labels, first_answers, tokens_of

CONTEXTS = ["中国 the 🐶 dog's", "Café, the birds"]


def label(text, start):
    return {"text": [text], "answer_start": [start]}


def tokens(tokenizer, labels, contexts, document=None):
    """The words of the tokens that were found."""
    document = document or list(range(len(contexts)))
    answers = first_answers([contexts[i] for i in document], labels)
    _, starts, ends = tokenizer.tokenize_with_offsets(contexts)
    first, last = (x.numpy() for x in tokens_of(answers, document, contexts, starts, ends))
    return [
        contexts[i].encode()[starts[i][a].numpy() : ends[i][b].numpy()].decode()
        for i, a, b in zip(document, first, last, strict=True)
    ]


def test_bytes():
    answers = first_answers(CONTEXTS, [label("🐶", 7), {"text": [], "answer_start": []}])
    assert answers.tolist() == [[11, 15], [0, 0]]


def test_words(tokenizer):
    labels = [label("国", 1), label("🐶 dog", 7), label("Café", 0), label("birds", 10)]
    expected = ["国", "🐶 dog", "Café", "birds"]
    assert tokens(tokenizer, labels, CONTEXTS, [0, 0, 1, 1]) == expected


def test_parts_of_words_are_whole_words(tokenizer):
    labels = [label("he 🐶 d", 4), label("rd", 12)]
    assert tokens(tokenizer, labels, CONTEXTS) == ["the 🐶 dog", "birds"]


def test_all_pieces_of_a_word(tokenizer):
    answers = first_answers(["the birds"], [label("birds", 4)])
    _, starts, ends = tokenizer.tokenize_with_offsets(["the birds"])
    first, last = tokens_of(answers, [0], ["the birds"], starts, ends)
    assert (first.numpy().tolist(), last.numpy().tolist()) == ([1], [2])  # bird ##s


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([], "there are 2 questions, but y has 0"),
        ([3, "b"], r"y\[0\] must be an answer, .* found 3"),
        (
            [label("国", 1), label("x", 0)],
            r"y\[1\]: the context does not contain 'x' at character 0",
        ),
        ([label("the", -1), label("x", 0)], "does not contain 'the' at character -1"),
    ],
)
def test_bad_labels(labels, message):
    with pytest.raises(InputError, match=message):
        first_answers(CONTEXTS, answer_labels(labels, len(CONTEXTS)))


def test_an_answer_without_words(tokenizer):
    with pytest.raises(InputError, match=r"y\[0\]: the answer contains no part of a word"):
        tokens(tokenizer, [label(" ", 1)], ["a b"])
