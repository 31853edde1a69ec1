"""Hugging Face's names of files, special tokens and tokenizer classes."""

from kerasbert.text.vocabulary import LINE_SEPARATOR

VOCABULARY, PIECES, MERGES = "vocab.txt", "vocab.json", "merges.txt"
FAST, SETTINGS, SPECIAL, ADDED = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
)
CONFIG = "config.json"
#: The names of SentencePiece models, in order of preference.
MODELS = ("spiece.model", "sentencepiece.bpe.model", "sentencepiece.model", "spm.model")

# Hugging Face's names of special tokens, by ours.
ROLES = {
    "pad": "pad_token",
    "unknown": "unk_token",
    "cls": "cls_token",
    "sep": "sep_token",
    "mask": "mask_token",
}
# The keys of further special tokens.
MORE_SPECIAL = ("additional_special_tokens", "extra_special_tokens")
# Hugging Face reads and writes this token as "".
TRIMMED = LINE_SEPARATOR
GENERIC = ("PreTrainedTokenizerFast", "TokenizersBackend")
# The patterns that ALBERT's tokenizer replaces by a quotation mark.
QUOTE_PATTERNS = tuple({"String": quotes} for quotes in ("``", "''"))
