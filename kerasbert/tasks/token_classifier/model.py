"""A sentence -> a class for each of its words."""

import itertools
from collections.abc import Sequence

import keras
import numpy as np

from kerasbert.backbone import Backbone, feature_inputs
from kerasbert.data.inputs import is_stream, length, plain, raw_columns
from kerasbert.errors import InputError
from kerasbert.features import PADDING_MASK, SEQUENCE_OUTPUT, TEXT, WORDS, is_text
from kerasbert.layers import Dropout
from kerasbert.layers.initializers import kernel_initializer
from kerasbert.tasks.cross_entropy import accuracy, cross_entropy
from kerasbert.tasks.labels import class_indices, class_names, class_weight_table
from kerasbert.tasks.task import Task
from kerasbert.tasks.token_classifier.entities import (
    AGGREGATIONS,
    WORD_SCORES,
    Entity,
    TaggedWord,
    join,
)
from kerasbert.training.optimizers import adamw

_WINDOWS_AT_ONCE = 32  # a text of a megabyte has thousands


@keras.saving.register_keras_serializable("kerasbert")
class TokenClassifier(Task):
    """Every token through dropout and a linear layer; a word's first token decides (BERT, §5.3).

    Call: features -> logits, float32 (batch, sequence, classes).

    `fit`, `evaluate` and `score` take sentences as lists of words, `[["A", "dog"], ...]` or
    `{"words": ...}`, with a list of labels (class names or indices) for each, and perhaps a weight
    for each sentence or each word. `predict` and `tag` also take plain strings, which are split at
    white space, punctuation, CJK characters and added tokens, as `split` and an export do. All of
    them tokenize every word on its own, as it would stand behind a space; one that the tokenizer
    makes nothing of, such as a control character, is an unknown token. So each word has one label.

    A sentence that is too long for the encoder continues in windows that overlap. A word's class
    comes from the window in which its first token has the most tokens on the side where it has
    fewer (as the maximal context of BERT's `run_squad.py`; of two, the first window). In training,
    too, a word counts once, in that window.

    Args:
        backbone: the encoder.
        classes: see `TextClassifier`.
        tokenizer: see `Task`.
        sequence_length: tokens of a window, special tokens included; None: all that the backbone
            takes.
        stride: tokens from the start of a window to the start of the next; None: half a window.
        dropout: rate before the linear layer; None: as the backbone's.
        name: the model's name.
    """

    head_arguments = ("classes",)
    outputs_for = PADDING_MASK
    text_columns = ((WORDS,), (TEXT,))
    reads_windows = True

    def __init__(
        self,
        backbone: Backbone,
        classes: Sequence[str] | int | None = None,
        *,
        tokenizer=None,
        sequence_length: int | None = None,
        stride: int | None = None,
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
            classifier(drop(backbone(inputs)[SEQUENCE_OUTPUT])),
            tokenizer=tokenizer,
            sequence_length=sequence_length,
            name=name,
        )

        # === Config ===
        room = self.sequence_length - 2
        if stride is not None and not 1 <= stride <= room:
            raise InputError(f"stride must be in [1, {room}], found {stride}")
        self.classes = names
        self.stride = stride
        self.dropout_rate = dropout

    def head_config(self) -> dict:
        """Class names, stride, dropout."""
        return {
            "classes": list(self.classes),
            "stride": self.stride,
            "dropout": self.dropout_rate,
        }

    def compile(self, optimizer=None, loss=None, metrics=None, weighted_metrics=None, **kwargs):
        """Keras's `compile`; AdamW, cross-entropy and accuracy unless given.

        The loss is the weighted mean over the words.
        """
        super().compile(
            optimizer=optimizer or adamw(5e-5),
            loss=loss or cross_entropy("token_class"),
            metrics=metrics if metrics or weighted_metrics else [accuracy()],
            weighted_metrics=weighted_metrics,
            **kwargs,
        )

    # === Training ===

    def fit(self, x=None, y=None, *args, class_weight=None, sample_weight=None, **kwargs):
        """Keras's `fit`.

        Args:
            x: lists of words, or features.
            y: labels.
            *args: Keras's.
            class_weight: weights of words by class name or index, of which those left out are 1;
                or a list with one for each class.
            sample_weight: weights of sentences or words; with features of tokens.
            **kwargs: Keras's.
        """
        if class_weight is not None and not is_stream(x) and not is_text(x):
            if hasattr(x, "element_spec") or y is None:
                raise InputError(f"{self.name}: a dataset of features must bring its own weights")
            sample_weight = self._by_class(y, sample_weight, class_weight)
            class_weight = None
        return super().fit(
            x, y, *args, class_weight=class_weight, sample_weight=sample_weight, **kwargs
        )

    def train_on_batch(
        self, x, y=None, sample_weight=None, class_weight=None, return_dict: bool = False
    ):
        """Keras's `train_on_batch`; `class_weight` as in `fit`."""
        if class_weight is not None and not is_text(x):
            sample_weight = self._by_class(y, sample_weight, class_weight)
            class_weight = None
        return super().train_on_batch(x, y, sample_weight, class_weight, return_dict)

    def _by_class(self, y, sample_weight, class_weight) -> np.ndarray:
        """The weights of features' tokens, multiplied by those of their classes."""
        weights = class_weight_table(class_weight, self.classes)[np.asarray(y)]
        return weights if sample_weight is None else weights * sample_weight

    # === Text ===

    def make_preprocessor(self):
        """With windows as they are set."""
        from kerasbert.tasks.token_classifier.preprocessor import TokenClassifierPreprocessor

        return TokenClassifierPreprocessor(
            **self._text_settings(), classes=self.classes, stride=self.stride
        )

    def class_weights(self, y, class_weight) -> list[list[float]]:
        """Every word's weight by its class, as `sample_weight` of `training_batches`.

        Args:
            y: a list of class names or indices for each sentence.
            class_weight: as in `fit`.

        Returns:
            A list of weights for each sentence.

        Raises:
            InputError: a class that is none.
        """
        table = class_weight_table(class_weight, self.classes)
        return [table[class_indices("y", own, self.classes)].tolist() for own in plain(y)]

    # === Prediction ===

    def predict(self, x, batch_size=None, verbose="auto", **kwargs):
        """Keras's `predict` on features; on words or text, the logits of every word.

        Args:
            x: features, lists of words, or strings.
            batch_size: rows or sentences at a time; None: 32.
            verbose: Keras's, for features; there is no bar for words and text.
            **kwargs: Keras's, for features.

        Returns:
            On words and text a list with an array for every sentence, float32 (words, classes).
        """
        if x is not None and not is_text(x):
            return super().predict(x, batch_size, verbose, **kwargs)
        if hasattr(x, "element_spec"):
            self._text.rows_of_dataset(x)  # refuses
        if kwargs:
            raise InputError(f"predict on words or text takes no {', '.join(kwargs)}")
        return _prediction().logits_of_words(self, self._text.columns(x), batch_size)

    def tag(
        self, x, *, aggregation: str | None = None, batch_size: int = 32
    ) -> list[list[TaggedWord]] | list[list[Entity]]:
        """The likeliest class of every word; or the entities that the words are joined to.

        Words are joined as by transformers' pipeline with its `aggregation_strategy`: neighbours of
        the same type are an entity, one whose class begins with `B-` starts another. A word's
        class is that of its first token ("first"), of its surest token ("max") or of the mean of
        its tokens' probabilities ("average"); with "simple" every token counts for itself, so that
        an entity may end inside a word.

        Args:
            x: lists of words; or strings, whose words `split` tells.
            aggregation: "first", "average", "max" or "simple" for entities; None for words.
            batch_size: sentences at a time.

        Returns:
            For every sentence its words, `TaggedWord`s, or its entities, `Entity`s, with their
            places in the text; the text of a list of words has a space between any two.

        Raises:
            InputError: there is no such aggregation.
        """
        if aggregation not in (None, *AGGREGATIONS):
            raise InputError(
                f"aggregation must be one of {', '.join(AGGREGATIONS)} or None, found "
                f"{aggregation!r}"
            )
        columns, prediction = self._text.columns(x), _prediction()
        texts, words, positions = prediction.sentences(self._text, columns)
        if aggregation is None:
            predicted = prediction.logits_of_words(self, columns, batch_size)
            return [
                self._tagged(text, own, _probabilities(logits))
                for text, own, logits in zip(texts, positions, predicted, strict=True)
            ]
        predicted = prediction.logits_of_tokens(self, words, batch_size)
        return [
            join(text, self._parts(text, own, tokens, aggregation))
            for text, own, tokens in zip(texts, positions, predicted, strict=True)
        ]

    def _tagged(self, text: str, positions, scores: np.ndarray) -> list[TaggedWord]:
        """Parts of a text with the likeliest of their classes; `scores` is (parts, classes)."""
        return [
            TaggedWord(text[start:end], self.classes[best], float(own[best]), start, end)
            for (start, end), own, best in zip(positions, scores, scores.argmax(-1), strict=True)
        ]

    def _parts(self, text: str, positions, tokens, aggregation: str) -> list[TaggedWord]:
        """The words of a sentence or, if aggregation is "simple", its tokens."""
        if not tokens:
            return []
        scores = [_probabilities(logits) for _, logits in tokens]
        if aggregation in WORD_SCORES:
            of_word = WORD_SCORES[aggregation]
            return self._tagged(text, positions, np.stack([of_word(each) for each in scores]))
        inside = (
            position
            for (start, end), (ids, _) in zip(positions, tokens, strict=True)
            for position in self._token_places(text, start, end, ids)
        )
        return self._tagged(text, inside, np.concatenate(scores))

    def _token_places(self, text: str, start: int, end: int, ids) -> list[tuple[int, int]]:
        """Where a word's tokens are: the whole word, where they are not spelled as the word is."""
        word = text[start:end].encode()
        spelled = [one.lstrip(b" ") for one in self.tokenizer.detokenize(ids[:, None]).numpy()]
        if self.tokenizer.kind == "wordpiece":
            spelled = [one.removeprefix(b"##") for one in spelled]
        # In bytes, which a token may be; or in characters, where some lost their accents.
        limits = np.cumsum([0, *map(len, spelled)])
        if limits[-1] == len(word):
            limits = [len(word[:limit].decode("utf-8", "ignore")) for limit in limits]
        else:
            limits = np.cumsum([0, *(len(one.decode("utf-8", "replace")) for one in spelled)])
        if limits[-1] != end - start:
            return [(start, end)] * len(ids)
        return [(start + int(a), start + int(b)) for a, b in itertools.pairwise(limits)]

    def split(self, texts) -> list[list[str]]:
        """The words of strings, as `predict`, `tag` and an export split them."""
        words, _, _ = self._text.words_of_text(raw_columns(texts, ((TEXT,),), "split")[TEXT])
        return [[word.decode() for word in sentence] for sentence in words.to_list()]

    def score(self, x, y, *, batch_size: int = 32, strict: bool = False) -> dict[str, float]:
        """Accuracy over words and, where the classes are tags of entities, precision, recall, F1.

        Args:
            x: lists of words.
            y: a list of class names or indices for each sentence.
            batch_size: sentences at a time.
            strict: see `kerasbert.metrics.entities.entity_scores`.

        Returns:
            `accuracy`; for classes such as `O`, `B-person`, `I-person` also `precision`, `recall`
            and `f1` over all entities, and `f1/person` for every type.

        Raises:
            InputError: words and labels do not fit together.
        """
        from kerasbert.metrics import entities

        columns = self._text.columns(x)
        if not length(next(iter(columns.values()))):
            raise InputError(f"{self.name}: there are no examples")
        if WORDS not in columns:
            raise InputError(f"{self.name} is scored on lists of words")
        lengths = [len(words) for words in plain(columns[WORDS])]
        positions = self._text.class_indices_of_words(y, lengths)
        cuts = np.cumsum(lengths)[:-1]
        true = [[self.classes[i] for i in one] for one in np.split(np.array(positions, int), cuts)]
        logits = _prediction().logits_of_words(self, columns, batch_size)
        predicted = [[self.classes[i] for i in one.argmax(-1)] for one in logits]
        if not entities.are_entity_tags(self.classes):
            return {"accuracy": entities.accuracy(true, predicted)}
        return entities.entity_scores(true, predicted, strict=strict)


def _prediction():
    """The module that computes logits of text: with it comes TensorFlow."""
    from kerasbert.tasks.token_classifier import prediction

    return prediction


def _probabilities(logits: np.ndarray) -> np.ndarray:
    """The softmax over the last axis."""
    weights = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return weights / weights.sum(axis=-1, keepdims=True)
