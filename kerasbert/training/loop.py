"""The training loop: trains a model from its first step, or from a checkpoint, to its last step."""

from __future__ import annotations

import contextlib
import math
import signal
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras

from kerasbert import _compat, program
from kerasbert.errors import InputError, Interrupted, UninitializedWeightsWarning
from kerasbert.training.agreement import Agreement
from kerasbert.training.best import SaveBestModel
from kerasbert.training.checkpoints import Checkpoints
from kerasbert.training.exact_model import ExactModel
from kerasbert.training.optimizers import averaged_weights, fits_keep_weights
from kerasbert.training.progress import RunCallbacks, is_sync_step
from kerasbert.training.run_directory import last_evaluation
from kerasbert.training.stored_checkpoint import StoredCheckpoint
from kerasbert.training.strategies import is_chief, prefetched, sharded, strategy_of

# Consecutive steps without a finite gradient after which training stops.
_MOST_SKIPPED = 10
_ADVICE = "lower the learning rate, or check the examples of these steps"


def train(
    model: ExactModel,
    batches: Callable[[int], Any],
    steps: int,
    checkpoints: Checkpoints,
    stored: StoredCheckpoint | None,
    *,
    report_every: int,
    boundaries: Sequence[int] = (),
    validate: Callable[[], dict[str, float]] | None,
    callbacks: list[keras.callbacks.Callback],
    best: SaveBestModel | None = None,
    monitor: str | None = None,
) -> None:
    """Trains a compiled model with one call of Keras's `fit` per evaluation interval.

    Args:
        model: model compiled in the scope of the strategy that trains it.
        batches: function from a step number to a dataset (of `tf.data`, or a `DrawnBatches`) that
            starts with that step's global batch; pure, so that a run can resume at any step.
        steps: total number of training steps.
        checkpoints: checkpoints of the run.
        stored: checkpoint to resume from; None: train from the beginning.
        report_every: evaluation interval, in steps; the callbacks' `on_epoch_end` is called after
            each.
        boundaries: steps after which batches have another shape, and an evaluation follows, too;
            no dataset may go beyond one.
        validate: function that returns validation metrics by name; called at each evaluation, by
            all workers, while the weights are their moving averages if the optimizer has them.
        callbacks: Keras callbacks.
        best: callback that saves the best model and stops early; None in workers that are not the
            chief.
        monitor: name of the metric that `best` monitors; the same in all workers.

    Raises:
        Interrupted: SIGTERM or SIGINT was received; the state has been saved.
        InputError: no evaluation has the metric to monitor, the checkpoint is of another model,
            gradients were not finite in 10 consecutive steps, or the loss is not finite after
            skipped steps.

    Examples:
        Six steps, with an evaluation after every third. Run again after an interruption, this
        continues with the newest checkpoint; batches are the same as without one.

        >>> import kerasbert
        >>> words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "dull", "fine", "day"]
        >>> tokenizer = kerasbert.text.WordPieceTokenizer(words)
        >>> config = kerasbert.BackboneConfig.from_preset("bert_tiny", vocabulary_size=len(words))
        >>> model = kerasbert.TextClassifier(
        ...     kerasbert.Backbone(config), ["bad", "good"], tokenizer=tokenizer
        ... )
        >>> model.compile()
        >>> texts, labels = ["a fine day", "a dull day"], ["good", "bad"]
        >>> checkpoints = kerasbert.training.Checkpoints("checkpoints", every_steps=3)
        >>> kerasbert.training.train(
        ...     model,
        ...     lambda step: model.preprocessor.training_batches(
        ...         texts, labels, batch_size=2, seed=1, start=step
        ...     ),
        ...     6,
        ...     checkpoints,
        ...     checkpoints.newest(),
        ...     report_every=3,
        ...     validate=lambda: model.score(texts, labels),
        ...     callbacks=[],
        ... )
        >>> checkpoints.newest().step
        6
    """
    step = stored.step if stored else 0
    if stored:
        checkpoints.log(f"resuming from {stored.path}")
    _build(model, batches(0))  # so that variables have the same names in every run
    # A checkpoint of another run says nothing about this run's metrics.
    if monitor and not (stored and stored.path.parent == checkpoints.directory):
        _check_monitor(model, monitor, validate)
    model.counts_examples = True
    # Keras resets the metrics at the end of an interval.
    ends_interval = step % report_every == 0 or step in boundaries
    if stored and (evaluated := last_evaluation(stored.path)) is not None:
        ends_interval = evaluated == step  # another run may have had other intervals
    agreement = Agreement(strategy_of(model))
    checkpoints_callback = CheckpointCallback(
        checkpoints, stored, best, batches, agreement, metrics=not ends_interval
    )
    first = [_Validate(validate)] if validate else []
    last = [best] if best else []
    # The checkpoint callback runs last: a step's metrics must be written before its checkpoint.
    callbacks = [*first, *callbacks, *last, checkpoints_callback]
    at_once = model.steps_per_execution
    with checkpoints_callback.signals(), fits_keep_weights(model):
        # A run may be interrupted after the evaluation that stops it.
        stop_training = best is not None and best.stop_training
        _, checkpoints_callback.stop_training = agreement.reach(step, 0, stop_training)
        while step < steps and not checkpoints_callback.stop_training:
            if step in boundaries:
                # TensorFlow would trace a step for any shape, which rounds otherwise than one that
                # a run resumed here traces for this shape alone.
                model.make_train_function(force=True)
            ends = (steps, (step // report_every + 1) * report_every, *boundaries)
            end = checkpoints_callback.end = min(end for end in ends if end > step)
            # An execution takes all its steps, even beyond `end`, and nothing is done within one.
            kept = checkpoints.every_steps, checkpoints.permanent
            _set_steps_per_execution(model, math.gcd(at_once, step, end, *kept))
            model.fit(
                prefetched(sharded(batches(step)), model),
                epochs=1,
                steps_per_epoch=end - step,
                callbacks=RunCallbacks(callbacks, model, first=step),
                shuffle=False,
                verbose=0,
            )
            step = end
    _set_steps_per_execution(model, at_once)
    if checkpoints_callback.stored:  # nothing was left to train, so `fit` was not called
        checkpoints.restore(model, checkpoints_callback.stored, metrics=False)


def _build(model: keras.Model, dataset) -> None:
    """Creates the variables of optimizer and metrics, which Keras creates at the first batch."""
    with strategy_of(model).scope():
        _compat.build_on_batch(model, next(iter(dataset.take(1))))


def _set_steps_per_execution(model: Any, steps: int) -> None:
    if model.steps_per_execution != steps:
        model.steps_per_execution = steps
        model.train_function = model.test_function = None  # Keras makes them with the new number


def _check_monitor(
    model: keras.Model, monitor: str, validate: Callable[[], dict[str, float]] | None
) -> None:
    """Raises `InputError` if no evaluation will have the metric to monitor."""
    known = set(model.get_metrics_result())
    if monitor in known:
        return
    # The names of a task's metrics are known only after a validation, which takes as long as any.
    with warnings.catch_warnings():  # of a head that is not trained yet
        warnings.simplefilter("ignore", UninitializedWeightsWarning)
        scores = validate() if validate else {}
    known |= {f"val_{name}" for name in scores}
    if monitor not in known:
        raise InputError(
            f"--monitor: there will be no metric {monitor!r}; there will be "
            f"{', '.join(sorted(known))}"
        )


class _Validate(keras.callbacks.Callback):
    """Adds validation metrics to the logs of an evaluation."""

    model: Any  # Keras sets it

    def __init__(self, validate: Callable[[], dict[str, float]]):
        super().__init__()
        self.validate = validate

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Adds the metrics, with the prefix `val_`; runs before the callbacks that write them."""
        with averaged_weights(self.model):
            logs.update({f"val_{name}": value for name, value in self.validate().items()})


class CheckpointCallback(keras.callbacks.Callback):
    """Restores a checkpoint, writes those that are due, and handles signals and early stopping."""

    model: Any  # Keras sets it

    def __init__(
        self,
        checkpoints: Checkpoints,
        stored: StoredCheckpoint | None,
        best: SaveBestModel | None,
        batches: Callable[[int], Any],
        agreement: Agreement,
        *,
        metrics: bool,
    ):
        super().__init__()
        self.checkpoints = checkpoints
        self.batches = batches
        self.stored = stored
        self.metrics = metrics
        self.best = best
        self.stop_training = False
        self.end = 0
        self.skipped = 0
        self.received_signal: int | None = None
        self.agreement = agreement

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Restores the checkpoint; not earlier, since `fit` resets the metrics just before this."""
        if self.stored:
            self.checkpoints.restore(self.model, self.stored, metrics=self.metrics)
            if self.checkpoints.lacks_permanent(self.stored.step):  # the step of another run
                write = is_chief(strategy_of(self.model))
                self.checkpoints.save(self.model, self.stored.step, write=write)
            self.stored = None
            self.skipped = int(self.model.optimizer.skipped_steps.numpy())

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Writes a checkpoint if one is due or a signal was received."""
        step = batch + 1
        if is_sync_step(self.model, step):
            self._check_gradients(step)
        if step < self.end:
            self._keep(step)

    def _check_gradients(self, step: int) -> None:
        self.model.sync_state()
        skipped = int(self.model.optimizer.skipped_in_a_row.numpy())
        if skipped >= _MOST_SKIPPED:
            raise InputError(
                f"step {step}: the gradient was not finite {skipped} times in a row; {_ADVICE}"
            )

    def _check_loss(self) -> None:
        """Evaluates the loss on the last batch, with the weights as they will be saved.

        A run may be too short to reach the limit of skipped steps, and finite weights may be so
        large that the outputs are not finite.
        """
        batch = sharded(self.batches(self.end - 1).take(1))
        with averaged_weights(self.model):
            loss = self.model.evaluate(batch, verbose=0, return_dict=True)["loss"]
        if not math.isfinite(loss):
            raise InputError(
                f"step {self.end}: the loss is {loss}, and training has diverged; {_ADVICE}"
            )

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Checks gradients and loss after an evaluation, and writes a checkpoint if one is due."""
        self._check_gradients(self.end)
        skipped = int(self.model.optimizer.skipped_steps.numpy())
        if skipped > self.skipped:
            self.checkpoints.log(f"{skipped} steps skipped: gradients were not finite")
            self.skipped = skipped
            self._check_loss()
        self._keep(self.end, stop_training=self.best is not None and self.best.stop_training)

    def _keep(self, step: int, *, stop_training: bool = False) -> None:
        # Workers agree about once a second, and at the steps that every worker can compute.
        known = step == self.end or self.checkpoints.is_due_by_steps(step)
        if not known and not self.agreement.is_due(step):
            return
        received_signal, checkpoint_due, self.stop_training = self.agreement.reach(
            step, self.received_signal or 0, self.checkpoints.is_due(step), stop_training
        )
        if received_signal or checkpoint_due:
            write = is_chief(strategy_of(self.model))
            self.checkpoints.save(self.model, step, write=write)
        if received_signal:
            raise Interrupted(
                f"stopped by {signal.Signals(received_signal).name} after step {step}, which is "
                "saved; repeat the command to resume",
                received_signal,
            )

    @contextlib.contextmanager
    def signals(self) -> Iterator[None]:
        """Context in which a first signal stops the run and a second one kills it."""
        previous = {kind: signal.getsignal(kind) for kind in program.SIGNALS}
        program.handle_signals(self._note)
        try:
            yield
        finally:
            for kind, handler in previous.items():
                signal.signal(kind, handler)

    def _note(self, kind: int, frame: Any) -> None:
        self.received_signal = kind
        program.handle_signals(signal.SIG_DFL)
        self.checkpoints.log(
            f"{signal.Signals(kind).name}: stopping after this step; send it again to stop at once"
        )
