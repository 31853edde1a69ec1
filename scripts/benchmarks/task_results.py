"""Trains all tasks of the README's table from one encoder, and prints the table.

Each result stands next to a constant baseline and, with `--peers`, the result of transformers
(PyTorch) from the same weights with the same batches, schedule and optimizer.
"""

import dataclasses
import json
import pathlib
import time

from benchmarks import transformers_peer
from benchmarks.options import TaskResultsOptions
from kerasbert import files, loading
from kerasbert.data.squad import read_squad
from kerasbert.errors import InputError
from kerasbert.features import CONTEXT
from kerasbert.metrics import squad
from kerasbert.recipes.finetune import finetune
from kerasbert.recipes.options import FinetuneOptions
from kerasbert.tasks import QuestionAnswerer
from kerasbert.tasks.registry import get_spec
from kerasbert.training.progress import log

_SQUAD = "SQuAD 2 test part"
_HELD_OUT_ARTICLES = 5  # every fifth article of SQuAD's file, alternately for tuning and testing
_SQUAD_PARTS = ("train", "validation", "test")
_PEER = "peer"


@dataclasses.dataclass(frozen=True)
class Row:
    """A row of the table.

    Attributes:
        task: value of `--task`.
        train: training file.
        validation: validation file.
        flags: other options of `finetune`.
    """

    task: str
    train: str
    validation: str
    flags: dict


ROWS = {
    "SST-2": Row(
        "text_classification",
        "glue-sst2/train.tsv",
        "glue-sst2/dev.tsv",
        {"epochs": 1, "sequence_length": 64, "learning_rate": 1e-4},
    ),
    "RTE": Row(
        "text_classification",
        "glue-rte/train.tsv",
        "glue-rte/dev.tsv",
        {"epochs": 3, "sequence_length": 128, "learning_rate": 1e-4, "glue": "rte"},
    ),
    "STS-B": Row(
        "regression",
        "stsb/stsb-en-train.csv",
        "stsb/stsb-en-dev.csv",
        {
            "epochs": 3,
            "sequence_length": 64,
            "learning_rate": 1e-4,
            "column_names": "text,text_pair,label",
        },
    ),
    "WNUT-17": Row(
        "token_classification",
        "wnut17/wnut17train.conll",
        "wnut17/emerging.test.annotated",
        {"epochs": 4, "sequence_length": 128, "learning_rate": 2e-4},
    ),
    _SQUAD: Row(
        "question_answering",
        "squad2-dev-split-elgeish/dev-v2.0.json",
        "squad2-dev-split-elgeish/dev-v2.0.json",
        {"epochs": 2, "sequence_length": 256, "learning_rate": 2e-4, "batch_size": 16},
    ),
    "ChnSentiCorp": Row(
        "text_classification",
        "chnsenticorp/train.tsv",
        "chnsenticorp/dev.tsv",
        {"epochs": 1, "sequence_length": 128, "learning_rate": 1e-4},
    ),
}


def task_results(options: TaskResultsOptions) -> dict:
    """Trains the rows that have no result yet, and prints the table."""
    if unknown := set(options.rows) - set(ROWS):
        raise InputError(f"--rows: no row {min(unknown)!r}; there are {', '.join(ROWS)}")
    output = pathlib.Path(options.output)
    results = {}
    for name in options.rows or ROWS:
        directory = output / name.replace(" ", "_")
        path = directory / "result.json"
        if not path.exists():
            result = _train(ROWS[name], options, directory)
            files.write_json(path, result)
        results[name] = files.read_json(path)
        if options.peers and _PEER not in results[name]:
            results[name][_PEER] = _peer(ROWS[name], options, directory)
            files.write_json(path, results[name])
        log(json.dumps({name: results[name]}))
    if result := results.get(_SQUAD):
        directory = output / _SQUAD.replace(" ", "_")
        answerers = {"scores": loading.load(result["model"])}
        if _PEER in result:
            length = answerers["scores"].sequence_length
            trained = transformers_peer.trained(directory / _PEER)
            answerers[_PEER] = QuestionAnswerer.from_preset(trained, sequence_length=length)
        train, *_ = _squad_parts(directory)
        results |= _xquad(pathlib.Path(options.data), answerers, train)
    for line in _table(results):
        log(line)
    return {"output": str(output), "rows": results}


def _options(row: Row, options: TaskResultsOptions, output: pathlib.Path) -> FinetuneOptions:
    train, validation = (pathlib.Path(options.data) / file for file in (row.train, row.validation))
    if row.task == "question_answering":
        _split(train, output)
        train, validation, _ = _squad_parts(output)
    return FinetuneOptions(
        **{"batch_size": 32, **row.flags},
        task=row.task,
        init=options.init,
        train=str(train),
        validation=str(validation),
        output=str(output / "run"),
        precision=options.precision,
    )


def _train(row: Row, options: TaskResultsOptions, output: pathlib.Path) -> dict:
    output.mkdir(parents=True, exist_ok=True)
    start = time.monotonic()
    run = _options(row, options, output)
    result = finetune(run)
    if row.task == "question_answering":
        *_, test = _squad_parts(output)
        spec = get_spec(row.task)
        examples = spec.examples(str(test), run)
        result["validation_scores"] = result["scores"]
        result["scores"] = spec.scores(loading.load(result["model"]), examples)
        result["baseline"] = spec.baseline(examples, examples)
    result["seconds"] = round(time.monotonic() - start)
    return result


def _peer(row: Row, options: TaskResultsOptions, output: pathlib.Path) -> dict:
    test = _squad_parts(output)[-1] if row.task == "question_answering" else None
    return transformers_peer.train(_options(row, options, output), output / _PEER, test)


def _split(path: pathlib.Path, output: pathlib.Path) -> None:
    """Splits a SQuAD file by articles into parts for training, validation and testing.

    Test articles are neither trained on nor used to tune the no-answer threshold.
    """
    articles = files.read_json(path)["data"]
    held_out = articles[::_HELD_OUT_ARTICLES]
    train = [article for i, article in enumerate(articles) if i % _HELD_OUT_ARTICLES]
    parts = (train, held_out[::2], held_out[1::2])
    for path, part in zip(_squad_parts(output), parts, strict=True):
        files.write_json(path, {"data": part})


def _squad_parts(output: pathlib.Path) -> list[pathlib.Path]:
    """Returns the files that `_split` writes: for training, tuning the threshold, and testing."""
    return [output / f"{name}.json" for name in _SQUAD_PARTS]


def _xquad(data: pathlib.Path, answerers: dict, trained_on: pathlib.Path) -> dict:
    """Scores models trained on SQuAD 2 on XQuAD, in which all questions have an answer.

    XQuAD's English contexts are from SQuAD. Questions about contexts that the models were trained
    on are skipped in all languages, by the ids that languages share.
    """
    for answerer in answerers.values():
        answerer.no_answer_threshold = None
    paths = {language: data / "xquad" / f"xquad.{language}.json" for language in ("en", "de", "zh")}
    known = set(read_squad(trained_on).texts[CONTEXT])
    english = read_squad(paths["en"])
    asked = zip(english.ids, english.texts[CONTEXT], strict=True)
    seen = {id for id, context in asked if context in known}
    results = {}
    for language, path in paths.items():
        all_of = read_squad(path)
        new = [i for i, id in enumerate(all_of.ids) if id not in seen]
        texts = {name: [column[i] for i in new] for name, column in all_of.texts.items()}
        right = [all_of.labels[i] for i in new]
        results[f"XQuAD {language}, {len(new)} questions"] = {
            "task": "question_answering",
            **{name: answerer.score(texts, right) for name, answerer in answerers.items()},
            "baseline": squad.evaluate_v1([label["text"] for label in right], [""] * len(new)),
        }
    return results


def _table(results: dict) -> list[str]:
    lines = ["| data | task | metric | constant answer | kerasbert | transformers |"]
    lines.append("|---|---|---|---|---|---|")
    for name, result in results.items():
        metric = get_spec(result["task"]).primary_metric
        values = (result["baseline"], result["scores"], result.get(_PEER, {}))
        shown = " | ".join(_shown(of.get(metric)) for of in values)
        lines.append(f"| {name} | {result['task']} | {metric} | {shown} |")
    return lines


def _shown(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:.1f}" if abs(value) > 1 else f"{100 * value:.1f}"
