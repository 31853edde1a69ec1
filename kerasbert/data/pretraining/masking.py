"""Masking for masked language modeling, as a pure function of a seed."""

import dataclasses
import math
import re
import warnings
from typing import Any, NamedTuple

import numpy as np

from kerasbert.data import array_ops, graph_ops
from kerasbert.data.pretraining.similar_words import SimilarWords
from kerasbert.errors import InputError
from kerasbert.features import MASK_POSITIONS, TOKEN_IDS
from kerasbert.text.tokenizer import Tokenizer

#: What is masked as a whole: tokens, the tokens of a word, or several words in a row.
MASK_UNITS = ("token", "whole_word", "ngram", "span")
# The probabilities that 1, 2, ... words in a row are masked together.
_LENGTHS = {
    "ngram": (0.4, 0.3, 0.2, 0.1),  # MacBERT, §3.2
    # SpanBERT, §3.1: geometric, p = 0.2, at most 10 words; the mean is 3.8.
    "span": tuple(0.2 * 0.8**more / (1 - 0.8**10) for more in range(10)),
}

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
            f"the words of text without spaces (such as Chinese), {share:.0%} of {of}, are "
            "unknown: single characters are masked, or a whole run of text counts as one word; "
            "kerasbert prepare_corpus --word_segmenter finds them",
            stacklevel=2,
        )


def mask_unit_of(whole_word: bool = False, mask_unit: str | None = None) -> str:
    """Returns what is masked as a whole: one of `MASK_UNITS`.

    Args:
        whole_word: bool, the same as "whole_word"; n-grams and spans are of whole words anyway.
        mask_unit: one of `MASK_UNITS`, or None for the default, "token".

    Raises:
        InputError: `mask_unit` is unknown, or "token" although `whole_word` is set.
    """
    unit = mask_unit or ("whole_word" if whole_word else "token")
    if unit not in MASK_UNITS:
        raise InputError(f"mask_unit must be one of {', '.join(MASK_UNITS)}, found {unit!r}")
    if whole_word and unit == "token":
        raise InputError("mask_unit is 'token', but whole_word is set; leave one of them out")
    return unit


def config_of_unit(mask_unit: str) -> dict[str, Any]:
    """Returns what a model's config has beside `whole_word`: nothing for what that can say.

    So earlier versions can read the model.
    """
    return {"mask_unit": mask_unit} if mask_unit in _LENGTHS else {}


def check_rate(rate: float) -> None:
    """Raises `InputError` if a mask rate is not between 0 and 1."""
    if not 0 < rate < 1:
        raise InputError(f"mask_rate must be between 0 and 1, found {rate!r}")


@dataclasses.dataclass(frozen=True)
class Masking:
    """Selects and masks tokens as BERT does (§3.1): 80 % [MASK], 10 % random, 10 % unchanged.

    The unit says what is masked as a whole or not at all:

    - "token": each token by itself.
    - "whole_word": all tokens of a word (google-research/bert, README, 2019-05-31).
    - "ngram": 1 to 4 words in a row, 40, 30, 20 and 10 % of the choices (MacBERT, §3.2).
    - "span": 1 to 10 words in a row, of geometric lengths; all tokens of a span are replaced in the
      same way (SpanBERT, §3.1).

    A row is divided into n-grams or spans of random lengths, and some of them are chosen, so that
    each word is as likely to be masked as the next. They end at special tokens, and the last one
    that is chosen ends where enough tokens are masked. Words with more tokens than the number of
    tokens to predict are never masked, and unknown tokens in a word stay.

    With similar words, one of them is what a word becomes instead of [MASK], and a word that has
    none becomes random tokens (MacBERT, §3.2). All tokens of a word are then replaced in the same
    way.

    Args:
        mask_id: integer, the id of [MASK].
        special: bool, (vocabulary_size,), the ids that are neither masked nor drawn as random
            tokens.
        continues_word: bool, (vocabulary_size,), the subwords that continue a word.
        rate: float, the share of a row's ordinary tokens to predict; at least one is predicted.
        unit: one of `MASK_UNITS`.
        similar_words: `SimilarWords`, or None for [MASK].

    Examples:
        >>> import numpy as np
        >>> import kerasbert
        >>> words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "dog", "##s", "bark"]
        >>> tokenizer = kerasbert.text.WordPieceTokenizer(words)
        >>> masking = kerasbert.data.pretraining.Masking.of(tokenizer, rate=0.5)
        >>> ids = np.array([[2, 5, 6, 7, 8, 3]])
        >>> features, originals, weights = masking({"token_ids": ids}, seed=np.array([0, 1]))
        >>> features["mask_positions"].shape, originals.shape
        ((1, 3), (1, 3))
        >>> float(weights.sum())  # half of the four ordinary tokens
        2.0
    """

    mask_id: int
    special: np.ndarray
    continues_word: np.ndarray
    rate: float = 0.15
    unit: str = "token"
    similar_words: SimilarWords | None = None

    @classmethod
    def of(
        cls,
        tokenizer: Tokenizer,
        rate: float = 0.15,
        whole_word: bool = False,
        counts: np.ndarray | None = None,
        *,
        mask_unit: str | None = None,
        knows_words: bool = False,
        similar_words: SimilarWords | None = None,
    ) -> Any:
        """Returns the masking for a tokenizer.

        Args:
            tokenizer: `Tokenizer` of the text.
            rate: see `Masking`.
            whole_word: the same as `mask_unit="whole_word"`.
            counts: integers, (vocabulary_size,), the number of occurrences of each id in the text,
                if known.
            mask_unit: the unit, see `Masking`. None: "token", or as `whole_word` says.
            knows_words: bool, whether calls will be given the words. Otherwise, for units of words,
                warns if much of the text is Chinese, Japanese or Thai, where spaces do not separate
                words.
            similar_words: see `Masking`; the unit must be of words.

        Returns:
            `Masking`.

        Raises:
            InputError: `rate` is not between 0 and 1, or the unit is unknown or not of words.

        Examples:
            >>> whole = kerasbert.data.pretraining.Masking.of(tokenizer, mask_unit="whole_word")
            >>> whole.unit, whole.mask_id
            ('whole_word', 4)
        """
        unit = mask_unit_of(whole_word, mask_unit)
        check_rate(rate)
        if unit == "token" and similar_words:
            raise InputError("similar_words replace words; mask_unit must be another than 'token'")
        if unit != "token" and not knows_words:
            _warn_of_unknown_words(tokenizer, counts)
        special = np.zeros(tokenizer.vocabulary_size, bool)
        special[tokenizer.special_token_ids] = True
        continues = tokenizer.continues_word
        return cls(tokenizer.mask_id, special, continues, rate, unit, similar_words)

    def __call__(
        self, features: dict[str, Any], seed: Any, continues: Any = None
    ) -> tuple[Any, ...]:
        """Masks a batch, as a pure function of features and seed.

        Args:
            features: dict of tensors or arrays with `token_ids`, (batch, sequence), where
                `sequence` is static; other features are returned unchanged.
            seed: integers, (2,).
            continues: bool, (batch, sequence), the tokens that continue the word of the token
                before; None: those that the tokenizer marks.

        Returns:
            The features with masked `token_ids` and with `mask_positions`; the original ids at
            these positions, int32, (batch, masked); and their weights, float32, (batch, masked),
            which are 1, or 0 for unused entries. `masked` is `rate` of the sequence length, rounded
            up.
        """
        ids = features[TOKEN_IDS]
        ops = array_ops if isinstance(ids, np.ndarray) else graph_ops
        width = max(1, math.ceil(self.rate * ids.shape[1]))
        choice, change, random, lengths, similar = ops.split_seed(seed, 5)
        candidate = ~ops.gather(self.special, ids)
        units = self._units(ops, ids, candidate, continues, lengths)
        positions, used = self._choose(ops, candidate, units, width, choice)

        originals = ops.gather_in_rows(ids, positions)
        if self.unit == "span" or self.similar_words:  # one die for all tokens of a span or word
            begins = units.start if self.unit == "span" else units.first
            begins = ops.gather_in_rows(begins, positions)
            dice = ops.gather_in_rows(ops.uniform(ids, change), begins)
        else:
            dice = ops.uniform(positions, change)
        ordinary = np.flatnonzero(~self.special).astype(np.int32)
        drawn = ops.gather(ordinary, ops.integers(positions, random, len(ordinary)))
        instead = self.mask_id
        if self.similar_words:
            first, last = (ops.gather_in_rows(x, positions) for x in (units.first, units.last))
            instead = self.similar_words.replaced(ops, ids, positions, first, last, similar)
            instead = ops.where(instead < 0, drawn, instead)
        hidden = ops.where(dice < 0.8, instead, originals)
        hidden = ops.where(dice >= 0.9, drawn, hidden)
        features = {
            **features,
            TOKEN_IDS: ops.put(ids, positions, hidden, used),
            MASK_POSITIONS: positions,
        }
        return features, ops.where(used, originals, 0), ops.cast(used, "float32")

    def _choose(self, ops, candidate, units: "_Units", width, seed) -> tuple:
        """Returns ascending positions, (batch, width), and which are used; unused ones are 0."""
        length = candidate.shape[1]
        count = ops.count_true(candidate)
        budget = ops.minimum(ops.maximum(ops.rounded(self.rate * count), 1.0), count)
        budget = ops.cast(budget, "int32")

        # Each unit draws a random number, and the lowest are selected. Special tokens come last.
        lot = ops.gather_in_rows(ops.uniform(candidate, seed), units.start)
        eligible = candidate & (units.word_size <= budget)
        rank = ops.ranks(ops.where(eligible, lot, 2.0))
        # No word is masked partially.
        taken = eligible & (rank + units.rest_of_word < budget)

        chosen = ops.sort(ops.where(taken, ops.positions_like(candidate), length))[:, :width]
        used = chosen < length
        return ops.where(used, chosen, 0), used

    def _units(self, ops, ids, candidate, continues, seed) -> "_Units":
        if self.unit == "token":
            position = ops.positions_like(ids)
            return _Units(position, position, position, position * 0 + 1, position * 0)
        if continues is None:
            after_special = ops.after_first(~candidate, True)
            begins = ~ops.gather(self.continues_word, ids) | ~candidate | after_special
        else:
            begins = ~continues
        first, last = _first_and_last(ops, begins)
        count = ops.cumsum(ops.cast(candidate, "int32"))
        up_to_last = ops.gather_in_rows(count, last)
        before_first = ops.gather_in_rows(count - ops.cast(candidate, "int32"), first)
        start = first
        if self.unit in _LENGTHS:
            start, _ = _first_and_last(ops, self._begin_units(ops, begins, candidate, seed))
        return _Units(start, first, last, up_to_last - before_first, up_to_last - count)

    def _begin_units(self, ops, begins, candidate, seed):
        """Returns which of the tokens that begin a word also begin an n-gram or a span."""
        special = begins & ~candidate
        uniform, length = ops.uniform(begins, seed), 1
        for limit in np.cumsum(_LENGTHS[self.unit], dtype=np.float32)[:-1]:
            length += ops.cast(uniform >= limit, "int32")
        # As many lengths as tokens, of which the first ones are used.
        starts = ops.cumsum(length) - length
        word = ops.maximum(ops.cumsum(ops.cast(begins & candidate, "int32")) - 1, 0)
        unit = ops.last_at_or_before_in_rows(starts, word)
        is_first = ops.gather_in_rows(starts, unit) == word
        return begins & (is_first | special | ops.after_first(special, True))


class _Units(NamedTuple):
    """What is masked as a whole; each int32, (batch, sequence).

    Attributes:
        start: the position of the first token of each token's unit.
        first: the position of the first token of each token's word.
        last: the position of its last token.
        word_size: the number of tokens of each token's word, without unknown tokens.
        rest_of_word: the number of these that come after the token.
    """

    start: Any
    first: Any
    last: Any
    word_size: Any
    rest_of_word: Any


def _first_and_last(ops, begins) -> tuple:
    """Returns the first and the last position of what each token is a part of."""
    return ops.first_and_last_like(ops.cumsum(ops.cast(begins, "int32")))
