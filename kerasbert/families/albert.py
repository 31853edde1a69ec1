"""ALBERT (Lan et al. 2020): narrow embeddings, and layers with shared weights."""

from kerasbert.families import bert, public
from kerasbert.families.codecs import LABELS, WIDTH_IF_PROJECTED
from kerasbert.families.layout import DENSE, EMBEDDING, NORM, TENSOR, Family, Layout


def _size(num_layers: int, hidden_dim: int, num_heads: int, dropout: float) -> dict:
    return {
        "family": "albert",
        "vocabulary_size": 30_000,
        "num_layers": num_layers,
        "hidden_dim": hidden_dim,
        "num_heads": num_heads,
        "intermediate_dim": 4 * hidden_dim,
        "embedding_dim": 128,
        "num_groups": 1,
        "dropout": dropout,
        "attention_dropout": dropout,
    }


# The architectures of version 2 (google-research/albert, README).
PRESETS = {
    "albert_base": _size(12, 768, 12, 0.0),
    "albert_large": _size(24, 1024, 16, 0.0),
    "albert_xlarge": _size(24, 2048, 16, 0.0),
    "albert_xxlarge": _size(12, 4096, 64, 0.0),
}

# === Hugging Face transformers, models/albert ===

_HF_EMBEDDINGS = bert.HF_ENCODER[:4]
_HF_LAYER = "encoder.albert_layer_groups.{g}.albert_layers.{k}"
_HF_MLM_HEAD = (
    (DENSE, "mlm_head/dense", "predictions.dense"),
    (NORM, "mlm_head/layer_norm", "predictions.LayerNorm"),
    (EMBEDDING, "mlm_head/table", "predictions.decoder"),
    (TENSOR, "mlm_head/bias", "predictions.decoder.bias"),
    (TENSOR, "mlm_head/bias", "predictions.bias"),
)
_HF_CLASSIFIER_SETTINGS = (
    ("classes", "id2label", LABELS),
    ("dropout", "classifier_dropout_prob"),
)
_GROUPS = (
    ("embedding_dim", "embedding_size"),
    ("num_groups", "num_hidden_groups"),
    ("layers_per_group", "inner_group_num"),
)

# === google-research/albert, modeling.py ===

# google-research projects embeddings only if their width differs from that of the layers.
_GOOGLE_GROUPS = (("embedding_dim", "embedding_size", WIDTH_IF_PROJECTED), *_GROUPS[1:])
_GOOGLE_LAYER = "encoder/transformer/group_{g}/inner_group_{k}"

# === KerasHub, models/albert ===

_KERASHUB_ENCODER = (
    *bert.KERASHUB_EMBEDDINGS,
    (DENSE, "embeddings/projection", "embedding_projection"),
    *(
        (kind, f"layer_{{i}}/{ours}", f"group_{{g}}_inner_layer_{{k}}/{theirs}")
        for kind, ours, theirs in bert.KERASHUB_LAYER
    ),
    *bert.KERASHUB_POOLER,
)

FAMILY = Family(
    presets=PRESETS,
    tokenizer={
        "kind": "sentencepiece",
        "lowercase": True,
        "strip_accents": True,
        "replace_quotes": True,
        "avoid_number_commas": True,
    },
    checkpoints=public.ALBERT,
    layouts={
        "hf": Layout(
            model_type="albert",
            settings=(*bert.HF_SETTINGS, *_GROUPS),
            defaults={
                **bert.HF_DEFAULTS,
                "hidden_act": "gelu_new",
                "hidden_dropout_prob": 0.0,
                "attention_probs_dropout_prob": 0.0,
                "num_hidden_groups": 1,
                "inner_group_num": 1,
                "classifier_dropout_prob": 0.1,
            },
            only=bert.HF_ONLY,
            models={
                task: f"Albert{name}"
                for task, name in bert.HF_MODELS.items()
                if task != "NextSentencePredictor"
            },
            tokenizer_class="AlbertTokenizer",
            prefix="albert.",
            encoder=(
                *_HF_EMBEDDINGS,
                (DENSE, "embeddings/projection", "encoder.embedding_hidden_mapping_in"),
                (DENSE, "layer_{i}/attention/query", f"{_HF_LAYER}.attention.query"),
                (DENSE, "layer_{i}/attention/key", f"{_HF_LAYER}.attention.key"),
                (DENSE, "layer_{i}/attention/value", f"{_HF_LAYER}.attention.value"),
                (DENSE, "layer_{i}/attention/output", f"{_HF_LAYER}.attention.dense"),
                (NORM, "layer_{i}/attention_layer_norm", f"{_HF_LAYER}.attention.LayerNorm"),
                (DENSE, "layer_{i}/intermediate", f"{_HF_LAYER}.ffn"),
                (DENSE, "layer_{i}/output", f"{_HF_LAYER}.ffn_output"),
                (NORM, "layer_{i}/output_layer_norm", f"{_HF_LAYER}.full_layer_layer_norm"),
                (DENSE, "pooler/dense", "pooler"),
            ),
            heads={
                "Pretrainer": (*_HF_MLM_HEAD, (DENSE, "nsp_head", "sop_classifier.classifier")),
                "MaskedLM": _HF_MLM_HEAD,
                "TextClassifier": bert.HF_HEADS["TextClassifier"],
                "TokenClassifier": bert.HF_HEADS["TokenClassifier"],
                "QuestionAnswerer": bert.HF_HEADS["QuestionAnswerer"],
                "MultipleChoice": bert.HF_HEADS["MultipleChoice"],
            },
            head_settings={
                "Pretrainer": bert.HF_MLM_SETTINGS,
                "MaskedLM": bert.HF_MLM_SETTINGS,
                "TextClassifier": (*_HF_CLASSIFIER_SETTINGS, bert.HF_PROBLEM_TYPE),
                "TokenClassifier": _HF_CLASSIFIER_SETTINGS,
                "MultipleChoice": (("dropout", "classifier_dropout_prob"),),
            },
            head_constants={"Pretrainer": {"objective": "sop"}, **bert.HF_HEAD_CONSTANTS},
        ),
        "google": Layout(
            model_type="albert",
            config_file="albert_config.json",
            settings=(*bert.GOOGLE_SETTINGS, *_GOOGLE_GROUPS),
            defaults={
                **bert.GOOGLE_DEFAULTS,
                "hidden_dropout_prob": 0,
                "attention_probs_dropout_prob": 0,
                "type_vocab_size": 2,
                "embedding_size": 128,
                "num_hidden_groups": 1,
                "inner_group_num": 1,
            },
            prefix="bert/",
            encoder=(
                *bert.GOOGLE_EMBEDDINGS,
                (DENSE, "embeddings/projection", "encoder/embedding_hidden_mapping_in"),
                (DENSE, "layer_{i}/attention/query", f"{_GOOGLE_LAYER}/attention_1/self/query"),
                (DENSE, "layer_{i}/attention/key", f"{_GOOGLE_LAYER}/attention_1/self/key"),
                (DENSE, "layer_{i}/attention/value", f"{_GOOGLE_LAYER}/attention_1/self/value"),
                (DENSE, "layer_{i}/attention/output", f"{_GOOGLE_LAYER}/attention_1/output/dense"),
                (NORM, "layer_{i}/attention_layer_norm", f"{_GOOGLE_LAYER}/LayerNorm"),
                (DENSE, "layer_{i}/intermediate", f"{_GOOGLE_LAYER}/ffn_1/intermediate/dense"),
                (DENSE, "layer_{i}/output", f"{_GOOGLE_LAYER}/ffn_1/intermediate/output/dense"),
                (NORM, "layer_{i}/output_layer_norm", f"{_GOOGLE_LAYER}/LayerNorm_1"),
                *bert.GOOGLE_POOLER,
            ),
            heads=bert.GOOGLE_HEADS,
            head_constants={
                "Pretrainer": {"objective": "sop"},
                **bert.GOOGLE_HEAD_CONSTANTS,
            },
            without_pooler=(),
        ),
        "kerashub": Layout(
            model_type="AlbertBackbone",
            settings=(
                *bert.KERASHUB_SETTINGS,
                ("num_segments", "num_segments"),
                ("embedding_dim", "embedding_dim"),
                ("num_groups", "num_groups"),
                ("layers_per_group", "num_inner_repetitions"),
            ),
            defaults={
                **bert.KERASHUB_DEFAULTS,
                "dropout": 0.0,
                "num_segments": 2,
                "num_groups": 1,
                "num_inner_repetitions": 1,
            },
            models={
                None: "AlbertBackbone",
                "MaskedLM": "AlbertMaskedLM",
                "TextClassifier": "AlbertTextClassifier",
            },
            encoder=_KERASHUB_ENCODER,
            heads={
                "MaskedLM": bert.KERASHUB_MLM_HEAD,
                "TextClassifier": bert.KERASHUB_CLASSIFIER,
            },
            head_settings={"TextClassifier": bert.KERASHUB_CLASSIFIER_SETTINGS},
            head_constants={"MaskedLM": {"layer_norm_epsilon": bert.KERASHUB_MLM_EPSILON}},
            without_pooler=(),
        ),
    },
)
