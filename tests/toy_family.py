"""A family from outside the package; see `test_families.py`."""

from kerasbert.families import Family, Layout, bert
from kerasbert.families.codecs import Codec, by_name
from kerasbert.families.layout import DENSE, Checkpoint

# A setting that no other family has: half of a number.
_HALVED = Codec(lambda heads, config: 2 * heads, lambda heads, encoder_config: heads // 2)

FAMILY = Family(
    presets={
        "toy_tiny": {
            "family": "toy",
            "vocabulary_size": 1000,
            "num_layers": 2,
            "hidden_dim": 16,
            "num_heads": 2,
            "intermediate_dim": 24,
            "activation": "relu",
        }
    },
    tokenizer={"kind": "sentencepiece", "lowercase": True},
    checkpoints=(Checkpoint("toymakers/toy-tiny-cased", "toy_tiny", "Toyish"),),
    layouts={
        "hf": Layout(
            model_type="toy",
            settings=(
                ("vocabulary_size", "vocab_size"),
                ("hidden_dim", "width"),
                ("num_layers", "depth"),
                ("num_heads", "pairs_of_heads", _HALVED),
                ("intermediate_dim", "inner"),
                ("activation", "bend", by_name({"hinge": "relu", "bell": "gelu"})),
                ("max_sequence_length", "longest"),
            ),
            defaults={"longest": 512},
            models={None: "ToyModel", "MaskedLM": "ToyForMaskedLM"},
            tokenizer_class="ToyTokenizer",
            prefix="toy.",
            encoder=tuple((kind, ours, f"box.{theirs}") for kind, ours, theirs in bert.HF_ENCODER),
            heads={"MaskedLM": bert.HF_MLM_HEAD},
            head_settings={"MaskedLM": bert.HF_MLM_SETTINGS},
        ),
        "google": Layout(
            model_type="toy",
            config_file="toy_config.json",
            config_hint="a toy without one is broken",
            ignored="^spring/",
            settings=bert.GOOGLE_SETTINGS,
            defaults=bert.GOOGLE_DEFAULTS,
            prefix="toy/",
            encoder=(
                *bert.GOOGLE_EMBEDDINGS,
                *bert.GOOGLE_LAYERS,
                (DENSE, "pooler/dense", "lid"),
            ),
            heads={"MaskedLM": bert.GOOGLE_MLM_HEAD},
            without_pooler=(),
        ),
    },
)
