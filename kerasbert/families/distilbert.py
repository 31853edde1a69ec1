"""DistilBERT (Sanh et al. 2019): BERT without segments and without a pooler."""

from kerasbert.families import bert, public
from kerasbert.families.codecs import ACTIVATION, LABELS
from kerasbert.families.layout import DENSE, EMBEDDING, NORM, TENSOR, Family, Layout

_COMMON = {
    "num_segments": 0,
    "activation": "gelu",
    "pooler": False,
    "classifier_activation": "relu",
}


def _size(vocabulary_size: int) -> dict:
    return {
        "family": "distilbert",
        "vocabulary_size": vocabulary_size,
        "num_layers": 6,
        "hidden_dim": 768,
        "num_heads": 12,
        "intermediate_dim": 3072,
        **_COMMON,
    }


PRESETS = {
    "distilbert_base": _size(30_522),
    "distilbert_base_cased": _size(28_996),
    "distilbert_base_multilingual_cased": _size(119_547),
}

# === Hugging Face transformers, models/distilbert ===

_HF_LAYER = "transformer.layer.{i}"

# === KerasHub, models/distil_bert ===

_KERASHUB_EMBEDDINGS = (
    (
        EMBEDDING,
        "embeddings/token_embedding",
        "token_and_position_embedding/token_embedding",
    ),
    (
        EMBEDDING,
        "embeddings/position_embedding",
        "token_and_position_embedding/position_embedding",
    ),
    (NORM, "embeddings/layer_norm", "embeddings_layer_norm"),
)

FAMILY = Family(
    presets=PRESETS,
    tokenizer={"kind": "wordpiece"},
    checkpoints=public.DISTILBERT,
    layouts={
        "hf": Layout(
            model_type="distilbert",
            settings=(
                ("vocabulary_size", "vocab_size"),
                ("hidden_dim", "dim"),
                ("num_layers", "n_layers"),
                ("num_heads", "n_heads"),
                ("intermediate_dim", "hidden_dim"),
                ("activation", "activation", ACTIVATION),
                ("dropout", "dropout"),
                ("attention_dropout", "attention_dropout"),
                ("max_sequence_length", "max_position_embeddings"),
                ("initializer_range", "initializer_range"),
                ("padding_id", "pad_token_id"),
            ),
            constants={
                "num_segments": 0,
                "layer_norm_epsilon": 1e-12,
                "classifier_activation": "relu",
            },
            defaults={
                "activation": "gelu",
                "dropout": 0.1,
                "attention_dropout": 0.1,
                "max_position_embeddings": 512,
                "initializer_range": 0.02,
                "pad_token_id": 0,
                "seq_classif_dropout": 0.2,
                "qa_dropout": 0.1,
                "tie_word_embeddings": True,
            },
            models={
                task: f"DistilBert{bert.HF_MODELS[task]}"
                for task in (
                    None,
                    "MaskedLM",
                    "TextClassifier",
                    "TokenClassifier",
                    "QuestionAnswerer",
                    "MultipleChoice",
                )
            },
            tokenizer_class="DistilBertTokenizer",
            prefix="distilbert.",
            encoder=(
                (EMBEDDING, "embeddings/token_embedding", "embeddings.word_embeddings"),
                (EMBEDDING, "embeddings/position_embedding", "embeddings.position_embeddings"),
                (NORM, "embeddings/layer_norm", "embeddings.LayerNorm"),
                (DENSE, "layer_{i}/attention/query", f"{_HF_LAYER}.attention.q_lin"),
                (DENSE, "layer_{i}/attention/key", f"{_HF_LAYER}.attention.k_lin"),
                (DENSE, "layer_{i}/attention/value", f"{_HF_LAYER}.attention.v_lin"),
                (DENSE, "layer_{i}/attention/output", f"{_HF_LAYER}.attention.out_lin"),
                (NORM, "layer_{i}/attention_layer_norm", f"{_HF_LAYER}.sa_layer_norm"),
                (DENSE, "layer_{i}/intermediate", f"{_HF_LAYER}.ffn.lin1"),
                (DENSE, "layer_{i}/output", f"{_HF_LAYER}.ffn.lin2"),
                (NORM, "layer_{i}/output_layer_norm", f"{_HF_LAYER}.output_layer_norm"),
            ),
            heads={
                "MaskedLM": (
                    (DENSE, "mlm_head/dense", "vocab_transform"),
                    (NORM, "mlm_head/layer_norm", "vocab_layer_norm"),
                    (EMBEDDING, "mlm_head/table", "vocab_projector"),
                    (TENSOR, "mlm_head/bias", "vocab_projector.bias"),
                ),
                "TextClassifier": (
                    (DENSE, "classifier_hidden", "pre_classifier"),
                    (DENSE, "classifier", "classifier"),
                ),
                "TokenClassifier": bert.HF_HEADS["TokenClassifier"],
                "QuestionAnswerer": bert.HF_HEADS["QuestionAnswerer"],
                "MultipleChoice": (
                    (DENSE, "choice_hidden", "pre_classifier"),
                    (DENSE, "choice_head", "classifier"),
                ),
            },
            head_settings={
                "MaskedLM": bert.HF_MLM_SETTINGS,
                "TextClassifier": (
                    ("classes", "id2label", LABELS),
                    ("dropout", "seq_classif_dropout"),
                    bert.HF_PROBLEM_TYPE,
                ),
                "TokenClassifier": (("classes", "id2label", LABELS),),
                "QuestionAnswerer": (("dropout", "qa_dropout"),),
                "MultipleChoice": (("dropout", "seq_classif_dropout"),),
            },
            without_pooler=(
                None,
                "MaskedLM",
                "TextClassifier",
                "TokenClassifier",
                "QuestionAnswerer",
                "MultipleChoice",
            ),
        ),
        "kerashub": Layout(
            model_type="DistilBertBackbone",
            settings=bert.KERASHUB_SETTINGS,
            defaults=bert.KERASHUB_DEFAULTS,
            constants={**_COMMON, "layer_norm_epsilon": 1e-12},
            models={
                None: "DistilBertBackbone",
                "MaskedLM": "DistilBertMaskedLM",
                "TextClassifier": "DistilBertTextClassifier",
            },
            encoder=(*_KERASHUB_EMBEDDINGS, *bert.KERASHUB_LAYERS),
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
        ),
    },
)
