"""BERT (Devlin et al. 2019) and its miniatures (Turc et al. 2019, arXiv:1908.08962)."""

from kerasbert.families import public
from kerasbert.families.codecs import ACTIVATION, COUNT, LABELS, PROBLEM_TYPE, by_name
from kerasbert.families.layout import (
    DENSE,
    EMBEDDING,
    FROM_HEADS,
    NORM,
    TENSOR,
    TO_HEADS,
    TRANSPOSED,
    Family,
    Layout,
)

# The sizes of Google's released vocabularies.
_UNCASED, _CASED, _CHINESE, _MULTILINGUAL = 30_522, 28_996, 21_128, 119_547


def _size(num_layers: int, hidden_dim: int, vocabulary_size: int = _UNCASED) -> dict:
    # All released sizes have heads of 64 and feed-forward layers four times as wide.
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
    # The 24 miniatures, by number of layers and width.
    **{
        f"bert_l{layers}_h{width}": _size(layers, width)
        for layers in (2, 4, 6, 8, 10, 12)
        for width in (128, 256, 512, 768)
    },
}

# === Hugging Face transformers, models/bert ===

HF_SETTINGS = (
    ("vocabulary_size", "vocab_size"),
    ("hidden_dim", "hidden_size"),
    ("num_layers", "num_hidden_layers"),
    ("num_heads", "num_attention_heads"),
    ("intermediate_dim", "intermediate_size"),
    ("activation", "hidden_act", ACTIVATION),
    ("dropout", "hidden_dropout_prob"),
    ("attention_dropout", "attention_probs_dropout_prob"),
    ("max_sequence_length", "max_position_embeddings"),
    ("num_segments", "type_vocab_size"),
    ("initializer_range", "initializer_range"),
    ("layer_norm_epsilon", "layer_norm_eps"),
    ("padding_id", "pad_token_id"),
)
HF_DEFAULTS = {
    "hidden_act": "gelu",
    "hidden_dropout_prob": 0.1,
    "attention_probs_dropout_prob": 0.1,
    "max_position_embeddings": 512,
    "type_vocab_size": 2,
    "initializer_range": 0.02,
    "layer_norm_eps": 1e-12,
    "pad_token_id": 0,
    "classifier_dropout": None,
    "tie_word_embeddings": True,
}
HF_ONLY = {
    "position_embedding_type": "absolute",
    "is_decoder": False,
    "add_cross_attention": False,
}
HF_ENCODER = (
    (EMBEDDING, "embeddings/token_embedding", "embeddings.word_embeddings"),
    (EMBEDDING, "embeddings/position_embedding", "embeddings.position_embeddings"),
    (EMBEDDING, "embeddings/segment_embedding", "embeddings.token_type_embeddings"),
    (NORM, "embeddings/layer_norm", "embeddings.LayerNorm"),
    (DENSE, "layer_{i}/attention/query", "encoder.layer.{i}.attention.self.query"),
    (DENSE, "layer_{i}/attention/key", "encoder.layer.{i}.attention.self.key"),
    (DENSE, "layer_{i}/attention/value", "encoder.layer.{i}.attention.self.value"),
    (DENSE, "layer_{i}/attention/output", "encoder.layer.{i}.attention.output.dense"),
    (NORM, "layer_{i}/attention_layer_norm", "encoder.layer.{i}.attention.output.LayerNorm"),
    (DENSE, "layer_{i}/intermediate", "encoder.layer.{i}.intermediate.dense"),
    (DENSE, "layer_{i}/output", "encoder.layer.{i}.output.dense"),
    (NORM, "layer_{i}/output_layer_norm", "encoder.layer.{i}.output.LayerNorm"),
    (DENSE, "pooler/dense", "pooler.dense"),
)
# Of several names for one weight, the first that exists is read, and all are written: an untied
# decoder uses its own bias, and the other one is unused.
HF_MLM_HEAD = (
    (DENSE, "mlm_head/dense", "cls.predictions.transform.dense"),
    (NORM, "mlm_head/layer_norm", "cls.predictions.transform.LayerNorm"),
    (EMBEDDING, "mlm_head/table", "cls.predictions.decoder"),
    (TENSOR, "mlm_head/bias", "cls.predictions.decoder.bias"),
    (TENSOR, "mlm_head/bias", "cls.predictions.bias"),
)
HF_HEADS = {
    "Pretrainer": (*HF_MLM_HEAD, (DENSE, "nsp_head", "cls.seq_relationship")),
    "MaskedLM": HF_MLM_HEAD,
    "NextSentencePredictor": ((DENSE, "nsp_head", "cls.seq_relationship"),),
    "TextClassifier": ((DENSE, "classifier", "classifier"),),
    "TokenClassifier": ((DENSE, "token_classifier", "classifier"),),
    "QuestionAnswerer": ((DENSE, "span_head", "qa_outputs"),),
    "MultipleChoice": ((DENSE, "choice_head", "classifier"),),
}
HF_CLASSIFIER_SETTINGS = (("classes", "id2label", LABELS), ("dropout", "classifier_dropout"))
HF_PROBLEM_TYPE = ("problem_type", "problem_type", PROBLEM_TYPE)
HF_MLM_SETTINGS = (("tied", "tie_word_embeddings"),)
HF_HEAD_SETTINGS = {
    "Pretrainer": HF_MLM_SETTINGS,
    "MaskedLM": HF_MLM_SETTINGS,
    "TextClassifier": (*HF_CLASSIFIER_SETTINGS, HF_PROBLEM_TYPE),
    "TokenClassifier": HF_CLASSIFIER_SETTINGS,
    "MultipleChoice": (("dropout", "classifier_dropout"),),
}
HF_HEAD_CONSTANTS = {"QuestionAnswerer": {"dropout": 0.0}}
HF_MODELS = {
    None: "Model",
    "Pretrainer": "ForPreTraining",
    "MaskedLM": "ForMaskedLM",
    "NextSentencePredictor": "ForNextSentencePrediction",
    "TextClassifier": "ForSequenceClassification",
    "TokenClassifier": "ForTokenClassification",
    "QuestionAnswerer": "ForQuestionAnswering",
    "MultipleChoice": "ForMultipleChoice",
}

# === google-research/bert, modeling.py, run_pretraining.py, run_classifier.py, run_squad.py ===

# google-research's "gelu" is the tanh approximation.
GOOGLE_ACTIVATION = by_name({"gelu": "gelu_tanh", "relu": "relu", "tanh": "tanh"})
GOOGLE_SETTINGS = (
    ("vocabulary_size", "vocab_size"),
    ("hidden_dim", "hidden_size"),
    ("num_layers", "num_hidden_layers"),
    ("num_heads", "num_attention_heads"),
    ("intermediate_dim", "intermediate_size"),
    ("activation", "hidden_act", GOOGLE_ACTIVATION),
    ("dropout", "hidden_dropout_prob"),
    ("attention_dropout", "attention_probs_dropout_prob"),
    ("max_sequence_length", "max_position_embeddings"),
    ("num_segments", "type_vocab_size"),
    ("initializer_range", "initializer_range"),
)
GOOGLE_DEFAULTS = {"hidden_act": "gelu", "max_position_embeddings": 512, "type_vocab_size": 16}
GOOGLE_EMBEDDINGS = (
    (EMBEDDING, "embeddings/token_embedding", "embeddings/word_embeddings"),
    (EMBEDDING, "embeddings/segment_embedding", "embeddings/token_type_embeddings"),
    (EMBEDDING, "embeddings/position_embedding", "embeddings/position_embeddings"),
    (NORM, "embeddings/layer_norm", "embeddings/LayerNorm"),
)
GOOGLE_LAYERS = (
    (DENSE, "layer_{i}/attention/query", "encoder/layer_{i}/attention/self/query"),
    (DENSE, "layer_{i}/attention/key", "encoder/layer_{i}/attention/self/key"),
    (DENSE, "layer_{i}/attention/value", "encoder/layer_{i}/attention/self/value"),
    (DENSE, "layer_{i}/attention/output", "encoder/layer_{i}/attention/output/dense"),
    (NORM, "layer_{i}/attention_layer_norm", "encoder/layer_{i}/attention/output/LayerNorm"),
    (DENSE, "layer_{i}/intermediate", "encoder/layer_{i}/intermediate/dense"),
    (DENSE, "layer_{i}/output", "encoder/layer_{i}/output/dense"),
    (NORM, "layer_{i}/output_layer_norm", "encoder/layer_{i}/output/LayerNorm"),
)
GOOGLE_POOLER = ((DENSE, "pooler/dense", "pooler/dense"),)
GOOGLE_MLM_HEAD = (
    (DENSE, "mlm_head/dense", "cls/predictions/transform/dense"),
    (NORM, "mlm_head/layer_norm", "cls/predictions/transform/LayerNorm"),
    (TENSOR, "mlm_head/bias", "cls/predictions/output_bias"),
)
GOOGLE_HEADS = {
    "Pretrainer": (
        *GOOGLE_MLM_HEAD,
        (TRANSPOSED, "nsp_head/kernel", "cls/seq_relationship/output_weights"),
        (TENSOR, "nsp_head/bias", "cls/seq_relationship/output_bias"),
    ),
    "MaskedLM": GOOGLE_MLM_HEAD,
    "QuestionAnswerer": (
        (TRANSPOSED, "span_head/kernel", "cls/squad/output_weights"),
        (TENSOR, "span_head/bias", "cls/squad/output_bias"),
    ),
    "TextClassifier": (
        (TRANSPOSED, "classifier/kernel", "output_weights"),
        (TENSOR, "classifier/bias", "output_bias"),
    ),
}
# run_classifier.py has a dropout of 0.1 before the last layer, independent of the encoder, and
# run_squad.py has none.
GOOGLE_HEAD_CONSTANTS = {
    "TextClassifier": {"dropout": 0.1},
    "QuestionAnswerer": {"dropout": 0.0},
}

# === tensorflow/models, official/nlp (TF2 object-based checkpoints of the encoder) ===

_TF2_ENCODER = (
    (EMBEDDING, "embeddings/token_embedding", "layer_with_weights-0"),
    (EMBEDDING, "embeddings/position_embedding", "layer_with_weights-1"),
    (EMBEDDING, "embeddings/segment_embedding", "layer_with_weights-2"),
    (NORM, "embeddings/layer_norm", "layer_with_weights-3"),
    *(
        (kind, f"layer_{{i}}/{ours}", f"layer_with_weights-{{after_embeddings}}/{theirs}")
        for kind, ours, theirs in (
            (TO_HEADS, "attention/query", "_attention_layer/_query_dense"),
            (TO_HEADS, "attention/key", "_attention_layer/_key_dense"),
            (TO_HEADS, "attention/value", "_attention_layer/_value_dense"),
            (FROM_HEADS, "attention/output", "_attention_layer/_output_dense"),
            (FROM_HEADS, "attention/output", "_attention_output_dense"),  # before 2020
            (NORM, "attention_layer_norm", "_attention_layer_norm"),
            (DENSE, "intermediate", "_intermediate_dense"),
            (DENSE, "output", "_output_dense"),
            (NORM, "output_layer_norm", "_output_layer_norm"),
        )
    ),
    (DENSE, "pooler/dense", "layer_with_weights-{after_layers}"),
)

# === KerasHub, models/bert ===

KERASHUB_SETTINGS = (
    ("vocabulary_size", "vocabulary_size"),
    ("num_layers", "num_layers"),
    ("num_heads", "num_heads"),
    ("hidden_dim", "hidden_dim"),
    ("intermediate_dim", "intermediate_dim"),
    ("dropout", "dropout"),
    ("attention_dropout", "dropout"),
    ("max_sequence_length", "max_sequence_length"),
)
KERASHUB_DEFAULTS = {"dropout": 0.1, "max_sequence_length": 512}
KERASHUB_LAYER = (
    (TO_HEADS, "attention/query", "self_attention_layer/query"),
    (TO_HEADS, "attention/key", "self_attention_layer/key"),
    (TO_HEADS, "attention/value", "self_attention_layer/value"),
    (FROM_HEADS, "attention/output", "self_attention_layer/attention_output"),
    (NORM, "attention_layer_norm", "self_attention_layer_norm"),
    (DENSE, "intermediate", "feedforward_intermediate_dense"),
    (DENSE, "output", "feedforward_output_dense"),
    (NORM, "output_layer_norm", "feedforward_layer_norm"),
)
KERASHUB_LAYERS = tuple(
    (kind, f"layer_{{i}}/{ours}", f"transformer_layer_{{i}}/{theirs}")
    for kind, ours, theirs in KERASHUB_LAYER
)
KERASHUB_EMBEDDINGS = (
    (EMBEDDING, "embeddings/token_embedding", "token_embedding"),
    (EMBEDDING, "embeddings/position_embedding", "position_embedding"),
    (EMBEDDING, "embeddings/segment_embedding", "segment_embedding"),
    (NORM, "embeddings/layer_norm", "embeddings_layer_norm"),
)
KERASHUB_POOLER = ((DENSE, "pooler/dense", "pooled_dense"),)
KERASHUB_MLM_HEAD = (
    (DENSE, "mlm_head/dense", "mlm_head/intermediate_dense"),
    (NORM, "mlm_head/layer_norm", "mlm_head/intermediate_layer_norm"),
    (TENSOR, "mlm_head/bias", "mlm_head/output_bias"),
)
KERASHUB_MLM_EPSILON = 1e-5  # independent of the encoder's
KERASHUB_CLASSIFIER_SETTINGS = (("classes", "num_classes", COUNT), ("dropout", "dropout"))
KERASHUB_CLASSIFIER = ((DENSE, "classifier", "logits"),)

FAMILY = Family(
    presets=PRESETS,
    tokenizer={"kind": "wordpiece"},
    checkpoints=public.BERT,
    layouts={
        "hf": Layout(
            model_type="bert",
            settings=HF_SETTINGS,
            defaults=HF_DEFAULTS,
            only=HF_ONLY,
            models={task: f"Bert{name}" for task, name in HF_MODELS.items()},
            tokenizer_class="BertTokenizer",
            assumed_unless=("embedding_size", "num_hidden_groups", "dim", "use_task_id"),
            prefix="bert.",
            encoder=HF_ENCODER,
            heads=HF_HEADS,
            head_settings=HF_HEAD_SETTINGS,
            head_constants=HF_HEAD_CONSTANTS,
        ),
        "google": Layout(
            model_type="bert",
            config_file="bert_config.json",
            settings=GOOGLE_SETTINGS,
            defaults=GOOGLE_DEFAULTS,
            prefix="bert/",
            encoder=(*GOOGLE_EMBEDDINGS, *GOOGLE_LAYERS, *GOOGLE_POOLER),
            heads=GOOGLE_HEADS,
            head_constants=GOOGLE_HEAD_CONSTANTS,
            without_pooler=(),
        ),
        "tf2": Layout(
            model_type="bert",
            settings=GOOGLE_SETTINGS,
            defaults=GOOGLE_DEFAULTS,
            encoder=_TF2_ENCODER,
        ),
        "kerashub": Layout(
            model_type="BertBackbone",
            settings=(*KERASHUB_SETTINGS, ("num_segments", "num_segments")),
            defaults={**KERASHUB_DEFAULTS, "num_segments": 2},
            models={
                None: "BertBackbone",
                "MaskedLM": "BertMaskedLM",
                "TextClassifier": "BertTextClassifier",
            },
            encoder=(*KERASHUB_EMBEDDINGS, *KERASHUB_LAYERS, *KERASHUB_POOLER),
            heads={"MaskedLM": KERASHUB_MLM_HEAD, "TextClassifier": KERASHUB_CLASSIFIER},
            head_settings={"TextClassifier": KERASHUB_CLASSIFIER_SETTINGS},
            head_constants={
                "MaskedLM": {"activation": "gelu", "layer_norm_epsilon": KERASHUB_MLM_EPSILON}
            },
            without_pooler=(),
        ),
    },
)
