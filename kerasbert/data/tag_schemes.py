"""Tagging schemes for entities: IOB1, IOB2, IOBES and BILOU."""

import itertools
import re
from collections.abc import Iterator, Sequence

from kerasbert.errors import InputError

#: The tagging schemes. "any": labels are unrestricted, and nothing is checked.
SCHEMES = ("IOB1", "IOB2", "IOBES", "BILOU", "any")

# A letter of any scheme, followed by the type of the entity.
_TAG = re.compile("O|[BIESLU](-.+)?")


def find_scheme(sentences: Sequence[Sequence[str]]) -> str:
    """Returns the tagging scheme whose rules the most sentences follow.

    IOB2 is preferred among equals. The result is "any" if labels are not tags of entities.
    """
    if not all(map(_TAG.fullmatch, set(itertools.chain.from_iterable(sentences)))):
        return "any"

    def kept(scheme):
        return sum(all(fault is None for fault in faults_of(tags, scheme)) for tags in sentences)

    return max(("IOB2", "IOB1", "IOBES", "BILOU"), key=kept)


def to_iob2(tags: Sequence[str], scheme: str) -> list[str]:
    """Converts a sentence's tags to IOB2: `B-` at the start of an entity, `I-` inside.

    Args:
        tags: list of strings that follow the rules of the scheme.
        scheme: one of `SCHEMES`.

    Returns:
        List of strings.

    Raises:
        InputError: the scheme is "any".
    """
    if scheme == "any":
        raise InputError("labels that are not tags of entities can't be converted to IOB2")
    converted = []
    for before, tag in zip(["O", *tags], tags, strict=False):
        starts = tag[0] in "BSU" or (scheme == "IOB1" and (before == "O" or before[1:] != tag[1:]))
        converted.append("O" if tag == "O" else ("B" if starts else "I") + tag[1:])
    return converted


def faults_of(tags: Sequence[str], scheme: str) -> Iterator[str | None]:
    """Iterates over the violation of the scheme at each tag and at the end, or None."""
    for before, tag in itertools.pairwise(["O", *tags, "O"]):
        fault = None if scheme == "any" else _RULES[scheme](before, tag)
        yield fault and f"not {scheme}: {fault}"


def _iob(before: str, tag: str, *, needs_entity_before: str) -> str | None:
    if tag != "O" and tag[0] not in "BI":
        return f"{tag[0]}-"
    return _unless_inside(before, tag) if tag[0] == needs_entity_before else None


def _iobes(before: str, tag: str, *, letters: str = "BIES") -> str | None:
    if tag != "O" and tag[0] not in letters:
        return f"{tag[0]}-"
    if tag[0] in letters[1:3]:
        return _unless_inside(before, tag)
    return f"{tag[0]} after {before[0]}-" if before[0] in letters[:2] else None


def _unless_inside(before: str, tag: str) -> str | None:
    """Returns the violation unless `tag` continues the entity of the tag before it."""
    if before[0] not in "BI":
        return f"{tag[0]}- after {before[0]}"
    return f"{tag[0]}- after another type" if before[1:] != tag[1:] else None


_RULES = {
    # Ramshaw and Marcus 1995: B- only after an entity of the same type without a word between.
    "IOB1": lambda before, tag: _iob(before, tag, needs_entity_before="B"),
    "IOB2": lambda before, tag: _iob(before, tag, needs_entity_before="I"),
    "IOBES": _iobes,
    "BILOU": lambda before, tag: _iobes(before, tag, letters="BILU"),
}
