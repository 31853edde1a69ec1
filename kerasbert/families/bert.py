"""BERT (Devlin et al. 2019) and its miniatures (Turc et al. 2019, arXiv:1908.08962)."""

# Sizes of Google's released vocabularies.
_UNCASED, _CASED, _CHINESE, _MULTILINGUAL = 30_522, 28_996, 21_128, 119_547


def _size(num_layers: int, hidden_dim: int, vocabulary_size: int = _UNCASED) -> dict:
    # Heads of 64 and a feed-forward layer four times as wide, in every released size.
    return {
        "vocabulary_size": vocabulary_size,
        "num_layers": num_layers,
        "hidden_dim": hidden_dim,
        "num_heads": hidden_dim // 64,
        "intermediate_dim": 4 * hidden_dim,
    }


PRESETS = {
    "bert_tiny": _size(2, 128),
    "bert_mini": _size(4, 256),
    "bert_small": _size(4, 512),
    "bert_medium": _size(8, 512),
    "bert_base": _size(12, 768),
    "bert_base_cased": _size(12, 768, _CASED),
    "bert_base_chinese": _size(12, 768, _CHINESE),
    "bert_base_multilingual_cased": _size(12, 768, _MULTILINGUAL),
    "bert_large": _size(24, 1024),
    "bert_large_cased": _size(24, 1024, _CASED),
    # The 24 miniatures, by layers and width.
    **{
        f"bert_l{layers}_h{width}": _size(layers, width)
        for layers in (2, 4, 6, 8, 10, 12)
        for width in (128, 256, 512, 768)
    },
}
