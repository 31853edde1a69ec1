"""A checkpoint in a directory, complete and undamaged."""

import dataclasses
import pathlib

from kerasbert import files
from kerasbert.errors import InputError

STATE, METADATA, COMPLETE = "state.safetensors", "state.json", "complete"


@dataclasses.dataclass(frozen=True)
class StoredCheckpoint:
    """A complete checkpoint.

    Attributes:
        path: directory of the checkpoint.
        step: number of training steps before it.
        settings: settings that the run was started with.
    """

    path: pathlib.Path
    step: int
    settings: dict


def read_checkpoint(path: pathlib.Path) -> StoredCheckpoint:
    """Returns the checkpoint in a directory.

    Raises:
        InputError: there is none, or it is damaged.
    """
    marker = path / COMPLETE
    if not marker.exists():
        raise InputError(f"{path}: has no {COMPLETE!r} marker")
    metadata_path = path / METADATA
    if (
        not metadata_path.exists()
        or files.sha256(metadata_path).encode() != marker.read_bytes().strip()
    ):
        raise InputError(
            f"{metadata_path}: is missing or not as it was written (its SHA-256 differs)"
        )
    metadata = files.read_json(metadata_path)
    for name, expected in metadata["sha256"].items():
        if not (path / name).exists() or files.sha256(path / name) != expected:
            raise InputError(f"{path / name}: is missing or not as it was written")
    return StoredCheckpoint(path, metadata["step"], metadata["settings"])
