"""Queries an exported SavedModel; needs TensorFlow and its text ops, but no model code.

Run as `python -m kerasbert.serving.client DIRECTORY`, it reads `{"text": [...], ...}` as JSON from
standard input, and writes the predictions as one line of JSON.
"""

import json
import os
import pathlib
import subprocess
import sys
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, NotRequired, TypedDict

from kerasbert import files
from kerasbert.errors import InputError, UninitializedWeightsWarning
from kerasbert.features import LIST_COLUMNS
from kerasbert.serving.columns import checked_columns, rows_of
from kerasbert.serving.signatures import DEFAULT, GRAPH

METADATA = pathlib.Path("assets.extra") / "kerasbert.json"
_LONGEST_REASON = 200


class _Metadata(TypedDict):
    inputs: list[str]
    #: SHA-256 of other files by path; missing in early exports.
    files: NotRequired[dict[str, str]]
    #: Paths of the weights that were random when the model was exported; missing if there are none.
    uninitialized_weights: NotRequired[list[str]]


class SavedModelClient:
    """Loads an exported model and predicts texts.

    Examples:
        The first lines export a model with random weights; a client needs none of them.

        >>> import kerasbert
        >>> words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "dull", "fine", "day"]
        >>> tokenizer = kerasbert.text.WordPieceTokenizer(words)
        >>> config = kerasbert.BackboneConfig.from_preset("bert_tiny", vocabulary_size=len(words))
        >>> model = kerasbert.TextClassifier(
        ...     kerasbert.Backbone(config), ["bad", "good"], tokenizer=tokenizer
        ... )
        >>> model.export("saved_models/opinions/1", check=False)
        >>> client = kerasbert.serving.SavedModelClient("saved_models/opinions")
        >>> answer = client(text=["a fine day"])[0]
        >>> answer["label"] in ("bad", "good"), len(answer["scores"])
        (True, 2)

    Args:
        directory: a version directory, or its parent, whose highest version is loaded.

    Raises:
        InputError: the directory contains no export of kerasbert, or it is damaged.
    """

    def __init__(self, directory: str | os.PathLike[str]):
        self.directory = find_version(directory)
        model, self.metadata = load(self.directory)
        self._serve = model.signatures[DEFAULT]
        self._model = model  # owns the variables

    def __call__(self, **columns: Sequence[str]) -> list[dict[str, Any]]:
        """Predicts texts.

        Args:
            **columns: a list for each input of the model, such as `text` and `text_pair`: of
                strings or, for `words` and `choices`, of lists of strings.

        Returns:
            A dict for each row, with the model's outputs as plain Python values.

        Raises:
            InputError: an input is missing or unknown, lengths differ, or a value is no string.

        Examples:
            >>> len(client(text=["a fine day", "a dull day"]))
            2
        """
        columns = checked_columns(self.directory, self.metadata["inputs"], columns)
        return answer_rows(self._serve(**{name: tensor(name, columns[name]) for name in columns}))


def load(directory: pathlib.Path) -> tuple[Any, ...]:
    """Loads a version directory; returns TensorFlow's object and the metadata.

    Raises:
        InputError: it contains no export of kerasbert, or it is damaged.
    """
    import tensorflow as tf
    import tensorflow_text  # noqa: F401  registers the ops that the graph needs

    metadata = files.read_json(directory / METADATA, _Metadata)
    _check_files(directory, metadata.get("files", {}))
    try:
        with files.without_patterns(directory) as plain:
            model = tf.saved_model.load(plain)
        serve = model.signatures[DEFAULT]
    except Exception as error:  # damaged files raise errors of all kinds
        raise InputError(
            f"{directory}: TensorFlow can't load it ({reason(error)}); export the model again"
        ) from None
    there = sorted(serve.structured_input_signature[1])
    if there != sorted(metadata["inputs"]):
        raise InputError(
            f"{directory / METADATA}: says that inputs are "
            f"{', '.join(metadata['inputs'])}, but they are {', '.join(there)}"
        )
    if random := metadata.get("uninitialized_weights"):
        what = f"{directory}: what it answers depends"
        warnings.warn(UninitializedWeightsWarning(what, random), stacklevel=3)
    return model, metadata


def tensor(name: str, column: Sequence[Any]) -> Any:
    """Converts strings to a tensor; lists of strings are padded with empty ones."""
    import tensorflow as tf

    try:
        if name in LIST_COLUMNS:
            rows = [list(row) for row in column]
            return tf.ragged.constant(rows, tf.string, ragged_rank=1).to_tensor("")
        return tf.constant(list(column), tf.string, [len(column)])
    except (TypeError, ValueError) as error:
        wanted = "lists of strings" if name in LIST_COLUMNS else "strings"
        found = reason(error.__cause__ or error)
        raise InputError(f"{name} must hold {wanted} as UTF-8 can hold them ({found})") from None


def reason(error: BaseException) -> str:
    """Returns the beginning of an error's message on one line; its type if it has none."""
    return " ".join(str(error).split())[:_LONGEST_REASON] or type(error).__name__


def sha256_of_files(directory: pathlib.Path) -> dict[str, str]:
    """Returns the SHA-256 of an export's files by path; TensorFlow itself checks weights."""
    inside = sorted(path for path in directory.rglob("*") if path.is_file())
    return {
        path.relative_to(directory).as_posix(): files.sha256(path)
        for path in inside
        if not path.name.startswith("variables.data")
    }


def _check_files(directory: pathlib.Path, known: dict[str, str]) -> None:
    """Raises `InputError` if a file has changed since the export.

    TensorFlow does not detect all damage, and may crash because of it.
    """
    for name, sha256 in known.items():
        path = directory / name
        if not files.exists(path):
            raise InputError(f"{path}: no such file; export the model again")
        files.check_file(path)
        if files.sha256(path) != sha256:
            files.refuse_stand_in(path)
            raise InputError(f"{path}: is damaged (its SHA-256 differs); export the model again")


def ask_fresh_process(
    directory: str | os.PathLike[str], columns: dict[str, Sequence[str]]
) -> list[dict[str, Any]]:
    """Queries an export in a fresh process, with full float32 precision on GPUs (no TF32).

    Args:
        directory: as in `SavedModelClient`.
        columns: a list of strings for each input of the model.

    Returns:
        The predictions, as `SavedModelClient` returns them.

    Raises:
        RuntimeError: the process failed; the message ends with its error output.
    """
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "NVIDIA_TF32_OVERRIDE": "0"}
    # The child must import the same kerasbert as this process.
    root = str(pathlib.Path(__file__).parents[2])
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
    child = subprocess.run(
        [sys.executable, "-m", __name__, str(directory)],
        input=json.dumps(columns),
        capture_output=True,
        text=True,
        env=environment,
    )
    if child.returncode:
        raise RuntimeError(f"the export does not load in a fresh process:\n{child.stderr[-2000:]}")
    return json.loads(child.stdout.splitlines()[-1])


def answer_rows(outputs: dict[str, Any]) -> list[dict[str, Any]]:
    """Converts a dict of tensors with a common first dimension to a list of dicts."""
    return rows_of({name: tensor.numpy().tolist() for name, tensor in sorted(outputs.items())})


def find_version(directory: str | os.PathLike[str]) -> pathlib.Path:
    """Returns the version directory: `directory` itself, or its child with the highest number.

    Raises:
        InputError: there is no SavedModel with kerasbert's metadata.
    """
    directory = pathlib.Path(directory)
    versions = [directory]
    if files.is_directory(directory) and not files.exists(directory / GRAPH):
        children = [child for child in directory.iterdir() if child.name.isdecimal()]
        versions = sorted(children, key=lambda child: int(child.name), reverse=True)
    for version in versions[:1]:
        if files.exists(version / GRAPH) and files.exists(version / METADATA):
            return version
    raise InputError(f"{directory}: holds no model that kerasbert exported")


def pays_to_freeze_weights(metadata: Mapping[str, Any]) -> bool:
    """Whether oneDNN should keep the weights in the layout for the first shape that it sees.

    In float32, that costs more for other shapes than it saves; docs/performance.md has the times.

    Args:
        metadata: the export's metadata.
    """
    return metadata.get("dtype") != "float32"


def main() -> None:
    """Runs this module as a program."""
    client = SavedModelClient(sys.argv[1])
    print(json.dumps(client(**json.load(sys.stdin))))


if __name__ == "__main__":
    main()
