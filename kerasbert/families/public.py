"""Well-known public checkpoints on Hugging Face, by family.

Licenses are those that the publishers state; "" where that was not certain here.
"""

from kerasbert.families.layout import Checkpoint

_APACHE, _MIT = "Apache-2.0", "MIT"
_MINILM = {"hidden_dim": 384, "num_heads": 12, "intermediate_dim": 1536}

BERT = (
    Checkpoint("google-bert/bert-base-uncased", "bert_base", "English", _APACHE),
    Checkpoint("google-bert/bert-base-cased", "bert_base_cased", "English", _APACHE),
    Checkpoint("google-bert/bert-large-uncased", "bert_large", "English", _APACHE),
    Checkpoint("google-bert/bert-large-cased", "bert_large_cased", "English", _APACHE),
    Checkpoint("google-bert/bert-base-chinese", "bert_base_chinese", "Chinese", _APACHE),
    Checkpoint(
        "google-bert/bert-base-multilingual-cased",
        "bert_base_multilingual_cased",
        "104 languages",
        _APACHE,
    ),
    Checkpoint(
        "google-bert/bert-base-multilingual-uncased",
        "bert_base",
        "102 languages",
        _APACHE,
        changes={"vocabulary_size": 105_879},
    ),
    Checkpoint(
        "google-bert/bert-base-german-cased",
        "bert_base",
        "German",
        _MIT,
        changes={"vocabulary_size": 30_000},
    ),
    Checkpoint(
        "google-bert/bert-large-uncased-whole-word-masking", "bert_large", "English", _APACHE
    ),
    Checkpoint(
        "google-bert/bert-large-uncased-whole-word-masking-finetuned-squad",
        "bert_large",
        "English",
        _APACHE,
        "QuestionAnswerer",
    ),
    Checkpoint(
        "sentence-transformers/all-MiniLM-L6-v2",
        "bert_base",
        "English",
        _APACHE,
        "TextEmbedder",
        {**_MINILM, "num_layers": 6},
    ),
    Checkpoint(
        "sentence-transformers/all-MiniLM-L12-v2",
        "bert_base",
        "English",
        _APACHE,
        "TextEmbedder",
        _MINILM,
    ),
    Checkpoint(
        "sentence-transformers/multi-qa-MiniLM-L6-cos-v1",
        "bert_base",
        "English",
        "",
        "TextEmbedder",
        {**_MINILM, "num_layers": 6},
    ),
    Checkpoint(
        "sentence-transformers/paraphrase-multilingual-MiniLM-L12-v2",
        "bert_base",
        "50 languages",
        _APACHE,
        "TextEmbedder",
        {**_MINILM, "vocabulary_size": 250_037},
    ),
)

ROBERTA = (
    Checkpoint("FacebookAI/roberta-base", "roberta_base", "English", _MIT),
    Checkpoint("FacebookAI/roberta-large", "roberta_large", "English", _MIT),
    Checkpoint(
        "FacebookAI/roberta-large-mnli",
        "roberta_large",
        "English",
        _MIT,
        "TextClassifier",
        pair=True,
    ),
    Checkpoint(
        "distilbert/distilroberta-base",
        "roberta_base",
        "English",
        _APACHE,
        changes={"num_layers": 6},
    ),
    Checkpoint(
        "sentence-transformers/all-distilroberta-v1",
        "roberta_base",
        "English",
        _APACHE,
        "TextEmbedder",
        {"num_layers": 6},
    ),
)

XLM_ROBERTA = (
    Checkpoint("FacebookAI/xlm-roberta-base", "xlm_roberta_base", "100 languages", _MIT),
    Checkpoint("FacebookAI/xlm-roberta-large", "xlm_roberta_large", "100 languages", _MIT),
    Checkpoint(
        "FacebookAI/xlm-roberta-large-finetuned-conll03-english",
        "xlm_roberta_large",
        "English",
        "",
        "TokenClassifier",
    ),
)

ALBERT = tuple(
    Checkpoint(f"albert/albert-{size}-{version}", f"albert_{size}", "English", _APACHE)
    for size, version in (
        ("base", "v1"),
        ("base", "v2"),
        ("large", "v2"),
        ("xlarge", "v2"),
        ("xxlarge", "v2"),
    )
)

DISTILBERT = (
    Checkpoint("distilbert/distilbert-base-uncased", "distilbert_base", "English", _APACHE),
    Checkpoint("distilbert/distilbert-base-cased", "distilbert_base_cased", "English", _APACHE),
    Checkpoint(
        "distilbert/distilbert-base-multilingual-cased",
        "distilbert_base_multilingual_cased",
        "104 languages",
        _APACHE,
    ),
    Checkpoint(
        "distilbert/distilbert-base-cased-distilled-squad",
        "distilbert_base_cased",
        "English",
        _APACHE,
        "QuestionAnswerer",
    ),
    Checkpoint(
        "distilbert/distilbert-base-uncased-finetuned-sst-2-english",
        "distilbert_base",
        "English",
        _APACHE,
        "TextClassifier",
    ),
)

ELECTRA = tuple(
    Checkpoint(f"google/electra-{size}-{part}", f"electra_{size}{suffix}", "English", _APACHE, task)
    for part, suffix, task in (
        ("discriminator", "", "ReplacedTokenDetector"),
        ("generator", "_generator", "MaskedLM"),
    )
    for size in ("small", "base", "large")
)

ERNIE = (
    Checkpoint("nghuyong/ernie-2.0-base-en", "ernie_2_base", "English", "", None),
    Checkpoint("nghuyong/ernie-3.0-base-zh", "ernie_3_base_chinese", "Chinese", "", None),
)
