import collections
import contextvars
import dataclasses
import json
import os
import re
import signal

import keras
import pytest
import tensorflow as tf
from safetensors.numpy import load_file

from kerasbert import (
    Backbone,
    BackboneConfig,
    InputError,
    MaskedLM,
    Pretrainer,
    TextClassifier,
    files,
    load,
)
from kerasbert.errors import Interrupted
from kerasbert.families import PRESETS
from kerasbert.recipes.build_vocab import BuildVocabOptions, build_vocab
from kerasbert.recipes.convert import ConvertOptions, convert
from kerasbert.recipes.distill import DistillOptions, distill
from kerasbert.recipes.evaluate import EvaluateOptions, evaluate
from kerasbert.recipes.export import ExportOptions, export
from kerasbert.recipes.finetune import FinetuneOptions, finetune
from kerasbert.recipes.prepare_corpus import PrepareCorpusOptions, prepare_corpus
from kerasbert.recipes.pretrain import PretrainOptions, pretrain
from kerasbert.recipes.python_docs import Document, _paragraphs
from kerasbert.recipes.query import QueryOptions, query
from kerasbert.recipes.quickstart import _MARKER, QuickstartOptions, _make_room, quickstart
from kerasbert.recipes.training import begin
from kerasbert.training.run_directory import RunDirectory

STABLE = [4, 6, 10]
SMALL = {
    "vocabulary_size": 30,
    "num_layers": 1,
    "hidden_dim": 8,
    "num_heads": 2,
    "intermediate_dim": 12,
    "max_sequence_length": 32,
}


@pytest.fixture(scope="module")
def small():
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(PRESETS, "small", SMALL)
        yield


def options(corpus_dir, output, **changes):
    facts = {
        "corpus": str(corpus_dir),
        "preset": "small",
        "steps": 5,
        "batch_size": 4,
        "sequence_length": 16,
        "validation_interval": 2,
        "output": str(output),
    }
    if "validation_corpus" in changes:
        facts["validation_batches"] = 2
    return PretrainOptions(**{**facts, **changes})


@pytest.fixture(scope="module")
def run(small, corpus_dir, tmp_path_factory):
    directory = tmp_path_factory.mktemp("run") / "pretrain"
    result = pretrain(options(corpus_dir, directory, validation_corpus=str(corpus_dir)))
    return directory, result


@pytest.fixture(scope="module")
def task_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("task") / "train.tsv"
    rows = [f"a {word} {thing}\t{word}" for word in ("good", "bad") for thing in ("cat", "dog")]
    path.write_text("\n".join(["text\tlabel", *rows, "the cat\tbad"]) + "\n")
    return path


@pytest.fixture(scope="module")
def tuned(run, task_file, tmp_path_factory):
    directory = tmp_path_factory.mktemp("tuned") / "finetune"
    result = finetune(
        FinetuneOptions(
            init=str(run[0] / "model"),
            train=str(task_file),
            validation=str(task_file),
            epochs=1,
            batch_size=2,
            output=str(directory),
        )
    )
    return directory, result


def weights(directory):
    return {
        name: array.tobytes()
        for name, array in load_file(directory / "model" / "model.safetensors").items()
    }


# === pretrain ===


def test_pretrain_writes_its_run(run, corpus_dir):
    directory, result = run
    json.dumps(result)
    assert result["steps"] == 5
    settings = json.loads((directory / "config.json").read_text())
    assert settings == dataclasses.asdict(
        options(corpus_dir, directory, validation_corpus=str(corpus_dir))
    )
    reports = [json.loads(line) for line in (directory / "metrics.jsonl").read_text().splitlines()]
    # 5 steps and an evaluation every 2: the last segment is shorter.
    assert [report["step"] for report in reports] == [2, 4, 5]
    assert all({"loss", "val_loss", "seconds"} <= report.keys() for report in reports)
    assert (directory / "curves.png").read_bytes().startswith(b"\x89PNG")
    assert isinstance(load(directory / "model"), Pretrainer)
    assert result["held_out"]["masked_tokens"] > 0


def test_pretrain_by_masked_tokens_alone(small, corpus_dir, tmp_path):
    corpus = str(corpus_dir)
    result = pretrain(
        options(corpus, tmp_path / "run", objective="mlm", mask_rate=0.3, validation_corpus=corpus)
    )
    path = str(tmp_path / "run" / "model")
    model = load(path)
    assert type(model) is MaskedLM
    assert (model.mask_rate, model.backbone.config.pooler) == (0.3, False)
    assert set(result["held_out"]) == {
        *("mlm_loss", "mlm_accuracy", "mlm_baseline", "masked_tokens"),
    }
    facts = {"model": path, "data": corpus, "num_batches": 2, "batch_size": 4, "seed": 1}
    scores = evaluate(EvaluateOptions(**facts))
    assert scores["loss"] == pytest.approx(result["held_out"]["mlm_loss"], abs=1e-5)
    again = options(corpus, tmp_path / "more", objective="mlm", preset=None, init=path, steps=1)
    assert pretrain(again)["steps"] == 1


def test_objectives_have_long_names(corpus_dir):
    for name in ("nsp", "sop"):
        chosen = options(corpus_dir, "run", objective=f"mlm_{name}")
        assert chosen.settings == options(corpus_dir, "run", objective=name).settings


@pytest.mark.parametrize("name", ["config.json", "metrics.jsonl", "checkpoints/x", "best/x"])
def test_files_of_others_stay_as_they_are(small, corpus_dir, task_file, tmp_path, name):
    output = tmp_path / "mine"
    (output / name).parent.mkdir(parents=True)
    (output / name).write_text('{"model_type": "bert"}')
    before = files.sha256_of_all(output)
    facts = {"train": [str(task_file)], "output": str(output)}
    for program, given in (
        (pretrain, options(corpus_dir, output, monitor="loss")),
        (finetune, FinetuneOptions(**{**facts, "train": str(task_file)}, init=str(output))),
        (distill, DistillOptions(**facts, teacher="not there", student="bert_tiny")),
    ):
        with pytest.raises(InputError, match=f"mine: holds {name}, which no training run wrote"):
            program(given)
        assert files.sha256_of_all(output) == before


def test_a_run_beside_other_files(small, corpus_dir, tmp_path):
    """A run that was interrupted goes on, and removes its own."""
    given = options(corpus_dir, tmp_path, monitor="loss", steps=2)
    files.write_json(tmp_path / "config.json", dataclasses.asdict(given))
    others = ["vocab.txt", "checkpoints/bert/config.json", "best/mine", ".vocab.txt.12.tmp"]
    for name in others:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("mine")
    pretrain(given)
    assert (tmp_path / "model" / "config.json").exists()
    for directory in ("checkpoints", "best"):
        assert not list((tmp_path / directory).glob("*step*"))
    assert all((tmp_path / name).read_text() == "mine" for name in others)


@pytest.mark.parametrize("output", ["~/run", "s3://bucket/run"])
def test_outputs_that_are_elsewhere(small, corpus_dir, tmp_path, monkeypatch, output):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=f"^{output}: (begins with a ~|is a URL)"):
        pretrain(options(corpus_dir, output))
    facts = {"input": ["not there"], "output": output}
    with pytest.raises(InputError, match=f"^{output}: (begins with a ~|is a URL)"):
        build_vocab(BuildVocabOptions(**facts))
    for given in ({"output": output}, {"output": "new", "saved_model": output}):
        with pytest.raises(InputError, match=f"^{output}: (begins with a ~|is a URL)"):
            quickstart(QuickstartOptions(**given))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("steps", "every", "expected"), [(3, 3, [3]), (4, 3, [3, 4])])
def test_number_of_steps(small, corpus_dir, tmp_path, steps, every, expected):
    run = tmp_path / "run"
    pretrain(options(corpus_dir, run, steps=steps, validation_interval=every))
    reports = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert [report["step"] for report in reports] == expected


def test_seed_determines_everything(run, corpus_dir, tmp_path):
    pretrain(options(corpus_dir, tmp_path / "again", validation_corpus=str(corpus_dir)))
    pretrain(options(corpus_dir, tmp_path / "other", seed=1))
    assert weights(tmp_path / "again") == weights(run[0])
    other = weights(tmp_path / "other")
    assert other.keys() == weights(run[0]).keys()
    assert (
        other["embeddings/token_embedding/embeddings"]
        != (weights(run[0])["embeddings/token_embedding/embeddings"])
    )


def test_finished_run_is_refused(run, corpus_dir):
    before = weights(run[0])
    leftover = run[0] / "checkpoints" / "step-0000000004"  # of a run that was killed at its end
    leftover.mkdir(parents=True)
    with pytest.raises(InputError, match="this run is complete, and nothing is left to resume"):
        pretrain(options(corpus_dir, run[0], validation_corpus=str(corpus_dir)))
    assert weights(run[0]) == before
    assert not leftover.parent.exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"corpus": "nowhere"}, "nowhere: no such corpus directory"),
        ({"preset": "bert_huge"}, "there is no preset 'bert_huge'"),
        ({"steps": 0}, "--steps must be between 1 and 1000000000, found 0"),
        ({"steps": 2**62}, "--steps must be between 1 and 1000000000"),
        ({"corpus": "n" * 300}, "nnn: can't be used: File name too long"),
        ({"batch_size": 0}, "--batch_size must be between 1 and"),
        ({"validation_interval": 0}, "--validation_interval must be 1 or more"),
        ({"warmup_ratio": 1.5}, "--warmup_ratio must be between 0 and 1"),
        ({"sequence_length": 4}, "sequence_length must be 8 or more, found 4"),
        ({"sequence_length": 64}, r"sequence_length must be in \[4, 32\], found 64"),
        ({"objective": "clm"}, "--objective must be one of nsp, sop, mlm, rtd, found 'clm'"),
        ({"mask_unit": "word"}, "--mask_unit must be one of token, whole_word, ngram, span"),
        (
            {"mask_unit": "token", "whole_word_masking": True},
            "--whole_word_masking and --mask_unit=token contradict each other",
        ),
        ({"mask_rate": 1.0}, "--mask_rate must be more than 0 and less than 1"),
        ({"dropout": 1.0}, "--dropout must be 0 or more and less than 1"),
        (
            {"init": "somewhere"},
            "has an architecture already; leave --preset=small out",
        ),
        ({"monitor": "val_loss"}, "--monitor=val_loss needs --validation_corpus"),
        ({"strategy": "mirrored"}, "strategy mirrored found no GPU; omit --strategy"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
def test_bad_pretrain_options(small, corpus_dir, tmp_path, changes, message):
    with pytest.raises(InputError, match=message):
        pretrain(options(corpus_dir, tmp_path / "run", **changes))
    assert list(tmp_path.iterdir()) == []


LESS = (
    "a smaller --batch_size, more --accumulation_steps, --gradient_checkpointing and --precision "
    "bfloat16 need less"
)


def test_a_device_without_enough_memory(small, corpus_dir, tmp_path, monkeypatch):
    def step(*args, **kwargs):
        error = "Graph execution error:\n\nOOM when allocating tensor with shape[8,9]\n\t [[node]]"
        raise tf.errors.ResourceExhaustedError(None, None, error)

    given = options(corpus_dir, tmp_path / "run")
    monkeypatch.setattr("kerasbert.recipes.training.train", step)
    with pytest.raises(InputError) as caught:
        pretrain(given)
    found = "the device's memory does not suffice (OOM when allocating tensor with shape[8,9]); "
    assert str(caught.value) == found + LESS

    with (
        pytest.raises(InputError, match=rf"\(RESOURCE_EXHAUSTED: .* 9 bytes\.\); {LESS}$"),
        begin(given),
    ):
        raise RuntimeError("RESOURCE_EXHAUSTED: Out of memory while trying to allocate 9 bytes.")
    disk = tf.errors.ResourceExhaustedError(None, None, "No space left on device")
    with pytest.raises(tf.errors.ResourceExhaustedError), begin(given):
        raise disk


# === finetune, evaluate, export ===


def test_finetune(tuned):
    directory, result = tuned
    json.dumps(result)
    assert result["classes"] == ["bad", "good"]
    assert (result["train_examples"], result["validation_examples"]) == (5, 5)
    assert result["baseline"]["accuracy"] == pytest.approx(3 / 5)
    model = load(directory / "model")
    assert isinstance(model, TextClassifier)
    assert (model.classes, model.pair, model.sequence_length) == (["bad", "good"], False, 16)
    (report,) = map(json.loads, (directory / "metrics.jsonl").read_text().splitlines())
    assert report["step"] == 3


def finetuning(run, task_file, output, **changes):
    facts = {"init": str(run[0] / "model"), "train": str(task_file), "output": str(output)}
    return FinetuneOptions(**{**facts, "epochs": 1, "batch_size": 2, **changes})


def test_a_run_begins_with_one_line(run, task_file, tmp_path, capsys):
    options = finetuning(run, task_file, tmp_path / "run", sequence_length=4, dry_run=True)
    finetune(options)
    line = capsys.readouterr().err.splitlines()[0]
    assert re.fullmatch(
        r"finetune: .+, float32; 5 examples, 4 of them cut \(sequence_length is 4\); 3 steps of 2",
        line,
    )


def test_unknown_metric_is_refused_before_the_first_step(run, task_file, tmp_path):
    options = finetuning(
        run, task_file, tmp_path / "run", validation=str(task_file), monitor="val_acc"
    )
    with pytest.raises(InputError, match=r"no metric 'val_acc'; there will be .*val_accuracy"):
        finetune(options)
    assert (tmp_path / "run/metrics.jsonl").read_text() == ""
    with pytest.raises(InputError, match="--monitor=val_f1 needs --validation"):
        finetuning(run, task_file, tmp_path / "run", monitor="val_f1")


def test_a_run_is_not_a_model(run, task_file, tmp_path):
    with pytest.raises(InputError, match=r"is a run directory; its model is .*pretrain/model"):
        finetune(finetuning(run, task_file, tmp_path / "run", init=str(run[0])))


def test_init_without_a_tokenizer(run, task_file, corpus_dir, tmp_path):
    load(run[0] / "model").backbone.save_to_preset(tmp_path / "encoder")
    init = {"init": str(tmp_path / "encoder")}
    message = r"--init=.*: {} takes features but no text: .*encoder: the model was saved without"
    with pytest.raises(InputError, match=message.format("text_classifier")):
        finetune(finetuning(run, task_file, tmp_path / "run", **init))
    with pytest.raises(InputError, match=message.format("pretrainer")):
        pretrain(options(corpus_dir, tmp_path / "run", preset=None, **init))


@pytest.mark.parametrize("epochs", [2**62, 400_000_000])  # three steps each
def test_too_many_steps(run, task_file, tmp_path, epochs):
    with pytest.raises(InputError, match=r"--epochs.*1,?000,?000,?000"):
        finetune(finetuning(run, task_file, tmp_path / "run", epochs=epochs))
    assert not (tmp_path / "run").exists()


def test_a_run_resumes_only_with_its_data(run, tmp_path, monkeypatch):
    path = tmp_path / "train.tsv"
    rows = [f"a {word} {thing}\t{word}" for word in ("good", "bad") for thing in ("cat", "dog")] * 3
    changed = {
        "classes renamed": [row.rpartition("\t")[0] + "\tx" + row[-2:] for row in rows],
        "labels swapped": [rows[2].split("\t")[0] + "\tgood", *rows[1:]],
        "a third of the rows": rows[::3],
        "another order": rows[::-1],
    }

    def write(rows):
        path.write_text("\n".join(["text\tlabel", *rows]) + "\n")

    def end(*_, **__):
        raise ZeroDivisionError

    write(rows)
    options = finetuning(run, path, tmp_path / "run", checkpoint_every_steps=1)
    with monkeypatch.context() as patch:
        patch.setattr(RunDirectory, "report", end)
        with pytest.raises(ZeroDivisionError):
            finetune(options)
    kept = sorted((tmp_path / "run" / "checkpoints").iterdir())
    assert kept
    for other in changed.values():
        write(other)
        with pytest.raises(InputError, match="content of train was"):
            finetune(options)
        assert sorted((tmp_path / "run" / "checkpoints").iterdir()) == kept
    write(rows)
    assert finetune(options)["classes"] == ["bad", "good"]


def test_evaluate_classifier(tuned, task_file):
    result = evaluate(EvaluateOptions(model=str(tuned[0] / "model"), data=str(task_file)))
    assert result["examples"] == 5
    assert result["accuracy"] == pytest.approx(tuned[1]["accuracy"])
    assert result["baseline"]["accuracy"] == pytest.approx(3 / 5)


def test_evaluate_pretrainer(run, corpus_dir):
    facts = {
        "model": str(run[0] / "model"),
        "data": str(corpus_dir),
        "num_batches": 2,
        "batch_size": 4,
    }
    first, again, other = (evaluate(EvaluateOptions(**facts, seed=seed)) for seed in (1, 1, 2))
    assert first == again
    assert first["loss"] != other["loss"]
    assert first["loss"] == pytest.approx(first["mlm_logits_loss"] + first["nsp_logits_loss"], 1e-4)


def test_evaluate_on_the_wrong_kind_of_data(run, tuned, corpus_dir, task_file):
    with pytest.raises(InputError, match="corpus"):
        evaluate(EvaluateOptions(model=str(run[0] / "model"), data=str(task_file)))
    with pytest.raises(InputError, match="expected a name that ends in"):
        evaluate(EvaluateOptions(model=str(tuned[0] / "model"), data=str(corpus_dir)))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("text\tlabel\na\tgood\nb\n", "2 or more different names, found \\['good'\\]"),
        ("words\tlabel\na\tgood\n", "has no text column"),
        ("text\tlabel\n", "has no examples"),
        ("text\tlabel\na\tgood\n", "2 or more different names"),
    ],
)
def test_bad_examples(run, tmp_path, content, message):
    path = tmp_path / "train.tsv"
    path.write_text(content)
    facts = {"init": str(run[0] / "model"), "train": str(path), "output": str(tmp_path / "run")}
    with pytest.raises(InputError, match=message):
        finetune(FinetuneOptions(**facts))
    assert not (tmp_path / "run").exists()


def test_unknown_label_in_evaluation(tuned, tmp_path):
    path = tmp_path / "data.csv"
    path.write_text("text,label\na,good\nb,fair\nc,bad\n")
    facts = {"model": str(tuned[0] / "model"), "data": str(path)}
    result = evaluate(EvaluateOptions(**facts))
    assert (result["examples"], result["left_out"]) == (2, 1)
    with pytest.raises(InputError, match=r"data\.csv:3: label 'fair' is not one of bad, good"):
        evaluate(EvaluateOptions(**facts, strict=True))


def test_an_export_without_a_version_says_so(tuned, tmp_path, capsys):
    model, output = str(tuned[0] / "model"), str(tmp_path / "name")
    export(ExportOptions(model=model, output=output, check=False))
    assert f"such as --output {output}/1" in capsys.readouterr().err


def test_export_and_query(tuned, tmp_path, capsys):
    facts = {"model": str(tuned[0] / "model"), "output": str(tmp_path / "1"), "check": False}
    assert export(ExportOptions(**facts))["inputs"] == ["text"]
    assert capsys.readouterr().err == ""
    answers = query(QueryOptions(saved_model=str(tmp_path), text=["a cat", "x"]))["answers"]
    assert [answer["label"] in ("bad", "good") for answer in answers] == [True, True]
    with pytest.raises(InputError, match="exists already"):
        export(ExportOptions(**facts))


def test_export_in_bfloat16(tuned, tmp_path):
    facts = {"model": str(tuned[0] / "model"), "precision": "bfloat16"}
    export(ExportOptions(**facts, output=str(tmp_path / "1")))  # and checks it
    texts = ["a cat", "bad dog"]
    answers = query(QueryOptions(saved_model=str(tmp_path), text=texts))["answers"]
    task = load(facts["model"])
    exact = keras.ops.softmax(task.predict(texts, verbose=0)).numpy()
    for answer, scores in zip(answers, exact, strict=True):
        found = [answer["scores"][answer["labels"].index(name)] for name in task.classes]
        assert found == pytest.approx(scores, abs=0.02)
        assert found != pytest.approx(scores, abs=1e-6)
    kept = tf.train.load_checkpoint(str(tmp_path / "1/variables/variables"))
    of_dtype = collections.defaultdict(list)
    for name, dtype in kept.get_variable_to_dtype_map().items():
        of_dtype[dtype].append(kept.get_variable_to_shape_map()[name])
    assert sorted(of_dtype[tf.float32]) == [[2], [8, 2]]  # the layer of the logits
    assert len(of_dtype[tf.bfloat16]) == 21
    with pytest.raises(InputError, match="--precision int8 is not for a SavedModel"):
        export(ExportOptions(model=facts["model"], output=str(tmp_path / "x"), precision="int8"))


def test_export_of_a_backbone_is_refused(tmp_path):
    Backbone(BackboneConfig(**SMALL)).save_to_preset(tmp_path / "model")
    with pytest.raises(InputError, match="holds a Backbone, not a Task"):
        export(ExportOptions(model=str(tmp_path / "model"), output=str(tmp_path / "1")))


# === text ===


def test_build_vocab_and_prepare_corpus(corpus_files, tmp_path):
    inputs = [str(path) for path in corpus_files]
    vocabulary, corpus = tmp_path / "vocab.txt", tmp_path / "corpus"
    built = build_vocab(BuildVocabOptions(input=inputs, vocab_size=150, output=str(vocabulary)))
    assert built["size"] == len(vocabulary.read_text(encoding="utf-8").splitlines()) <= 150
    assert built["unknown_share"] == 0
    with pytest.raises(InputError, match=r"vocab\.txt exists already"):
        build_vocab(BuildVocabOptions(input=inputs, output=str(vocabulary)))
    facts = {"input": inputs, "vocab": str(vocabulary), "output": str(corpus)}
    assert prepare_corpus(PrepareCorpusOptions(**facts))["documents"] == built["documents"]
    with pytest.raises(InputError, match="corpus exists already"):
        prepare_corpus(PrepareCorpusOptions(**facts))


def test_unknown_tokens_are_reported(tmp_path, capsys):
    text, vocabulary = tmp_path / "text.txt", tmp_path / "vocab.txt"
    text.write_text("cat dog\n" * 9 + "cat d\u00f8g\n")
    facts = {"input": [str(text)], "output": str(vocabulary)}
    built = build_vocab(BuildVocabOptions(**facts, vocab_size=20, alphabet_size=6))
    assert built["unknown_share"] == 0.05
    assert "vocab.txt: 5.0% of the tokens are [UNK]" in capsys.readouterr().err
    facts |= {"vocab": str(vocabulary), "output": str(tmp_path / "corpus")}
    assert prepare_corpus(PrepareCorpusOptions(**facts))["unknown_share"] == 0.05
    assert "corpus: 5.0% of the tokens are [UNK]" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("empty.txt", "", "there is no text"),
        (
            "bad.jsonl",
            '{"text": "a"}\n{"text": 1}\n',
            r"bad\.jsonl:2: expected a string under 'text'",
        ),
        ("bad.gz", "not gzip", r"bad\.gz: can't be read"),
    ],
)
def test_bad_text(tmp_path, name, content, message):
    (tmp_path / name).write_text(content)
    output = tmp_path / "vocab.txt"
    with pytest.raises(InputError, match=message):
        build_vocab(BuildVocabOptions(input=[str(tmp_path / name)], output=str(output)))
    assert not output.exists()


def test_python_docs_paragraphs():
    english = "Returns the number of times that a value occurs in the list."
    text = f"""Short.

    {english}

    >>> count_of_everything_that_is_in_the_list(values)

    .. note:: this is a directive of some documentation tool

    x[0:1] = {{1: 2}}; y = f(x) ** 3 + (4 / 5); z = [i for i in y]

    {english[:19]}
    {english[19:]}
    """
    assert list(_paragraphs(text)) == [english, english]


def test_python_docs_held_out_is_stable():
    documents = [Document(f"package.module{i}", "package", []) for i in range(400)]
    held_out = [document.held_out(0.08) for document in documents]
    # SHA-256 decides, so the same documents are held out everywhere.
    assert [i for i in range(40) if held_out[i]] == STABLE
    assert 0.04 < sum(held_out) / 400 < 0.12
    assert all(document.held_out(0.5) for document in documents if document.held_out(0.08))
    assert not any(document.held_out(0.0) for document in documents)


def test_quickstart_takes_only_its_own_directory(tmp_path):
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "thesis.txt").write_text("ten years of work")
    with pytest.raises(InputError, match="foreign: is not empty, and not from an earlier quick"):
        _make_room(foreign, tmp_path / "1")
    assert (foreign / "thesis.txt").read_text() == "ten years of work"

    _make_room(tmp_path / "own", tmp_path / "1")
    _make_room(tmp_path / "own", tmp_path / "1")
    assert [path.name for path in (tmp_path / "own").iterdir()] == [_MARKER]


def _after_a_quickstart(root):
    _make_room(root, root / "saved" / "1")
    for name in (
        "text/train.jsonl",
        "vocab.txt",
        ".vocab.txt.lock",
        ".vocab.txt.12.tmp",
        "corpus/held_out/manifest.json",
        "corpus/.train.12.tmp/shard",
        "pretrain/config.json",
        "pretrain/.lock",
        "pretrain/checkpoints/step-0000000001/complete",
        "task/held_out.jsonl",
        "finetune/model/config.json",
        "finetune/tensorboard/events",
        "saved/1/saved_model.pb",
        "saved/mine",
    ):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("")


@pytest.mark.parametrize(
    "name", ["old", "notes/a.txt", "finetune/answers.jsonl", "text/train.tsv", "corpus/mine/x"]
)
def test_quickstart_keeps_files_of_others(tmp_path, name):
    root = tmp_path / "own"
    _after_a_quickstart(root)
    (root / name).parent.mkdir(exist_ok=True)
    (root / name).write_text("mine")
    before = files.sha256_of_all(root)
    shown = name.rpartition("/")[0] if name.startswith(("notes", "corpus")) else name
    with pytest.raises(InputError, match=rf"own: holds {shown}, which is not of an earlier quick"):
        _make_room(root, root / "saved" / "1")
    assert files.sha256_of_all(root) == before


def test_quickstart_replaces_what_an_earlier_one_wrote(tmp_path):
    root = tmp_path / "own"
    _after_a_quickstart(root)
    _make_room(root, root / "saved" / "1")
    assert sorted(path.name for path in root.iterdir()) == [_MARKER, "saved"]
    assert (root / "saved" / "mine").exists()


def test_quickstart_keeps_what_is_no_export(tmp_path):
    (tmp_path / "1").mkdir()
    (tmp_path / "1" / "thesis.txt").write_text("ten years of work")
    given = QuickstartOptions(output=str(tmp_path / "new"), saved_model=str(tmp_path / "1"))
    with pytest.raises(InputError, match="1: is not replaced, because it is not an export"):
        quickstart(given)
    assert [path.name for path in tmp_path.iterdir()] == ["1"]


def test_an_interrupted_quickstart_begins_again(tmp_path, monkeypatch):
    def interrupted(self):
        raise Interrupted("step 3 is saved; repeat the command to resume", signal.SIGINT)

    monkeypatch.setattr("kerasbert.recipes.quickstart._Quickstart.run", interrupted)
    with pytest.raises(Interrupted) as caught:
        quickstart(QuickstartOptions(output=str(tmp_path / "own")))
    assert str(caught.value) == "stopped by SIGINT; repeat the command to begin again"
    assert caught.value.signal == signal.SIGINT


def test_a_quickstart_that_is_refused_removes_nothing(tmp_path, monkeypatch):
    with pytest.raises(InputError, match="--vocab_size must be between 10 and 1000000, found 9"):
        QuickstartOptions(vocab_size=9)

    def refused(**given):
        raise InputError("refused")

    root = tmp_path / "own"
    _after_a_quickstart(root)
    before = files.sha256_of_all(root)
    monkeypatch.setattr("kerasbert.recipes.quickstart.FinetuneOptions", refused)
    with pytest.raises(InputError, match="refused"):
        quickstart(QuickstartOptions(output=str(root), saved_model=str(tmp_path / "1")))
    assert files.sha256_of_all(root) == before


# === Two at once ===


def assert_refused(path, program, options, **inside):
    """Another thread's context does not have the lock."""
    with (
        files.locked(path, **inside),
        pytest.raises(InputError, match=rf"{path.name}: is being written by process {os.getpid()}"),
    ):
        contextvars.Context().run(program, options)
    assert not path.exists()


def test_two_runs_at_one_output(corpus_dir, task_file, tmp_path):
    path = tmp_path / "run"
    assert_refused(path, pretrain, options(corpus_dir, path), inside=["model"])
    tuning = FinetuneOptions(init="not there", train=str(task_file), output=str(path))
    assert_refused(path, finetune, tuning, inside=["model"])
    learning = DistillOptions(
        teacher="not there", student="bert_tiny", train=[str(task_file)], output=str(path)
    )
    assert_refused(path, distill, learning, inside=["model"])


def test_two_programs_at_one_output(tmp_path):
    path = tmp_path / "1"
    assert_refused(path, export, ExportOptions(model="not there", output=str(path)))
    assert_refused(path, convert, ConvertOptions(input="not there", output=str(path)))
    assert_refused(path, quickstart, QuickstartOptions(output=str(path)))
    assert_refused(path, build_vocab, BuildVocabOptions(input=["not there"], output=str(path)))


def test_a_run_with_bad_input_leaves_nothing(corpus_dir, tmp_path):
    with pytest.raises(InputError, match="missing: no such corpus"):
        pretrain(options(tmp_path / "missing", tmp_path / "deep" / "run"))
    assert list(tmp_path.iterdir()) == []
