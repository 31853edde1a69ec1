"""Writes the tables of docs/models.md: python tests/model_tables.py."""

import pathlib
import re

from kerasbert.recipes.options import PresetsOptions
from kerasbert.recipes.presets import presets

PAGE = pathlib.Path(__file__).parents[1] / "docs/models.md"


def filled_in(text: str) -> str:
    """Returns the page with the tables of today's architectures and checkpoints."""
    for name, rows in presets(PresetsOptions(json=True)).items():
        columns = [column for column in rows[0] if column != "load"]
        lines = [columns, ["---"] * len(columns)]
        lines += [[_cell(column, row[column]) for column in columns] for row in rows]
        table = "".join(f"| {' | '.join(line)} |\n" for line in lines)
        heading = f"<!-- {name} -->\n\n"
        text, count = re.subn(rf"(?<={heading})(\|.*\n)*", table, text)
        assert count == 1, name
    return text


def _cell(column: str, value) -> str:
    if column == "name":
        return f"`{value}`"
    return f"{value / 1e6:.1f} M" if column == "parameters" else str(value or "")


if __name__ == "__main__":
    PAGE.write_text(filled_in(PAGE.read_text()))
