"""BERT in Keras 3 on TensorFlow, from raw text to a served answer."""

from kerasbert import lazy, registration
from kerasbert.tasks.registry import TASKS

__version__ = "0.2.0"

__getattr__, __dir__, __all__ = lazy.attributes(
    __name__,
    {
        "Backbone": "backbone",
        "BackboneConfig": "config",
        "InputError": "errors",
        "list_presets": "loading",
        "load": "loading",
        "tokenizer_from_preset": "loading",
        **dict.fromkeys(TASKS, "tasks"),
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
        "loading",
    ),
    {"zoo": "loading"},
)

registration.register({name: entry.folder for name, entry in TASKS.items()})
