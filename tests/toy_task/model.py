"""A model that decides whether two texts have the same meaning."""

import keras
import numpy as np

from kerasbert.backbone import Backbone, feature_inputs
from kerasbert.features import SEQUENCE_OUTPUT
from kerasbert.tasks.task import Task
from kerasbert.training.optimizers import adamw


@keras.saving.register_keras_serializable("toy_task")
class DuplicateDetector(Task):
    """Call: features of pairs -> logits, float32 (batch, 2)."""

    def __init__(
        self,
        backbone: Backbone,
        *,
        tokenizer=None,
        sequence_length: int | None = None,
        name: str = "duplicate_detector",
    ):
        inputs = feature_inputs()
        first = backbone(inputs)[SEQUENCE_OUTPUT][:, 0]
        head = keras.layers.Dense(2, dtype="float32", name="duplicate_head")
        super().__init__(
            backbone,
            inputs,
            head(first),
            tokenizer=tokenizer,
            sequence_length=sequence_length,
            name=name,
        )

    def compile(self, optimizer=None, loss=None, metrics=None, **kwargs):
        super().compile(
            optimizer=optimizer or adamw(5e-5),
            loss=loss or keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            metrics=metrics or [keras.metrics.SparseCategoricalAccuracy(name="accuracy")],
            **kwargs,
        )

    def make_preprocessor(self):
        from toy_task.preprocessor import DuplicatePreprocessor  # imports TensorFlow

        return DuplicatePreprocessor(**self._text_settings())

    def are_duplicates(self, x, *, batch_size: int = 32) -> list[bool]:
        logits = self._outputs_of(self._text.columns(x), batch_size)
        return (logits.argmax(-1) == 1).tolist()

    def score(self, x, y, *, batch_size: int = 32) -> dict[str, float]:
        rows = self._text.rows(x, y)
        found = self._outputs_of(rows.x, batch_size).argmax(-1)
        return {"accuracy": float(np.mean(found == rows.y))}
