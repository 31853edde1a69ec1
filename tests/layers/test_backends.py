import pytest
import tensorflow as tf

from kerasbert.layers import backends


def test_a_cpu_compiles_no_steps():
    assert backends.computes_on_cpu()
    assert not backends.compiles_steps(10**6, 1)
    assert backends.steps_per_execution(1000, 500) == 1


@pytest.mark.parametrize(
    ("steps", "shapes", "expected"),
    [
        (1999, 1, False),
        (2000, 1, True),
        (2000, 6, False),
        (12_000, 6, True),
    ],
)
def test_a_gpu_compiles_the_steps_of_long_runs(steps, shapes, expected, monkeypatch):
    monkeypatch.setattr(backends, "computes_on_cpu", lambda: False)
    assert backends.compiles_steps(steps, shapes) == expected


@pytest.mark.parametrize(
    ("counts", "expected"),
    [((10_000, 500, 0), 10), ((10_000, 500, 5), 5), ((60, 9, 0), 3), ((7, 7, 0), 7), ((1, 1), 1)],
)
def test_steps_at_once_divide_what_is_due(counts, expected, monkeypatch):
    monkeypatch.setattr(backends, "computes_on_cpu", lambda: False)
    assert backends.steps_per_execution(*counts) == expected


def test_a_gpu_is_seen(monkeypatch):
    devices = [tf.config.LogicalDevice(f"/{kind}:0", kind) for kind in ("CPU", "GPU")]
    monkeypatch.setattr(tf.config, "list_logical_devices", lambda: devices)
    assert not backends.computes_on_cpu()
