"""Options of the programs that describe the installation and what it can load."""

import dataclasses

from kerasbert.options import Options, Program, option
from kerasbert.recipes.options.shared import START


@dataclasses.dataclass(frozen=True, kw_only=True)
class PresetsOptions(Options):
    """Options of `presets`."""

    program = Program(
        START, "Lists architectures and public checkpoints, with the line that loads each.", ("",)
    )
    needs_tensorflow = False

    json: bool = option(False, help="print JSON instead of tables")


@dataclasses.dataclass(frozen=True, kw_only=True)
class DoctorOptions(Options):
    """Options of `doctor`."""

    program = Program(
        START,
        "Describes this installation: versions, devices, which precision pays, what is missing.",
        ("",),
    )
    needs_tensorflow = False  # it may be what is broken

    json: bool = option(False, help="print JSON instead of lines")
