"""The model that trains a student with its teacher."""

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
from keras import ops

from kerasbert import _compat
from kerasbert.checkpoints import SavedWeights
from kerasbert.data.inputs import has_own_order, is_stream
from kerasbert.distillation import pairs
from kerasbert.distillation.losses import ATTENTION, HIDDEN, SOFT
from kerasbert.distillation.states import named, watcher
from kerasbert.distillation.text import TwoPreprocessors
from kerasbert.distillation.weights import of_examples, weights_of
from kerasbert.errors import InputError
from kerasbert.features import PADDING_MASK, TOKEN_IDS, is_text, unpacked, with_defaults
from kerasbert.layers.choices import NEVER
from kerasbert.tasks.streams import peek
from kerasbert.training.exact_model import ExactModel
from kerasbert.training.global_loss import FunctionLoss
from kerasbert.training.steps import ON_TENSORFLOW

# Prefix of the names of features that only the teacher reads.
_TEACHERS = "teacher_"


class Distiller(ExactModel):
    """Trains a student with its teacher; `compile` and `fit` are as in Keras.

    The loss is the sum of

    - `1 - alpha` times the student's own loss on the labels, if `alpha` is below 1;
    - `alpha` times the distance between both models' outputs: `soft_cross_entropy` for classes,
      answer starts and ends, and masked tokens; `soft_binary_cross_entropy` for several labels;
      mean squared error for numbers; `squared_distance` for embeddings;
    - `hidden_weight` times the distance between hidden states, for each pair of layers. If widths
      differ, the student's states are projected by a linear layer that is trained as well and
      discarded afterwards (TinyBERT, eq. 8; a single one for all layers, as in its authors' code);
    - `attention_weight` times the distance between attention probabilities, for each pair of
      layers. If the numbers of heads differ, means over heads are compared.

    Each is a weighted mean over the examples or the unpadded tokens of the global batch. The
    teacher runs without dropout, and its variables are not part of this model. The metrics are the
    student's (such as `logits_accuracy`, if labels are used), each loss by name
    (`soft_logits_loss`, `hidden_1_loss`, `attention_1_loss`), and for classes the share in which
    the two models agree, `soft_logits_agreement`.

    Teacher and student get the same features if their preprocessing is the same. Otherwise each
    has its own, which is possible if there is one output per text and no layers are compared.

    Under `tf.distribute`, create it in the strategy's scope, like both models.

    Examples:
        The weights of this teacher are random; take a trained task. `distill` does the same in one
        call.

        >>> import kerasbert
        >>> words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "dull", "fine", "day"]
        >>> tokenizer = kerasbert.text.WordPieceTokenizer(words)
        >>> config = kerasbert.BackboneConfig.from_preset("bert_tiny", vocabulary_size=len(words))
        >>> teacher = kerasbert.TextClassifier(
        ...     kerasbert.Backbone(config), ["bad", "good"], tokenizer=tokenizer
        ... )
        >>> student = kerasbert.distillation.student_from(teacher, num_layers=1)
        >>> distiller = kerasbert.distillation.Distiller(teacher, student, hidden="mse")
        >>> distiller.compile(kerasbert.training.adamw(1e-4))
        >>> texts, labels = ["a fine day", "a dull day"], ["good", "bad"]
        >>> history = distiller.fit(texts, labels, epochs=2, verbose=0)
        >>> names = distiller.save_to_preset("student")

    Args:
        teacher: a trained task.
        student: a task of the same class with equivalent outputs.
        temperature: divisor of the logits.
        alpha: weight of the teacher's outputs against the labels, in [0, 1]; 1: no labels needed.
        hidden: distance of hidden states, "mse" (TinyBERT, eq. 8) or "cosine" (DistilBERT, §3);
            None: not compared.
        attention: distance of attention, "mse" (TinyBERT, eq. 7) or "kl" (MobileBERT, §3.3); None:
            not compared.
        layer_map: from a student's layer to the teacher's layer it is compared with; 0 are the
            embeddings, 1 the first layer's output. None: all layers, evenly spaced.
        hidden_weight: loss weight of hidden states, per layer.
        attention_weight: loss weight of attention, per layer.

    Raises:
        InputError: teacher and student do not match, or an argument is out of range.
    """

    def __init__(
        self,
        teacher: Any,
        student: Any,
        *,
        temperature: float = 2.0,
        alpha: float = 0.5,
        hidden: str | None = None,
        attention: str | None = None,
        layer_map: Mapping[int, int] | None = None,
        hidden_weight: float = 1.0,
        attention_weight: float = 1.0,
    ):
        pairs.check_numbers(temperature, alpha, hidden_weight, attention_weight)
        pairs.check(teacher, student, hidden, attention)
        states = bool(hidden or attention)
        own_text = pairs.reads_own_text(teacher, student, states)
        teacher.warn_of_random_weights("what it teaches depends")
        # Keras requires a functional model: a base class of this one has been functional before.
        super().__init__(student.input, student.output, name=f"distil_{student.name}")

        # === Layers ===
        self.student = student
        widths = [task.backbone.config.hidden_dim for task in (teacher, student)]
        self.projection = None
        if hidden and widths[0] != widths[1]:
            self.projection = keras.layers.Dense(widths[0], dtype="float32", name="projection")
            self.projection.build((None, widths[1]))

        # === Functions ===
        layer_map = pairs.layer_map(teacher, student, layer_map)
        # Bypasses Keras's attribute tracking, so that the teacher is neither trained nor saved.
        object.__setattr__(self, "teacher", teacher)
        self._watch_teacher = watcher(teacher, layer_map.values(), hidden, attention)
        self._watch_student = watcher(student, layer_map, hidden, attention)

        # === Config ===
        #: Whether the teacher preprocesses text itself; otherwise it gets the student's features.
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

    # === The interface of a task, for recipes ===

    @property
    def backbone(self) -> Any:
        """The student's backbone."""
        return self.student.backbone

    @property
    def trainable_variables(self) -> Any:
        """The variables of the student and the projection."""
        return self.student.trainable_variables + self._projections()

    @property
    def trainable_weights(self) -> Any:
        """The weights of the student and the projection."""
        return self.student.trainable_weights + self._projections()

    @property
    def non_trainable_variables(self) -> Any:
        """The student's other variables; on JAX, where they are a step's inputs, the teacher's."""
        variables = super().non_trainable_variables
        return variables if ON_TENSORFLOW else variables + self.teacher.variables

    def _projections(self) -> list:
        return self.projection.trainable_variables if self.projection else []

    def freeze(self, layers: int = 0, names: Sequence[str] = ()) -> list[str]:
        """Freezes weights of the student, as `Task.freeze` does.

        Args:
            layers: as in `Task.freeze`.
            names: as in `Task.freeze`.

        Returns:
            The paths of all frozen weights.

        Examples:
            >>> distiller.freeze(names=["embeddings"])[0]
            'embeddings/token_embedding/embeddings'
            >>> student.trainable = True  # trains all of them again
        """
        return self.student.freeze(layers, names)

    def save_to_preset(self, *args: Any, **kwargs: Any) -> SavedWeights:
        """Writes the student, as `Task.save_to_preset` does.

        Args:
            *args: as in `Task.save_to_preset`.
            **kwargs: as in `Task.save_to_preset`.

        Returns:
            A dict from the path of each weight to its name in the file.
        """
        return self.student.save_to_preset(*args, **kwargs)

    def card_text(self, *args: Any, **kwargs: Any) -> str:
        """Returns the model card of the student, as `Task.card_text` does.

        Args:
            *args: as in `Task.card_text`.
            **kwargs: as in `Task.card_text`.
        """
        return self.student.card_text(*args, **kwargs)

    # === Compile ===

    def compile(self, optimizer: Any = None, **kwargs: Any) -> None:
        """Compiles the student, and adds the teacher's losses.

        Args:
            optimizer: a Keras optimizer; None: the student's default.
            **kwargs: as in the student's `compile`.
        """
        student = self.student
        student.compile(optimizer, **kwargs)
        own = named(student.loss)
        losses, weights, metrics = {}, {}, {"metrics": {}, "weighted_metrics": {}}
        if self.alpha < 1:
            losses, weights = dict(own), dict.fromkeys(own, 1 - self.alpha)
            metrics = {kind: named(_compat.given_metrics(student, kind) or {}) for kind in metrics}
        soft = functools.partial(SOFT[student.outputs_are], temperature=self.temperature)
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

    #: None, because features may be of several texts per example, and include the teacher's.
    input_spec = None

    def call(self, features: Any, training: bool | None = None) -> Any:
        """Returns the student's outputs and states, by the names of the losses.

        Args:
            features: dict of features.
            training: as in Keras.
        """
        own = {k: v for k, v in features.items() if not k.startswith(_TEACHERS)}
        outputs, hidden, attention = self._watch_student(own, training)
        if self.projection:
            hidden = [self.projection(state) for state in hidden]
        hard = outputs if self.alpha < 1 else {}
        return {**hard, **self._compared(own, outputs, hidden, attention)}

    def _compared(self, features: dict, outputs: dict, hidden: list, attention: list) -> dict:
        """Returns what is compared between teacher and student, by the names of the losses."""
        if self.student.outputs_are == "tokens":
            is_token = ops.cast(features[PADDING_MASK], "bool")
            outputs = {name: ops.where(is_token, row, NEVER) for name, row in outputs.items()}
        if self._mean_of_heads:
            attention = [ops.mean(each, axis=-3, keepdims=True) for each in attention]
        layers = [layer for layer in self.layer_map if layer > 0]
        return {
            **{f"soft_{name}": row for name, row in outputs.items()},
            **{f"hidden_{i}": x for i, x in zip(self.layer_map, hidden, strict=bool(hidden))},
            **{f"attention_{i}": x for i, x in zip(layers, attention, strict=bool(attention))},
        }

    def step_data(self, data: Any) -> tuple[Any, ...]:
        """Adds the teacher's targets: `(features, targets, weights)`, by the names of losses.

        Args:
            data: a batch, as `fit` takes it.

        Raises:
            InputError: labels or texts are missing.
        """
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        x = with_defaults(x)
        if self.alpha < 1 and y is None:
            raise InputError("there are no labels, without which alpha must be 1")
        theirs = {
            name.removeprefix(_TEACHERS): value
            for name, value in x.items()
            if name.startswith(_TEACHERS)
        }
        if self.own_text and not theirs and not pairs.same_tokens(self.teacher, self.student):
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
                shape, mask = ops.shape(target)[:-1], self._output_mask(x)
                weights[name] = weights_of(given[of], shape, mask)
            else:
                mask = x[PADDING_MASK]
                weights[name] = weights_of(of_examples(sample_weight), ops.shape(mask), mask)
        if self.alpha < 1:
            labels = named(y)
            first = ops.shape(x[TOKEN_IDS])[:1]
            ones = ops.ones(first)
            targets |= {name: labels[name] for name in soft}
            weights |= {name: ones if given[name] is None else given[name] for name in soft}
        return x, targets, weights

    def _output_mask(self, features: dict):
        """Returns a mask of the positions that have outputs, or None for one output per text."""
        if self.student.outputs_for is None:
            return None
        return ops.cast(features[self.student.outputs_for] > 0, "float32")

    # === Text ===

    @property
    def preprocessor(self) -> Any:
        """The student's preprocessor, or both models' combined if they preprocess differently."""
        text = self.student.preprocessor
        if self.own_text:
            text = TwoPreprocessors(text, self.teacher.preprocessor, _TEACHERS)
        return text.with_few_lengths() if text and self.needs_few_shapes else text

    def fit(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        *,
        sample_weight: Any = None,
        shuffle: bool = True,
        **kwargs: Any,
    ) -> Any:
        """Trains as in Keras, on anything that the student's `fit` takes.

        Args:
            x: features or text.
            y: labels, or None.
            batch_size: examples per step; None: 32.
            sample_weight: weights, or None.
            shuffle: whether to reorder examples in every epoch; datasets keep their order.
            **kwargs: as in Keras; `validation_data` may be text.
        """
        if is_stream(x):
            x = self._stream(x, shuffle=shuffle, seed=self.updates)
        elif is_text(x):
            order = {"shuffle": shuffle, "seed": self.updates}
            x = self.preprocessor.batches(x, y, sample_weight, batch_size, **order)
            y = sample_weight = batch_size = None
        held_out, *labels = unpacked(kwargs.get("validation_data"), "validation_data")
        if is_stream(held_out):
            kwargs["validation_data"] = self._stream(held_out)
        elif is_text(held_out):
            size = kwargs.pop("validation_batch_size", None)
            kwargs["validation_data"] = self.preprocessor.batches(held_out, *labels, size)
        # Keras warns about shuffling these.
        shuffle = shuffle and not has_own_order(x)
        return super().fit(x, y, batch_size, sample_weight=sample_weight, shuffle=shuffle, **kwargs)

    def _stream(self, stream: Any, *, shuffle: bool = False, seed: int | None = None) -> Any:
        """Returns what Keras reads of a generator or `PyDataset`, whose batches may be text."""
        found = peek(stream)
        if not found.has_text:
            return found.stream
        if self.own_text:
            raise InputError(
                "teacher and student preprocess text differently, so it must be lists or arrays, "
                "not a generator or PyDataset"
            )
        return self.preprocessor.batches_of_stream(
            found.stream, found.first, shuffle=shuffle, seed=seed
        )[0]

    def evaluate(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        *,
        sample_weight: Any = None,
        **kwargs: Any,
    ) -> Any:
        """Evaluates as in Keras: losses and metrics, including the teacher's."""
        if is_stream(x):
            x = self._stream(x)
        elif is_text(x):
            x = self.preprocessor.batches(x, y, sample_weight, batch_size)
            y = sample_weight = batch_size = None
        return super().evaluate(x, y, batch_size, sample_weight=sample_weight, **kwargs)
