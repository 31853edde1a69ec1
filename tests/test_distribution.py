"""Versions of Python and of kerasbert are the same wherever they are written."""

import pathlib
import re
import tomllib

import kerasbert

ROOT = pathlib.Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def test_version():
    changelog = (ROOT / "CHANGELOG.md").read_text()
    assert re.search(r"^## (\S+)", changelog, re.MULTILINE)[1] == kerasbert.__version__
    citation = (ROOT / "CITATION.cff").read_text()
    assert f"\nversion: {kerasbert.__version__}\n" in citation


def test_python_versions():
    prefix = "Programming Language :: Python :: "
    versions = [line.removeprefix(prefix) for line in PROJECT["classifiers"] if prefix in line]
    workflow = (ROOT / ".github/workflows/ci.yml").read_text()
    assert re.search(r"python: \[(.*)\]", workflow)[1] == ", ".join(f'"{v}"' for v in versions)
    first, last = (tuple(map(int, versions[i].split("."))) for i in (0, -1))
    assert f"{first} <= sys.version_info[:2] <= {last}" in (ROOT / "Makefile").read_text()
    assert PROJECT["requires-python"] == f">={versions[0]},<3.{last[1] + 1}"


def test_ci_is_the_same_everywhere():
    """GitHub runs what the repository's own CI runs, and every make target of it exists."""
    assert "- run: .ci/run\n" in (ROOT / ".github/workflows/ci.yml").read_text()
    targets = re.findall(r"\bmake ([\w-]+)", (ROOT / ".ci/run").read_text())
    assert {"test", "wheel-test", "full"} <= set(targets)
    makefile = (ROOT / "Makefile").read_text()
    for target in targets:
        assert re.search(rf"^{target}:", makefile, re.MULTILINE)


def pins(part):
    text = (ROOT / f"requirements/{part}.txt").read_text()
    return dict(re.findall(r"^([\w.-]+)==(\S+)", text, re.MULTILINE))


def test_the_site_is_built_with_the_versions_of_the_tests():
    """Both are installed in one environment."""
    tested, site = {**pins("build"), **pins("runtime"), **pins("test")}, pins("docs")
    assert {"mkdocs-material", "mkdocstrings", "absl-py"} <= site.keys()
    both = tested.keys() & site.keys()
    assert {name: site[name] for name in both} == {name: tested[name] for name in both}
