"""Checks, limits and stages that several programs share."""

import os
import re

from kerasbert import files, model_names, suggestions
from kerasbert.errors import InputError
from kerasbert.families import PRESETS

#: The groups of programs in `kerasbert --help`, in order.
STAGES = (START, TEXT, TRAIN, USE) = (
    "getting started",
    "text to corpus",
    "training",
    "using a model",
)
MAX_EXAMPLES = 1_000_000  # per batch
MIN_VOCABULARY, MAX_VOCABULARY = 10, 1_000_000  # of a vocabulary to train
#: Per run; names of checkpoints have ten digits.
MAX_STEPS = 1_000_000_000


def check_preset(name: str | None) -> None:
    """Raises `InputError` if there is no preset of this name; None is allowed."""
    if name and name not in PRESETS:
        near = suggestions.nearest(name, PRESETS, most=3)
        known = suggestions.did_you_mean(near) or f"there are {', '.join(PRESETS)}"
        raise InputError(f"--preset: there is no preset {name!r}; {known}")


# A source that is no path, such as tfds:NAME and s3://..., and a glob pattern.
_NO_PATH = re.compile(r"[\w+.-]+:|.*[*?\[]", re.DOTALL)
_MOST_SHOWN = 5  # files of a directory


def check_file(path: str) -> None:
    """Raises `InputError` if a path is not that of a file; other sources are not looked at."""
    if _NO_PATH.match(path) or os.path.isfile(path):
        return
    if files.is_directory(path):
        names = sorted(name for name in os.listdir(path) if not name.startswith("."))
        more = ", ..." if len(names) > _MOST_SHOWN else ""
        inside = f"; it holds {', '.join(names[:_MOST_SHOWN])}{more}" if names else ""
        raise InputError(f"{path}: is a directory, not a file{inside}")
    if not files.exists(path):
        raise InputError(f"{path}: no such file{_similar(path)}")


def check_directory(path: str) -> None:
    """Raises `InputError` if a path is not that of a directory; other sources are not looked at."""
    if _NO_PATH.match(path) or files.is_directory(path):
        return
    if files.exists(path):
        raise InputError(f"{path}: is a file, not a directory")
    raise InputError(f"{path}: no such directory{_similar(path)}")


def check_there(path: str) -> None:
    """Raises `InputError` for a path with neither a file nor a directory."""
    if not (_NO_PATH.match(path) or files.exists(path)):
        raise InputError(f"{path}: no such file or directory{_similar(path)}")


def check_model(name: str) -> None:
    """Raises `InputError` for a name that can't be that of a model."""
    model_names.check(name)


def check_start(name: str) -> None:
    """Raises `InputError` for a name of neither an architecture nor, possibly, a model."""
    if name not in PRESETS:
        check_model(name)


def _similar(path: str) -> str:
    folder = os.path.dirname(path.rstrip(os.sep))
    if folder and not os.path.isdir(folder):
        return f"; there is no directory {folder}"
    near = suggestions.did_you_mean(suggestions.similar_paths(path))
    return f"; {near}" if near else ""
