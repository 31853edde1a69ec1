"""Time of `import kerasbert` beyond TensorFlow and Keras."""

import pathlib
import subprocess
import sys

from benchmarks.timing import Candidate
from benchmarks.workload import Workload


def suite(options, directory: pathlib.Path) -> list[Workload]:
    """Returns a workload of imports in fresh interpreters."""
    imports = {
        "kerasbert": "tensorflow, keras, kerasbert",
        "kerasbert and a task": "tensorflow, keras, kerasbert.tasks.text_classifier",
        "tensorflow and keras": "tensorflow, keras",
    }
    candidates = [Candidate(name, "", importing, (modules,)) for name, modules in imports.items()]
    return [Workload(title="import in a fresh interpreter", candidates=candidates)]


def importing(modules: str):
    """Starts Python and imports modules."""
    command = [sys.executable, "-c", f"import {modules}"]
    return lambda: subprocess.run(command, check=True, capture_output=True), None
