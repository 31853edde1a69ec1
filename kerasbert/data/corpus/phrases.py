"""Phrases and entities of a list, found in texts that are divided into words."""

import bisect
import os
from collections.abc import Sequence

from kerasbert import files
from kerasbert.errors import InputError


class Phrases:
    """A list of phrases, such as names, each of which is masked as one word.

    Args:
        path: path of a UTF-8 file with a phrase on each line. White space in a phrase, and between
            the words of a text, does not count.

    Raises:
        InputError: the file can't be read or has no phrase.

    Attributes:
        sha256: string, the hash of the file.
    """

    def __init__(self, path: str | os.PathLike[str]):
        with files.open_text(path, is_text=True) as file:
            lines = {"".join(line.split()) for line in file}
        self._sorted = sorted(lines - {""})
        if not self._sorted:
            raise InputError(f"{path}: contains no phrase; expected one on each line")
        self.sha256 = files.sha256(path)

    def longest_at(self, words: Sequence[str], start: int, end: int) -> int:
        """Returns the end (exclusive) of the longest phrase that begins with word `start`.

        A phrase begins and ends with words. Without a phrase, the end is `start + 1`.

        Args:
            words: the words of texts.
            start: integer, the first word.
            end: integer, the end of the text, exclusive.
        """
        text, longest = "", start + 1
        for number in range(start, end):
            text += words[number]
            found = bisect.bisect_left(self._sorted, text)
            if found == len(self._sorted) or not self._sorted[found].startswith(text):
                break
            if self._sorted[found] == text:
                longest = number + 1
        return longest
