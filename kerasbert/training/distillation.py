"""A small model learns what a big one answers, and how it comes to it.

Sources, by their short names: Hinton et al. 2015, "Distilling the Knowledge in a Neural Network";
DistilBERT (Sanh et al. 2019); TinyBERT (Jiao et al. 2020); MobileBERT (Sun et al. 2020).
"""

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from kerasbert import features as keys
from kerasbert.errors import InputError
from kerasbert.training.global_batch import ExactModel, FunctionLoss
from kerasbert.training.strategies import sharded

# Put before the names of features that only the teacher reads.
_TEACHERS = "teacher_"
_PADDING = -1e9

# === Losses: teacher's and student's, (..., n) -> (...) ===


def soft_cross_entropy(teacher, student, temperature: float):
    """Cross-entropy of two softmaxes of logits divided by `temperature`, times its square.

    Hinton et al., §2 and §2.1; DistilBERT, §2. The square keeps the gradient's size.
    """
    soft = ops.softmax(teacher / temperature)
    loss = keras.losses.categorical_crossentropy(soft, student / temperature, from_logits=True)
    return temperature**2 * loss


def soft_binary_cross_entropy(teacher, student, temperature: float):
    """The same with a sigmoid for each logit; the mean over them."""
    soft = ops.sigmoid(teacher / temperature)
    loss = keras.losses.binary_crossentropy(soft, student / temperature, from_logits=True)
    return temperature**2 * loss


def squared_distance(teacher, student):
    """Of two vectors (Reimers and Gurevych 2020, eq. 1)."""
    return ops.sum(ops.square(teacher - student), axis=-1)


def cosine_distance(teacher, student):
    """One less the cosine of two vectors (DistilBERT, §3)."""
    return 1 + keras.losses.cosine_similarity(teacher, student)


def attention_distance(teacher, student):
    """Squared distance of what a token attends to, (..., heads, tokens, tokens) -> (..., tokens).

    TinyBERT, eq. 7, on probabilities and with the sum over a row in place of its mean, so that it
    does not depend on padding; the mean over heads.
    """
    return ops.mean(squared_distance(teacher, student), axis=-2)


def attention_divergence(teacher, student):
    """Kullback-Leibler divergence of what a token attends to; shapes as in `attention_distance`.

    MobileBERT, §3.3, attention transfer.
    """
    return ops.mean(keras.losses.kl_divergence(teacher, student), axis=-2)


# By what a task's outputs are, see `Task.outputs_are`.
_SOFT = {
    "classes": soft_cross_entropy,
    "tokens": soft_cross_entropy,
    "labels": soft_binary_cross_entropy,
    "numbers": lambda teacher, student, temperature: keras.losses.mean_squared_error(
        teacher, student
    ),
    "vector": lambda teacher, student, temperature: squared_distance(teacher, student),
}
HIDDEN = {"mse": keras.losses.mean_squared_error, "cosine": cosine_distance}
ATTENTION = {"mse": attention_distance, "kl": attention_divergence}


# === The public functions ===


def distil(
    teacher,
    student,
    x,
    y=None,
    *,
    temperature: float = 2.0,
    alpha: float | None = None,
    hidden: str | None = None,
    attention: str | None = None,
    layer_map: Mapping[int, int] | None = None,
    hidden_weight: float = 1.0,
    attention_weight: float = 1.0,
    optimizer=None,
    accumulation_steps: int = 1,
    **fit,
) -> keras.callbacks.History:
    """Trains a task to answer as another one does; see `Distiller`.

    The teacher stays as it is. The student is compiled afterwards, with what its `compile` has for
    defaults.

    Args:
        teacher: a trained task.
        student: a task of the same class, whose outputs mean the same; of any family and size.
        x: what the student's `fit` takes.
        y: labels, or None.
        temperature: see `Distiller`.
        alpha: see `Distiller`; None: 0.5 if `x` comes with labels, otherwise 1.
        hidden: see `Distiller`.
        attention: see `Distiller`.
        layer_map: see `Distiller`.
        hidden_weight: see `Distiller`.
        attention_weight: see `Distiller`.
        optimizer: Keras's; None: the student's default.
        accumulation_steps: see `ExactModel.compile`.
        **fit: other arguments of `fit`, such as `epochs`, `batch_size`, `validation_data`.

    Returns:
        What `fit` returns: the losses and metrics of every epoch.

    Raises:
        InputError: the two don't go together; the message says why.
    """
    if alpha is None:
        alpha = 0.5 if _has_labels(x, y) else 1.0
    with student.distribute_strategy.scope():
        distiller = Distiller(
            teacher,
            student,
            temperature=temperature,
            alpha=alpha,
            hidden=hidden,
            attention=attention,
            layer_map=layer_map,
            hidden_weight=hidden_weight,
            attention_weight=attention_weight,
        )
        distiller.compile(optimizer, accumulation_steps=accumulation_steps)
    try:
        return distiller.fit(x, y, **fit)
    finally:
        with student.distribute_strategy.scope():
            student.compile()


def student_from(
    teacher,
    num_layers: int,
    *,
    dtype=None,
    sequence_length: int | None = None,
    head: Mapping[str, Any] | None = None,
    **facts: Any,
):
    """A shallower copy of an encoder or a task, with evenly spaced layers of the teacher.

    DistilBERT, §3 ("Student initialization"); of 12 layers 6 are 0, 2, 4, 7, 9 and 11, those that
    its authors took (`extract_distilbert.py` in transformers' research projects). Embeddings,
    pooler and head are copied. Layers that share weights all stay: there are fewer passes then.

    Args:
        teacher: a `Backbone` or a task.
        num_layers: how many the copy has; from 1 to the teacher's.
        dtype: a Keras dtype policy for computing; None: the teacher's.
        sequence_length: of a task; None: the teacher's.
        head: arguments of a task that are not the teacher's, such as `{"dropout": 0.0}`.
        **facts: facts of `BackboneConfig` that are not the teacher's and that no weight depends
            on, such as `dropout=0.0`.

    Returns:
        What `teacher` is, smaller.

    Raises:
        InputError: there are not so many layers, or fewer than groups of shared ones.
    """
    backbone = getattr(teacher, "backbone", teacher)
    config = backbone.config
    least = config.num_groups or 1
    if not least <= num_layers <= config.num_layers:
        raise InputError(
            f"num_layers must be in [{least}, {config.num_layers}], found {num_layers}"
        )
    small = dataclasses.replace(config, num_layers=num_layers, **facts)
    policy = dtype or backbone.embeddings.dtype_policy
    student = type(backbone)(small, dtype=policy, name=backbone.name)
    if teacher is not backbone:
        student = type(teacher)(
            student,
            tokenizer=teacher.tokenizer,
            sequence_length=sequence_length or teacher.sequence_length,
            name=teacher.name,
            **{**teacher.head_config(), **(head or {})},
        )
    layers = _origins(config, num_layers)
    weights = {variable.path: variable for variable in teacher.weights}
    for variable in student.weights:
        top, _, rest = variable.path.partition("/")
        variable.assign(weights[f"{layers.get(top, top)}/{rest}"])
    return student


def _origins(config, num_layers: int) -> dict[str, str]:
    """The teacher's layer for each of the student's, by name."""
    if config.num_groups:
        return {}
    size = config.layers_per_group
    passes = np.round(np.linspace(0, config.num_layers - 1, num_layers)).astype(int)
    return {
        f"layer_{place * size + inner}": f"layer_{taken * size + inner}"
        for place, taken in enumerate(passes)
        for inner in range(size)
    }


# === Training ===


class Distiller(ExactModel):
    """A student that is trained beside its teacher; `compile` and `fit` are Keras's.

    The loss is the sum of

    - `1 - alpha` times the student's own loss on the labels, if `alpha` is below 1;
    - `alpha` times the distance of both models' outputs: `soft_cross_entropy` of classes, of starts
      and ends of answers and of masked tokens, `soft_binary_cross_entropy` of several labels, mean
      squared error of numbers, `squared_distance` of embeddings;
    - `hidden_weight` times the distance of hidden states, for every pair of layers. Where widths
      differ, a linear layer projects the student's; it is trained too, and gone afterwards
      (TinyBERT, eq. 8; one for all layers, as in its authors' code);
    - `attention_weight` times the distance of attention probabilities, for every pair of layers.
      Where the models differ in heads, the means over their heads are compared.

    Each is a mean over examples or over the real tokens of the global batch, with their weights.
    The teacher sees each batch without dropout; it is no part of this model's variables. The
    metrics are the student's (`logits_accuracy`, say, if labels are looked at), every loss by its
    name (`soft_logits_loss`, `hidden_1_loss`, `attention_1_loss`), and of classes the share in
    which both models agree, `soft_logits_agreement`.

    Teacher and student get the same features if they read text the same way. If they do not, each
    reads the text itself, as long as there is one output for a whole text and no layer is compared.

    Under `tf.distribute`, make it in the strategy's scope, as both models.

    Args:
        teacher: a trained task.
        student: a task of the same class, whose outputs mean the same.
        temperature: what logits are divided by.
        alpha: the teacher's share in what outputs learn from, in [0, 1]; 1: no labels are needed.
        hidden: how hidden states are compared: "mse" (TinyBERT, eq. 8) or "cosine" (DistilBERT,
            §3); None: they are not.
        attention: how attention is compared: "mse" (TinyBERT, eq. 7) or "kl" (MobileBERT, §3.3);
            None: it is not.
        layer_map: the teacher's layer for those of the student's that are compared; 0 the
            embeddings, 1 the first layer's output, and so on; None: all, evenly spaced.
        hidden_weight: see above.
        attention_weight: see above.

    Raises:
        InputError: the two don't go together, or an argument that can't be.
    """

    def __init__(
        self,
        teacher,
        student,
        *,
        temperature: float = 2.0,
        alpha: float = 0.5,
        hidden: str | None = None,
        attention: str | None = None,
        layer_map: Mapping[int, int] | None = None,
        hidden_weight: float = 1.0,
        attention_weight: float = 1.0,
    ):
        _check_numbers(temperature, alpha, hidden_weight, attention_weight)
        _check_kinds(hidden, attention)
        _check_pair(teacher, student)
        states = bool(hidden or attention)
        own_text = _reads_own_text(teacher, student, states)
        if attention == "kl" and student.backbone.config.attention_dropout:
            raise InputError(
                "attention='kl' compares probabilities, which dropout makes 0: give the student's "
                "backbone attention_dropout=0.0"
            )
        # A class whose base has been functional once can be nothing else in Keras.
        super().__init__(student.input, student.output, name=f"distil_{student.name}")

        # === Layers ===
        self.student = student
        widths = [task.backbone.config.hidden_dim for task in (teacher, student)]
        self.projection = None
        if hidden and widths[0] != widths[1]:
            self.projection = keras.layers.Dense(widths[0], dtype="float32", name="projection")
            self.projection.build((None, widths[1]))

        # === Functions ===
        layer_map = _layer_map(teacher, student, layer_map)
        # What is set past Keras is neither trained nor stored.
        object.__setattr__(self, "teacher", teacher)
        self._watch_teacher = _watcher(teacher, layer_map.values(), hidden, attention)
        self._watch_student = _watcher(student, layer_map, hidden, attention)

        # === Config ===
        #: Whether the teacher makes its features of text itself; otherwise it gets the student's.
        self.own_text = own_text
        self.temperature = temperature
        self.alpha = alpha
        self.hidden = hidden
        self.attention = attention
        self.layer_map = layer_map
        self.hidden_weight = hidden_weight
        self.attention_weight = attention_weight
        heads = {task.backbone.config.num_heads for task in (teacher, student)}
        self._mean_of_heads = len(heads) > 1

    # === What recipes ask of a task ===

    @property
    def backbone(self):
        """The student's."""
        return self.student.backbone

    @property
    def trainable_variables(self):
        """The student's, and the projection's."""
        return self.student.trainable_variables + self._projections()

    @property
    def trainable_weights(self):
        """The student's, and the projection's."""
        return self.student.trainable_weights + self._projections()

    def _projections(self) -> list:
        return self.projection.trainable_variables if self.projection else []

    def freeze(self, layers: int = 0, names: Sequence[str] = ()) -> list[str]:
        """As in `Task`, of the student."""
        return self.student.freeze(layers, names)

    def save_to_preset(self, *args, **kwargs) -> dict[str, str]:
        """Writes the student, as in `Task`; nothing else is worth keeping."""
        return self.student.save_to_preset(*args, **kwargs)

    # === Compile ===

    def compile(self, optimizer=None, **kwargs):
        """Compiles the student, and adds the teacher's losses to its own.

        Args:
            optimizer: Keras's; None: the student's default.
            **kwargs: of the student's `compile`.
        """
        student = self.student
        student.compile(optimizer, **kwargs)
        own = _named(student.loss)
        losses, weights, metrics = {}, {}, {"metrics": {}, "weighted_metrics": {}}
        if self.alpha < 1:
            losses, weights = dict(own), dict.fromkeys(own, 1 - self.alpha)
            metrics = {kind: _named(_given(student, kind)) for kind in metrics}
        soft = functools.partial(_SOFT[student.outputs_are], temperature=self.temperature)
        for name, loss in own.items():
            losses[f"soft_{name}"] = FunctionLoss(soft, reduction=loss.reduction)
            weights[f"soft_{name}"] = self.alpha
            if student.outputs_are in ("classes", "tokens"):
                agreement = keras.metrics.CategoricalAccuracy(name="agreement")
                metrics["weighted_metrics"][f"soft_{name}"] = [agreement]
        for layer in self.layer_map:
            for name, (loss, weight) in self._layer_losses(layer).items():
                losses[name] = FunctionLoss(loss, reduction="mean_with_sample_weight")
                weights[name] = weight
        super().compile(
            student.optimizer,
            losses,
            loss_weights=weights,
            accumulation_steps=student.accumulation_steps,
            steps_per_execution=student.steps_per_execution,
            jit_compile=student.jit_compile,
            run_eagerly=student.run_eagerly,
            **metrics,
        )

    def _layer_losses(self, layer: int) -> dict[str, tuple[Callable, float]]:
        losses = {}
        if self.hidden:
            losses[f"hidden_{layer}"] = (HIDDEN[self.hidden], self.hidden_weight)
        if self.attention and layer > 0:
            losses[f"attention_{layer}"] = (ATTENTION[self.attention], self.attention_weight)
        return losses

    # === One batch ===

    #: Features may be of several texts an example, and the teacher's may be among them.
    input_spec = None

    def call(self, features, training=None):
        """What the student makes of features, by the names of the losses."""
        own = {k: v for k, v in features.items() if not k.startswith(_TEACHERS)}
        outputs, hidden, attention = self._watch_student(own, training)
        if self.projection:
            hidden = [self.projection(state) for state in hidden]
        hard = outputs if self.alpha < 1 else {}
        return {**hard, **self._compared(own, outputs, hidden, attention)}

    def _compared(self, features: dict, outputs: dict, hidden: list, attention: list) -> dict:
        """What teacher and student both have, by the names of the losses."""
        if self.student.outputs_are == "tokens":
            real = ops.cast(features[keys.PADDING_MASK], "bool")
            outputs = {name: ops.where(real, row, _PADDING) for name, row in outputs.items()}
        if self._mean_of_heads:
            attention = [ops.mean(each, axis=-3, keepdims=True) for each in attention]
        layers = [layer for layer in self.layer_map if layer > 0]
        return {
            **{f"soft_{name}": row for name, row in outputs.items()},
            **{f"hidden_{i}": x for i, x in zip(self.layer_map, hidden, strict=bool(hidden))},
            **{f"attention_{i}": x for i, x in zip(layers, attention, strict=bool(attention))},
        }

    def _with_targets(self, data) -> tuple:
        """A batch with the teacher's part: `(features, targets, weights)`, by names of losses."""
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        x = keys.with_defaults(x)
        if self.alpha < 1 and y is None:
            raise InputError(
                "there are no labels to learn from beside the teacher: alpha must be 1"
            )
        theirs = {
            name.removeprefix(_TEACHERS): value
            for name, value in x.items()
            if name.startswith(_TEACHERS)
        }
        if self.own_text and not theirs and not _same_tokens(self.teacher, self.student):
            raise InputError(
                "teacher and student have different tokenizers, so they need text, not features"
            )
        targets = self._compared(x, *self._watch_teacher(theirs or x, False))
        soft = [name.removeprefix("soft_") for name in targets if name.startswith("soft_")]
        given = sample_weight if isinstance(sample_weight, dict) else {}
        given = {name: given.get(name, sample_weight) for name in soft}
        weights = {}
        for name, target in targets.items():
            kind, _, of = name.partition("_")
            if kind == "soft":
                shape, mask = ops.shape(target)[:-1], self._places(x)
                weights[name] = _weights(given[of], shape, mask)
            else:
                mask = x[keys.PADDING_MASK]
                weights[name] = _weights(_of_examples(sample_weight), ops.shape(mask), mask)
        if self.alpha < 1:
            labels = _named(y)
            first = ops.shape(x[keys.TOKEN_IDS])[:1]
            ones = ops.ones(first)
            targets |= {name: labels[name] for name in soft}
            weights |= {name: ones if given[name] is None else given[name] for name in soft}
        return x, targets, weights

    def _places(self, features: dict):
        """Which of the places that outputs are for are real, or None."""
        if self.student.outputs_for is None:
            return None
        return ops.cast(features[self.student.outputs_for] > 0, "float32")

    def train_step(self, data):
        """Keras's, with the teacher's part."""
        return super().train_step(self._with_targets(data))

    def test_step(self, data):
        """Keras's, with the teacher's part."""
        return super().test_step(self._with_targets(data))

    def _symbolic_build(self, iterator=None, data_batch=None):
        super()._symbolic_build(data_batch=self._with_targets(data_batch))

    # === Text ===

    def fit(self, x=None, y=None, batch_size=None, *, sample_weight=None, shuffle=True, **kwargs):
        """Keras's `fit`, on all that the student's `fit` takes.

        Args:
            x: features or text.
            y: labels, or None.
            batch_size: examples a step; None: 32.
            sample_weight: weights, or None.
            shuffle: whether every epoch has an order of its own; a dataset keeps its own.
            **kwargs: Keras's; `validation_data` may be text too.
        """
        if keys.is_text(x):
            size = batch_size or 32
            if hasattr(x, "element_spec") or not shuffle:
                x = self._examples(x, y, sample_weight, size)
            else:
                rows = self.student.rows(x, y, sample_weight)
                kwargs.setdefault("steps_per_epoch", -(-len(rows) // size))
                seed = int(keras.random.randint((), 0, 2**31 - 1))
                x = sharded(self.training_batches(rows, batch_size=size, seed=seed))
            y = sample_weight = batch_size = None
        validation = kwargs.get("validation_data")
        parts = validation if isinstance(validation, tuple | list) else (validation,)
        if keys.is_text(parts[0]):
            size = kwargs.pop("validation_batch_size", None)
            kwargs["validation_data"] = self._examples(*parts, batch_size=size)
        # Keras warns when it is told to shuffle a dataset.
        shuffle = shuffle and not hasattr(x, "element_spec")
        return super().fit(x, y, batch_size, sample_weight=sample_weight, shuffle=shuffle, **kwargs)

    def evaluate(self, x=None, y=None, batch_size=None, *, sample_weight=None, **kwargs):
        """Keras's `evaluate`, of what is trained: losses and metrics, the teacher's among them."""
        if keys.is_text(x):
            x = self._examples(x, y, sample_weight, batch_size)
            y = sample_weight = batch_size = None
        return super().evaluate(x, y, batch_size, sample_weight=sample_weight, **kwargs)

    def training_batches(self, x, y=None, sample_weight=None, **kwargs):
        """As in `Task`, with the teacher's features if it has its own."""
        return self._batches("training_batches", x, y, sample_weight, **kwargs)

    def _examples(self, x, y=None, sample_weight=None, batch_size=None):
        if hasattr(x, "element_spec") and self.own_text:
            raise InputError(
                "teacher and student read text each in its own way, for which it has to be lists "
                "or arrays, no tf.data.Dataset"
            )
        return self._batches("_examples", x, y, sample_weight, batch_size=batch_size)

    def _batches(self, method: str, *args, **kwargs):
        batches = getattr(self.student, method)(*args, **kwargs)
        if not self.own_text:
            return batches
        import tensorflow as tf

        def join(own, theirs):
            features, *rest = own if isinstance(own, tuple) else (own,)
            theirs = theirs[0] if isinstance(theirs, tuple) else theirs
            named = {f"{_TEACHERS}{name}": value for name, value in theirs.items()}
            return ({**features, **named}, *rest)

        # Both are the same function of the same rows, so they come in the same order.
        theirs = getattr(self.teacher, method)(*args, **kwargs)
        return sharded(tf.data.Dataset.zip(batches, theirs).map(join))


# === Inside a task ===


def _watcher(task, layers, hidden: str | None, attention: str | None) -> Callable:
    """A function of features and whether it is training to what can be learned from.

    It gives the task's outputs by name, hidden states `(*mask, width)` and attention probabilities
    `(*mask[:-1], heads, tokens, tokens)` of the layers, float32; `mask` is the shape of the
    features. Layer 0 has no attention.
    """
    if not (hidden or attention):
        return lambda features, training: (_named(task(features, training=training)), [], [])
    model, layers = with_states(task), list(layers)
    rank = len(task.inputs[0].shape)

    def watch(features, training):
        shape = ops.shape(features[keys.PADDING_MASK])
        rows = {name: features[name] for name in model.input}
        several = len(shape) > rank  # texts an example
        if several:
            rows = {name: ops.reshape(x, (-1, *ops.shape(x)[2:])) for name, x in rows.items()}
        found = model(rows, training=training)

        def shaped(x, *rest):
            return ops.cast(ops.reshape(x, (*shape[:-1], *rest)), "float32")

        outputs = _named(found["outputs"])
        if several:
            outputs = {name: shaped(x, x.shape[-1]) for name, x in outputs.items()}
        states, weights = found[keys.HIDDEN_STATES], found[keys.ATTENTION_WEIGHTS]
        tokens = shape[-1]
        return (
            outputs,
            [shaped(states[i], tokens, states[i].shape[-1]) for i in layers if hidden],
            [
                shaped(weights[i - 1], weights[i - 1].shape[1], tokens, tokens)
                for i in layers
                if attention and i > 0
            ],
        )

    return watch


def with_states(task) -> keras.Model:
    """The same layers, weights and all, as a model that gives more.

    Args:
        task: a task; nothing about it changes.

    Returns:
        A functional model from the task's features to `outputs`, what the task gives, and its
        encoder's `hidden_states` and `attention_weights` (see `Backbone`).
    """
    backbone = task.backbone
    encoder = backbone if backbone.config.return_hidden_states else _encoder_with_states(backbone)
    found = {}

    def call(layer, *args, **kwargs):
        if layer is not backbone:
            return layer(*args, **kwargs)
        found.update(encoder(*args, **kwargs))
        return {name: found[name] for name in backbone.output}

    again = _called_again(task, call)
    more = {name: found[name] for name in (keys.HIDDEN_STATES, keys.ATTENTION_WEIGHTS)}
    return keras.Model(again.input, {"outputs": again.output, **more})


def _encoder_with_states(backbone) -> keras.Model:
    # A layer of its own for each block: Keras expects all calls of a layer to give as many outputs.
    blocks = {id(block): _WithWeights(block) for block in backbone.blocks}
    states, attention = [], []

    def call(layer, *args, **kwargs):
        if id(layer) not in blocks:
            return layer(*args, **kwargs)
        if not states:
            states.append(args[0])
        x, weights = blocks[id(layer)](*args, **kwargs)
        states.append(x)
        attention.append(weights)
        return x

    again = _called_again(backbone, call)
    more = {keys.HIDDEN_STATES: states, keys.ATTENTION_WEIGHTS: attention}
    return keras.Model(again.input, {**again.output, **more})


def _called_again(model: keras.Model, call: Callable) -> keras.Model:
    """A functional model of the same layers, each called by `call(layer, *args, **kwargs)`."""
    # A model that is not compiled, since Keras compiles clones of those that are.
    plain = keras.Model(model.input, model.output)
    return keras.models.clone_model(plain, clone_function=lambda layer: layer, call_function=call)


class _WithWeights(keras.layers.Layer):
    """A transformer block that gives its attention probabilities too."""

    def __init__(self, block):
        super().__init__(dtype=block.dtype_policy, name=f"{block.name}_with_weights")
        self.block = block
        self.built = True

    def call(self, x, padding_mask=None, training=None):
        return self.block(x, padding_mask, training=training, return_weights=True)

    def compute_output_spec(self, x, padding_mask=None, training=None):
        return self.block.compute_output_spec(x, padding_mask, return_weights=True)


def _given(model: keras.Model, kind: str):
    """The metrics that a model was compiled with."""
    return (model._compile_metrics and getattr(model._compile_metrics, f"_user_{kind}")) or {}


def _named(outputs) -> dict:
    """A task's outputs, losses, labels or the like by name."""
    return dict(outputs) if isinstance(outputs, dict) else {"logits": outputs}


# === Weights ===


def _of_examples(sample_weight):
    """Weights (batch,) of whole examples, or None: those of single tokens say nothing of layers."""
    whole = not isinstance(sample_weight, dict | None) and len(sample_weight.shape) == 1
    return sample_weight if whole else None


def _weights(given, shape: tuple, mask):
    """Weights of a shape: those that are given, and 0 where there is padding.

    Args:
        given: of the same shape, or of its first dimensions; None: ones.
        shape: of the losses.
        mask: 1 on what is real, of the same shape; otherwise it is about something else.
    """
    weights = ops.ones(shape) if given is None else ops.cast(given, "float32")
    weights = ops.reshape(weights, (*ops.shape(weights), *[1] * (len(shape) - len(weights.shape))))
    if mask is not None and len(mask.shape) == len(shape):
        weights = weights * ops.cast(mask, "float32")
    return ops.broadcast_to(weights, shape)


# === What goes together ===


def _has_labels(x, y) -> bool:
    spec = getattr(x, "element_spec", None)
    return y is not None or (isinstance(spec, tuple) and len(spec) > 1 and not keys.is_pair(x))


def _check_numbers(temperature, alpha, hidden_weight, attention_weight) -> None:
    if not temperature > 0:
        raise InputError(f"temperature must be over 0, found {temperature}")
    if not 0 <= alpha <= 1:
        raise InputError(f"alpha must be in [0, 1], found {alpha}")
    for name, value in (("hidden_weight", hidden_weight), ("attention_weight", attention_weight)):
        if not value >= 0:
            raise InputError(f"{name} must be 0 or more, found {value}")


def _check_kinds(hidden: str | None, attention: str | None) -> None:
    for name, value, known in (("hidden", hidden, HIDDEN), ("attention", attention, ATTENTION)):
        if value is not None and value not in known:
            raise InputError(f"{name} must be one of {', '.join(known)}, found {value!r}")


def _check_pair(teacher, student) -> None:
    kinds = [type(task).__name__ for task in (teacher, student)]
    if kinds[0] != kinds[1]:
        raise InputError(f"a {kinds[0]} can't teach a {kinds[1]}; both must be the same task")
    if student.outputs_are not in _SOFT:
        raise InputError(f"a {kinds[1]} has nothing to learn from a teacher's outputs")
    if teacher is student:
        raise InputError("teacher and student are one and the same")
    for fact in ("problem_type", "classes", "embedding_dim"):
        found = [getattr(task, fact, None) for task in (teacher, student)]
        if found[0] != found[1]:
            raise InputError(
                f"the teacher's {fact} is {_short(found[0])}, the student's {_short(found[1])}; "
                "they must be the same"
            )


def _short(value) -> str:
    if not isinstance(value, list):
        return repr(value)
    return f"{', '.join(value[:5])}{', ...' if len(value) > 5 else ''} ({len(value)})"


def _reads_own_text(teacher, student, states: bool) -> bool:
    """Whether the teacher makes its features of text itself; otherwise it gets the student's."""
    same_tokens = _same_tokens(teacher, student)
    if same_tokens and _reading(teacher) == _reading(student):
        return False
    by_token = student.outputs_for is not None or student.outputs_are == "tokens"
    if not (by_token or states):
        return True
    why = (
        f"a {type(student).__name__} answers for each token"
        if by_token
        else "hidden states and attention are compared token by token"
    )
    if not same_tokens:
        raise InputError(f"{why}, so teacher and student need the same tokenizer")
    if len(teacher.inputs[0].shape) != len(student.inputs[0].shape):
        raise InputError(f"{why}, so teacher and student need the same long_text")
    limit = teacher.backbone.config.max_sequence_length
    if student.sequence_length > limit:
        raise InputError(
            f"{why}, and the teacher reads {limit} of them; give the student a sequence_length of "
            f"{limit} or less"
        )
    return False


def _reading(task) -> tuple:
    """All but the tokenizer that decides what features a task makes of text."""
    settings = ("long_text", "max_chunks", "chunk_overlap")
    return task.sequence_length, *(getattr(task, setting, None) for setting in settings)


def _same_tokens(teacher, student) -> bool:
    """Whether the same ids mean the same; without tokenizers, the number of ids tells."""
    sizes = {task.backbone.config.vocabulary_size for task in (teacher, student)}
    tokenizers = [task.tokenizer for task in (teacher, student)]
    if len(sizes) > 1 or None in tokenizers:
        return len(sizes) == 1
    one, other = tokenizers
    return one is other or (
        one.get_config() == other.get_config() and one.assets() == other.assets()
    )


def _layer_map(teacher, student, given: Mapping[int, int] | None) -> dict[int, int]:
    """The teacher's layer for each of the student's."""
    theirs, own = (len(task.backbone.config.layer_order) for task in (teacher, student))
    if given is None:
        return {layer: round(layer * theirs / own) for layer in range(own + 1)}
    for layer, taught_by in given.items():
        if not (0 <= layer <= own and 0 <= taught_by <= theirs):
            raise InputError(
                f"layer_map: the student has layers 0 to {own}, the teacher 0 to {theirs}, found "
                f"{layer}: {taught_by}"
            )
    return dict(sorted(given.items()))
