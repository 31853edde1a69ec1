"""SavedModels that take raw strings: writing, checking and querying them."""
