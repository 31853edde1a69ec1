"""Families of models, as tables.

The module of a family defines its `FAMILY`: named architectures, the tokenizer, and the names of
its settings and weights in every format (see `kerasbert.families.layout`). To add a family, write
its module and list it here; `register` adds one from outside the package.
"""

from kerasbert.errors import InputError
from kerasbert.families import albert, bert, distilbert, electra, ernie, roberta, xlm_roberta
from kerasbert.families.layout import Checkpoint, Family, Layout

FAMILIES: dict[str, Family] = {
    "bert": bert.FAMILY,
    "roberta": roberta.FAMILY,
    "xlm_roberta": xlm_roberta.FAMILY,
    "albert": albert.FAMILY,
    "distilbert": distilbert.FAMILY,
    "electra": electra.FAMILY,
    "ernie": ernie.FAMILY,
}

#: All architectures by name.
PRESETS = {name: preset for family in FAMILIES.values() for name, preset in family.presets.items()}


def register(name: str, family: Family) -> None:
    """Adds a family from outside the package, for the lifetime of the process.

    What a format calls a family, such as the model type in a `config.json`, can be that of another
    family, too. Directories with this name are then loaded as the family that was there first.

    Args:
        name: string, the name of the family.
        family: `Family`.

    Raises:
        InputError: a family or an architecture with the same name exists.

    Examples:
        A family that is BERT with other sizes, and is BERT for other libraries:

        >>> import kerasbert
        >>> from kerasbert import families
        >>> bert = families.FAMILIES["bert"]
        >>> sizes = {**families.PRESETS["bert_tiny"], "family": "ours", "vocabulary_size": 100}
        >>> families.register(
        ...     "ours",
        ...     families.Family(
        ...         presets={"ours_tiny": sizes}, tokenizer=bert.tokenizer, layouts=bert.layouts
        ...     ),
        ... )
        >>> kerasbert.BackboneConfig.from_preset("ours_tiny").family
        'ours'
    """
    for known, new in ((FAMILIES, {name: family}), (PRESETS, family.presets)):
        if taken := sorted(known.keys() & new.keys()):
            raise InputError(f"{taken[0]!r} is already registered")
    FAMILIES[name] = family
    PRESETS.update(family.presets)


def layouts_of(format: str) -> dict[str, Layout]:
    """Returns the layouts of a format, by family.

    Args:
        format: string, such as "hf"; see `kerasbert.checkpoints`.

    Examples:
        >>> from kerasbert import families
        >>> families.layouts_of("hf")["bert"].model_type
        'bert'
    """
    return {
        name: family.layouts[format]
        for name, family in FAMILIES.items()
        if format in family.layouts
    }


def families_by(format: str, attribute: str) -> dict[str, str]:
    """Returns the names of families by what a format calls them; of several, the first.

    Args:
        format: string, such as "hf"; see `kerasbert.checkpoints`.
        attribute: string, the attribute of `Layout` that has the format's name.

    Examples:
        >>> from kerasbert import families
        >>> families.families_by("hf", "model_type")["xlm-roberta"]
        'xlm_roberta'
    """
    found: dict[str, str] = {}
    for family, layout in layouts_of(format).items():
        if called := getattr(layout, attribute):
            found.setdefault(called, family)
    return found


def layout_of(family: str, format: str) -> Layout:
    """Returns the layout of a family in a format.

    Args:
        family: string, a key of `FAMILIES`.
        format: string, such as "hf"; see `kerasbert.checkpoints`.

    Raises:
        InputError: the family has no such format.

    Examples:
        >>> from kerasbert import families
        >>> families.layout_of("roberta", "hf").prefix
        'roberta.'
    """
    layouts = FAMILIES[family].layouts
    if format not in layouts:
        known = ", ".join(name for name in layouts if name != "tf2")
        raise InputError(
            f"the family {family!r} has no format {format!r}; its formats are kerasbert, {known}"
        )
    return layouts[format]


__all__ = [
    "FAMILIES",
    "PRESETS",
    "Checkpoint",
    "Family",
    "Layout",
    "families_by",
    "layout_of",
    "layouts_of",
    "register",
]
