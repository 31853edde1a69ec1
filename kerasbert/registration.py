"""Registration of kerasbert's classes in Keras on `import kerasbert`, without importing Keras.

`keras.models.load_model` finds classes by their registered names, and a class is registered when
its module is imported. `import kerasbert` imports no such module, to be fast; it registers
stand-ins that import a class when Keras creates an object of it.
"""

import importlib
import importlib.abc
import importlib.util
import json
import os
import sys
from collections.abc import Mapping

from kerasbert import _compat, lazy
from kerasbert.errors import InputError

PACKAGE = "kerasbert"
#: The supported backends of Keras.
BACKENDS = ("tensorflow", "jax")
#: The registered classes besides tasks, by module. A module also registers its functions.
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
    "layers.replacing": ("ReplaceMasked",),
    "layers.transformer": ("TransformerBlock",),
    "tasks.cross_entropy": ("CrossEntropy", "PositionMean"),
    "tasks.from_logits": ("FromLogits",),
    "tasks.z_loss": ("CrossEntropyWithZLoss",),
    "tasks.text_classifier.problem_types": ("LabelAccuracy", "SmoothedCrossentropy"),
    "tasks.replaced_token_detector.model": ("LossOfTokens", "TokenCrossentropy"),
    "tasks.replaced_token_detector.pretrainer": ("DetectionLoss", "ReplacedTokenPretrainer"),
    "training.global_loss": ("FunctionLoss", "GlobalBatchLoss"),
    "training.optimizers": ("AdamW", "LAMB"),
    "training.schedules": ("Warmup", "WarmupStableDecay"),
    "training.similarity": ("CosineError", "InBatchNegatives"),
}
#: The names of renamed classes in files.
REGISTERED_AS = {
    "FromLogits": "OfProbabilities",
    "GlobalBatchLoss": "GlobalMean",
    "PositionMean": "PlaceMean",
}


class _StandIn:
    """Stands for a registered class whose module is not imported yet."""

    def __init__(self, module: str, name: str):
        self.module = module
        self.name = name

    def from_config(self, config: dict):
        """Returns the result of the class's `from_config`."""
        return getattr(importlib.import_module(self.module), self.name).from_config(config)


class _Watch(importlib.abc.MetaPathFinder):
    """Checks Keras's backend and registers the stand-ins as soon as Keras is imported."""

    def __init__(self, tasks: Mapping[str, str]):
        self.tasks = tasks

    def find_spec(self, name, path=None, target=None):
        """Returns the spec of Keras's registry, with registration added; None for other modules."""
        if name == "keras":
            _check_backend(chosen_backend())
        if name != _compat.REGISTRY:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        loader = spec and spec.loader
        assert loader is not None  # Keras has this module
        run = loader.exec_module

        def run_and_register(module):
            run(module)
            _register_in(module, self.tasks)

        loader.exec_module = run_and_register
        return spec


def _register_in(registry, tasks: Mapping[str, str]) -> None:
    others = {name: f"{PACKAGE}.{module}" for module, names in CLASSES.items() for name in names}
    for name, module in {**tasks, **others}.items():
        registered = f"{PACKAGE}>{REGISTERED_AS.get(name, name)}"
        _compat.registered(registry).setdefault(registered, _StandIn(module, name))


def chosen_backend() -> str:
    """Returns the backend that Keras will use, from the environment or Keras's file."""
    if os.environ.get("KERAS_BACKEND"):
        return os.environ["KERAS_BACKEND"]
    home = os.environ.get("KERAS_HOME") or os.path.join(os.path.expanduser("~"), ".keras")
    try:
        with open(os.path.join(home, "keras.json"), encoding="utf-8") as file:
            return json.load(file).get("backend", BACKENDS[0])
    except (OSError, ValueError):
        return BACKENDS[0]


def on_tensorflow() -> bool:
    """Whether Keras's backend is TensorFlow; Keras is not imported."""
    return chosen_backend() == "tensorflow"


def _check_backend(name: str) -> None:
    if name not in BACKENDS:
        raise InputError(
            f"Keras's backend is {name}, but kerasbert supports only {' and '.join(BACKENDS)} "
            f"(jax: ready features, not text); set KERAS_BACKEND={BACKENDS[0]}"
        )
    if name == "tensorflow" and not lazy.has_tensorflow():
        raise InputError(
            "Keras's backend is tensorflow, which is not installed: pip install tensorflow "
            "tensorflow-text, or set KERAS_BACKEND=jax"
        )


def register(tasks: Mapping[str, str]) -> None:
    """Registers the classes now, or when Keras is imported.

    Args:
        tasks: dict from the class name of each task to its module.

    Raises:
        InputError: the backend of Keras is not supported; here or when Keras is imported.
    """
    if _compat.REGISTRY in sys.modules:
        _check_backend(sys.modules["keras"].backend.backend())
        _register_in(sys.modules[_compat.REGISTRY], tasks)
    elif not any(isinstance(finder, _Watch) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Watch(tasks))
