"""What is asked for when a corpus is made in parts; without heavy imports, for options."""

from __future__ import annotations

import dataclasses
import re

from kerasbert.errors import InputError

#: The default of the maximum number of bytes of text per unit; see `units`.
BYTES_PER_UNIT = 1 << 26
#: The default of the maximum number of tokens per shard.
TOKENS_PER_SHARD = 1 << 24
_PART = re.compile(r"([1-9]\d{0,8})/([1-9]\d{0,8})", re.ASCII)


@dataclasses.dataclass(frozen=True)
class Part:
    """A part of a corpus that is prepared in several, on one machine or on many.

    Args:
        number: integer, from 1 to `of`.
        of: integer, the number of parts.

    Raises:
        InputError: `number` is not from 1 to `of`.

    Examples:
        >>> import kerasbert
        >>> part = kerasbert.data.corpus.Part(2, of=3)
        >>> str(part)
        'part 2 of 3'
    """

    number: int
    of: int

    def __post_init__(self) -> None:
        if not 1 <= self.number <= self.of:
            raise InputError(f"there can't be a {self}; the numbers are 1 to the number of parts")

    @classmethod
    def parse(cls, text: str) -> Part:
        """Parses "3/7".

        Args:
            text: string.

        Raises:
            InputError: it is not the number of a part and the number of parts.

        Examples:
            >>> kerasbert.data.corpus.Part.parse("3/7")
            Part(number=3, of=7)
        """
        match = _PART.fullmatch(text)
        if not match or int(match[1]) > int(match[2]):
            raise InputError(f"a part must be given as 1/7, 2/7, ..., 7/7, found {text!r}")
        return cls(int(match[1]), int(match[2]))

    def __str__(self) -> str:
        return f"part {self.number} of {self.of}"
