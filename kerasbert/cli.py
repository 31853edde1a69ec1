"""The command lines of the programs: absl flags from dataclasses, and help."""

import dataclasses
import importlib
import inspect
import os
import re
import shutil
import sys
import textwrap
import types
import typing
import warnings
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from absl import flags, logging

from kerasbert import files, lazy, mistyped, registration, renamed
from kerasbert import options as declared
from kerasbert.errors import InputError, Interrupted, one_line
from kerasbert.program import fail, show

HELP = ("-h", "-help", "--help", "--helpshort", "--helpfull")
_Options = typing.TypeVar("_Options", bound=declared.Options)
_FLAG = re.compile(r"(--?)(no)?(\w+)(?![\w-])")
_NAMES_WIDTH = 30  # width of the column of flags in `--help`
_WIDEST = 100


def run(
    recipe: str,
    options_class: type[declared.Options],
    ready: Callable[[], None] = lambda: None,
    command: str | None = None,
    words: Sequence[str] | None = None,
) -> None:
    """Runs a program: parses flags, and prints the result as JSON on the last line of stdout.

    Flags are parsed, and inputs looked for, before the recipe and TensorFlow are imported. The exit
    status is 0; 1, after one line on stderr, if the input is invalid; or 128 plus the signal's
    number if a signal stopped the program.

    Args:
        recipe: string, the full name of a module with a function of the same name, which takes the
            options.
        options_class: the dataclass of the options, from a module with light imports only.
        ready: function that is called after all imports, before the recipe.
        command: string, what the user types before the flags; None: `python` and the script.
        words: the flags; None: those of this process.
    """
    command = command or f"python {os.path.relpath(sys.argv[0])}"
    words = sys.argv[1:] if words is None else words
    if any(word in HELP for word in words):
        show(help_text(options_class, command))
        sys.exit(0)
    warnings.formatwarning = _one_line_warning
    try:
        options = parse([command, *words], options_class)
        options.check_inputs()
        os.environ.update(options.environment)
        with lazy.quiet_imports():
            function = getattr(importlib.import_module(recipe), recipe.rpartition(".")[2])
            if options.needs_tensorflow and registration.on_tensorflow():
                lazy.import_tensorflow()
        logging.set_verbosity(logging.WARNING)  # TensorFlow logs while exporting
        ready()
        result = function(options)
    except (InputError, OSError) as error:
        fail(str(error))
    except Interrupted as interruption:
        sys.stderr.write(f"{one_line(str(interruption))}\n")
        sys.exit(128 + interruption.signal)
    show(result if isinstance(result, str) else files.to_json(result))


def _one_line_warning(message, *location) -> str:
    """Returns a warning without its location in the code, which is irrelevant to users."""
    return f"warning: {one_line(str(message))}\n"


# === Flags -> options ===


def parse(argv: list[str], options_class: type[_Options]) -> _Options:
    """Parses a command line.

    Raises:
        InputError: a flag is unknown, has an invalid value, or is required and missing.
    """
    fields = dataclasses.fields(options_class)
    kinds = typing.get_type_hints(options_class)
    typed = _with_new_names(argv, declared.renamed(options_class))
    values, words, rest = _parsed(typed, options_class)
    # A flag may be in a file and on the command line, too, where the last one counts.
    _check_given_once(_parsed(_without_files(typed), options_class)[0], fields, kinds)
    names = {field.name for field in fields}
    given: dict[str, Any] = {
        field.name: _value(values[field.name], field, kinds[field.name], names) for field in fields
    }
    if options_class.passes_on:
        given[options_class.passes_on] += rest[1:]
        del rest[1:]
    elif len(rest) > 1 and (name := options_class.positional) and given[name] is None:
        given[name] = rest.pop(1)
    missing = [
        f.name
        for f in _sorted_for_help(options_class)
        if declared.is_required(f) and given[f.name] is None
    ]
    if len(rest) > 1:
        raise InputError(mistyped.unexpected_argument(rest[1], words, options_class, missing))
    if missing:
        *others, last = (f"--{name}" for name in missing)
        named = f"{', '.join(others)} and {last}" if others else last
        raise InputError(f"{named} must be given; --help lists the flags")
    options = options_class(**given)
    unset = {name for name in given if not values[name].present}
    return options.with_recipe(unset)


def _parsed(
    words: Sequence[str], options_class: type[declared.Options]
) -> tuple[flags.FlagValues, list[str], list[str]]:
    """Returns the flags, the words with those of files, and the program and other arguments."""
    values = flags.FlagValues()
    if options_class.positional:
        values.set_gnu_getopt()  # flags may follow other arguments
    kinds = typing.get_type_hints(options_class)
    for field in dataclasses.fields(options_class):
        _define(values, field, kinds[field.name])
    try:
        words = [words[0], *values.read_flags_from_files(words[1:], force_gnu=False)]
        words = _with_new_names(words, declared.renamed(options_class))  # those of files, too
        return values, words, values(words, known_only=bool(options_class.passes_on))
    except flags.UnrecognizedFlagError as error:
        raise InputError(mistyped.unknown_flag(error.flagname, options_class)) from None
    except (flags.Error, ValueError) as error:
        raise InputError(f"{mistyped.from_absl(str(error))}; --help lists the flags") from None


def _without_files(words: Sequence[str]) -> list[str]:
    """Returns a command line without its files of flags."""
    kept, left = [], iter(words)
    for word in left:
        if word in ("--flagfile", "-flagfile"):
            next(left, None)
        elif not word.startswith(("--flagfile=", "-flagfile=")):
            kept.append(word)
    return kept


def _define(values: flags.FlagValues, field: dataclasses.Field, kind) -> None:
    """Defines a flag; of one with a value, absl keeps every text that is given."""
    name, help = field.name, field.metadata["help"]
    if _without_none(kind) is bool:
        flags.DEFINE_bool(name, declared.default(field), help, flag_values=values)
    else:
        flags.DEFINE_multi_string(name, None, help, flag_values=values)


def _check_given_once(values: flags.FlagValues, fields, kinds: dict) -> None:
    """Raises `InputError` for a repeated flag with one value."""
    for field in fields:
        flag: Any = values[field.name]
        if flag.present > 1 and _without_none(kinds[field.name]) != list[str]:
            shown = "" if kinds[field.name] is bool else f", as {' and as '.join(flag.value)}"
            raise InputError(f"--{field.name} is given {flag.present} times{shown}; give it once")


def _value(flag: Any, field: dataclasses.Field, kind, names: Collection[str]) -> Any:
    """Returns the value of an option, with its type; `names` are those of all options."""
    kind = _without_none(kind)
    if not flag.present or kind is bool:
        return flag.value if kind is bool else declared.default(field)
    for text in flag.value:
        if text.startswith("--") and text[2:].partition("=")[0] in names:
            raise InputError(f"--{field.name} has no value: {text} follows; --help lists the flags")
    if kind == list[str]:
        return flag.value
    text = flag.value[-1]
    if kind is str:
        return text
    try:
        return kind(text)
    except ValueError:
        wanted = "an integer" if kind is int else "a number"
        raise InputError(declared.not_allowed(field, wanted, text)) from None


def _with_new_names(argv: list[str], names: Mapping[str, str]) -> list[str]:
    """Replaces the old names of renamed flags, with a warning for each."""
    return [_with_new_name(word, names) for word in argv]


def _with_new_name(word: str, names: Mapping[str, str]) -> str:
    match = _FLAG.match(word)
    if match is None:
        return word
    dashes, no, name = match.groups("")
    if f"{no}{name}" in names:  # such as no_answer, where "no" is part of the name
        no, name = "", f"{no}{name}"
    if name not in names:
        return word
    new = names[name]
    renamed.warn(f"--{no}{name}", f"--{no}{new}")
    return f"{dashes}{no}{new}{word[match.end() :]}"


def _without_none(kind):
    """Returns the X of `X | None`."""
    if typing.get_origin(kind) is types.UnionType:
        (kind,) = (part for part in typing.get_args(kind) if part is not types.NoneType)
    return kind


# === Help ===


def help_text(options_class: type[declared.Options], command: str) -> str:
    """Returns the program's description, usage, and flags in groups, required ones first."""
    width = min(_WIDEST, shutil.get_terminal_size().columns)
    kinds = typing.get_type_hints(options_class)
    fields = _sorted_for_help(options_class)
    required = [f"--{f.name} {_kind(kinds[f.name])}" for f in fields if declared.is_required(f)]
    usage = " ".join([f"usage: {command}", *required, "[options]"])
    program = options_class.program
    lines = [
        *textwrap.wrap(usage, width, subsequent_indent="    ", break_on_hyphens=False),
        "",
        program.description,
        "",
        "Example:",
        *(
            f"  {command} {example}".rstrip().replace("\n", " \\\n    ")
            for example in program.examples
        ),
    ]
    groups = {}
    for field in fields:
        groups.setdefault(field.metadata["group"], []).append(field)
    for name, members in groups.items():
        lines += ["", f"{name or 'options'}:"]
        for field in members:
            lines += _described(field, kinds[field.name], width)
    return "\n".join(lines)


def _sorted_for_help(options_class: type[declared.Options]) -> list[dataclasses.Field]:
    """Sorts required options first, then the program's own before shared ones."""
    owners = {}
    for location, cls in enumerate(options_class.__mro__):
        for name in inspect.get_annotations(cls):
            owners.setdefault(name, location)
    fields = dataclasses.fields(options_class)
    return sorted(fields, key=lambda f: (not declared.is_required(f), owners[f.name]))


def _described(field: dataclasses.Field, kind, width: int) -> list[str]:
    name = f"  --[no]{field.name}" if kind is bool else f"  --{field.name} {_kind(kind)}"
    parts = [field.metadata["help"]]
    choices = declared.choices(field)
    if not all(choice in parts[0] for choice in choices):
        parts[0] += f"; one of {', '.join(choices)}"
    if declared.is_required(field):
        parts.append("(required)")
    elif (default := declared.default(field)) not in (None, []):
        shown = str(default).lower() if kind is bool else default
        parts.append(f"(default: {shown})")
    text = textwrap.wrap(" ".join(parts), max(20, width - _NAMES_WIDTH), break_on_hyphens=False)
    indented = [" " * _NAMES_WIDTH + line for line in text]
    if len(name) < _NAMES_WIDTH:
        return [name.ljust(_NAMES_WIDTH) + text[0], *indented[1:]]
    return [name, *indented]


def _kind(kind) -> str:
    return {int: "INTEGER", float: "NUMBER"}.get(_without_none(kind), "TEXT")
