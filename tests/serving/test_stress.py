"""What `stress.py` finds, and its short form."""

import dataclasses
import json
import pathlib

import programs
import pytest
import stress_requests
from stress_requests import Asked, problem

TEXTS = ["a", "b"]
ANSWERS = {
    version: [{"label": "x", "labels": ["x", "y"], "scores": [share, 1 - share]} for share in found]
    for version, found in ((1, (0.2, 0.4)), (2, (0.6, 0.8)))
}


def answer(*rows):
    return json.dumps({"predictions": rows}).encode()


def test_right_answers():
    asked = Asked(":predict", b"", rows=(1, 0))
    for right in ANSWERS.values():
        assert problem(asked, 200, answer(right[1], right[0]), ANSWERS) == ""
        columns = {name: [right[1][name], right[0][name]] for name in right[0]}
        content = json.dumps({"outputs": columns}).encode()
        assert problem(asked, 200, content, ANSWERS) == ""


@pytest.mark.parametrize(
    ("rows", "versions", "message"),
    [
        ([(1, 0), (1, 1)], (1, 2), "wrong answer of text 1"),  # in another order
        ([(1, 1), (2, 0)], (1, 2), "wrong answer"),  # of two versions
        ([(1, 1), (1, 0)], (2,), "wrong answer"),  # of a version that has gone
        ([(1, 1)], (1, 2), "2 rows are asked for, 1 come back"),
    ],
)
def test_wrong_answers(rows, versions, message):
    asked = Asked(":predict", b"", rows=(1, 0))
    content = answer(*(ANSWERS[version][row] for version, row in rows))
    assert message in problem(asked, 200, content, {one: ANSWERS[one] for one in versions})


def test_refusals_that_are_not_meant():
    asked = Asked(":predict", b"{", status=400, says="JSON Parse error")
    good = json.dumps({"error": "JSON Parse error: at 1"}).encode()
    assert problem(asked, 400, good, ANSWERS) == ""
    assert "gets 500 instead of 400" in problem(asked, 500, good, ANSWERS)
    assert "says 'out of" in problem(asked, 400, b'{"error": "out of luck"}', ANSWERS)
    assert "says " in problem(asked, 400, b'{"error": "JSON Parse error\\nat 1"}', ANSWERS)
    assert "no JSON" in problem(asked, 400, b"Bad Request", ANSWERS)
    valid = dataclasses.replace(asked, rows=(0,), status=200)
    assert "gets 400 instead of 200" in problem(valid, 400, good, ANSWERS)


@pytest.mark.full  # about a minute
def test_short_form():
    program = pathlib.Path(stress_requests.__file__).with_name("stress.py")
    flags = ["--requests=1500", "--clients=8", "--growth=0.3", "--seconds=240"]
    ended = programs.run([program, *flags], timeout=300)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    found = json.loads(ended.stdout)
    assert found["requests"] >= 1500
    assert found["problems"] == []
    assert found["answers"]["rest 200"] > 500
    assert found["answers"]["grpc OK"] > 200
