"""Dataclass <-> absl flags: what a program in `scripts/` is made of."""

import dataclasses
import json
import os
import sys
import types
import typing
from collections.abc import Callable

from kerasbert.errors import InputError

# Set before a program imports TensorFlow, whose start-up notes would bury what the program says.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

def run(options_class: type, function: Callable[[object], dict]) -> None:
    """Runs a program: flags in, `function(options)`, its result as JSON on stdout's last line.

    The exit status is 0, or 1 after one line on standard error if the input was bad.
    """
    from absl import app

    define_flags(options_class)
    app.run(lambda argv: _main(argv, options_class, function), flags_parser=_parse)


def define_flags(options_class: type) -> None:
    """Defines an absl flag for every field."""
    from absl import flags

    kinds = typing.get_type_hints(options_class)
    for field in dataclasses.fields(options_class):
        _define(flags, field, kinds[field.name])


def _define(flags, field: dataclasses.Field, kind) -> None:
    arguments = field.name, _default(field), field.metadata["help"]
    if typing.get_origin(kind) is types.UnionType:  # X | None
        (kind,) = (part for part in typing.get_args(kind) if part is not types.NoneType)
    if kind is bool:
        flags.DEFINE_bool(*arguments)
    elif kind is int:
        flags.DEFINE_integer(*arguments)
    elif kind is float:
        flags.DEFINE_float(*arguments)
    elif kind is str:
        flags.DEFINE_string(*arguments)
    elif kind == list[str]:
        flags.DEFINE_multi_string(*arguments)
    else:
        raise TypeError(f"no flag for {field.name}: {kind}")
    if field.default is field.default_factory is dataclasses.MISSING:
        flags.mark_flag_as_required(field.name)


def _default(field: dataclasses.Field):
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return None if field.default is dataclasses.MISSING else field.default


def _parse(argv: list[str]) -> list[str]:
    from absl import flags

    if any(word in ("--help", "-help", "-h", "--helpshort") for word in argv[1:]):
        sys.stdout.write(_usage())
        sys.exit(0)
    try:
        return flags.FLAGS(argv)
    except flags.Error as error:
        sys.stderr.write(f"error: {error}; --help lists the flags\n")
        sys.exit(1)


def _usage() -> str:
    from absl import flags

    module = sys.modules["__main__"]
    own = flags.FLAGS.module_help(__name__)
    return f"{(module.__doc__ or '').strip()}\n\n{own}\n"


def _main(argv: list[str], options_class: type, function: Callable) -> None:
    from absl import flags

    try:
        if len(argv) > 1:
            raise InputError(f"unexpected argument {argv[1]!r}; every option is a --flag")
        names = [field.name for field in dataclasses.fields(options_class)]
        result = function(options_class(**{name: flags.FLAGS[name].value for name in names}))
    except (InputError, OSError) as error:
        sys.stderr.write(f"error: {error}\n")
        sys.exit(1)
    print(json.dumps(result, ensure_ascii=False))
