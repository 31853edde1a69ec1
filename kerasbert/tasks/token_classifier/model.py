"""Token classification: a class for each word of a sentence."""

import itertools
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from kerasbert.backbone import Backbone, feature_inputs
from kerasbert.data.inputs import is_stream, length, plain, raw_columns
from kerasbert.errors import InputError
from kerasbert.features import PADDING_MASK, SEQUENCE_OUTPUT, TEXT, WORDS, is_text
from kerasbert.layers import Dropout
from kerasbert.tasks.cross_entropy import accuracy, cross_entropy
from kerasbert.tasks.heads import output_layer
from kerasbert.tasks.labels import (
    class_indices,
    class_names,
    class_weight_table,
    weights_by_class,
)
from kerasbert.tasks.outputs import concatenated, softmax
from kerasbert.tasks.results import Results
from kerasbert.tasks.task import Task
from kerasbert.tasks.token_classifier.entities import (
    AGGREGATIONS,
    WORD_SCORES,
    Entity,
    TaggedWord,
    join,
)
from kerasbert.text.tokenizer import Tokenizer
from kerasbert.training.optimizers import adamw

_LEVELS = ("example", "")  # of `tag`: the position of a word is in its offsets


@keras.saving.register_keras_serializable("kerasbert")
class TokenClassifier(Task):
    """Classifies words by their first token, with dropout and a linear layer (BERT, §5.3).

    Call: features -> logits, float32 (batch, sequence, classes).

    `fit`, `evaluate` and `score` take sentences as lists of words, `[["A", "dog"], ...]` or
    `{"words": ...}`, with a list of labels (class names or indices) for each, and optionally a
    weight for each sentence or each word. `predict` and `tag` also take strings, which are split at
    white space, punctuation, CJK characters and added tokens, as in `split` and in an export. Every
    word is tokenized separately, as after a space; a word without tokens, such as a control
    character, becomes an unknown token. So each word has exactly one label. `predict` returns the
    logits of words, float32 (sentences, words, classes), with zeros where a sentence has fewer
    words than the longest; `tag` and `score` have no array of that size.

    A sentence that exceeds the sequence length continues in overlapping windows. The class of a
    word comes from the window where its first token has the most context on its shorter side (the
    maximal context of BERT's `run_squad.py`; the first of two equal windows). In training, a word
    counts once, in that window.

    Examples:
        A model with random weights learns a sentence. A published model is loaded with its classes:
        `TokenClassifier.from_preset("hf://dslim/bert-base-NER")`.

        >>> import kerasbert
        >>> words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "ada", "lives", "in", "oslo"]
        >>> tokenizer = kerasbert.text.WordPieceTokenizer(words)
        >>> config = kerasbert.BackboneConfig.from_preset("bert_tiny", vocabulary_size=len(words))
        >>> model = kerasbert.TokenClassifier(
        ...     kerasbert.Backbone(config), ["O", "B-PER", "B-LOC"], tokenizer=tokenizer
        ... )
        >>> model.compile(kerasbert.training.adamw(1e-3))
        >>> sentences, tags = [["Ada", "lives", "in", "Oslo"]], [["B-PER", "O", "O", "B-LOC"]]
        >>> history = model.fit(sentences * 400, tags * 400, batch_size=8, verbose=0)
        >>> [(word, label) for word, label, *_ in model.tag(["Ada lives in Oslo"])[0]]
        [('Ada', 'B-PER'), ('lives', 'O'), ('in', 'O'), ('Oslo', 'B-LOC')]

    Args:
        backbone: the encoder.
        classes: as in `TextClassifier`.
        tokenizer: as in `Task`.
        sequence_length: tokens per window, with special tokens; None: the backbone's maximum.
        stride: tokens from the start of a window to the start of the next; None: half a window.
        dropout: dropout rate before the linear layer; None: the backbone's.
        name: model name.

    Raises:
        InputError: an argument is out of range.
    """

    head_arguments = ("classes",)
    needs_labels = True
    pipeline_tag = "token-classification"
    example_call = 'model.tag(["A text."])'
    outputs_for = PADDING_MASK

    def __init__(
        self,
        backbone: Backbone,
        classes: Sequence[str] | int | None = None,
        *,
        tokenizer: Tokenizer | None = None,
        sequence_length: int | None = None,
        stride: int | None = None,
        dropout: float | None = None,
        name: str = "token_classifier",
    ):
        names = class_names(type(self).__name__, classes)
        config = backbone.config

        # === Layers ===
        drop = Dropout(config.dropout if dropout is None else dropout)
        classifier = output_layer(backbone, len(names), "token_classifier")

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

    def head_config(self) -> dict[str, Any]:
        """Returns class names, stride and dropout rate."""
        return {
            "classes": list(self.classes),
            "stride": self.stride,
            "dropout": self.dropout_rate,
        }

    def compile(
        self,
        optimizer: Any = None,
        loss: Any = None,
        metrics: Any = None,
        weighted_metrics: Any = None,
        **kwargs: Any,
    ) -> None:
        """Compiles the model; by default with AdamW, cross-entropy and accuracy.

        The loss is the weighted mean over the words.

        Args:
            optimizer: as in Keras; None: `kerasbert.training.adamw(5e-5)`.
            loss: as in Keras; None: cross-entropy on logits.
            metrics: as in Keras; None: accuracy over the words. They are weighted, too.
            weighted_metrics: as in Keras.
            **kwargs: as in `Task.compile`.

        Examples:
            >>> model.compile(kerasbert.training.adamw(2e-5))
        """
        super().compile(
            optimizer=optimizer or adamw(5e-5),
            loss=loss or cross_entropy("token_class"),
            metrics=metrics,
            weighted_metrics=weighted_metrics,
            **kwargs,
        )

    def _default_metrics(self) -> Any:
        return [accuracy()]

    # === Training ===

    def fit(
        self,
        x: Any = None,
        y: Any = None,
        *args: Any,
        class_weight: Any = None,
        sample_weight: Any = None,
        **kwargs: Any,
    ) -> keras.callbacks.History:
        """Trains the model as in Keras.

        Args:
            x: lists of words, or features.
            y: labels.
            *args: as in Keras.
            class_weight: dict from class name or index to weight, with 1 for the other classes; or
                a list with one weight per class.
            sample_weight: weights of sentences or of words; with features, of tokens.
            **kwargs: as in Keras.

        Returns:
            Keras's `History`: losses and metrics of every epoch.

        Raises:
            InputError: words and labels do not match, or a label is no class.
        """
        if class_weight is not None and not is_stream(x) and not is_text(x):
            if hasattr(x, "element_spec"):
                raise InputError(f"{self.name}: a dataset of features must bring its own weights")
            sample_weight, class_weight = self._with_class_weight(y, sample_weight, class_weight)
        return super().fit(
            x, y, *args, class_weight=class_weight, sample_weight=sample_weight, **kwargs
        )

    def train_on_batch(
        self,
        x: Any,
        y: Any = None,
        sample_weight: Any = None,
        class_weight: Any = None,
        return_dict: bool = False,
    ) -> Any:
        """Trains on one batch as in Keras; `class_weight` as in `fit`."""
        if class_weight is not None and not is_text(x):
            sample_weight, class_weight = self._with_class_weight(y, sample_weight, class_weight)
        return super().train_on_batch(x, y, sample_weight, class_weight, return_dict)

    def _with_class_weight(self, y, sample_weight, class_weight) -> tuple:
        """Returns the weights of the labels of features as `sample_weight`, and no others."""
        if y is None:
            return sample_weight, None  # refused later
        table = class_weight_table(class_weight, self.classes)
        return weights_by_class(y, table, sample_weight), None

    # === Text ===

    def make_preprocessor(self) -> Any:
        """Creates the preprocessor with this model's windows."""
        from kerasbert.tasks.token_classifier.preprocessor import TokenClassifierPreprocessor

        return TokenClassifierPreprocessor(
            **self._text_settings(), classes=self.classes, stride=self.stride
        )

    def class_weights(self, y: Any, class_weight: Any) -> list[list[float]]:
        """Returns the weight of each word's class, as `sample_weight` of `training_batches`.

        Args:
            y: a list of class names or indices for each sentence.
            class_weight: as in `fit`.

        Returns:
            A list of weights for each sentence.

        Raises:
            InputError: a class is unknown.

        Examples:
            >>> model.class_weights([["B-PER", "O"]], {"O": 0.5})
            [[1.0, 0.5]]
        """
        table = class_weight_table(class_weight, self.classes)
        return [table[class_indices("y", own, self.classes)].tolist() for own in plain(y)]

    # === Prediction ===

    def _outputs_of_windows(self, columns: dict, batch_size: int):
        """Yields the logits of words, float32 (sentences, words, classes)."""
        if not length(next(iter(columns.values()))):
            yield np.zeros((0, 0, len(self.classes)), "float32")
        for logits in _prediction().batches_of_words(self, columns, batch_size):
            yield concatenated([one[np.newaxis] for one in logits], self.output_padding)

    def tag(
        self, x: Any, *, aggregation: str | None = None, batch_size: int = 32
    ) -> Results[list[TaggedWord]] | Results[list[Entity]]:
        """Predicts the class of every word, or the entities that the words form.

        Entities are aggregated as in transformers' pipeline with its `aggregation_strategy`:
        neighboring words of the same type form an entity, and `B-` starts another one. The class
        of a word is that of its first token ("first"), of its most confident token ("max"), or
        of the mean of its tokens' probabilities ("average"). With "simple", every token counts by
        itself, so that an entity may end inside a word.

        Args:
            x: lists of words; or strings, which are split as by `split`.
            aggregation: "first", "average", "max" or "simple" for entities; None for words.
            batch_size: sentences per batch.

        Returns:
            For each sentence, a list of `TaggedWord`s or of `Entity`s, with their offsets in the
            text. The text of a list of words has one space between words.

        Raises:
            InputError: the aggregation is unknown.

        Examples:
            >>> entities = model.tag(["Ada lives in Oslo"], aggregation="first")
            >>> [(entity.text, entity.label) for entity in entities[0]]
            [('Ada', 'PER'), ('Oslo', 'LOC')]
            >>> word = model.tag([["Ada"]])[0][0]
            >>> word.word, word.start, word.end, word.score <= 1
            ('Ada', 0, 3, True)
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
            tagged = (
                self._tagged(text, own, softmax(logits))
                for text, own, logits in zip(texts, positions, predicted, strict=True)
            )
            return Results(tagged, _LEVELS)
        predicted = prediction.logits_of_tokens(self, words, batch_size)
        entities = (
            join(text, self._parts(text, own, tokens, aggregation))
            for text, own, tokens in zip(texts, positions, predicted, strict=True)
        )
        return Results(entities, _LEVELS)

    def _tagged(self, text: str, positions, scores: np.ndarray) -> list[TaggedWord]:
        """Tags segments of a text with their best class; `scores` is (segments, classes)."""
        return [
            TaggedWord(text[start:end], self.classes[best], float(own[best]), start, end)
            for (start, end), own, best in zip(positions, scores, scores.argmax(-1), strict=True)
        ]

    def _parts(self, text: str, positions, tokens, aggregation: str) -> list[TaggedWord]:
        """Returns the tagged words of a sentence or, if aggregation is "simple", its tokens."""
        if not tokens:
            return []
        scores = [softmax(logits) for _, logits in tokens]
        if aggregation in WORD_SCORES:
            of_word = WORD_SCORES[aggregation]
            return self._tagged(text, positions, np.stack([of_word(each) for each in scores]))
        inside = (
            position
            for (start, end), (ids, _) in zip(positions, tokens, strict=True)
            for position in self._token_offsets(text, start, end, ids)
        )
        return self._tagged(text, inside, np.concatenate(scores))

    def _token_offsets(self, text: str, start: int, end: int, ids) -> list[tuple[int, int]]:
        """Returns the offsets of a word's tokens; the whole word's if their spelling differs."""
        assert self.tokenizer is not None  # the ids are its own
        word = text[start:end].encode()
        spelled = [one.lstrip(b" ") for one in self.tokenizer.detokenize(ids[:, None]).numpy()]
        if self.tokenizer.kind == "wordpiece":
            spelled = [one.removeprefix(b"##") for one in spelled]
        # In bytes, of which a token may consist, or in characters, if some lost their accents.
        limits = np.cumsum([0, *map(len, spelled)])
        if limits[-1] == len(word):
            limits = [len(word[:limit].decode("utf-8", "ignore")) for limit in limits]
        else:
            limits = np.cumsum([0, *(len(one.decode("utf-8", "replace")) for one in spelled)])
        if limits[-1] != end - start:
            return [(start, end)] * len(ids)
        return [(start + int(a), start + int(b)) for a, b in itertools.pairwise(limits)]

    def split(self, texts: Any) -> list[list[str]]:
        """Splits strings into words, as `predict`, `tag` and an export do.

        Args:
            texts: strings.

        Returns:
            For each text, a list of its words as spelled there.

        Examples:
            >>> model.split(["Ada lives in Oslo."])
            [['Ada', 'lives', 'in', 'Oslo', '.']]
        """
        words, _, _ = self._text.words_of_text(raw_columns(texts, ((TEXT,),), "split")[TEXT])
        return [[word.decode() for word in sentence] for sentence in words.to_list()]

    def score(
        self, x: Any, y: Any, *, batch_size: int = 32, strict: bool = False
    ) -> dict[str, float]:
        """Returns accuracy over words and, for entity tags, precision, recall and F1.

        Args:
            x: lists of words.
            y: a list of class names or indices for each sentence.
            batch_size: sentences per batch.
            strict: as in `kerasbert.metrics.entities.entity_scores`.

        Returns:
            `accuracy`; for classes such as `O`, `B-person`, `I-person` also `precision`, `recall`
            and `f1` over all entities, and `f1/person` for every type.

        Raises:
            InputError: words and labels do not match.

        Examples:
            >>> scores = model.score(sentences, tags)
            >>> scores["accuracy"], scores["f1"]
            (1.0, 1.0)
        """
        from kerasbert.metrics import entities

        self._check_labels(x, y)
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
    """Returns the module that predicts text; it imports TensorFlow."""
    from kerasbert.tasks.token_classifier import prediction

    return prediction
