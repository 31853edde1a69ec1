"""Families of models: files of facts.

A family's module holds its `FAMILY`: architectures by name, its tokenizer, and what every format
calls its settings and weights (see `kerasbert.families.layout`). To add a family, write its file
and name it here.
"""

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
PRESETS = {name: facts for family in FAMILIES.values() for name, facts in family.presets.items()}

__all__ = ["FAMILIES", "PRESETS", "Family", "Layout"]
