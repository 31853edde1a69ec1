import json
import re
import types

import pytest
import tensorflow as tf

from kerasbert import InputError
from kerasbert.training.strategies import STRATEGIES, describe, is_chief, make_strategy


def test_none_is_the_default_strategy():
    assert make_strategy("none") is tf.distribute.get_strategy()


GPUS = len(tf.config.list_physical_devices("GPU"))


@pytest.mark.skipif(not GPUS, reason="there is no GPU")
def test_mirrored_takes_every_gpu():
    strategy = make_strategy("mirrored")
    assert isinstance(strategy, tf.distribute.MirroredStrategy)
    assert strategy.num_replicas_in_sync == GPUS
    assert describe(strategy).startswith(f"{GPUS} GPU")


@pytest.mark.skipif(GPUS > 0, reason="there is a GPU")
def test_mirrored_is_not_for_one_cpu():
    with pytest.raises(InputError, match=r"mirrored found no GPU; .*--num_virtual_devices=2"):
        make_strategy("mirrored")


def test_devices_are_described():
    one = make_strategy("none")
    assert re.match(r"CPU \(\d+ cores?\)$|1 GPU \(.+\)$", describe(one))


def test_virtual_devices_are_not_taken_where_there_is_a_gpu(monkeypatch):
    monkeypatch.setattr(tf.config, "get_visible_devices", lambda kind: [kind])
    with pytest.raises(
        InputError, match=r"^num_virtual_devices=2 cuts the CPU, but there is a GPU"
    ):
        make_strategy("mirrored", 2)


@pytest.mark.skipif(GPUS > 0, reason="there is a GPU")
def test_virtual_devices_come_too_late_once_tensorflow_has_computed():
    tf.constant(1) + 1
    with pytest.raises(InputError, match="before TensorFlow computes anything"):
        make_strategy("mirrored", 3)


@pytest.mark.parametrize("name", ["parameterserver", "parameter_server"])
def test_parameter_server_is_refused(name):
    with pytest.raises(InputError, match=r"ParameterServerStrategy.*use multiworker"):
        make_strategy(name)


def test_unknown_name():
    with pytest.raises(InputError, match=f"one of {', '.join(STRATEGIES)}, found 'horovod'"):
        make_strategy("horovod")


def test_multiworker_needs_a_cluster(monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    with pytest.raises(InputError, match="needs TF_CONFIG"):
        make_strategy("multiworker")


def _cluster(index, **jobs):
    return json.dumps({"cluster": jobs, "task": {"type": "worker", "index": index}})


@pytest.mark.parametrize(
    "cluster",
    [
        "localhost:1",
        "[]",
        "3",
        "{}",
        _cluster(0, chief=["localhost:1"]),
        _cluster(2, worker=["localhost:1", "localhost:2"]),
        _cluster(-1, worker=["localhost:1"]),
        _cluster("0", worker=["localhost:1"]),
        _cluster(0, worker="localhost:1"),
        json.dumps({"cluster": {"worker": ["localhost:1"]}}),
    ],
)
def test_multiworker_with_a_bad_cluster(monkeypatch, cluster):
    # What gets past the check must not start a server here.
    monkeypatch.setattr(tf.distribute, "MultiWorkerMirroredStrategy", lambda: None)
    monkeypatch.setenv("TF_CONFIG", cluster)
    with pytest.raises(InputError, match="TF_CONFIG is not a cluster with a task in it"):
        make_strategy("multiworker")


def test_tpu_is_not_there(monkeypatch):
    for name in ("TPU_NAME", "KUBE_GOOGLE_CLOUD_TPU_ENDPOINTS"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(InputError, match="no TPU is found"):
        make_strategy("tpu")


@pytest.mark.parametrize(
    ("kind", "index", "chief"),
    [("worker", 0, True), ("worker", 1, False), ("", None, True), (None, None, True)],
)
def test_is_chief(kind, index, chief):
    resolver = types.SimpleNamespace(task_type=kind, task_id=index)
    assert is_chief(types.SimpleNamespace(cluster_resolver=resolver)) == chief


def test_one_process_is_chief():
    assert is_chief(make_strategy("none"))
