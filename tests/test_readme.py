"""Runs the README's commands and code as they are, in a temporary directory."""

import json
import pathlib
import re
import shlex
import subprocess

import programs
import pytest

ROOT = pathlib.Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def user_directory(tmp_path_factory):
    """Creates the files of a clone that the README's commands use."""
    directory = tmp_path_factory.mktemp("user")
    for name in ("scripts", "docs"):
        (directory / name).symlink_to(ROOT / name)
    return directory


@pytest.fixture(scope="module")
def results(user_directory):
    """Returns the JSON that each program of the README prints, by program."""
    (block,) = blocks("bash")
    found = {}
    for line in block.splitlines():
        if not line.startswith("kerasbert "):
            subprocess.run(["bash", "-ec", line], cwd=user_directory, check=True)
            continue
        _, name, *flags = shlex.split(re.sub(r"--steps \d+", "--steps 3", line))
        done = programs.run([f"scripts/{name}.py", *flags], cwd=user_directory)
        assert done.returncode == 0, f"{line}\n{done.stderr}"
        assert "WARNING" not in done.stderr, f"{line}\n{done.stderr}"
        found[name] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_programs(results):
    assert results["pretrain"]["steps"] == 3
    assert results["finetune"]["classes"] == ["bad", "good"]
    assert results["evaluate"]["examples"] == 4
    assert [set(answer) for answer in results["query"]["answers"]] == [
        {"label", "labels", "scores"}
    ] * 2


def test_python(tmp_path):
    """Runs the code in an empty directory, without downloads."""
    code = [block for block in blocks("python") if "hf://google" not in block]
    assert len(code) == 2
    (tmp_path / "program.py").write_text("\n".join(code))
    for _ in range(2):  # users run it again
        done = programs.run(["program.py"], cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    assert "'label': 'good'" in done.stdout
    assert (tmp_path / "saved_models/opinions/1/saved_model.pb").exists()
    assert (tmp_path / "runs/opinions_hf/model.safetensors").exists()


def test_make_targets_exist():
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"^    make (\w+)", README, re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE)


def anchors(document):
    """Returns the anchor of a heading: lower case, with dashes for spaces."""
    headings = re.findall(r"^#+ (.*)$", document.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize(
    "name", ["README.md", *(str(p.relative_to(ROOT)) for p in sorted(ROOT.glob("docs/**/*.md")))]
)
def test_links_lead_somewhere(name):
    document = ROOT / name
    for link in re.findall(r"\]\((?!http)([^)]+)\)", document.read_text(encoding="utf-8")):
        path, _, anchor = link.partition("#")
        target = document.parent / path if path else document
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link
