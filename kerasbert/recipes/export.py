"""Model -> SavedModel."""

import dataclasses

from kerasbert import zoo
from kerasbert.options import option
from kerasbert.tasks import Task


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExportOptions:
    """Options of `export`."""

    model: str = option(help="the model directory, such as RUN/model")
    output: str = option(help="the version directory to write, such as saved_models/NAME/1")
    overwrite: bool = option(False, help="replace what is there")
    check: bool = option(True, help="compare answers with the live model in a fresh process")


def export(options: ExportOptions) -> dict:
    """Exports a model that takes raw strings; returns where it is."""
    model = zoo.load_task(options.model, Task)
    model.export(options.output, check=options.check, overwrite=options.overwrite)
    inputs, _ = model.serving_signature()
    return {"saved_model": options.output, "inputs": list(inputs), "checked": options.check}
