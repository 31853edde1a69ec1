"""Programs as functions: each takes a dataclass of options, and returns a result as JSON."""
