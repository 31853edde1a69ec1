"""What programs print before they begin, quickly and without importing TensorFlow or Keras."""

import ast
import dataclasses
import importlib.util
import json
import math
import os
import pathlib
import re
import shlex
import subprocess
import sys
import types
import warnings

import pytest

import kerasbert
from kerasbert import cli, mistyped, program
from kerasbert import options as options_module
from kerasbert.errors import InputError
from kerasbert.options import Options, option
from kerasbert.recipes import options as all_options

ROOT = pathlib.Path(__file__).resolve().parents[2]
# `distil.py` is the old name of another program.
SCRIPTS = sorted(set(ROOT.glob("scripts/*.py")) - {ROOT / "scripts/distil.py"})
# Runs a program in this process, and prints at the end what it imported.
_RUN = """
import runpy, sys
sys.argv = sys.argv[1:]
status = 0
try:
    runpy.run_path(sys.argv[0], run_name="__main__")
except SystemExit as end:
    status = end.code
heavy = sorted({"tensorflow", "keras", "numpy", "jax"} & sys.modules.keys())
print("imported", heavy, "status", status)
"""


def run(script, *arguments):
    words = [sys.executable, "-c", _RUN, f"scripts/{script}.py", *arguments]
    return subprocess.run(words, capture_output=True, text=True, cwd=ROOT)


def test_warnings_and_errors_are_one_line_that_a_terminal_can_show(capsys, monkeypatch):
    def fail(options):
        raise OSError("c" * 5000 + "\x9b")

    monkeypatch.setattr(warnings, "formatwarning", warnings.formatwarning)
    monkeypatch.setattr(sys, "argv", ["program"])
    recipe = types.ModuleType("recipes.fail")
    recipe.fail = fail
    monkeypatch.setitem(sys.modules, recipe.__name__, recipe)
    with pytest.raises(SystemExit):
        cli.run("recipes.fail", Options)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ccc")
    assert line.endswith(r"cc\x9b")
    assert len(line) < 3000
    warning = warnings.formatwarning("a\x1b[2J\nb", UserWarning, "file.py", 3)
    assert warning == "warning: a\\x1b[2J\\nb\n"


def test_help_to_a_closed_pipe():
    words = [sys.executable, ROOT / "scripts" / "finetune.py", "--help"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child:
        child.stdout.close()
        assert child.stderr.read() == b""
    assert child.returncode == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--colour=red"], "there is no flag --colour; --help lists the flags"),
        (["--lerning_rate=1"], "there is no flag --lerning_rate; did you mean --learning_rate?"),
        (["--steps=many"], "--steps must be an integer, found 'many' (training steps)"),
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


GOOD = ["--init=hf://a/b", "--train=README.md", "--output=o"]


def parse_finetune(*words):
    return cli.parse(["kerasbert finetune", *GOOD, *words], all_options.FinetuneOptions)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        # Flags that are spelled in another way, of other libraries, or of another program.
        ("--learning-rate 1", "there is no flag --learning-rate; did you mean --learning_rate? "),
        ("--Epochs=1", "there is no flag --Epochs; did you mean --epochs? "),
        ("--no-strict", "there is no flag --no-strict; did you mean --nostrict? "),
        ("--lr=1", "there is no flag --lr; did you mean --learning_rate? "),
        ("--num_train_epochs=1", "there is no flag --num_train_epochs; did you mean --epochs? "),
        ("--model=m", "there is no flag --model; did you mean --init? "),
        ("--corpus=c", "it is a flag of kerasbert corpus_info, kerasbert pretrain; --help lists"),
        ("--hlep", "there is no flag --hlep; did you mean --help? "),
        ("--help=x", "--help takes no value"),
        # Values.
        ("--epochs=three", "--epochs must be an integer, found 'three' (number of epochs)"),
        ("--epochs 3.5", "--epochs must be an integer, found '3.5' (number of epochs)"),
        ("--learning_rate=fast", "--learning_rate must be a number, found 'fast' (peak"),
        ("--strict=maybe", "--strict must be true or false, found 'maybe'; --help lists"),
        ("--epochs", "--epochs has no value; --help lists the flags"),
        ("--monitor --dry_run", "--monitor has no value: --dry_run follows; --help lists"),
        ("--nostrict=1", "--nostrict=1 takes no value; --help lists the flags"),
        ("--flagfile=none", "--flagfile: No such file or directory: 'none'; --help lists"),
        ("--task=ner", "found 'ner'; did you mean token_classification?"),
        ("--task=QA", "found 'QA'; did you mean question_answering?"),
        ("--task=sentiment", "found 'sentiment'; did you mean text_classification?"),
        ("--task=fill-mask", "found 'fill-mask'; did you mean masked_lm?"),
        ("--task=TokenClassifier", "found 'TokenClassifier'; did you mean token_classification?"),
        ("--optimizer=adam", "must be one of adamw, lamb, found 'adam'; did you mean adamw?"),
        ("--precision=bf16", "found 'bf16'; did you mean bfloat16?"),
        ("--precision=mixed_float16", "found 'mixed_float16'; did you mean float16?"),
        # Given twice, which would use the last one only.
        ("--epochs 3 --epochs 4", "--epochs is given 2 times, as 3 and as 4; give it once"),
        ("--train=dev.tsv", "--train is given 2 times, as README.md and as dev.tsv; give it once"),
        ("--strict --nostrict", "--strict is given 2 times; give it once"),
        # Arguments without a flag.
        ("help", "unexpected argument 'help'; did you mean --help?"),
        ("epochs=3", "unexpected argument 'epochs=3'; did you mean --epochs=3?"),
        ("--strict yes", "--strict takes no value, found 'yes'; --nostrict turns it off"),
        ("--freeze layer_0 layer_1", "'layer_1'; give each value its --freeze, and quote a"),
        ("again", "unexpected argument 'again'; every option is a --flag"),
    ],
)
def test_what_was_probably_meant(words, message):
    with pytest.raises(InputError, match=re.escape(message)):
        parse_finetune(*words.split())


def test_what_is_missing():
    def parse(*words):
        cli.parse(["kerasbert finetune", *words], all_options.FinetuneOptions)

    with pytest.raises(InputError, match=r"^--init, --train and --output must be given"):
        parse()
    with pytest.raises(InputError, match=r"argument 'a.tsv'; did you mean --train a.tsv\?$"):
        parse("a.tsv", *GOOD[::2])


def test_a_file_of_flags_comes_before_other_flags(tmp_path):
    (tmp_path / "flags").write_text("--epochs=7\n--batch_size=8\n")
    options = parse_finetune(f"--flagfile={tmp_path}/flags", "--epochs=9")
    assert (options.epochs, options.batch_size) == (9, 8)
    for file in (f"--flagfile={tmp_path}/flags", f"-flagfile {tmp_path}/flags"):
        with pytest.raises(InputError, match=r"^--epochs is given 2 times, as 3 and as 4;"):
            parse_finetune(*file.split(), "--epochs=3", "--epochs=4")


def test_arguments_in_a_file_of_flags(tmp_path):
    (tmp_path / "flags").write_text("--batch_size=8\nepochs=7\n")
    with pytest.raises(InputError, match=r"argument 'epochs=7'; did you mean --epochs=7\?$"):
        parse_finetune(f"--flagfile={tmp_path}/flags")
    (tmp_path / "flags").write_text("--strict\nyes\n")
    with pytest.raises(InputError, match=r"^--strict takes no value, found 'yes';"):
        parse_finetune(f"--flagfile={tmp_path}/flags")


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ("--train=D/trian.tsv", "--train: D/trian.tsv: no such file; did you mean D/train.tsv?"),
        ("--train=D/xyz", "--train: D/xyz: no such file"),
        ("--train=D/none/train.tsv", "no such file; there is no directory D/none"),
        ("--train=D", "--train: D: is a directory, not a file; it holds run, train.tsv"),
        ("--validation=D/dev", "--validation: D/dev: no such file"),
        ("--init=bert-base-uncased", "on Hugging Face it is hf://google-bert/bert-base-uncased"),
        ("--init=bert_tiny", "'bert_tiny' is an architecture without weights"),
        ("--init=D/rnu/model", "--init: D/rnu/model: no such model directory"),
        ("--init=D/run/modle", "or a KerasHub preset; did you mean D/run/model?"),
        ("--init=D/train.tsv", "--init: D/train.tsv: is a file; expected the model's directory"),
    ],
)
def test_inputs_are_looked_for_at_once(flags, message, tmp_path):
    (tmp_path / "train.tsv").write_text("")
    (tmp_path / "run" / "model").mkdir(parents=True)
    given = {"--init": f"{tmp_path}/run/model", "--train": f"{tmp_path}/train.tsv", "--output": "o"}
    given |= dict([flags.replace("D", str(tmp_path)).split("=")])
    _, errors, last = command("finetune", *(f"{name}={value}" for name, value in given.items()))
    (line,) = errors.splitlines()
    assert last == "imported [] status 1"
    assert line.startswith("error: --")
    assert message.replace("D", str(tmp_path)) in line


@pytest.mark.parametrize("source", ["tfds:glue/sst2:train", "s3://b/train.tsv", "*.tsv", "none*"])
def test_sources_that_are_no_paths_are_not_looked_for(source):
    all_options.BuildVocabOptions(input=[source], output="o").check_inputs()


def test_every_input_is_looked_for(tmp_path):
    none = f"{tmp_path}/none"
    distill = all_options.DistillOptions(
        teacher="hf://a/b", train=["*.tsv"], student="bert_tiny", output="o"
    )
    pretrain = all_options.PretrainOptions(corpus=["s3://c"], output="o", mask_unit="ngram")
    for options, message in (
        (dataclasses.replace(distill, student=none), "student: .*: no such model directory"),
        (dataclasses.replace(pretrain, similar_words=none), "similar_words: .*: no such file"),
        (all_options.ServeOptions(saved_model=[none]), "saved_model: .*: no such directory"),
    ):
        with pytest.raises(InputError, match=f"^--{message}"):
            options.check_inputs()
    for student in ("bert_tiny", "hf://a/b", str(tmp_path)):
        dataclasses.replace(distill, student=student).check_inputs()


def test_a_corpus_is_looked_for_without_its_weight(tmp_path):
    options = all_options.PretrainOptions(corpus=[f"{tmp_path}:0.5"], output="o")
    options.check_inputs()
    with pytest.raises(InputError, match=f"^--corpus: {tmp_path}/x: no such directory$"):
        dataclasses.replace(options, corpus=[f"{tmp_path}/x:0.5"]).check_inputs()


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
    assert headings[:3] == ["Example:", "options:", "optimization:"]
    assert "(required)" in shown
    assert "training steps (default: 10000)" in shown


def options_of(script):
    is_recipe = importlib.util.find_spec(f"kerasbert.recipes.{script.stem}")
    return program.options_class(script.stem, "kerasbert.recipes" if is_recipe else "benchmarks")


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_examples_are_command_lines(script):
    options_class = options_of(script)
    assert options_class.program.examples
    for example in options_class.program.examples:
        flags = shlex.split(example)
        options = cli.parse([script.stem, *flags], options_class)
        passed_on = getattr(options, options_class.passes_on) if options_class.passes_on else []
        flags = [flag for flag in flags if flag.startswith("--") and flag not in passed_on]
        given = {flag.removeprefix("--").split("=")[0] for flag in flags}
        assert given <= dataclasses.asdict(options).keys()


def test_flags_that_are_passed_on():
    words = ["program", "--input=a", "--runner=X", "--vocab=v", "--output=o", "--workers", "3"]
    options = cli.parse([*words, "--beam=--more"], all_options.PrepareCorpusBeamOptions)
    assert (options.input, options.vocab) == (["a"], "v")
    assert options.beam == ["--more", "--runner=X", "--workers", "3"]
    with pytest.raises(InputError, match="--part is set for each worker"):
        cli.parse([*words, "--part=1/2"], all_options.PrepareCorpusBeamOptions)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_scripts_say_what_the_help_says(script):
    docstring = ast.get_docstring(ast.parse(script.read_text()))
    assert docstring == options_of(script).program.description


def test_scripts_and_commands_are_the_same():
    """Except comparisons with other libraries, whose code is not installed."""
    scripts = {script.stem for script in SCRIPTS if '"benchmarks"' not in script.read_text()}
    assert scripts == all_options.programs().keys()
    for name in all_options.programs():
        assert importlib.util.find_spec(f"kerasbert.recipes.{name}"), name


def command(*words):
    """Runs `python -m kerasbert`, and returns what it prints and imports."""
    code = _RUN.replace("runpy.run_path(sys.argv[0]", "runpy.run_module('kerasbert'")
    child = subprocess.run(
        [sys.executable, "-c", code, "kerasbert", *words], capture_output=True, text=True, cwd=ROOT
    )
    *lines, last = child.stdout.splitlines()
    return "\n".join(lines), child.stderr, last


def test_the_command_describes_its_subcommands():
    shown, errors, last = command("--help")
    assert (errors, last) == ("", "imported [] status 0")
    assert command()[0] == shown
    shown = " ".join(shown.split())
    for name, options_class in all_options.programs().items():
        assert f" {name} {options_class.program.description}" in shown
    assert [stage for stage in all_options.STAGES if f" {stage}: " in shown] == [
        *all_options.STAGES
    ]
    assert command("--version") == (kerasbert.__version__, "", "imported [] status 0")


def test_a_subcommand_is_the_script():
    script, (shown, errors, last) = run("finetune", "--help"), command("finetune", "--help")
    words = script.stdout.replace("python scripts/finetune.py", "kerasbert finetune").split()
    assert [*shown.split(), *last.split()] == words
    assert errors == ""
    shown, errors, last = command("finetune", "--lerning_rate=1")
    assert errors == run("finetune", "--lerning_rate=1").stderr
    assert (shown, last) == ("", "imported [] status 1")


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("finetun", "did you mean kerasbert finetune? "),
        ("fine-tune", "did you mean kerasbert finetune? "),
        ("prepare-corpus", "did you mean kerasbert prepare_corpus? "),
        (
            "train",
            "did you mean kerasbert finetune or kerasbert pretrain or kerasbert distill? ",
        ),
        ("version", "did you mean kerasbert --version? "),
        ("xyz", ""),
    ],
)
def test_an_unknown_command(name, hint):
    _, errors, last = command(name, "--help")
    line = f"error: there is no command {name!r}; {hint}kerasbert --help lists the commands\n"
    assert (errors, last) == (line, "imported [] status 1")


def test_help_of_a_command():
    assert command("help") == command("--help")
    for words in (("help", "finetune"), ("finetune", "-h")):
        assert command(*words) == command("finetune", "--help")


def test_words_for_commands_name_commands():
    named = {name for names in mistyped.COMMANDS_ELSEWHERE.values() for name in names}
    assert named <= {*all_options.programs(), "--version"}
    assert not mistyped.COMMANDS_ELSEWHERE.keys() & all_options.programs().keys()


@pytest.mark.parametrize("name", all_options.programs())
def test_names_of_elsewhere_are_not_names_of_this_program(name):
    fields = dataclasses.fields(all_options.programs()[name])
    elsewhere = [word for field in fields for word in field.metadata["elsewhere"]]
    assert len(set(elsewhere)) == len(elsewhere)
    assert not {field.name for field in fields} & set(elsewhere)
    for field in fields:
        synonyms = field.metadata["synonyms"]
        assert set(synonyms.values()) <= set(options_module.choices(field))


def test_a_program_of_several_workers_starts_itself_again():
    """As `launch` does: with the path of the file in `sys.argv`."""
    words = [sys.executable, ROOT / "kerasbert" / "__main__.py", "predict", "--help"]
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    child = subprocess.run(words, capture_output=True, text=True, env=environment)
    assert (child.returncode, child.stderr) == (0, "")
    assert child.stdout.startswith("usage: kerasbert predict ")


def test_messages_name_commands_that_exist():
    """A script is there in a clone only."""
    names = "|".join(all_options.programs())
    for path in sorted(ROOT.glob("kerasbert/**/*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                assert not re.search(rf"(?<![\w/])({names})\.py", node.value), path


def test_the_result_is_json(monkeypatch, capsys):
    module = types.SimpleNamespace(recipe=lambda options: {"pearson": math.nan, "model": "\udcff"})
    monkeypatch.setattr(cli.importlib, "import_module", lambda name: module)
    monkeypatch.setattr(cli.sys, "argv", ["program"])
    cli.run("recipe", Options)
    result = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
    assert result == {"pearson": None, "model": "\udcff"}


FINITE = "a finite number, at most 3.4e+38"
INTEGER = f"a 64-bit integer, at most {2**63 - 1}"


# A program whose recipe is `{body}`, and that receives a signal at `signal()`.
_SIGNALLED = """
import atexit, dataclasses, os, sys, types
from kerasbert import program
from kerasbert.errors import Interrupted
from kerasbert.options import Options

def signal(kind=2):
    os.kill(os.getpid(), kind)

class FakeOptions(Options):
    def __post_init__(self):
        {options}

def fake(options):
    {body}
    return {{}}

fakes, recipe, options = map(types.ModuleType, ("fakes", "fakes.fake", "fakes.options"))
recipe.fake, options.FakeOptions = fake, FakeOptions
sys.modules |= {{module.__name__: module for module in (fakes, recipe, options)}}
sys.argv = ["program"]
program.run("fake", "fakes")
"""
_CLEANS_UP = """
    try:
        signal(KIND)
    finally:
        print("removed", flush=True)
        CLEANING
"""


@pytest.mark.parametrize(
    ("options", "body", "kind", "line", "removed"),
    [
        ("signal()", "pass", 2, "stopped by SIGINT", False),
        ("signal(15)", "pass", 15, "stopped by SIGTERM", False),
        ("pass", _CLEANS_UP, 2, "stopped by SIGINT", True),
        ("pass", _CLEANS_UP, 15, "stopped by SIGTERM", True),
        ("pass", _CLEANS_UP.replace("CLEANING", "1 / 0"), 2, "stopped by SIGINT", True),
        (
            "pass",
            _CLEANS_UP.replace("CLEANING", "raise Interrupted('kept', 2)"),
            2,
            "kept",
            True,
        ),
    ],
)
def test_a_signal_ends_a_program_in_one_line(options, body, kind, line, removed):
    body = body.replace("KIND", str(kind)).replace("CLEANING", "pass")
    words = [sys.executable, "-c", _SIGNALLED.format(options=options, body=body)]
    child = subprocess.run(words, capture_output=True, text=True, cwd=ROOT)
    assert (child.returncode, child.stderr) == (128 + kind, f"{line}\n")
    assert child.stdout == ("removed\n" if removed else "")


def test_a_second_signal_ends_a_program_at_once_whatever_its_kind():
    body = _CLEANS_UP.replace("KIND", "15").replace("CLEANING", "signal(2)")
    words = [sys.executable, "-c", _SIGNALLED.format(options="pass", body=body)]
    child = subprocess.run(words, capture_output=True, text=True, cwd=ROOT)
    assert (child.returncode, child.stderr, child.stdout) == (-2, "", "removed\n")


def shown(stdout):
    """Prints lines as programs do; returns the status and what is said on stderr."""
    code = "from kerasbert.program import show; [show(str(line)) for line in range(9)]"
    words = [sys.executable, "-c", code]
    child = subprocess.run(words, stdout=stdout, stderr=subprocess.PIPE, text=True, cwd=ROOT)
    return child.returncode, child.stderr


def test_nobody_reads_what_a_program_prints():
    """Its work is done nevertheless, as of `kerasbert convert | head -1`."""
    reader, writer = os.pipe()
    os.close(reader)
    with open(writer, "wb") as closed:
        assert shown(closed) == (0, "")


def test_what_a_program_prints_can_not_be_written():
    with open("/dev/full", "wb") as full:
        status, said = shown(full)
    assert status == 1
    assert said == "error: standard output can't be written: No space left on device\n"


def test_a_signal_after_the_end_changes_nothing():
    words = [
        sys.executable,
        "-c",
        _SIGNALLED.format(options="pass", body="atexit.register(signal)"),
    ]
    child = subprocess.run(words, capture_output=True, text=True, cwd=ROOT)
    assert (child.returncode, child.stderr, child.stdout) == (0, "", "{}\n")


def test_a_signal_that_is_ignored_stays_so():
    code = "import signal; signal.signal(2, signal.SIG_IGN)" + _SIGNALLED
    words = [sys.executable, "-c", code.format(options="pass", body="signal()")]
    child = subprocess.run(words, capture_output=True, text=True, cwd=ROOT)
    assert (child.returncode, child.stderr, child.stdout) == (0, "", "{}\n")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Numbers(Options):
    share: float = option(0.5, help="of all; 0: none", minimum=0, maximum=1)
    momentum: float = option(0.5, help="", exclusive_minimum=0, exclusive_maximum=1)
    count: int = option(1, help="", minimum=1)
    kind: str | None = option(None, help="", choices=("a", "b"))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"share": 1.5}, "--share must be between 0 and 1, found 1.5 (of all; 0: none)"),
        ({"share": math.nan}, f"--share must be {FINITE}, found nan (of all; 0: none)"),
        ({"share": math.inf}, f"--share must be {FINITE}, found inf (of all; 0: none)"),
        ({"share": 1e39}, f"--share must be {FINITE}, found 1e+39 (of all; 0: none)"),
        ({"count": 2**63}, f"--count must be {INTEGER}, found {2**63}"),
        ({"momentum": 1.0}, "--momentum must be more than 0 and less than 1, found 1.0"),
        ({"count": 0}, "--count must be 1 or more, found 0"),
        ({"kind": "c"}, "--kind must be one of a, b, found 'c'"),
    ],
)
def test_limits(values, message):
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        Numbers(**values)


def test_values_within_limits():
    assert Numbers(share=1, momentum=0.1, count=1, kind="b").kind == "b"


def test_every_number_has_limits():
    for name, cls in vars(all_options).items():
        if not name.endswith("Options") or name == "Options":
            continue
        for field in dataclasses.fields(cls):
            if field.type in (int, float, int | None, float | None):
                assert any(
                    field.metadata[limit] is not None
                    for limit in ("minimum", "maximum", "exclusive_minimum")
                ), f"{name}.{field.name}"


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"seed": -1}, f"--seed must be between 0 and {2**32 - 1}, found -1"),
        ({"seed": 2**32}, f"--seed must be between 0 and {2**32 - 1}, found {2**32}"),
        ({"clip_norm": math.inf}, "--clip_norm must be a finite .*found inf .*0: none"),
        ({"validation_interval": -1}, "--validation_interval must be 0 or more, found -1"),
        ({"batch_size": 2**31}, f"--batch_size must be between 1 and 1000000, found {2**31}"),
        ({"workers": 2**31}, "--workers must be between 1 and 256"),
        ({"num_virtual_devices": 2**31}, "--num_virtual_devices must be between 0 and 256"),
        ({"accumulation_steps": 33}, "--accumulation_steps=33: a batch of 32 can't be split into"),
    ],
)
def test_endless_and_impossible_numbers(flags, message):
    given = {"init": "i", "train": "t", "output": "o"}
    with pytest.raises(InputError, match=f"^{message}"):
        all_options.FinetuneOptions(**given, **flags)


def test_choices():
    from kerasbert import checkpoints, distillation
    from kerasbert.training import optimizers, schedules, strategies

    assert tuple(optimizers.OPTIMIZERS) == all_options.OPTIMIZERS
    assert all_options.SCHEDULES == schedules.SCHEDULES
    assert all_options.STRATEGIES == strategies.STRATEGIES
    assert tuple(checkpoints.FORMATS) == all_options.FORMATS
    choices = {
        f.name: f.metadata["choices"] for f in dataclasses.fields(all_options.DistillOptions)
    }
    assert choices["hidden"] == tuple(distillation.HIDDEN)
    assert choices["attention"] == tuple(distillation.ATTENTION)
