import asyncio
import gc
import json
import os
import shutil
import threading
import time
import weakref

import pytest
import tensorflow as tf
from tensorflow_serving.apis import prediction_log_pb2

from kerasbert import InputError
from kerasbert.serving import exports, signatures
from kerasbert.serving.client import METADATA
from kerasbert.serving.server import versions as module
from kerasbert.serving.server.versions import Versions

_WEIGHTS = "variables/variables.data-00000-of-00001"


async def until(condition, watching):
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end
        assert not watching.done()
        await asyncio.sleep(0.02)


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
        await until(lambda: all(part() is None for part in old), watching)
        watching.cancel()

    gc.disable()  # so that nothing else collects it
    try:
        asyncio.run(replace())
    finally:
        gc.enable()
    assert versions.version == 2
    with pytest.raises(Exception, match="Servable not found"), versions.use("mine", 1):
        pass


# === Versions that can't be loaded ===


def test_version_that_is_copied_slowly(exported_classifier, tmp_path):
    """What comes later in a folder of the version does not change the version's own time."""
    folder, lines = tmp_path / "mine", []
    shutil.copytree(exported_classifier, folder / "1")
    versions = Versions(folder, "mine", lines.append)
    shutil.copytree(exported_classifier, folder / ".2")
    os.truncate(folder / ".2" / _WEIGHTS, 99)

    async def copy():
        watching = asyncio.create_task(versions.watch(0.02))
        os.rename(folder / ".2", folder / "2")
        before = os.stat(folder / "2").st_mtime_ns
        await until(lambda: lines, watching)
        shutil.copyfile(exported_classifier / _WEIGHTS, folder / "2" / _WEIGHTS)
        await until(lambda: versions.version == 2, watching)
        assert os.stat(folder / "2").st_mtime_ns == before
        watching.cancel()

    asyncio.run(copy())
    first, *_, last = lines
    assert "version 2 can't be loaded, 1 stays: " in first
    assert last == "version 2 replaces 1"


def test_version_that_fails_for_a_while(exported_classifier, tmp_path, monkeypatch):
    """Its files stay as they are; each reason is logged once."""
    folder, lines = tmp_path / "mine", []
    shutil.copytree(exported_classifier, folder / "1")
    versions = Versions(folder, "mine", lines.append)
    monkeypatch.setattr(module, "_AGAIN", 0.1)
    reasons = ["no memory", "no memory", "no disk"]

    def warm_up_later(self):
        if reasons:
            raise OSError(reasons.pop(0))

    monkeypatch.setattr(module.Model, "warm_up", warm_up_later)

    async def wait():
        watching = asyncio.create_task(versions.watch(0.02))
        shutil.copytree(exported_classifier, folder / ".2")
        os.rename(folder / ".2", folder / "2")
        await until(lambda: versions.version == 2, watching)
        watching.cancel()

    asyncio.run(wait())
    stays = f"version 2 can't be loaded, 1 stays: {folder / '2'}: loading it fails"
    assert lines == [
        f"{stays} (no memory); export it again",
        f"{stays} (no disk); export it again",
        "version 2 replaces 1",
    ]


def test_version_is_tried_again_once_its_files_stay_the_same(tmp_path):
    (tmp_path / "variables").mkdir()
    (tmp_path / "link").symlink_to("nowhere")
    first = module._content(tmp_path)
    assert first == module._content(tmp_path)
    refused = module._Refused(first, "a file is missing")
    assert not refused.is_worth_a_try(first)
    (tmp_path / "variables/a").write_bytes(b"123")
    os.utime(tmp_path / "variables/a", (1, 1))  # as `cp -p` and `rsync -t` leave it
    second = module._content(tmp_path)
    (tmp_path / "variables/a").write_bytes(b"1234")
    third = module._content(tmp_path)
    assert len({first, second, third}) == 3
    found = [refused.is_worth_a_try(content) for content in (second, third, third)]
    assert found == [False, False, True]
    with pytest.raises(OSError, match="No such file"):
        module._content(tmp_path / "disappeared")


def _records(*contents):
    """Returns a function that writes them to a file as `TFRecordWriter` does."""

    def write(path):
        path.parent.mkdir(exist_ok=True)
        with tf.io.TFRecordWriter(str(path)) as records:
            for content in contents:
                records.write(content)

    return write


def _log(signature="serving_default", **inputs):
    log = prediction_log_pb2.PredictionLog()
    request = log.predict_log.request
    request.model_spec.signature_name = signature
    for name, value in inputs.items():
        request.inputs[name].CopyFrom(tf.make_tensor_proto(value))
    return log.SerializeToString()


_REFUSED = "tf_serving_warmup_requests: its requests can't be answered .*; write it again"


@pytest.mark.parametrize("checksums", [True, False])  # early exports have none
@pytest.mark.parametrize(
    ("name", "damage", "message"),
    [
        ("saved_model.pb", lambda path: os.truncate(path, 0), ".*; export the model again"),
        ("saved_model.pb", lambda path: os.truncate(path, 999), ".*; export the model again"),
        (exports.WARM_UP, lambda path: path.write_bytes(b"no records" * 9), _REFUSED),
        (exports.WARM_UP, _records(_log(text=["a"]), b"\xff"), _REFUSED),
        (exports.WARM_UP, _records(_log("nothing", text=["a"])), _REFUSED),
        (exports.WARM_UP, _records(_log(text=[1])), _REFUSED),
        (exports.WARM_UP, lambda path: path.mkdir(), _REFUSED),
    ],
    ids=["empty", "truncated", "no records", "no request", "no signature", "wrong", "directory"],
)
def test_damaged_versions(exported_classifier, tmp_path, name, damage, message, checksums):
    directory = tmp_path / "1"
    shutil.copytree(exported_classifier, directory)
    if not checksums:
        metadata = json.loads((directory / METADATA).read_text())
        del metadata["files"]
        (directory / METADATA).write_text(json.dumps(metadata))
    damage(directory / name)
    with pytest.raises(InputError, match=message) as error:
        Versions(tmp_path, "mine", print)
    assert str(error.value).startswith(str(directory))


def test_stored_requests_are_run(exported_classifier, tmp_path, monkeypatch):
    shutil.copytree(exported_classifier, tmp_path / "1")
    _records(_log(text=["a", "b"]), _log("", text=["c"]))(tmp_path / "1" / exports.WARM_UP)
    run, seen = module._run, []
    monkeypatch.setattr(
        module, "_run", lambda function, inputs: seen.append(inputs) or run(function, inputs)
    )
    Versions(tmp_path, "mine", print)
    assert [inputs["text"].tolist() for inputs in seen] == [[b"a", b"b"], [b"c"]]


def test_errors_without_a_message(exported_classifier, tmp_path, monkeypatch):
    def fail(directory):
        raise IndexError

    monkeypatch.setattr(signatures, "read", fail)
    with pytest.raises(InputError, match=r"/7: loading it fails \(IndexError\); export it again"):
        Versions(exported_classifier.parent, "mine", print)


# === Which versions ===


class Stub:
    """A model that can be loaded if its directory has a file `whole`, and then waits for `go`."""

    go = threading.Event()

    def __init__(self, directory, version):
        if not (directory / "whole").exists():
            raise InputError(f"{directory}: is not whole")
        self.version, self.users = version, 0

    def warm_up(self):
        assert self.go.wait(20)


@pytest.fixture
def stub(monkeypatch):
    monkeypatch.setattr(module, "Model", Stub)
    monkeypatch.setattr(Stub, "go", threading.Event())
    Stub.go.set()
    return Stub


def whole(directory):
    directory.mkdir(parents=True)
    (directory / "whole").touch()


def test_numbers_above_int64(stub, tmp_path):
    """As of a date with microseconds: neither API has them."""
    large = tmp_path / "20250131120000123456"
    whole(large)
    with pytest.raises(InputError, match="holds no numbered version of an export; numbers are at"):
        Versions(tmp_path, "mine", print)
    whole(tmp_path / str(2**63 - 1))
    assert Versions(tmp_path, "mine", print).version == 2**63 - 1
    (large / signatures.GRAPH).touch()
    assert Versions(large, "mine", print).version == 1


def test_newest_version_is_incomplete_at_the_start(stub, tmp_path):
    lines = []
    whole(tmp_path / "1")
    for number in "23":
        (tmp_path / number).mkdir()
    versions = Versions(tmp_path, "mine", lines.append)
    expected = {number: f"{tmp_path / str(number)}: is not whole" for number in (2, 3)}
    assert (versions.version, versions.failed) == (1, expected)
    assert lines == [
        f"version {number} can't be loaded, 1 is served: {expected[number]}" for number in (3, 2)
    ]

    async def complete():
        watching = asyncio.create_task(versions.watch(0.02))
        (tmp_path / "3/whole").touch()
        await until(lambda: versions.version == 3, watching)
        assert versions.failed == {}  # one that is newer than 2 is served
        (tmp_path / "4").mkdir()
        await until(lambda: 4 in versions.failed, watching)
        (tmp_path / "4").rmdir()
        await until(lambda: versions.failed == {}, watching)
        watching.cancel()

    asyncio.run(complete())
    shutil.rmtree(tmp_path / "1")
    shutil.rmtree(tmp_path / "3")
    with pytest.raises(InputError, match="2: is not whole"):
        Versions(tmp_path, "mine", print)


def test_nothing_waits_for_a_version_that_is_loaded(stub, tmp_path):
    whole(tmp_path / "1")
    versions = Versions(tmp_path, "mine", print)
    stub.go.clear()

    async def stop():
        watching = asyncio.create_task(versions.watch(0.02))
        whole(tmp_path / "2")
        await until(lambda: versions._states.get(2) == ("LOADING", ""), watching)
        watching.cancel()

    begin = time.monotonic()
    asyncio.run(stop())
    assert time.monotonic() - begin < 10
    stub.go.set()
