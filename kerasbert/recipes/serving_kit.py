"""Writing a folder for TensorFlow Serving."""

from typing import Any

from kerasbert import files, loading
from kerasbert.recipes.options import ServingKitOptions
from kerasbert.serving import kit
from kerasbert.tasks import Task


def serving_kit(options: ServingKitOptions) -> dict[str, Any]:
    """Exports a model into a new kit; returns what it contains."""
    files.refuse_existing(
        options.output,
        overwrite=options.overwrite,
        check=kit.check_replaceable,
        option="--overwrite",
    )
    model = loading.load_task(options.model, Task, dtype=options.precision, **options.overrides)
    return kit.write(
        options.output,
        lambda path: model.export(path, check=options.check),
        name=options.name,
        overwrite=options.overwrite,
    )
