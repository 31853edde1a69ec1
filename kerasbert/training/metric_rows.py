"""The state of a model's metrics on each replica; storing only their sum would round it."""

from __future__ import annotations

import functools
from typing import Any

import keras
import numpy as np

from kerasbert.lazy import tensorflow as tf
from kerasbert.training.strategies import strategy_of


class MetricRows:
    """Reads and writes metric variables of all replicas, as arrays (replicas, ...) by name.

    Args:
        model: compiled model.
        variables: variables of the model's metrics, by name.
    """

    def __init__(self, model: keras.Model, variables: dict[str, keras.Variable]):
        self.strategy: Any = strategy_of(model)
        self.variables = variables

    @functools.cached_property
    def _gather(self):
        # Cached: tracing it for every checkpoint takes longer than writing one.
        return tf.function(self._gather_rows, autograph=False)

    def are_of(self, variables: dict[str, keras.Variable]) -> bool:
        """Returns whether `variables` are the variables of this object."""
        return list(map(id, variables.values())) == list(map(id, self.variables.values()))

    def read(self) -> dict[str, np.ndarray]:
        """Returns the values of all replicas, (replicas, ...); every worker must call this."""
        if self.strategy.num_replicas_in_sync == 1:
            return {name: np.asarray(v.numpy())[np.newaxis] for name, v in self.variables.items()}
        return {name: rows.numpy() for name, rows in self._gather().items()}

    def _gather_rows(self):
        def own_rows():
            return {name: v.value.read_value()[None] for name, v in self.variables.items()}

        rows = self.strategy.run(own_rows)
        return {name: self.strategy.gather(value, axis=0) for name, value in rows.items()}

    def write(self, rows: dict[str, np.ndarray]) -> None:
        """Assigns each replica its row.

        If the number of replicas differs, the first replica is assigned the sum, the others 0.

        Args:
            rows: arrays (replicas, ...) by name, as `read` returns them.
        """
        replicas = self.strategy.num_replicas_in_sync
        rows = {name: _for_replicas(array, replicas) for name, array in rows.items()}
        if replicas == 1:
            for name, variable in self.variables.items():
                variable.assign(rows[name][0])
            return

        def put(rows):
            replica = tf.distribute.get_replica_context().replica_id_in_sync_group
            for name, variable in self.variables.items():
                variable.value.assign(rows[name][replica])

        self.strategy.run(tf.function(put, autograph=False), args=(rows,))


def _for_replicas(rows: np.ndarray, replicas: int) -> np.ndarray:
    if len(rows) == replicas:
        return rows
    spread = np.zeros((replicas, *rows.shape[1:]), rows.dtype)
    spread[0] = rows.sum(axis=0)
    return spread
