"""What model cards say."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any


@dataclasses.dataclass(frozen=True, kw_only=True)
class ModelCard:
    """What a model card says besides what the model says itself; all of it is optional.

    Examples:
        >>> import pathlib
        >>> import kerasbert
        >>> config = kerasbert.BackboneConfig.from_preset("bert_tiny", vocabulary_size=100)
        >>> model = kerasbert.TextClassifier(kerasbert.Backbone(config), ["bad", "good"])
        >>> card = kerasbert.checkpoints.ModelCard(
        ...     license="mit", language=["en"], train={"train.csv": 1000}, metrics={"f1": 0.9}
        ... )
        >>> names = model.save_to_preset("opinions", card=card)
        >>> "license: mit" in pathlib.Path("opinions/README.md").read_text()
        True

    Args:
        license: an identifier of the hub's list of licenses; None: a placeholder.
        language: ISO 639 codes; empty: a placeholder.
        datasets: ids of data sets on the hub.
        initial: the model that training began with; "hf://organization/name" is linked.
        train: the number of training examples by the name of their file.
        validation: like `train`, of the examples that `metrics` were measured on.
        metrics: scores by name.
        settings: settings of the training by name.
        unit: what `train` and `validation` count.
    """

    license: str | None = None
    language: Sequence[str] = ()
    datasets: Sequence[str] = ()
    initial: str | None = None
    train: Mapping[str, int] = dataclasses.field(default_factory=dict)
    validation: Mapping[str, int] = dataclasses.field(default_factory=dict)
    metrics: Mapping[str, float] = dataclasses.field(default_factory=dict)
    settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    unit: str = "examples"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Described:
    """What a model says of itself.

    Args:
        kind: name of its class.
        name: its name.
        family: its family.
        facts: what else to list, by name.
        classes: class names, if it has them.
        pipeline_tag: the hub's name of its task, or None.
        call: a Python expression that uses `model`.
    """

    kind: str
    name: str
    family: str
    facts: Mapping[str, str]
    classes: Sequence[str] = ()
    pipeline_tag: str | None = None
    call: str


def on_the_hub(initial: str | None) -> str | None:
    """Returns the id on Hugging Face's hub of "hf://organization/name[@revision]", else None."""
    if initial is None or not initial.startswith("hf://"):
        return None
    return initial.removeprefix("hf://").partition("@")[0]
