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
    formerly: str = "",
    choices: Iterable[str] | Callable[[], Iterable[str]] = (),
    minimum: float | None = None,
    maximum: float | None = None,
    exclusive_minimum: float | None = None,
    exclusive_maximum: float | None = None,
):
    """A field of an options dataclass, with what `--help` shows and `Options` wants of it.

    Args:
        default: what it is if it is not given. Without a default the option is required.
        help: what it is for.
        group: the heading that `--help` lists it under; "": the main options.
        formerly: its old name, which works for one more version with a warning.
        choices: all values that it may have; or a function that says so, of what may be added to.
        minimum: the smallest allowed value.
        maximum: the largest allowed value.
        exclusive_minimum: the value must be larger than this.
        exclusive_maximum: the value must be smaller than this.
    """
    metadata = {
        "help": help,
        "group": group,
        "formerly": formerly,
        "choices": choices,
        "minimum": minimum,
        "maximum": maximum,
        "exclusive_minimum": exclusive_minimum,
        "exclusive_maximum": exclusive_maximum,
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


def renamed(options_class: type[Options]) -> dict[str, str]:
    """The old names of options, and their new ones."""
    fields = dataclasses.fields(options_class)
    return {f.metadata["formerly"]: f.name for f in fields if f.metadata["formerly"]}


def _wanted(field: dataclasses.Field, value) -> str | None:
    """What a value should have been; None: it is right."""
    rules = field.metadata
    if (known := choices(field)) and value not in known:
        return f"one of {', '.join(known)}"
    if isinstance(value, float) and not is_finite(value):
        return f"a finite number, {LARGEST_FLOAT} at the most"
    if isinstance(value, int) and abs(value) > _LARGEST_INTEGER:
        return f"an integer of 64 bits, {_LARGEST_INTEGER} at the most"
    minimum, maximum, exclusive_minimum, exclusive_maximum = (
        rules[name] for name in ("minimum", "maximum", "exclusive_minimum", "exclusive_maximum")
    )
    right = (
        (minimum is None or value >= minimum)
        and (maximum is None or value <= maximum)
        and (exclusive_minimum is None or value > exclusive_minimum)
        and (exclusive_maximum is None or value < exclusive_maximum)
    )
    if right:
        return None
    if minimum is not None and maximum is not None:
        return f"between {minimum} and {maximum}"
    limits = [
        minimum is not None and f"{minimum} or more",
        maximum is not None and f"{maximum} or less",
        exclusive_minimum is not None and f"more than {exclusive_minimum}",
        exclusive_maximum is not None and f"less than {exclusive_maximum}",
    ]
    return " and ".join(limit for limit in limits if limit)
