"""What the options of several programs have in common."""

import difflib

from kerasbert.errors import InputError
from kerasbert.families import PRESETS

MAX_EXAMPLES = 1_000_000  # at a time
#: Of a run; names of checkpoints have ten digits.
MAX_STEPS = 1_000_000_000


def check_preset(name: str | None) -> None:
    """Raises `InputError` for a name that no preset has; None is none."""
    if name and name not in PRESETS:
        near = difflib.get_close_matches(name, PRESETS, n=3)
        known = f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(PRESETS)}"
        raise InputError(f"--preset: there is no preset {name!r}; {known}")
