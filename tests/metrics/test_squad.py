"""The official scripts' definitions, by hand and against a slow reading of them."""

import random

import pytest

from kerasbert import InputError
from kerasbert.metrics import squad


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("The Cat!", "cat"),
        ("a.n. other", "other"),  # punctuation goes before articles
        ("the-end  of\ta\nday", "theend of day"),
        ("An anthem", "anthem"),
        ("…the", "…"),  # only ASCII punctuation
        ("«the»", "« »"),
        ("黑豹队,的", "黑豹队的"),
        ("", ""),
        ("The, a; AN", ""),
    ],
)
def test_normalize(text, normal):
    assert squad.normalize(text) == normal


@pytest.mark.parametrize(
    ("answer", "prediction", "f1"),
    [
        ("in the house", "The house", 2 / 3),  # precision 1, recall 1/2
        ("b b c", "b c c d", 4 / 7),  # b and c are shared once each
        ("b", "c", 0),
        ("b", "", 0),
        ("", "b", 0),
        ("the", "", 1),
    ],
)
def test_f1(answer, prediction, f1):
    assert squad.f1(answer, prediction) == pytest.approx(f1)


def test_words_that_are_none():
    """Both are nothing: SQuAD 1.1's F1 shares no word, SQuAD 2.0's has two answers that agree."""
    assert squad.evaluate_v1([["the"]], ["a"]) == {"exact_match": 100, "f1": 0}
    assert squad.evaluate_v2([["the"]], ["a"])["f1"] == 100


def test_the_best_answer_counts():
    result = squad.evaluate_v1([["a cat", "dogs", "two dogs"], ["x"]], ["Dogs", "y x"])
    assert result == pytest.approx({"exact_match": 50, "f1": 100 * (1 + 2 / 3) / 2})


ANSWERS = [["cat"], ["big dog"], [], [], ["the"]]
PREDICTIONS = ["cat", "dog", "fish", "", "bird"]
NO_ANSWER = [0.1, 0.4, 0.3, 0.9, 0.6]


def test_without_answers():
    result = squad.evaluate_v2(ANSWERS, PREDICTIONS)
    assert result == pytest.approx(
        {
            "exact_match": 40,
            "f1": 100 * (1 + 2 / 3 + 0 + 1 + 0) / 5,
            "total": 5,
            "HasAns_exact": 100 / 3,
            "HasAns_f1": 100 * (1 + 2 / 3) / 3,
            "HasAns_total": 3,
            "NoAns_exact": 50,
            "NoAns_f1": 50,
            "NoAns_total": 2,
        }
    )


def test_threshold():
    """Above it nothing is said: right where there is no answer, wrong where there is one."""
    result = squad.evaluate_v2(ANSWERS, PREDICTIONS, NO_ANSWER, threshold=0.4)
    assert result["exact_match"] == 40  # 0.4 itself is not above
    assert result["f1"] == pytest.approx(100 * (1 + 2 / 3 + 0 + 1 + 0) / 5)
    result = squad.evaluate_v2(ANSWERS, PREDICTIONS, NO_ANSWER, threshold=0.2)
    assert result["exact_match"] == 60
    # Best: only the first is answered, which is right, and the two without an answer are right.
    assert (result["best_exact"], result["best_exact_thresh"]) == (60, 0.1)
    assert (result["best_f1"], result["best_f1_thresh"]) == (60, 0.1)


def test_best_may_be_to_say_nothing():
    result = squad.evaluate_v2([[], ["x"]], ["y", "y"], [0.2, 0.5])
    assert (result["best_exact"], result["best_exact_thresh"]) == (50, 0)


def test_missing_predictions_score_nothing():
    assert squad.evaluate_v1([["x"], ["y"]], ["x", None]) == {"exact_match": 50, "f1": 50}
    found = squad.evaluate_v2([["x"], ["y"], []], ["x", None, None], [0.1, 0.0, 0.9], 0.5)
    assert (found["f1"], found["HasAns_f1"], found["NoAns_f1"]) == (pytest.approx(100 / 3), 50, 0)
    assert (found["total"], found["best_f1"]) == (3, pytest.approx(100 / 3))


def test_only_answerable_questions():
    assert "NoAns_total" not in squad.evaluate_v2([["x"]], ["x"])
    assert "HasAns_total" not in squad.evaluate_v2([[]], ["x"])


@pytest.mark.parametrize("seed", range(8))
def test_best_threshold_is_the_best_of_all(seed):
    """Applied, the threshold gives the score that it promises, and no other gives more."""
    chooser = random.Random(seed)
    words = ["x", "y", "x y", "x y z"]
    answers = [[chooser.choice(words)] if chooser.random() < 0.5 else [] for _ in range(60)]
    found = [chooser.choice(words) for _ in answers]
    # No ties: the script would put its threshold amid them.
    no_answer = chooser.sample([i / 100 for i in range(1, 101)], 60)
    result = squad.evaluate_v2(answers, found, no_answer)
    at = {t: squad.evaluate_v2(answers, found, no_answer, t) for t in [0, *no_answer]}
    for name, best in (("exact_match", "best_exact"), ("f1", "best_f1")):
        assert at[result[f"{best}_thresh"]][name] == pytest.approx(result[best])
        assert max(one[name] for one in at.values()) == pytest.approx(result[best])


def test_bad_input():
    with pytest.raises(InputError, match="found 1 predictions and 2 questions"):
        squad.evaluate_v2([["a"], ["b"]], ["a"])
    with pytest.raises(InputError, match="one prediction for each question, found 0"):
        squad.evaluate_v1([], [])
    with pytest.raises(InputError, match="needs an answer for every question"):
        squad.evaluate_v1([[]], [""])


def test_a_string_is_no_list_of_answers():
    for evaluate in (squad.evaluate_v1, squad.evaluate_v2):
        with pytest.raises(InputError, match="a list of strings for each question, found a string"):
            evaluate(["Oslo"], ["Oslo"])


@pytest.mark.parametrize("no_answer", [[0.5], [0.5] * 3, 0.5])
def test_one_probability_for_each_question(no_answer):
    with pytest.raises(InputError, match="no_answer must have one value for each of the 2 quest"):
        squad.evaluate_v2([["a"], []], ["a", "b"], no_answer)


def test_bad_input_of_the_best_threshold():
    right = [1.0, 0.0], ["a", "b"], [0.1, 0.9], [True, False]
    for position, name in enumerate(["scores", "predictions", "no_answer", "answerable"]):
        wrong = [*right]
        wrong[position] = wrong[position][:1]
        message = "scores" if name == "predictions" else name  # the predictions are counted
        with pytest.raises(InputError, match=f"{message} must have one value for each of the"):
            squad.best_threshold(*wrong)
    with pytest.raises(InputError, match="there are no questions"):
        squad.best_threshold([], [], [], [])
