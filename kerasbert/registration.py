"""Keras finds kerasbert's classes in its files once kerasbert is imported, and nothing has to be.

`keras.models.load_model` looks a class up by its registered name, and registering is what a class's
module does when it is imported. `import kerasbert` imports none, so that it is quick; it registers
stand-ins that import the class when Keras makes an object of it.
"""

import importlib
import importlib.abc
import importlib.util
import sys

PACKAGE = "kerasbert"
# Where Keras keeps what is registered.
_REGISTRY = "keras.src.saving.object_registration"
#: The registered classes, by module; their functions come with them.
CLASSES = {
    "backbone": ("Backbone",),
    "layers.attention": ("SelfAttention",),
    "layers.choices": ("ChoiceScores",),
    "layers.chunks": ("FoldChunks", "PoolChunks"),
    "layers.dropout": ("Dropout",),
    "layers.embeddings": ("Embeddings",),
    "layers.heads": ("MLMHead", "Pooler"),
    "layers.normalization": ("LayerNorm",),
    "layers.pooling": ("PoolTokens",),
    "layers.transformer": ("TransformerBlock",),
    "tasks.cross_entropy": ("CrossEntropy", "PlaceMean"),
    "tasks.masked_lm": ("MaskedLM",),
    "tasks.multiple_choice": ("MultipleChoice",),
    "tasks.on_logits": ("OfProbabilities",),
    "tasks.pretrainer": ("Pretrainer",),
    "tasks.problem_types": ("SmoothedCrossentropy",),
    "tasks.question_answerer": ("QuestionAnswerer",),
    "tasks.replaced_token_detector": ("ReplacedTokenDetector", "TokenCrossentropy"),
    "tasks.text_classifier": ("TextClassifier",),
    "tasks.text_embedder": ("TextEmbedder",),
    "tasks.token_classifier": ("TokenClassifier",),
    "training.global_batch": ("FunctionLoss", "GlobalMean"),
    "training.optimizers": ("AdamW", "LAMB", "Warmup"),
    "training.similarity": ("CosineError", "InBatchNegatives"),
}


class _StandIn:
    """What Keras finds under the name of a class whose module is not imported yet."""

    def __init__(self, module: str, name: str):
        self.module = module
        self.name = name

    def from_config(self, config: dict):
        """What the class's `from_config` gives."""
        return getattr(importlib.import_module(self.module), self.name).from_config(config)


class _Watch(importlib.abc.MetaPathFinder):
    """Registers the stand-ins as soon as Keras is imported."""

    def find_spec(self, name, path=None, target=None):
        """Keras's module, which registers when it has run; None for all others."""
        if name != _REGISTRY:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        run = spec.loader.exec_module

        def run_and_register(module):
            run(module)
            _register_in(module)

        spec.loader.exec_module = run_and_register
        return spec


def _register_in(registry) -> None:
    for module, names in CLASSES.items():
        for name in names:
            stand_in = _StandIn(f"{PACKAGE}.{module}", name)
            registry.GLOBAL_CUSTOM_OBJECTS.setdefault(f"{PACKAGE}>{name}", stand_in)


def register() -> None:
    """Registers now, or when Keras is imported."""
    if _REGISTRY in sys.modules:
        _register_in(sys.modules[_REGISTRY])
    elif not any(isinstance(finder, _Watch) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Watch())
