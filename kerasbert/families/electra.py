"""ELECTRA (Clark et al. 2020): a discriminator of replaced tokens, and a smaller generator."""

from kerasbert.families import bert, public
from kerasbert.families.codecs import WIDTH_IF_PROJECTED, by_name
from kerasbert.families.layout import DENSE, EMBEDDING, NORM, TENSOR, Family, Layout


def _size(num_layers: int, hidden_dim: int, embedding_dim: int | None, num_heads: int) -> dict:
    return {
        "family": "electra",
        "vocabulary_size": 30_522,
        "num_layers": num_layers,
        "hidden_dim": hidden_dim,
        "num_heads": num_heads,
        "intermediate_dim": 4 * hidden_dim,
        "embedding_dim": embedding_dim,
        "activation": "gelu",
        "pooler": False,
        "classifier_activation": "gelu",
    }


# The released discriminators and generators. The paper's small generator has a quarter of the width
# (google-research/electra, issue 39).
PRESETS = {
    "electra_small": _size(12, 256, 128, 4),
    "electra_base": _size(12, 768, None, 12),
    "electra_large": _size(24, 1024, None, 16),
    "electra_small_generator": _size(12, 256, 128, 4),
    "electra_base_generator": _size(12, 256, 768, 4),
    "electra_large_generator": _size(24, 256, 1024, 4),
}

_CONSTANTS = {"classifier_activation": "gelu"}
_WIDTH = (("embedding_dim", "embedding_size", WIDTH_IF_PROJECTED),)
# google-research/electra's "gelu" is the exact function, unlike BERT's.
_GOOGLE_ACTIVATION = by_name({"gelu": "gelu", "relu": "relu", "tanh": "tanh"})
_GOOGLE_SETTINGS = (
    *(row for row in bert.GOOGLE_SETTINGS if row[0] != "activation"),
    ("activation", "hidden_act", _GOOGLE_ACTIVATION),
    *_WIDTH,
)

FAMILY = Family(
    presets=PRESETS,
    tokenizer={"kind": "wordpiece"},
    checkpoints=public.ELECTRA,
    layouts={
        "hf": Layout(
            model_type="electra",
            settings=(*bert.HF_SETTINGS, *_WIDTH),
            constants=_CONSTANTS,
            defaults={
                **bert.HF_DEFAULTS,
                "embedding_size": 128,
                "summary_last_dropout": 0.1,
            },
            only=bert.HF_ONLY,
            models={
                None: "ElectraModel",
                "ReplacedTokenDetector": "ElectraForPreTraining",
                "MaskedLM": "ElectraForMaskedLM",
                "TextClassifier": "ElectraForSequenceClassification",
                "TokenClassifier": "ElectraForTokenClassification",
                "QuestionAnswerer": "ElectraForQuestionAnswering",
                "MultipleChoice": "ElectraForMultipleChoice",
            },
            tokenizer_class="ElectraTokenizer",
            prefix="electra.",
            encoder=(
                *bert.HF_ENCODER[:-1],
                (DENSE, "embeddings/projection", "embeddings_project"),
            ),
            heads={
                "ReplacedTokenDetector": (
                    (DENSE, "rtd_hidden", "discriminator_predictions.dense"),
                    (DENSE, "rtd_head", "discriminator_predictions.dense_prediction"),
                ),
                "MaskedLM": (
                    (DENSE, "mlm_head/dense", "generator_predictions.dense"),
                    (NORM, "mlm_head/layer_norm", "generator_predictions.LayerNorm"),
                    (EMBEDDING, "mlm_head/table", "generator_lm_head"),
                    (TENSOR, "mlm_head/bias", "generator_lm_head.bias"),
                ),
                "TextClassifier": (
                    (DENSE, "classifier_hidden", "classifier.dense"),
                    (DENSE, "classifier", "classifier.out_proj"),
                ),
                "TokenClassifier": bert.HF_HEADS["TokenClassifier"],
                "QuestionAnswerer": bert.HF_HEADS["QuestionAnswerer"],
                "MultipleChoice": (
                    (DENSE, "choice_hidden", "sequence_summary.summary"),
                    (DENSE, "choice_head", "classifier"),
                ),
            },
            head_settings={
                **bert.HF_HEAD_SETTINGS,
                "MultipleChoice": (("dropout", "summary_last_dropout"),),
            },
            head_only={
                "MultipleChoice": {
                    "summary_type": "first",
                    "summary_use_proj": True,
                    "summary_activation": "gelu",
                }
            },
            head_constants={"MaskedLM": {"activation": "gelu"}, **bert.HF_HEAD_CONSTANTS},
            without_pooler=(None, *bert.HF_MODELS, "ReplacedTokenDetector"),
        ),
        # === google-research/electra: model/modeling.py, run_pretraining.py ===
        # The releases contain no JSON. electra_config.json is our addition, with the keys of
        # `BertConfig`.
        "google": Layout(
            model_type="electra",
            config_file="electra_config.json",
            config_hint=(
                "ELECTRA's releases contain none: write an electra_config.json with the keys of a "
                "bert_config.json and embedding_size"
            ),
            # The generator, which is stored with the discriminator.
            ignored=r"/temperature$|^generator(_predictions)?/",
            settings=_GOOGLE_SETTINGS,
            defaults={**bert.GOOGLE_DEFAULTS, "type_vocab_size": 2},
            constants={**_CONSTANTS, "pooler": False},
            prefix="electra/",
            encoder=(
                *bert.GOOGLE_EMBEDDINGS,
                (DENSE, "embeddings/projection", "embeddings_project"),
                *bert.GOOGLE_LAYERS,
            ),
            heads={
                "ReplacedTokenDetector": (
                    (DENSE, "rtd_hidden", "discriminator_predictions/dense"),
                    (DENSE, "rtd_head", "discriminator_predictions/dense_1"),
                ),
            },
        ),
    },
)
