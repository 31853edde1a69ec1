"""What programs say before they begin; all here must come at once, without TensorFlow or Keras."""

import dataclasses
import json
import math
import pathlib
import re
import shlex
import subprocess
import sys
import types

import pytest

from kerasbert import cli
from kerasbert.errors import InputError
from kerasbert.options import Options, option
from kerasbert.recipes import options as all_options

ROOT = pathlib.Path(__file__).resolve().parents[2]
SCRIPTS = sorted(ROOT.glob("scripts/*.py"))
# Runs a program in this process and ends with a line that says what it imported.
_RUN = """
import runpy, sys
sys.argv = sys.argv[1:]
try:
    runpy.run_path(sys.argv[0], run_name="__main__")
except SystemExit as end:
    heavy = sorted({"tensorflow", "keras", "numpy", "jax"} & sys.modules.keys())
    print("imported", heavy, "status", end.code)
"""


def run(script, *arguments):
    words = [sys.executable, "-c", _RUN, f"scripts/{script}.py", *arguments]
    return subprocess.run(words, capture_output=True, text=True, cwd=ROOT)


def test_help_that_is_not_read_to_its_end():
    words = [sys.executable, ROOT / "scripts" / "finetune.py", "--help"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child:
        child.stdout.close()
        assert child.stderr.read() == b""
    assert child.returncode == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--colour=red"], "Unknown command line flag 'colour'"),
        (["--lerning_rate=1"], "Did you mean: learning_rate"),
        (["--steps=many"], "flag --steps=many: invalid literal"),
        (["--steps=3"], "--corpus and --output must be given"),
        (["--corpus=c", "--output=o", "--learning_rate=-1"], "--learning_rate must be more than 0"),
        (["--corpus=c", "--output=o", "--precision=int8"], "--precision must be one of float32,"),
        (
            ["--corpus=c", "--output=o", "--preset=bert_tny"],
            "'bert_tny'; did you mean bert_tiny",
        ),
        (["--corpus=c", "--output=o", "again"], "unexpected argument 'again'"),
    ],
)
def test_a_bad_flag_is_refused_at_once(arguments, message):
    child = run("pretrain", *arguments)
    (line,) = child.stderr.splitlines()
    assert line.startswith("error: ")
    assert message in line
    assert child.stdout == "imported [] status 1\n"


def test_help_comes_at_once_and_names_every_flag():
    child = run("pretrain", "--help")
    *lines, last = child.stdout.splitlines()
    assert (last, child.stderr) == ("imported [] status 0", "")
    assert lines[0] == ("usage: python scripts/pretrain.py --corpus TEXT --output TEXT [options]")
    shown = " ".join(" ".join(lines).split())
    for field in dataclasses.fields(all_options.PretrainOptions):
        assert f" --{field.name} " in shown or f" --[no]{field.name} " in shown
        assert " ".join(field.metadata["help"].split()) in shown
    headings = [line for line in lines if re.match(r"\S.*:$", line)]
    assert headings[:3] == ["Example:", "options:", "how it learns:"]
    assert "(required)" in shown
    assert "training steps (default: 10000)" in shown


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_examples_are_command_lines(script):
    module = types.ModuleType(script.stem)
    code = compile(script.read_text(), script, "exec")
    exec(code, module.__dict__)
    (name,) = (name for name in vars(module) if name.endswith("Options"))
    example = module.__doc__.split("Example:")[1]
    python, program, *flags = shlex.split(example.replace("\\\n", ""))
    assert (python, program) == ("python", f"scripts/{script.name}")
    options = cli._parse([program, *flags], getattr(module, name))
    given = {flag.removeprefix("--").split("=")[0] for flag in flags if flag.startswith("--")}
    assert given <= dataclasses.asdict(options).keys()


def test_the_result_is_json(monkeypatch, capsys):
    module = types.SimpleNamespace(recipe=lambda options: {"pearson": math.nan, "model": "\udcff"})
    monkeypatch.setattr(cli.importlib, "import_module", lambda name: module)
    monkeypatch.setattr(cli.sys, "argv", ["program"])
    cli.run("recipe", Options)
    result = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
    assert result == {"pearson": None, "model": "\udcff"}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Numbers(Options):
    share: float = option(0.5, help="", least=0, most=1)
    momentum: float = option(0.5, help="", above=0, below=1)
    count: int = option(1, help="", least=1)
    kind: str | None = option(None, help="", choices=("a", "b"))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"share": 1.5}, "--share must be between 0 and 1, found 1.5"),
        ({"share": float("nan")}, "--share must be a finite number, found nan"),
        ({"momentum": 1.0}, "--momentum must be more than 0 and less than 1, found 1.0"),
        ({"count": 0}, "--count must be 1 or more, found 0"),
        ({"kind": "c"}, "--kind must be one of a, b, found 'c'"),
    ],
)
def test_limits(values, message):
    with pytest.raises(InputError, match=f"^{message}$"):
        Numbers(**values)


def test_limits_let_the_rest_through():
    assert Numbers(share=1, momentum=0.1, count=1, kind="b").kind == "b"


def test_every_number_has_limits():
    """But seeds, which may be any."""
    for name, cls in vars(all_options).items():
        if not name.endswith("Options") or name == "Options":
            continue
        for field in dataclasses.fields(cls):
            if field.type in (int, float, int | None, float | None) and field.name != "seed":
                assert any(
                    field.metadata[limit] is not None for limit in ("least", "most", "above")
                ), f"{name}.{field.name}"


def test_choices_are_those_there_are():
    from kerasbert import checkpoints
    from kerasbert.recipes.evaluate import _METRICS
    from kerasbert.recipes.jobs import JOBS
    from kerasbert.training import distillation, optimizers, strategies

    assert tuple(optimizers.OPTIMIZERS) == all_options.OPTIMIZERS
    assert all_options.DECAYS == optimizers.DECAYS
    assert all_options.STRATEGIES == strategies.STRATEGIES
    assert tuple(JOBS) == all_options.TASKS
    assert tuple(checkpoints.FORMATS) == all_options.FORMATS
    assert tuple(_METRICS) == all_options.METRICS
    choices = {f.name: f.metadata["choices"] for f in dataclasses.fields(all_options.DistilOptions)}
    assert choices["hidden"] == tuple(distillation.HIDDEN)
    assert choices["attention"] == tuple(distillation.ATTENTION)
