"""The header of a model card: YAML, which Hugging Face's hub reads."""

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping

from kerasbert.checkpoints.cards.facts import Described, ModelCard, on_the_hub
from kerasbert.errors import escaped

_LIBRARIES = {"hf": "transformers", "kerashub": "keras-hub"}
_LIBRARY = re.compile(r"^library_name: (kerasbert|transformers|keras-hub)$", re.MULTILINE)
# Our names of metrics, and those of the hub; it has no other ones.
_HUB_METRICS = {
    "accuracy": "accuracy",
    "f1": "f1",
    "macro_f1": "f1",
    "micro_f1": "f1",
    "precision": "precision",
    "recall": "recall",
    "exact": "exact_match",
    "exact_match": "exact_match",
    "matthews": "matthews_correlation",
    "pearson": "pearsonr",
    "spearman": "spearmanr",
    "mse": "mse",
    "mae": "mae",
    "perplexity": "perplexity",
}
_PLAIN = re.compile(r"[A-Za-z][\w./-]*")  # a string that needs no quotes
_NOT_PLAIN = ("true", "false", "yes", "no", "on", "off", "null", "y", "n")
#: The hub's list of licenses.
LICENSES = "https://huggingface.co/docs/hub/repositories-licenses"
_UNKNOWN = "unknown"
_LICENSE = re.compile(r"""^license:[ \t]*["']?([^\s"'#]+)""", re.MULTILINE)


def library(format: str) -> str:
    """Returns the line with the library of a format, as the hub knows it."""
    return f"library_name: {_LIBRARIES.get(format, 'kerasbert')}"


def with_library(content: str, format: str) -> str:
    """Returns a card in which that line is another format's."""
    return _LIBRARY.sub(library(format), content, count=1)


def license_of_header(head: str) -> str | None:
    """Returns the license that the header of a card names; None if there is none, or an unknown."""
    named = _LICENSE.search(head)
    return named[1] if named and named[1] != _UNKNOWN else None


def header(model: Described, card: ModelCard, format: str) -> Iterator[str]:
    """Yields the lines between the header's two lines of dashes."""
    if card.language:
        yield from _list("language", card.language)
    else:
        yield "# language: [en]  # to fill in: ISO 639 codes"
    hint = "" if card.license else f"  # to fill in: {LICENSES}"
    yield f"license: {_scalar(card.license or _UNKNOWN)}{hint}"
    yield library(format)
    if model.pipeline_tag:
        yield f"pipeline_tag: {model.pipeline_tag}"
    yield from _list("tags", ["keras", "kerasbert", model.family])
    if base := on_the_hub(card.initial):
        yield f"base_model: {_scalar(base)}"
    if card.datasets:
        yield from _list("datasets", card.datasets)
    scores = {
        name: float(value)
        for name, value in card.metrics.items()
        if name in _HUB_METRICS and math.isfinite(value)
    }
    if scores:
        yield from _list("metrics", dict.fromkeys(_HUB_METRICS[name] for name in scores))
        if model.pipeline_tag and card.validation:
            yield from _model_index(model, card, scores)


def _model_index(model: Described, card: ModelCard, scores: Mapping) -> Iterator[str]:
    """Yields the scores as the hub shows them."""
    source = ", ".join(card.validation)
    yield "model-index:"
    yield f"- name: {_scalar(model.name)}"
    yield "  results:"
    yield "  - task:"
    yield f"      type: {model.pipeline_tag}"
    yield "    dataset:"
    yield f"      name: {_scalar(source)}"
    yield f"      type: {_scalar(card.datasets[0] if card.datasets else _kind_of(source))}"
    yield "    metrics:"
    for name, value in scores.items():
        yield f"    - type: {_HUB_METRICS[name]}"
        yield f"      name: {_scalar(name)}"
        yield f"      value: {float(f'{value:.4g}')}"


def _kind_of(source: str) -> str:
    ending = source.removesuffix(".gz").rpartition(".")[2]
    return ending if ending.isalnum() else "text"


def _list(key: str, values: Iterable[str]) -> Iterator[str]:
    yield f"{key}:"
    yield from (f"- {_scalar(value)}" for value in values)


def _scalar(text: str) -> str:
    """Returns a string as YAML; JSON is YAML."""
    if _PLAIN.fullmatch(text) and text.lower() not in _NOT_PLAIN:
        return text
    return json.dumps(escaped(text), ensure_ascii=False)
