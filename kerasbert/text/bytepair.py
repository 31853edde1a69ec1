"""Byte-level BPE, the tokenizer of GPT-2 and RoBERTa, as TensorFlow ops with offsets.

A text is split into words, each word into its UTF-8 bytes, and the bytes are joined pair by pair in
the order of the merges. Files spell each byte as one printable character (`Ġ` is a space); the ops
work with token ids and raw bytes.

Most words are single tokens and are looked up. Only the other words, each once per batch, go
through the merges, all at the same time.
"""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np

from kerasbert.errors import InputError
from kerasbert.lazy import tensorflow as tf
from kerasbert.text.added_tokens import AddedToken
from kerasbert.text.byte_merges import ByteMerges
from kerasbert.text.bytepair_files import (
    CHARACTERS,
    HEADER,
    File,
    load_merges,
    load_tokens,
    token_bytes,
)
from kerasbert.text.normalization import CUT, WHITE_SPACE, drop_invalid_utf8, holds
from kerasbert.text.offsets import undo_drop
from kerasbert.text.special_tokens import ROBERTA_TOKENS, SpecialTokens
from kerasbert.text.tokenizer import Tokenizer

# The categories of Unicode 16, as in `tokenizers`. The ranges are newer than the tables of
# TensorFlow's RE2.
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
    """Splits valid UTF-8 into words as GPT-2 does; some words are empty.

    The words of a text, joined, are the text. Inserting marks and splitting at the marks takes an
    eighth of the time of the op that splits at a pattern.
    """

    def leave_the_last():
        # The last white space before a word does not belong to the run before it. GPT-2's pattern
        # uses a lookahead, which RE2 lacks.
        pattern = f"([{WHITE_SPACE}])([{WHITE_SPACE}][^{WHITE_SPACE}])"
        return tf.strings.regex_replace(text, pattern, rb"\1" + CUT + rb"\2")

    runs = tf.strings.regex_full_match(text, f"(?s).*[{WHITE_SPACE}][{WHITE_SPACE}].*")
    text = tf.cond(tf.reduce_any(runs), leave_the_last, lambda: text)
    return tf.strings.split(tf.strings.regex_replace(text, _WORD, rb"\0" + CUT), CUT)


def _behind_space(text: tf.Tensor) -> tf.Tensor:
    """Prepends a space to texts that are not empty and do not start with one."""
    bare = tf.strings.regex_full_match(text, "(?s)[^ ].*")
    return tf.where(bare, tf.strings.join([" ", text]), text)


def _word_offsets(words: tf.RaggedTensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns start (after a leading space) and end of each word in its text; int64, flat."""
    lengths = tf.cast(tf.strings.length(words.values), tf.int64)
    limits = tf.concat([[0], tf.cumsum(lengths)], axis=0)
    ends = limits[1:] - tf.gather(tf.gather(limits, words.row_starts()), words.value_rowids())
    spaced = tf.strings.regex_full_match(words.values, f"(?s) [^{WHITE_SPACE}].*")
    return ends - lengths + tf.cast(spaced, lengths.dtype), ends


class BytePairTokenizer(Tokenizer):
    """Byte-level BPE tokenizer, as TensorFlow ops.

    The ids are those of Hugging Face `tokenizers`. Calling the tokenizer on a string tensor of
    shape (batch,) returns an int32 `tf.RaggedTensor` of shape (batch, tokens); see `Tokenizer`.
    Bytes that are not valid UTF-8 are dropped. A byte that is not in the vocabulary becomes the
    unknown token.

    Examples:
        With tokens and merges; usually these are the paths of a `vocab.json` and a `merges.txt`.
        `Ġ` is how the files spell a space.

        >>> import kerasbert
        >>> tokens = ["<s>", "<pad>", "</s>", "<unk>", "<mask>", "h", "i", "Ġ", "hi", "Ġhi"]
        >>> tokenizer = kerasbert.text.BytePairTokenizer(
        ...     {token: id for id, token in enumerate(tokens)}, ["h i", "Ġ hi"]
        ... )
        >>> ids = tokenizer(["hi hi", "hh"])
        >>> ids.to_list()
        [[8, 9], [5, 5]]
        >>> tokenizer.detokenize(ids).numpy()[0].decode()
        'hi hi'

    Args:
        vocabulary: path of a `vocab.json`, or a dict of tokens and their ids.
        merges: path of a `merges.txt`, or a list of its lines or of pairs of tokens, by priority.
        add_prefix_space: whether a space is prepended to a text that starts with none, so that its
            first word has the same tokens as elsewhere in a text.
        special_tokens: `SpecialTokens`, the spellings of the special tokens.
        packing: see `Tokenizer`.
        mask_takes_space: see `Tokenizer`.
        added_tokens: see `Tokenizer`.

    Raises:
        InputError: the vocabulary or the merges cannot be used; the message names the file.
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
        subwords, source = load_tokens(vocabulary)
        try:
            super().__init__(
                subwords,
                special_tokens,
                added_tokens=added_tokens,
                packing=packing,
                mask_takes_space=mask_takes_space,
            )
        except InputError as error:
            raise InputError(f"{source}: {error}") from None
        self.merges, self._merge_ids = load_merges(merges, self._ids)
        self.add_prefix_space = bool(add_prefix_space)

    @functools.cached_property
    def _engine(self) -> ByteMerges:
        return ByteMerges(self.vocabulary, self._model_size, self._merge_ids, self.unknown_id)

    def _continues_word(self, subword: str) -> bool:
        return not subword.startswith(CHARACTERS[ord(" ")])

    # === Text ===

    def _prepare(self, text, *, sought=None, behind_space=False):
        text = drop_invalid_utf8(text)
        holds_pattern = holds(text, sought.pattern) if sought else None
        return _behind_space(text) if behind_space or self.add_prefix_space else text, holds_pattern

    def _pieces(self, prepared) -> tf.RaggedTensor:
        words = _split_words(prepared)
        return words.with_values(self._engine.spell(words.values)).merge_dims(1, 2)

    def tokenize_with_offsets(self, text: Any) -> tuple[tf.RaggedTensor, ...]:
        """Tokenizes strings, with the offsets of words (see `Tokenizer.tokenize_with_offsets`).

        A word does not include the space before it; a run of white space is a word. A space that
        `add_prefix_space` inserts before other white space is an empty word.

        Args:
            text: string tensor, or a list of strings, (batch,).

        Returns:
            Ids, starts and ends; see `Tokenizer.tokenize_with_offsets`.

        Examples:
            >>> ids, starts, ends = tokenizer.tokenize_with_offsets(["hi hi"])
            >>> starts.to_list(), ends.to_list()
            ([[0, 3]], [[2, 5]])
        """
        return super().tokenize_with_offsets(text)

    def _with_offsets(self, text) -> tuple[tf.RaggedTensor, ...]:
        valid = drop_invalid_utf8(text)
        spaced, _ = self._prepare(valid)
        words = _split_words(spaced)
        subwords = words.with_values(self._engine.spell(words.values))
        starts, ends = _word_offsets(words)
        added = tf.cast(tf.strings.length(spaced) - tf.strings.length(valid), starts.dtype)
        added = tf.gather(added, words.value_rowids())
        ids, counts = subwords.merge_dims(1, 2), subwords.values.row_lengths()
        starts = ids.with_values(tf.repeat(tf.maximum(starts - added, 0), counts))
        ends = ids.with_values(tf.repeat(ends - added, counts))
        return ids, *undo_drop(text, valid, starts, ends)

    def detokenize(self, ids: Any) -> tf.Tensor:
        """Joins the bytes of tokens to texts; special tokens are included as spelled.

        Args:
            ids: integers, (batch, tokens), ragged or dense.

        Returns:
            String tensor, (batch,).

        Raises:
            InputError: no token has one of the ids.
        """
        added = (token.encode("utf-8") for token in self.vocabulary[self._model_size :])
        texts = [*map(token_bytes, self.model_tokens), *added]
        texts = tf.constant(np.array(texts, object))
        return tf.strings.reduce_join(self._spelled(texts, ids), axis=-1)

    # === Files ===

    def assets(self) -> dict[str, bytes]:
        """Returns the contents of `vocab.json` and `merges.txt`."""
        ids = {subword: id for id, subword in enumerate(self.model_tokens)}
        vocabulary = json.dumps(ids, ensure_ascii=False)
        merges = "".join(f"{left} {right}\n" for left, right in self.merges)
        contents = (vocabulary, f"{HEADER}: 0.2\n{merges}")
        return {
            name: content.encode("utf-8")
            for name, content in zip(self.asset_names, contents, strict=True)
        }

    def settings(self) -> dict[str, Any]:
        """Returns the constructor arguments that are neither files nor tokens."""
        return {
            "add_prefix_space": self.add_prefix_space,
            "packing": self.packing,
            "mask_takes_space": self.mask_takes_space,
        }

    @classmethod
    def from_assets(
        cls, assets: Any, special_tokens: Any = ROBERTA_TOKENS, **settings: Any
    ) -> Self:
        """Returns the tokenizer for the contents of the two files.

        Args:
            assets: dict of the files' names and contents.
            special_tokens: `SpecialTokens`.
            **settings: arguments of the constructor, including `added_tokens`.

        Raises:
            InputError: the files cannot be used.
        """
        contents: Any = (File(name, assets[name]) for name in cls.asset_names)
        vocabulary, merges = contents  # the constructor takes what `load_tokens` takes
        return cls(vocabulary, merges, special_tokens=special_tokens, **settings)
