"""Checks, limits and stages that several programs share."""

import difflib

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
#: Per run; names of checkpoints have ten digits.
MAX_STEPS = 1_000_000_000


def check_preset(name: str | None) -> None:
    """Raises `InputError` if there is no preset of this name; None is allowed."""
    if name and name not in PRESETS:
        near = difflib.get_close_matches(name, PRESETS, n=3)
        known = f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(PRESETS)}"
        raise InputError(f"--preset: there is no preset {name!r}; {known}")
