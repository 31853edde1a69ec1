"""BERT in Keras 3 on TensorFlow, from raw text to a served answer.

Tasks, which are Keras models that take raw text; `TextClassifier.from_preset` and `help` of each
say more:

    TextClassifier              one class, several labels or a number for a text or a pair
    TokenClassifier             a label for each word, such as named entities
    QuestionAnswerer            the answer to a question in a document of any length
    MultipleChoice              the best of several choices
    TextEmbedder                a vector for a text, for search and similarity
    MaskedLM                    the tokens at [MASK]
    Pretrainer                  MaskedLM that is also trained on pairs of sentences
    ReplacedTokenDetector       which tokens of a text are not the original ones

Models and tokenizers:

    load                        loads any model from a directory or the hub, as it was saved
    Backbone                    the encoder, from tokens to vectors
    BackboneConfig              its settings; from_preset has the architectures
    list_presets                the names of the architectures
    tokenizer_from_preset       the tokenizer of a model
    InputError                  what is raised for invalid input

Packages:

    data                        reading files, and batches
    text                        tokenizers in the graph
    layers                      Keras layers for models of your own
    tasks                       more about tasks, and what they return
    training                    optimizers, schedules, strategies, the training loop
    distillation                a small model that imitates a large one
    metrics                     the scores of official scripts
    checkpoints                 model directories in all formats, model cards
    families                    architectures, and their names in other libraries
    loading                     what load and tokenizer_from_preset are in
    serving                     asking exported models, here and on a server

The command `kerasbert` has programs for the whole way: `kerasbert --help`.
"""

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
