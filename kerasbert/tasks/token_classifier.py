"""A text -> a class for each of its words."""

from collections.abc import Sequence

import keras

from kerasbert import features as keys
from kerasbert.backbone import Backbone, feature_inputs
from kerasbert.layers import Dropout
from kerasbert.layers.initializers import kernel_initializer
from kerasbert.tasks.masked_lm import accuracy, cross_entropy
from kerasbert.tasks.task import Task
from kerasbert.tasks.text_classifier import class_names
from kerasbert.training.optimizers import adamw


@keras.saving.register_keras_serializable("kerasbert")
class TokenClassifier(Task):
    """Every token through dropout and a linear layer; a word's first token decides (BERT, §5.3).

    Call: features -> logits, float32 (batch, sequence, classes). `fit` takes features and class
    indices (batch, sequence), with sample weights that leave out what is not labelled.

    Args:
        backbone: the encoder.
        classes: the class names in the order of the logits, or how many there are.
        tokenizer: see `Task`.
        sequence_length: see `Task`.
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
        dropout: float | None = None,
        name: str = "token_classifier",
    ):
        names = class_names(type(self).__name__, classes)
        config = backbone.config

        # === Layers ===
        drop = Dropout(config.dropout if dropout is None else dropout)
        classifier = keras.layers.Dense(
            len(names),
            kernel_initializer=kernel_initializer(config.initializer_range),
            dtype="float32",
            name="token_classifier",
        )

        # === Functional model ===
        inputs = feature_inputs()
        super().__init__(
            backbone,
            inputs,
            classifier(drop(backbone(inputs)[keys.SEQUENCE_OUTPUT])),
            tokenizer=tokenizer,
            sequence_length=sequence_length,
            name=name,
        )

        # === Config ===
        self.classes = names
        self.dropout_rate = dropout

    def head_config(self) -> dict:
        """Class names, dropout."""
        return {"classes": list(self.classes), "dropout": self.dropout_rate}

    def compile(self, optimizer=None, loss=None, weighted_metrics=None, **kwargs):
        """Keras's `compile`; AdamW, cross-entropy and accuracy unless given.

        The loss is the weighted mean over the tokens.
        """
        super().compile(
            optimizer=optimizer or adamw(5e-5),
            loss=loss or cross_entropy("token_class"),
            weighted_metrics=weighted_metrics or [accuracy()],
            **{"jit_compile": False, **kwargs},
        )

    def serving_signature(self):
        """`text` -> `words`, `labels`, `scores`, `starts`, `ends` of each word, and `lengths`.

        `starts` and `ends` count characters of the text. Rows are filled up to the longest;
        `lengths` says how many words each has. What is beyond `sequence_length` is not labelled.
        """
        import tensorflow as tf

        from kerasbert.text import bytes_to_characters

        def tag(text):
            ids, starts, ends = self.tokenizer.tokenize_with_offsets(text)
            room = self.sequence_length - 2
            ids, starts, ends = ids[:, :room], starts[:, :room], ends[:, :room]
            logits = self(self.packer.pack(ids, pad_to_longest=True), training=False)
            scores = tf.nn.softmax(tf.gather_nd(logits, _places(ids)))
            first = _first_pieces(starts)
            scores = tf.boolean_mask(scores, first.values)
            starts, ends = (tf.ragged.boolean_mask(x, first) for x in (starts, ends))
            words = tf.strings.substr(
                tf.gather(text, starts.value_rowids()), starts.values, ends.values - starts.values
            )
            labels = tf.gather(tf.constant(self.classes), tf.argmax(scores, axis=-1))
            return {
                "words": starts.with_values(words).to_tensor(),
                "labels": starts.with_values(labels).to_tensor(),
                "scores": starts.with_values(tf.reduce_max(scores, axis=-1)).to_tensor(),
                "starts": bytes_to_characters(text, starts).to_tensor(),
                "ends": bytes_to_characters(text, ends).to_tensor(),
                "lengths": starts.row_lengths(),
            }

        return (keys.TEXT,), tag


def _places(ids):
    """Row and column, in packed features, of every token of ragged ids."""
    import tensorflow as tf

    columns = tf.ragged.range(ids.row_lengths()).values + 1  # after [CLS]
    return tf.stack([ids.value_rowids(), columns], axis=1)


def _first_pieces(starts):
    """Which tokens are the first of their word."""
    import tensorflow as tf

    rows = starts.value_rowids()
    same_row = tf.equal(rows[1:], rows[:-1])
    same_word = same_row & tf.equal(starts.values[1:], starts.values[:-1])
    continues = tf.concat([tf.zeros_like(rows[:1], tf.bool), same_word], axis=0)
    return starts.with_values(~continues)
