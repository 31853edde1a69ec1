"""Creates a task from a stored model, or from a task with more tokens; see `Task.from_preset`."""

import dataclasses
import functools
import inspect
import pathlib
import typing
from collections.abc import Callable
from typing import Any

from kerasbert import checkpoints, schema
from kerasbert.backbone import Backbone, BackboneConfig
from kerasbert.errors import InputError


def task(
    kind: type[Any],
    preset: checkpoints.Preset,
    *,
    tokenizer: Any,
    sequence_length: int | None,
    dtype: Any,
    backbone: dict[str, Any] | None,
    load_weights: bool,
    head: dict[str, Any],
) -> Any:
    """Creates a task of class `kind` from a stored model; arguments as in `Task.from_preset`."""
    resize = dict(backbone or {})
    stored_tokenizer, lacks_tokenizer = None, ""
    if checkpoints.has_tokenizer(preset):
        stored_tokenizer = checkpoints.load_tokenizer(preset)
    else:
        lacks_tokenizer = _why_no_tokenizer(preset)
    if tokenizer is not None:
        _check_same_tokens(stored_tokenizer, tokenizer, preset.source)
        size = tokenizer.vocabulary_size
        if size > preset.backbone_config().vocabulary_size:
            resize.setdefault("vocabulary_size", size)
    config = preset.backbone_config(**resize)
    if kind.needs_pooler(config):
        config = dataclasses.replace(config, pooler=True)
    encoder = Backbone(config, dtype=dtype)
    stored = kind.stored_head(preset)
    if "classes" in stored.keys() - head.keys():
        preset.check_classes()
    try:
        task = kind(
            encoder,
            tokenizer=stored_tokenizer if tokenizer is None else tokenizer,
            sequence_length=sequence_length or _length(preset, config),
            **{**stored, **head},
        )
    except InputError as error:
        raise InputError(f"{preset.directory}: {error}") from None
    task._lacks_tokenizer = lacks_tokenizer
    if preset.config.get("task") == kind.__name__:
        task.data_format = dict(preset.config.get("data_format", {}))
    if load_weights:
        _load_weights(task, preset, stored, resize)
    else:
        task.mark_uninitialized(variable.path for variable in task.weights)
    return task


def _why_no_tokenizer(preset: checkpoints.Preset) -> str:
    """Returns which files of a tokenizer were looked for, and where."""
    try:
        checkpoints.load_tokenizer(preset)
    except InputError as error:
        return str(error)
    return ""


def stored_head(kind: type[Any], preset: checkpoints.Preset) -> dict[str, Any]:
    """Implements `Task.stored_head`."""
    task, stored = preset.config.get("task"), preset.config.get("head", {})
    if task not in (kind.__name__, *kind.heads_from):
        return {}
    fields = _stored_kind(kind)
    if task != kind.__name__:
        names = {field.name for field in dataclasses.fields(fields)}
        stored = {name: value for name, value in stored.items() if name in names}
    return dict(schema.check(stored, fields, preset.directory, "head"))


def not_stored(task: Any, preset: checkpoints.Preset) -> list[str]:
    """Returns the names of the arguments that were lost when a task was written to a directory.

    Args:
        task: the task that was written.
        preset: the directory, as it was read again.
    """
    backbone = dataclasses.asdict(task.backbone.config)
    settings = {
        "sequence_length": task.sequence_length,
        "data_format": task.data_format,
        **task.head_config(),
    }
    stored = {
        **_arguments(type(task)),
        **task.stored_head(preset),
        "data_format": preset.config.get("data_format", {}),
        "sequence_length": preset.config.get("sequence_length") or backbone["max_sequence_length"],
    }

    def meant(name, value):
        return _comparable(backbone.get(name) if value is None else value)  # None: the backbone's

    return [
        name for name, value in settings.items() if meant(name, value) != meant(name, stored[name])
    ]


def with_tokens(task: Any, tokens: Any, *, special: bool) -> Any:
    """Implements `Task.add_tokens`."""
    from kerasbert.text import tokenizer_from_config  # imports TensorFlow

    old = task._text.tokenizer
    tokenizer = tokenizer_from_config(old.get_config(), old.assets())
    tokenizer.add_tokens(tokens, special=special)
    settings = task.backbone.config
    size = max(settings.vocabulary_size, tokenizer.vocabulary_size)
    config = dataclasses.replace(settings, vocabulary_size=size)
    copy = type(task)(
        Backbone(config, dtype=task.backbone.embeddings.dtype_policy),
        tokenizer=tokenizer,
        sequence_length=task.sequence_length,
        name=task.name,
        **task.head_config(),
    )
    copy.data_format = dict(task.data_format)
    weights = task.plain_weights()
    stored = {"backbone": dataclasses.asdict(settings)}
    preset = checkpoints.Preset(pathlib.Path(), task.name, "kerasbert", stored, weights)
    preset.assign(copy.weights, resize={"vocabulary_size": size})
    copy.mark_uninitialized(task.uninitialized_weights)
    return copy


def constructors(kind: type[Any]) -> list[Callable[..., Any]]:
    """Returns the constructors of `Task` and its subclasses down to `kind`, `Task`'s first."""
    above = [each for each in reversed(kind.__mro__) if hasattr(each, "stored_head")]
    return [each.__init__ for each in above]


def _arguments(kind: type) -> dict:
    """Returns the default of each argument of the constructors."""
    makers = constructors(kind)
    known = [inspect.signature(make).parameters.items() for make in makers]
    return {name: argument.default for each in known for name, argument in each}


def _load_weights(task, preset: checkpoints.Preset, stored: dict, resize: dict) -> None:
    config = task.head_config()
    settings = [fact for fact in task.head_arguments if fact in stored]
    same_head = all(_comparable(config[fact]) == _comparable(stored[fact]) for fact in settings)
    encoder = {id(variable) for variable in task.backbone.weights}
    pooler = [v for v in task.backbone.weights if v.path.startswith("pooler/")]
    head = [v for v in task.weights if id(v) not in encoder]
    body = [v for v in task.backbone.weights if not v.path.startswith("pooler/")]
    optional = [*pooler, *(head if same_head else [])]
    new = preset.assign(body, optional=optional, resize=resize)
    fresh = [] if same_head else [variable.path for variable in head]
    task.mark_uninitialized([*new, *fresh, *preset.uninitialized])


# Arguments that are stored in another form than the constructor takes them. In models of early
# releases, classes may be numbers, and `pair` is None if no text had been seen.
_STORED = {"classes": list[str | int], "pair": bool | None}


@functools.cache
def _stored_kind(task: type) -> type:
    """Returns a dataclass of a head's stored arguments, all of them optional."""
    shared, *own = constructors(task)
    hints = {}
    for make in own:
        hints |= typing.get_type_hints(make)
    shared = inspect.signature(shared).parameters
    kinds = {name: _STORED.get(name, hint) for name, hint in hints.items() if name not in shared}
    return dataclasses.make_dataclass("Head", [(*each, None) for each in kinds.items()])


def _length(preset: checkpoints.Preset, config: BackboneConfig) -> int | None:
    """Returns the stored sequence length, limited to what a resized backbone takes."""
    length, limit = preset.config.get("sequence_length"), config.max_sequence_length
    if limit == preset.encoder_config.get("max_sequence_length"):
        return length
    return (
        None
        if length in (None, preset.encoder_config.get("max_sequence_length"))
        else min(length, limit)
    )


def _comparable(fact):
    """Returns an argument in a form that compares equal: class names become strings."""
    return [str(name) for name in fact] if isinstance(fact, list | tuple) else fact


def _check_same_tokens(stored, tokenizer, source: str) -> None:
    """Raises `InputError` if tokens of the given tokenizer have other ids in the stored one."""
    subwords = stored.vocabulary if stored is not None else ()
    for id, (subword, token) in enumerate(zip(subwords, tokenizer.vocabulary, strict=False)):
        if subword != token:
            raise InputError(
                f"{source}: its token with the id {id} is {subword!r}, the given tokenizer's "
                f"{token!r}; give the tokenizer of this model, with tokens added to it"
            )
