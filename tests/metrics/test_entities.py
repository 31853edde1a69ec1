import random
import sys
import warnings

import pytest
import seqeval.metrics
from seqeval.scheme import IOB2

from kerasbert import InputError
from kerasbert.metrics.entities import accuracy, are_entity_tags, entity_scores

# Counted by hand. True entities: PER 0-1, LOC 3, PER 5. Guessed: PER 0-1, LOC 3-4, PER 5.
TRUE = [["B-PER", "I-PER", "O", "B-LOC", "O"], ["B-PER", "O"]]
GUESS = [["B-PER", "I-PER", "O", "B-LOC", "I-LOC"], ["B-PER", "O"]]


def test_counted_by_hand():
    assert entity_scores(TRUE, GUESS) == {
        "precision": pytest.approx(2 / 3),
        "recall": pytest.approx(2 / 3),
        "f1": pytest.approx(2 / 3),
        "accuracy": pytest.approx(6 / 7),
        "f1/LOC": 0.0,
        "f1/PER": 1.0,
    }


# As conlleval has it: an I- begins an entity where it can't go on with one.
LOOSE = [
    (["I-PER", "O", "O"], ["B-PER", "O", "O"], 1.0),
    (["B-PER", "I-LOC", "O"], ["B-PER", "B-LOC", "O"], 1.0),
    (["B-PER", "I-PER", "O"], ["B-PER", "B-PER", "O"], 0.0),
    (["I-PER", "I-PER", "O"], ["B-PER", "I-PER", "O"], 1.0),
]


@pytest.mark.parametrize(("guess", "true", "expected"), LOOSE)
def test_loose_as_conlleval(guess, true, expected):
    assert entity_scores([true], [guess])["f1"] == expected


@pytest.mark.parametrize(("guess", "true", "expected"), LOOSE)
def test_strict_counts_nothing_against_the_rules(guess, true, expected):
    strict = entity_scores([true], [guess], strict=True)
    legal = guess[0].startswith("B") and "I-LOC" not in guess
    assert strict["f1"] == (expected if legal else pytest.approx(2 / 3 if "I-LOC" in guess else 0))


def tag_sequences(chooser, letters, count=40):
    tags = ["O", "O"] + [f"{letter}-{kind}" for letter in letters for kind in ("PER", "a-b")]
    return [chooser.choices(tags, k=chooser.randint(0, 9)) for _ in range(count)]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("strict", [False, True])
def test_equal_to_seqeval(seed, strict):
    chooser = random.Random(seed)
    true = tag_sequences(chooser, "BI")
    guess = [tags if chooser.random() < 0.5 else chooser.sample(tags, len(tags)) for tags in true]
    ours = entity_scores(true, guess, strict=strict)
    options = {"mode": "strict", "scheme": IOB2} if strict else {}
    for name in ("precision", "recall", "f1"):
        theirs = getattr(seqeval.metrics, f"{name}_score")(true, guess, **options)
        assert ours[name] == pytest.approx(theirs)
    by_type = seqeval.metrics.f1_score(true, guess, average=None, **options)
    assert [ours["f1/PER"], ours["f1/a-b"]] == pytest.approx(list(by_type))
    assert ours["accuracy"] == pytest.approx(seqeval.metrics.accuracy_score(true, guess))
    assert {type(value) for value in ours.values()} == {float}


@pytest.mark.parametrize("strict", [False, True])
def test_bilou_is_iobes_by_other_names(strict):
    chooser = random.Random(0)
    true, guess = tag_sequences(chooser, "BILU"), []
    guess = [tags if chooser.random() < 0.7 else ["O"] * len(tags) for tags in true]
    other = str.maketrans("LU", "ES")
    iobes = [
        [[tag[0].translate(other) + tag[1:] for tag in tags] for tags in each]
        for each in (true, guess)
    ]
    ours = entity_scores(true, guess, strict=strict)
    assert ours == entity_scores(*iobes, strict=strict)
    assert 0 < ours["f1"] < 1


def test_no_entities_anywhere_and_no_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        nothing = entity_scores([["O"], []], [["O"], []])
        missed = entity_scores([["B-x"]], [["O"]])
        invented = entity_scores([["O"]], [["B-x"]])
    assert nothing == {"precision": 0, "recall": 0, "f1": 0, "accuracy": 1}
    assert missed["f1"] == invented["f1"] == missed["f1/x"] == 0


def test_no_words():
    with pytest.raises(InputError, match="no words to score"):
        entity_scores([[]], [[]])


@pytest.mark.parametrize("score", [accuracy, entity_scores])
def test_other_lengths(score):
    with pytest.raises(InputError, match="sentence 1 has 2 words, but 1 in the predictions"):
        score([["O"], ["O", "O"]], [["O"], ["O"]])
    with pytest.raises(InputError, match="there are 2 sentences, but predictions for 1"):
        score([["O"], ["O"]], [["O"]])


@pytest.mark.parametrize(
    ("classes", "expected"),
    [
        (["O", "B-x", "I-x"], True),
        (["O", "U-x", "L-x"], True),
        (["B", "I", "O"], True),
        (["0", "1"], False),
        (["NOUN", "VERB"], False),
        (["O"], False),
        (["O", "B-"], False),
    ],
)
def test_are_entity_tags(classes, expected):
    assert are_entity_tags(classes) is expected


def test_without_seqeval(monkeypatch):
    monkeypatch.setitem(sys.modules, "seqeval", None)
    monkeypatch.delitem(sys.modules, "seqeval.metrics", raising=False)
    message = r"^this needs seqeval, which is not installed: pip install 'kerasbert\[metrics\]'$"
    with pytest.raises(InputError, match=message):
        entity_scores([["B-pet"]], [["O"]])
