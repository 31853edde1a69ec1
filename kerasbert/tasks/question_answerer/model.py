"""Question answering: the span of a context that answers a question."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import keras
import numpy as np

from kerasbert.backbone import Backbone, feature_inputs
from kerasbert.data.inputs import checked_count, checked_size
from kerasbert.errors import InputError
from kerasbert.features import END_LOGITS, SEQUENCE_OUTPUT, START_LOGITS
from kerasbert.layers import Dropout
from kerasbert.layers.choices import NEVER
from kerasbert.metrics import squad
from kerasbert.tasks.heads import output_layer
from kerasbert.tasks.outputs import concatenated
from kerasbert.tasks.results import Results
from kerasbert.tasks.task import Task
from kerasbert.text.tokenizer import Tokenizer
from kerasbert.training.optimizers import adamw
from kerasbert.training.progress import advance

_OUTPUTS = (START_LOGITS, END_LOGITS)


class Answer(NamedTuple):
    """An answer: a span of a context, or an empty text for "no answer".

    Attributes:
        text: `context[start:end]`.
        score: its probability; see `QuestionAnswerer`.
        start: index of its first character in the context.
        end: index after its last character.

    Examples:
        >>> import kerasbert
        >>> answer = kerasbert.tasks.Answer("Oslo", 0.9, start=14, end=18)
        >>> answer.text, answer.score
        ('Oslo', 0.9)
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
    length: it is read in overlapping windows, each of which is a row in `fit` and `evaluate`.

    A label is a dict of `text` and `answer_start` (in characters), two lists of all correct
    answers, of which the first is learned. If they are empty, or if a window does not contain the
    whole answer, the target is `[CLS]`. A label may also be just an answer or a list of correct
    answers; the first must then occur exactly once in the context. With ready features, labels are
    positions (batch,) under the keys `start_logits` and `end_logits`.

    `predict` on text returns the logits of the windows that each context is cut into, float32
    (questions, windows, sequence_length): row `[i, j]` is `[CLS] question [SEP]` and the j-th
    window of question i. Padding, and windows that a context does not have, are -1e9.
    All questions have as many windows as the longest context; `answer` and `score` have no array of
    that size.

    An answer consists of whole words, from a start token to an end token in the same window. Its
    logit is the sum of the two tokens' logits, the highest if several tokens or windows give the
    same span. Its score is the product of the two probabilities, from softmaxes over the context
    tokens of all windows. With a `no_answer_threshold`, "no answer" competes too: its logit is the
    lowest sum at `[CLS]` over the windows, the softmax includes it, and it is returned if its
    probability against the best span alone exceeds the threshold.

    Examples:
        A model with random weights learns an answer. `QuestionAnswerer.from_preset` loads a trained
        model, such as one of `kerasbert finetune --task question_answering`.

        >>> import kerasbert
        >>> words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "who", "lives", "in", "oslo"]
        >>> tokenizer = kerasbert.text.WordPieceTokenizer([*words, "ada", "?"])
        >>> config = kerasbert.BackboneConfig.from_preset("bert_tiny", vocabulary_size=11)
        >>> model = kerasbert.QuestionAnswerer(kerasbert.Backbone(config), tokenizer=tokenizer)
        >>> model.compile(kerasbert.training.adamw(1e-3))
        >>> questions, contexts = ["Who lives in Oslo?"], ["Ada lives in Oslo"]
        >>> x = {"question": questions * 200, "context": contexts * 200}
        >>> history = model.fit(x, ["Ada"] * 200, batch_size=8, verbose=0)
        >>> answers = model.answer(questions, contexts)
        >>> answers[0][0].text
        'Ada'

    Args:
        backbone: the encoder.
        tokenizer: as in `Task`.
        sequence_length: tokens per window, with the question; otherwise as in `Task`.
        dropout: dropout rate before the last layer.
        stride: tokens from the start of a window to the start of the next (`doc_stride` in
            `run_squad.py`).
        max_question_length: tokens per question, at most half of a window; longer questions are
            truncated.
        max_answer_length: tokens per predicted answer.
        no_answer_threshold: probability in [0, 1], see above; None: always answer, unless the
            context is empty.
        name: model name.

    Raises:
        InputError: an argument is out of range.
    """

    outputs_are = "tokens"
    needs_labels = True
    output_padding = NEVER
    pipeline_tag = "question-answering"
    example_call = 'model.answer(["A question?"], ["A text with the answer."])'

    def __init__(
        self,
        backbone: Backbone,
        *,
        tokenizer: Tokenizer | None = None,
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
        head = output_layer(backbone, 2, "span_head")

        # === Functional model ===
        inputs = feature_inputs()
        logits = head(drop(backbone(inputs)[SEQUENCE_OUTPUT]))
        super().__init__(
            backbone,
            inputs,
            {START_LOGITS: logits[..., 0], END_LOGITS: logits[..., 1]},
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

    def head_config(self) -> dict[str, Any]:
        """Returns dropout rate, lengths, stride and no-answer threshold."""
        return {
            "dropout": self.dropout_rate,
            "stride": self.stride,
            "max_question_length": self.max_question_length,
            "max_answer_length": self.max_answer_length,
            "no_answer_threshold": self.no_answer_threshold,
        }

    def compile(
        self, optimizer: Any = None, loss: Any = None, metrics: Any = None, **kwargs: Any
    ) -> None:
        """Compiles the model; by default with AdamW, two cross-entropies and two accuracies.

        Args:
            optimizer: as in Keras; None: `kerasbert.training.adamw(5e-5)`.
            loss: as in Keras; None: cross-entropy on the logits of starts, and of ends.
            metrics: as in Keras; None: the accuracy of starts, and of ends.
            **kwargs: as in `Task.compile`.

        Examples:
            >>> model.compile(kerasbert.training.adamw(3e-5))
        """
        cross_entropy = keras.losses.SparseCategoricalCrossentropy
        super().compile(
            optimizer=optimizer or adamw(5e-5),
            loss=loss or {name: cross_entropy(from_logits=True) for name in _OUTPUTS},
            metrics=metrics,
            **kwargs,
        )

    def _default_metrics(self) -> Any:
        accuracy = keras.metrics.SparseCategoricalAccuracy
        return {name: accuracy(name="accuracy") for name in _OUTPUTS}

    # === Text ===

    def make_preprocessor(self) -> Any:
        """Creates the preprocessor with this model's windows."""
        from kerasbert.tasks.question_answerer.preprocessor import QuestionAnswererPreprocessor

        settings = self.head_config()
        del settings["dropout"]
        return QuestionAnswererPreprocessor(**self._text_settings(), **settings)

    # === Answers ===

    def answer(
        self,
        questions: Sequence[str],
        contexts: Sequence[str],
        *,
        n_best: int = 1,
        batch_size: int | None = 32,
    ) -> Results[list[Answer]]:
        """Answers questions.

        Args:
            questions: strings.
            contexts: one string of any length per question.
            n_best: number of different answers per question.
            batch_size: windows per batch.

        Returns:
            For each question a list of `Answer`s, the best first: up to `n_best`, or the single
            empty answer if the context contains no words.

        Raises:
            InputError: there are not as many contexts as questions, or `n_best` is less than 1.

        Examples:
            >>> best, second = model.answer(questions, contexts, n_best=2)[0]
            >>> best.text, best.start, best.end
            ('Ada', 0, 3)
            >>> best.score > second.score
            True
        """
        answers, _ = self._ask(questions, contexts, n_best, batch_size)
        return Results(answers, ("example", "rank"))

    def _outputs_of_windows(self, columns: dict, batch_size: int):
        """Yields the logits of windows, float32 (questions, windows, sequence_length) by name."""
        text = self._text
        questions, contexts = text.question_and_context(columns)
        if not questions:
            shape = (0, 1, self.sequence_length)
            yield {name: np.zeros(shape, "float32") for name in _OUTPUTS}
        find = self._graph(type(text).traced_window_logits, text)
        for begin in range(0, len(questions), batch_size):
            part = slice(begin, begin + batch_size)
            questions_of, *logits = find(questions[part], contexts[part], batch_size)
            counts = np.bincount(questions_of)  # a context has at least one window
            cuts = np.cumsum(counts)[:-1]
            yield {
                name: concatenated([own[np.newaxis] for own in np.split(one, cuts)], NEVER)
                for name, one in zip(_OUTPUTS, logits, strict=True)
            }
            advance(len(counts))

    def best_spans(
        self, questions: Sequence[str], contexts: Sequence[str], *, batch_size: int = 32
    ) -> tuple[list[str], list[float]]:
        """Returns what SQuAD 2.0's official script takes, regardless of the threshold.

        Args:
            questions: strings.
            contexts: one string per question.
            batch_size: windows per batch.

        Returns:
            The best span of each context ("" if it has no words), and the probability of "no
            answer" against that span alone.

        Examples:
            >>> spans, no_answer = model.best_spans(questions, contexts)
            >>> spans, no_answer[0] < 0.5
            (['Ada'], True)
        """
        answers, no_answer = self._ask(questions, contexts, 2, batch_size)
        spans = [next((a.text for a in best if a.text), "") for best in answers]
        return spans, no_answer

    def score(self, x: Any, y: Any, *, batch_size: int = 32) -> dict[str, float]:
        """Returns SQuAD 2.0's official metrics if some question has no answer, else SQuAD 1.1's.

        Args:
            x: text in any form but a dataset.
            y: labels.
            batch_size: windows per batch.

        Returns:
            `exact_match` and `f1` in percent, and more for SQuAD 2.0; see `kerasbert.metrics.squad`
            (also for how Chinese is scored).

        Raises:
            InputError: there are no examples, or questions and labels differ in number.

        Examples:
            >>> model.score((questions, contexts), ["Ada"])
            {'exact_match': 100.0, 'f1': 100.0}
        """
        right, spans, no_answer = self._right_and_found(x, y, batch_size)
        threshold = 1.0 if self.no_answer_threshold is None else self.no_answer_threshold
        if not all(map(len, right)):
            return squad.evaluate_v2(right, spans, no_answer, threshold)
        pairs = zip(spans, no_answer, strict=True)
        return squad.evaluate_v1(right, ["" if p > threshold else span for span, p in pairs])

    def tune_threshold(
        self, x: Any, y: Any, *, metric: str = "f1", batch_size: int = 32
    ) -> dict[str, float]:
        """Sets `no_answer_threshold` to the best value on data with unanswerable questions.

        Args:
            x: text in any form but a dataset.
            y: labels.
            metric: metric to maximize, "f1" or "exact".
            batch_size: windows per batch.

        Returns:
            The result of `score` with the new threshold.

        Raises:
            InputError: the metric is unknown, or there are no examples.

        Examples:
            The second question has no answer:

            >>> x = {"question": questions * 2, "context": [*contexts, "in Oslo"]}
            >>> scores = model.tune_threshold(x, [["Ada"], []])
            >>> 0 <= model.no_answer_threshold <= 1
            True
        """
        if metric not in ("f1", "exact"):
            raise InputError(f"metric must be f1 or exact, found {metric!r}")
        right, spans, no_answer = self._right_and_found(x, y, batch_size)
        best = squad.evaluate_v2(right, spans, no_answer)[f"best_{metric}_thresh"]
        self.no_answer_threshold = best
        return squad.evaluate_v2(right, spans, no_answer, best)

    def _right_and_found(self, x, y, batch_size: int) -> tuple[list[list[str]], list, list]:
        """Returns the correct answers of each question, and the results of `best_spans`."""
        self._check_labels(x, y)
        questions, contexts = self._text.question_and_context(x)
        if not questions:
            raise InputError(f"{self.name}: there are no examples")
        right = self._text.right_answers(y, len(questions))
        return right, *self.best_spans(questions, contexts, batch_size=batch_size)

    def _ask(
        self, questions, contexts, n_best: int, batch_size: int | None
    ) -> tuple[list[list[Answer]], list[float]]:
        """Returns the answers, and the probability of "no answer" against the best span."""
        n_best = checked_count("n_best", n_best)
        text, batch_size = self._text, checked_size(batch_size)
        questions, contexts = text.question_and_context((questions, contexts))
        search = self._graph(type(text).traced_answers, text)
        answers: list[list[Answer]] = [[] for _ in questions]
        no_answer = [0.0] * len(questions)
        # Contexts of similar length share a batch, so that little of it is padding.
        order = np.argsort([len(context) for context in contexts], kind="stable")
        for begin in range(0, len(order), batch_size):
            positions = order[begin : begin + batch_size]
            asked = ([column[i] for i in positions] for column in (questions, contexts))
            searched = search(*asked, n_best, batch_size)
            for row, i in enumerate(positions):
                columns = (searched[name][row].tolist() for name in ("scores", "starts", "ends"))
                best = [
                    Answer(contexts[i][start:end], score, start, end)
                    for score, start, end in zip(*columns, strict=True)
                ]
                answers[i] = best[: max(1, searched["counts"][row])]
                no_answer[i] = float(searched["no_answer"][row])
            advance(len(positions))
        return answers, no_answer
