"""Checks of a task's constructor arguments."""

import difflib
import inspect
import os
from typing import Any

from kerasbert.config import BackboneConfig
from kerasbert.errors import InputError, shown
from kerasbert.tasks import loading
from kerasbert.tasks.labels import OTHER_NAMES


def check_arguments(task: type[Any], args: tuple[Any, ...], arguments: dict[str, Any]) -> None:
    """Raises `InputError` for an unknown argument, or for a model's name or config as backbone.

    Args:
        task: the class.
        args: positional arguments of its constructor.
        arguments: named arguments.
    """
    backbone = args[0] if args else arguments.get("backbone")
    if isinstance(backbone, str | os.PathLike | BackboneConfig):
        raise InputError(
            f"backbone must be a Backbone, found {shown(backbone)}; {task.__name__}.from_preset "
            "loads a model, and Backbone(BackboneConfig.from_preset(name)) is a new one"
        )
    signatures = map(inspect.signature, loading.constructors(task))
    parameters = [p for signature in signatures for p in signature.parameters.values()]
    known = {p.name for p in parameters if p.kind is not p.VAR_KEYWORD}
    known -= {"self", "inputs", "outputs"}
    for name in arguments:
        if name in known:
            continue
        takes_classes = name in OTHER_NAMES and "classes" in known
        near = ["classes"] if takes_classes else difflib.get_close_matches(name, known, 1)
        advice = f"; it is {near[0]} here" if near else f"; it has {', '.join(sorted(known))}"
        raise InputError(f"{task.__name__} has no argument {name}{advice}")
