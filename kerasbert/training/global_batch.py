"""Training that is exact under `tf.distribute`: N replicas do what one device does on their batch.

Keras 3 on TensorFlow averages each replica's mean loss (wrong where weights or rows are uneven),
clips gradients before they are summed, and can't `fit` on several workers at all (keras issues
20585 and 20582). Here a loss is divided by the weight of the *global* batch, whether that is spread
over replicas or cut into pieces that are looked at one after the other, gradients are summed before
anything else is done to them, and a step whose gradient is not finite changes no weight.
"""

import dataclasses
import importlib.util
import re
import types
from typing import Any

import keras

from kerasbert import _compat
from kerasbert import features as keys
from kerasbert.errors import InputError
from kerasbert.options import LARGEST_FLOAT, is_finite
from kerasbert.training.optimizers import assign_averages, updates

ON_TENSORFLOW = keras.backend.backend() == "tensorflow"
#: What a run counts: rows, real tokens, and places for tokens, padding included.
SEEN = ("examples", "tokens", "positions")


@keras.saving.register_keras_serializable("kerasbert")
class GlobalMean(keras.losses.Loss):
    """A loss whose mean is taken over the batches of all replicas together.

    Its value, times the number of replicas, is that mean on every replica; its gradients add up to
    the mean's gradient. On one device it is the loss itself.

    Args:
        loss: a Keras loss.
    """

    def __init__(self, loss: keras.losses.Loss, **kwargs):
        super().__init__(**{"name": loss.name, "reduction": loss.reduction, **kwargs})
        self.loss = loss
        self._whole = None

    def __call__(self, y_true, y_pred, sample_weight=None):
        """The loss, see the class."""
        import tensorflow as tf

        replicas = tf.distribute.get_strategy().num_replicas_in_sync
        context = tf.distribute.get_replica_context()
        alone = replicas == 1 and self._whole is None
        if alone or context is None or isinstance(y_pred, keras.KerasTensor):
            return self.loss(y_true, y_pred, sample_weight)
        total, by = self.sums(y_true, y_pred, sample_weight)
        if self._whole is None:
            pieces = 1
            total_of_all, by = context.all_reduce("SUM", [tf.stop_gradient(total), by])
        else:
            by, pieces = self._whole
            total_of_all = context.all_reduce("SUM", tf.stop_gradient(total))
        share = tf.math.divide_no_nan(total, by)
        value = tf.math.divide_no_nan(total_of_all, by) * pieces / replicas
        # The value of the one and the gradient of the other: Keras scales values up again.
        return share + tf.stop_gradient(value - share)

    def is_part_of(self, by, pieces: int) -> None:
        """Says that the next calls see one of so many pieces of a batch each.

        Their gradients add up to the gradient of the whole batch's loss, and their values have it
        as their mean.

        Args:
            by: what the sum of all losses is to be divided by, see `sums`; None: no longer.
            pieces: how many there are.
        """
        self._whole = None if by is None else (by, pieces)

    def sums(self, y_true, y_pred, sample_weight=None):
        """The sum of a batch's losses, and by what its mean divides it, which adds up likewise."""
        import tensorflow as tf

        losses = self.loss.call(tf.convert_to_tensor(y_true), y_pred)
        weights = _weights(tf.shape(losses), losses, sample_weight)
        return tf.reduce_sum(losses * weights), self._divisor(weights)

    def divisor(self, y_true, y_pred, sample_weight=None):
        """The second of `sums`; where each loss has a label, no output is computed for it."""
        import tensorflow as tf

        y_true = tf.convert_to_tensor(y_true)
        call = tf.function(self.loss.call, autograph=False)
        specs = map(tf.TensorSpec.from_tensor, (y_true, y_pred))
        losses = call.get_concrete_function(*specs).structured_outputs
        rank = losses.shape.rank
        if y_true.shape.rank is None or y_true.shape[1:rank] != losses.shape[1:]:
            return self.sums(y_true, y_pred, sample_weight)[1]  # labels that are not one for each
        shape = tf.shape(y_true)[:rank]
        return self._divisor(_weights(shape, losses, sample_weight))

    def _divisor(self, weights):
        import tensorflow as tf

        if self.reduction == "sum":
            replicas = tf.distribute.get_strategy().num_replicas_in_sync
            return tf.ones([], weights.dtype) / replicas
        if self.reduction == "mean_with_sample_weight":
            return tf.reduce_sum(weights)
        return tf.cast(tf.size(weights), weights.dtype)

    def get_config(self):
        """The loss that is wrapped."""
        return {"loss": keras.saving.serialize_keras_object(self.loss)}

    @classmethod
    def from_config(cls, config):
        """The inverse of `get_config`."""
        return cls(keras.saving.deserialize_keras_object(config["loss"]))


def _weights(shape, losses, sample_weight):
    """The weight of each loss, of such a shape; `losses` may be a `tf.TensorSpec`."""
    import tensorflow as tf

    if sample_weight is None:
        return tf.ones(shape, losses.dtype)
    weights = tf.cast(sample_weight, losses.dtype)
    if weights.shape.rank > losses.shape.rank:
        weights = tf.squeeze(weights, -1)
    for _ in range(losses.shape.rank - weights.shape.rank):
        weights = weights[..., tf.newaxis]
    return tf.broadcast_to(weights, shape)


@keras.saving.register_keras_serializable("kerasbert")
class FunctionLoss(keras.losses.Loss):
    """A function of labels and outputs as a loss; the mean over the batch."""

    def __init__(self, function, **kwargs):
        # TensorFlow takes no name such as "<lambda>".
        name = re.sub(r"\W", "", getattr(function, "__name__", "")) or "loss"
        super().__init__(**{"name": name, **kwargs})
        self.function = function

    def call(self, y_true, y_pred):
        """What the function gives, of labels and outputs with as many axes, as in Keras."""
        return self.function(*_with_equal_rank(y_true, y_pred))

    def get_config(self):
        """The function, by its registered name."""
        return {"function": keras.saving.serialize_keras_object(self.function)}

    @classmethod
    def from_config(cls, config):
        """The inverse of `get_config`."""
        return cls(keras.saving.deserialize_keras_object(config["function"]))


def _with_equal_rank(y_true, y_pred) -> tuple:
    """The same tensors; where one alone has a last axis of one, the other gets it."""
    ranks = [len(y_true.shape), len(y_pred.shape)]
    if ranks[1] == ranks[0] + 1 and y_pred.shape[-1] == 1:
        y_true = keras.ops.expand_dims(y_true, -1)
    elif ranks[0] == ranks[1] + 1 and y_true.shape[-1] == 1:
        y_pred = keras.ops.expand_dims(y_pred, -1)
    return y_true, y_pred


def global_mean(loss):
    """Every loss in what Keras's `compile` takes, as a `GlobalMean`; None stays None."""
    if isinstance(loss, dict):
        return {name: global_mean(one) for name, one in loss.items()}
    if isinstance(loss, list | tuple):
        return type(loss)(global_mean(one) for one in loss)
    if loss is None or isinstance(loss, GlobalMean):
        return loss
    loss = keras.losses.get(loss)
    return GlobalMean(loss if isinstance(loss, keras.losses.Loss) else FunctionLoss(loss))


def exact_updates(
    optimizer: keras.optimizers.Optimizer, *, float16: bool = False
) -> keras.optimizers.Optimizer:
    """Makes an optimizer sum gradients over replicas first, and skip steps that are not finite.

    Args:
        optimizer: any of Keras's; changed in place.
        float16: multiply the loss while gradients are computed, so that small ones don't vanish
            (Micikevicius et al. 2018, §3.2). The factor halves when a gradient is not finite on any
            replica, and doubles after 2,000 steps.

    Returns:
        The optimizer; its `skipped_steps` and `skipped_in_a_row` count.

    Raises:
        InputError: it accumulates gradients or scales losses itself, or overwrites weights with
            their average, which Keras does wrongly under a strategy; it has steps of its own
            that are not known here; or a number of it is not finite.
    """
    check_numbers(optimizer)
    for option in ("gradient_accumulation_steps", "ema_overwrite_frequency"):
        if getattr(optimizer, option, None):
            raise InputError(
                f"an optimizer with {option} is not exact under a strategy; leave it out"
                + ("; compile(accumulation_steps=...) is" if "accumulation" in option else "")
            )
    _check_hooks(optimizer)
    if not hasattr(optimizer, "skipped_steps"):  # it may be compiled again
        with _compat.strategy_of(optimizer).scope():
            # Steps that were skipped, in all and since the last that was not.
            optimizer.skipped_steps, optimizer.skipped_in_a_row = (_counter() for _ in range(2))
            optimizer.loss_scale = _LossScale() if float16 else None
            #: Examples, real tokens and places for tokens, over the whole run; if they are counted.
            optimizer.seen = _counter((len(SEEN),))
    if optimizer.loss_scale:
        optimizer.scale_loss = optimizer.loss_scale.scale
    if not hasattr(optimizer, "rate_factors"):
        #: Factors of the learning rate by the path of a variable, where it is not 1.
        optimizer.rate_factors = {}
    _compat.replace_apply(optimizer, types.MethodType(_apply_gradients, optimizer))
    #: Whether `fit` leaves weights where there are moving averages, see `fits_keep_weights`.
    optimizer.keeps_weights = False
    optimizer.finalize_variable_values = types.MethodType(_finalize, optimizer)
    return optimizer


def check_numbers(optimizer: keras.optimizers.Optimizer) -> None:
    """Raises `InputError` if a number of an optimizer is not finite in 32 bits.

    One step with it would make weights NaN, though every gradient is finite.
    """
    numbers = {name: value for name, value in vars(optimizer).items() if isinstance(value, float)}
    if isinstance(rate := _compat.given_rate(optimizer), keras.Variable):  # or it changes
        numbers["learning_rate"] = float(rate.numpy())
    for name, value in numbers.items():
        if not is_finite(value):
            none = "; None means no limit" if "clip" in name else ""
            raise InputError(
                f"{type(optimizer).__name__}: {name} must be a finite number, {LARGEST_FLOAT} at "
                f"the most, found {value}{none}"
            )


# Two of Keras's optimizers do something in their own way and are followed here.
_FOLLOWED = (keras.optimizers.Nadam, keras.optimizers.Muon)
_NOT_FOLLOWED = {
    keras.optimizers.LossScaleOptimizer: "leave it out: in float16, compile scales the loss itself",
    keras.optimizers.MultiOptimizer: "take one optimizer, such as with compile(layer_decay=...)",
}


def _check_hooks(optimizer) -> None:
    for kind, advice in _NOT_FOLLOWED.items():
        if isinstance(optimizer, kind):
            raise InputError(f"{kind.__name__} is not exact under a strategy; {advice}")
    kind = next((k for k in _FOLLOWED if isinstance(optimizer, k)), keras.optimizers.SGD)
    for hook in _compat.OPTIMIZER_HOOKS:
        if getattr(type(optimizer), hook) is not getattr(kind, hook):
            raise InputError(
                f"{type(optimizer).__name__} changes Keras's {hook}, which is not exact under a "
                "strategy; what it does there belongs into update_step"
            )


def _finalize(optimizer, variables) -> None:
    """What Keras's `fit` does at its end; variable by variable, where Keras goes by their order."""
    if not optimizer.keeps_weights:
        assign_averages(optimizer, variables)


def _counter(shape=()) -> keras.Variable:
    # TensorFlow keeps int32 variables in the host's memory, where a step that XLA compiles for a
    # GPU does not reach them.
    zeros = keras.ops.zeros(shape, "int64")
    return keras.Variable(zeros, trainable=False, aggregation="only_first_replica")


class _LossScale:
    """The factor of the loss in float16."""

    _DOUBLES_AFTER = 2_000

    def __init__(self):
        self.factor = keras.Variable(2.0**15, trainable=False, aggregation="only_first_replica")
        self.good_steps = _counter()

    def scale(self, loss):
        """The loss that gradients are taken of."""
        return loss * keras.ops.cast(self.factor, loss.dtype)

    def update(self, finite) -> None:
        """Looks at whether the gradient of all replicas together was finite."""
        import tensorflow as tf

        good = (self.good_steps + 1) * tf.cast(finite, tf.int64)
        double = good >= self._DOUBLES_AFTER
        factor = tf.where(finite, tf.where(double, 2.0, 1.0), 0.5) * self.factor
        self.factor.assign(tf.clip_by_value(factor, 1.0, 2.0**24))
        self.good_steps.assign(tf.where(double, tf.zeros_like(good), good))


def _apply_gradients(optimizer, gradients, variables) -> None:
    import tensorflow as tf

    strategy = _compat.strategy_of(optimizer)
    factors = [optimizer.rate_factors.get(v.path, 1.0) for v in variables]
    decays = [_weight_decay(optimizer, v) for v in variables]
    variables = [v.value if isinstance(v, keras.Variable) else v for v in variables]
    gradients = [tf.convert_to_tensor(gradient) for gradient in gradients]
    if strategy.num_replicas_in_sync > 1:
        gradients = tf.distribute.get_replica_context().all_reduce("SUM", gradients)
    # Weights may be of different dtypes, and half precision has no room for squares.
    norm = tf.linalg.global_norm([tf.cast(gradient, tf.float32) for gradient in gradients])
    finite = tf.math.is_finite(norm)
    skipped = tf.cast(~finite, tf.int64)
    hopeless = skipped
    if optimizer.loss_scale:
        # A smaller factor may help.
        hopeless *= tf.cast(optimizer.loss_scale.factor <= 1.0, tf.int64)
        norm /= optimizer.loss_scale.factor
        gradients = [gradient / optimizer.loss_scale.factor for gradient in gradients]
        optimizer.loss_scale.update(finite)
    optimizer.skipped_steps.assign_add(skipped)
    optimizer.skipped_in_a_row.assign((optimizer.skipped_in_a_row + hopeless) * skipped)
    if optimizer.global_clipnorm:
        gradients, _ = tf.clip_by_global_norm(gradients, optimizer.global_clipnorm, norm)
    else:
        gradients = _compat.clipped(optimizer, gradients)
    # Averages begin as 0, so the first step that is not skipped sets them.
    first = tf.cast(updates(optimizer) == 0, tf.float32)
    momentum = (1 - first) * (optimizer.ema_momentum if optimizer.use_ema else 0.0)
    rate = optimizer.learning_rate

    def step(variable, gradient, average, factor, decay, rate, momentum):
        rate *= factor
        if decay is not None:
            variable.assign_sub(variable * decay * tf.cast(rate, variable.dtype))
        optimizer.update_step(gradient, variable, rate)
        if average is not None:
            kept = tf.cast(momentum, average.dtype)
            average.assign(kept * average + (1 - kept) * variable)

    def update(strategy, places, finite, rate, momentum):
        def take():
            _before_step(optimizer, strategy)
            for variable, *own in places:
                arguments = (*own, rate, momentum)
                strategy.extended.update(variable, step, args=arguments, group=False)
            return True

        # One condition for all: one for each would take most of the time of making the graph. All
        # replicas have seen the same gradients.
        tf.cond(strategy.experimental_local_results(finite)[0], take, lambda: False)

    averages = _averages(optimizer, variables)
    places = list(zip(variables, gradients, averages, factors, decays, strict=True))
    _compat.merge_call(update, strategy, places, finite, rate, momentum)


def _averages(optimizer, variables) -> list:
    """The moving average of each variable, or None."""
    if not optimizer.use_ema:
        return [None] * len(variables)
    return [_compat.average_of(optimizer, variable).value for variable in variables]


def _weight_decay(optimizer, variable) -> float | None:
    """What a variable loses at each step, as a share of it, times the rate; None: nothing."""
    decay = optimizer.weight_decay
    if isinstance(optimizer, keras.optimizers.Muon) and _compat.takes_adamw(optimizer, variable):
        decay = optimizer.adam_weight_decay
    return decay if _compat.is_decayed(optimizer, variable) else None


def _before_step(optimizer, strategy) -> None:
    """What Keras does once for all variables, before it changes the first."""
    import tensorflow as tf

    if isinstance(optimizer, keras.optimizers.Nadam):
        product = _compat.momentum_product(optimizer).value
        step = tf.cast(updates(optimizer) + 1, product.dtype)
        factor = optimizer.beta_1 * (1.0 - 0.5 * 0.96**step)
        strategy.extended.update(product, lambda v, x: v.assign(v * x), args=(factor,), group=False)


class _ExactSteps(_compat.TrainerHooks, keras.Model):
    """The steps of an `ExactModel` on TensorFlow."""

    counts = SEEN

    # === One step ===

    def train_step(self, data):
        """Keras's, perhaps in pieces."""
        pieces = self.accumulation_steps > 1
        logs = self._step_in_pieces(data) if pieces else super().train_step(data)
        return {**logs, **self._count(data)} if self.counts_examples else logs

    def _count(self, data) -> dict:
        import tensorflow as tf

        x, _, _ = keras.utils.unpack_x_y_sample_weight(data)
        first = tf.nest.flatten(x)[0]
        mask = x.get(keys.PADDING_MASK) if isinstance(x, dict) else None
        mask = tf.ones_like(first, tf.int32) if mask is None else mask
        counts = [tf.shape(first)[0], tf.reduce_sum(mask), tf.size(mask)]
        counts = tf.cast(tf.stack(counts), tf.int64)
        seen = self.optimizer.seen
        seen.assign_add(tf.distribute.get_replica_context().all_reduce("SUM", counts))
        return dict(zip(SEEN, tf.unstack(seen.value), strict=True))

    def _step_in_pieces(self, data) -> dict:
        import tensorflow as tf

        batch = _Batch(*keras.utils.unpack_x_y_sample_weight(data))
        pieces, variables = self.accumulation_steps, self.trainable_weights
        self._divide_by(self._weights_of(batch), pieces)
        gradients, losses = None, []
        for index in range(pieces):
            # Without this TensorFlow would compute the pieces side by side.
            with tf.control_dependencies(gradients or []):
                piece = batch.piece(index, pieces)
            loss, found = self._gradients(piece, variables)
            gradients = found if gradients is None else list(map(tf.add, gradients, found))
            losses.append(loss)
            logs = self.compute_metrics(*piece.outcome)
        self._divide_by(None, pieces)
        tracker = _compat.loss_tracker(self)
        tracker.update_state(tf.add_n(losses) / pieces, sample_weight=batch.rows)
        self.optimizer.apply_gradients(zip(gradients, variables, strict=True))
        return {**logs, "loss": tracker.result()}

    def _gradients(self, piece: "_Batch", variables: list):
        """The loss of a piece as Keras reports it, and its part of the gradient."""
        import tensorflow as tf

        with tf.GradientTape() as tape:
            piece.y_pred = self(piece.x, training=True)
            loss = _compat.compute_loss(self, *piece.outcome)
            scaled = self.optimizer.scale_loss(loss)
        if self.losses:
            raise InputError("accumulation_steps: layers with losses of their own are not exact")
        replicas = tf.distribute.get_strategy().num_replicas_in_sync
        gradients = tape.gradient(scaled, variables, unconnected_gradients="zero")
        return loss * replicas, [tf.convert_to_tensor(gradient) for gradient in gradients]

    def _weights_of(self, batch: "_Batch") -> list:
        """What each loss of the whole batch, of all replicas, is to be divided by."""
        import tensorflow as tf

        # Only of what kind the outputs are matters, so TensorFlow leaves computing them out.
        outputs = self(batch.x, training=False)
        _compat.build_losses(self, batch.y, outputs)
        weights = [
            loss.divisor(*(_at(path, part) for part in (batch.y, outputs, batch.sample_weight)))
            for path, loss in _compat.flat_losses(self)
        ]
        return tf.distribute.get_replica_context().all_reduce("SUM", weights)

    def _divide_by(self, weights: list | None, pieces: int) -> None:
        for index, (_, loss) in enumerate(_compat.flat_losses(self)):
            loss.is_part_of(weights and weights[index], pieces)

    def make_train_function(self, force=False):
        """Keras's, after all variables are there: otherwise the graph has to be made twice."""
        with self.distribute_strategy.scope():
            if self.optimizer is not None and not self.optimizer.built:
                self.optimizer.build(self.trainable_variables)
            if _are_alike(_compat.given_loss(self), self.output):
                _compat.build_losses(self, self.output, self.output)
        return super().make_train_function(force)

    # === What Keras does wrongly under a strategy ===

    def step_function(self, step):
        """One that gathers nothing from workers that they don't have; None: Keras's."""
        import tensorflow as tf

        strategy = self.distribute_strategy
        if not isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
            return None
        if self.jit_compile or self.run_eagerly:
            raise InputError("several workers can't take jit_compile or run_eagerly; leave it out")

        @tf.function(autograph=False)
        def one_step(iterator):
            outputs = strategy.run(step, args=(iterator.get_next(),))
            return keras.tree.map_structure(
                lambda value: strategy.experimental_local_results(value)[0], outputs
            )

        def function(iterator):
            try:
                for _ in range(self.steps_per_execution):
                    logs = one_step(iterator)
            except tf.errors.OutOfRangeError:
                raise StopIteration from None
            return logs

        return function


class ExactModel(_ExactSteps if ON_TENSORFLOW else keras.Model):
    """A Keras model whose `compile` and `fit` are exact under every strategy.

    On another backend than TensorFlow, where there is no strategy, its steps are Keras's.
    """

    #: Whether training counts what it sees and logs it, under the names of `SEEN`.
    counts_examples = False

    def compile(self, optimizer="rmsprop", loss=None, *, accumulation_steps: int = 1, **kwargs):
        """Keras's `compile`.

        Args:
            optimizer: as in Keras.
            loss: as in Keras.
            accumulation_steps: how many pieces a batch is cut into; one is computed after the
                other, their gradients are added up, and the optimizer takes one step, so that a
                batch needs no more memory than a piece.
            **kwargs: as in Keras, but that nothing is compiled by XLA unless it is asked for.

        Raises:
            InputError: a number of steps that can't be, or not on this backend.
        """
        if accumulation_steps < 1:
            raise InputError(f"accumulation_steps must be 1 or more, found {accumulation_steps}")
        if ON_TENSORFLOW:
            float16 = any(layer.compute_dtype == "float16" for layer in _compat.layers_of(self))
            optimizer = exact_updates(keras.optimizers.get(optimizer), float16=float16)
            loss = global_mean(loss)
            kwargs = {"jit_compile": False, **kwargs, "auto_scale_loss": False}
        elif accumulation_steps > 1:
            raise InputError("accumulation_steps needs the TensorFlow backend")
        self.accumulation_steps = accumulation_steps
        super().compile(optimizer=optimizer, loss=loss, **kwargs)

    def fit(
        self,
        x=None,
        y=None,
        batch_size=None,
        epochs=1,
        verbose="auto",
        callbacks=None,
        *args,
        **kwargs,
    ):
        """Keras's `fit`.

        Raises:
            InputError: a callback needs a package that is not there.
        """
        called = keras.tree.flatten(callbacks)
        needs_package = any(isinstance(one, keras.callbacks.TensorBoard) for one in called)
        if needs_package and importlib.util.find_spec("tensorboard") is None:
            raise InputError(
                "keras.callbacks.TensorBoard needs a package that TensorFlow does not bring: "
                "pip install tensorboard"
            )
        return super().fit(x, y, batch_size, epochs, verbose, callbacks, *args, **kwargs)

    def get_compile_config(self) -> dict:
        """Keras's, and `accumulation_steps`."""
        config = super().get_compile_config()  # None if it was not compiled
        if config and self.accumulation_steps > 1:  # Keras compiles clones, which know it not
            config = {**config, "accumulation_steps": self.accumulation_steps}
        return config

    def compile_from_config(self, config: dict) -> None:
        """Compiles as before `save`, when Keras loads a whole model."""
        self.compile(**keras.saving.deserialize_keras_object(config))
        self.optimizer.build(self.trainable_variables)


@dataclasses.dataclass
class _Batch:
    """A batch of examples, or a piece of it, and what the model made of it."""

    x: Any
    y: Any
    sample_weight: Any
    y_pred: Any = None

    @property
    def rows(self):
        import tensorflow as tf

        return tf.shape(tf.nest.flatten(self.x)[0])[0]

    @property
    def outcome(self) -> tuple:
        """What losses and metrics look at."""
        return self.x, self.y, self.y_pred, self.sample_weight

    def piece(self, index: int, pieces: int) -> "_Batch":
        """One of nearly equal pieces; some have no rows if there are fewer rows than pieces."""
        import tensorflow as tf

        first, end = self.rows * index // pieces, self.rows * (index + 1) // pieces
        parts = (self.x, self.y, self.sample_weight)
        return _Batch(
            *tf.nest.map_structure(lambda part: None if part is None else part[first:end], parts)
        )


def _are_alike(one, other) -> bool:
    """Whether both are dicts with the same keys."""
    return isinstance(one, dict) and isinstance(other, dict) and one.keys() == other.keys()


def _at(path: tuple, structure):
    """What stands at a path of keys; None stands everywhere in None."""
    for key in path:
        if structure is None or not isinstance(structure, dict | list | tuple):
            return structure
        structure = structure[key]
    return structure
