"""The directory of the tests' golden files."""

import pathlib

GOLDENS = pathlib.Path(__file__).resolve().parents[1] / "goldens"
