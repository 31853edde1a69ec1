"""The windows of a corpus, each of which becomes a row of a batch, and their two parts."""

from types import ModuleType
from typing import Any

from kerasbert.data import graph_ops
from kerasbert.data.corpus.reader import Corpus
from kerasbert.errors import InputError


class Windows:
    """Divides a corpus into windows of as many tokens as fit into a row.

    Every epoch uses all windows in another order and with other boundaries. A window stays within
    one document and starts with a sentence, so that windows of an epoch can overlap. Only in a
    sentence that does not fit in a window, the windows after the first one start where the one
    before them ends, and the last one of a document ends with it.

    Args:
        ops: `graph_ops` or `array_ops`.
        corpus: `Corpus`.
        room: integer, the most tokens of a window.
        seed: integer, determines the order.

    Attributes:
        count: integer, the number of windows.
    """

    def __init__(self, ops: ModuleType, corpus: Corpus, room: int, seed: int):
        self._ops = ops
        self._corpus = corpus
        self._room = room
        self._seed = seed
        self._sentences, self._documents = (
            corpus.index_tensors if ops is graph_ops else (corpus.sentences, corpus.documents)
        )
        self.count = max(1, corpus.num_tokens // room)

    def ranges(self, index: Any) -> tuple[Any, ...]:
        """Returns start and end of windows, as tokens of the corpus: two int64 (rows,).

        Args:
            index: int64, (rows,), the number of each window, counted from the first epoch on.
        """
        tokens = self._tokens(index)
        return self._window(tokens, self._document(tokens))

    def pairs(self, index: Any, seed: Any, objective: str) -> tuple[Any, ...]:
        """Splits windows in two at the end of a sentence, and draws the negative examples.

        Args:
            index: int64, (rows,), as in `ranges`.
            seed: integers, (2,).
            objective: "nsp" or "sop"; see `PretrainingBatches`.

        Returns:
            Start and end of the first parts, the same of the second, and the labels, int32 (rows,).
        """
        ops = self._ops
        tokens = self._tokens(index)
        draw = _Draws(ops, seed, tokens)
        document = self._document(tokens)
        start, end = self._window(tokens, document)
        middle, between_sentences = self._cut(start, end, draw)
        labels = ops.cast(draw.below(2), "int32")
        swapped = labels == 1
        if objective == "sop":
            first = ops.where(swapped, middle, start), ops.where(swapped, end, middle)
            second = ops.where(swapped, start, middle), ops.where(swapped, middle, end)
            return first, second, labels
        other = self._elsewhere(document, end - middle, between_sentences, draw)
        second = ops.where(swapped, other[0], middle), ops.where(swapped, other[1], end)
        return (start, middle), second, labels

    def check_negatives(self) -> None:
        """Raises `InputError` if there is no other document for a negative example of NSP."""
        if self._corpus.num_documents < 2:
            raise InputError(
                f"{self._corpus.directory}: has one document; next sentence prediction needs at "
                "least two"
            )

    def _tokens(self, index):
        """Returns the position in the corpus from which each window is determined."""
        starts = shuffled_starts(self._ops, index, self.count, self._room, self._seed)
        return starts % self._corpus.num_tokens

    def _document(self, tokens) -> tuple:
        """Returns the first sentence, and the end (exclusive), of the documents of these tokens."""
        ops = self._ops
        sentence = ops.last_at_or_before(self._sentences, tokens)
        document = ops.last_at_or_before(self._documents, sentence)
        bounds = self._documents
        return ops.gather(bounds, document), ops.gather(bounds, document + 1)

    def _window(self, tokens, document) -> tuple:
        """Returns start and end of the windows, as long as fits into a row.

        A window starts with the token's sentence, or with an earlier one if the document ends too
        soon to fill the row. If this sentence does not fit in a window, the window starts within
        it: a multiple of the room after its start, or where it ends with the document.
        """
        ops = self._ops
        sentences = self._sentences
        document_end = ops.gather(sentences, document[1])
        latest = ops.minimum(tokens, document_end - self._room)
        sentence = ops.maximum(ops.last_at_or_before(sentences, latest), document[0])
        start = ops.gather(sentences, sentence)
        is_long = ops.gather(sentences, sentence + 1) - start > self._room
        inside = (tokens - start) // self._room * self._room
        inside = ops.where(tokens > latest, latest - start, inside)
        start = ops.where(is_long, start + inside, start)
        return start, ops.minimum(start + self._room, document_end)

    def _cut(self, start, end, draw: "_Draws") -> tuple:
        """Returns the position where windows are split, and whether it is between sentences."""
        ops = self._ops
        sentences = self._sentences
        first = ops.last_at_or_before(sentences, start) + 1
        count = ops.last_at_or_before(sentences, end - 1) + 1 - first
        inside = ops.gather(sentences, first + draw.below(ops.maximum(count, 1)))
        anywhere = start + 1 + draw.below(ops.maximum(end - start - 1, 1))
        return ops.where(count > 0, inside, ops.minimum(anywhere, end)), count > 0

    def _elsewhere(self, document, length, between_sentences, draw: "_Draws"):
        """Returns start and end of at most `length` tokens of other documents."""
        ops = self._ops
        sentences = self._sentences
        begin, end = (
            ops.gather(sentences, document[0]),
            ops.gather(sentences, document[1]),
        )
        # A token of all other documents, drawn uniformly.
        token = draw.below(self._corpus.num_tokens - (end - begin))
        first, last = self._document(ops.where(token < begin, token, token + end - begin))
        begin, end = ops.gather(sentences, first), ops.gather(sentences, last)
        latest = ops.maximum(begin, end - length)
        choices = ops.last_at_or_before(sentences, latest) + 1 - first
        sentence = ops.gather(sentences, first + draw.below(choices))
        start = ops.where(between_sentences, sentence, begin + draw.below(latest - begin + 1))
        return start, ops.minimum(start + length, end)


def shuffled_starts(ops: ModuleType, index: Any, count: int, size: int, seed: int) -> Any:
    """Returns where rows start in a sequence that is cut into `count` rows of `size` tokens.

    Each epoch takes them in another order, and shifts all by another distance, which changes their
    boundaries.

    Args:
        ops: `graph_ops` or `array_ops`.
        index: int64, (rows,), the number of each row, counted from the first epoch on.
        count: integer, the number of rows of an epoch.
        size: integer, the number of tokens of a row.
        seed: integer, determines the order.
    """
    epoch = index // count
    row = ops.shuffled(index % count, seed, epoch, 0, count)
    return row * size + ops.shuffled(epoch % size, seed, epoch, 1, size)


class _Draws:
    """Independent random integers for each row, derived from one seed."""

    def __init__(self, ops: ModuleType, seed: Any, rows: Any):
        self._ops = ops
        self._seed = seed
        self._rows = rows

    def below(self, limit):
        """Returns int64, (rows,), from 0 to below `limit`, a scalar or (rows,)."""
        self._seed, seed = self._ops.split_seed(self._seed, 2)
        uniform = self._ops.uniform(self._rows, seed, "float64")
        limit = self._ops.cast(limit, "int64")
        drawn = self._ops.cast(uniform * self._ops.cast(limit, "float64"), "int64")
        return self._ops.minimum(drawn, limit - 1)
