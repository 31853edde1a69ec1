"""The five special tokens and their spellings."""

import dataclasses


@dataclasses.dataclass(frozen=True, kw_only=True)
class SpecialTokens:
    """The spellings of the five special tokens in a vocabulary.

    Args:
        pad: string, the padding token.
        unknown: string, the token for text that the vocabulary cannot represent.
        cls: string, the token at the start of a row.
        sep: string, the token at the end of a text.
        mask: string, the token that replaces tokens to predict.

    Examples:
        >>> import kerasbert
        >>> kerasbert.text.SpecialTokens().mask
        '[MASK]'
        >>> tokens = kerasbert.text.SpecialTokens(pad="<pad>", unknown="<unk>")
        >>> tokens.pad, tokens.cls
        ('<pad>', '[CLS]')
    """

    pad: str = "[PAD]"
    unknown: str = "[UNK]"
    cls: str = "[CLS]"
    sep: str = "[SEP]"
    mask: str = "[MASK]"


#: The spellings of BERT.
BERT_TOKENS = SpecialTokens()

#: The spellings of RoBERTa and XLM-R.
ROBERTA_TOKENS = SpecialTokens(pad="<pad>", unknown="<unk>", cls="<s>", sep="</s>", mask="<mask>")

#: The spellings of ALBERT.
ALBERT_TOKENS = SpecialTokens(pad="<pad>", unknown="<unk>")

#: The usual spellings, by kind of tokenizer and packing.
USUAL_TOKENS = {
    ("wordpiece", "bert"): BERT_TOKENS,
    ("bytepair", "roberta"): ROBERTA_TOKENS,
    ("sentencepiece", "bert"): ALBERT_TOKENS,
    ("sentencepiece", "roberta"): ROBERTA_TOKENS,
}
