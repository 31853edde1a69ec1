"""Writes build.txt, runtime.txt, test.txt and docs.txt: compatible versions with files' hashes.

Run it in an environment with `pip install -e '.[test,docs]'` in which the tests passed. The
versions are the installed ones; the hashes are the index's, of the files that pip would choose on
each platform below. Takes a few minutes.
"""

import collections
import importlib.metadata
import itertools
import json
import pathlib
import subprocess
import sys
import tempfile

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

_HERE = pathlib.Path(__file__).resolve().parent
_BUILD = ["setuptools>=77,<85", "setuptools-scm>=8,<11"]  # seqeval's source needs the second
_PYTHONS = ("3.11", "3.12", "3.13")
_LINUX = "manylinux_2_28 manylinux_2_27 manylinux_2_17 manylinux2014 manylinux_2_12 manylinux2010 "
_LINUX += "manylinux_2_5 manylinux1 linux"
_MAC = "macosx_14_0 macosx_13_0 macosx_12_0 macosx_11_0"
#: By platform: its name in markers, and the tags of compatible wheels, best first. OpenVINO's
#: wheels for aarch64 need the C library of Ubuntu 22.04.
_PLATFORMS = {
    "Linux x86_64": ("linux", "x86_64", _LINUX),
    "Linux aarch64": ("linux", "aarch64", f"manylinux_2_35 {_LINUX}"),
    "macOS arm64": ("darwin", "arm64", _MAC),
}
_HEAD = "# Written by lock.py; see CONTRIBUTING.md.\n"


def main() -> None:
    """Runs this program."""
    build = _report(_BUILD, [])
    versions = {
        canonicalize_name(one["metadata"]["name"]): one["metadata"]["version"] for one in build
    }
    runtime = _closure("kerasbert", ["metrics", "plots"]) - versions.keys()
    test = _closure("kerasbert", ["test"]) - versions.keys() - runtime
    docs = _docs()
    versions |= {name: importlib.metadata.version(name) for name in runtime | test | docs}
    hashes = _hashes(versions)
    parts = {"build": ("", {canonicalize_name(one["metadata"]["name"]) for one in build})}
    parts |= {"runtime": ("-r build.txt\n", runtime), "test": ("-r runtime.txt\n", test)}
    parts["docs"] = ("", docs)  # alone: the site needs neither Keras nor TensorFlow
    for part, (head, names) in parts.items():
        lines = [_line(name, versions[name], hashes[name]) for name in sorted(names)]
        (_HERE / f"{part}.txt").write_text(_HEAD + head + "".join(lines))


def _docs() -> set[str]:
    """Returns what `make docs` needs: the extra, and absl, which the help of commands needs."""
    extra = map(Requirement, importlib.metadata.requires("kerasbert"))
    roots = [one for one in extra if one.marker and one.marker.evaluate({"extra": "docs"})]
    found = {"absl-py"}
    for root in roots:
        found |= {canonicalize_name(root.name)} | _closure(root.name, list(root.extras))
    return found


def _line(name: str, version: str, hashes: set[str]) -> str:
    return (
        " \\\n    ".join([f"{name}=={version}", *(f"--hash=sha256:{h}" for h in sorted(hashes))])
        + "\n"
    )


def _closure(name: str, extras: list[str]) -> set[str]:
    """Returns what a package requires on any of the platforms."""
    found, waiting = set(), [(name, extra) for extra in ["", *extras]]
    seen = set(waiting)
    while waiting:
        name, extra = waiting.pop()
        for text in importlib.metadata.requires(name) or []:
            needed = Requirement(text)
            if needed.marker and not any(
                needed.marker.evaluate({**e, "extra": extra}) for e in _environments()
            ):
                continue
            key = canonicalize_name(needed.name)
            found.add(key)
            for more in ("", *needed.extras):
                if (key, more) not in seen:
                    seen.add((key, more))
                    waiting.append((key, more))
    return found - {"kerasbert"}


def _environments() -> list[dict]:
    return [
        {
            "python_version": python,
            "python_full_version": f"{python}.0",
            "sys_platform": system,
            "platform_system": system.capitalize(),
            "platform_machine": machine,
            "os_name": "posix",
        }
        for python, (system, machine, _) in itertools.product(_PYTHONS, _PLATFORMS.values())
    ]


def _hashes(versions: dict[str, str]) -> dict[str, set[str]]:
    """Returns the hashes of each package's files."""
    found = collections.defaultdict(set)
    pins = [f"{name}=={version}" for name, version in versions.items()]
    here = _report(pins, ["--no-deps"])
    sources = {
        _note(one, found) for one in here if not one["download_info"]["url"].endswith(".whl")
    }
    wheels = [pin for pin in pins if pin.partition("==")[0] not in sources]
    with tempfile.TemporaryDirectory() as target:
        for python, (_, machine, tags) in itertools.product(_PYTHONS, _PLATFORMS.values()):
            flags = ["--no-deps", "--only-binary=:all:", f"--target={target}"]
            flags += [f"--python-version={python}", "--implementation=cp"]
            flags += [f"--platform={tag}_{machine}" for tag in tags.split()]
            for one in _report(wheels, flags):
                _note(one, found)
    return found


def _note(one: dict, found: dict) -> str:
    name = canonicalize_name(one["metadata"]["name"])
    found[name].add(one["download_info"]["archive_info"]["hashes"]["sha256"])
    return name


def _report(requirements: list[str], flags: list[str]) -> list[dict]:
    """Returns what pip would install, and from where."""
    with tempfile.TemporaryDirectory() as directory:
        path = pathlib.Path(directory) / "report.json"
        command = [sys.executable, "-m", "pip", "install", "--dry-run", "--ignore-installed"]
        command += ["--quiet", f"--report={path}", *flags, *requirements]
        subprocess.run(command, check=True)
        return json.loads(path.read_text())["install"]


if __name__ == "__main__":
    main()
