"""Checks which teacher and student match, and how they are compared."""

from collections.abc import Mapping
from typing import Any

from kerasbert.distillation.losses import ATTENTION, HIDDEN, SOFT
from kerasbert.errors import InputError


def check(teacher: Any, student: Any, hidden: str | None, attention: str | None) -> None:
    """Raises `InputError` if the two tasks cannot be compared in this way."""
    _check_kinds(hidden, attention)
    _check_pair(teacher, student)
    if attention == "kl" and student.backbone.config.attention_dropout:
        raise InputError(
            "attention kl compares probabilities, which dropout makes 0: give the student's "
            "backbone attention_dropout=0.0, or kerasbert distill --dropout=0"
        )


def check_numbers(temperature: Any, alpha: Any, hidden_weight: Any, attention_weight: Any) -> None:
    """Raises `InputError` for arguments of `Distiller` that are out of range."""
    if not temperature > 0:
        raise InputError(f"temperature must be over 0, found {temperature}")
    if not 0 <= alpha <= 1:
        raise InputError(f"alpha must be in [0, 1], found {alpha}")
    for name, value in (("hidden_weight", hidden_weight), ("attention_weight", attention_weight)):
        if not value >= 0:
            raise InputError(f"{name} must be 0 or more, found {value}")


def _check_kinds(hidden: str | None, attention: str | None) -> None:
    for name, value, known in (("hidden", hidden, HIDDEN), ("attention", attention, ATTENTION)):
        if value is not None and value not in known:
            raise InputError(f"{name} must be one of {', '.join(known)}, found {value!r}")


def _check_pair(teacher, student) -> None:
    kinds = [type(task).__name__ for task in (teacher, student)]
    if kinds[0] != kinds[1]:
        raise InputError(f"a {kinds[0]} can't teach a {kinds[1]}; both must be the same task")
    if student.outputs_are not in SOFT:
        raise InputError(f"a {kinds[1]} can't be distilled: there is no loss for its outputs")
    if teacher is student:
        raise InputError("teacher and student are the same object")
    meant, learned = map(_meaning, (teacher, student))
    for name, value in meant.items():
        if value != learned[name]:
            raise InputError(
                f"the teacher's {name} is {_short(value)}, the student's {_short(learned[name])}; "
                "they must be the same"
            )


def _meaning(task) -> dict:
    """Returns the settings that define the meaning of a task's outputs, by name."""
    head = task.head_config()
    size = task.outputs[0].shape[-1] if task.outputs_are == "vector" else None
    named = {name: head.get(name) for name in ("problem_type", "classes")}
    return {**named, "embedding_dim": size}


def _short(value) -> str:
    if not isinstance(value, list):
        return repr(value)
    return f"{', '.join(value[:5])}{', ...' if len(value) > 5 else ''} ({len(value)})"


def reads_own_text(teacher: Any, student: Any, states: bool) -> bool:
    """Whether the teacher preprocesses text itself; otherwise it gets the student's features."""
    same = same_tokens(teacher, student)
    if same and _reading(teacher) == _reading(student):
        return False
    by_token = student.outputs_for is not None or student.outputs_are == "tokens"
    if not (by_token or states):
        return True
    why = (
        f"a {type(student).__name__} has an output for each token"
        if by_token
        else "hidden states and attention are compared token by token"
    )
    if not same:
        raise InputError(f"{why}, so teacher and student need the same tokenizer")
    if len(teacher.inputs[0].shape) != len(student.inputs[0].shape):
        raise InputError(f"{why}, so teacher and student need the same long_text")
    limit = teacher.backbone.config.max_sequence_length
    if student.sequence_length > limit:
        raise InputError(
            f"{why}, and the teacher reads {limit} of them; give the student a sequence_length of "
            f"{limit} or less"
        )
    return False


def _reading(task) -> tuple:
    """Returns the settings of a task's preprocessing besides its tokenizer."""
    head, settings = task.head_config(), ("long_text", "max_chunks", "chunk_overlap", "prompt")
    return task.sequence_length, *(head.get(setting) for setting in settings)


def same_tokens(teacher: Any, student: Any) -> bool:
    """Whether ids mean the same tokens; without tokenizers, whether the vocabulary sizes match."""
    sizes = {task.backbone.config.vocabulary_size for task in (teacher, student)}
    tokenizers = [task.tokenizer for task in (teacher, student)]
    if len(sizes) > 1 or None in tokenizers:
        return len(sizes) == 1
    one, other = tokenizers
    return one is other or (
        one.get_config() == other.get_config() and one.assets() == other.assets()
    )


def layer_map(teacher: Any, student: Any, given: Mapping[int, int] | None) -> dict[int, int]:
    """Returns the teacher's layer for each of the student's layers."""
    theirs, own = (len(task.backbone.config.layer_order) for task in (teacher, student))
    if given is None:
        return {layer: round(layer * theirs / own) for layer in range(own + 1)}
    for layer, taught_by in given.items():
        if not (0 <= layer <= own and 0 <= taught_by <= theirs):
            raise InputError(
                f"layer_map: the student has layers 0 to {own}, the teacher 0 to {theirs}, found "
                f"{layer}: {taught_by}"
            )
    return dict(sorted(given.items()))
