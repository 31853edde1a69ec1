"""How the options of a program are declared: as a dataclass whose fields carry help and limits."""

import dataclasses
from collections.abc import Callable, Iterable

from kerasbert.errors import InputError

#: Training computes in 32 bits: a larger number is infinite there.
LARGEST_FLOAT = 3.4e38
_LARGEST_INTEGER = 2**63 - 1
#: Of a seed, as NumPy and Keras take it.
LARGEST_SEED = 2**32 - 1


def option(
    default=dataclasses.MISSING,
    *,
    help: str,
    group: str = "",
    choices: Iterable[str] | Callable[[], Iterable[str]] = (),
    least: float | None = None,
    most: float | None = None,
    above: float | None = None,
    below: float | None = None,
):
    """A field of an options dataclass, with what `--help` shows and `Options` wants of it.

    Args:
        default: what it is if it is not given. Without a default the option is required.
        help: what it is for.
        group: the heading that `--help` lists it under; "": the main options.
        choices: all values that it may have; or a function that says so, of what may be added to.
        least: the smallest value that it may have.
        most: the largest value that it may have.
        above: it must be more than this.
        below: it must be less than this.
    """
    metadata = {
        "help": help,
        "group": group,
        "choices": choices,
        "least": least,
        "most": most,
        "above": above,
        "below": below,
    }
    if isinstance(default, list):
        return dataclasses.field(default_factory=lambda: list(default), metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """The options of a program, all of them fields made by `option`.

    Subclasses add in `__post_init__` what holds between several options.

    Raises:
        InputError: a value that can't be.
    """

    def __post_init__(self):
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if value is not None and (wanted := _wanted(field, value)):
                help = field.metadata["help"]  # it says what to write instead, such as 0 for none
                shown = f" ({help})" if help else ""
                raise InputError(f"--{field.name} must be {wanted}, found {value!r}{shown}")


def is_finite(value: float) -> bool:
    """Whether a number is neither NaN nor infinite, in the 32 bits of training."""
    return abs(value) <= LARGEST_FLOAT


def is_required(field: dataclasses.Field) -> bool:
    """Whether an option must be given."""
    return field.default is field.default_factory is dataclasses.MISSING


def default(field: dataclasses.Field):
    """What an option is if it is not given; None also if it must be."""
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return None if field.default is dataclasses.MISSING else field.default


def choices(field: dataclasses.Field) -> tuple[str, ...]:
    """All values that an option may have; none: it may have others."""
    known = field.metadata["choices"]
    return tuple(known() if callable(known) else known)


def _wanted(field: dataclasses.Field, value) -> str | None:
    """What a value should have been; None: it is right."""
    rules = field.metadata
    if (known := choices(field)) and value not in known:
        return f"one of {', '.join(known)}"
    if isinstance(value, float) and not is_finite(value):
        return f"a finite number, {LARGEST_FLOAT} at the most"
    if isinstance(value, int) and abs(value) > _LARGEST_INTEGER:
        return f"an integer of 64 bits, {_LARGEST_INTEGER} at the most"
    least, most, above, below = (rules[name] for name in ("least", "most", "above", "below"))
    right = (
        (least is None or value >= least)
        and (most is None or value <= most)
        and (above is None or value > above)
        and (below is None or value < below)
    )
    if right:
        return None
    if least is not None and most is not None:
        return f"between {least} and {most}"
    limits = [
        least is not None and f"{least} or more",
        most is not None and f"{most} or less",
        above is not None and f"more than {above}",
        below is not None and f"less than {below}",
    ]
    return " and ".join(limit for limit in limits if limit)
