"""A text, or a pair of texts -> one of several classes."""

from collections.abc import Sequence

import keras

from kerasbert import features as keys
from kerasbert.backbone import Backbone, BackboneConfig, feature_inputs
from kerasbert.errors import InputError
from kerasbert.layers import Dropout
from kerasbert.layers.initializers import activation_function, kernel_initializer
from kerasbert.tasks.task import Task
from kerasbert.training.optimizers import adamw


@keras.saving.register_keras_serializable("kerasbert")
class TextClassifier(Task):
    """The first token, `[CLS]`, through dropout and a linear layer (BERT, §4.1).

    BERT's pooler stands before them; a family that has none puts a layer of its own there (see
    `classifier_activation` in `BackboneConfig`).

    Call: features -> logits, float32 (batch, classes). Labels in `fit` and `evaluate` are class
    indices or, with text, class names.

    Args:
        backbone: the encoder.
        classes: the class names in the order of the logits, or how many there are.
        tokenizer: see `Task`.
        sequence_length: see `Task`.
        pair: whether it takes two texts; None: as the first text it is given.
        dropout: rate before the linear layer; None: as the backbone's.
        name: the model's name.
    """

    head_facts = ("classes",)

    def __init__(
        self,
        backbone: Backbone,
        classes: Sequence[str] | int | None = None,
        *,
        tokenizer=None,
        sequence_length: int | None = None,
        pair: bool | None = None,
        dropout: float | None = None,
        name: str = "text_classifier",
    ):
        names = class_names(type(self).__name__, classes)
        config = backbone.config
        if self.needs_pooler(config) and not config.pooler:
            raise InputError("TextClassifier needs a backbone with a pooler (pooler=True)")

        # === Layers ===
        rate = config.dropout if dropout is None else dropout
        drop = Dropout(rate, name="classifier_dropout")
        hidden = config.classifier_activation and keras.layers.Dense(
            config.hidden_dim,
            activation=activation_function(config.classifier_activation),
            kernel_initializer=kernel_initializer(config.initializer_range),
            dtype=backbone.embeddings.dtype_policy,
            name="classifier_hidden",
        )
        classifier = keras.layers.Dense(
            len(names),
            kernel_initializer=kernel_initializer(config.initializer_range),
            dtype="float32",
            name="classifier",
        )

        # === Functional model ===
        inputs = feature_inputs()
        encoded = backbone(inputs)
        if hidden:
            x = hidden(drop(encoded[keys.SEQUENCE_OUTPUT][:, 0]))
        else:
            x = encoded[keys.POOLED_OUTPUT]
        super().__init__(
            backbone,
            inputs,
            classifier(drop(x)),
            tokenizer=tokenizer,
            sequence_length=sequence_length,
            name=name,
        )

        # === Config ===
        self.classes = names
        self.pair = pair
        self.dropout_rate = dropout  # None stays None: as the backbone's, wherever it is loaded

    @classmethod
    def needs_pooler(cls, config: BackboneConfig) -> bool:
        """Unless the family's classifiers have a layer of their own."""
        return config.classifier_activation is None

    def head_config(self) -> dict:
        """Class names, pair or not, dropout."""
        return {"classes": list(self.classes), "pair": self.pair, "dropout": self.dropout_rate}

    def compile(self, optimizer=None, loss=None, metrics=None, **kwargs):
        """Keras's `compile`; AdamW, cross-entropy on logits and accuracy unless given.

        XLA is off unless asked for: batches vary in length, and every new length would compile.
        """
        super().compile(
            optimizer=optimizer or adamw(5e-5),
            loss=loss or keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            metrics=metrics or [keras.metrics.SparseCategoricalAccuracy(name="accuracy")],
            **{"jit_compile": False, **kwargs},
        )

    def text_features(self, text, text_pair=None) -> dict:
        """Features of a batch of strings; in the graph."""
        pair = text_pair is not None
        if self.pair is None:
            self.pair = pair
        if self.pair != pair:
            raise InputError(f"{self.name} takes {'pairs of texts' if self.pair else 'one text'}")
        return super().text_features(text, text_pair)

    def training_examples(self, number, row: dict, y, sample_weight) -> tuple:
        """Features and class indices."""
        import tensorflow as tf

        if y is not None and y.dtype == tf.string:
            matches = tf.equal(y[:, tf.newaxis], tf.constant(self.classes))
            known = tf.reduce_any(matches, axis=1)
            unknown = tf.boolean_mask(y, ~known)
            check = tf.debugging.Assert(
                tf.reduce_all(known), ["label that is none of the classes:", unknown]
            )
            with tf.control_dependencies([check]):
                y = tf.argmax(matches, axis=1, output_type=tf.int32)
        return super().training_examples(number, row, y, sample_weight)

    def serving_signature(self):
        """`text` (and `text_pair`) -> `scores`, `label`, `labels`."""
        import tensorflow as tf

        def classify(text, text_pair=None):
            logits = self(self.text_features(text, text_pair), training=False)
            names = tf.constant(self.classes)
            return {
                "scores": tf.nn.softmax(logits),
                "label": tf.gather(names, tf.argmax(logits, axis=-1)),
                "labels": tf.broadcast_to(names, tf.shape(logits)),
            }

        return ((keys.TEXT, keys.TEXT_PAIR) if self.pair else (keys.TEXT,)), classify


def class_names(task: str, classes: Sequence[str] | int | None) -> list[str]:
    """The names of classes given as names or as a number.

    Raises:
        InputError: there are fewer than two, or two with the same name.
    """
    if classes is None:
        raise InputError(f"{task} needs classes: their names, or how many there are")
    names = range(classes) if isinstance(classes, int) else classes
    names = [str(name) for name in names]
    if len(names) < 2 or len(set(names)) != len(names):
        raise InputError(f"classes must be two or more different names, found {names}")
    return names
