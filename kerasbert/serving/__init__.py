"""SavedModels that take raw strings: written, checked, queried."""
