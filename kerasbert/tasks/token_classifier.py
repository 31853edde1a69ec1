"""A sentence -> a class for each of its words."""

import dataclasses
import itertools
from collections.abc import Iterable, Iterator, Sequence

import keras
import numpy as np

from kerasbert import features as keys
from kerasbert.backbone import Backbone, feature_inputs
from kerasbert.data.inputs import checked_size, is_stream, length, numbers, plain, raw_columns
from kerasbert.errors import InputError
from kerasbert.layers import Dropout
from kerasbert.layers.initializers import kernel_initializer
from kerasbert.tasks.cross_entropy import accuracy, cross_entropy
from kerasbert.tasks.entities import AGGREGATIONS, WORD_SCORES, Entity, TaggedWord, join
from kerasbert.tasks.labels import class_indices, class_names, class_weight_table
from kerasbert.tasks.task import Task
from kerasbert.training.optimizers import adamw
from kerasbert.training.progress import advance

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

    head_facts = ("classes",)
    outputs_for = keys.PADDING_MASK
    text_columns = ((keys.WORDS,), (keys.TEXT,))
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
            classifier(drop(backbone(inputs)[keys.SEQUENCE_OUTPUT])),
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
        if class_weight is not None and not is_stream(x) and not keys.is_text(x):
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
        if class_weight is not None and not keys.is_text(x):
            sample_weight = self._by_class(y, sample_weight, class_weight)
            class_weight = None
        return super().train_on_batch(x, y, sample_weight, class_weight, return_dict)

    def _by_class(self, y, sample_weight, class_weight) -> np.ndarray:
        """The weights of features' tokens, multiplied by those of their classes."""
        weights = self._weights_of_tokens(y, class_weight)
        return weights if sample_weight is None else weights * sample_weight

    def rows(self, x, y=None, sample_weight=None):
        """Windows of tokens; labels and weights for each token, 0 for all but those that decide.

        Args:
            x: lists of words, or rows.
            y: a list of class names or indices for each sentence.
            sample_weight: a number or a list of numbers for each sentence, or None.

        Raises:
            InputError: words and labels do not fit together; the message names the sentence.
        """
        import tensorflow as tf

        from kerasbert.data import text_batches

        if isinstance(x, text_batches.Rows):
            return x
        columns = self.raw_columns(x)
        if not length(next(iter(columns.values()))):
            raise InputError(f"{self.name}: there are no examples")
        if keys.WORDS not in columns or y is None:
            raise InputError(
                f"{self.name} learns from lists of words and of labels, "
                "such as [['A', 'dog']] with [['O', 'B-animal']]"
            )
        words = text_batches.text_tensor(keys.WORDS, columns[keys.WORDS])
        lengths = words.row_lengths().numpy()
        labels = self._class_indices(y, lengths)
        weights = np.ones(lengths.sum(), "float32")
        if sample_weight is not None:
            weights = np.concatenate([[], *_lists("sample_weight", sample_weight, lengths)])
            weights = numbers("sample_weight", weights)
        ids, word, decides = self._windows(words)
        return text_batches.Rows(
            {keys.TOKEN_IDS: ids},
            word.with_values(tf.gather(tf.constant(labels, tf.int32), word.values)),
            word.with_values(
                tf.where(decides.values, tf.gather(tf.cast(weights, tf.float32), word.values), 0.0)
            ),
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

    def weighted(self, rows, class_weight):
        """Every token's weight is multiplied by its class's."""
        if class_weight is None:
            return rows, None
        weights = rows.y.with_values(self._weights_of_tokens(rows.y.values, class_weight))
        return dataclasses.replace(rows, sample_weight=rows.sample_weight * weights), None

    def _weights_of_tokens(self, labels, class_weight) -> np.ndarray:
        """The weight of each token's class, by its index."""
        return class_weight_table(class_weight, self.classes)[np.asarray(labels)]

    def training_examples(self, number, row: dict, y, sample_weight) -> tuple:
        """Features, and the labels and weights of their tokens."""
        features = self.packer.pack(row[keys.TOKEN_IDS], pad_to_longest=True)
        return features, _beside(features, y), _beside(features, sample_weight)

    def _class_indices(self, y, lengths) -> np.ndarray:
        """The classes of all words, one sentence after the other; names or indices come in.

        Args:
            y: a list of labels for each sentence.
            lengths: how many words each has.
        """
        sentences = _lists("y", y, lengths)
        flat = [label for labels in sentences for label in labels]
        try:
            return class_indices("y", flat, self.classes)
        except InputError:
            for place, labels in enumerate(sentences):  # which of the sentences is it?
                class_indices(f"y[{place}]", labels, self.classes)
            raise

    def _windows(self, words, *, every_token: bool = False):
        """The windows of sentences; in the graph.

        Args:
            words: strings, ragged (sentences, words).
            every_token: let all tokens of a word decide, each in one window, not the first alone.

        Returns:
            Ragged, (windows, tokens), each: the ids; which of all words a token belongs to; whether
            it is one that decides over the word.
        """
        import tensorflow as tf

        packer = self.packer
        pieces = packer.tokenizer.tokenize_words(words.values)
        ids, word = pieces.values, pieces.value_rowids()
        first = tf.equal(tf.range(tf.size(ids, tf.int64)), tf.gather(pieces.row_starts(), word))
        tokens = words.with_values(pieces).merge_dims(1, 2).row_lengths()
        size = packer.text_room
        places, decides = deciding_windows(tokens, size, self.stride or (size + 1) // 2)
        ids, word, first = (
            places.with_values(tf.gather(x, places.values)) for x in (ids, word, first)
        )
        return ids, word, decides.with_values(decides.values & (first.values | every_token))

    # === Prediction ===

    def word_logits(self, words):
        """The logits of every word; in the graph, some windows at a time.

        Args:
            words: strings, ragged (sentences, words).

        Returns:
            float32, (all words, classes), one sentence after the other.
        """
        ids, _, decides = self._windows(words)
        return self._logits(ids, decides)

    def _logits(self, ids, decides):
        """The logits of the tokens that decide in windows, one after the other."""
        import tensorflow as tf

        count = tf.cast(ids.nrows(), tf.int32)
        steps = tf.maximum(-(-count // _WINDOWS_AT_ONCE), 1)
        found = tf.TensorArray(
            tf.float32, steps, infer_shape=False, element_shape=[None, len(self.classes)]
        )

        def step(number, found):
            begin = number * _WINDOWS_AT_ONCE
            end = tf.minimum(begin + _WINDOWS_AT_ONCE, count)
            features = self.packer.pack(ids[begin:end], pad_to_longest=True)
            chosen = _beside(features, decides[begin:end])
            logits = tf.boolean_mask(self(features, training=False), chosen)
            return number + 1, found.write(number, logits)

        _, found = tf.while_loop(
            lambda number, _: number < steps, step, (0, found), parallel_iterations=1
        )
        return found.concat()

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
        if x is not None and not keys.is_text(x):
            return super().predict(x, batch_size, verbose, **kwargs)
        if hasattr(x, "element_spec"):
            self._of_dataset(x)  # refuses
        if kwargs:
            raise InputError(f"predict on words or text takes no {', '.join(kwargs)}")
        return self._predict_words(self.raw_columns(x), batch_size)

    def _predict_words(self, columns: dict, batch_size: int | None) -> list[np.ndarray]:
        """The logits of the words of raw columns, (words, classes) for each row."""
        import tensorflow as tf

        strings, counts = tf.TensorSpec([None], tf.string), tf.TensorSpec([None], tf.int64)

        def of_words():
            def logits(words, lengths):
                return self.word_logits(tf.RaggedTensor.from_row_lengths(words, lengths)), lengths

            return tf.function(logits, input_signature=[strings, counts], autograph=False)

        def of_text():
            def logits(text):
                words, _, _ = self._words_of_text(text)
                return self.word_logits(words), words.row_lengths()

            return tf.function(logits, input_signature=[strings], autograph=False)

        ((name, column),) = columns.items()
        column, found, batch_size = plain(column), [], checked_size(batch_size)
        for begin in range(0, len(column), batch_size):
            rows = column[begin : begin + batch_size]
            if name == keys.TEXT:
                logits, lengths = self._graph("logits of text", of_text)(tf.constant(rows))
            else:
                words = tf.constant([word for row in rows for word in row], tf.string)
                lengths = tf.constant([*map(len, rows)], tf.int64)
                logits, lengths = self._graph("logits of words", of_words)(words, lengths)
            found.extend(np.split(logits.numpy(), np.cumsum(lengths.numpy())[:-1]))
            advance(len(rows))
        return found

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
        columns = self.raw_columns(x)
        texts, words, places = self._sentences(columns)
        if aggregation is None:
            found = self._predict_words(columns, batch_size)
            return [
                self._tagged(text, own, _probabilities(logits))
                for text, own, logits in zip(texts, places, found, strict=True)
            ]
        sentences = zip(texts, places, self._predict_tokens(words, batch_size), strict=True)
        return [
            join(text, self._parts(text, own, tokens, aggregation))
            for text, own, tokens in sentences
        ]

    def _sentences(self, columns: dict) -> tuple[list[str], list[list], list[list[tuple]]]:
        """The texts, their words, and where each starts and ends in characters."""
        import tensorflow as tf

        from kerasbert.text import bytes_to_characters

        if keys.TEXT in columns:
            text = _valid(tf.constant(plain(columns[keys.TEXT]), tf.string))
            words, *limits = self._words_of_text(text)
            limits = (bytes_to_characters(text, offsets).to_list() for offsets in limits)
            places = [list(zip(*row, strict=True)) for row in zip(*limits, strict=True)]
            return [one.decode() for one in text.numpy()], words.to_list(), places
        words, texts, places = [list(row) for row in plain(columns[keys.WORDS])], [], []
        for row in words:
            own = [w.decode("utf-8", "replace") if isinstance(w, bytes) else w for w in row]
            ends = np.cumsum([len(word) + 1 for word in own]) - 1
            texts.append(" ".join(own))
            places.append([(int(e) - len(word), int(e)) for word, e in zip(own, ends, strict=True)])
        return texts, words, places

    def _predict_tokens(self, words: list[list], batch_size: int) -> Iterator[list[tuple]]:
        """For every sentence, for each of its words: the ids of its tokens, and their logits."""
        import tensorflow as tf

        def of_tokens():
            def logits(words, lengths):
                sentences = tf.RaggedTensor.from_row_lengths(words, lengths)
                ids, _, decides = self._windows(sentences, every_token=True)
                pieces = self.tokenizer.tokenize_words(words)
                return self._logits(ids, decides), pieces.values, pieces.row_splits

            strings, counts = tf.TensorSpec([None], tf.string), tf.TensorSpec([None], tf.int64)
            return tf.function(logits, input_signature=[strings, counts], autograph=False)

        batch_size = checked_size(batch_size)
        for begin in range(0, len(words), batch_size):
            rows = words[begin : begin + batch_size]
            flat = tf.constant([word for row in rows for word in row], tf.string)
            lengths = tf.constant([*map(len, rows)], tf.int64)
            logits, ids, splits = self._graph("logits of tokens", of_tokens)(flat, lengths)
            cuts = splits.numpy()[1:-1]
            pairs = zip(*(np.split(x.numpy(), cuts) for x in (ids, logits)), strict=True)
            for row in rows:
                yield list(itertools.islice(pairs, len(row)))

    def _tagged(self, text: str, places, scores: np.ndarray) -> list[TaggedWord]:
        """Parts of a text with the likeliest of their classes; `scores` is (parts, classes)."""
        return [
            TaggedWord(text[start:end], self.classes[best], float(own[best]), start, end)
            for (start, end), own, best in zip(places, scores, scores.argmax(-1), strict=True)
        ]

    def _parts(self, text: str, places, tokens, aggregation: str) -> list[TaggedWord]:
        """The words of a sentence or, if aggregation is "simple", its tokens."""
        if not tokens:
            return []
        scores = [_probabilities(logits) for _, logits in tokens]
        if aggregation in WORD_SCORES:
            of_word = WORD_SCORES[aggregation]
            return self._tagged(text, places, np.stack([of_word(each) for each in scores]))
        inside = (
            place
            for (start, end), (ids, _) in zip(places, tokens, strict=True)
            for place in self._token_places(text, start, end, ids)
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
        import tensorflow as tf

        columns = raw_columns(texts, ((keys.TEXT,),), "split")
        words, _, _ = self._words_of_text(tf.constant(columns[keys.TEXT], tf.string))
        return [[word.decode() for word in sentence] for sentence in words.to_list()]

    def _words_of_text(self, text) -> tuple:
        """Words, starts and ends of texts, (batch,); see `Tokenizer.split_words`.

        The offsets are in bytes of the texts as UTF-8, in which U+FFFD stands for bytes that are
        not.
        """
        return self.packer.tokenizer.split_words(_valid(text))

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

        columns = self.raw_columns(x)
        if not length(next(iter(columns.values()))):
            raise InputError(f"{self.name}: there are no examples")
        if keys.WORDS not in columns:
            raise InputError(f"{self.name} is scored on lists of words")
        lengths = [len(words) for words in plain(columns[keys.WORDS])]
        places = self._class_indices(y, lengths)
        cuts = np.cumsum(lengths)[:-1]
        true = [[self.classes[i] for i in one] for one in np.split(np.array(places, int), cuts)]
        logits = self._predict_words(columns, batch_size)
        found = [[self.classes[i] for i in one.argmax(-1)] for one in logits]
        if not entities.are_entity_tags(self.classes):
            return {"accuracy": entities.accuracy(true, found)}
        return entities.entity_scores(true, found, strict=strict)

    # === Export ===

    def serving_signature(self):
        """`text` -> `words`, `labels`, `scores`, `starts`, `ends` of each word, and `lengths`.

        `starts` and `ends` count characters of the text. Rows are filled up to the longest;
        `lengths` says how many words each has. Bytes that are not UTF-8 are U+FFFD; NUL in a word
        is U+0001.
        """
        import tensorflow as tf

        from kerasbert.text import bytes_to_characters

        def tag(text):
            words, starts, ends = self._words_of_text(text)
            scores = tf.nn.softmax(self.word_logits(words))
            labels = tf.gather(tf.constant(self.classes), tf.argmax(scores, axis=-1))
            valid = _valid(text)
            return {
                "words": words.to_tensor(),
                "labels": words.with_values(labels).to_tensor(),
                "scores": words.with_values(tf.reduce_max(scores, axis=-1)).to_tensor(),
                "starts": bytes_to_characters(valid, starts).to_tensor(),
                "ends": bytes_to_characters(valid, ends).to_tensor(),
                "lengths": words.row_lengths(),
            }

        return (keys.TEXT,), tag


# === Sentences ===


def _valid(text):
    import tensorflow as tf

    return tf.strings.unicode_transcode(text, "UTF-8", "UTF-8", errors="replace")


def _lists(name: str, values, lengths: Sequence[int]) -> list:
    """One list of values for each sentence; a single value is each word's."""
    values = plain(values)
    if len(values) != len(lengths):
        raise InputError(f"there are {len(lengths)} sentences, but {name} has {len(values)}")
    lists = [
        plain(own) if isinstance(own, Iterable) and not isinstance(own, str) else [own] * int(count)
        for own, count in zip(values, lengths, strict=True)
    ]
    for number, (found, count) in enumerate(zip(lists, lengths, strict=True)):
        if len(found) != count:
            raise InputError(f"sentence {number} has {count} words, but {len(found)} in {name}")
    return lists


def _probabilities(logits: np.ndarray) -> np.ndarray:
    """The softmax over the last axis."""
    weights = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return weights / weights.sum(axis=-1, keepdims=True)


# === Windows ===


def deciding_windows(lengths, size: int, stride: int) -> tuple:
    """Cuts rows of tokens into windows, and says which window every token is looked at in.

    The last window of a row is as long as the others: it starts where it ends with the row.

    Args:
        lengths: int64 (rows,), the number of tokens of each row.
        size: tokens that a window may have.
        stride: tokens from the start of a window to the next, in [1, size].

    Returns:
        Two ragged tensors (windows, tokens), row after row: the places of the windows' tokens in
        all rows' tokens one after the other (int64); and whether the window decides over the token
        (bool), having more tokens beside it, on the side where it has fewer, than any other window,
        or as many as a later one. One window decides over a token.
    """
    import tensorflow as tf

    from kerasbert.data.windows import overlapping_windows

    row, begin, _ = overlapping_windows(lengths, size, stride)
    length = tf.gather(lengths, row)
    begin = tf.minimum(begin, tf.maximum(length - size, 0))
    end = tf.minimum(begin + size, length)
    # Windows of a row have the same length, so the middle of what two share is where they change.
    next_in_row = tf.equal(row[1:], row[:-1])
    middle = (begin[1:] + end[:-1] + 1) // 2
    first = tf.concat([begin[:1], tf.where(next_in_row, middle, begin[1:])], axis=0)
    limit = tf.concat([tf.where(next_in_row, middle, end[:-1]), end[-1:]], axis=0)

    offset = tf.gather(tf.cumsum(lengths, exclusive=True), row)
    places = tf.ragged.range(offset + begin, offset + end)
    first, limit = (tf.gather(offset + x, places.value_rowids()) for x in (first, limit))
    return places, places.with_values((first <= places.values) & (places.values < limit))


def _beside(features: dict, values):
    """Ragged values of tokens, (batch, tokens), at the tokens' places in packed features."""
    import tensorflow as tf

    width = tf.shape(features[keys.TOKEN_IDS])[1]
    dense = values.to_tensor(shape=tf.stack([-1, width - 1]))
    return tf.pad(dense, [[0, 0], [1, 0]])  # [CLS] has none
