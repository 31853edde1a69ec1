"""Whole jobs: one function each, from options to a result that is JSON."""
