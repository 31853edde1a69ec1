"""Interrupting and resuming training with the real programs."""

import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import programs
import pytest
from test_scripts import assert_refused, command

from benchmarks.kill_harness import kill_harness
from benchmarks.options import KillHarnessOptions

ENOUGH = 100


@pytest.fixture(scope="module")
def pretraining(init, corpus_dir):
    return {
        "init": init,
        "corpus": corpus_dir,
        "batch_size": 4,
        "sequence_length": 24,
        "dropout": 0.1,
        "checkpoint_every_steps": 1,
    }


def start(name, **flags):
    return programs.start(command(name, **flags))


def end(process):
    return programs.end(process, ENOUGH)


def checkpoints(output):
    return sorted(path.name for path in output.glob("checkpoints/step-*"))


def wait_for_checkpoint(process, output):
    limit = time.monotonic() + ENOUGH
    while not checkpoints(output):
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < limit
        time.sleep(0.05)


def outcome(output):
    """Returns weights and metrics, without times."""
    reports = [json.loads(line) for line in (output / "metrics.jsonl").read_text().splitlines()]
    weights = (output / "model" / "model.safetensors").read_bytes()
    return weights, [{k: v for k, v in report.items() if k != "seconds"} for report in reports]


# === One process ===


def test_killed_run_matches_an_uninterrupted_run(pretraining, tmp_path):
    training = {**pretraining, "steps": 30, "validation_interval": 15}
    words = command("pretrain", **training, validation_corpus=training["corpus"])
    result = kill_harness(
        KillHarnessOptions(command=" ".join(words), output=str(tmp_path / "runs"), kills=1)
    )
    assert result["kills"] == 1
    assert (result["files"] > 3, result["different"], result["left_over"]) == (True, [], [])


def test_stopped_run_resumes(init, texts, tmp_path):
    rows = [f"{text}\t{'yes' if ' ' in text else 'no'}" for text in texts]
    table = tmp_path / "train.tsv"
    table.write_text("\n".join(["text\tlabel", *rows]) + "\n", encoding="utf-8")
    flags = {"init": init, "train": table, "validation": table, "batch_size": 2, "epochs": 5}
    flags |= {"dropout": 0.1, "checkpoint_every_steps": 7, "keep_checkpoints": 2}
    alone, output = tmp_path / "alone", tmp_path / "stopped"

    first, whole = start("finetune", **flags, output=output), None
    try:
        wait_for_checkpoint(first, output)
        whole = start("finetune", **flags, output=alone)
        first.send_signal(signal.SIGTERM)
        stopped = end(first)
        assert stopped.returncode == 128 + signal.SIGTERM, stopped.stderr
        assert stopped.stdout == ""
        assert "Traceback" not in stopped.stderr
        said = stopped.stderr.splitlines()
        (last,) = (line for line in said if line.startswith("stopped by SIGTERM after step "))
        assert last.endswith("repeat the command to resume")
        kept = checkpoints(output)
        assert len(kept) <= 2
        assert int(kept[-1].removeprefix("step-")) == int(last.split()[5].rstrip(","))
        assert not (output / "model").exists()

        # The checkpoint contains copies.
        for name in ("metrics.jsonl", "losses.jsonl"):
            (output / name).write_bytes(b"\xff damaged\n")
        other = start("finetune", **{**flags, "learning_rate": 0.5}, output=output)
        assert_refused(end(other), "learning_rate was 5e-05, now it is 0.5")
        resumed = end(start("finetune", **flags, output=output))  # one at a time: there is a lock
        assert resumed.returncode == 0, resumed.stderr
        assert f"resuming from {output / 'checkpoints' / kept[-1]}" in resumed.stderr
        assert not (output / "checkpoints").exists()
        left_alone = end(whole)
        assert left_alone.returncode == 0, left_alone.stderr
    finally:
        for process in filter(None, (first, whole)):
            if process.poll() is None:
                end(process)
    assert outcome(output) == outcome(alone)


# === Several workers ===


def children(pid):
    """Returns the child processes of a process, in order; `ps --ppid` is not portable."""
    found = []
    for path in pathlib.Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = path.read_text().rpartition(")")[2].split()[1]
        except OSError:  # it has ended
            continue
        if int(parent) == pid:
            found.append(int(path.parent.name))
    return sorted(found)


def is_running(pid):
    """Whether a process exists and has not ended, even if its status was not collected."""
    try:
        stat = pathlib.Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


def is_second_worker(pid):
    entries = pathlib.Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    (cluster,) = (e.partition(b"=")[2] for e in entries if e.startswith(b"TF_CONFIG="))
    return json.loads(cluster)["task"]["index"] == 1


def test_dying_worker(pretraining, tmp_path):
    output = tmp_path / "run"
    flags = {**pretraining, "steps": 400, "output": output, "checkpoint_every_steps": 20}
    job = start("pretrain", **flags, workers=2)
    workers = []
    try:
        wait_for_checkpoint(job, output)
        workers = children(job.pid)
        assert len(workers) == 2
        (second,) = filter(is_second_worker, workers)
        os.kill(second, signal.SIGKILL)
        killed = time.monotonic()
        ended = end(job)
        assert time.monotonic() - killed < 60
        assert (ended.returncode, ended.stdout) == (1, "")
        assert "Traceback" not in ended.stderr
        errors = [line for line in ended.stderr.splitlines() if line.startswith("error: ")]
        assert errors == [
            "error: worker 1 of 2 ended with SIGKILL, so the run has ended; "
            "repeat the command to resume from the last checkpoint"
        ]
        assert not any(pathlib.Path(f"/proc/{worker}").exists() for worker in workers)
    finally:
        for worker in workers:
            if pathlib.Path(f"/proc/{worker}").exists():
                os.kill(worker, signal.SIGKILL)
    kept = checkpoints(output)
    assert kept
    assert not (output / "model").exists()

    alone = end(start("pretrain", **flags))
    assert alone.returncode == 0, alone.stderr
    assert f"resuming from {output / 'checkpoints' / kept[-1]}" in alone.stderr
    assert json.loads(alone.stdout.splitlines()[-1])["steps"] == 400
    assert [report["step"] for report in outcome(output)[1]] == [400]


@pytest.mark.full  # each half is tested above and below
def test_stopped_workers(pretraining, tmp_path):
    output = tmp_path / "run"
    flags = {**pretraining, "steps": 4000, "output": output, "checkpoint_every_steps": 0}
    job = start("pretrain", **flags, checkpoint_every_minutes=0.01, workers=2)
    wait_for_checkpoint(job, output)
    job.send_signal(signal.SIGTERM)
    stopped = end(job)
    assert stopped.returncode == 128 + signal.SIGTERM, stopped.stderr
    assert (stopped.stdout, "Traceback" in stopped.stderr) == ("", False)
    (last,) = (x for x in stopped.stderr.splitlines() if x.startswith("stopped by SIGTERM after"))
    kept = int(last.split()[5].rstrip(","))
    assert checkpoints(output)[-1] == f"step-{kept:010d}"


WORKER = """
import ctypes, os, pathlib, sys
from kerasbert.training.launch import spread

if spread(2) is None:
    pathlib.Path(sys.argv[1], f"{os.getpid()}.waits").touch()
    ctypes.PyDLL(None).pause()  # with the interpreter's lock, as TensorFlow does for its peers
"""


def test_killed_launcher(tmp_path):
    program = tmp_path / "program.py"
    program.write_text(WORKER)
    launcher = subprocess.Popen([sys.executable, program, tmp_path])
    limit = time.monotonic() + ENOUGH
    while len(list(tmp_path.glob("*.waits"))) < 2:
        assert time.monotonic() < limit
        time.sleep(0.01)
    workers = children(launcher.pid)
    assert len(workers) == 2
    launcher.kill()
    launcher.wait()
    while any(map(is_running, workers)):
        assert time.monotonic() < limit
        time.sleep(0.1)


def test_launcher_that_was_killed_before(tmp_path):
    program = tmp_path / "program.py"
    program.write_text(WORKER)
    gone = subprocess.Popen(["true"])
    gone.wait()
    environment = {**os.environ, "TF_CONFIG": "{}", "KERASBERT_LAUNCHER": str(gone.pid)}
    worker = subprocess.run([sys.executable, program, tmp_path], env=environment, timeout=ENOUGH)
    assert worker.returncode == 1


LONG_RESULT = """
import json
from kerasbert.training.launch import spread

result = spread(2)
print(json.dumps(list(range(50_000))) if result is None else len(result))
"""


def test_a_result_may_be_longer_than_a_pipe(tmp_path):
    program = tmp_path / "program.py"
    program.write_text(LONG_RESULT)
    words = [sys.executable, program]
    assert subprocess.run(words, capture_output=True, text=True, timeout=60).stdout == "50000\n"


SECOND_FAILS = """
import json, os, sys, time
from kerasbert.training.launch import spread

if spread(2) is None:
    if json.loads(os.environ["TF_CONFIG"])["task"]["index"] == 1:
        sys.exit("error: there are no examples")
    time.sleep(60)
"""


def test_the_reason_of_another_worker_is_named(tmp_path):
    program = tmp_path / "program.py"
    program.write_text(SECOND_FAILS)
    job = subprocess.run([sys.executable, program], capture_output=True, text=True, timeout=50)
    assert job.stderr.endswith("InputError: worker 1 of 2: there are no examples\n")


FIRST_FAILS_BECAUSE_SECOND_DIES = """
import json, os, signal, time
from kerasbert.training.launch import spread

if spread(2) is None:
    if json.loads(os.environ["TF_CONFIG"])["task"]["index"] == 1:
        time.sleep(0.5)  # a process does not end at once
        os.kill(os.getpid(), signal.SIGKILL)
    raise RuntimeError("connection reset")
"""


def test_the_worker_that_died_is_named(tmp_path):
    program = tmp_path / "program.py"
    program.write_text(FIRST_FAILS_BECAUSE_SECOND_DIES)
    job = subprocess.run(
        [sys.executable, program], capture_output=True, text=True, timeout=ENOUGH, check=False
    )
    assert "worker 1 of 2 ended with SIGKILL" in job.stderr
    assert "connection reset" not in job.stderr
