"""The versions of a model on disk: the newest is loaded, and replaces the older one."""

import asyncio
import contextlib
import functools
import gc
import pathlib
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import get_model_status_pb2, prediction_log_pb2

from kerasbert import files
from kerasbert.errors import InputError
from kerasbert.serving import client, exports, signatures, urls
from kerasbert.serving.server.background import in_background
from kerasbert.serving.server.errors import RequestError, invalid

_ModelVersionStatus = get_model_status_pb2.ModelVersionStatus
_WAIT = 0.05  # seconds between two looks at the requests of an old version
_AGAIN = 60.0  # seconds until a version is tried again whose files have not changed


class Model:
    """A loaded version.

    Args:
        directory: the version directory.
        version: its number.

    Raises:
        InputError: it is no export, or is damaged.
    """

    def __init__(self, directory: pathlib.Path, version: int):
        self.version, self.directory = version, directory
        self._model, self.metadata = client.load(directory)  # what is damaged, it refuses
        self.signatures = signatures.read(directory)
        #: Requests that use it now.
        self.users = 0
        self._computations = {
            name: functools.partial(_run, self._model.signatures[name]) for name in self.signatures
        }

    def inputs_of(self, signature: str) -> dict[str, np.dtype]:
        """Returns the dtype of each input of a signature; object stands for strings."""
        return {
            name: np.dtype(tf.as_dtype(info.dtype).as_numpy_dtype)
            for name, info in self.signature(signature).inputs.items()
        }

    def signature(self, name: str) -> Any:
        """Returns a `SignatureDef`; "" is the default.

        Raises:
            RequestError: there is none of this name.
        """
        name = name or signatures.DEFAULT
        if name not in self.signatures:
            known = ", ".join(sorted(self.signatures))
            raise invalid(f'Serving signature name: "{name}" not found; there are {known}')
        return self.signatures[name]

    def computation(self, signature: str) -> Callable[[Mapping[str, Any]], dict[str, Any]]:
        """Returns the function from arrays to arrays of a signature; always the same object."""
        return self._computations[signature or signatures.DEFAULT]

    def warm_up(self) -> None:
        """Runs the requests that a kit stored for this purpose, or else one.

        Raises:
            InputError: the kit's file is damaged, or one of its requests can't be answered.
        """
        path = self.directory / exports.WARM_UP
        if not files.exists(path):
            self.computation("")(_one_row(self.signature("").inputs))
            return
        try:
            for signature, inputs in _stored(path):
                self.computation(signature)(inputs)
        except Exception as error:  # damaged files raise errors of all kinds
            reason = client.reason(error)
            raise InputError(
                f"{path}: its requests can't be answered ({reason}); write it again"
            ) from None


def _stored(path: pathlib.Path) -> Iterator[tuple[str, dict[str, np.ndarray]]]:
    """Yields the signature and the inputs of each request in a file of a kit."""
    files.check_file(path)
    for record in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
        request = prediction_log_pb2.PredictionLog.FromString(record).predict_log.request
        inputs = {name: tf.make_ndarray(value) for name, value in request.inputs.items()}
        yield request.model_spec.signature_name, inputs


def _run(function: Callable, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name: output.numpy() for name, output in function(**_tensors(inputs)).items()}


def _tensors(inputs: Mapping[str, np.ndarray]) -> dict[str, tf.Tensor]:
    return {
        name: tf.constant(value, tf.string if value.dtype == object else None)
        for name, value in inputs.items()
    }


def _one_row(inputs: Mapping) -> dict[str, np.ndarray]:
    rows = {name: [1] * len(signatures.shape(info)) for name, info in inputs.items()}
    return {name: np.full(shape, b"a word", dtype=object) for name, shape in rows.items()}


class _Content(NamedTuple):
    """What tells whether the files below a directory are still the same."""

    newest: int  # time of the last change
    number: int
    size: int


def _content(directory: pathlib.Path) -> _Content:
    """Looks at all files below a directory; raises `OSError` if one disappears meanwhile."""
    found = [path.lstat() for path in (directory, *directory.rglob("*"))]
    newest, sizes = max(one.st_mtime_ns for one in found), [one.st_size for one in found]
    return _Content(newest, len(sizes), sum(sizes))


class _Refused:
    """A version that can't be loaded: perhaps not yet, as while it is copied.

    Args:
        content: its files, before that was tried.
        message: why.
    """

    def __init__(self, content: _Content, message: str):
        self.message = message
        self._content, self._again = content, time.monotonic() + _AGAIN
        self._seen = content

    def is_worth_a_try(self, content: _Content) -> bool:
        """Whether its files have changed, but not since the last look; or a while has passed."""
        settled, self._seen = content == self._seen, content
        return (settled and content != self._content) or time.monotonic() > self._again


class Versions:
    """The newest version of a model, which `watch` replaces when a newer one appears.

    If the newest can't be loaded, because it is not complete yet, the next older one is.

    Args:
        directory: directory of numbered versions, or one version, which is then the only one.
        name: the model's name.
        log: function that prints a line.

    Raises:
        InputError: there is no version, or none of them can be loaded.
    """

    def __init__(self, directory: pathlib.Path, name: str, log: Callable[[str], None]):
        self.name, self._log = name, log
        self._single = directory if files.exists(directory / signatures.GRAPH) else None
        self._directory = directory
        #: The state of each version, and the message about its failure.
        self._states: dict[int, tuple[str, str]] = {}
        self._refused: dict[int, _Refused] = {}
        found = self._found()
        if not found:
            raise InputError(
                f"{directory}: holds no numbered version of an export; numbers are at most "
                f"{urls.LARGEST_VERSION}"
            )
        self._current = self._first(found)

    def _found(self) -> dict[int, pathlib.Path]:
        """Returns the version directories by their numbers."""
        if self._single:
            number = urls.version_number(self._single.resolve().name)
            return {1 if number is None else number: self._single}
        try:
            children = list(self._directory.iterdir())
        except OSError:  # for a moment, as while a network drive is mounted again
            return {}
        return {
            number: child
            for child in children
            if (number := urls.version_number(child.name)) is not None
        }

    def _first(self, found: Mapping[int, pathlib.Path]) -> Model:
        """Loads the newest version that can be loaded."""
        for version, directory in sorted(found.items(), reverse=True):
            content = _content(directory)
            try:
                model = self._load(version, directory)
            except InputError as error:
                self._refused[version] = _Refused(content, str(error))
                continue
            for other, one in self._refused.items():
                self._log(f"version {other} can't be loaded, {version} is served: {one.message}")
            return model
        raise InputError(self._refused[max(found)].message)

    def _load(self, version: int, directory: pathlib.Path) -> Model:
        self._states[version] = ("LOADING", "")
        try:
            model = Model(directory, version)
            model.warm_up()
        except Exception as error:
            if not isinstance(error, InputError):  # damaged files raise errors of all kinds
                reason = client.reason(error)
                error = InputError(f"{directory}: loading it fails ({reason}); export it again")
            self._states[version] = ("END", str(error))
            raise error from None
        self._states[version] = ("AVAILABLE", "")
        return model

    # === Requests ===

    @property
    def version(self) -> int:
        """The version that is served."""
        return self._current.version

    @property
    def failed(self) -> dict[int, str]:
        """Why newer versions than the served one can't be loaded, by their numbers."""
        return {
            version: refused.message
            for version, refused in sorted(self._refused.items())
            if version > self.version
        }

    @contextlib.contextmanager
    def use(self, name: str, version: int | None) -> Iterator[Model]:
        """Context in which a version stays loaded.

        Raises:
            RequestError: it is not the version that is served.
        """
        model = self._current
        if name != self.name or version not in (None, model.version):
            which = f"Latest({name})" if version is None else f"Specific({name}, {version})"
            raise RequestError("NOT_FOUND", f"Servable not found for request: {which}")
        model.users += 1
        try:
            yield model
        finally:
            model.users -= 1

    def status(self, name: str, version: int | None) -> Any:
        """Returns a `GetModelStatusResponse`.

        Raises:
            RequestError: there is no such model or version.
        """
        if name != self.name:
            raise RequestError("NOT_FOUND", f"Could not find any versions of model {name}")
        if version not in (None, *self._states):
            raise RequestError("NOT_FOUND", f"Could not find version {version} of model {name}")
        response = get_model_status_pb2.GetModelStatusResponse()
        for number in sorted(self._states, reverse=True):
            if version in (None, number):
                state, message = self._states[number]
                one = response.model_version_status.add(version=number)
                one.state = _ModelVersionStatus.State.Value(state)
                one.status.error_code = 13 if message else 0  # INTERNAL, OK
                one.status.error_message = message
        return response

    # === New versions ===

    async def watch(self, seconds: float) -> None:
        """Looks for the highest version every so many seconds, and loads it if it is another."""
        while not self._single:
            await asyncio.sleep(seconds)
            found = await asyncio.to_thread(self._found)
            if not found:
                continue
            self._refused = {n: one for n, one in self._refused.items() if n in found}
            if max(found) == self.version:
                continue
            if await self._tried(max(found), found[max(found)]):
                # Nothing refers to the old version any more, nor to one that can't be used, but
                # their parts do to each other.
                await asyncio.to_thread(gc.collect)

    async def _tried(self, version: int, directory: pathlib.Path) -> bool:
        """Loads a version in place of the current one; returns whether that was tried."""
        try:
            content = await asyncio.to_thread(_content, directory)
        except OSError:  # the directory, or a file in it, has disappeared
            return False
        refused = self._refused.get(version)
        if refused and not refused.is_worth_a_try(content):
            return False
        try:
            model = await in_background(self._load, version, directory)
        except InputError as error:
            self._refused[version] = _Refused(content, str(error))
            if refused is None or refused.message != str(error):
                self._log(
                    f"version {version} can't be loaded, {self._current.version} stays: {error}"
                )
            return True
        self._refused.pop(version, None)
        old, self._current = self._current, model
        self._log(f"version {version} replaces {old.version}")
        await self._retire(old)
        return True

    async def _retire(self, old: Model) -> None:
        """Returns after the last request of a version."""
        self._states[old.version] = ("UNLOADING", "")
        while old.users:
            await asyncio.sleep(_WAIT)
        self._states[old.version] = ("END", "")
