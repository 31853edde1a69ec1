"""Tokenizers as TensorFlow ops: raw strings to token ids and features."""

from kerasbert.text.added_tokens import AddedToken
from kerasbert.text.bytepair import BytePairTokenizer
from kerasbert.text.offsets import bytes_to_characters
from kerasbert.text.packing import TextPacker, pack, truncate_pair
from kerasbert.text.registry import (
    TOKENIZERS,
    load_tokenizer,
    save_assets,
    tokenizer_from_config,
)
from kerasbert.text.sentencepiece import SentencePieceTokenizer
from kerasbert.text.special_tokens import SpecialTokens
from kerasbert.text.tokenizer import Tokenizer
from kerasbert.text.vocabulary import load_vocabulary, train_vocabulary
from kerasbert.text.wordpiece import WordPieceTokenizer

__all__ = [
    "TOKENIZERS",
    "AddedToken",
    "BytePairTokenizer",
    "SentencePieceTokenizer",
    "SpecialTokens",
    "TextPacker",
    "Tokenizer",
    "WordPieceTokenizer",
    "bytes_to_characters",
    "load_tokenizer",
    "load_vocabulary",
    "pack",
    "save_assets",
    "tokenizer_from_config",
    "train_vocabulary",
    "truncate_pair",
]
