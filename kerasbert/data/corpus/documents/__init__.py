"""Raw documents: finding inputs, reading their formats, and data sets by name."""
