"""How the options of a program are declared: as a dataclass whose fields carry their help."""

import dataclasses


def option(default=dataclasses.MISSING, *, help: str):
    """A field of an options dataclass, with the text that `--help` shows.

    Without a default the option is required.
    """
    if isinstance(default, list):
        return dataclasses.field(default_factory=lambda: list(default), metadata={"help": help})
    return dataclasses.field(default=default, metadata={"help": help})
