"""Workers that nobody has started for them: what each does when another is lost."""

import json
import os
import time

import programs
import pytest
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
