"""Checkpoints: the whole state of a training run, written atomically, from which it resumes.

step-0000000120/         renamed to this name when it is complete
    state.safetensors    weights, optimizer, random states, metrics: one tensor per variable
    metrics.jsonl, ...   copies of the run's files at that step
    state.json           step, settings of the run, SHA-256 of the files
    complete             SHA-256 of state.json; marks a complete checkpoint
"""

import os
import pathlib
import re
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras
import numpy as np
import safetensors
import safetensors.numpy

from kerasbert import files
from kerasbert.errors import InputError
from kerasbert.training import step_directories
from kerasbert.training.metric_rows import MetricRows
from kerasbert.training.stored_checkpoint import (
    COMPLETE,
    METADATA,
    STATE,
    StoredCheckpoint,
    read_checkpoint,
)

_NUMBER = re.compile(r"_\d+(?=/|$)")


class Checkpoints:
    """The checkpoints of one run.

    Args:
        directory: directory of the checkpoints; created with the first one.
        every_steps: steps between two checkpoints; 0: no checkpoints by steps.
        every_minutes: minutes between two checkpoints; 0: no checkpoints by time.
        keep: number of checkpoints to keep; older ones are removed.
        permanent: step whose checkpoint is written, and never removed; 0: none.
        settings: settings of the run, of JSON types; checkpoints with others are refused.
        upgrade: function that converts settings stored by an earlier version to the current form.
        copied: files that the run appends to; each checkpoint has copies of them.
        log: function that receives messages.

    Raises:
        InputError: an interval is negative, or `keep` is less than 1.

    Examples:
        `train` writes them. Here one is written and restored by hand:

        >>> import keras
        >>> import numpy as np
        >>> from kerasbert.training import Checkpoints, ExactModel
        >>> x = keras.Input((4,))
        >>> model = ExactModel(x, keras.layers.Dense(1)(x))  # or a task
        >>> model.compile("adam", "mse")
        >>> history = model.fit(np.ones((8, 4)), np.ones((8, 1)), verbose=0)
        >>> checkpoints = Checkpoints("checkpoints", every_steps=100, keep=2)
        >>> path = checkpoints.save(model, step=100)
        >>> stored = checkpoints.newest()
        >>> stored.step
        100
        >>> checkpoints.restore(model, stored)
    """

    def __init__(
        self,
        directory: str | os.PathLike[str],
        every_steps: int = 0,
        every_minutes: float = 0,
        keep: int = 3,
        *,
        permanent: int = 0,
        settings: dict[str, Any] | None = None,
        upgrade: Callable[[dict[str, Any]], dict[str, Any]] = dict,
        copied: Sequence[pathlib.Path] = (),
        log: Any = print,
    ):
        if every_steps < 0 or every_minutes < 0 or keep < 1:
            raise InputError(
                "checkpoints need every_steps and every_minutes of 0 or more, keep of 1 or more; "
                f"found {every_steps}, {every_minutes}, {keep}"
            )
        self.directory = pathlib.Path(directory)
        self.every_steps = every_steps
        self.every_minutes = every_minutes
        self.keep = keep
        self.permanent = permanent
        self.settings = settings or {}
        self.upgrade = upgrade
        self.copied = tuple(copied)
        self.log = log
        self._last_time = time.monotonic()
        self._rows = None

    def is_due(self, step: int) -> bool:
        """Returns whether a checkpoint should be written after a step.

        Args:
            step: number of training steps so far.

        Examples:
            >>> checkpoints.is_due(99), checkpoints.is_due(100)
            (False, True)
        """
        minutes = (time.monotonic() - self._last_time) / 60
        by_minutes = self.every_minutes > 0 and minutes >= self.every_minutes
        return by_minutes or self.is_due_by_steps(step)

    def is_due_by_steps(self, step: int) -> bool:
        """Returns whether one is due by `every_steps`, which is the same on every worker.

        Args:
            step: number of training steps so far.
        """
        is_regular = self.every_steps > 0 and step % self.every_steps == 0
        return is_regular or step == self.permanent > 0

    # === Writing ===

    def save(self, model: keras.Model, step: int, *, write: bool = True) -> pathlib.Path:
        """Writes the state after `step` steps, then removes all but the newest `keep` checkpoints.

        Args:
            model: compiled model.
            step: number of training steps so far.
            write: whether this process writes. Every worker must call this, because metrics are
                read from all replicas.

        Returns:
            The directory of the checkpoint.

        Raises:
            InputError: writing failed (the disk is full, say); earlier checkpoints are unchanged.
        """
        path = self._path(step)
        model.sync_state()
        arrays = {name: np.asarray(v.numpy()) for name, v in _state(model).items()}
        arrays |= self._metric_rows(model).read()
        self._last_time = time.monotonic()
        if not write:
            return path
        step_directories.remove_unfinished(self.directory)
        with (
            # A checkpoint of this step that exists is damaged: the run resumed before it.
            files.new_directory(path, overwrite=True) as temporary,
            files.writing(path, safetensors.SafetensorError),
        ):
            self._write(temporary, arrays, step)
        self._remove_old(path)
        return path

    def _write(self, directory: pathlib.Path, arrays: dict, step: int) -> None:
        safetensors.numpy.save_file(arrays, directory / STATE)
        for path in filter(pathlib.Path.exists, self.copied):
            shutil.copyfile(path, directory / path.name)
        metadata = {
            "step": step,
            "settings": self.settings,
            "sha256": {path.name: files.sha256(path) for path in sorted(directory.iterdir())},
        }
        files.write_json(directory / METADATA, metadata)
        (directory / COMPLETE).write_text(files.sha256(directory / METADATA) + "\n")

    def _remove_old(self, newest: pathlib.Path) -> None:
        """Removes all but the `keep` newest, and those of later steps.

        The latter must be damaged, because the run resumed before them.
        """
        later = [path for path in self._paths() if path.name > newest.name]
        old = self._paths()[len(later) + self.keep :]
        for path in (*later, *(path for path in old if path != self.permanent_path)):
            step_directories.remove(path)

    def remove(self) -> None:
        """Removes all checkpoints but the permanent one, when the run has finished.

        Other files in their directory are kept.

        Examples:
            >>> checkpoints.remove()
            >>> checkpoints.newest()
        """
        step_directories.remove_all(self.directory, but=[self.permanent_path])

    def lacks_permanent(self, step: int) -> bool:
        """Returns whether the permanent checkpoint is of this step, and not written yet.

        Args:
            step: number of training steps so far.
        """
        path = self.permanent_path
        return path is not None and step == self.permanent and not path.is_dir()

    @property
    def permanent_path(self) -> pathlib.Path | None:
        """Directory of the checkpoint that is never removed, or None."""
        return self._path(self.permanent) if self.permanent else None

    # === Reading ===

    def _path(self, step: int) -> pathlib.Path:
        return step_directories.path_of(self.directory, step)

    def _paths(self) -> list[pathlib.Path]:
        """Returns the directories of the checkpoints, newest first."""
        return step_directories.newest_first(self.directory)

    def newest(self) -> StoredCheckpoint | None:
        """Returns the newest complete checkpoint, or None if there are no checkpoints.

        Damaged checkpoints are logged and skipped.

        Raises:
            InputError: all are damaged, or the newest complete one is of other settings.
        """
        paths = self._paths()
        for stored in self._whole(paths):
            settings = self.upgrade(stored.settings)
            if settings != self.settings:
                raise InputError(f"{stored.path}: {self._difference(settings)}")
            return stored
        if paths:
            raise InputError(
                f"{self.directory}: none of its {len(paths)} checkpoints is whole; remove the "
                "directory to train from the beginning"
            )
        return None

    def _whole(self, paths: list[pathlib.Path]) -> Iterator[StoredCheckpoint]:
        for path in paths:
            try:
                yield read_checkpoint(path)
            except InputError as error:
                self.log(f"skipping a damaged checkpoint: {error}")

    def _difference(self, stored: dict) -> str:
        names = sorted(stored.keys() | self.settings.keys())
        different = [
            f"{name} was {stored.get(name)!r}, now it is {self.settings.get(name)!r}"
            for name in names
            if stored.get(name) != self.settings.get(name)
        ]
        return f"is of a run with other settings: {'; '.join(different)}"

    def restore(
        self, model: keras.Model, stored: StoredCheckpoint, *, metrics: bool = True
    ) -> None:
        """Restores a compiled model from a checkpoint.

        Args:
            model: compiled model whose optimizer and metrics are built.
            stored: checkpoint to restore.
            metrics: whether to restore the state of the metrics.

        Raises:
            InputError: the model's variables differ from the checkpoint's; none is assigned.
        """
        arrays = safetensors.numpy.load_file(stored.path / STATE)
        state = _state(model)
        of_metrics = _metrics(model)
        shapes = {name: tuple(variable.shape) for name, variable in state.items()}
        stored_shapes = {
            name: array.shape[1:] if name in of_metrics else array.shape
            for name, array in arrays.items()
        }
        # Checkpoints of earlier versions have no loss scale, which then keeps its initial value.
        absent = _by_name(_loss_scale(model)).keys() - arrays.keys()
        state = {name: variable for name, variable in state.items() if name not in absent}
        problems = [
            f"{name} {shape}"
            for name, shape in shapes.items()
            if name in state and stored_shapes.get(name) != shape
        ]
        problems += sorted(stored_shapes.keys() - shapes.keys() - of_metrics.keys())
        problems += sorted(of_metrics.keys() - stored_shapes.keys())
        if problems:
            raise InputError(f"{stored.path}: is of another model: {', '.join(problems[:8])}")
        for name, variable in state.items():
            variable.assign(arrays[name])
        if metrics:
            self._metric_rows(model).write({name: arrays[name] for name in of_metrics})

    def _metric_rows(self, model: keras.Model) -> MetricRows:
        variables = _metrics(model)
        if self._rows is None or not self._rows.are_of(variables):
            self._rows = MetricRows(model, variables)
        return self._rows


def _state(model: keras.Model) -> dict:
    """Returns the variables of model and optimizer, by names that are the same in any process."""
    groups = {"model": model.variables, "optimizer": model.optimizer.variables}
    return _by_name({**groups, **_loss_scale(model)})


def _loss_scale(model: keras.Model) -> dict:
    """Returns the variables of float16's loss scale that the optimizer does not list as its own."""
    scale = getattr(model.optimizer, "loss_scale", None)
    known = {id(variable) for variable in model.optimizer.variables}
    return {"loss_scale": [v for v in scale.variables if id(v) not in known] if scale else []}


def _metrics(model: keras.Model) -> dict:
    """Returns the variables of the metrics, by name."""
    return _by_name({"metrics": model.metrics_variables})


def _by_name(groups: dict) -> dict:
    # Keras numbers optimizers and seed generators per process, so the numbers are removed. Paths
    # may then repeat, so the index is added.
    return {
        f"{group}/{i}/{_NUMBER.sub('', variable.path)}": variable
        for group, variables in groups.items()
        for i, variable in enumerate(variables)
    }
