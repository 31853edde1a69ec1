"""What Hugging Face calls files, special tokens and classes of tokenizers."""

from kerasbert.text.vocabulary import LINE_SEPARATOR

VOCABULARY, PIECES, MERGES = "vocab.txt", "vocab.json", "merges.txt"
FAST, SETTINGS, SPECIAL, ADDED = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
)
CONFIG = "config.json"
#: Names that SentencePiece models go by, the usual ones first.
MODELS = ("spiece.model", "sentencepiece.bpe.model", "sentencepiece.model", "spm.model")

# Our names of special tokens -> Hugging Face's.
ROLES = {
    "pad": "pad_token",
    "unknown": "unk_token",
    "cls": "cls_token",
    "sep": "sep_token",
    "mask": "mask_token",
}
# What tells more special tokens than those.
MORE_SPECIAL = ("additional_special_tokens", "extra_special_tokens")
# Hugging Face reads it as "" and writes it so.
TRIMMED = LINE_SEPARATOR
GENERIC = ("PreTrainedTokenizerFast", "TokenizersBackend")
# What ALBERT's tokenizer makes a quotation mark.
QUOTE_PATTERNS = tuple({"String": quotes} for quotes in ("``", "''"))
