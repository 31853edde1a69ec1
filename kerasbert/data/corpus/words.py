"""Words of several tokens: which tokens of a text continue the word of the token before."""

from __future__ import annotations

import itertools
import os
import threading
from collections.abc import Sequence
from typing import Any

import numpy as np

from kerasbert.data.corpus.phrases import Phrases
from kerasbert.data.corpus.segmenters import load_segmenter, words_of
from kerasbert.errors import InputError
from kerasbert.text import BytePairTokenizer
from kerasbert.text.tokenizer import Tokenizer

_SPACES = [code for code in range(0x3001) if chr(code).isspace()]


class WordFinder:
    """Finds the words of tokenized sentences by a segmenter, a list of phrases, or both.

    Args:
        tokenizer: `Tokenizer` of the sentences.
        segmenter: see `load_segmenter`. "none" takes the tokenizer's words: those between spaces
            and punctuation, and single Chinese characters.
        phrases: path of a list of phrases, or None. Words that together are a phrase become one.

    Raises:
        InputError: the segmenter or the phrases can't be used, or the tokenizer has no words.

    Examples:
        Two characters are one word because a list of phrases says so:

        >>> import pathlib
        >>> import kerasbert
        >>> words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "我", "爱", "北", "京"]
        >>> tokenizer = kerasbert.text.WordPieceTokenizer(words)
        >>> size = pathlib.Path("phrases.txt").write_text("北京\\n", encoding="utf-8")
        >>> finder = kerasbert.data.corpus.WordFinder(tokenizer, phrases="phrases.txt")
        >>> ids, starts, ends = tokenizer.tokenize_with_offsets(["我爱北京"])
        >>> finder([4], ["我爱北京".encode()], starts.values.numpy(), ends.values.numpy()).tolist()
        [False, False, False, True]

        It is an argument of `prepare_corpus`: `prepare_corpus(inputs, tokenizer, output,
        words=finder)`.
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        segmenter: str = "none",
        phrases: str | os.PathLike[str] | None = None,
    ):
        if isinstance(tokenizer, BytePairTokenizer):
            raise InputError(
                "word_segmenter and phrases need a tokenizer whose tokens are characters or "
                "longer, WordPiece or SentencePiece; those of byte-level BPE can be parts of one"
            )
        self._name, self._segmenter = (
            ("none", None) if segmenter == "none" else load_segmenter(segmenter)
        )
        self._phrases = Phrases(phrases) if phrases else None
        self._lock = threading.Lock()

    @property
    def settings(self) -> dict[str, Any]:
        """What determines the words, for the manifest of a corpus.

        Examples:
            >>> sorted(finder.settings)
            ['phrases_sha256', 'segmenter']
        """
        phrases = {"phrases_sha256": self._phrases.sha256} if self._phrases else {}
        return {"segmenter": self._name, **phrases}

    def __call__(
        self, lengths: np.ndarray, sentences: Sequence[bytes], starts: np.ndarray, ends: np.ndarray
    ) -> np.ndarray:
        """Returns which tokens continue a word: bool, (tokens,).

        Args:
            lengths: integers, (sentences,), the number of tokens of each sentence.
            sentences: the sentences, valid UTF-8.
            starts: integers, (tokens,), the start of each token's word in its sentence, in bytes;
                see `Tokenizer.tokenize_with_offsets`.
            ends: integers, (tokens,), the ends, exclusive.

        Raises:
            InputError: the segmenter returned something else than the words of the sentences.
        """
        texts = [sentence.decode("utf-8") for sentence in sentences]
        first, last = _character_numbers(sentences, texts, lengths, starts, ends)
        sentence = np.repeat(np.arange(len(lengths)), lengths)
        same_sentence = sentence[1:] == sentence[:-1]
        continues = np.zeros(len(starts), bool)
        continues[1:] = same_sentence & (starts[1:] == starts[:-1])
        if self._segmenter:
            with self._lock:  # a function of the user need not be safe in threads
                words = words_of(self._name, self._segmenter, texts)
            sizes = [len(word) for word in itertools.chain.from_iterable(words)]
            ends_of_words = np.cumsum(sizes)
            in_word = [np.searchsorted(ends_of_words, x, side="right") for x in (first, last)]
            continues[1:] |= same_sentence & (in_word[0][1:] == in_word[1][:-1])
        if self._phrases:
            solid = "".join("".join(texts).split())
            begins = np.flatnonzero(~continues)
            continues[begins] = self._inside_phrases(solid, first[begins], sentence[begins])
        return continues

    def _inside_phrases(self, text: str, starts: np.ndarray, sentence: np.ndarray) -> np.ndarray:
        """Returns which words continue a phrase, given the first characters of all words."""
        assert self._phrases is not None
        words = [text[i:j] for i, j in itertools.pairwise([*starts.tolist(), len(text)])]
        inside, start = np.zeros(len(words), bool), 0
        ends = np.searchsorted(sentence, sentence, side="right").tolist()
        while start < len(words):
            end = self._phrases.longest_at(words, start, ends[start])
            inside[start + 1 : end] = True
            start = end
        return inside


def _character_numbers(sentences, texts, lengths, starts, ends) -> tuple[np.ndarray, np.ndarray]:
    """Returns the first and the last character of each token, counted without white space."""
    codes = np.frombuffer("".join(texts).encode("utf-32-le"), "<u4")
    sizes = 1 + sum((codes >= limit).astype(int) for limit in (0x80, 0x800, 0x10000))
    bytes_before = np.cumsum(sizes) - sizes
    solid = ~np.isin(codes, _SPACES)
    solid_before = np.cumsum(solid) - solid
    sentence_starts = np.cumsum([0, *map(len, sentences)])[:-1]
    before = np.repeat(sentence_starts, lengths)

    def number(offsets):
        characters = np.searchsorted(bytes_before, before + offsets, side="right") - 1
        return solid_before[characters]

    return number(starts), number(np.maximum(ends - 1, starts))
