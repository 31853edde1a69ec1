"""Batches of a run whose shape changes: the sequence length, the number of examples, or both."""

import bisect
from collections.abc import Sequence
from typing import Any

from kerasbert.data.pretraining.batches import PretrainingBatches


class PhasedBatches:
    """Batches of several phases, each a pure function of (seed, step) as in one phase.

    Args:
        phases: the batches of each phase, from their `first_step` on, in order.

    Examples:
        Short rows for 90 steps, then longer ones, as BERT was trained (appendix A.2):

        >>> import pathlib
        >>> import kerasbert
        >>> words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "dog", "barks", "."]
        >>> tokenizer = kerasbert.text.WordPieceTokenizer(words)
        >>> text = "The dog barks. The dog.\\n\\nThe dog barks. It barks.\\n"
        >>> size = pathlib.Path("text.txt").write_text(text)
        >>> manifest = kerasbert.data.prepare_corpus(["text.txt"], tokenizer, "corpus")
        >>> corpus = kerasbert.data.Corpus("corpus")
        >>> from kerasbert.data.pretraining import PhasedBatches, PretrainingBatches
        >>> short = PretrainingBatches(corpus, 4, 8, objective="mlm")
        >>> long = PretrainingBatches(
        ...     corpus, 2, 16, objective="mlm", first_step=90, first_example=360
        ... )
        >>> batches = PhasedBatches([short, long])
        >>> features, labels, weights = next(iter(batches.dataset(start=90)))
        >>> features["token_ids"].shape
        TensorShape([2, 16])
    """

    def __init__(self, phases: Sequence[PretrainingBatches]):
        self.phases = tuple(phases)
        self._starts = [batches.first_step for batches in phases]

    @property
    def boundaries(self) -> list[int]:
        """The first steps of all phases but the first.

        Examples:
            >>> batches.boundaries
            [90]
        """
        return self._starts[1:]

    def epochs(self, steps: int) -> tuple[float, ...]:
        """Returns how often a run goes through the corpus, or each corpus of a `Mixture`.

        Args:
            steps: integer, the number of steps of the run.

        Returns:
            A number for each corpus.

        Examples:
            >>> batches.epochs(100) > batches.epochs(90)
            True
        """
        ends = [*self.boundaries, steps]
        spans = zip(self.phases, self._starts, ends, strict=True)
        of_phases = [batches.epochs(end - start) for batches, start, end in spans]
        return tuple(map(sum, zip(*of_phases, strict=True)))

    def dataset(self, start: int = 0) -> Any:
        """Returns the batches from a step to the end of its phase; the last phase has no end.

        Args:
            start: integer, the first step.
        """
        phase = bisect.bisect_right(self._starts, start) - 1
        rest = self._starts[phase + 1] - start if phase + 1 < len(self.phases) else None
        return self.phases[phase].dataset(start, rest)
