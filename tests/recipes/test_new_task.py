"""A task from outside the package: `tests/toy_task`, and one line to register it."""

import importlib
import json

import pytest

from kerasbert import InputError, MaskedLM, load
from kerasbert.recipes.distill import DistillOptions, distill
from kerasbert.recipes.evaluate import EvaluateOptions, evaluate
from kerasbert.recipes.finetune import FinetuneOptions, finetune
from kerasbert.recipes.predict import PredictOptions, predict
from kerasbert.tasks import register, registry

ROWS = "text\ttext_pair\tlabel\na cat\tthe cat\tyes\na dog\tit\tno\nthe dog\ta dog\tyes\n"


@pytest.fixture
def toy(monkeypatch):
    monkeypatch.setattr(registry, "TASKS", dict(registry.TASKS))
    register("DuplicateDetector", "toy_task", ("duplicates",))


def test_programs_support_a_task_from_outside(toy, tokenizer, tiny_backbone, tmp_path):
    MaskedLM(tiny_backbone(tokenizer), tokenizer=tokenizer).save_to_preset(tmp_path / "init")
    data = tmp_path / "pairs.tsv"
    data.write_text(ROWS)
    result = finetune(
        FinetuneOptions(
            task="duplicates",
            init=str(tmp_path / "init"),
            train=str(data),
            validation=str(data),
            output=str(tmp_path / "run"),
            epochs=1,
            batch_size=2,
        )
    )
    assert result["baseline"] == {"accuracy": pytest.approx(2 / 3)}
    assert result["accuracy"] == result["scores"]["accuracy"]
    assert type(load(result["model"])).__name__ == "DuplicateDetector"

    found = evaluate(EvaluateOptions(model=result["model"], data=str(data)))
    assert found["accuracy"] == pytest.approx(result["accuracy"])

    output = tmp_path / "out.jsonl"
    predict(PredictOptions(model=result["model"], input=str(data), output=str(output)))
    answers = [json.loads(line) for line in output.read_text().splitlines()]
    assert [answer.keys() for answer in answers] == [{"row", "duplicate"}] * 3

    taught = distill(
        DistillOptions(
            teacher=result["model"],
            student_layers=1,
            train=[str(data)],
            alpha=1.0,
            epochs=1,
            batch_size=2,
            output=str(tmp_path / "student"),
        )
    )
    assert type(load(taught["model"])).__name__ == "DuplicateDetector"


def test_a_task_that_nobody_lists_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"^--task must be one of text_classification"):
        FinetuneOptions(task="duplicates", init="a", train="b", output="c")


def test_duplicate_names_are_refused(toy):
    for name, specs, metrics in (
        ("DuplicateDetector", (), ()),
        ("Other", ("regression",), ()),
        ("Other", ("other",), ("squad2",)),
    ):
        with pytest.raises(InputError, match=r"there is a '.*' already"):
            register(name, "toy_task", specs, metrics)
    assert "Other" not in registry.TASKS


@pytest.mark.parametrize("name", registry.TASKS)
def test_registry_matches_the_folders(name):
    entry = registry.TASKS[name]
    module = importlib.import_module(f"{entry.folder}.spec")
    assert all(spec.task is registry.task_class(name) for spec in module.SPECS)
    assert {spec.name for spec in module.SPECS} <= set(registry.spec_names())
    assert [registry.get_spec(one).name for one in entry.specs] == list(entry.specs)
    assert tuple(getattr(module, "METRICS", ())) == entry.metrics
    assert all(map(callable, map(registry.get_metric, entry.metrics)))
