"""Model -> SavedModel."""

import dataclasses

from kerasbert import zoo
from kerasbert.errors import InputError
from kerasbert.options import option
from kerasbert.tasks import Task

PRECISIONS = ("float32", "bfloat16")


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExportOptions:
    """Options of `export`."""

    model: str = option(help="the model directory, such as RUN/model")
    output: str = option(help="the version directory to write, such as saved_models/NAME/1")
    precision: str = option(
        "float32",
        help="or bfloat16: half the size, and faster on processors that multiply it; scores then "
        "differ in the third digit",
    )
    overwrite: bool = option(False, help="replace what is there")
    check: bool = option(True, help="compare answers with the live model in a fresh process")


def export(options: ExportOptions) -> dict:
    """Exports a model that takes raw strings; returns where it is."""
    if options.precision not in PRECISIONS:
        known = " or ".join(PRECISIONS)
        raise InputError(f"--precision must be {known}, found {options.precision!r}")
    model = zoo.load_task(options.model, Task, dtype=options.precision)
    model.export(options.output, check=options.check, overwrite=options.overwrite)
    inputs, _ = model.serving_signature()
    return {"saved_model": options.output, "inputs": list(inputs), "checked": options.check}
