"""SHA-256 of files, of directories and of JSON objects."""

import hashlib
import json
import os
import pathlib
from typing import Any


def sha256(path: str | os.PathLike[str]) -> str:
    """Returns the SHA-256 of a file's bytes, in hex."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sha256_of_all(path: str | os.PathLike[str]) -> str:
    """Returns the SHA-256 of a file, or of the names and contents of all files in a directory."""
    path = pathlib.Path(path)
    if not path.is_dir():
        return sha256(path)
    inside = sorted(file for file in path.rglob("*") if file.is_file())
    listed = "".join(f"{sha256(file)} {file.relative_to(path).as_posix()}\n" for file in inside)
    return hashlib.sha256(os.fsencode(listed)).hexdigest()


def own_sha256(value: dict[str, Any]) -> str:
    """Returns the SHA-256 of a JSON object without its own "sha256"."""
    rest = json.loads(json.dumps({key: value[key] for key in value if key != "sha256"}))
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()
