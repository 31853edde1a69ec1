"""Checks of a task's constructor arguments."""

import difflib
import inspect
from typing import Any

from kerasbert.backbone import BackboneConfig
from kerasbert.errors import InputError
from kerasbert.tasks import loading
from kerasbert.tasks.labels import OTHER_NAMES


def check_arguments(task: type[Any], arguments: dict[str, Any]) -> None:
    """Raises `InputError` for an unknown argument, and suggests the most similar one."""
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


def check_tokenizer(tokenizer: Any, config: BackboneConfig) -> None:
    """Raises `InputError` for a tokenizer that does not match a backbone."""
    size = tokenizer.vocabulary_size
    # Smaller is fine: some tables are padded to a round number of rows.
    if size > config.vocabulary_size:
        raise InputError(
            f"the tokenizer has {size} tokens, the backbone {config.vocabulary_size} token "
            f"embeddings; from_preset(..., backbone={{'vocabulary_size': {size}}}) resizes them"
        )
    if config.positions == "learned_offset" and tokenizer.pad_id != config.padding_id:
        raise InputError(
            f"the tokenizer's padding has the id {tokenizer.pad_id}, but the backbone's positions "
            f"need {config.padding_id}"
        )
