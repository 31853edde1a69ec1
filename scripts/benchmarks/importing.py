"""How long `import kerasbert` takes beyond TensorFlow and Keras."""

import pathlib
import subprocess
import sys

from benchmarks.race import Side
from benchmarks.work import Work


def suite(options, directory: pathlib.Path) -> list[Work]:
    """Fresh interpreters."""
    imports = {
        "kerasbert": "tensorflow, keras, kerasbert",
        "kerasbert and a task": "tensorflow, keras, kerasbert.tasks.text_classifier",
        "tensorflow and keras": "tensorflow, keras",
    }
    sides = [Side(name, "", importing, (modules,)) for name, modules in imports.items()]
    return [Work(title="import in a fresh interpreter", sides=sides)]


def importing(modules: str):
    """Starts Python and imports."""
    command = [sys.executable, "-c", f"import {modules}"]
    return lambda: subprocess.run(command, check=True, capture_output=True), None
