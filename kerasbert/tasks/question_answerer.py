"""A question and a context -> the span of the context that answers it."""

import keras

from kerasbert import features as keys
from kerasbert.backbone import Backbone, feature_inputs
from kerasbert.layers import Dropout
from kerasbert.layers.initializers import kernel_initializer
from kerasbert.tasks.task import Task
from kerasbert.training.optimizers import adamw

_LONGEST_ANSWER = 30  # tokens, as in run_squad.py
_LONGEST_QUESTION = 64
_NEVER = -1e9


@keras.saving.register_keras_serializable("kerasbert")
class QuestionAnswerer(Task):
    """Scores every token as the start and as the end of the answer (BERT, §4.2).

    Call: features of question and context -> `start_logits` and `end_logits`, float32 (batch,
    sequence). `fit` takes features and, under the same two names, positions (batch,).

    Args:
        backbone: the encoder.
        tokenizer: see `Task`.
        sequence_length: see `Task`.
        dropout: rate before the last layer.
        name: the model's name.
    """

    def __init__(
        self,
        backbone: Backbone,
        *,
        tokenizer=None,
        sequence_length: int | None = None,
        dropout: float = 0.0,
        name: str = "question_answerer",
    ):
        # === Layers ===
        drop = Dropout(dropout)
        head = keras.layers.Dense(
            2,
            kernel_initializer=kernel_initializer(backbone.config.initializer_range),
            dtype="float32",
            name="span_head",
        )

        # === Functional model ===
        inputs = feature_inputs()
        logits = head(drop(backbone(inputs)[keys.SEQUENCE_OUTPUT]))
        super().__init__(
            backbone,
            inputs,
            {keys.START_LOGITS: logits[..., 0], keys.END_LOGITS: logits[..., 1]},
            tokenizer=tokenizer,
            sequence_length=sequence_length,
            name=name,
        )

        # === Config ===
        self.dropout_rate = dropout

    def head_config(self) -> dict:
        """Dropout."""
        return {"dropout": self.dropout_rate}

    def compile(self, optimizer=None, loss=None, metrics=None, **kwargs):
        """Keras's `compile`; AdamW, both cross-entropies and both accuracies unless given."""
        outputs = (keys.START_LOGITS, keys.END_LOGITS)

        def each(make, **arguments):
            return {name: make(**arguments) for name in outputs}

        super().compile(
            optimizer=optimizer or adamw(5e-5),
            loss=loss or each(keras.losses.SparseCategoricalCrossentropy, from_logits=True),
            metrics=metrics or each(keras.metrics.SparseCategoricalAccuracy, name="accuracy"),
            **{"jit_compile": False, **kwargs},
        )

    def serving_signature(self):
        """`question`, `context` -> `answer`, `score`, and `start` and `end` in characters.

        The answer is a substring of the context, of whole words. What is beyond `sequence_length`
        is not read.
        """
        import tensorflow as tf

        from kerasbert.text import bytes_to_characters, first_tokens

        def answer(question, context):
            room = self.packer.pair_room
            asked = self.tokenizer.tokenize(question)[:, : min(_LONGEST_QUESTION, room // 2)]
            ids, starts, ends = self.tokenizer.tokenize_with_offsets(context)
            kept = tf.minimum(ids.row_lengths(), room - asked.row_lengths())
            ids, starts, ends = (first_tokens(x, kept) for x in (ids, starts, ends))
            features = self.packer.pack(asked, ids, pad_to_longest=True)
            begin = asked.row_lengths() + self.packer.tokens_before_second
            outputs = self(features, training=False)
            first, last, score = best_span(
                _of_context(outputs[keys.START_LOGITS], begin, kept),
                _of_context(outputs[keys.END_LOGITS], begin, kept),
            )
            found = kept > 0
            start = tf.where(found, _pick(starts, first, found), 0)
            end = tf.where(found, _pick(ends, last, found), 0)
            spans = tf.RaggedTensor.from_tensor(tf.stack([start, end], axis=1))
            characters = bytes_to_characters(context, spans).to_tensor(shape=[None, 2])
            return {
                "answer": tf.strings.substr(context, start, end - start),
                "score": tf.where(found, score, 0.0),
                "start": characters[:, 0],
                "end": characters[:, 1],
            }

        return ("question", "context"), answer


def _of_context(logits, begin, length):
    """The logits of the context's tokens, (batch, longest context, at least 1)."""
    import tensorflow as tf

    width = tf.maximum(tf.reduce_max(tf.concat([length, [0]], axis=0)), 1)
    place = tf.range(width)[tf.newaxis]
    inside = place < length[:, tf.newaxis]
    columns = tf.where(inside, begin[:, tf.newaxis] + place, 0)
    return tf.where(inside, tf.gather(logits, columns, batch_dims=1), _NEVER)


def _pick(offsets, places, found):
    """One value of each row; any, where the row is empty."""
    import tensorflow as tf

    dense = offsets.to_tensor()
    dense = tf.pad(dense, [[0, 0], [0, 1]])
    return tf.gather(dense, tf.where(found, places, 0), batch_dims=1)


def best_span(start_logits, end_logits):
    """The likeliest span that does not end before it starts and is not too long.

    Args:
        start_logits: float32, (batch, tokens), of the context's tokens only.
        end_logits: float32, (batch, tokens).

    Returns:
        First and last token, int64 (batch,), and the product of their probabilities.
    """
    import tensorflow as tf

    scores = (
        tf.nn.softmax(start_logits)[:, :, tf.newaxis] * tf.nn.softmax(end_logits)[:, tf.newaxis]
    )
    width = tf.shape(scores)[-1]
    # A band above the diagonal: the end is up to so many tokens after the start.
    scores = tf.linalg.band_part(scores, 0, tf.minimum(_LONGEST_ANSWER - 1, width - 1))
    best = tf.argmax(tf.reshape(scores, [-1, width * width]), axis=-1)
    width = tf.cast(width, tf.int64)
    return best // width, best % width, tf.reduce_max(scores, axis=[1, 2])
