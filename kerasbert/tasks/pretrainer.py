"""Masked language model + next sentence prediction: how BERT learns from plain text."""

import math

import keras
import numpy as np

from kerasbert import features as keys
from kerasbert.backbone import Backbone, feature_inputs
from kerasbert.errors import InputError
from kerasbert.layers import MLMHead
from kerasbert.layers.initializers import kernel_initializer
from kerasbert.tasks.task import Task
from kerasbert.training.optimizers import adamw

_SERVED_GUESSES = 5  # guesses for each [MASK] that an export gives


@keras.saving.register_keras_serializable("kerasbert")
class Pretrainer(Task):
    """Predicts masked tokens, and whether the second text follows the first (BERT, §3.1).

    Call: features and `mask_positions` -> `mlm_logits` (batch, masked, vocabulary) and
    `nsp_logits` (batch, 2), float32. `fit` on text masks and pairs it anew at every batch: a single
    text is cut in two, and half of the second parts are swapped within the batch. `predict` on
    text gives logits for every `[MASK]` that stands in it.

    Args:
        backbone: the encoder.
        tokenizer: see `Task`.
        sequence_length: see `Task`.
        mask_rate: share of the tokens to predict.
        whole_word: mask all pieces of a word together.
        seed: for what `fit` on text draws at random.
        name: the model's name.
    """

    def __init__(
        self,
        backbone: Backbone,
        *,
        tokenizer=None,
        sequence_length: int | None = None,
        mask_rate: float = 0.15,
        whole_word: bool = False,
        seed: int = 0,
        name: str = "pretrainer",
    ):
        config = backbone.config

        # === Layers ===
        mlm_head = MLMHead(
            backbone.token_embedding,
            activation=config.activation,
            layer_norm_epsilon=config.layer_norm_epsilon,
            initializer_range=config.initializer_range,
            dtype=backbone.embeddings.dtype_policy,
            name="mlm_head",
        )
        nsp_head = keras.layers.Dense(
            2,
            kernel_initializer=kernel_initializer(config.initializer_range),
            dtype="float32",
            name="nsp_head",
        )

        # === Functional model ===
        positions = keras.Input((None,), dtype="int32", name=keys.MASK_POSITIONS)
        inputs = feature_inputs()
        encoded = backbone(inputs)
        outputs = {
            keys.MLM_LOGITS: mlm_head(encoded[keys.SEQUENCE_OUTPUT], positions),
            keys.NSP_LOGITS: nsp_head(encoded[keys.POOLED_OUTPUT]),
        }
        super().__init__(
            backbone,
            {**inputs, keys.MASK_POSITIONS: positions},
            outputs,
            tokenizer=tokenizer,
            sequence_length=sequence_length,
            name=name,
        )

        # === Config ===
        self.mask_rate = mask_rate
        self.whole_word = whole_word
        self.seed = seed

    def head_config(self) -> dict:
        """How text is masked."""
        return {"mask_rate": self.mask_rate, "whole_word": self.whole_word, "seed": self.seed}

    def compile(self, optimizer=None, loss=None, weighted_metrics=None, **kwargs):
        """Keras's `compile`; AdamW, both cross-entropies and both accuracies unless given.

        Each loss is the weighted mean over the places that are predicted (unused places of
        `mask_positions` weigh nothing); the total is their sum.
        """

        def loss_of(name):
            return keras.losses.SparseCategoricalCrossentropy(
                from_logits=True, reduction="mean_with_sample_weight", name=name
            )

        def accuracy():
            return [keras.metrics.SparseCategoricalAccuracy(name="accuracy")]

        outputs = (keys.MLM_LOGITS, keys.NSP_LOGITS)
        super().compile(
            optimizer=optimizer or adamw(1e-4),
            loss=loss or {name: loss_of(name) for name in outputs},
            weighted_metrics=weighted_metrics or {name: accuracy() for name in outputs},
            **{"jit_compile": False, **kwargs},
        )

    # === Text ===

    def training_examples(self, number, text: dict, y, sample_weight) -> tuple:
        """Masks and pairs a batch of texts; a given `y` labels the pairs (1: does not follow)."""
        from kerasbert.data import masking, pretraining

        return pretraining.examples_from_text(
            packer=self.packer,
            masking=masking.Masking.of(self.tokenizer, self.mask_rate, self.whole_word),
            seed=(self.seed, number),
            nsp_labels=y,
            **text,
        )

    def text_features(self, text, text_pair=None) -> dict:
        """Features of texts with `[MASK]` in them, and where those are.

        There are as many `mask_positions` a row as may be masked in pretraining; what a row does
        not use points at 0.
        """
        import tensorflow as tf

        features = self.packer(text, text_pair, tokenize=self.tokenizer.tokenize_with_mask)
        masks = tf.equal(features[keys.TOKEN_IDS], self.tokenizer.mask_id)
        positions = tf.ragged.boolean_mask(tf.broadcast_to(_places(masks), tf.shape(masks)), masks)
        width = max(1, math.ceil(self.mask_rate * self.sequence_length))
        return {**features, keys.MASK_POSITIONS: positions.to_tensor(shape=[None, width])}

    def serving_signature(self):
        """`text` -> `tokens` and `scores` of the best guesses for every `[MASK]`, `masks`."""
        import tensorflow as tf

        def fill(text):
            features = self.text_features(text)
            masked = tf.equal(features[keys.TOKEN_IDS], self.tokenizer.mask_id)
            masks = tf.reduce_sum(tf.cast(masked, tf.int32), axis=1)
            width = tf.shape(features[keys.MASK_POSITIONS])[1]
            masks = tf.minimum(masks, width)
            most = tf.maximum(tf.reduce_max(tf.concat([masks, [0]], axis=0)), 1)
            features[keys.MASK_POSITIONS] = features[keys.MASK_POSITIONS][:, :most]
            logits = self(features, training=False)[keys.MLM_LOGITS]
            scores, ids = tf.math.top_k(tf.nn.softmax(logits), _SERVED_GUESSES)
            tokens = tf.gather(tf.constant(self.tokenizer.vocabulary), ids)
            used = tf.sequence_mask(masks, most)[:, :, tf.newaxis]
            return {
                "tokens": tf.where(used, tokens, ""),
                "scores": tf.where(used, scores, 0.0),
                "masks": masks,
            }

        return (keys.TEXT,), fill

    def fill_mask(self, texts: list[str], top_k: int = 5) -> list[list[list[tuple[str, float]]]]:
        """Guesses what stands at every `[MASK]`.

        Args:
            texts: strings with `[MASK]` in them.
            top_k: guesses for each.

        Returns:
            For each text, for each of its masks in order: (piece, probability), the best first.

        Raises:
            InputError: a text has more masks than are predicted at once.
        """
        features = self.text_features(texts)
        logits = keras.ops.convert_to_numpy(self(features, training=False)[keys.MLM_LOGITS])
        counts = np.sum(np.asarray(features[keys.TOKEN_IDS]) == self.tokenizer.mask_id, axis=1)
        if counts.max(initial=0) > logits.shape[1]:
            raise InputError(f"a text may have {logits.shape[1]} [MASK]s, found {counts.max()}")
        return [
            [self._guesses(row, top_k) for row in rows[:count]]
            for rows, count in zip(logits, counts, strict=True)
        ]

    def _guesses(self, logits: np.ndarray, top_k: int) -> list[tuple[str, float]]:
        weights = np.exp(logits - logits.max())
        best = np.argsort(-logits)[:top_k]
        return [(self.tokenizer.id_to_token(i), float(weights[i] / weights.sum())) for i in best]


def _places(like):
    import tensorflow as tf

    return tf.range(tf.shape(like)[1])[tf.newaxis]
