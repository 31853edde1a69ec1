"""The table of results: test data are not used to tune anything."""

import dataclasses
import json

from benchmarks import task_results as module
from benchmarks.options import TaskResultsOptions
from kerasbert import MaskedLM, load
from kerasbert.data import read_squad


def article(number):
    """A question with an answer, and one without."""
    answers = [{"text": "cat", "answer_start": 4}]
    qas = [
        {"id": f"{number}a", "question": "who sees", "answers": answers},
        {"id": f"{number}b", "question": "what is good", "answers": []},
    ]
    return {"paragraphs": [{"context": f"one cat sees {number} dog", "qas": qas}]}


def test_squad_is_tested_on_articles_that_tune_nothing(
    tokenizer, tiny_backbone, tmp_path, monkeypatch
):
    MaskedLM(tiny_backbone(tokenizer), tokenizer=tokenizer).save_to_preset(tmp_path / "init")
    row = module.ROWS[module._SQUAD]
    flags = {**row.flags, "sequence_length": 24, "epochs": 1}
    monkeypatch.setitem(module.ROWS, module._SQUAD, dataclasses.replace(row, flags=flags))
    files = {row.train: [article(i) for i in range(11)]}
    answered = [article(20)]
    del answered[0]["paragraphs"][0]["qas"][1]
    files |= {f"xquad/xquad.{language}.json": answered for language in ("en", "de", "zh")}
    for name, articles in files.items():
        path = tmp_path / "data" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"data": articles}))
    output = tmp_path / "results"
    options = {"data": str(tmp_path / "data"), "init": str(tmp_path / "init")}
    found = module.task_results(
        TaskResultsOptions(**options, output=str(output), rows=[module._SQUAD])
    )["rows"]

    parts = [read_squad(path) for path in module._squad_parts(output / "SQuAD_2_test_part")]
    assert [sorted({id[:-1] for id in part.ids}, key=int) for part in parts] == [
        ["1", "2", "3", "4", "6", "7", "8", "9"],
        ["0", "10"],
        ["5"],
    ]
    result, test = found[module._SQUAD], parts[-1]
    model = load(result["model"])
    threshold = model.no_answer_threshold
    assert threshold == result["validation_scores"]["no_answer_threshold"]
    assert result["scores"] == {
        **model.score(test.texts, test.labels),
        "no_answer_threshold": threshold,
    }
    assert result["scores"]["total"] == 2
    assert result["validation_scores"]["total"] == 4
    assert found["XQuAD en, 1 questions"]["scores"].keys() == {"exact_match", "f1"}
