import asyncio
import gc
import os
import shutil
import time
import weakref

import pytest

from kerasbert.serving.server.versions import Versions


def test_memory_of_the_old_version_is_freed(exported_classifier, tmp_path):
    folder = tmp_path / "mine"
    shutil.copytree(exported_classifier, folder / "1")
    versions = Versions(folder, "mine", print)
    with versions.use("mine", None) as model:
        function = model._model.signatures["serving_default"]
        # Their parts refer to each other, and to the weights.
        old = [weakref.ref(part) for part in (model, function.graph, function.variables[0])]
    del model, function

    async def replace():
        watching = asyncio.create_task(versions.watch(0.02))
        shutil.copytree(exported_classifier, folder / ".2")
        os.rename(folder / ".2", folder / "2")
        end = time.monotonic() + 30
        while any(part() is not None for part in old):
            assert time.monotonic() < end
            assert not watching.done()
            await asyncio.sleep(0.02)
        watching.cancel()

    gc.disable()  # so that nothing else collects it
    try:
        asyncio.run(replace())
    finally:
        gc.enable()
    assert versions.version == 2
    with pytest.raises(Exception, match="Servable not found"), versions.use("mine", 1):
        pass
