"""Listing architectures and public checkpoints."""

import math
from collections.abc import Mapping
from typing import Any

from kerasbert import families
from kerasbert.checkpoints.sizes import encoder_shapes
from kerasbert.config import BackboneConfig
from kerasbert.families import Checkpoint
from kerasbert.recipes.options import PresetsOptions

_ARCHITECTURES = """\
Architectures, to train from scratch: kerasbert pretrain --preset NAME, or in Python
kerasbert.Backbone(kerasbert.BackboneConfig.from_preset("NAME")).
"""
_CHECKPOINTS = """
Public checkpoints, and the line that loads each; any other one of these families is loaded in the
same way. kerasbert.Backbone.from_preset loads an encoder alone, the from_preset of another task
gives it a new head. The license is the publisher's, left out where it is not known here.
"""


def presets(options: PresetsOptions) -> dict[str, Any] | str:
    """Returns tables of architectures and checkpoints, as text or as JSON."""
    architectures = [
        {"name": name, "family": preset.get("family", "bert"), "parameters": _parameters(preset)}
        for name, preset in families.PRESETS.items()
    ]
    checkpoints = [
        {
            "name": f"hf://{checkpoint.name}",
            "family": family,
            "parameters": _parameters(
                {**families.PRESETS[checkpoint.preset], **checkpoint.changes}
            ),
            "languages": checkpoint.languages,
            "license": checkpoint.license or None,
            "load": load_line(checkpoint),
        }
        for family, facts in families.FAMILIES.items()
        for checkpoint in facts.checkpoints
    ]
    if options.json:
        return {"architectures": architectures, "checkpoints": checkpoints}
    rows = [(_millions(one["parameters"]), one["family"], one["name"]) for one in architectures]
    text = _ARCHITECTURES + _table([("parameters", "family", "name"), *rows])
    rows = [
        (_millions(one["parameters"]), one["languages"], one["license"] or "", one["load"])
        for one in checkpoints
    ]
    header = ("parameters", "languages", "license", "in Python")
    return text + _CHECKPOINTS + _table([header, *rows]).rstrip("\n")


def load_line(checkpoint: Checkpoint) -> str:
    """Returns the Python expression that loads a checkpoint with its head."""
    pair = ", pair=True" if checkpoint.pair else ""
    return f'kerasbert.{checkpoint.task or "Backbone"}.from_preset("hf://{checkpoint.name}"{pair})'


def _parameters(settings: Mapping) -> int:
    """Returns the number of an encoder's parameters, with its pooler."""
    shapes = encoder_shapes(BackboneConfig(**settings))
    return sum(math.prod(shape) for _, shape in shapes)


def _millions(parameters: int) -> str:
    return f"{parameters / 1e6:.1f} M".rjust(9)


def _table(rows: list[tuple[str, ...]]) -> str:
    """Returns rows as lines with aligned columns."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)
    return "".join(f"  {line}\n" for line in lines)
