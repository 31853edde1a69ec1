"""Nothing: a detector can be loaded, trained from Python and asked; no program does."""

SPECS = ()
