"""BERT in Keras 3 on TensorFlow, from raw text to a served answer."""

from kerasbert import lazy, registration

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = lazy.attributes(
    __name__,
    {
        "Backbone": "backbone",
        "BackboneConfig": "config",
        "InputError": "errors",
        "MaskedLM": "tasks",
        "MultipleChoice": "tasks",
        "Pretrainer": "tasks",
        "QuestionAnswerer": "tasks",
        "ReplacedTokenDetector": "tasks",
        "TextClassifier": "tasks",
        "TextEmbedder": "tasks",
        "TokenClassifier": "tasks",
        "list_presets": "zoo",
        "load": "zoo",
        "tokenizer_from_preset": "zoo",
    },
    (
        "checkpoints",
        "data",
        "distillation",
        "families",
        "layers",
        "metrics",
        "serving",
        "tasks",
        "text",
        "training",
        "zoo",
    ),
)

registration.register()
