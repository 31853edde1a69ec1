"""Model -> SavedModel."""

from kerasbert import zoo
from kerasbert.recipes.options import ExportOptions
from kerasbert.tasks import Task


def export(options: ExportOptions) -> dict:
    """Exports a model that takes raw strings; returns where it is."""
    model = zoo.load_task(options.model, Task, dtype=options.precision)
    model.export(options.output, check=options.check, overwrite=options.overwrite)
    inputs, _ = model.serving_signature()
    return {"saved_model": options.output, "inputs": list(inputs), "checked": options.check}
