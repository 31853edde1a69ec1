"""Workers that nobody has started for them: what each does when another is lost."""

import json
import os
import signal
import time

import network
import numpy as np
import programs
import pytest
from safetensors.numpy import load_file
from test_scripts import command

from kerasbert import Pretrainer
from kerasbert.training.launch import clusters

ENOUGH = 240  # of a machine that does other things, too
LOST = (
    "ended or can't be reached, so this worker has ended too; to resume from the last checkpoint, "
    "repeat the command on all workers, or on fewer of them with a TF_CONFIG that has no others"
)


@pytest.fixture(scope="module")
def pretraining(tokenizer, tiny_backbone, corpus_dir, tmp_path_factory):
    init = tmp_path_factory.mktemp("init") / "model"
    backbone = tiny_backbone(tokenizer, pooler=True)
    Pretrainer(backbone, tokenizer=tokenizer, sequence_length=24).save_to_preset(init)
    return {
        "init": init,
        "corpus": corpus_dir,
        "sequence_length": 24,
        "dropout": 0,
        "checkpoint_every_steps": 20,
    }


def start(words, cluster):
    variables = {**os.environ, "TF_CONFIG": json.dumps(cluster)}
    return programs.start(words, env=variables)


def newest(output):
    steps = [int(path.name.removeprefix("step-")) for path in output.glob("checkpoints/step-*")]
    return max(steps, default=0)


def wait_until(condition, workers):
    limit = time.monotonic() + ENOUGH
    while not condition():
        for worker in workers:
            assert worker.poll() is None, worker.communicate()
        assert time.monotonic() < limit
        time.sleep(0.05)


def errors(workers, lost):
    """The last line of each worker but the lost one; all end within a bounded time."""
    limit = time.monotonic() + 40  # TensorFlow misses a worker after about 10 seconds
    lines = {}
    for index, worker in enumerate(workers):
        ended = programs.end(worker, max(limit - time.monotonic(), 1))
        assert "Traceback" not in ended.stderr
        assert "WARNING" not in ended.stderr
        if index != lost:
            assert (ended.returncode, ended.stdout) == (1, "")
            lines[index] = ended.stderr.splitlines()[-1]
    return lines


def test_a_worker_is_killed(pretraining, tmp_path):
    output = tmp_path / "run"
    words = command("pretrain", **pretraining, batch_size=4, steps=20_000, output=output)
    each = clusters(2)
    address = each[0]["cluster"]["worker"][1]
    workers = [start([*words, "--strategy=multiworker"], cluster) for cluster in each]
    try:
        wait_until(lambda: newest(output), workers)
        workers[1].kill()
        assert errors(workers, lost=1)[0] in (
            f"error: worker 1 ({address}) of 2 {LOST}",
            f"error: another worker {LOST}",
        )
    finally:
        for worker in workers:
            worker.kill()
    assert newest(output)
    assert not (output / "model").exists()


@pytest.fixture
def hosts():
    try:
        hosts = network.Network(4)
    except OSError as error:
        pytest.skip(str(error))
    yield hosts
    hosts.close()


def losses(output, name="metrics.jsonl"):
    lines = [json.loads(line) for line in (output / name).read_text().splitlines()]
    return [line["step"] for line in lines], [line["loss"] for line in lines]


@pytest.mark.weekly
@pytest.mark.full
def test_four_hosts(pretraining, hosts, tmp_path):
    """One is slow, and waited for; one is cut off, and three go on; one is killed, and two do."""
    output, alone = tmp_path / "run", tmp_path / "alone"
    # Ten rows: as many workers as there are now share them, evenly or not.
    flags = {**pretraining, "batch_size": 10, "steps": 600, "validation_interval": 100}

    def run(members):
        each = [f"{hosts.addresses[member]}:2222" for member in members]
        words = command("pretrain", **flags, output=output, strategy="multiworker")
        return [
            start(
                hosts.command(member, words),
                {"cluster": {"worker": each}, "task": {"type": "worker", "index": index}},
            )
            for index, member in enumerate(members)
        ]

    workers = run([0, 1, 2, 3])
    try:
        wait_until(lambda: newest(output), workers)
        hosts.slow_down(2, "2mbit")
        workers[1].send_signal(signal.SIGSTOP)
        time.sleep(4)
        workers[1].send_signal(signal.SIGCONT)
        slow = newest(output)
        wait_until(lambda: newest(output) > slow, workers)
        hosts.unplug(3)
        lines = errors(workers, lost=None)
        assert all(line.endswith(LOST) for line in lines.values())
        assert {lines[i].split(" of ")[0] for i in (0, 1, 2)} == {
            "error: worker 3 (10.77.0.4:2222)"
        }
        assert not (output / "model").exists()

        stored = newest(output)
        workers = run([0, 1, 2])
        wait_until(lambda: newest(output) > stored, workers)
        workers[0].kill()  # the one that writes
        for line in errors(workers, lost=0).values():
            assert line.endswith(LOST)

        workers = run([1, 2])
        first, second = (programs.end(worker, ENOUGH) for worker in workers)
        assert first.returncode == second.returncode == 0, first.stderr + second.stderr
        assert "resuming from " in first.stderr
        assert json.loads(first.stdout.splitlines()[-1])["steps"] == 600
    finally:
        for worker in workers:
            worker.kill()
    assert programs.run(command("pretrain", **flags, output=alone), timeout=ENOUGH).returncode == 0
    for name in ("metrics.jsonl", "losses.jsonl"):
        (steps, found), (same_steps, expected) = losses(output, name), losses(alone, name)
        assert steps == same_steps
        np.testing.assert_allclose(found, expected, rtol=1e-3)
    ours, theirs = (load_file(path / "model" / "model.safetensors") for path in (output, alone))
    for name, weight in theirs.items():
        np.testing.assert_allclose(ours[name], weight, atol=1e-3)
    assert not (output / "checkpoints").exists()
