"""The models of a server, each with its versions."""

import asyncio
import contextlib
from collections.abc import Iterable
from typing import Any

from kerasbert.serving.server.versions import Model, Versions


class Models:
    """The models of a server.

    Args:
        models: the `Versions` of each; at least one.
    """

    def __init__(self, models: Iterable[Versions]):
        #: The `Versions` by name.
        self.by_name = {one.name: one for one in models}

    def use(self, name: str, version: int | None) -> contextlib.AbstractContextManager[Model]:
        """Does what `Versions.use` does, for any model."""
        return self._named(name).use(name, version)

    def status(self, name: str, version: int | None) -> Any:
        """Does what `Versions.status` does, for any model."""
        return self._named(name).status(name, version)

    def _named(self, name: str) -> Versions:
        # Each of them refuses the names of others, in the same words.
        return self.by_name.get(name) or next(iter(self.by_name.values()))

    async def watch(self, seconds: float) -> None:
        """Looks for new versions of all models, as `Versions.watch` does."""
        await asyncio.gather(*(one.watch(seconds) for one in self.by_name.values()))
