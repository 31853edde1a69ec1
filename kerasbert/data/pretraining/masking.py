"""Masking for masked language modeling, as a pure function of a seed."""

import dataclasses
import math
import re
import warnings

import numpy as np

from kerasbert.data import array_ops, graph_ops
from kerasbert.errors import InputError
from kerasbert.features import MASK_POSITIONS, TOKEN_IDS
from kerasbert.text.tokenizer import Tokenizer

# Thai, Lao, Burmese, Khmer, kana and the CJK blocks: scripts without spaces between words.
_WITHOUT_SPACES = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff"
    "\uf900-\ufaff\U00020000-\U0003ffff]"
)


def _warn_of_unknown_words(tokenizer: Tokenizer, counts: np.ndarray | None) -> None:
    """Warns if much of a text or vocabulary is in scripts without spaces between words."""
    wordless = np.array([bool(_WITHOUT_SPACES.search(subword)) for subword in tokenizer.vocabulary])
    if counts is None:
        share, limit, of = wordless.mean(), 0.25, "the vocabulary"
    else:
        share, limit, of = counts[wordless].sum() / max(counts.sum(), 1), 0.1, "the text's tokens"
    if share > limit:
        warnings.warn(
            f"whole_word has no effect on text without spaces (such as Chinese), {share:.0%} of "
            f"{of}: its word boundaries are unknown, so single characters are masked, or a whole "
            "run of text counts as one word",
            stacklevel=2,
        )


@dataclasses.dataclass(frozen=True)
class Masking:
    """Selects and masks tokens as BERT does (§3.1): 80 % [MASK], 10 % random, 10 % unchanged.

    Args:
        mask_id: integer, the id of [MASK].
        special: bool, (vocabulary_size,), the ids that are neither masked nor drawn as random
            tokens.
        continues_word: bool, (vocabulary_size,), the subwords that continue a word.
        rate: float, the share of a row's ordinary tokens to predict; at least one is predicted.
        whole_word: whether to mask all subwords of a word or none (google-research/bert, README,
            2019-05-31). Words with more subwords than the number of tokens to predict are never
            masked.
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
        """Returns the masking for a tokenizer.

        Args:
            tokenizer: `Tokenizer` of the text.
            rate: see `Masking`.
            whole_word: see `Masking`. Warns if much of the text is Chinese, Japanese or Thai, where
                spaces do not separate words.
            counts: integers, (vocabulary_size,), the number of occurrences of each id in the text,
                if known.

        Raises:
            InputError: `rate` is not between 0 and 1.
        """
        if not 0 < rate < 1:
            raise InputError(f"mask_rate must be between 0 and 1, found {rate}")
        if whole_word:
            _warn_of_unknown_words(tokenizer, counts)
        special = np.zeros(tokenizer.vocabulary_size, bool)
        special[tokenizer.special_token_ids] = True
        return cls(tokenizer.mask_id, special, tokenizer.continues_word, rate, whole_word)

    def __call__(self, features: dict, seed) -> tuple:
        """Masks a batch, as a pure function of features and seed.

        Args:
            features: dict of tensors or arrays with `token_ids`, (batch, sequence), where
                `sequence` is static; other features are returned unchanged.
            seed: integers, (2,).

        Returns:
            The features with masked `token_ids` and with `mask_positions`; the original ids at
            these positions, int32, (batch, masked); and their weights, float32, (batch, masked),
            which are 1, or 0 for unused entries. `masked` is `rate` of the sequence length, rounded
            up.
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
        """Returns ascending positions, (batch, width), and which are used; unused ones are 0."""
        length = ids.shape[1]
        candidate = ~ops.gather(self.special, ids)
        count = ops.count_true(candidate)
        budget = ops.minimum(ops.maximum(ops.rounded(self.rate * count), 1.0), count)
        budget = ops.cast(budget, "int32")

        # Each token draws a random number, and the lowest are selected. Special tokens come last.
        lot = ops.uniform(ids, seed)
        position = ops.positions_like(ids)
        first_piece = last_piece = position
        if self.whole_word:  # subwords share the number of the first one
            after_special = ops.after_first(~candidate, True)
            continues = ops.gather(self.continues_word, ids)
            begins = ~continues | ~candidate | after_special
            word = ops.cumsum(ops.cast(begins, "int32"))
            first_piece, last_piece = ops.first_and_last_like(word)
            lot = ops.gather_in_rows(lot, first_piece)
        eligible = candidate & (last_piece - first_piece < budget)
        rank = ops.ranks(ops.where(eligible, lot, 2.0))
        # No word is masked partially.
        taken = eligible & (ops.gather_in_rows(rank, last_piece) < budget)

        chosen = ops.sort(ops.where(taken, position, length))[:, :width]
        used = chosen < length
        return ops.where(used, chosen, 0), used
