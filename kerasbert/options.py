"""Declaration of a program's options, as dataclasses whose fields have help texts and limits."""

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Set
from types import MappingProxyType
from typing import Any, ClassVar, Self

from kerasbert import suggestions
from kerasbert.errors import InputError, about

#: The largest float32: training computes in 32 bits, where larger numbers are infinite.
LARGEST_FLOAT = 3.4e38
_LARGEST_INTEGER = 2**63 - 1
#: The largest seed of NumPy and Keras.
LARGEST_SEED = 2**32 - 1


def option(
    default: Any = dataclasses.MISSING,
    *,
    help: str,
    group: str = "",
    formerly: str = "",
    elsewhere: Iterable[str] = (),
    reads: Callable[[str], None] | None = None,
    choices: Iterable[str] | Callable[[], Iterable[str]] = (),
    synonyms: Mapping[str, str] = MappingProxyType({}),
    minimum: float | None = None,
    maximum: float | None = None,
    exclusive_minimum: float | None = None,
    exclusive_maximum: float | None = None,
) -> Any:  # a field's value has the type of its annotation
    """Returns a field of an options dataclass, with its help text and the allowed values.

    Args:
        default: the default value. Without it, the option is required.
        help: string, the help text.
        group: string, the heading in `--help`; "" for the main options.
        formerly: string, an old name, which works with a warning until the next version.
        elsewhere: names that the option has in other programs, which are suggested.
        reads: function that raises `InputError` if the value, a path or one of several, is no input
            of this program; see `Options.check_inputs`.
        choices: iterable of all allowed values, or a function that returns it, if values can be
            added.
        synonyms: dict from other words for the choices to these, which are suggested.
        minimum: the smallest allowed value.
        maximum: the largest allowed value.
        exclusive_minimum: the value must be greater than this.
        exclusive_maximum: the value must be less than this.
    """
    metadata = {
        "help": help,
        "group": group,
        "formerly": formerly,
        "elsewhere": tuple(elsewhere),
        "reads": reads,
        "choices": choices,
        "synonyms": synonyms,
        "minimum": minimum,
        "maximum": maximum,
        "exclusive_minimum": exclusive_minimum,
        "exclusive_maximum": exclusive_maximum,
    }
    if isinstance(default, list):
        return dataclasses.field(default_factory=lambda: list(default), metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


@dataclasses.dataclass(frozen=True)
class Program:
    """What `--help` says about a program.

    Args:
        stage: string, the heading of its group in `kerasbert --help`.
        description: string, one sentence.
        examples: tuple of command lines without the program's name; a line end is where a long one
            is continued on the next line.
    """

    stage: str
    description: str
    examples: tuple[str, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """Base class of a program's options; all fields are made by `option`.

    The class of a program has a `program`; classes with options that programs share have none.
    Subclasses check combinations of options in `__post_init__`.

    Raises:
        InputError: a value is not allowed.
    """

    program: ClassVar[Program]
    #: Whether TensorFlow is imported before the recipe is called.
    needs_tensorflow: ClassVar[bool] = True
    #: The required field that an argument without a flag sets, too; "": there is none.
    positional: ClassVar[str] = ""
    #: The field, a list, that takes the flags that the class does not have; "": there are none.
    passes_on: ClassVar[str] = ""

    def with_recipe(self, unset: Set[str]) -> Self:
        """Returns the options with the values of their recipe for those that were not given.

        Args:
            unset: the names of the options that have their defaults.
        """
        return self

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if value is not None and (wanted := _wanted(field, value)):
                raise InputError(not_allowed(field, wanted, value))

    def input_paths(self, name: str) -> list[str]:
        """Returns the paths that an option names; none if there is no such option."""
        given = getattr(self, name, None) or []
        return [given] if isinstance(given, str) else list(given)

    @property
    def environment(self) -> dict[str, str]:
        """Variables that have to be set before Keras and TensorFlow are imported."""
        return {}

    def check_inputs(self) -> None:
        """Checks what can be known of the inputs at once, before anything heavy is imported.

        Raises:
            InputError: an input is not there, or is of another kind.
        """
        for field in dataclasses.fields(self):
            if check := field.metadata["reads"]:
                for path in self.input_paths(field.name):
                    with about(f"--{field.name}"):
                        check(path)


def is_finite(value: float) -> bool:
    """Returns whether a number is neither NaN nor infinite as float32."""
    return abs(value) <= LARGEST_FLOAT


def is_required(field: dataclasses.Field[Any]) -> bool:
    """Returns whether an option has no default."""
    return field.default is field.default_factory is dataclasses.MISSING


def default(field: dataclasses.Field[Any]) -> Any:
    """Returns the default of an option; None if it is required."""
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return None if field.default is dataclasses.MISSING else field.default


def choices(field: dataclasses.Field[Any]) -> tuple[str, ...]:
    """Returns all allowed values of an option; empty if it is not restricted to choices."""
    known: Any = field.metadata["choices"]
    return tuple(known if isinstance(known, Iterable) else known())


def renamed(options_class: type[Options]) -> dict[str, str]:
    """Returns the old names of renamed options, with their new names."""
    fields = dataclasses.fields(options_class)
    return {f.metadata["formerly"]: f.name for f in fields if f.metadata["formerly"]}


def not_allowed(field: dataclasses.Field[Any], wanted: str, value: Any) -> str:
    """Returns the message for a value that is not allowed.

    Args:
        field: the option.
        wanted: string, a description of the allowed values.
        value: the value.
    """
    found = f"--{field.name} must be {wanted}, found {value!r}"
    near = suggestions.nearest(str(value), choices(field), field.metadata["synonyms"])
    if near:
        return f"{found}; {suggestions.did_you_mean(near)}"
    help = field.metadata["help"]  # explains special values, such as 0 for none
    return f"{found} ({help})" if help else found


def _wanted(field: dataclasses.Field, value) -> str | None:
    """Returns a description of the allowed values if `value` is not allowed, else None."""
    rules = field.metadata
    if (known := choices(field)) and value not in known:
        return f"one of {', '.join(known)}"
    if isinstance(value, float) and not is_finite(value):
        return f"a finite number, at most {LARGEST_FLOAT}"
    if isinstance(value, int) and abs(value) > _LARGEST_INTEGER:
        return f"a 64-bit integer, at most {_LARGEST_INTEGER}"
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
        f"{minimum} or more" if minimum is not None else "",
        f"{maximum} or less" if maximum is not None else "",
        f"more than {exclusive_minimum}" if exclusive_minimum is not None else "",
        f"less than {exclusive_maximum}" if exclusive_maximum is not None else "",
    ]
    return " and ".join(limit for limit in limits if limit)
