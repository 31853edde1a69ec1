"""Atomic writing of files and directories, and reading of untrusted files."""

from kerasbert.files.atomic import (
    new_directory,
    new_file,
    to_json,
    write_json,
    write_text,
)
from kerasbert.files.disk import flush, flush_all, from_hidden, move, remove, reserve, writing
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
from kerasbert.files.replacing import check_own, refuse_elsewhere, refuse_existing
from kerasbert.files.stand_ins import refuse_stand_in

__all__ = [
    "check_file",
    "check_own",
    "ending",
    "exists",
    "flush",
    "flush_all",
    "from_hidden",
    "is_directory",
    "locked",
    "move",
    "new_directory",
    "new_file",
    "open_text",
    "own_sha256",
    "read_bytes",
    "read_json",
    "refuse_elsewhere",
    "refuse_existing",
    "refuse_stand_in",
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
