"""Byte-level BPE, GPT-2's and RoBERTa's tokenizer, as TensorFlow ops: exact, with offsets.

A text is cut into words, a word is spelled in its UTF-8 bytes, and the bytes are joined, pair by
pair, in the order in which the merges are listed. Files spell a byte as one printable character
(a space is `Ġ`); in the graph a piece is its id, and a word its bytes.

Most words of a text are pieces as they stand, and those are looked up. Only the others, each once
a batch, go through the merges, all of them at the same time.
"""

import dataclasses
import json
import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Self

import numpy as np
import tensorflow as tf

from kerasbert import schema
from kerasbert.errors import InputError, shown
from kerasbert.text.added_tokens import AddedToken
from kerasbert.text.normalization import CUT, WHITE_SPACE, drop_invalid_utf8, holds
from kerasbert.text.offsets import undo_drop
from kerasbert.text.tokenizer import ROBERTA_TOKENS, SpecialTokens, Tokenizer

# === Words ===

# Unicode 16, as in `tokenizers`; the ranges are what TensorFlow's RE2 has not heard of yet.
_LETTERS = (
    r"\p{L}\x{1c89}\x{1c8a}\x{a7cb}-\x{a7cd}\x{a7da}-\x{a7dc}\x{105c0}-\x{105f3}"
    r"\x{10d4a}-\x{10d65}\x{10d6f}-\x{10d85}\x{10ec2}-\x{10ec4}\x{11380}-\x{11389}\x{1138b}"
    r"\x{1138e}\x{11390}-\x{113b5}\x{113b7}\x{113d1}\x{113d3}\x{11bc0}-\x{11be0}"
    r"\x{13460}-\x{143fa}\x{16100}-\x{1611d}\x{16d40}-\x{16d6c}\x{18cff}\x{1e5d0}-\x{1e5ed}"
    r"\x{1e5f0}\x{2ebf0}-\x{2ee5d}"
)
_NUMBERS = (
    r"\p{N}\x{10d40}-\x{10d49}\x{116d0}-\x{116e3}\x{11bf0}-\x{11bf9}\x{16130}-\x{16139}"
    r"\x{16d70}-\x{16d79}\x{1ccf0}-\x{1ccf9}\x{1e5f1}-\x{1e5fa}"
)
_WORD = (
    r"'(?:[stmd]|re|ve|ll)"
    rf"| ?(?:[{_LETTERS}]+|[{_NUMBERS}]+|[^{WHITE_SPACE}{_LETTERS}{_NUMBERS}]+)"
    rf"|[{WHITE_SPACE}]+"
)


def _split_words(text: tf.Tensor) -> tf.RaggedTensor:
    """Cuts valid UTF-8 where GPT-2 does; joined, the words are the text. Some are empty.

    Marking the cuts and splitting at the marks takes an eighth of the time of the op that splits
    at a pattern.
    """

    def leave_the_last():
        # The last white space before a word is not part of the run before it: GPT-2 says so with
        # a lookahead, which RE2 does not have.
        pattern = f"([{WHITE_SPACE}])([{WHITE_SPACE}][^{WHITE_SPACE}])"
        return tf.strings.regex_replace(text, pattern, rb"\1" + CUT + rb"\2")

    runs = tf.strings.regex_full_match(text, f"(?s).*[{WHITE_SPACE}][{WHITE_SPACE}].*")
    text = tf.cond(tf.reduce_any(runs), leave_the_last, lambda: text)
    return tf.strings.split(tf.strings.regex_replace(text, _WORD, rb"\0" + CUT), CUT)


def _behind_space(text: tf.Tensor) -> tf.Tensor:
    """Texts with a space before them, but those that have one or are empty."""
    bare = tf.strings.regex_full_match(text, "(?s)[^ ].*")
    return tf.where(bare, tf.strings.join([" ", text]), text)


def _word_offsets(words: tf.RaggedTensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Where in its text each word starts, but for a space before it, and ends; int64, flat."""
    lengths = tf.cast(tf.strings.length(words.values), tf.int64)
    limits = tf.concat([[0], tf.cumsum(lengths)], axis=0)
    ends = limits[1:] - tf.gather(tf.gather(limits, words.row_starts()), words.value_rowids())
    spaced = tf.strings.regex_full_match(words.values, f"(?s) [^{WHITE_SPACE}].*")
    return ends - lengths + tf.cast(spaced, lengths.dtype), ends


# === The tokenizer ===

# The rank of a pair that no merge joins, and what TensorFlow takes for the minimum of nothing.
_NEVER = np.iinfo(np.int32).max
# Strings are there anyway, and so many small steps would only be slower elsewhere.
_DEVICE = "/cpu:0"
# Behind every key of a sorted table.
_LAST = np.iinfo(np.int64).max


class BytePairTokenizer(Tokenizer):
    """Strings to byte-level BPE ids, id for id as Hugging Face `tokenizers`, inside the graph.

    Calling it on a string tensor of shape (batch,) gives an int32 `tf.RaggedTensor` (batch,
    tokens); see `Tokenizer`. Bytes that are not UTF-8 are dropped. A byte that the vocabulary
    lacks becomes the unknown token.

    Args:
        vocabulary: a file `vocab.json`, or its pieces with their ids.
        merges: a file `merges.txt`, or its lines, or pairs of pieces; the first come first.
        add_prefix_space: put a space before a text that has none, so that its first word is the
            same piece as elsewhere.
        special_tokens: how the vocabulary spells them.
        packing: see `Tokenizer`.
        mask_takes_space: see `Tokenizer`.
        added_tokens: see `Tokenizer`.

    Raises:
        InputError: the vocabulary or the merges are unusable; the message names the file.
    """

    kind = "bytepair"
    asset_names = ("vocab.json", "merges.txt")

    def __init__(
        self,
        vocabulary: str | os.PathLike | Mapping[str, int],
        merges: str | os.PathLike | Sequence[str | Sequence[str]],
        add_prefix_space: bool = False,
        special_tokens: SpecialTokens = ROBERTA_TOKENS,
        packing: str = "roberta",
        mask_takes_space: bool = True,
        added_tokens: Sequence[AddedToken | str | Mapping] = (),
    ):
        pieces, source = _load_pieces(vocabulary)
        try:
            super().__init__(
                pieces,
                special_tokens,
                added_tokens=added_tokens,
                packing=packing,
                mask_takes_space=mask_takes_space,
            )
        except InputError as error:
            raise InputError(f"{source}: {error}") from None
        self.merges, merge_ids = _load_merges(merges, self._ids)
        self.add_prefix_space = bool(add_prefix_space)
        with tf.init_scope(), tf.device(_DEVICE):
            self._make_merge_table(merge_ids)
            self._make_word_table()

    # === Tables ===

    def _make_merge_table(self, merge_ids: np.ndarray) -> None:
        """The ids of bytes, the pairs as sorted numbers with their ranks, and results by rank."""
        parts, results = merge_ids[:, :2], merge_ids[:, 2]
        ranks = np.arange(len(results))
        # Of a pair that is listed twice, the last line counts, as in `tokenizers`.
        keys, backwards = np.unique((parts @ [self._model_size, 1])[::-1], return_index=True)
        # The last entry is no pair's, so that a search always ends at an entry.
        self._pair_keys = tf.constant(np.append(keys, _LAST), tf.int64)
        self._pair_ranks = tf.constant(np.append(ranks[::-1][backwards], _NEVER), tf.int32)
        self._results = tf.constant(results, tf.int32)
        ids = {piece: id for id, piece in enumerate(self.model_pieces)}
        byte_ids = [ids.get(character, self.unknown_id) for character in _CHARACTERS]
        self._byte_ids = tf.constant(byte_ids, tf.int32)
        # In a list that training wrote, a piece is made before it is used.
        made = np.full(self._model_size, -1)
        np.maximum.at(made, results, ranks)
        self._ordered = bool(np.all(made[parts] < ranks[:, None]))
        longest = max((len(_piece_bytes(self.vocabulary[id])) for id in results), default=1)
        self._block = 2 * longest if self._ordered else _NEVER

    def _make_word_table(self) -> None:
        """The pieces that the merges make of their own bytes, sorted by fingerprint."""
        texts = tf.constant(np.array([*map(_piece_bytes, self.model_pieces)], object))
        spelled = self._join_pairs(texts)
        whole = tf.equal(spelled.row_lengths(), 1)
        first = tf.gather(spelled.values, tf.boolean_mask(spelled.row_starts(), whole))
        ids = tf.boolean_mask(tf.range(self._model_size), whole)
        ids = tf.boolean_mask(ids, tf.equal(ids, first))
        words = tf.gather(texts, ids)
        fingerprints = _fingerprint(words)
        order = tf.argsort(fingerprints)
        # As above: the last entry is no word's.
        self._fingerprints = tf.concat([tf.gather(fingerprints, order), [_LAST]], axis=0)
        self._words = tf.concat([tf.gather(words, order), [CUT]], axis=0)
        self._word_ids = tf.concat([tf.gather(ids, order), [self.unknown_id]], axis=0)

    def _continues_word(self, piece: str) -> bool:
        return not piece.startswith(_CHARACTERS[ord(" ")])

    # === Text ===

    def _prepare(self, text, *, sought=None, behind_space=False):
        text = drop_invalid_utf8(text)
        found = holds(text, sought.pattern) if sought else None
        return _behind_space(text) if behind_space or self.add_prefix_space else text, found

    def _pieces(self, prepared) -> tf.RaggedTensor:
        words = _split_words(prepared)
        return words.with_values(self._spell(words.values)).merge_dims(1, 2)

    def tokenize_with_offsets(self, text) -> tuple[tf.RaggedTensor, ...]:
        """Tokenizes strings, with their words (see `Tokenizer.tokenize_with_offsets`).

        A word is without the space before it; a run of white space is a word. A space that
        `add_prefix_space` put before other white space is an empty word.
        """
        return super().tokenize_with_offsets(text)

    def _with_offsets(self, text) -> tuple[tf.RaggedTensor, ...]:
        valid = drop_invalid_utf8(text)
        spaced, _ = self._prepare(valid)
        words = _split_words(spaced)
        pieces = words.with_values(self._spell(words.values))
        starts, ends = _word_offsets(words)
        added = tf.cast(tf.strings.length(spaced) - tf.strings.length(valid), starts.dtype)
        added = tf.gather(added, words.value_rowids())
        ids, counts = pieces.merge_dims(1, 2), pieces.values.row_lengths()
        starts = ids.with_values(tf.repeat(tf.maximum(starts - added, 0), counts))
        ends = ids.with_values(tf.repeat(ends - added, counts))
        return ids, *undo_drop(text, valid, starts, ends)

    def detokenize(self, ids) -> tf.Tensor:
        """Joins the bytes of the pieces; special tokens are spelled out.

        Args:
            ids: integers, (batch, tokens), ragged or dense.

        Returns:
            String tensor, (batch,).
        """
        added = (token.encode("utf-8") for token in self.vocabulary[self._model_size :])
        texts = [*map(_piece_bytes, self.model_pieces), *added]
        texts = tf.constant(np.array(texts, object))
        return tf.strings.reduce_join(tf.gather(texts, ids), axis=-1)

    # === Words to ids ===

    def _spell(self, words: tf.Tensor) -> tf.RaggedTensor:
        """The ids of each word: int32, ragged, (words, tokens)."""
        with tf.device(_DEVICE):
            return self._look_up(words)

    def _look_up(self, words: tf.Tensor) -> tf.RaggedTensor:
        found = tf.searchsorted(self._fingerprints, _fingerprint(words))
        known = tf.equal(tf.gather(self._words, found), words)
        ids = tf.gather(self._word_ids, found)
        counts = tf.ones_like(ids, tf.int64)

        def spell_the_others():
            others = tf.where(tf.logical_not(known))
            unique, which = tf.unique(tf.gather_nd(words, others))
            spelled = self._join_pairs(unique)
            new_counts = tf.gather(spelled.row_lengths(), which)
            new_starts = tf.gather(spelled.row_starts(), which) + tf.size(ids, tf.int64)
            all_counts = tf.tensor_scatter_nd_update(counts, others, new_counts)
            starts = tf.range(tf.size(ids, tf.int64))
            starts = tf.tensor_scatter_nd_update(starts, others, new_starts)
            places = tf.ragged.range(starts, starts + all_counts).values
            return tf.gather(tf.concat([ids, spelled.values], axis=0), places), all_counts

        values, counts = tf.cond(tf.reduce_all(known), lambda: (ids, counts), spell_the_others)
        return tf.RaggedTensor.from_row_lengths(values, counts, validate=False)

    def _join_pairs(self, words: tf.Tensor) -> tf.RaggedTensor:
        """Applies the merges to each word's bytes: int32, ragged, (words, tokens).

        All words lie one after the other in one vector. A round joins the best pair of every word,
        wherever the word has it.

        So that a very long word does not take a round for each pair, words are cut into blocks of
        twice the longest piece, and a pair is joined as soon as it is the best of its own and the
        two neighbouring blocks: what could take a part of it away sooner would be a piece of better
        rank, made in these three blocks. That needs merges in which a piece is made before it is
        used. In other lists a join may make a better pair than itself, so one at a time is made.
        """
        lengths = tf.strings.length(words)
        block_counts = -(-lengths // self._block)
        first_blocks = tf.cumsum(block_counts, exclusive=True)
        within = tf.ragged.range(lengths).values // self._block
        blocks = tf.repeat(first_blocks, lengths) + within
        # One symbol more, a word of its own, so that every other symbol has a right neighbour.
        block_words = tf.repeat(tf.range(tf.size(words)), block_counts)
        block_words = tf.concat([block_words, [-1]], axis=0)
        blocks = tf.concat([blocks, [tf.size(block_words) - 1]], axis=0)
        data = tf.io.decode_raw(tf.strings.reduce_join(words), tf.uint8)
        symbols = tf.gather(self._byte_ids, tf.cast(data, tf.int32))
        symbols = tf.concat([symbols, [-1]], axis=0)
        places = tf.range(tf.size(data, tf.int64))
        ranks = self._rank_pairs(symbols, tf.gather(block_words, blocks), places)
        ranks = tf.concat([ranks, [_NEVER]], axis=0)

        def join(symbols, ranks, blocks):
            places = self._choose(ranks, blocks, block_words)
            return self._join(symbols, ranks, blocks, block_words, places)

        symbols, _, blocks = tf.while_loop(
            lambda symbols, ranks, blocks: tf.reduce_any(ranks < _NEVER),
            join,
            (symbols, ranks, blocks),
            shape_invariants=(tf.TensorShape([None]),) * 3,
        )
        rows = tf.cast(tf.gather(block_words, blocks[:-1]), tf.int64)
        nrows = tf.size(words, tf.int64)
        return tf.RaggedTensor.from_value_rowids(symbols[:-1], rows, nrows, validate=False)

    def _rank_pairs(self, symbols, words, places) -> tf.Tensor:
        """The rank of the pair of symbols that starts at each of `places`."""
        left = tf.cast(tf.gather(symbols, places), tf.int64)
        right = tf.cast(tf.gather(symbols, places + 1), tf.int64)
        keys = left * self._model_size + right
        found = tf.searchsorted(self._pair_keys, keys)
        joined = tf.equal(tf.gather(self._pair_keys, found), keys)
        joined &= tf.equal(tf.gather(words, places), tf.gather(words, places + 1))
        return tf.where(joined, tf.gather(self._pair_ranks, found), _NEVER)

    def _choose(self, ranks, blocks, block_words) -> tf.Tensor:
        """Where the pairs start that are to be joined now: int64, increasing."""
        best = tf.math.unsorted_segment_min(ranks, blocks, tf.size(block_words))
        same = tf.equal(block_words[1:], block_words[:-1])
        never = tf.constant([_NEVER])
        before = tf.concat([never, tf.where(same, best[:-1], _NEVER)], axis=0)
        after = tf.concat([tf.where(same, best[1:], _NEVER), never], axis=0)
        best = tf.minimum(best, tf.minimum(before, after))
        places = tf.where((ranks < _NEVER) & tf.equal(ranks, tf.gather(best, blocks)))[:, 0]
        if not self._ordered:
            words = tf.gather(block_words, tf.gather(blocks, places))
            first = tf.concat([[True], tf.not_equal(words[1:], words[:-1])], axis=0)
            return tf.boolean_mask(places, first)
        return self._every_other(ranks, places)

    @staticmethod
    def _every_other(ranks, places) -> tf.Tensor:
        """Without the pairs that overlap one on their left, as the second in "aaa" does.

        The count starts where the run of equal pairs does; if that is not among `places`, its turn
        has not come, and nor has the run's.
        """
        before = tf.gather(ranks, tf.maximum(places - 1, 0))
        first = tf.equal(places, 0) | tf.not_equal(before, tf.gather(ranks, places))
        run = tf.cumsum(tf.cast(first, tf.int32)) - 1
        start = tf.gather(tf.where(first)[:, 0], tf.maximum(run, 0))
        distance = places - tf.gather(places, start)
        unbroken = tf.equal(distance, tf.range(tf.size(places, tf.int64)) - start)
        chosen = (run >= 0) & unbroken & tf.equal(distance % 2, 0)
        return tf.boolean_mask(places, chosen)

    def _join(self, symbols, ranks, blocks, block_words, places):
        """Joins the pairs that start at `places`, and ranks the pairs that come of it."""
        results = tf.gather(self._results, tf.gather(ranks, places))
        symbols = tf.tensor_scatter_nd_update(symbols, places[:, None], results)
        kept = tf.ones_like(symbols, tf.bool)
        gone = tf.zeros_like(places, tf.bool)
        kept = tf.where(tf.tensor_scatter_nd_update(kept, places[:, None] + 1, gone))[:, 0]
        symbols, ranks, blocks = (tf.gather(x, kept) for x in (symbols, ranks, blocks))
        places -= tf.range(tf.size(places, tf.int64))
        places = tf.concat([tf.maximum(places - 1, 0), places], axis=0)
        new = self._rank_pairs(symbols, tf.gather(block_words, blocks), places)
        return symbols, tf.tensor_scatter_nd_update(ranks, places[:, None], new), blocks

    # === Files ===

    def assets(self) -> dict[str, bytes]:
        """The pieces with their ids, and the merges."""
        ids = {piece: id for id, piece in enumerate(self.model_pieces)}
        vocabulary = json.dumps(ids, ensure_ascii=False)
        merges = "".join(f"{left} {right}\n" for left, right in self.merges)
        contents = (vocabulary, f"{_HEADER}: 0.2\n{merges}")
        return {
            name: content.encode("utf-8")
            for name, content in zip(self.asset_names, contents, strict=True)
        }

    def settings(self) -> dict:
        """What is done before the vocabulary is looked into, and around it."""
        return {
            "add_prefix_space": self.add_prefix_space,
            "packing": self.packing,
            "mask_takes_space": self.mask_takes_space,
        }

    @classmethod
    def from_assets(cls, assets, special_tokens=ROBERTA_TOKENS, **settings) -> Self:
        """The tokenizer of the two files' content."""
        vocabulary, merges = (_File(name, assets[name]) for name in cls.asset_names)
        return cls(vocabulary, merges, special_tokens=special_tokens, **settings)


def _fingerprint(words: tf.Tensor) -> tf.Tensor:
    return tf.strings.to_hash_bucket_fast(words, 2**62)


# === Characters for bytes ===


def _characters() -> list[str]:
    """What stands for each byte in the files: if it prints in Latin-1 itself, or else U+0100.."""
    printable = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = iter(range(0x100, 0x200))
    return [chr(byte if byte in printable else next(others)) for byte in range(256)]


_CHARACTERS = _characters()
# Latin-1 spells the bytes in turn. What stands for no byte must not become one by accident.
_TO_LATIN = {
    **dict.fromkeys(range(256), "\uffff"),
    **{ord(character): chr(byte) for byte, character in enumerate(_CHARACTERS)},
}


def _piece_bytes(piece: str) -> bytes:
    try:
        return piece.translate(_TO_LATIN).encode("latin-1")
    except UnicodeEncodeError:  # an added token, which is spelled as it is
        return piece.encode("utf-8")


# === Files ===

_HEADER = "#version"


@dataclasses.dataclass(frozen=True)
class _File:
    """A file's name, for messages, and its content."""

    name: str
    data: bytes

    @classmethod
    def read(cls, path: str | os.PathLike) -> Self:
        try:
            return cls(str(path), pathlib.Path(path).read_bytes())
        except OSError as error:
            raise InputError(f"{path}: can't be read: {error.strerror}") from None

    def text(self) -> str:
        """The content, without a byte order mark and Windows line ends, which mean nothing."""
        try:
            return self.data.decode("utf-8-sig").replace("\r\n", "\n")
        except UnicodeDecodeError as error:
            line = self.data.count(b"\n", 0, error.start) + 1
            raise InputError(f"{self.name}:{line}: is not UTF-8") from None


def _load_pieces(vocabulary) -> tuple[list[str], str]:
    """The pieces in the order of their ids, and what messages call the vocabulary."""
    if isinstance(vocabulary, (str, os.PathLike)):
        vocabulary = _File.read(vocabulary)
    if not isinstance(vocabulary, _File):
        return _order_pieces(vocabulary, "vocabulary"), "vocabulary"
    source = vocabulary.name

    pieces = schema.parse(vocabulary.text(), source, dict[str, int])
    return _order_pieces(pieces, source), source


def _order_pieces(pieces: Mapping[str, int], source: str) -> list[str]:
    by_id: dict[int, str] = {}
    for piece, id in pieces.items():
        if not isinstance(id, (int, np.integer)) or isinstance(id, bool):
            raise InputError(f"{source}: the id of {piece!r} must be a whole number, found {id!r}")
        if id in by_id:
            raise InputError(f"{source}: {by_id[id]!r} and {piece!r} have the same id {id}")
        if any("\ud800" <= character <= "\udfff" for character in piece):
            raise InputError(f"{source}: {piece!r} has half a surrogate pair")
        by_id[int(id)] = piece
    missing = next((id for id in range(len(by_id)) if id not in by_id), None)
    if missing is not None:
        raise InputError(f"{source}: no piece has the id {missing}; there must be no holes")
    return [by_id[id] for id in range(len(by_id))]


def _load_merges(merges, ids: Mapping[str, int]) -> tuple[list[tuple[str, str]], np.ndarray]:
    """The pairs, and the ids of left part, right part and result: int64, (merges, 3)."""
    if isinstance(merges, (str, os.PathLike)):
        merges = _File.read(merges)
    source, first = "merges", 1
    if isinstance(merges, _File):
        source, merges = merges.name, merges.text().rstrip("\n").split("\n")
        if merges[0].startswith(_HEADER) or merges == [""]:
            merges, first = merges[1:], 2
    pairs, rows = [], []
    for line, merge in enumerate(merges, start=first):
        pair = tuple(merge.split(" ") if isinstance(merge, str) else merge)
        if len(pair) != 2 or not all(pair):
            raise InputError(
                f"{source}:{line}: expected two pieces and a space, found {shown(merge)}"
            )
        row = [*pair, "".join(pair)]
        for piece in row:
            if piece not in ids:
                raise InputError(f"{source}:{line}: {piece!r} is not in the vocabulary")
        pairs.append(pair)
        rows.append([ids[piece] for piece in row])
    return pairs, np.array(rows, np.int64).reshape(-1, 3)
