"""The command `kerasbert`: one subcommand for each program."""

import importlib
import shutil
import signal
import sys
import textwrap
from collections.abc import Mapping

from kerasbert import program

_INDENT = 21  # width of the column of names in `--help`
_WIDEST = 100


def main() -> None:
    """Runs the program that the command line names; `scripts/` has the same programs."""
    program.handle_signals(signal.SIG_DFL)  # until the program sets its own
    name, *flags = sys.argv[1:] or ["--help"]
    if name == "help":  # `help NAME` is `NAME --help`
        name, *flags = [*flags, "--help"]
    options = importlib.import_module("kerasbert.recipes.options")
    programs = options.programs()
    if name in programs:
        program.run(name, command=f"kerasbert {name}", words=flags)
        return
    cli = importlib.import_module("kerasbert.cli")
    if name in cli.HELP:
        program.show(_help(programs))
    elif name == "--version":
        program.show(importlib.import_module("kerasbert").__version__)
    else:
        program.fail(importlib.import_module("kerasbert.mistyped").unknown_command(name, programs))


def _help(programs: Mapping) -> str:
    """Returns the descriptions of all programs, in groups."""
    lines = ["usage: kerasbert COMMAND [flags]"]
    stage = None
    for name, options in programs.items():
        if options.program.stage != stage:
            stage = options.program.stage
            lines += ["", f"{stage}:"]
        lines += textwrap.wrap(
            f"  {name.ljust(_INDENT)}{options.program.description}",
            min(_WIDEST, shutil.get_terminal_size().columns),
            subsequent_indent=" " * (_INDENT + 2),
        )
    lines += ["", "kerasbert COMMAND --help describes the flags of a command."]
    return "\n".join(lines)
