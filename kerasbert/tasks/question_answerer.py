"""A question and a context -> the span of the context that answers it."""

from collections.abc import Sequence
from typing import NamedTuple

import keras

from kerasbert import features as keys
from kerasbert.backbone import Backbone, feature_inputs
from kerasbert.data.inputs import checked_size, numbers, plain
from kerasbert.errors import InputError
from kerasbert.layers import Dropout
from kerasbert.layers.initializers import kernel_initializer
from kerasbert.tasks.task import Task
from kerasbert.training.optimizers import adamw
from kerasbert.training.progress import advance

_EXPORTED_ANSWERS = 5
_EXPORTED_WINDOWS_AT_ONCE = 16  # bounds the memory that a long document takes


class Answer(NamedTuple):
    """A part of a context, or "no answer": an empty text.

    Attributes:
        text: `context[start:end]`.
        score: its probability, see `QuestionAnswerer`.
        start: its first character's place in the context.
        end: the place after its last character.
    """

    text: str
    score: float
    start: int
    end: int


@keras.saving.register_keras_serializable("kerasbert")
class QuestionAnswerer(Task):
    """Scores every token as the start and as the end of the answer (BERT, §4.2 and §4.3).

    Call: features of question and context -> `start_logits` and `end_logits`, float32 (batch,
    sequence).

    Text is a dict of `question` and `context`, or a tuple of the two. A context may have any
    length: it is read in windows that overlap, and each is a row of its own in `fit` and
    `evaluate`. Labels are dicts of `text` and `answer_start` (in characters), lists of all right
    answers of which the first is learned; where they are empty, and in windows that don't hold the
    whole answer, the model learns to point at `[CLS]`. A label may also be the answer alone, or a
    list of right answers; `fit` then has to find the first in its context once. With ready features
    labels are positions (batch,) under `start_logits` and `end_logits`.

    An answer is whole words of the context, from a start to an end token in the same window. Its
    logit is the sum of both tokens' (the best, where several tokens or windows mean the same span).
    Its score is the product of both tokens' probabilities, in softmaxes over the context tokens of
    all windows. A model with a `no_answer_threshold` may also say that there is no answer: the
    logit of that is the lowest sum at `[CLS]` among the windows, it then takes its share of the
    probability, and it is said where its probability against the best span alone is above the
    threshold.

    Args:
        backbone: the encoder.
        tokenizer: see `Task`.
        sequence_length: see `Task`; tokens of a window, question included.
        dropout: rate before the last layer.
        stride: tokens from the start of a window to that of the next (`doc_stride` in
            `run_squad.py`).
        max_question_length: tokens of a question, the rest is cut off; it never has more than half
            of a window.
        max_answer_length: tokens an answer may have when it is looked for.
        no_answer_threshold: from 0 to 1, see above; None: it always answers if there is a context.
        name: the model's name.
    """

    outputs_are = "tokens"
    text_columns = ((keys.QUESTION, keys.CONTEXT),)
    reads_windows = True

    def __init__(
        self,
        backbone: Backbone,
        *,
        tokenizer=None,
        sequence_length: int | None = None,
        dropout: float = 0.0,
        stride: int = 128,
        max_question_length: int = 64,
        max_answer_length: int = 30,
        no_answer_threshold: float | None = None,
        name: str = "question_answerer",
    ):
        for argument, value in (
            ("stride", stride),
            ("max_question_length", max_question_length),
            ("max_answer_length", max_answer_length),
        ):
            if value < 1:
                raise InputError(f"{argument} must be 1 or more, found {value}")
        if no_answer_threshold is not None and not 0 <= no_answer_threshold <= 1:
            raise InputError(f"no_answer_threshold must be in [0, 1], found {no_answer_threshold}")

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
        self.stride = stride
        self.max_question_length = max_question_length
        self.max_answer_length = max_answer_length
        self.no_answer_threshold = no_answer_threshold

    def head_config(self) -> dict:
        """Dropout, how long documents are read, and how sure "no answer" has to be."""
        return {
            "dropout": self.dropout_rate,
            "stride": self.stride,
            "max_question_length": self.max_question_length,
            "max_answer_length": self.max_answer_length,
            "no_answer_threshold": self.no_answer_threshold,
        }

    def compile(self, optimizer=None, loss=None, metrics=None, **kwargs):
        """Keras's `compile`; AdamW, both cross-entropies and both accuracies unless given."""
        outputs = (keys.START_LOGITS, keys.END_LOGITS)

        def each(make, **arguments):
            return {name: make(**arguments) for name in outputs}

        super().compile(
            optimizer=optimizer or adamw(5e-5),
            loss=loss or each(keras.losses.SparseCategoricalCrossentropy, from_logits=True),
            metrics=metrics or each(keras.metrics.SparseCategoricalAccuracy, name="accuracy"),
            **kwargs,
        )

    # === Learning ===

    def rows(self, x, y=None, sample_weight=None):
        """A row for every window: ids of `question` and of `context`, ragged, and positions.

        Raises:
            InputError: a label that does not fit its context.
        """
        import tensorflow as tf

        from kerasbert.data.answers import answer_labels, first_answers, tokens_of
        from kerasbert.data.text_batches import Rows
        from kerasbert.data.windows import cut

        if isinstance(x, Rows):
            return x
        questions, contexts = self._question_and_context(x)
        if not questions:
            raise InputError(f"{self.name}: there are no examples")
        documents = {context: number for number, context in enumerate(dict.fromkeys(contexts))}
        of_question = tf.constant([documents[context] for context in contexts], tf.int64)
        asked = self._questions(questions)
        ids, starts, ends = self.tokenizer.tokenize_with_offsets(list(documents))
        windows = self._windows(asked, tf.gather(ids.row_lengths(), of_question))
        document = tf.gather(of_question, windows.row)
        asked = tf.gather(asked, windows.row)
        columns = {keys.QUESTION: asked, keys.CONTEXT: cut(ids, windows._replace(row=document))}
        if sample_weight is not None:
            sample_weight = numbers("sample_weight", sample_weight)
            if len(sample_weight) != len(questions):
                raise InputError(
                    f"there are {len(questions)} questions, but sample_weight has "
                    f"{len(sample_weight)}"
                )
            sample_weight = sample_weight[windows.row.numpy()]
        if y is None:
            return Rows(columns, None, sample_weight)
        answers = first_answers(contexts, answer_labels(y, len(contexts)))
        first, last = tokens_of(answers, of_question, list(documents), starts, ends)
        first, last = (tf.gather(place, windows.row) - windows.start for place in (first, last))
        inside = tf.gather(answers[:, 1] > 0, windows.row) & (first >= 0) & (last < windows.length)
        before = asked.row_lengths() + self.packer.tokens_before_second
        positions = {
            name: tf.where(inside, before + place, 0)  # [CLS] is the first token
            for name, place in ((keys.START_LOGITS, first), (keys.END_LOGITS, last))
        }
        return Rows(columns, positions, sample_weight)

    def training_examples(self, number, row: dict, y, sample_weight) -> tuple:
        """Features of windows, and the positions that `rows` found."""
        features = self.packer.pack(row[keys.QUESTION], row[keys.CONTEXT], pad_to_longest=True)
        return features, y, sample_weight

    def _questions(self, questions):
        """Ids of questions, ragged, cut to the room they have."""
        room = min(self.max_question_length, self.packer.pair_room // 2)
        return self.tokenizer.tokenize(questions)[:, :room]

    def _windows(self, asked, lengths):
        """Windows of contexts with so many tokens, beside the ids of their questions."""
        from kerasbert.data.windows import overlapping_windows

        room = self.packer.pair_room
        if room < 1:
            raise InputError(
                f"sequence_length {self.sequence_length} has no room for a question's context"
            )
        return overlapping_windows(lengths, room - asked.row_lengths(), self.stride)

    # === Answers ===

    def answer(
        self,
        questions: Sequence[str],
        contexts: Sequence[str],
        *,
        n_best: int = 1,
        batch_size: int = 32,
    ) -> list[list[Answer]]:
        """Answers questions.

        Args:
            questions: strings.
            contexts: as many strings, of any length.
            n_best: different answers of each question.
            batch_size: windows that are looked at together.

        Returns:
            For each question the best answers, the best first: one, the empty one, if there is
            nothing in the context, and else as many as there are, up to `n_best`.
        """
        answers, _ = self._ask(questions, contexts, n_best, batch_size)
        return answers

    def predict(self, x, batch_size=None, verbose="auto", *, n_best: int = 1, **kwargs):
        """Keras's `predict` on features (returns logits), or `answer` on text.

        Args:
            x: features, or text that is not a dataset.
            batch_size: rows or windows at a time; None: 32.
            verbose: see Keras; text has no progress bar.
            n_best: see `answer`.
            **kwargs: see Keras.
        """
        if x is not None and not keys.is_text(x):
            return super().predict(x, batch_size, verbose, **kwargs)
        if hasattr(x, "element_spec"):
            self._of_dataset(x)  # refuses
        questions, contexts = self._question_and_context(x)
        return self.answer(questions, contexts, n_best=n_best, batch_size=batch_size)

    def best_spans(
        self, questions: Sequence[str], contexts: Sequence[str], *, batch_size: int = 32
    ) -> tuple[list[str], list[float]]:
        """What the official script of SQuAD 2.0 asks for, whatever the threshold is.

        Args:
            questions: strings.
            contexts: as many strings.
            batch_size: windows that are looked at together.

        Returns:
            The best span of each context ("" if it has no words), and the probability of "no
            answer" against it alone.
        """
        answers, no_answer = self._ask(questions, contexts, 2, batch_size)
        spans = [next((a.text for a in best if a.text), "") for best in answers]
        return spans, no_answer

    def score(self, x, y, *, batch_size: int = 32) -> dict[str, float]:
        """The official metrics of SQuAD 2.0 if a question has no answer, else those of SQuAD 1.1.

        Args:
            x: text that is not a dataset.
            y: labels.
            batch_size: windows that are looked at together.

        Returns:
            `exact_match` and `f1` in percent, and more for SQuAD 2.0; see `kerasbert.metrics.squad`
            (which also says how Chinese is measured).
        """
        from kerasbert.metrics import squad

        right, spans, no_answer = self._right_and_found(x, y, batch_size)
        threshold = 1.0 if self.no_answer_threshold is None else self.no_answer_threshold
        if not all(map(len, right)):
            return squad.evaluate_v2(right, spans, no_answer, threshold)
        pairs = zip(spans, no_answer, strict=True)
        return squad.evaluate_v1(right, ["" if p > threshold else span for span, p in pairs])

    def tune_threshold(self, x, y, *, metric: str = "f1", batch_size: int = 32) -> dict[str, float]:
        """Sets `no_answer_threshold` to what is best on development data with unanswerable ones.

        Args:
            x: text that is not a dataset.
            y: labels.
            metric: "f1" or "exact".
            batch_size: windows that are looked at together.

        Returns:
            What `score` now gives.
        """
        from kerasbert.metrics import squad

        if metric not in ("f1", "exact"):
            raise InputError(f"metric must be f1 or exact, found {metric!r}")
        right, spans, no_answer = self._right_and_found(x, y, batch_size)
        best = squad.evaluate_v2(right, spans, no_answer)[f"best_{metric}_thresh"]
        self.no_answer_threshold = best
        return squad.evaluate_v2(right, spans, no_answer, best)

    def _right_and_found(self, x, y, batch_size: int) -> tuple[list[list[str]], list, list]:
        """The right answers of every question, and what `best_spans` gives."""
        from kerasbert.data.answers import answer_labels

        questions, contexts = self._question_and_context(x)
        if not questions:
            raise InputError(f"{self.name}: there are no examples")
        right = [label["text"] for label in answer_labels(y, len(questions))]
        return right, *self.best_spans(questions, contexts, batch_size=batch_size)

    def _question_and_context(self, x) -> tuple[list[str], list[str]]:
        """The two columns of text, as strings."""
        columns = self.raw_columns(x)
        return tuple(
            [one.decode("utf-8", "replace") if isinstance(one, bytes) else one for one in column]
            for column in map(plain, columns.values())
        )

    def _ask(self, questions, contexts, n_best: int, batch_size: int):
        """Answers, and the probability of "no answer" against the best span."""
        import numpy as np
        import tensorflow as tf

        if n_best < 1:
            raise InputError(f"n_best must be 1 or more, found {n_best}")
        batch_size = checked_size(batch_size)
        questions, contexts = self._question_and_context((questions, contexts))

        def make():
            return tf.function(self._answers, reduce_retracing=True, autograph=False)

        search = self._graph("answers", make)
        answers, no_answer = [None] * len(questions), [0.0] * len(questions)
        # Contexts of like length are read together, so that little of a batch is padding.
        order = np.argsort([len(context) for context in contexts], kind="stable")
        for begin in range(0, len(order), batch_size):
            places = order[begin : begin + batch_size]
            asked = (tf.constant([column[i] for i in places]) for column in (questions, contexts))
            found = search(*asked, n_best, batch_size, self.no_answer_threshold)
            found = {name: value.numpy() for name, value in found.items()}
            for row, i in enumerate(places):
                columns = (found[name][row].tolist() for name in ("scores", "starts", "ends"))
                best = [
                    Answer(contexts[i][start:end], score, start, end)
                    for score, start, end in zip(*columns, strict=True)
                ]
                answers[i] = best[: max(1, found["counts"][row])]
                no_answer[i] = float(found["no_answer"][row])
            advance(len(places))
        return answers, no_answer

    def _answers(self, question, context, n: int, at_once: int, threshold: float | None) -> dict:
        """The `n` best answers of each row, the best first; in the graph.

        Returns:
            `answers`, `scores`, `starts` and `ends` (in characters), (batch, n), of which the first
            of `counts` (batch,) are there and the rest is empty; `no_answer` (batch,), as in
            `best_spans`.
        """
        import tensorflow as tf

        from kerasbert.tasks import spans
        from kerasbert.text import bytes_to_characters

        context = tf.strings.unicode_transcode(context, "UTF-8", "UTF-8")  # U+FFFD for bad bytes
        best, null, total = self._spans(question, context, n, at_once)
        there = best.logits > spans.NEVER
        gap = tf.cast(null, tf.float64) - tf.cast(best.logits[:, 0], tf.float64)
        no_answer = tf.where(there[:, 0], tf.sigmoid(gap), 1.0)
        if threshold is not None:
            best = spans.with_null(best, null, no_answer > threshold)
            total = tf.reduce_logsumexp(tf.stack([total, null]), axis=0)
            there = best.logits > spans.NEVER
        scores = tf.where(there, tf.exp(best.logits - total[:, tf.newaxis]), 0.0)
        offsets = tf.RaggedTensor.from_tensor(tf.concat([best.starts, best.ends], axis=1))
        characters = bytes_to_characters(context, offsets).to_tensor(shape=[None, 2 * n])
        texts = tf.repeat(context[:, tf.newaxis], n, axis=1)
        return {
            "answers": tf.strings.substr(texts, best.starts, best.ends - best.starts),
            "scores": scores,
            "starts": characters[:, :n],
            "ends": characters[:, n:],
            "counts": tf.reduce_sum(tf.cast(there, tf.int32), axis=1),
            "no_answer": no_answer,
        }

    def _spans(self, question, context, n: int, at_once: int):
        """Looks at all windows, `at_once` at a time.

        Returns:
            The `n` best `Spans` of each context; the logit of "no answer", (batch,); and the
            logarithm of what the spans' exponential logits are to be divided by, (batch,).
        """
        import tensorflow as tf

        from kerasbert.data.windows import cut
        from kerasbert.tasks import spans

        asked = self._questions(question)
        ids, *offsets = self.tokenizer.tokenize_with_offsets(context)
        windows = self._windows(asked, ids.row_lengths())

        def look(first):
            window = windows.batch(first, at_once)
            of_window = tf.gather(asked, window.row)
            features = self.packer.pack(of_window, cut(ids, window), pad_to_longest=True)
            outputs = self(features, training=False)
            logits = [outputs[name] for name in (keys.START_LOGITS, keys.END_LOGITS)]
            begin = of_window.row_lengths() + self.packer.tokens_before_second
            of_context = [spans.of_second_text(x, begin, window.length) for x in logits]
            words = [spans.like(of_context[0], cut(x, window)) for x in offsets]
            best = spans.best_spans(*of_context, *words, n, self.max_answer_length)
            totals = [tf.reduce_logsumexp(x, axis=1) for x in of_context]
            return *best, logits[0][:, 0] + logits[1][:, 0], *totals

        table, column = tf.TensorSpec([None, n]), tf.TensorSpec([None])
        places = tf.TensorSpec([None, n], tf.int64)
        specs = (table, places, places, column, column, column)
        *found, null, starts, ends = spans.in_steps(look, tf.size(windows.row), at_once, specs)

        def side_by_side(values, empty):
            """The values of each context's windows, (batch, values)."""
            rows = tf.RaggedTensor.from_value_rowids(values, windows.row, nrows=ids.nrows())
            return rows.to_tensor(empty)

        found = (spans.flat(side_by_side(*x)) for x in zip(found, spans.NO_SPAN, strict=True))
        totals = (tf.reduce_logsumexp(side_by_side(x, spans.NEVER), axis=1) for x in (starts, ends))
        null = tf.reduce_min(side_by_side(null, -spans.NEVER), axis=1)
        return spans.distinct(spans.Spans(*found), n), null, sum(totals)

    def serving_signature(self):
        """`question`, `context` -> `answer` and what belongs to it, and the best five.

        `answer`, `score`, `start` and `end` (in characters) are those of `QuestionAnswerer.answer`;
        `n_best_answers`, `n_best_scores`, `n_best_starts` and `n_best_ends` (batch, 5) have the
        others too, and nothing where there are fewer; `no_answer_score` (batch,) is what
        `no_answer_threshold` is compared with.
        """
        import tensorflow as tf

        threshold = self.no_answer_threshold

        def answer(question, context):
            found = self._answers(
                question, context, _EXPORTED_ANSWERS, _EXPORTED_WINDOWS_AT_ONCE, threshold
            )
            columns = ("answers", "scores", "starts", "ends")
            return {
                **{f"n_best_{name}": found[name] for name in columns},
                **{name.removesuffix("s"): found[name][:, 0] for name in columns},
                "no_answer_score": tf.cast(found["no_answer"], tf.float32),
            }

        return (keys.QUESTION, keys.CONTEXT), answer
