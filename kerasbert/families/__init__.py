"""Families of models: files of facts.

A family's module holds its `FAMILY`: architectures by name, its tokenizer, and what every format
calls its settings and weights (see `kerasbert.families.layout`). To add a family, write its file
and name it here; `register` adds one from outside of the package.
"""

from kerasbert.errors import InputError
from kerasbert.families import albert, bert, distilbert, electra, ernie, roberta, xlm_roberta
from kerasbert.families.layout import Family, Layout

FAMILIES: dict[str, Family] = {
    "bert": bert.FAMILY,
    "roberta": roberta.FAMILY,
    "xlm_roberta": xlm_roberta.FAMILY,
    "albert": albert.FAMILY,
    "distilbert": distilbert.FAMILY,
    "electra": electra.FAMILY,
    "ernie": ernie.FAMILY,
}

#: Every architecture by its name.
PRESETS = {name: preset for family in FAMILIES.values() for name, preset in family.presets.items()}


def register(name: str, family: Family) -> None:
    """Adds a family that is not a part of kerasbert, for as long as the process lasts.

    Raises:
        InputError: there is a family or an architecture of that name already.
    """
    for known, new in ((FAMILIES, {name: family}), (PRESETS, family.presets)):
        if taken := sorted(known.keys() & new.keys()):
            raise InputError(f"there is a {taken[0]!r} already")
    FAMILIES[name] = family
    PRESETS.update(family.presets)


def layouts_of(format: str) -> dict[str, Layout]:
    """The layouts of a format, by the name of the family."""
    return {
        name: family.layouts[format]
        for name, family in FAMILIES.items()
        if format in family.layouts
    }


def layout_of(family: str, format: str) -> Layout:
    """The layout of a family in a format; raises `InputError` if there is none."""
    layouts = FAMILIES[family].layouts
    if format not in layouts:
        known = ", ".join(name for name in layouts if name != "tf2")
        raise InputError(
            f"the family {family!r} has no {format!r} format; there are kerasbert, {known}"
        )
    return layouts[format]


__all__ = ["FAMILIES", "PRESETS", "Family", "Layout", "layout_of", "layouts_of", "register"]
