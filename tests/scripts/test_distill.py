"""`distill.py`, from a teacher to a smaller student."""

import json
import os
import signal

import numpy as np
import pytest
from test_resume import checkpoints, end, start, wait_for_checkpoint
from test_scripts import assert_refused, run

from kerasbert import InputError, TextClassifier, load
from kerasbert.recipes.distill import DistillOptions, _student, distill
from kerasbert.tasks.registry import spec_of


@pytest.fixture(scope="module")
def files(tokenizer, tiny_backbone, tmp_path_factory):
    """A teacher and two files of examples."""
    root = tmp_path_factory.mktemp("distill")
    backbone = tiny_backbone(tokenizer, num_layers=2)
    teacher = TextClassifier(
        backbone, ["good", "bad"], tokenizer=tokenizer, sequence_length=12, pair=False
    )
    teacher.save_to_preset(root / "teacher")
    for name, things in (("one", ("cat", "dog")), ("two", ("bird", "fish"))):
        rows = [f"a {word} {thing}\t{word}" for word in ("good", "bad") for thing in things]
        (root / f"{name}.tsv").write_text("\n".join(["text\tlabel", *rows]) + "\n")
    return root


def flags(files, **more):
    one, two = str(files / "one.tsv"), str(files / "two.tsv")
    given = {"teacher": str(files / "teacher"), "train": [one, two], "validation": two}
    return {**given, "batch_size": 4, "epochs": 2, **more}


def test_distill(files):
    output = files / "run"
    result = distill(
        DistillOptions(**flags(files, student_layers=1, hidden="mse", output=str(output)))
    )
    student, teacher = load(result["model"]), load(files / "teacher")
    assert (student.classes, student.sequence_length) == (["good", "bad"], 12)
    assert student.backbone.config.num_layers == 1
    assert result["parameters"] == student.count_params() < result["teacher_parameters"]
    assert result["train_examples"] == 8
    assert result["steps"] == 4
    texts = ["a good bird", "a good fish", "a bad bird", "a bad fish"]
    labels = ["good", "good", "bad", "bad"]
    for task, scores in ((student, "scores"), (teacher, "teacher_scores")):
        for name, value in task.score(texts, labels).items():
            assert result[scores][name] == pytest.approx(value), name
    assert result["accuracy"] == result["scores"]["accuracy"]
    reports = [json.loads(line) for line in (output / "metrics.jsonl").read_text().splitlines()]
    assert {"hidden_1_loss", "soft_logits_loss", "val_accuracy"} <= reports[-1].keys()
    assert not (output / "checkpoints").exists()


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({}, "give either --student or --student_layers"),
        ({"student_layers": 1, "student": "bert_tiny"}, "give either --student"),
        ({"student_layers": 3}, r"^--student_layers=3: num_layers must be in \[1, 2\], found 3"),
        ({"student_layers": 1, "attention": "kl", "dropout": 0.1}, "distill --dropout=0$"),
        ({"student_layers": 1, "hidden_weight": 2.0}, "--hidden_weight needs --hidden"),
        ({"student_layers": 1, "attention_weight": 2.0}, "--attention_weight needs --attention"),
        ({"student_layers": 1, "alpha": 2.0}, "--alpha must be between 0 and 1"),
    ],
)
def test_refused(files, tmp_path, more, message):
    with pytest.raises(InputError, match=message):
        distill(DistillOptions(**flags(files, **more, output=str(tmp_path / "run"))))
    assert not (tmp_path / "run").exists()


def test_temperature_is_for_logits(files, tokenizer, tiny_backbone, tmp_path):
    teacher = TextClassifier(
        tiny_backbone(tokenizer), problem_type="regression", tokenizer=tokenizer
    )
    teacher.save_to_preset(tmp_path / "teacher")
    more = {"teacher": str(tmp_path / "teacher"), "student_layers": 1, "temperature": 3.0}
    with pytest.raises(InputError, match=r"--temperature divides logits, .* task regression"):
        distill(DistillOptions(**flags(files, **more, output=str(tmp_path / "run"))))


def test_distil_without_labels(files, tmp_path):
    texts = tmp_path / "texts.txt"
    texts.write_text("".join(f"a {a} {b}\n" for a in ("good", "bad") for b in ("cat", "dog")))
    more = {"train": [str(texts), str(files / "one.tsv")], "student_layers": 1}
    with pytest.raises(InputError, match=r"texts\.txt"):
        distill(DistillOptions(**flags(files, **more, output=str(tmp_path / "run"))))
    assert not (tmp_path / "run").exists()
    more |= {"alpha": 1.0, "epochs": 5, "learning_rate": 1e-3}
    result = distill(DistillOptions(**flags(files, **more, output=str(tmp_path / "run"))))
    assert (result["train_examples"], result["steps"]) == (8, 10)
    reports = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    first, *_, last = (json.loads(report)["loss"] for report in reports)
    assert last < first


@pytest.mark.parametrize("student", ["bert_tiny", "teacher"])
def test_initial_student(files, student):
    teacher = load(files / "teacher")
    name = student if student == "bert_tiny" else str(files / student)
    options = DistillOptions(**flags(files, student=name, dropout=0.25, output="unused"))
    found = _student(teacher, spec_of(teacher), options)
    assert (found.classes, found.pair, found.sequence_length) == (["good", "bad"], False, 12)
    config = found.backbone.config
    assert (config.dropout, config.attention_dropout, found.dropout_rate) == (0.25, 0.25, 0.25)
    assert config.vocabulary_size == teacher.tokenizer.vocabulary_size
    texts = ["a good bird", "a bad fish"]
    same = np.array_equal(found.predict(texts, verbose=0), teacher.predict(texts, verbose=0))
    assert same == (student == "teacher")


@pytest.mark.full  # the loop is that of finetune, which test_resume stops
def test_stopped_run_resumes(files):
    output = files / "stopped"
    one = files / "one.tsv"
    words = {"teacher": files / "teacher", "student_layers": 1, "train": one, "output": output}
    words |= {"epochs": 10, "batch_size": 2, "checkpoint_every_steps": 1, "learning_rate": 1e-4}
    process = start("distill", **words)
    wait_for_checkpoint(process, output)
    process.send_signal(signal.SIGTERM)
    stopped = end(process)
    assert stopped.returncode == 128 + signal.SIGTERM, stopped.stderr
    assert checkpoints(output)
    child = end(start("distill", **words))
    assert child.returncode == 0, child.stderr
    assert "resuming from" in child.stderr
    result = json.loads(child.stdout.splitlines()[-1])
    assert result["steps"] == 20
    assert os.path.isdir(result["model"])
    assert_refused(run("distill", **words), "this run is complete, and nothing is left to resume")
