"""What a mistyped name probably means."""

import difflib
import os
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType

_CUTOFF = 0.6  # of `difflib.get_close_matches`: less similar names are not suggested
_MOST_NAMES = 10_000  # of a directory, to be quick


def nearest(
    word: str,
    names: Iterable[str],
    synonyms: Mapping[str, str] = MappingProxyType({}),
    most: int = 1,
) -> list[str]:
    """Returns the names that a word probably means, the most similar first; none if none is.

    Args:
        word: string, what was typed.
        names: iterable of the names that there are.
        synonyms: dict from other words, such as names in other libraries, to these names.
        most: maximum number of results.
    """
    known = {
        **{spelled(other): name for other, name in synonyms.items()},
        **{spelled(name): name for name in names},
    }
    if name := known.get(spelled(word)):
        return [name]
    near = difflib.get_close_matches(spelled(word), known, n=most, cutoff=_CUTOFF)
    return list(dict.fromkeys(known[each] for each in near))


def did_you_mean(names: Sequence[str]) -> str:
    """Returns the question for a message; an empty string if there are no names."""
    return f"did you mean {' or '.join(names)}?" if names else ""


def similar_paths(path: str) -> list[str]:
    """Returns the paths in the directory of a missing one whose names are similar."""
    folder, name = os.path.split(path.rstrip(os.sep))
    try:
        names = os.listdir(folder or os.curdir)[:_MOST_NAMES]
    except (OSError, ValueError):  # a ValueError if the name contains NUL
        return []
    return [os.path.join(folder, each) for each in nearest(name, names, most=2)]


def spelled(name: str) -> str:
    """Returns a name without what people write in different ways."""
    return name.lower().replace("-", "").replace("_", "")
