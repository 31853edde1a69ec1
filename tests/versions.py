"""Runs the tests with other releases of Keras or TensorFlow than those of `requirements/`.

    python tests/versions.py keras-nightly
    python tests/versions.py tensorflow-2.20 -- tests/training -x
    python tests/versions.py 'keras==3.15.1'

Each release has its own environment under `runs/versions/`, which is reused: the locked packages,
and then the named ones. Arguments after `--` are passed to pytest. Failures are most likely due to
`kerasbert/_compat.py`, where each entry names its test. Bounds that pass belong in `pyproject.toml`
and `docs/dependencies.md`.
"""

import os
import pathlib
import re
import subprocess
import sys
import venv

ROOT = pathlib.Path(__file__).resolve().parents[1]
#: By name: packages to uninstall first, and packages to install then.
RELEASES = {
    # It provides the module `keras` too.
    "keras-nightly": (["keras"], ["--pre", "--upgrade", "keras-nightly"]),
    "tensorflow-2.20": ([], ["tensorflow==2.20.*", "tensorflow-text==2.20.*"]),
}


def main(wanted: list[str], arguments: list[str]) -> int:
    """Returns the exit status of pytest, or of pip."""
    removed, installed = [], []
    for name in wanted:
        more = RELEASES.get(name, ([], [name]))
        removed += more[0]
        installed += more[1]
    directory = ROOT / "runs" / "versions" / re.sub(r"[^\w.]+", "_", "_".join(wanted))
    python = directory / "bin" / "python"
    pip = [python, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    ready = directory / "locked"
    if not ready.exists():
        venv.create(directory, clear=True, with_pip=True)
        locked = [*pip, "install", "--require-hashes", "--no-build-isolation", "--requirement"]
        for part in ("build", "test"):
            subprocess.run([*locked, ROOT / "requirements" / f"{part}.txt"], check=True)
        ready.touch()
    if removed:
        subprocess.run([*pip, "uninstall", "--yes", *removed], check=True)
    subprocess.run([*pip, "install", *installed], check=True)
    subprocess.run([*pip, "list", "--format=freeze"], check=True)
    tests = [python, "-m", "pytest", "-p", "no:cacheprovider", *(arguments or ["-n", "auto"])]
    variables = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(tests, cwd=ROOT, env=variables, check=False).returncode


if __name__ == "__main__":
    split = sys.argv.index("--") if "--" in sys.argv else len(sys.argv)
    if split == 1:
        sys.exit(__doc__)
    sys.exit(main(sys.argv[1:split], sys.argv[split + 1 :]))
