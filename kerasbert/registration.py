"""Keras finds kerasbert's classes in its files once kerasbert is imported, and nothing has to be.

`keras.models.load_model` looks a class up by its registered name, and registering is what a class's
module does when it is imported. `import kerasbert` imports none, so that it is quick; it registers
stand-ins that import the class when Keras makes an object of it.
"""

import importlib
import importlib.abc
import importlib.util
import json
import os
import sys
from collections.abc import Mapping

from kerasbert import _compat
from kerasbert.errors import InputError

PACKAGE = "kerasbert"
#: Keras's backends that kerasbert runs on.
BACKENDS = ("tensorflow", "jax")
#: The registered classes beside tasks, by module; their functions come with them.
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
    "tasks.cross_entropy": ("CrossEntropy", "PositionMean"),
    "tasks.from_logits": ("FromLogits",),
    "tasks.text_classifier.problem_types": ("SmoothedCrossentropy",),
    "tasks.replaced_token_detector.model": ("TokenCrossentropy",),
    "training.global_loss": ("FunctionLoss", "GlobalBatchLoss"),
    "training.optimizers": ("AdamW", "LAMB", "Warmup"),
    "training.similarity": ("CosineError", "InBatchNegatives"),
}
#: What files call classes that were renamed.
REGISTERED_AS = {
    "FromLogits": "OfProbabilities",
    "GlobalBatchLoss": "GlobalMean",
    "PositionMean": "PlaceMean",
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
    """Looks at Keras's backend, and registers the stand-ins, as soon as Keras is imported."""

    def __init__(self, tasks: Mapping[str, str]):
        self.tasks = tasks

    def find_spec(self, name, path=None, target=None):
        """Keras's module, which registers when it has run; None for all others."""
        if name == "keras":
            _check_backend(chosen_backend())
        if name != _compat.REGISTRY:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        run = spec.loader.exec_module

        def run_and_register(module):
            run(module)
            _register_in(module, self.tasks)

        spec.loader.exec_module = run_and_register
        return spec


def _register_in(registry, tasks: Mapping[str, str]) -> None:
    others = {name: f"{PACKAGE}.{module}" for module, names in CLASSES.items() for name in names}
    for name, module in {**tasks, **others}.items():
        registered = f"{PACKAGE}>{REGISTERED_AS.get(name, name)}"
        _compat.registered(registry).setdefault(registered, _StandIn(module, name))


def chosen_backend() -> str:
    """The backend that Keras will have: of the environment, else of Keras's file, else its own."""
    if os.environ.get("KERAS_BACKEND"):
        return os.environ["KERAS_BACKEND"]
    home = os.environ.get("KERAS_HOME") or os.path.join(os.path.expanduser("~"), ".keras")
    try:
        with open(os.path.join(home, "keras.json"), encoding="utf-8") as file:
            return json.load(file).get("backend", BACKENDS[0])
    except (OSError, ValueError):
        return BACKENDS[0]


def _check_backend(name: str) -> None:
    if name not in BACKENDS:
        raise InputError(
            f"Keras's backend is {name}, and kerasbert runs on {' and '.join(BACKENDS)} (jax: on "
            f"ready features, not on text); set KERAS_BACKEND={BACKENDS[0]}"
        )


def register(tasks: Mapping[str, str]) -> None:
    """Registers now, or when Keras is imported.

    Args:
        tasks: from the class of each task to the module that it is in.

    Raises:
        InputError: Keras has a backend that kerasbert does not run on; here or at Keras's import.
    """
    if _compat.REGISTRY in sys.modules:
        _check_backend(sys.modules["keras"].backend.backend())
        _register_in(sys.modules[_compat.REGISTRY], tasks)
    elif not any(isinstance(finder, _Watch) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Watch(tasks))
