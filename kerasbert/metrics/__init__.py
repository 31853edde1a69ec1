"""Scores as the official scripts count them; each on all examples at once."""
