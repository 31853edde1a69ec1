"""Metrics with the definitions of the official scripts, over all examples at once."""
