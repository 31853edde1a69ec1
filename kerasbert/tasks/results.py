"""What tasks answer, as lists that fit into tables."""

import html
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

_SHOWN_ROWS = 20

T = TypeVar("T")


class Results(list[T]):
    """A list of answers, one for each example, which notebooks show as a table.

    Examples:
        `answer`, `classify`, `tag` and the others return it; here it is made by hand.

        >>> import kerasbert
        >>> from kerasbert.tasks import Entity, Results
        >>> entities = [[Entity("Ada", "PER", 0.9, 0, 3), Entity("Oslo", "LOC", 0.8, 13, 17)]]
        >>> results = Results(entities, levels=("example", ""))
        >>> results[0][1].text
        'Oslo'

    Args:
        answers: the answers; where an example has several, nested lists of them.
        levels: names of the indices of examples and nested lists, "" for one that is left out.
    """

    def __init__(self, answers: Iterable[T] = (), levels: tuple[str, ...] = ("example",)):
        super().__init__(answers)
        self._levels = levels

    def records(self) -> list[dict[str, Any]]:
        """Returns a flat dict for each answer, as `pandas.DataFrame` takes them.

        `example` is the index of the example; with several answers per example, further columns
        count them from 0: `rank`, the best first, and `mask`, the mask token of a text. The columns
        of nested dicts are joined by a dot, such as `scores.good`.

        Examples:
            >>> import pandas
            >>> table = pandas.DataFrame(results.records())
            >>> list(table.columns)
            ['example', 'text', 'label', 'score', 'start', 'end']
        """
        return list(_records(self, self._levels, {}))

    def _repr_html_(self) -> str:
        rows = list(itertools.islice(_records(self, self._levels, {}), _SHOWN_ROWS + 1))
        columns = list(dict.fromkeys(name for row in rows for name in row))
        lines = [_html_row("th", columns)]
        lines += (_html_row("td", map(row.get, columns)) for row in rows[:_SHOWN_ROWS])
        more = f"<p>and more, of {len(self):,} examples</p>" if len(rows) > _SHOWN_ROWS else ""
        return f"<table>{''.join(lines)}</table>{more}"


def _records(answers, levels: Sequence[str], indices: Mapping[str, int]) -> Iterator[dict]:
    name, *deeper = levels
    for index, answer in enumerate(answers):
        known = {**indices, name: index} if name else indices
        if deeper:
            yield from _records(answer, deeper, known)
        else:
            yield {**known, **_flat(answer)}


def _flat(answer) -> dict:
    """Returns a named tuple or a dict, with nested dicts as columns of their own."""
    columns = {}
    for name, value in (answer._asdict() if hasattr(answer, "_asdict") else answer).items():
        if isinstance(value, dict):
            columns |= {f"{name}.{inner}": each for inner, each in _flat(value).items()}
        else:
            columns[name] = value
    return columns


def _html_row(cell: str, values: Iterable) -> str:
    texts = (f"{value:.4f}" if isinstance(value, float) else str(value) for value in values)
    return f"<tr>{''.join(f'<{cell}>{html.escape(text)}</{cell}>' for text in texts)}</tr>"
