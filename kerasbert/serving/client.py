"""Loads an exported SavedModel and asks it; needs TensorFlow and its text ops, no model code.

As a program, `python -m kerasbert.serving.client DIRECTORY`, it reads `{"text": [...], ...}` as
JSON from standard input and writes the answers as one line of JSON.
"""

import json
import os
import pathlib
import subprocess
import sys
from collections.abc import Sequence
from typing import NotRequired, TypedDict

from kerasbert import files
from kerasbert.errors import InputError
from kerasbert.features import LIST_COLUMNS

METADATA = pathlib.Path("assets.extra") / "kerasbert.json"
_LONGEST_REASON = 200


class _Metadata(TypedDict):
    inputs: list[str]
    #: The SHA-256 of other files by their paths; earlier exports have none.
    files: NotRequired[dict[str, str]]


class SavedModelClient:
    """An exported model in this process.

    Args:
        directory: a version directory, or the one above it, of which the highest version counts.

    Raises:
        InputError: there is no kerasbert export, or it is damaged.
    """

    def __init__(self, directory: str | os.PathLike):
        import tensorflow as tf
        import tensorflow_text  # noqa: F401  registers the ops that the graph needs

        self.directory = find_version(directory)
        self.metadata = files.read_json(self.directory / METADATA, _Metadata)
        _check_files(self.directory, self.metadata.get("files", {}))
        try:
            with files.without_patterns(self.directory) as plain:
                self._model = tf.saved_model.load(plain)
            self._serve = self._model.signatures["serving_default"]
        except Exception as error:  # of any kind, if a file is damaged
            reason = " ".join(str(error).split())[:_LONGEST_REASON]
            raise InputError(
                f"{self.directory}: TensorFlow can't load it ({reason}); export the model again"
            ) from None
        there = sorted(self._serve.structured_input_signature[1])
        if there != sorted(self.metadata["inputs"]):
            raise InputError(
                f"{self.directory / METADATA}: says that inputs are "
                f"{', '.join(self.metadata['inputs'])}, but they are {', '.join(there)}"
            )

    def __call__(self, **columns: Sequence[str]) -> list[dict]:
        """Answers texts.

        Args:
            **columns: a list for each input of the model, such as `text` and, for models of pairs,
                `text_pair`: of strings or, for `words` and `choices`, of lists of strings.

        Returns:
            A dict for each row: the model's outputs as plain Python values.

        Raises:
            InputError: an input is missing or too much, they differ in length, or hold something
                else than strings.
        """
        wanted = self.metadata["inputs"]
        if sorted(columns) != sorted(wanted):
            raise InputError(
                f"{self.directory}: takes {' and '.join(wanted)}, found {' and '.join(columns)}"
            )
        for name, column in columns.items():
            if isinstance(column, str | bytes):
                raise InputError(f"{name} must be a list, found {column!r}; put it in one")
        lengths = {len(column) for column in columns.values()}
        if len(lengths) != 1:
            raise InputError(f"there must be as many texts as text pairs, found {sorted(lengths)}")
        return answer_rows(self._serve(**{name: _tensor(name, columns[name]) for name in columns}))


def _tensor(name: str, column: Sequence):
    """Strings as a tensor; lists of them are filled up with empty strings."""
    import tensorflow as tf

    try:
        if name in LIST_COLUMNS:
            rows = [list(row) for row in column]
            return tf.ragged.constant(rows, tf.string, ragged_rank=1).to_tensor("")
        return tf.constant(list(column), tf.string, [len(column)])
    except (TypeError, ValueError) as error:
        wanted = "lists of strings" if name in LIST_COLUMNS else "strings"
        reason = " ".join(str(error.__cause__ or error).split())[:_LONGEST_REASON]
        raise InputError(f"{name} must hold {wanted} as UTF-8 can hold them ({reason})") from None


def sha256_of_files(directory: pathlib.Path) -> dict[str, str]:
    """The SHA-256 of an export's files by their paths in there; TensorFlow looks at weights."""
    inside = sorted(path for path in directory.rglob("*") if path.is_file())
    return {
        path.relative_to(directory).as_posix(): files.sha256(path)
        for path in inside
        if not path.name.startswith("variables.data")
    }


def _check_files(directory: pathlib.Path, known: dict[str, str]) -> None:
    """Raises `InputError` for a file that is not as it was exported.

    TensorFlow doesn't see all damage, and may crash of what it does not see.
    """
    for name, sha256 in known.items():
        path = directory / name
        if not files.exists(path):
            raise InputError(f"{path}: no such file; export the model again")
        files.check_file(path)
        if files.sha256(path) != sha256:
            raise InputError(f"{path}: is damaged (its SHA-256 differs); export the model again")


def ask_fresh_process(
    directory: str | os.PathLike, columns: dict[str, Sequence[str]]
) -> list[dict]:
    """Asks an export in a process that has never seen the model; GPUs don't round there (TF32).

    Args:
        directory: as in `SavedModelClient`.
        columns: a list of strings for each input of the model.

    Raises:
        RuntimeError: the process failed; the message ends with what it wrote.
    """
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "NVIDIA_TF32_OVERRIDE": "0"}
    # The child must find the same kerasbert, wherever this process found it.
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


def answer_rows(outputs: dict) -> list[dict]:
    """Turns a dict of tensors with a common first dimension into a list of dicts."""
    columns = {name: _plain(tensor.numpy().tolist()) for name, tensor in sorted(outputs.items())}
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _plain(value):
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value.decode("utf-8") if isinstance(value, bytes) else value


def find_version(directory: str | os.PathLike) -> pathlib.Path:
    """The version directory: `directory` itself or its highest integer child.

    Raises:
        InputError: neither holds a SavedModel with kerasbert's metadata.
    """
    directory = pathlib.Path(directory)
    versions = [directory]
    if files.is_directory(directory) and not files.exists(directory / "saved_model.pb"):
        children = [child for child in directory.iterdir() if child.name.isdecimal()]
        versions = sorted(children, key=lambda child: int(child.name), reverse=True)
    for version in versions[:1]:
        if files.exists(version / "saved_model.pb") and files.exists(version / METADATA):
            return version
    raise InputError(f"{directory}: holds no model that kerasbert exported")


def main() -> None:
    """The program of this module."""
    client = SavedModelClient(sys.argv[1])
    print(json.dumps(client(**json.load(sys.stdin))))


if __name__ == "__main__":
    main()
