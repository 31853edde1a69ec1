"""BERT in Keras 3 on TensorFlow, from raw text to a served answer."""

import importlib

__version__ = "0.1.0"

# Where each public name lives. Importing kerasbert is quick: what is used is imported then.
_PUBLIC = {
    "Backbone": "kerasbert.backbone",
    "BackboneConfig": "kerasbert.config",
    "InputError": "kerasbert.errors",
    "MaskedLM": "kerasbert.tasks",
    "MultipleChoice": "kerasbert.tasks",
    "Pretrainer": "kerasbert.tasks",
    "QuestionAnswerer": "kerasbert.tasks",
    "ReplacedTokenDetector": "kerasbert.tasks",
    "TextClassifier": "kerasbert.tasks",
    "TextEmbedder": "kerasbert.tasks",
    "TokenClassifier": "kerasbert.tasks",
    "list_presets": "kerasbert.zoo",
    "load": "kerasbert.zoo",
    "tokenizer_from_preset": "kerasbert.zoo",
}
_ROOMS = (
    "checkpoints",
    "data",
    "families",
    "layers",
    "serving",
    "tasks",
    "text",
    "training",
    "zoo",
)

__all__ = ["__version__", *sorted(_PUBLIC)]


def __getattr__(name: str):
    if name in _PUBLIC:
        return getattr(importlib.import_module(_PUBLIC[name]), name)
    if name in _ROOMS:
        return importlib.import_module(f"kerasbert.{name}")
    raise AttributeError(f"module 'kerasbert' has no attribute {name!r}")


def __dir__():
    return sorted([*__all__, *_ROOMS])
