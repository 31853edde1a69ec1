"""Programs that train on JAX: the same batches, the same numbers, the same files."""

import json
import os
import pathlib
import subprocess
import sys

import numpy as np
import programs
import pytest
from safetensors.numpy import load_file
from test_scripts import assert_refused, command

from benchmarks.kill_harness import kill_harness
from benchmarks.options import KillHarnessOptions
from kerasbert import Pretrainer, QuestionAnswerer, TextClassifier, TokenClassifier
from kerasbert.data.corpus.prepare import prepare_corpus
from kerasbert.errors import InputError
from kerasbert.recipes.options import DistillOptions, FinetuneOptions, PretrainOptions

# JAX compiles for a few steps.
QUICKLY = "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"
WITHOUT_TENSORFLOW = pathlib.Path(__file__).with_name("without_tensorflow.py")


@pytest.fixture(scope="module")
def pretraining(init, corpus_dir):
    return {
        "init": init,
        "corpus": corpus_dir,
        "validation_corpus": corpus_dir,
        "batch_size": 4,
        "sequence_length": 24,
        "steps": 8,
        "validation_interval": 4,
        "validation_batches": 2,
        "dropout": 0.0,
    }


@pytest.fixture(scope="module")
def finetuning(tokenizer, tiny_backbone, texts, tmp_path_factory):
    directory = tmp_path_factory.mktemp("finetuning")
    init, table = directory / "init", directory / "train.tsv"
    # Its head is stored, too: a new one would be random, and on JAX not what it is on TensorFlow.
    backbone = tiny_backbone(tokenizer, pooler=True)
    TextClassifier(backbone, ["no", "yes"], tokenizer=tokenizer).save_to_preset(init)
    rows = [f"{text}\t{'yes' if len(text) > 30 else 'no'}" for text in texts]
    table.write_text("\n".join(["text\tlabel", *rows]) + "\n", encoding="utf-8")
    data = {"init": init, "train": table, "validation": table}
    return {**data, "batch_size": 8, "epochs": 2, "dropout": 0.0, "learning_rate": 1e-3}


def run_on_jax(words, **variables):
    pytest.importorskip("jax")
    environment = {**os.environ, "XLA_FLAGS": QUICKLY, **variables}
    # A copy would have imported TensorFlow.
    return subprocess.run(
        [sys.executable, *map(str, words)], env=environment, capture_output=True, text=True
    )


def result(child):
    assert child.returncode == 0, child.stderr
    return json.loads(child.stdout.splitlines()[-1])


def metrics(output):
    """The lines of a run's metrics, without what a clock and padding decide."""
    lines = [json.loads(line) for line in (output / "metrics.jsonl").read_text().splitlines()]
    left_out = ("seconds", "positions")
    return [{k: v for k, v in line.items() if k not in left_out} for line in lines]


def assert_same_run(one, other, left_out=()):
    for found, expected in zip(metrics(one), metrics(other), strict=True):
        for name in left_out:
            del found[name], expected[name]
        assert found == pytest.approx(expected, abs=1e-4)
    weights, expected = (load_file(run / "model/model.safetensors") for run in (one, other))
    assert weights.keys() == expected.keys()
    for name, value in weights.items():
        # The gradient of the key's bias is rounding, which Adam makes as large as any.
        if "key/bias" not in name:
            np.testing.assert_allclose(value, expected[name], atol=1e-4, err_msg=name)


def test_pretraining_without_tensorflow(pretraining, tmp_path):
    outputs = {name: tmp_path / name for name in ("jax", "tensorflow")}
    words = command("pretrain", **pretraining, backend="jax", output=outputs["jax"])
    found = result(run_on_jax([WITHOUT_TENSORFLOW, *words]))
    on_tensorflow = programs.run(command("pretrain", **pretraining, output=outputs["tensorflow"]))
    expected = result(on_tensorflow)
    assert_same_run(*outputs.values())
    assert found["real_tokens"] == expected["real_tokens"]
    assert found["held_out"] == pytest.approx(expected["held_out"], abs=1e-4)
    assert len(metrics(outputs["jax"])) == 2
    assert list((outputs["jax"] / "tensorboard").iterdir())
    # The files are those of any model.
    assert Pretrainer.from_preset(outputs["jax"] / "model").tokenizer is not None


def test_pretraining_on_pieces_without_tensorflow(
    pretraining, corpus_files, make_tokenizer, tiny_backbone, tmp_path
):
    """The ids of a corpus need SentencePiece's vocabulary only, not its op."""
    tokenizer = make_tokenizer({"kind": "sentencepiece", "lowercase": True})
    init, corpus = tmp_path / "init", tmp_path / "corpus"
    prepare_corpus(list(map(str, corpus_files)), tokenizer, corpus)
    backbone = tiny_backbone(tokenizer, pooler=True, padding_id=tokenizer.pad_id)
    Pretrainer(backbone, tokenizer=tokenizer, sequence_length=24).save_to_preset(init)
    inputs = {"init": init, "corpus": corpus, "validation_corpus": corpus}
    flags = {**pretraining, **inputs, "steps": 4, "whole_word_masking": True}
    outputs = {name: tmp_path / name for name in ("jax", "tensorflow")}
    words = command("pretrain", **flags, backend="jax", output=outputs["jax"])
    found = result(run_on_jax([WITHOUT_TENSORFLOW, *words]))
    expected = result(programs.run(command("pretrain", **flags, output=outputs["tensorflow"])))
    assert_same_run(*outputs.values())
    assert found["held_out"] == pytest.approx(expected["held_out"], abs=1e-4)


def test_fine_tuning(finetuning, tmp_path):
    outputs = {name: tmp_path / name for name in ("jax", "tensorflow")}
    words = command("finetune", **finetuning, output=outputs["jax"])
    found = result(run_on_jax(words, KERAS_BACKEND="jax"))
    expected = result(programs.run(command("finetune", **finetuning, output=outputs["tensorflow"])))
    assert_same_run(*outputs.values())
    assert found["scores"] == pytest.approx(expected["scores"], abs=1e-4)
    assert TextClassifier.from_preset(outputs["jax"] / "model").classes == ["no", "yes"]


def questions(texts):
    """Contexts of several windows, some of them without the answer."""
    contexts = [" ".join(texts[i : i + 6]) for i in range(0, 24, 2)]
    answers = [context.split()[2 * i] for i, context in enumerate(contexts)]
    return [
        {
            "id": str(i),
            "question": f"what is {i}?",
            "context": context,
            "answers": {"text": [answer], "answer_start": [context.index(answer)]}
            if i % 3
            else {"text": [], "answer_start": []},
        }
        for i, (context, answer) in enumerate(zip(contexts, answers, strict=True))
    ]


@pytest.mark.full
@pytest.mark.parametrize("task", ["question_answering", "token_classification"])
def test_tasks_that_answer_in_a_graph(task, finetuning, tokenizer, tiny_backbone, texts, tmp_path):
    """TensorFlow finds answers and words in the outputs of JAX, here of two devices."""
    backbone = tiny_backbone(tokenizer, pooler=True)
    if task == "question_answering":
        model, file = QuestionAnswerer(backbone, tokenizer=tokenizer, stride=8), "train.jsonl"
        content = "".join(json.dumps(one) + "\n" for one in questions(texts))
    else:
        model, file = TokenClassifier(backbone, ["B-x", "O"], tokenizer=tokenizer), "train.conll"
        content = "\n".join(
            "".join(f"{word} {'B-x' if len(word) > 4 else 'O'}\n" for word in text.split())
            for text in (*texts, " ".join(texts[:8]))
        )
    init, data = tmp_path / "init", tmp_path / file
    model.save_to_preset(init)
    data.write_text(content, encoding="utf-8")
    runs = {name: tmp_path / name for name in ("jax", "tensorflow")}
    flags = {**finetuning, "task": task, "init": init, "train": data, "validation": data}
    devices = {"backend": "jax", "num_virtual_devices": 2, "data_parallel": 2}
    found = result(run_on_jax(command("finetune", **flags, **devices, output=runs["jax"])))
    expected = result(programs.run(command("finetune", **flags, output=runs["tensorflow"])))
    # Keras weighs the batches of these means by their rows on JAX alone.
    means = ("start_logits_loss", "end_logits_loss") if task == "question_answering" else ()
    assert_same_run(*runs.values(), left_out=means)
    assert found["scores"] == pytest.approx(expected["scores"], abs=1e-4)
    assert max(found["scores"].values()) > 0


@pytest.mark.full
def test_several_devices(pretraining, tmp_path):
    four = {"data_parallel": 2, "model_parallel": 2, "num_virtual_devices": 4}
    for name, flags in {"one": {}, "four": four}.items():
        flags |= {"backend": "jax", "output": tmp_path / name}
        child = run_on_jax([WITHOUT_TENSORFLOW, *command("pretrain", **pretraining, **flags)])
        assert result(child)["steps"] == 8
        assert ("2 x 2 devices" in child.stderr) == (name == "four")
    assert_same_run(tmp_path / "one", tmp_path / "four")


@pytest.mark.full
def test_devices_that_can_not_be(pretraining, tmp_path):
    flags = {**pretraining, "backend": "jax", "output": tmp_path / "run", "model_parallel": 3}
    assert_refused(run_on_jax(command("pretrain", **flags)), "need 3 devices, and JAX has 1; --num")
    child = run_on_jax(command("pretrain", **flags, num_virtual_devices=3))
    assert_refused(child, "--model_parallel=3 must divide the model's hidden_dim and intermediate")


@pytest.mark.full
def test_killed_run_ends_as_one_left_alone(pretraining, tmp_path, monkeypatch):
    pytest.importorskip("jax")
    monkeypatch.setenv("XLA_FLAGS", QUICKLY)
    training = {**pretraining, "steps": 30, "validation_interval": 15, "dropout": 0.1}
    words = command("pretrain", **training, checkpoint_every_steps=1, backend="jax")
    result = kill_harness(
        KillHarnessOptions(command=" ".join(words), output=str(tmp_path / "runs"), kills=2)
    )
    assert result["kills"] == 2
    assert (result["files"] > 3, result["different"], result["left_over"]) == (True, [], [])


# === What is refused, before anything is imported ===


@pytest.mark.parametrize(("flag", "value"), [("strategy", "mirrored"), ("workers", 2)])
def test_options_of_tf_distribute(flag, value):
    pytest.importorskip("jax")
    with pytest.raises(
        InputError, match=rf"^--{flag}={value} is for tf\.distribute; with --backend="
    ):
        PretrainOptions(corpus="c", output="o", backend="jax", **{flag: value})
    PretrainOptions(corpus="c", output="o", **{flag: value})


def test_options_of_jax():
    with pytest.raises(InputError, match=r"--data_parallel and --model_parallel are for --backend"):
        PretrainOptions(corpus="c", output="o", model_parallel=2)


def test_variables_of_the_environment(monkeypatch):
    pytest.importorskip("jax")
    monkeypatch.setenv("XLA_FLAGS", "--before=1")
    options = {"corpus": "c", "output": "o", "backend": "jax"}
    assert PretrainOptions(**options).environment == {"KERAS_BACKEND": "jax"}
    with pytest.raises(
        InputError, match="--num_virtual_devices needs --data_parallel or --model_p"
    ):
        PretrainOptions(**options, num_virtual_devices=2)
    options |= {"num_virtual_devices": 2, "data_parallel": 2, "deterministic": True}
    devices = PretrainOptions(**options).environment
    assert devices["XLA_FLAGS"] == (
        "--before=1 --xla_gpu_deterministic_ops=true --xla_force_host_platform_device_count=2"
    )


def test_backend_of_the_environment(monkeypatch):
    pytest.importorskip("jax")
    options = PretrainOptions(corpus="c", output="o")
    assert not options.on_jax
    assert "backend" not in options.settings  # as in checkpoints of old
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    assert options.on_jax
    assert options.settings["backend"] == "jax"
    assert not PretrainOptions(corpus="c", output="o", backend="tensorflow").on_jax
    with pytest.raises(
        InputError, match=r"kerasbert distill trains on TensorFlow alone; give --backend="
    ):
        DistillOptions(teacher="t", student_layers=1, train=["t"], output="o")


def test_packages_that_are_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    options = {"init": "i", "train": "t", "output": "o"}
    FinetuneOptions(**options)  # other messages say more
    with pytest.raises(InputError, match=r"--backend=jax tokenizes text with TensorFlow, which is"):
        FinetuneOptions(**options, backend="jax")
    monkeypatch.setitem(sys.modules, "jax", None)
    with pytest.raises(InputError, match=r"--backend=jax needs JAX: pip install jax, with a GPU"):
        PretrainOptions(corpus="c", output="o", backend="jax")
