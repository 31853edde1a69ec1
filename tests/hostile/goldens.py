"""Where the goldens of the tests are."""

import pathlib

GOLDENS = pathlib.Path(__file__).resolve().parents[1] / "goldens"
