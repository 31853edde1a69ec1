"""Atomic writing of files and directories, and reading of untrusted files."""

from kerasbert.files.atomic import (
    new_directory,
    new_file,
    refuse_existing,
    to_json,
    write_json,
    write_text,
)
from kerasbert.files.disk import flush, flush_all, move, remove, reserve, writing
from kerasbert.files.hashes import own_sha256, sha256, sha256_of_all
from kerasbert.files.locks import locked
from kerasbert.files.reading import (
    check_file,
    ending,
    exists,
    is_directory,
    open_text,
    read_bytes,
    read_json,
    without_patterns,
)

__all__ = [
    "check_file",
    "ending",
    "exists",
    "flush",
    "flush_all",
    "is_directory",
    "locked",
    "move",
    "new_directory",
    "new_file",
    "open_text",
    "own_sha256",
    "read_bytes",
    "read_json",
    "refuse_existing",
    "remove",
    "reserve",
    "sha256",
    "sha256_of_all",
    "to_json",
    "without_patterns",
    "write_json",
    "write_text",
    "writing",
]
