"""Joining the parts of a corpus."""

import glob
import os
from collections.abc import Iterable
from typing import Any

from kerasbert.data.corpus import joining, remote
from kerasbert.errors import InputError
from kerasbert.recipes.options import JoinCorpusOptions
from kerasbert.recipes.prepare_corpus import summary
from kerasbert.training.progress import ProgressBar


def join_corpus(options: JoinCorpusOptions) -> dict[str, Any]:
    """Joins parts; returns counts of parts, documents, sentences and tokens."""
    parts = _directories(options.parts)
    with (
        remote.written(options.output) as directory,
        ProgressBar("verify", len(parts), "parts", passing=True) as bar,
    ):
        manifest = joining.join_corpora(
            parts, directory, verify=options.verify, progress=bar.update
        )
    return {"parts": len(parts), **summary(options.output, manifest)}


def _directories(patterns: Iterable[str]) -> list[str]:
    """Expands glob patterns.

    Raises:
        InputError: a pattern matches no directory.
    """
    found = []
    for pattern in patterns:
        if os.path.isdir(pattern):
            found.append(pattern)
            continue
        directories = sorted(path for path in glob.glob(pattern) if os.path.isdir(path))
        if not directories:
            raise InputError(f"{pattern}: no such directory")
        found.extend(directories)
    return found
