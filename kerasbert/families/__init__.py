"""Families of models: files of facts, no code.

A family's module holds `PRESETS`, architectures by name, each the keyword arguments of
`BackboneConfig`. To add a family, write its file and name it here.
"""

from kerasbert.families import bert

FAMILIES = {"bert": bert}

#: Every architecture by its name.
PRESETS = {name: facts for family in FAMILIES.values() for name, facts in family.PRESETS.items()}
