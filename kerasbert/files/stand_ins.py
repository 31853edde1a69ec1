"""Files that are there in place of others: a Git LFS pointer, or a saved page of HTML."""

import os
import re

from kerasbert.errors import InputError

#: The bytes at the start of a file that show it.
HEAD = 512
_POINTER = b"version https://git-lfs.github.com/spec/"
_PAGE = re.compile(
    rb"\s*(<\?xml[^>]*>\s*)?(<!--.*?-->\s*)?<(!doctype\s+html|html[\s>])", re.I | re.S
)


def refuse_stand_in(
    path: str | os.PathLike[str], head: bytes | None = None, *, is_text: bool = False
) -> None:
    """Raises `InputError` for a Git LFS pointer and for HTML, in place of what a file should hold.

    Args:
        path: path of the file. One that can't be read is left to others.
        head: the content, or at least its first `HEAD` bytes; None: they are read.
        is_text: whether the file may hold any text, HTML, too.
    """
    if head is None:
        try:
            with open(path, "rb") as file:
                head = file.read(HEAD)
        except OSError:
            return
    head = head[:HEAD].removeprefix(b"\xef\xbb\xbf")
    if head.startswith(_POINTER):
        raise InputError(
            f"{path}: is a Git LFS pointer, not the file itself; run git lfs pull in the clone, or "
            "download the file"
        )
    if not is_text and _PAGE.match(head):
        raise InputError(
            f"{path}: is a page of HTML, as browsers show it, not the file itself; download the "
            "file again (on Hugging Face with /resolve/ in place of /blob/ in the address)"
        )
