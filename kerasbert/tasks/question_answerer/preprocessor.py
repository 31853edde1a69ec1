"""Preprocessing for question answering: windows of long contexts, and spans of answers."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from kerasbert.data.answers import answer_labels, first_answers, tokens_of
from kerasbert.data.inputs import as_string, plain, sample_weights
from kerasbert.data.text_batches import Rows
from kerasbert.data.windows import by_row, cut, overlapping_windows
from kerasbert.errors import InputError
from kerasbert.features import (
    CONTEXT,
    END_LOGITS,
    PADDING_MASK,
    QUESTION,
    START_LOGITS,
    TOKEN_IDS,
)
from kerasbert.lazy import tensorflow as tf
from kerasbert.tasks.graphs import outputs_of
from kerasbert.tasks.preprocessor import Preprocessor
from kerasbert.tasks.question_answerer import spans
from kerasbert.text import bytes_to_characters

_EXPORTED_ANSWERS = 5
_EXPORTED_WINDOWS_AT_ONCE = 16  # bounds the memory that a long document needs


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class QuestionAnswererPreprocessor(Preprocessor):
    """Cuts contexts into windows, and finds the best spans; for attributes see the model."""

    stride: int = 128
    max_question_length: int = 64
    max_answer_length: int = 30
    no_answer_threshold: float | None = None

    text_columns = ((QUESTION, CONTEXT),)
    reads_windows = True

    def rows(self, x: Any, y: Any = None, sample_weight: Any = None) -> Any:
        """Returns one row per window: ragged ids of `question` and `context`, and positions.

        Raises:
            InputError: a label does not match its context.
        """
        if isinstance(x, Rows):
            return x
        questions, contexts = self.question_and_context(x)
        if not questions:
            raise InputError(f"{self.name}: there are no examples")
        documents = {context: number for number, context in enumerate(dict.fromkeys(contexts))}
        of_question = tf.constant([documents[context] for context in contexts], tf.int64)
        asked = self.question_ids(questions)
        ids, starts, ends = self.tokenizer.tokenize_with_offsets(list(documents))
        windows = self.windows(asked, tf.gather(ids.row_lengths(), of_question))
        document = tf.gather(of_question, windows.row)
        asked = tf.gather(asked, windows.row)
        columns = {QUESTION: asked, CONTEXT: cut(ids, windows._replace(row=document))}
        if sample_weight is not None:
            sample_weight = sample_weights(sample_weight)
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
        first, last = (
            tf.gather(position, windows.row) - windows.start for position in (first, last)
        )
        inside = tf.gather(answers[:, 1] > 0, windows.row) & (first >= 0) & (last < windows.length)
        before = asked.row_lengths() + self.packer.tokens_before_second
        positions = {
            name: tf.where(inside, before + position, 0)  # [CLS] is the first token
            for name, position in ((START_LOGITS, first), (END_LOGITS, last))
        }
        return Rows(columns, positions, sample_weight)

    def training_examples(
        self, number: Any, row: dict[str, Any], y: Any, sample_weight: Any
    ) -> tuple[Any, ...]:
        """Returns features of windows, and the positions that `rows` computed."""
        features = self.packer.pack(row[QUESTION], row[CONTEXT], pad_to_longest=True)
        return features, y, sample_weight

    def question_ids(self, questions: Any) -> Any:
        """Returns ragged ids of questions, truncated to `max_question_length`."""
        room = min(self.max_question_length, self.packer.pair_room // 2)
        return self.tokenizer.tokenize(questions)[:, :room]

    def windows(self, asked: Any, lengths: Any) -> Any:
        """Returns windows of contexts of given lengths that fit next to their questions."""
        room = self.packer.pair_room
        if room < 1:
            raise InputError(
                f"sequence_length {self.sequence_length} has no room for a question's context"
            )
        return overlapping_windows(lengths, room - asked.row_lengths(), self.stride)

    def sequences(self, question: Any, context: Any) -> dict[str, Any]:
        """Returns the tokens of all windows of each row, (batch, windows, tokens)."""
        asked, ids = self.question_ids(question), self.tokenizer.tokenize(context)
        windows = self.windows(asked, ids.row_lengths())
        features = self._packed(asked, ids, windows)
        return by_row(features, windows.row, ids.nrows(), {TOKEN_IDS: self.tokenizer.pad_id})

    def _packed(self, asked: Any, ids: Any, windows: Any) -> dict[str, Any]:
        """Returns features of windows of contexts, each beside the question of its row."""
        asked = tf.gather(asked, windows.row)
        return self.packer.pack(asked, cut(ids, windows), pad_to_longest=True)

    def question_and_context(self, x: Any) -> tuple[list[str], list[str]]:
        """Returns the columns of questions and contexts as strings."""
        columns = self.columns(x)
        questions, contexts = (
            [as_string(one) for one in plain(column)] for column in columns.values()
        )
        return questions, contexts

    def right_answers(self, y: Any, count: int) -> list[list[str]]:
        """Returns the texts of all correct answers of each of `count` questions."""
        return [label["text"] for label in answer_labels(y, count)]

    # === Answers, in the graph ===

    def answers(
        self, task: Any, question: Any, context: Any, n: int, at_once: int, threshold: float | None
    ) -> dict[str, Any]:
        """Returns the `n` best answers of each row, the best first, in the graph.

        Args:
            task: the model.
            question: strings, (batch,).
            context: strings, (batch,).
            n: number of answers.
            at_once: windows per batch.
            threshold: `no_answer_threshold` of `QuestionAnswerer`.

        Returns:
            `answers`, `scores`, `starts` and `ends` (in characters), (batch, n), padded after the
            first `counts` (batch,); and `no_answer` (batch,), as in
            `QuestionAnswerer.best_spans`.
        """
        context = tf.strings.unicode_transcode(context, "UTF-8", "UTF-8")  # bad bytes: U+FFFD
        best, null, total = self._spans(task, question, context, n, at_once)
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

    def traced_answers(self, task: Any) -> Callable[..., Any]:
        """Returns `answers` as a traced function of questions, contexts, `n` and `at_once`.

        Questions and contexts are lists of strings; results are NumPy arrays, without the texts.
        """

        def find(question, context, n, at_once):
            threshold = self.no_answer_threshold
            found = self.answers(task, question, context, n, at_once, threshold)
            del found["answers"]  # cut from the contexts, which Python has as strings
            return found

        traced = tf.function(find, reduce_retracing=True, autograph=False)

        def search(questions: list[str], contexts: list[str], n: int, at_once: int) -> dict:
            found = traced(tf.constant(questions), tf.constant(contexts), n, at_once)
            return {name: value.numpy() for name, value in found.items()}

        return search

    def _spans(self, task, question, context, n: int, at_once: int) -> tuple[spans.Spans, Any, Any]:
        """Searches all windows, `at_once` at a time.

        Returns:
            The `n` best `Spans` of each context; the logit of "no answer", (batch,); and the log
            of the softmax denominator over spans, (batch,).
        """
        asked, ids, offsets, windows = self._read(question, context)

        def score_windows(first):
            window = windows.batch(first, at_once)
            outputs = outputs_of(task, self._packed(asked, ids, window))
            logits = [outputs[name] for name in (START_LOGITS, END_LOGITS)]
            begin = tf.gather(asked.row_lengths(), window.row) + self.packer.tokens_before_second
            of_context = [spans.of_second_text(x, begin, window.length) for x in logits]
            begins, ends = (spans.like(of_context[0], cut(x, window)) for x in offsets)
            best = spans.best_spans(
                of_context[0], of_context[1], begins, ends, n, self.max_answer_length
            )
            totals = [tf.reduce_logsumexp(x, axis=1) for x in of_context]
            return *best, logits[0][:, 0] + logits[1][:, 0], *totals

        table, column = tf.TensorSpec([None, n]), tf.TensorSpec([None])
        byte_offsets = tf.TensorSpec([None, n], tf.int64)
        specs = (table, byte_offsets, byte_offsets, column, column, column)
        *best, null, starts, ends = spans.in_steps(
            score_windows, tf.size(windows.row), at_once, specs
        )

        def side_by_side(values, empty):
            """Collects the values of each context's windows, (batch, values)."""
            rows = tf.RaggedTensor.from_value_rowids(values, windows.row, nrows=ids.nrows())
            return rows.to_tensor(empty)

        of_contexts = (spans.flat(side_by_side(*x)) for x in zip(best, spans.NO_SPAN, strict=True))
        totals = (tf.reduce_logsumexp(side_by_side(x, spans.NEVER), axis=1) for x in (starts, ends))
        null = tf.reduce_min(side_by_side(null, -spans.NEVER), axis=1)
        return spans.distinct(spans.Spans(*of_contexts), n), null, sum(totals)

    def _read(self, question, context) -> tuple:
        """Returns ids of questions; ids and offsets of contexts; and the contexts' windows."""
        asked = self.question_ids(question)
        ids, *offsets = self.tokenizer.tokenize_with_offsets(context)
        return asked, ids, offsets, self.windows(asked, ids.row_lengths())

    # === Logits of windows, in the graph ===

    def window_logits(
        self, task: Any, question: Any, context: Any, at_once: int
    ) -> tuple[Any, ...]:
        """Returns the logits of all windows of a batch of questions.

        Args:
            task: the model.
            question: strings, (batch,).
            context: strings, (batch,).
            at_once: windows per batch.

        Returns:
            The index of each window's question, int64 (windows,); start and end logits, float32
            (windows, sequence_length), `spans.NEVER` at padding.
        """
        asked, ids, _, windows = self._read(question, context)

        def of_windows(first):
            window = windows.batch(first, at_once)
            features = self._packed(asked, ids, window)
            outputs = outputs_of(task, features)
            there = tf.cast(features[PADDING_MASK], tf.bool)
            missing = [[0, 0], [0, self.sequence_length - tf.shape(there)[1]]]
            logits = (
                tf.where(there, outputs[name], spans.NEVER) for name in (START_LOGITS, END_LOGITS)
            )
            return [tf.pad(one, missing, constant_values=spans.NEVER) for one in logits]

        specs = [tf.TensorSpec([None, self.sequence_length])] * 2
        start, end = spans.in_steps(of_windows, tf.size(windows.row), at_once, specs)
        return windows.row, start, end

    def traced_window_logits(self, task: Any) -> Callable[..., Any]:
        """Returns `window_logits` as a traced function of lists of strings; it returns arrays."""
        traced = tf.function(
            lambda question, context, at_once: self.window_logits(task, question, context, at_once),
            reduce_retracing=True,
            autograph=False,
        )

        def find(questions: list[str], contexts: list[str], at_once: int) -> list:
            outputs = traced(tf.constant(questions), tf.constant(contexts), at_once)
            return [output.numpy() for output in outputs]

        return find

    def serving_signature(self, task: Any) -> tuple[tuple[str, ...], Callable[..., Any]]:
        """Maps `question` and `context` to the best answer and the five best.

        `answer`, `score`, `start` and `end` (in characters) are those of `QuestionAnswerer.answer`.
        `n_best_answers`, `n_best_scores`, `n_best_starts` and `n_best_ends` (batch, 5) contain the
        five best, padded if there are fewer. `no_answer_score` (batch,) is the probability that
        `no_answer_threshold` is compared with.
        """
        threshold = self.no_answer_threshold

        def answer(question, context):
            found = self.answers(
                task, question, context, _EXPORTED_ANSWERS, _EXPORTED_WINDOWS_AT_ONCE, threshold
            )
            columns = ("answers", "scores", "starts", "ends")
            return {
                **{f"n_best_{name}": found[name] for name in columns},
                **{name.removesuffix("s"): found[name][:, 0] for name in columns},
                "no_answer_score": tf.cast(found["no_answer"], tf.float32),
            }

        return (QUESTION, CONTEXT), answer
