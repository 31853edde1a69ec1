import pytest

from kerasbert import Pretrainer
from kerasbert.layers import backends
from kerasbert.recipes.compiling import compile_for
from kerasbert.recipes.options import FinetuneOptions, PretrainOptions


@pytest.mark.parametrize(
    ("jit_compile", "on_cpu", "steps", "expected"),
    [
        ("auto", True, 5000, False),
        ("auto", False, 5000, True),
        ("auto", False, 60, False),
        ("true", True, 60, True),
        ("false", False, 5000, False),
    ],
)
def test_which_steps_xla_compiles(
    jit_compile, on_cpu, steps, expected, tiny_backbone, tokenizer, monkeypatch
):
    monkeypatch.setattr(backends, "computes_on_cpu", lambda: on_cpu)
    model = Pretrainer(tiny_backbone(tokenizer, pooler=True))
    options = PretrainOptions(corpus="corpus", output="run", jit_compile=jit_compile)
    compile_for(options, model, steps, report_every=500)
    assert model.jit_compile == expected
    assert model.needs_few_shapes == expected
    assert model.steps_per_execution == (1 if on_cpu else 10)


@pytest.mark.parametrize("strategy", ["multiworker", "tpu"])
def test_steps_that_xla_does_not_compile_by_itself(strategy, tiny_backbone, tokenizer, monkeypatch):
    monkeypatch.setattr(backends, "computes_on_cpu", lambda: False)
    model = Pretrainer(tiny_backbone(tokenizer, pooler=True))
    options = PretrainOptions(corpus="corpus", output="run", strategy=strategy)
    compile_for(options, model, 5000, report_every=500)
    assert not model.jit_compile


def test_how_steps_run_may_change_on_resume():
    """Also of runs that stored it."""
    options = FinetuneOptions(init="model", train="a.tsv", output="run", jit_compile="true")
    stored = {**options.settings, "steps_per_execution": 1}
    assert options.upgraded(stored) == options.settings
