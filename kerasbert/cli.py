"""Dataclass <-> absl flags: what a program in `scripts/` is made of."""

import contextlib
import dataclasses
import importlib
import json
import os
import sys
import tempfile
import types
import typing
from collections.abc import Callable, Iterator

from kerasbert.errors import InputError, Interrupted


def run(recipe: str) -> None:
    """Runs a program: flags in, the recipe's result as JSON on the last line of stdout.

    The exit status is 0; 1 after one line on standard error if the input was bad; 128 and the
    signal's number if a signal stopped it.

    Args:
        recipe: the name of a module in `kerasbert.recipes` with a function of the same name, whose
            parameter `options` is annotated with a dataclass of options.
    """
    from absl import app

    with _quiet_tensorflow():
        function = getattr(importlib.import_module(f"kerasbert.recipes.{recipe}"), recipe)
    options_class = typing.get_type_hints(function)["options"]
    _define_flags(options_class)
    app.run(lambda argv: _main(argv, options_class, function), flags_parser=_parse)


@contextlib.contextmanager
def _quiet_tensorflow() -> Iterator[None]:
    """Keeps what TensorFlow's libraries print while they are loaded off the terminal.

    No setting does (tensorflow issue 100442), so the file descriptor is turned away, and what was
    written is shown only if loading fails.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    sys.stderr.flush()
    terminal = os.dup(2)
    with tempfile.TemporaryFile() as written:
        os.dup2(written.fileno(), 2)
        try:
            import tensorflow as tf

            tf.config.list_physical_devices()  # looks for accelerators, with notes of its own
            yield
        except BaseException:
            written.seek(0)
            os.write(terminal, written.read())
            raise
        finally:
            sys.stderr.flush()
            os.dup2(terminal, 2)
            os.close(terminal)


def _define_flags(options_class: type) -> None:
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


def _is_required(field: dataclasses.Field) -> bool:
    return field.default is field.default_factory is dataclasses.MISSING


def _default(field: dataclasses.Field):
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return None if field.default is dataclasses.MISSING else field.default


def _parse(argv: list[str]) -> list[str]:
    from absl import flags

    if any(word in ("--help", "-help", "-h", "--helpshort") for word in argv[1:]):
        program = (sys.modules["__main__"].__doc__ or "").strip()
        print(f"{program}\n{flags.FLAGS.module_help(__name__)}")
        sys.exit(0)
    try:
        return flags.FLAGS(argv)
    except flags.Error as error:
        sys.stderr.write(f"error: {' '.join(str(error).split())}; --help lists the flags\n")
        sys.exit(1)


def _main(argv: list[str], options_class: type, function: Callable) -> None:
    from absl import flags, logging

    logging.set_verbosity(logging.WARNING)  # what TensorFlow says while it exports is no news
    try:
        if len(argv) > 1:
            raise InputError(f"unexpected argument {argv[1]!r}; every option is a --flag")
        fields = dataclasses.fields(options_class)
        values = {field.name: flags.FLAGS[field.name].value for field in fields}
        missing = [f.name for f in fields if _is_required(f) and values[f.name] is None]
        if missing:
            named = " and ".join(f"--{name}" for name in missing)
            raise InputError(f"{named} must be given; --help lists the flags")
        result = function(options_class(**values))
    except (InputError, OSError) as error:
        sys.stderr.write(f"error: {error}\n")
        sys.exit(1)
    except Interrupted as interruption:
        sys.stderr.write(f"{interruption}\n")
        sys.exit(128 + interruption.signal)
    print(json.dumps(result, ensure_ascii=False))
