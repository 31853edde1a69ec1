"""Runs exports with the TensorFlow and tensorflow-text that releases of TensorFlow Serving embed.

Needs pip, a C compiler and 2 GB of disk:

    python tests/serving/check_releases.py 2.12 2.20

No Python of these releases is used: `tests/serving/saved_model.c` is compiled against their C API,
loads the text ops that the server links, and answers what the installed TensorFlow answers. The ops
that they register are written to `tests/serving/ops/`, the tables of `test_c_api.py` there.

pip downloads the packages (about 300 MB each) to `runs/serving/`, where they stay. Serving's
`WORKSPACE` and `tensorflow_serving/workspace.bzl` name the versions: since 2.12 its TensorFlow has
the number of the release; tensorflow-text is 2.12.1 up to Serving 2.19, and 2.20.0 in 2.20.
"""

import os
import pathlib
import subprocess
import sys
import tempfile
import zipfile

import c_api
import op_tables

ROOT = pathlib.Path(__file__).resolve().parents[2]
PACKAGES = {
    "2.12": ("tensorflow-cpu==2.12.1", "tensorflow-text==2.12.1"),
    "2.20": ("tensorflow-cpu==2.20.0", "tensorflow-text==2.20.0"),
}


def main(releases: list[str]) -> int:
    """Returns the exit status of pytest, of the first release that fails."""
    packages = {}
    for release in releases or PACKAGES:
        packages[release] = _packages(ROOT / "runs" / "serving" / release, PACKAGES[release])
        ops = _ops(packages[release], all_text_ops=release != "2.12")
        path = op_tables.OPS / f"{release}.txt"
        path.parent.mkdir(exist_ok=True)
        path.write_text(op_tables.written(ops))
        print(f"{path.relative_to(ROOT)}: {len(ops.op)} ops", flush=True)
    for release, directory in packages.items():
        print(f"exports with the packages of {release}:", flush=True)
        words = ["pytest", "-p", "no:cacheprovider", "-q", "--full"]
        status = subprocess.run(
            [sys.executable, "-m", *words, ROOT / "tests/serving/test_c_api.py"],
            env={**os.environ, "KERASBERT_SERVING_PACKAGES": str(directory)},
            cwd=ROOT,
            check=False,
        ).returncode
        if status:
            return status
    return 0


def _ops(packages: pathlib.Path, all_text_ops: bool):
    with tempfile.TemporaryDirectory() as directory:
        return c_api.Program(pathlib.Path(directory), packages, all_text_ops).ops()


def _packages(directory: pathlib.Path, names: tuple[str, ...]) -> pathlib.Path:
    """Downloads wheels, and returns the directory in which they are unpacked."""
    if not (directory / "complete").exists():
        for name in names:
            with tempfile.TemporaryDirectory() as wheels:
                pip = ["pip", "--disable-pip-version-check", "download", "--no-deps", "--quiet"]
                # tensorflow-text 2.12 has no wheels for the newest Python; none is started here.
                only = ["--only-binary=:all:", "--python-version=3.11"]
                subprocess.run([sys.executable, "-m", *pip, *only, "-d", wheels, name], check=True)
                (wheel,) = pathlib.Path(wheels).iterdir()
                with zipfile.ZipFile(wheel) as file:
                    file.extractall(directory)
        (directory / "complete").touch()
    return directory


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
