"""RoBERTa (Liu et al. 2019): BERT with byte-level BPE, and positions offset by the padding id."""

from kerasbert.families import bert, public
from kerasbert.families.codecs import Codec
from kerasbert.families.layout import DENSE, EMBEDDING, NORM, TENSOR, Family, Layout

# The arguments that all models of the family share.
COMMON = {
    "num_segments": 1,
    "positions": "learned_offset",
    "padding_id": 1,
    "activation": "gelu",
    "layer_norm_epsilon": 1e-5,
    "classifier_activation": "tanh",
}


def _size(num_layers: int, hidden_dim: int) -> dict:
    return {
        "family": "roberta",
        "vocabulary_size": 50_265,
        "num_layers": num_layers,
        "hidden_dim": hidden_dim,
        "num_heads": hidden_dim // 64,
        "intermediate_dim": 4 * hidden_dim,
        **COMMON,
    }


PRESETS = {"roberta_base": _size(12, 768), "roberta_large": _size(24, 1024)}

# === Hugging Face transformers, models/roberta ===

# Rows 0 to the padding id of the position table are never used by tokens.
_POSITIONS_AFTER_PADDING = Codec(
    lambda rows, config: rows - config["pad_token_id"] - 1,
    lambda length, encoder_config: length + encoder_config["padding_id"] + 1,
)
HF_SETTINGS = tuple(
    (row[0], row[1], _POSITIONS_AFTER_PADDING) if row[0] == "max_sequence_length" else row
    for row in bert.HF_SETTINGS
)
HF_CONSTANTS = {"positions": "learned_offset", "classifier_activation": "tanh"}
HF_DEFAULTS = {**bert.HF_DEFAULTS, "pad_token_id": 1}
_HF_MLM_HEAD = (
    (DENSE, "mlm_head/dense", "lm_head.dense"),
    (NORM, "mlm_head/layer_norm", "lm_head.layer_norm"),
    (EMBEDDING, "mlm_head/table", "lm_head.decoder"),
    (TENSOR, "mlm_head/bias", "lm_head.decoder.bias"),
    (TENSOR, "mlm_head/bias", "lm_head.bias"),
)
HF_HEADS = {
    "MaskedLM": _HF_MLM_HEAD,
    "TextClassifier": (
        (DENSE, "classifier_hidden", "classifier.dense"),
        (DENSE, "classifier", "classifier.out_proj"),
    ),
    "TokenClassifier": bert.HF_HEADS["TokenClassifier"],
    "QuestionAnswerer": bert.HF_HEADS["QuestionAnswerer"],
    "MultipleChoice": bert.HF_HEADS["MultipleChoice"],
}
HF_HEAD_CONSTANTS = {"MaskedLM": {"activation": "gelu"}, **bert.HF_HEAD_CONSTANTS}
HF_WITHOUT_POOLER = ("MaskedLM", "TextClassifier", "TokenClassifier", "QuestionAnswerer")


def hf_layout(model_type: str, class_prefix: str) -> Layout:
    """Returns the layout of RoBERTa, and of families that differ from it in names only."""
    return Layout(
        model_type=model_type,
        settings=HF_SETTINGS,
        constants=HF_CONSTANTS,
        defaults=HF_DEFAULTS,
        only=bert.HF_ONLY,
        models={
            task: f"{class_prefix}{name}"
            for task, name in bert.HF_MODELS.items()
            if task is None or task in HF_HEADS
        },
        tokenizer_class=f"{class_prefix}Tokenizer",
        prefix="roberta.",
        encoder=bert.HF_ENCODER,
        heads=HF_HEADS,
        head_settings={task: bert.HF_HEAD_SETTINGS.get(task, ()) for task in HF_HEADS},
        head_constants=HF_HEAD_CONSTANTS,
        without_pooler=HF_WITHOUT_POOLER,
    )


# === KerasHub, models/roberta: positions start at 0, so the table has no rows before them ===

_KERASHUB_ENCODER = (
    (EMBEDDING, "embeddings/token_embedding", "embeddings/token_embedding"),
    (EMBEDDING, "embeddings/position_embedding", "embeddings/position_embedding"),
    (NORM, "embeddings/layer_norm", "embeddings_layer_norm"),
    *bert.KERASHUB_LAYERS,
)


def kerashub_layout(class_prefix: str) -> Layout:
    """Returns the layout of RoBERTa, and of families that differ from it in names only."""
    return Layout(
        model_type=f"{class_prefix}Backbone",
        settings=bert.KERASHUB_SETTINGS,
        defaults=bert.KERASHUB_DEFAULTS,
        constants={
            "num_segments": 0,
            "activation": "gelu",
            "layer_norm_epsilon": 1e-5,
            "padding_id": 1,
            "classifier_activation": "tanh",
        },
        models={
            None: f"{class_prefix}Backbone",
            "MaskedLM": f"{class_prefix}MaskedLM",
            "TextClassifier": f"{class_prefix}TextClassifier",
        },
        encoder=_KERASHUB_ENCODER,
        heads={
            "MaskedLM": bert.KERASHUB_MLM_HEAD,
            "TextClassifier": (
                (DENSE, "classifier_hidden", "pooled_dense"),
                *bert.KERASHUB_CLASSIFIER,
            ),
        },
        head_settings={"TextClassifier": bert.KERASHUB_CLASSIFIER_SETTINGS},
        head_constants={
            "MaskedLM": {"activation": "gelu", "layer_norm_epsilon": bert.KERASHUB_MLM_EPSILON}
        },
        without_pooler=("MaskedLM", "TextClassifier"),
    )


FAMILY = Family(
    presets=PRESETS,
    tokenizer={"kind": "bytepair"},
    checkpoints=public.ROBERTA,
    layouts={"hf": hf_layout("roberta", "Roberta"), "kerashub": kerashub_layout("Roberta")},
)
