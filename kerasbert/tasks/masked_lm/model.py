"""Masked language modeling: predicting the tokens that are masked in a text."""

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import keras
import numpy as np

from kerasbert.backbone import Backbone, cls_position, feature_inputs
from kerasbert.data.inputs import checked_count, checked_size, plain, raw_columns
from kerasbert.data.pretraining.masking import check_rate, config_of_unit, mask_unit_of
from kerasbert.errors import InputError
from kerasbert.features import DOCUMENT_IDS, MASK_POSITIONS, SEQUENCE_OUTPUT, TEXT
from kerasbert.layers import MLMHead
from kerasbert.tasks.cross_entropy import accuracy
from kerasbert.tasks.masked_lm.guesses import Guess, best_tokens
from kerasbert.tasks.masked_lm.steps import StepsWithoutLogits, mlm_logits
from kerasbert.tasks.results import Results
from kerasbert.tasks.z_loss import masked_token_loss
from kerasbert.text.tokenizer import Tokenizer
from kerasbert.training.optimizers import adamw


@keras.saving.register_keras_serializable("kerasbert")
class MaskedLM(StepsWithoutLogits):
    """Predicts masked tokens (BERT, §3.1, task 1).

    Call: features and `mask_positions`, int32 (batch, masked) -> logits, float32 (batch, masked,
    vocabulary). `fit` on text masks each batch anew. `predict` on text returns logits for the mask
    tokens (such as `[MASK]`) of the text, for as many as are masked in training at most,
    `sequence_length` times `mask_rate`, rounded up; `fill_mask` predicts all of them.

    Examples:
        A model with random weights learns a text.
        `MaskedLM.from_preset("hf://google-bert/bert-base-uncased")` loads a pretrained one.

        >>> import kerasbert
        >>> words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "dog", "barks"]
        >>> tokenizer = kerasbert.text.WordPieceTokenizer(words)
        >>> config = kerasbert.BackboneConfig.from_preset("bert_tiny", vocabulary_size=len(words))
        >>> model = kerasbert.MaskedLM(
        ...     kerasbert.Backbone(config), tokenizer=tokenizer, sequence_length=16
        ... )
        >>> model.compile(kerasbert.training.adamw(1e-3))
        >>> history = model.fit(["the dog barks"] * 500, batch_size=8, verbose=0)
        >>> guesses = model.fill_mask(["The [MASK] barks"], top_k=2)
        >>> guesses[0][0][0].token
        'dog'

    Args:
        backbone: the encoder.
        tokenizer: as in `Task`.
        sequence_length: as in `Task`.
        mask_rate: share of the tokens to predict.
        whole_word: whether to mask all subwords of a word together.
        seed: seed of the masks that `fit` draws.
        tied: whether the output matrix is the token embedding matrix.
        activation: activation of the head's hidden layer; None: the backbone's.
        layer_norm_epsilon: epsilon of the head's LayerNorm; None: the backbone's.
        packed: whether the features have `document_ids`, for pretraining on rows of several
            documents. It is not saved.
        mask_unit: see `kerasbert.data.pretraining.Masking`; None: as `whole_word` says.
        name: model name.

    Raises:
        InputError: an argument is out of range.
    """

    head_arguments = ("tied", "activation", "layer_norm_epsilon")
    heads_from = ("Pretrainer",)
    outputs_for = MASK_POSITIONS
    pipeline_tag = "fill-mask"

    def __init__(
        self,
        backbone: Backbone,
        *,
        tokenizer: Tokenizer | None = None,
        sequence_length: int | None = None,
        mask_rate: float = 0.15,
        whole_word: bool = False,
        seed: int = 0,
        tied: bool = True,
        activation: str | None = None,
        layer_norm_epsilon: float | None = None,
        packed: bool = False,
        mask_unit: str | None = None,
        name: str = "masked_lm",
    ):
        config = backbone.config
        check_rate(mask_rate)
        if layer_norm_epsilon is not None and not 0 < layer_norm_epsilon < 1:
            raise InputError(
                f"layer_norm_epsilon must be between 0 and 1, found {layer_norm_epsilon!r}"
            )

        # === Layers ===
        mlm_head = MLMHead(
            backbone.token_embedding,
            tied=tied,
            activation=activation or config.activation,
            layer_norm_epsilon=layer_norm_epsilon or config.layer_norm_epsilon,
            initializer_range=config.initializer_range,
            dtype=backbone.embeddings.dtype_policy,
            name="mlm_head",
        )

        # === Functional model ===
        positions = keras.Input((None,), dtype="int32", name=MASK_POSITIONS)
        inputs = feature_inputs()
        output_positions = keras.ops.concatenate([cls_position(inputs), positions], axis=1)
        documents = {}
        if packed:
            documents[DOCUMENT_IDS] = keras.Input((None,), dtype="int32", name=DOCUMENT_IDS)
        encoded = backbone(inputs, output_positions=output_positions, **documents)
        logits = mlm_head(encoded[SEQUENCE_OUTPUT][:, 1:])
        super().__init__(
            backbone,
            {**inputs, MASK_POSITIONS: positions, **documents},
            self._model_outputs(backbone, encoded, logits),
            tokenizer=tokenizer,
            sequence_length=sequence_length,
            name=name,
        )

        # === Config ===
        self.mask_rate = mask_rate
        self.mask_unit = mask_unit_of(whole_word, mask_unit)
        self.whole_word = self.mask_unit == "whole_word"
        self.seed = seed
        self._head = {
            "tied": tied,
            "activation": activation,
            "layer_norm_epsilon": layer_norm_epsilon,
        }

    @staticmethod
    def _model_outputs(backbone: Backbone, encoded: dict, logits):
        """Returns the model's outputs, given the encoder's outputs and the masked-token logits."""
        return logits

    def head_config(self) -> dict[str, Any]:
        """Returns the settings of the masks and of the head."""
        return {**self._masking(), **self._head}

    def compile(
        self,
        optimizer: Any = None,
        loss: Any = None,
        metrics: Any = None,
        weighted_metrics: Any = None,
        *,
        z_loss: float = 0.0,
        **kwargs: Any,
    ) -> None:
        """Compiles the model; by default with AdamW, cross-entropy and accuracy.

        The loss is the weighted mean over the predicted positions. Unused entries of
        `mask_positions` must have weight 0.

        Args:
            optimizer: as in Keras; None: `kerasbert.training.adamw(1e-4)`.
            loss: as in Keras; None: cross-entropy on logits.
            metrics: as in Keras; None: accuracy. They are weighted, too.
            weighted_metrics: as in Keras.
            z_loss: weight of the squared logarithm of the softmax's denominator in the default
                loss, which keeps logits small (PaLM, 2204.02311, §5); 0: none.
            **kwargs: as in `Task.compile`.

        Examples:
            >>> model.compile(kerasbert.training.adamw(5e-5), z_loss=1e-4)
        """
        super().compile(
            optimizer=optimizer or adamw(1e-4),
            loss=loss or masked_token_loss("masked_token", z_loss),
            metrics=metrics,
            weighted_metrics=weighted_metrics,
            **kwargs,
        )

    def _default_metrics(self) -> Any:
        return [accuracy()]

    # === Text ===

    @property
    def example_call(self) -> str:
        """See `Task.example_call`."""
        mask = self.tokenizer.special_tokens.mask if self.tokenizer else "[MASK]"
        return f'model.fill_mask(["A {mask}."])'

    def make_preprocessor(self) -> Any:
        """Creates the preprocessor with this model's masking."""
        from kerasbert.tasks.masked_lm.preprocessor import MaskedLMPreprocessor

        return MaskedLMPreprocessor(**self._text_settings(), **self._masking())

    def _masking(self) -> dict:
        masking = {"mask_rate": self.mask_rate, "whole_word": self.whole_word, "seed": self.seed}
        return masking | config_of_unit(self.mask_unit)

    def score(self, x: Any, y: Any = None, *, batch_size: int = 32) -> dict[str, float]:
        """Measures how well the model predicts randomly masked tokens.

        The same texts, seed and batch size always give the same masks.

        Args:
            x: text in any form but a dataset.
            y: None; the texts are their own labels.
            batch_size: texts per batch.

        Returns:
            `loss`, the mean cross-entropy of the masked tokens in nats, `perplexity`, its
            exponential, and `accuracy`, the share predicted correctly; NaN if no token was masked.

        Examples:
            >>> scores = model.score(["the dog barks"] * 8)
            >>> list(scores), scores["perplexity"] < len(words)
            (['loss', 'perplexity', 'accuracy'], True)
        """
        losses, right = [], []
        for features, labels, weights in self._text.batches(x, y, batch_size=batch_size):
            (outputs,) = self.forward([features])
            hidden = mlm_logits(weights).numpy() > 0
            ids = mlm_logits(labels).numpy()[hidden]
            logits = mlm_logits(outputs)[hidden].astype("float64")
            of_ids = np.take_along_axis(logits, ids[:, np.newaxis], axis=1)[:, 0]
            largest = logits.max(axis=1)
            total = np.exp(logits - largest[:, np.newaxis]).sum(axis=1)
            losses.append(largest + np.log(total) - of_ids)
            right.append(logits.argmax(axis=1) == ids)
        losses, right = np.concatenate(losses), np.concatenate(right)
        loss = float(losses.mean()) if losses.size else math.nan
        accuracy = float(right.mean()) if right.size else math.nan
        return {"loss": loss, "perplexity": float(np.exp(loss)), "accuracy": accuracy}

    def fill_mask(
        self,
        texts: Sequence[str],
        top_k: int = 5,
        *,
        targets: str | Sequence[str] | None = None,
        batch_size: int = 32,
        strict: bool = True,
    ) -> Results[list[list[Guess]]]:
        """Predicts the tokens behind the mask tokens of texts.

        Args:
            texts: strings that contain mask tokens, such as `[MASK]`.
            top_k: number of predictions per mask, at most as many as there are candidates.
            targets: the only candidates, as tokens of the vocabulary or words that are one token;
                None: the whole vocabulary. Scores are probabilities over the whole vocabulary
                either way.
            batch_size: texts per batch.
            strict: whether to refuse texts without a mask, or with one that is cut off. Otherwise
                such a mask has an empty list.

        Returns:
            For each text, and each of its masks in order: a list of `Guess`es, the best first.

        Raises:
            InputError: a text is refused, or a target is not a single token.

        Examples:
            >>> best, second = model.fill_mask(["The [MASK] barks"], top_k=2)[0][0]
            >>> best.token, best.sequence, best.score > second.score
            ('dog', 'The dog barks', True)
            >>> guesses = model.fill_mask(["The dog [MASK]"], targets=["barks", "the"])
            >>> [guess.token for guess in guesses[0][0]]
            ['barks', 'the']
        """
        top_k = checked_count("top_k", top_k)
        chosen = None if targets is None else self._target_ids(targets)
        texts = list(plain(raw_columns(texts, ((TEXT,),), "fill_mask")[TEXT]))
        size, filled = checked_size(batch_size), []
        for start in range(0, len(texts), size):
            filled += self._filled(texts[start : start + size], start, top_k, chosen, strict)
        return Results(filled, ("example", "mask", "rank"))

    def _filled(self, texts: list, start: int, top_k: int, chosen, strict: bool) -> list:
        """Implements `fill_mask` for one batch; `start` is the number of its first text."""
        vectors, counts = self._graph(type(self._text).traced_at_masks, self._text)(texts)
        tokenizer: Tokenizer = self._text.tokenizer
        mask = tokenizer.special_tokens.mask
        there = [text.count(mask.encode() if isinstance(text, bytes) else mask) for text in texts]
        if strict:
            self._check_masks(texts, start, there, counts)
        masks = [
            (number, position) for number, count in enumerate(counts) for position in range(count)
        ]
        # The embedding table may have more rows than the vocabulary has tokens.
        ids = np.arange(tokenizer.vocabulary_size) if chosen is None else chosen
        best = [
            (*position, best_tokens(logits, top_k, ids))
            for position, logits in zip(masks, self._mask_logits(vectors), strict=True)
        ]
        sequences = iter(self._text.with_guesses(texts, best))
        filled = [[] for _ in texts]
        for number, _, guesses in best:
            filled[number].append(
                [Guess(tokenizer.id_to_token(id), score, next(sequences)) for id, score in guesses]
            )
        for own, count in zip(filled, there, strict=True):
            own += [[] for _ in range(count - len(own))]
        return filled

    def _check_masks(self, texts: list, start: int, there: list[int], read: list[int]) -> None:
        """Raises `InputError` for a text without a mask, or with one that is cut off."""
        mask = self._text.tokenizer.special_tokens.mask
        for number, (text, count, seen) in enumerate(zip(texts, there, read, strict=True), start):
            if not count:
                raise InputError(f"text {number} has no {mask} to guess: {text!r}")
            if seen < count:
                raise InputError(
                    f"text {number} has {count} {mask}s, of which the model reads {seen}: it "
                    f"reads {self.sequence_length} tokens"
                )

    def _mask_logits(self, vectors) -> Iterator[np.ndarray]:
        """Yields the logits of each mask, computed for a few masks at a time to save memory."""
        head = self.get_layer("mlm_head")
        at_once = self._text.masks_at_once
        for start in range(0, len(vectors), at_once):
            some = head(vectors[None, start : start + at_once])
            yield from keras.ops.convert_to_numpy(some)[0]

    def _target_ids(self, targets: str | Sequence[str]) -> np.ndarray:
        """Returns the ids of the targets, without duplicates."""
        alone = isinstance(targets, str) or not isinstance(targets, Iterable)
        given: list[Any] = [targets] if alone else list(targets)
        if not given:
            raise InputError("targets must name a token, found none")
        if wrong := [target for target in given if not isinstance(target, str)]:
            raise InputError(f"targets must be strings, found {wrong[0]!r}")
        ids, tokenizer = [], self._text.tokenizer
        for target in given:
            known = target in tokenizer.vocabulary
            own = [] if known else tokenizer.tokenize([target]).to_list()[0]
            if not known and (len(own) != 1 or own[0] == tokenizer.unknown_id):
                spelled = " ".join(map(tokenizer.id_to_token, own)) or "nothing"
                raise InputError(f"the target {target!r} is no single token, but {spelled}")
            ids += [tokenizer.token_to_id(target)] if known else own
        return np.array(list(dict.fromkeys(ids)))
