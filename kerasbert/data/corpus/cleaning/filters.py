"""Filters that leave out documents by their text alone."""

from __future__ import annotations

import collections
import dataclasses
import functools
import unicodedata
from collections.abc import Iterable

from kerasbert import lazy
from kerasbert.errors import InputError

_FORM = "--filter must be NAME=VALUE, such as min_characters=200 or language=en,de, found {!r}"
_LANGUAGE_FROM = 2000  # characters; the classifier reads about 10 million bytes per second


@dataclasses.dataclass(frozen=True, kw_only=True)
class Filters:
    """Limits of documents; None is no limit.

    Attributes:
        min_characters: integer, the smallest number of characters.
        max_characters: integer, the largest.
        max_non_letters: float, the largest share of digits, punctuation, symbols and control
            characters among the characters that are not white space.
        language: tuple of ISO 639-1 codes. py3langid decides by the first 2,000 characters.

    Raises:
        InputError: a language is unknown, or py3langid is not installed.

    Examples:
        >>> import kerasbert
        >>> filters = kerasbert.data.corpus.Filters(min_characters=10, max_non_letters=0.5)
        >>> filters.reason(["too short"])
        'min_characters'
        >>> filters.reason(["1 + 2 + 3 + 4 + 5 + 6"])
        'max_non_letters'
        >>> filters.reason(["A sentence, and another one."])
    """

    min_characters: int | None = None
    max_characters: int | None = None
    max_non_letters: float | None = None
    language: tuple[str, ...] | None = None

    @classmethod
    def parse(cls, texts: Iterable[str]) -> Filters:
        """Parses texts such as "min_characters=200".

        Args:
            texts: strings, NAME=VALUE.

        Raises:
            InputError: one is not of this form, or a value is impossible.

        Examples:
            >>> kerasbert.data.corpus.Filters.parse(["min_characters=200"]).min_characters
            200
        """
        values = {}
        for text in texts:
            name, equals, value = text.partition("=")
            if name not in _PARSE or not equals:
                raise InputError(f"{_FORM.format(text)}; the names are {', '.join(_PARSE)}")
            if name in values:
                raise InputError(f"--filter {name} is given twice")
            try:
                values[name] = _PARSE[name](value)
            except ValueError:
                raise InputError(f"--filter {text}: {_VALUES[name]}") from None
        return cls(**values)

    def __post_init__(self) -> None:
        if self.language:
            known = _identifier().labels
            for code in self.language:
                if code not in known:
                    raise InputError(
                        f"--filter language: py3langid does not know {code!r}; it knows "
                        f"{', '.join(sorted(known))}"
                    )

    def names(self) -> list[str]:
        """Returns the names of the limits that there are.

        Examples:
            >>> filters.names()
            ['min_characters', 'max_non_letters']
        """
        fields = (field.name for field in dataclasses.fields(self))
        return [name for name in fields if getattr(self, name) is not None]

    def settings(self) -> list[str]:
        """Returns the limits as `parse` reads them, in a fixed order.

        Examples:
            >>> filters.settings()
            ['min_characters=10', 'max_non_letters=0.5']
        """
        values = {name: getattr(self, name) for name in self.names()}
        return [
            f"{name}={','.join(value) if isinstance(value, tuple) else value}"
            for name, value in values.items()
        ]

    def reason(self, lines: list[str]) -> str | None:
        """Returns the name of the first filter that leaves out a document, or None.

        Args:
            lines: list of strings, the lines of the document.
        """
        characters = sum(map(len, lines))
        if self.min_characters is not None and characters < self.min_characters:
            return "min_characters"
        if self.max_characters is not None and characters > self.max_characters:
            return "max_characters"
        if self.max_non_letters is not None and non_letters(lines) > self.max_non_letters:
            return "max_non_letters"
        if self.language and language_of(lines) not in self.language:
            return "language"
        return None


def non_letters(lines: list[str]) -> float:
    """Returns the share of characters other than letters (with their marks) and white space."""
    counts = collections.Counter("".join(lines))
    kinds = collections.Counter()
    for character, count in counts.items():
        kinds[_kind(character)] += count
    total = kinds["letter"] + kinds["other"]
    return kinds["other"] / total if total else 1.0


@functools.lru_cache(1 << 16)
def _kind(character: str) -> str:
    if character.isspace():
        return "space"
    return "letter" if unicodedata.category(character)[0] in "LM" else "other"


def language_of(lines: list[str]) -> str:
    """Returns the ISO 639-1 code of the language in which a document begins."""
    text, left = [], _LANGUAGE_FROM
    for line in lines:
        text.append(line[:left])
        left -= len(line)
        if left <= 0:
            break
    code, _ = _identifier().classify("\n".join(text))
    return code


@functools.cache
def _identifier():
    langid = lazy.extra("py3langid.langid", "py3langid")
    return langid.LanguageIdentifier.from_model_file(langid.MODEL_FILE)


def _whole(value: str) -> int:
    if not (value.isascii() and value.isdecimal() and len(value) < 18):
        raise ValueError
    return int(value)


def _share(value: str) -> float:
    share = float(value)
    if not 0 <= share <= 1:
        raise ValueError
    return share


def _codes(value: str) -> tuple[str, ...]:
    codes = tuple(sorted(filter(None, value.split(","))))
    if not codes:
        raise ValueError
    return codes


_PARSE = {
    "min_characters": _whole,
    "max_characters": _whole,
    "max_non_letters": _share,
    "language": _codes,
}
_VALUES = {
    "min_characters": "must be a whole number",
    "max_characters": "must be a whole number",
    "max_non_letters": "must be between 0 and 1",
    "language": "must be language codes between commas, such as en,de",
}

NO_FILTERS = Filters()
