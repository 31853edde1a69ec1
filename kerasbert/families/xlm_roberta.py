"""XLM-R (Conneau et al. 2020): RoBERTa with SentencePiece, for a hundred languages."""

from kerasbert.families import public, roberta
from kerasbert.families.layout import Family


def _size(num_layers: int, hidden_dim: int) -> dict:
    return {
        **roberta.PRESETS["roberta_base"],
        "family": "xlm_roberta",
        "vocabulary_size": 250_002,
        "num_layers": num_layers,
        "hidden_dim": hidden_dim,
        "num_heads": hidden_dim // 64,
        "intermediate_dim": 4 * hidden_dim,
    }


FAMILY = Family(
    presets={"xlm_roberta_base": _size(12, 768), "xlm_roberta_large": _size(24, 1024)},
    tokenizer={"kind": "sentencepiece", "layout": "fairseq", "packing": "roberta"},
    checkpoints=public.XLM_ROBERTA,
    layouts={
        "hf": roberta.hf_layout("xlm-roberta", "XLMRoberta"),
        "kerashub": roberta.kerashub_layout("XLMRoberta"),
    },
)
