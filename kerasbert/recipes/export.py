"""Exporting a model as a SavedModel, or for another runtime."""

import pathlib
from typing import Any

from kerasbert import files, loading
from kerasbert.recipes.options import ExportOptions
from kerasbert.serving import exports
from kerasbert.serving.client import METADATA
from kerasbert.serving.formats import SAVED_MODEL
from kerasbert.tasks import Task
from kerasbert.training.progress import log


def export(options: ExportOptions) -> dict[str, Any]:
    """Exports a model; returns its path and inputs."""
    if options.format == SAVED_MODEL and not pathlib.Path(options.output).name.isdigit():
        log(
            f"{options.output}: TensorFlow Serving expects numbered version directories, such as "
            f"--output {options.output.rstrip('/')}/1"
        )
    dtype = "float32" if options.precision == "int8" else options.precision
    with files.locked(options.output):
        files.refuse_existing(
            options.output,
            overwrite=options.overwrite,
            check=exports.check_replaceable,
            option="--overwrite",
        )
        model = loading.load_task(options.model, Task, dtype=dtype, **options.overrides)
        model.export(
            options.output,
            format=options.format,
            precision="int8" if options.precision == "int8" else None,
            batch_size=options.batch_size,
            length=options.length,
            attention=options.attention,
            check=options.check,
            overwrite=options.overwrite,
        )
    written = METADATA if options.format == SAVED_MODEL else exports.SETTINGS
    inputs = files.read_json(pathlib.Path(options.output) / written, dict)["inputs"]
    return {options.format: options.output, "inputs": inputs, "checked": options.check}
