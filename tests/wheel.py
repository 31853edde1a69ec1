"""Tests kerasbert as it is distributed: builds, installs and uses the wheel outside the checkout.

    python tests/wheel.py                 # with this environment's packages, as `make wheel-test`
    python tests/wheel.py --download      # in an empty environment, with what pip downloads

The sdist is built from the files that git knows, and the wheel from the sdist. What a user does is
tried without the packages of the extras, the tests of the tasks with them. Needs the packages of
`requirements/build.txt`, and without --download those of `requirements/test.txt`.
"""

import contextlib
import email
import importlib.metadata
import json
import os
import pathlib
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
import time
import venv
import zipfile

from packaging.requirements import Requirement

_PATH = os.environ.get("PYTHONPATH", "")  # may have the tools of the build
ROOT = pathlib.Path(__file__).resolve().parents[1]
# Examples of all tasks: fine-tuning, evaluation, predictions.
TESTS = ["tests/recipes/test_task_specs.py", "-k", "test_trains_scores_and_answers"]
#: A model with random weights, as in the README.
MODEL = """
import kerasbert
from kerasbert.text import WordPieceTokenizer, train_vocabulary

assert "site-packages" in kerasbert.__file__, kerasbert.__file__
tokenizer = WordPieceTokenizer(train_vocabulary(["what a fine day", "a bad idea"] * 8, 200))
config = kerasbert.BackboneConfig.from_preset(
    "bert_tiny", vocabulary_size=tokenizer.vocabulary_size
)
kerasbert.MaskedLM(kerasbert.Backbone(config), tokenizer=tokenizer).save_to_preset("model")
"""


def main(download: bool) -> None:
    """Raises an exception if something is not as it should be."""
    with tempfile.TemporaryDirectory() as directory:
        place = pathlib.Path(directory).resolve()
        with _timed("build"):
            wheel = build(place)
        with _timed("install"):
            python = install(wheel, place / "environment", download)
        user = place / "user"
        user.mkdir()
        with _timed("use, without extras"):
            use(python, user)
        if not download:  # which has no pytest
            share(python, pathlib.Path(sysconfig.get_path("purelib")))
            with _timed("tests of the tasks"):
                shutil.copytree(ROOT / "tests", user / "tests")
                _run(python, "-m", "pytest", "-p", "no:cacheprovider", "-q", *TESTS, cwd=user)


def build(place: pathlib.Path) -> pathlib.Path:
    """Builds both distributions, checks their files, and returns the wheel."""
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True
    )
    names = [name for name in listed.stdout.split("\0") if name and (ROOT / name).exists()]
    source = place / "source"
    for name in names:
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, source / name)
    code = "from setuptools import build_meta; print(build_meta.build_sdist({!r}))"
    _run(sys.executable, "-c", code.format(str(place)), cwd=source, path=_PATH)
    (sdist,) = place.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        archive.extractall(place / "unpacked", filter="data")
    (unpacked,) = (place / "unpacked").iterdir()
    code = "from setuptools import build_meta; print(build_meta.build_wheel({!r}))"
    _run(sys.executable, "-c", code.format(str(place)), cwd=unpacked, path=_PATH)
    (wheel,) = place.glob("*.whl")
    check_files(wheel, {name for name in names if name.startswith("kerasbert/")})
    return wheel


def check_files(wheel: pathlib.Path, wanted: set[str]) -> None:
    """Compares the wheel's files with the package's."""
    with zipfile.ZipFile(wheel) as archive:
        found = {name for name in archive.namelist() if ".dist-info/" not in name}
        (entry_points,) = (n for n in archive.namelist() if n.endswith("/entry_points.txt"))
        assert "kerasbert = kerasbert.command:main" in archive.read(entry_points).decode()
        assert any(name.endswith("/licenses/LICENSE") for name in archive.namelist())
    assert found == wanted, f"missing {wanted - found}, not in git {found - wanted}"


def install(wheel: pathlib.Path, place: pathlib.Path, download: bool) -> pathlib.Path:
    """Installs the wheel in a new environment, and returns its Python."""
    venv.create(place, with_pip=False)
    python = place / "bin" / "python"
    flags = [] if download else ["--no-deps", "--no-index"]
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    _run(*pip, "--python", str(python), "install", *flags, str(wheel), cwd=place)
    if not download:
        core = place / "core"
        core.mkdir()
        here = pathlib.Path(sysconfig.get_path("purelib"))
        for name in required(wheel):
            for entry in {file.parts[0] for file in importlib.metadata.files(name)} - {".."}:
                if not (core / entry).exists():
                    (core / entry).symlink_to(here / entry)
        share(python, core)
    return python


def share(python: pathlib.Path, packages: pathlib.Path) -> None:
    """Lets an environment import the packages of a directory."""
    (own,) = python.parents[1].glob("lib/python*/site-packages")
    (own / "shared.pth").write_text(f"{packages}\n")


def required(wheel: pathlib.Path) -> set[str]:
    """Returns the packages that pip would install with the wheel, without extras."""
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        lines = email.message_from_bytes(archive.read(name)).get_all("Requires-Dist")
    found, waiting = set(), [(line, "") for line in lines]
    while waiting:
        line, extra = waiting.pop()
        needed = Requirement(line)
        if needed.marker and not needed.marker.evaluate({"extra": extra}):
            continue
        for more in ("", *needed.extras):
            if (needed.name, more) not in found:
                found.add((needed.name, more))
                waiting += [(one, more) for one in importlib.metadata.requires(needed.name) or []]
    return {name for name, _ in found}


def use(python: pathlib.Path, user: pathlib.Path) -> None:
    """Does what a new user does, in a directory without the source."""
    command = str(python.with_name("kerasbert"))
    shown = _run(command, "--help", cwd=user)
    assert "  finetune " in shown, shown
    _run(python, "-c", MODEL, cwd=user)
    rows = [f"a {word} {thing}\t{word}" for word in ("fine", "bad") for thing in ("day", "idea")]
    (user / "train.tsv").write_text("\n".join(["text\tlabel", *rows]) + "\n")
    train = ["--train", "train.tsv", "--validation", "train.tsv", "--epochs", "2"]
    _run(command, "finetune", "--init", "model", *train, "--output", "run", cwd=user)
    assert not (user / "run" / "curves.png").exists()  # matplotlib is an extra
    exported = _run(command, "export", "--model", "run/model", "--output", "export/1", cwd=user)
    assert _result(exported)["checked"] is True
    answers = _run(command, "query", "--saved_model", "export", "--text", "a fine day", cwd=user)
    (answer,) = _result(answers)["answers"]
    assert answer["label"] in ("bad", "fine")


def _run(*words, cwd: pathlib.Path, path: str = "") -> str:
    """Runs a program without this checkout in its path; returns its output."""
    done = subprocess.run(
        list(map(str, words)),
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise SystemExit(f"{' '.join(map(str, words))}\n{done.stdout[-5000:]}{done.stderr[-5000:]}")
    return done.stdout


def _result(output: str) -> dict:
    return json.loads(output.splitlines()[-1])


@contextlib.contextmanager
def _timed(name: str):
    start = time.perf_counter()
    yield
    print(f"{name}: {time.perf_counter() - start:.0f} s", flush=True)


if __name__ == "__main__":
    main("--download" in sys.argv[1:])
