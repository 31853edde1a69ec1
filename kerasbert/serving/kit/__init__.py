"""A folder that is ready to run: a SavedModel with all that TensorFlow Serving needs around it."""

import os
import pathlib
from collections.abc import Callable
from typing import Any

from kerasbert import files, lazy
from kerasbert.serving import exports, signatures, urls
from kerasbert.serving.client import METADATA, SavedModelClient, pays_to_freeze_weights
from kerasbert.serving.kit import configs, examples, readme, warm_up

# Of a full batch; with them, a batch of a base model takes seconds on a few cores.
_TOKENS = 4096
_LEAST_ROWS, _MOST_ROWS = 4, 64
# The files around the SavedModel, in the order of the texts in `_complete`.
_FILES = (
    "README.md",
    "compose.yaml",
    "kubernetes.yaml",
    "config/models.config",
    "config/monitoring.config",
    "config/prometheus.yaml",
)


def write(
    path: str | os.PathLike[str],
    export: Callable[[pathlib.Path], None],
    *,
    name: str,
    overwrite: bool = False,
) -> dict[str, Any]:
    """Writes a kit for TensorFlow Serving; the folder appears when it is complete.

    Examples:
        Needs `pip install 'kerasbert[serving]'`. `model.export` alone also checks the export.

        >>> import functools
        >>> import kerasbert
        >>> words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "dull", "fine", "day"]
        >>> tokenizer = kerasbert.text.WordPieceTokenizer(words)
        >>> config = kerasbert.BackboneConfig.from_preset("bert_tiny", vocabulary_size=len(words))
        >>> model = kerasbert.TextClassifier(
        ...     kerasbert.Backbone(config), ["bad", "good"], tokenizer=tokenizer
        ... )
        >>> export = functools.partial(model.export, check=False)
        >>> facts = kerasbert.serving.kit.write("kits/opinions", export, name="opinions")
        >>> facts["saved_model"]
        'kits/opinions/models/opinions/1'

    Args:
        path: folder to write.
        export: function that writes the SavedModel to a version directory, such as `Task.export`.
        name: the model's name, a part of its URL.
        overwrite: whether to replace an existing kit.

    Returns:
        A dict with the paths of the kit and of the SavedModel, the number of warm-up requests, and
        the rows of a batch (None: requests are not batched).

    Raises:
        InputError: `path` exists and must not be replaced, or can't be written; the name can't be
            a part of a URL; or tensorflow-serving-api is not installed.
    """
    urls.check_name(name)
    lazy.extra("tensorflow_serving.apis.prediction_log_pb2", "'kerasbert[serving]'")
    version = pathlib.Path("models") / name / "1"
    with files.new_directory(path, overwrite=overwrite, check=check_replaceable) as folder:
        (folder / version).parent.mkdir(parents=True)
        export(folder / version)
        facts = _complete(folder, folder / version, name)
    return {"kit": str(path), "saved_model": str(path / version), **facts}


def check_replaceable(folder: pathlib.Path) -> None:
    """Raises `InputError` unless a folder is a kit with nothing else in it."""
    files.check_own(folder, "a kit", _files_written)


def _files_written(folder: pathlib.Path) -> set[pathlib.Path] | None:
    """Returns the files that `write` wrote to a folder; None: it is no kit."""
    models = [exports.files_written(version) for version in folder.glob("models/*/1")]
    if len(models) != 1 or models[0] is None or not files.exists(folder / "compose.yaml"):
        return None
    return models[0] | {folder / name for name in _FILES}


def _complete(folder: pathlib.Path, version: pathlib.Path, name: str) -> dict[str, Any]:
    """Writes what belongs to an exported model, and returns facts about it."""
    metadata = files.read_json(version / METADATA, dict)
    found = signatures.read(version)
    length = metadata["sequence_length"]
    rows = max(_LEAST_ROWS, min(_MOST_ROWS, _TOKENS // length))
    batched = not signatures.takes_lists(found[signatures.DEFAULT])
    columns, frozen = examples.columns(metadata), pays_to_freeze_weights(metadata)
    answers = SavedModelClient(version)(**columns)
    number = warm_up.write(version, name, rows, length)
    size = sum(file.stat().st_size for file in version.rglob("*") if file.is_file())
    texts = (
        readme.text(name, metadata, found, columns, answers, batched),
        configs.compose(name, batched, frozen),
        configs.kubernetes(name, batched, size, frozen),
        configs.models(name),
        configs.MONITORING,
        configs.prometheus(),
    )
    (folder / "config").mkdir()
    for file, content in zip(_FILES, texts, strict=True):
        (folder / file).write_text(content, encoding="utf-8")
    if batched:
        padded = signatures.may_be_padded(found["tokens"])
        batching = configs.batching(rows, length, padded)
        (version / exports.BATCHING).write_text(batching, encoding="utf-8")
    return {"warm_up_requests": number, "batch_size": rows if batched else None}


__all__ = ["write"]
