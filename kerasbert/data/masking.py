"""Which tokens are hidden and predicted: a pure function of a seed."""

import dataclasses
import math
import re
import warnings

import numpy as np

from kerasbert.data import array_ops, graph_ops
from kerasbert.errors import InputError
from kerasbert.features import MASK_POSITIONS, TOKEN_IDS
from kerasbert.text.tokenizer import Tokenizer

# Thai, Lao, Burmese, Khmer, kana and the CJK blocks: written without spaces between words.
_WITHOUT_SPACES = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff"
    "\uf900-\ufaff\U00020000-\U0003ffff]"
)


def _warn_of_unknown_words(tokenizer: Tokenizer, counts: np.ndarray | None) -> None:
    """Warns if the words of much of a text, or of a vocabulary, are not known."""
    wordless = np.array([bool(_WITHOUT_SPACES.search(subword)) for subword in tokenizer.vocabulary])
    if counts is None:
        share, limit, of = wordless.mean(), 0.25, "the vocabulary"
    else:
        share, limit, of = counts[wordless].sum() / max(counts.sum(), 1), 0.1, "the text's tokens"
    if share > limit:
        warnings.warn(
            f"whole_word has no effect on text that is written without spaces, {share:.0%} of {of} "
            "(Chinese, say): where its words end is not known, so single characters are masked, "
            "or a whole run of text counts as one word",
            stacklevel=2,
        )


@dataclasses.dataclass(frozen=True)
class Masking:
    """Chooses and hides tokens as BERT does (§3.1): 80 % [MASK], 10 % random, 10 % as they are.

    Attributes:
        mask_id: the id of [MASK].
        special: bool, (vocabulary,): ids that are neither hidden nor put in at random.
        continues_word: bool, (vocabulary,): pieces that go on with a word.
        rate: share of a row's ordinary tokens that is predicted, at least one.
        whole_word: hide all pieces of a word or none (google-research/bert, README, 2019-05-31);
            words longer than a row's share are left alone.
    """

    mask_id: int
    special: np.ndarray
    continues_word: np.ndarray
    rate: float = 0.15
    whole_word: bool = False

    @classmethod
    def of(
        cls,
        tokenizer: Tokenizer,
        rate: float = 0.15,
        whole_word: bool = False,
        counts: np.ndarray | None = None,
    ):
        """The masking that fits a tokenizer.

        Args:
            tokenizer: of the text.
            rate: see above.
            whole_word: likewise. Warns if many pieces are Chinese, Japanese or Thai, where no
                spaces show what a word is.
            counts: how often each id occurs in the text, (vocabulary,), if that is known.
        """
        if not 0 < rate < 1:
            raise InputError(f"mask_rate must be between 0 and 1, found {rate}")
        if whole_word:
            _warn_of_unknown_words(tokenizer, counts)
        special = np.zeros(tokenizer.vocabulary_size, bool)
        special[tokenizer.special_token_ids] = True
        return cls(tokenizer.mask_id, special, tokenizer.continues_word, rate, whole_word)

    def __call__(self, features: dict, seed) -> tuple:
        """Masks a batch; the same (features, seed) always give the same result.

        Args:
            features: `token_ids` (batch, sequence) and whatever else, tensors of a graph or arrays;
                `sequence` is static.
            seed: integers, (2,).

        Returns:
            The features with masked `token_ids` and with `mask_positions`; the original ids at
            those positions, int32 (batch, masked); their weights, float32 (batch, masked), 1 or,
            in places that are not used, 0. `masked` is `rate` of the sequence, rounded up.
        """
        ids = features[TOKEN_IDS]
        ops = array_ops if isinstance(ids, np.ndarray) else graph_ops
        width = max(1, math.ceil(self.rate * ids.shape[1]))
        choice, change, random = ops.split_seed(seed, 3)
        positions, used = self._choose(ops, ids, width, choice)

        originals = ops.gather_in_rows(ids, positions)
        dice = ops.uniform(positions, change)
        ordinary = np.flatnonzero(~self.special).astype(np.int32)
        drawn = ops.integers(positions, random, len(ordinary))
        hidden = ops.where(dice < 0.8, self.mask_id, originals)
        hidden = ops.where(dice >= 0.9, ops.gather(ordinary, drawn), hidden)
        features = {
            **features,
            TOKEN_IDS: ops.put(ids, positions, hidden, used),
            MASK_POSITIONS: positions,
        }
        return features, ops.where(used, originals, 0), ops.cast(used, "float32")

    def _choose(self, ops, ids, width, seed) -> tuple:
        """Positions in rising order, (batch, width), and which of them are used; others are 0."""
        length = ids.shape[1]
        candidate = ~ops.gather(self.special, ids)
        count = ops.count_true(candidate)
        budget = ops.minimum(ops.maximum(ops.rounded(self.rate * count), 1.0), count)
        budget = ops.cast(budget, "int32")

        # Every piece draws a lot, the lowest are taken, special tokens come last.
        lot = ops.uniform(ids, seed)
        position = ops.positions_like(ids)
        first_piece = last_piece = position
        if self.whole_word:  # pieces share the lot of their word's first piece
            after_special = ops.after_first(~candidate, True)
            continues = ops.gather(self.continues_word, ids)
            begins = ~continues | ~candidate | after_special
            word = ops.cumsum(ops.cast(begins, "int32"))
            first_piece, last_piece = ops.first_and_last_like(word)
            lot = ops.gather_in_rows(lot, first_piece)
        eligible = candidate & (last_piece - first_piece < budget)
        rank = ops.ranks(ops.where(eligible, lot, 2.0))
        # No word is taken in part.
        taken = eligible & (ops.gather_in_rows(rank, last_piece) < budget)

        chosen = ops.sort(ops.where(taken, position, length))[:, :width]
        used = chosen < length
        return ops.where(used, chosen, 0), used
