import json
import pathlib
import signal
import time

import programs
import pytest

SCRIPTS = pathlib.Path(__file__).resolve().parents[2] / "scripts"


def command(name, *arguments, **flags):
    given = [f"--{flag}={value}" for flag, value in flags.items()]
    return [str(SCRIPTS / f"{name}.py"), *arguments, *given]


def run(name, *arguments, **flags):
    return programs.run(command(name, *arguments, **flags))


def result(name, **flags):
    child = run(name, **flags)
    assert child.returncode == 0, child.stderr
    return json.loads(child.stdout.splitlines()[-1])


def assert_refused(child, message):
    assert child.returncode == 1
    (line,) = child.stderr.splitlines()
    assert line.startswith("error: ")
    assert message in line
    assert child.stdout == ""


@pytest.fixture(scope="module")
def chain(corpus_files, tmp_path_factory):
    """Runs every program on the output of the one before; returns their results."""
    root = tmp_path_factory.mktemp("chain")
    text, task = str(corpus_files[0]), root / "task.tsv"
    rows = [f"a {word} {thing}\t{word}" for word in ("good", "bad") for thing in ("cat", "dog")]
    task.write_text("\n".join(["text\tlabel", *rows]) + "\n")
    paths = {name: str(root / name) for name in ("vocab.txt", "corpus", "run", "tuned", "export")}
    results = {"root": root, "paths": paths}
    results["build_vocab"] = result(
        "build_vocab", input=text, vocab_size=200, output=paths["vocab.txt"]
    )
    results["prepare_corpus"] = result(
        "prepare_corpus", input=text, vocab=paths["vocab.txt"], output=paths["corpus"]
    )
    results["pretrain"] = result(
        "pretrain",
        corpus=paths["corpus"],
        preset="bert_tiny",
        steps=4,
        batch_size=4,
        sequence_length=16,
        output=paths["run"],
    )
    results["finetune"] = result(
        "finetune",
        init=results["pretrain"]["model"],
        train=task,
        validation=task,
        epochs=1,
        output=paths["tuned"],
    )
    model = results["finetune"]["model"]
    results["evaluate"] = result("evaluate", model=model, data=task)
    results["export"] = result("export", model=model, output=f"{paths['export']}/1")
    results["query"] = result("query", saved_model=paths["export"], text="a good cat")
    return results


@pytest.mark.full  # the README's programs are the same sequence
def test_chain(chain):
    assert chain["build_vocab"]["documents"] == chain["prepare_corpus"]["documents"] == 20
    assert chain["pretrain"]["steps"] == 4
    assert chain["finetune"]["classes"] == ["bad", "good"]
    assert chain["evaluate"]["accuracy"] == pytest.approx(chain["finetune"]["accuracy"])
    assert chain["export"]["checked"] is True
    (answer,) = chain["query"]["answers"]
    assert answer["label"] in ("bad", "good")
    assert sum(answer["scores"]) == pytest.approx(1, abs=1e-5)


def test_missing_file(tmp_path):
    child = run("build_vocab", input=tmp_path / "nothing.txt", output=tmp_path / "vocab.txt")
    assert_refused(child, "nothing.txt: no such file")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.full
def test_finished_run(chain):
    child = run("pretrain", corpus=chain["paths"]["corpus"], output=chain["paths"]["run"])
    assert_refused(child, "this run is complete, and nothing is left to resume")


@pytest.mark.full
def test_killed_run_leaves_no_model(chain):
    output = chain["root"] / "killed"
    flags = {"corpus": chain["paths"]["corpus"], "output": output, "steps": 100_000}
    child = programs.start(
        command("pretrain", **flags, batch_size=4, sequence_length=16, validation_interval=5)
    )
    try:
        metrics, end = output / "metrics.jsonl", time.monotonic() + 100
        while not (metrics.exists() and metrics.read_text()):
            assert child.poll() is None
            assert time.monotonic() < end
            time.sleep(0.1)
    finally:
        child.kill()
        assert programs.end(child).returncode == -signal.SIGKILL
    assert not (output / "model").exists()


def test_parts_are_joined(chain, corpus_files, tmp_path):
    flags = {"input": corpus_files[0], "vocab": chain["paths"]["vocab.txt"]}
    parts = [tmp_path / "parts" / str(number) for number in (1, 2)]
    for number, part in enumerate(parts, start=1):
        result("prepare_corpus", **flags, part=f"{number}/2", output=part)
    joined = result("join_corpus", parts=tmp_path / "parts" / "*", output=tmp_path / "corpus")
    assert (joined["parts"], joined["shards"], joined["documents"]) == (2, 1, 20)
    whole = pathlib.Path(chain["paths"]["corpus"])
    for path in whole.iterdir():
        assert (tmp_path / "corpus" / path.name).read_bytes() == path.read_bytes()
    child = run("join_corpus", parts=parts[0], output=tmp_path / "other")
    assert_refused(child, "of 2 parts, these are missing: 2")
