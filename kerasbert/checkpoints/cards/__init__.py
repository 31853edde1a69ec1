"""Model cards: the README.md of a model directory, whose header Hugging Face's hub reads.

The same model and facts give the same bytes. A card ends with its own SHA-256, so that one that a
person has edited is known, and kept.
"""

import hashlib
import os
import pathlib
import re

from kerasbert import files
from kerasbert.checkpoints.cards.body import body, carried
from kerasbert.checkpoints.cards.facts import Described, ModelCard
from kerasbert.checkpoints.cards.header import LICENSES, header, license_of_header, with_library

NAME = "README.md"

_MARK = "<!-- Written by kerasbert, which replaces this card unless it was edited. SHA-256: "
_BESIDE = "<!-- kerasbert wrote the model beside this card. -->"
_MARKED = re.compile(re.escape(_MARK) + r"([0-9a-f]{64}) -->\n\Z")


def text(model: Described, card: ModelCard, format: str) -> str:
    """Returns the text of a card.

    Args:
        model: the model.
        card: what else is known.
        format: the directory's format, a key of `kerasbert.checkpoints.FORMATS`.
    """
    lines = ["---", *header(model, card, format), "---", "", *body(model, card, format), "", ""]
    return _marked("\n".join(lines))


def for_converted(old: str, new: str, format: str) -> str:
    """Returns the card of a model that was converted.

    Args:
        old: card of the model that it was converted from.
        new: card of the converted model, of which nothing else is known.
        format: as in `text`.

    Returns:
        A card as a person wrote it, with the library of the format; or `new`, with what `old` says
        of training, scores and license, and with its header.
    """
    if is_edited(old):
        return with_library(old, format)
    before, after = (_MARKED.sub("", content) for content in (old, new))
    head, body_before = _parts(before)
    return _marked(with_library(head, format) + carried(body_before, _parts(after)[1]))


def license_of(content: str) -> str | None:
    """Returns the license that a card names in its header; None if there is none, or unknown."""
    return license_of_header(_parts(content)[0])


def _parts(content: str) -> tuple[str, str]:
    """Splits a card into header and body."""
    head, end, rest = content.partition("\n---\n")
    return head + end, rest


def _marked(content: str) -> str:
    return f"{content}{_MARK}{_sha256(content)} -->\n"


def _sha256(content: str) -> str:
    return hashlib.sha256(content.encode()).hexdigest()


def read(directory: str | os.PathLike[str]) -> str:
    """Returns the card of a model directory; U+FFFD stands for bytes that are no UTF-8."""
    return files.read_bytes(pathlib.Path(directory) / NAME).decode("utf-8", "replace")


def is_edited(content: str) -> bool:
    """Whether a person has written or changed a card."""
    mark = _MARKED.search(content)
    return mark is None or _sha256(content[: mark.start()]) != mark[1]


def is_marked(content: str) -> bool:
    """Whether a card shows that kerasbert wrote the model beside it, and perhaps the card."""
    return _MARK in content or _BESIDE in content


def with_mark(content: str) -> str:
    """Returns a card that `is_marked`: a person's gets a comment at its end."""
    if is_marked(content):
        return content
    return content + "\n" * (not content.endswith("\n")) + f"{_BESIDE}\n"


def write(directory: str | os.PathLike[str], content: str) -> bool:
    """Writes a card to a model directory, unless there is one that was edited.

    Returns:
        Whether it was written.
    """
    path = pathlib.Path(directory) / NAME
    if files.exists(path) and is_edited(read(directory)):
        return False
    files.write_text(path, content)
    return True


__all__ = [
    "LICENSES",
    "NAME",
    "Described",
    "ModelCard",
    "for_converted",
    "is_edited",
    "is_marked",
    "license_of",
    "read",
    "text",
    "with_library",
    "with_mark",
    "write",
]
