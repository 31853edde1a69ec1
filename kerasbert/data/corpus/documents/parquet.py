"""Documents of Parquet files."""

from __future__ import annotations

from kerasbert import lazy
from kerasbert.data.corpus.documents.formats import Documents
from kerasbert.data.corpus.documents.lines import Report, decode
from kerasbert.data.corpus.documents.stores import opened_raw
from kerasbert.errors import InputError

ENDING = ".parquet"
_ROWS = 256  # in memory at once


def read_parquet(path: str, report: Report, start: int, end: float, text_column: str) -> Documents:
    """Reads a column of text; yields the number of each row in the file, and its text.

    Args:
        path: path or URL of the file.
        report: `Report` that counts texts with invalid UTF-8.
        start: integer, a position in the file.
        end: position, exclusive. Row groups that begin in this range are read.
        text_column: string, the name of the column.

    Raises:
        InputError: the file is damaged, or has no such column of strings.
    """
    arrow, parquet = (lazy.extra(name, "pyarrow") for name in ("pyarrow", "pyarrow.parquet"))
    with opened_raw(path) as file:
        try:
            table = parquet.ParquetFile(file)
            _check_column(path, table.schema_arrow, text_column, arrow)
            first = 0
            for group in range(table.num_row_groups):
                about = table.metadata.row_group(group)
                if start <= _position(about) < end:
                    yield from _rows(path, table, group, first, text_column, report)
                first += about.num_rows
        except (arrow.ArrowException, OSError) as error:
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise InputError(f"{path}: can't be read: {reason}") from None


def _position(group) -> int:
    """Returns the first byte of a row group."""
    if not group.num_columns:
        return 0
    column = group.column(0)
    offsets = (column.dictionary_page_offset, column.data_page_offset)
    return min((offset for offset in offsets if offset), default=0)


def _rows(path, table, group, first, text_column, report) -> Documents:
    batches = table.iter_batches(_ROWS, row_groups=[group], columns=[text_column])
    for batch in batches:
        for row, data in enumerate(_bytes(batch.column(0)), start=first):
            lines = [] if data is None else data.split(b"\n")
            lines[:-1] = [line + b"\n" for line in lines[:-1]]
            yield row, decode(lines, report, lambda _, row=row: f"{path}: row {row + 1}")
        first += len(batch)


def _bytes(column) -> list[bytes | None]:
    """Returns the values of a column of strings; Parquet does not make sure that they are UTF-8."""
    arrow = lazy.extra("pyarrow", "pyarrow")
    if arrow.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    return column.cast(arrow.large_binary()).to_pylist()


def _check_column(path: str, schema, text_column: str, arrow) -> None:
    if text_column not in schema.names:
        raise InputError(
            f"{path}: has no column {text_column!r}; its columns are {', '.join(schema.names)}"
        )
    kind = schema.field(text_column).type
    values = kind.value_type if arrow.types.is_dictionary(kind) else kind
    is_text = (arrow.types.is_string, arrow.types.is_large_string, arrow.types.is_string_view)
    if not any(test(values) for test in is_text):
        raise InputError(f"{path}: the column {text_column!r} must be of strings, found {kind}")
