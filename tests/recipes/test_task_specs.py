"""Every `--task` of finetune.py, evaluate.py and predict.py on small files."""

import json
import pathlib

import pytest

from kerasbert import InputError, MaskedLM, load
from kerasbert.data import read_squad
from kerasbert.recipes.evaluate import EvaluateOptions, evaluate
from kerasbert.recipes.finetune import FinetuneOptions, finetune
from kerasbert.recipes.predict import PredictOptions, predict
from kerasbert.recipes.training import Run
from kerasbert.tasks.registry import get_spec, spec_names


def table(header, *rows):
    return "\n".join(["\t".join(header), *("\t".join(row) for row in rows)]) + "\n"


def questions():
    # Without articles, because an answer of only articles counts as none.
    contexts = ("one cat sees two dog", "good bird likes it")
    qas = [
        {"id": "q0", "question": "who sees", "answers": [{"text": "cat", "answer_start": 4}]},
        {"id": "q1", "question": "what is good", "answers": []},
    ]
    paragraphs = [{"context": c, "qas": [q]} for c, q in zip(contexts, qas, strict=True)]
    return json.dumps({"data": [{"title": "", "paragraphs": paragraphs}]})


#: By task: file name and content, what to predict, and the keys of a prediction.
FILES = {
    "text_classification": (
        "t.tsv",
        table(("text", "label"), ("a good cat", "good"), ("a bad dog", "bad"), ("the cat", "good")),
        ("in.txt", "a cat\nthe dog\n"),
        {"label", "scores"},
    ),
    "multi_label": (
        "t.tsv",
        table(("text", "label"), ("a good cat", "good,cat"), ("a dog", "dog"), ("it", "")),
        ("in.txt", "a cat\nthe dog\n"),
        {"predicted", "scores"},
    ),
    "regression": (
        "t.tsv",
        table(
            ("sentence1", "sentence2", "label"),
            ("a cat", "the cat", "1.5"),
            ("a dog", "it", "0"),
            ("it", "it", "3"),
        ),
        ("in.tsv", table(("sentence1", "sentence2"), ("a", "b"), ("a", "a"))),
        {"value"},
    ),
    "token_classification": (
        "t.conll",
        "the O\ncat B-pet\n\na O\ngood O\ndog B-pet\n\n",
        ("in.txt", "the cat\na dog likes it\n"),
        {"words", "labels", "scores", "entities"},
    ),
    "question_answering": (
        "t.json",
        questions(),
        ("in.json", questions()),
        {"id", "answer", "score", "start", "end"},
    ),
    "multiple_choice": (
        "t.jsonl",
        '{"text": "a cat", "choices": ["sees", "dog", "it"], "label": 0}\n'
        '{"text": "the dog", "choices": ["bad", "good"], "label": 1}\n',
        ("in.jsonl", '{"text": "a cat", "choices": ["sees", "dog"]}\n' * 2),
        {"answer", "score"},
    ),
    "embedding": (
        "t.tsv",
        table(
            ("text", "text_pair", "score"),
            ("a cat", "the cat", "5"),
            ("a", "dog", "1"),
            ("x", "y", "0"),
        ),
        ("in.txt", "a cat\nthe dog\n"),
        {"embedding"},
    ),
    "masked_lm": (
        "t.txt",
        "the cat sees a good dog\na bad bird likes it and the dog likes it\n",
        ("in.txt", "the [MASK] sees\na [MASK] [MASK]\n"),
        {"masks"},
    ),
}
FLAGS = {"multi_label": {"label_separator": ","}, "embedding": {"max_score": 5.0}}


@pytest.fixture(scope="module")
def init(tokenizer, tiny_backbone, tmp_path_factory):
    path = tmp_path_factory.mktemp("init") / "model"
    backbone = tiny_backbone(tokenizer, pooler=True, dropout=0.1, attention_dropout=0.1)
    MaskedLM(backbone, tokenizer=tokenizer).save_to_preset(path)
    return path


def write(directory, name, content):
    path = directory / name
    path.write_text(content, encoding="utf-8")
    return str(path)


# Cases that others cover: a text classifier's training, another metric.
_ALIKE = ("regression", "multi_label")


@pytest.fixture(
    scope="module",
    params=[pytest.param(n, marks=pytest.mark.full if n in _ALIKE else []) for n in spec_names()],
)
def trained(request, init, tmp_path_factory):
    name, directory = request.param, tmp_path_factory.mktemp(request.param)
    file, content, *_ = FILES[name]
    data = write(directory, file, content)
    return name, directory, data, finetune(finetuning(name, init, data, directory / "run"))


def finetuning(name, init, data, output, **changes):
    facts = {"task": name, "init": str(init), "train": data, "validation": data, "epochs": 2}
    facts |= {"batch_size": 2, "output": str(output), **FLAGS.get(name, {})}
    return FinetuneOptions(**{**facts, **changes})


def test_every_task_has_its_files():
    assert FILES.keys() == set(spec_names())


def test_trains_scores_and_answers(trained):
    name, directory, data, result = trained
    metric = get_spec(name).primary_metric
    assert result[metric] == result["scores"][metric]
    assert result["baseline"].keys() <= result["scores"].keys()

    again = evaluate(EvaluateOptions(model=result["model"], data=data, **FLAGS.get(name, {})))
    for score, value in result["scores"].items():
        assert again[score] == pytest.approx(value, abs=1e-5, nan_ok=True), score

    _, _, (file, content), keys = FILES[name]
    output = directory / "out.jsonl"
    said = predict(
        PredictOptions(
            model=result["model"],
            input=write(directory, file, content),
            output=str(output),
            batch_size=1,
        )
    )
    answers = [json.loads(line) for line in output.read_text().splitlines()]
    assert (len(answers), said["examples"], said["found_done"]) == (2, 2, 0)
    assert all(answer.keys() == {"row", *keys} for answer in answers)


def test_scores_of_pairs_are_not_ignored(init, tmp_path, capsys):
    pairs = (("a cat", "the cat"), ("a", "dog"), ("x", "y"))
    rows = [(*pair, score) for pair, score in zip(pairs, ("5.0", "1.0", "0.0"), strict=True)]
    scored = write(tmp_path, "sts.tsv", table(("text", "text_pair", "label"), *rows))
    plain = write(tmp_path, "pairs.tsv", table(("text", "text_pair"), *pairs))

    def options(train, **changes):
        facts = {"epochs": 1, "max_score": None, "validation": scored, **changes}
        output = tmp_path / f"run{len(list(tmp_path.iterdir()))}"
        return finetuning("embedding", init, train, output, **facts)

    result = finetune(options(scored, max_score=5.0))
    assert (result["objective"], result["spearman"]) == ("similarity", result["scores"]["spearman"])
    assert "pairs with scores; training with objective similarity" in capsys.readouterr().err
    with pytest.raises(InputError, match=r"pairs\.tsv: a highest score of .* no column of scores"):
        finetune(options(plain, max_score=5.0))
    rows[0] = (*pairs[0], "0.5")
    small = write(tmp_path, "small.tsv", table(("text", "text_pair", "label"), *rows))
    with pytest.raises(InputError, match=r"pairs\.tsv: has no scores, but .*small\.tsv has"):
        finetune(options(small, validation=plain))
    # A model that is trained without scores can be scored with them, as SimCSE is.
    result = finetune(options(plain, validation=small))
    assert (result["objective"], "loss" in result["scores"]) == ("contrastive", False)
    assert {"pearson", "spearman"} <= result["scores"].keys()


# === The threshold for "no answer" ===


of_questions = pytest.mark.parametrize("trained", ["question_answering"], indirect=True)


@of_questions
def test_validation_gives_the_threshold(trained):
    _, _, data, result = trained
    model = load(result["model"])
    assert model.no_answer_threshold == result["scores"]["no_answer_threshold"]
    assert result["threshold_tuned_on"] == data
    assert result["f1"] == result["scores"]["best_f1"]


@of_questions
def test_the_threshold_is_not_tuned_on_the_scored_file(trained, tmp_path, capsys):
    """The stored threshold is scored; the best possible one is reported separately."""
    _, _, data, result = trained
    model, model_data = load(result["model"]), read_squad(data)
    for stored in (1.0, None):
        model.no_answer_threshold = stored
        model.save_to_preset(path := tmp_path / str(stored))
        found = evaluate(EvaluateOptions(model=str(path), data=data))
        assert found["no_answer_threshold"] == stored
        assert found["NoAns_f1"] == 0 < found["best_f1"]
        assert found["f1"] == model.score(model_data.texts, model_data.labels)["f1"] <= 50
        assert "threshold_tuned_on" not in found
        assert ("answers every question" in capsys.readouterr().err) == (stored is None)
        tuned = evaluate(EvaluateOptions(model=str(path), data=data, tune_threshold=True))
        assert tuned["f1"] == found["best_f1"] >= 50
        assert tuned["threshold_tuned_on"] == data
        assert load(path).no_answer_threshold == stored


@of_questions
def test_nothing_to_tune(trained, tmp_path, capsys):
    _, _, data, result = trained
    text = json.loads(questions())
    del text["data"][0]["paragraphs"][1]
    answerable = write(tmp_path, "answerable.json", json.dumps(text))
    with pytest.raises(InputError, match=r"--tune_threshold: .* has no questions without"):
        evaluate(EvaluateOptions(model=result["model"], data=answerable, tune_threshold=True))
    # A threshold that was tuned for other weights is not kept.
    changes = {"validation": answerable, "epochs": 1}
    again = finetune(
        finetuning("question_answering", result["model"], data, tmp_path / "run", **changes)
    )
    assert load(again["model"]).no_answer_threshold is None
    assert "the model will always answer" in capsys.readouterr().err


@of_questions
def test_run_that_was_killed_at_its_end(trained, init, tmp_path, monkeypatch):
    _, _, data, result = trained
    options = finetuning(
        "question_answering", init, data, tmp_path / "run", checkpoint_every_steps=1
    )
    with monkeypatch.context() as patch:
        patch.setattr(Run, "finish", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            finetune(options)
    before = pathlib.Path(data).read_text()
    pathlib.Path(data).write_text(before.replace("who", "what"))
    with pytest.raises(InputError, match=r"run with other settings: content of train was '"):
        finetune(options)
    pathlib.Path(data).write_text(before)
    again = finetune(options)
    for file in ("config.json", "model.safetensors"):
        expected = pathlib.Path(result["model"], file).read_bytes()
        assert pathlib.Path(again["model"], file).read_bytes() == expected, file
    assert again["scores"] == result["scores"]


# === Options that only some tasks have ===


def labelled(init, directory, **changes):
    file, content, *_ = FILES["text_classification"]
    facts = {
        "init": str(init),
        "train": write(directory, file, content),
        "batch_size": 2,
        "epochs": 1,
        "output": str(directory / "run"),
    }
    return FinetuneOptions(**{**facts, **changes})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"task": "ner"}, "--task must be one of text_classification, .*, found 'ner'"),
        ({"class_weight": ["good"]}, "--class_weight must be CLASS=WEIGHT, found 'good'"),
        ({"class_weight": ["nice=2"]}, "'nice', which is none of the classes"),
        (
            {"task": "masked_lm", "class_weight": ["a=1"]},
            "--class_weight is not supported by the task masked_lm",
        ),
        ({"classes": "good,,bad"}, "--classes must be different names, found 'good,,bad'"),
        (
            {"task": "regression", "classes": "a,b"},
            "--classes is not supported by the task regression",
        ),
        (
            {"task": "masked_lm", "long_text": "mean"},
            "--long_text is not supported by the task masked_lm",
        ),
        (
            {"task": "masked_lm", "label_smoothing": 0.1},
            "--label_smoothing is not supported by the task masked_lm",
        ),
        ({"max_score": 5.0}, "--max_score is not supported by the task text_class"),
        ({"label_separator": ","}, "--label_separator is not supported by the task"),
        (
            {"task": "question_answering", "glue": "rte"},
            "--glue is not supported by the task question_answ",
        ),
        ({"task": "regression", "glue": "rte"}, "--glue rte is for --task text_classification"),
        ({"glue": "stsb"}, "--glue stsb is for --task regression"),
        ({"patience": 1}, "--patience needs --monitor"),
        ({"workers": 2, "strategy": "mirrored"}, "--workers=2 starts .* found --strategy=mirrored"),
        ({"ema_momentum": 1.5}, "--ema_momentum must be more than 0 and less than 1"),
        ({"freeze": ["encoder"]}, "no weight is called 'encoder'"),
        ({"freeze": ["classifier"]}, "^--freeze, .* classifier/kernel, classifier/bias would stay"),
        ({"steps_per_execution": 3}, "--steps_per_execution=3 must divide"),
        ({"monitor": "val_f1"}, "--monitor=val_f1 needs --validation"),
    ],
)
def test_bad_options(init, tmp_path, changes, message):
    with pytest.raises(InputError, match=message):
        finetune(labelled(init, tmp_path, **changes))


def test_column_options(init, tmp_path):
    """Checks that options reach the readers, which have their own tests."""

    def read(task, name, content, **changes):
        train = write(tmp_path, name, content)
        options = labelled(init, tmp_path, task=task, **changes)
        return get_spec(task).examples(train, options)

    words = read(
        "token_classification",
        "w.conll",
        "% x\na b X Y\n",
        word_column=1,
        label_column="2",
        comment_prefix="%",
    )
    assert (words.texts["words"], words.labels) == ([["b"]], [["X"]])
    with pytest.raises(InputError, match="--task text_classification reads such files"):
        read("token_classification", "t.tsv", "text\tlabel\nfine\t1\n")
    flags = "x\ta\tb\nfine\t1\t0\n"
    flags = read("multi_label", "f.tsv", flags, text_column="x", label_column="a, b")
    assert (flags.labels, flags.classes) == ([["a"]], ["a", "b"])
    texts = read("masked_lm", "m.tsv", "1\tfine\n", column_names="id, text")
    assert texts.texts == {"text": ["fine"]}


def test_classes_that_only_validation_has(init, tmp_path, capsys):
    header, rows = ("text", "label"), [("a good cat", "good"), ("it", "fair"), ("a dog", "bad")]
    validation = write(tmp_path, "v.tsv", table(header, *rows))
    result = finetune(labelled(init, tmp_path, validation=validation))
    assert (result["classes"], result["validation_left_out"]) == (["bad", "good"], 1)
    assert result["validation_examples"] == 2
    assert (
        "v.tsv: 1 skipped: label 'fair' is not one of bad, good (line 3)" in capsys.readouterr().err
    )
    found = evaluate(EvaluateOptions(model=result["model"], data=validation))
    assert (found["examples"], found["left_out"]) == (2, 1)
    assert found["accuracy"] == result["accuracy"]
    with pytest.raises(InputError, match=r"v\.tsv:3: label 'fair' is not one of bad, good"):
        evaluate(EvaluateOptions(model=result["model"], data=validation, strict=True))

    changes = {"validation": validation, "output": str(tmp_path / "three")}
    result = finetune(labelled(init, tmp_path, classes="good, fair,bad", **changes))
    assert (result["classes"], result["validation_left_out"]) == (["good", "fair", "bad"], 0)
    assert result["validation_examples"] == 3


def test_everything_at_once(init, tmp_path):
    options = labelled(
        init,
        tmp_path,
        validation=str(tmp_path / "t.tsv"),
        epochs=6,
        class_weight=["good=2"],
        label_smoothing=0.1,
        long_text="mean",
        freeze_layers=1,
        layerwise_lr_decay=0.5,
        ema_momentum=0.5,
        accumulation_steps=2,
        steps_per_execution=2,
        gradient_checkpointing=True,
        monitor="val_accuracy",
        patience=1,
        validation_interval=2,
    )
    result = finetune(options)
    reports = [json.loads(x) for x in (tmp_path / "run/metrics.jsonl").read_text().splitlines()]
    best = max(reports, key=lambda report: report["val_accuracy"])
    assert result["steps"] == best["step"]
    assert result["accuracy"] == best["val_accuracy"]
    assert len(reports) == reports.index(best) + 2  # one evaluation without improvement
    assert 0 < result["real_tokens"] <= 1
    assert not (tmp_path / "run/best").exists()
    assert list((tmp_path / "run/tensorboard").iterdir())


def test_dry_run_writes_nothing(init, tmp_path, capsys):
    result = finetune(labelled(init, tmp_path, dry_run=True))
    assert "\n┃ Layer" in capsys.readouterr().err  # a table of lines
    assert result["steps"] == 2
    assert result["seconds_a_step"] > 0
    assert not (tmp_path / "run").exists()


# === Predictions ===


def test_official_formats(trained, tmp_path):
    name, _, data, result = trained
    suffixes = {
        "question_answering": ("json", "squad2"),
        "token_classification": ("conll", "seqeval"),
    }
    if name not in suffixes:
        pytest.skip("there is no official format")
    suffix, metric = suffixes[name]
    output = tmp_path / f"out.{suffix}"
    source = (
        data if suffix == "json" else write(tmp_path, "in.conll", "the\ncat\n\na\ngood\ndog\n\n")
    )
    predict(PredictOptions(model=result["model"], input=source, output=str(output)))
    found = evaluate(EvaluateOptions(predictions=str(output), data=data, metric=metric))
    ours = result["scores"]
    assert found.get("missing", 0) == 0
    for score in ("f1",) if suffix == "json" else ("f1", "accuracy"):
        assert found[score] == pytest.approx(ours[score])
    with pytest.raises(InputError, match="--metric must be one of squad1, squad2, seqeval"):
        evaluate(EvaluateOptions(predictions=str(output), data=data, metric="bleu"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({}, "give --model, or --predictions with --metric"),
        (
            {"model": "m", "metric": "squad1"},
            "--metric and --no_answer_probabilities can only be used with --predictions",
        ),
        (
            {"predictions": "p", "metric": "squad1", "no_answer_probabilities": "n"},
            "--no_answer_probabilities is for --metric",
        ),
        (
            {"predictions": "p", "metric": "squad2", "tune_threshold": True},
            "--tune_threshold is for --model",
        ),
    ],
)
def test_bad_evaluate_options(changes, message):
    with pytest.raises(InputError, match=message):
        EvaluateOptions(data="d", **changes)


def test_skipped_sentences_are_reported(tmp_path, capsys):
    tags = write(tmp_path, "tags.conll", "a O\n\nb\n\n")
    flags = {"data": tags, "predictions": tags, "metric": "seqeval"}
    assert evaluate(EvaluateOptions(**flags))["accuracy"] == 1
    assert "tags.conll: 1 skipped: different number of columns (line 3)" in capsys.readouterr().err
    with pytest.raises(InputError, match=r"tags\.conll:3: different number of columns"):
        evaluate(EvaluateOptions(**flags, strict=True))


def test_incomplete_predictions(tmp_path, capsys):
    """As in the official script, questions without a prediction score 0."""
    data = write(tmp_path, "dev.json", questions())
    flags = {"data": data, "predictions": write(tmp_path, "found.json", '{"q0": "cat"}')}
    found = evaluate(EvaluateOptions(**flags, metric="squad2"))
    assert (found["f1"], found["missing"], found["total"]) == (50, 1, 2)
    said = "found.json: has no prediction for 1 of 2 questions, such as 'q1'"
    assert f"{said}; they score 0" in capsys.readouterr().err
    with pytest.raises(InputError, match=said):
        evaluate(EvaluateOptions(**flags, metric="squad2", strict=True))
    probabilities = write(tmp_path, "no_answer.json", '{"q1": 0.5}')
    with pytest.raises(InputError, match=r"no_answer\.json: has no probability for question 'q0'"):
        evaluate(EvaluateOptions(**flags, metric="squad2", no_answer_probabilities=probabilities))

    answerable = json.loads(questions())
    answerable["data"][0]["paragraphs"][1]["qas"][0]["answers"] = [
        {"text": "it", "answer_start": 0}
    ]
    flags["data"] = write(tmp_path, "v1.json", json.dumps(answerable))
    found = evaluate(EvaluateOptions(**flags, metric="squad1"))
    assert found == {"data": flags["data"], "exact_match": 50, "f1": 50, "missing": 1}
