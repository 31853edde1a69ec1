"""The five special tokens, and how vocabularies spell them."""

import dataclasses


@dataclasses.dataclass(frozen=True, kw_only=True)
class SpecialTokens:
    """The five tokens that BERT's family needs, as a vocabulary spells them."""

    pad: str = "[PAD]"
    unknown: str = "[UNK]"
    cls: str = "[CLS]"
    sep: str = "[SEP]"
    mask: str = "[MASK]"


#: How BERT spells them.
BERT_TOKENS = SpecialTokens()

#: How RoBERTa and XLM-R spell them.
ROBERTA_TOKENS = SpecialTokens(pad="<pad>", unknown="<unk>", cls="<s>", sep="</s>", mask="<mask>")

#: How ALBERT spells them.
ALBERT_TOKENS = SpecialTokens(pad="<pad>", unknown="<unk>")

#: How vocabularies usually spell them, by kind of tokenizer and packing.
USUAL_TOKENS = {
    ("wordpiece", "bert"): BERT_TOKENS,
    ("bytepair", "roberta"): ROBERTA_TOKENS,
    ("sentencepiece", "bert"): ALBERT_TOKENS,
    ("sentencepiece", "roberta"): ROBERTA_TOKENS,
}
