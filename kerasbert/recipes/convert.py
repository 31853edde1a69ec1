"""Converting a model to another format."""

import dataclasses
import pathlib
from typing import Any

from kerasbert import checkpoints, files, loading
from kerasbert.backbone import BackboneConfig
from kerasbert.checkpoints import cards, model_files
from kerasbert.errors import InputError, one_line
from kerasbert.program import show
from kerasbert.recipes.options import ConvertOptions
from kerasbert.tasks import Task
from kerasbert.tasks import loading as task_loading


def convert(options: ConvertOptions) -> dict[str, Any]:
    """Converts a model with head and tokenizer; prints the old and new name of each weight.

    The output is read again, and every setting that it does not contain is reported as `left_out`.
    """
    with files.locked(options.output):
        files.refuse_existing(
            options.output,
            overwrite=options.overwrite,
            check=checkpoints.check_replaceable,
            option="--overwrite",
        )
        return _convert(options)


def _convert(options: ConvertOptions) -> dict:
    preset = checkpoints.load(options.input)
    _refuse_replacing(preset, options)
    how = {"format": options.format, "overwrite": options.overwrite}
    model = loading.load(preset, **_changes(preset, options))
    encoder = model.backbone if isinstance(model, Task) else model
    if not isinstance(model, Task):
        tokenizer = None
        if checkpoints.has_tokenizer(preset):
            tokenizer = checkpoints.load_tokenizer(preset)
        extras = {"tokenizer": tokenizer, "sequence_length": _length(preset, model.config)}
        card = _card(preset, model.card_text(tokenizer=tokenizer, format=options.format), options)
        kept = _keeps_card(card, options)
        names = model.save_to_preset(options.output, card=card, **how, **extras)
        written = checkpoints.load(options.output)
        not_stored = [name for name, value in extras.items() if value and not _has(written, name)]
    else:
        tokenizer = model.tokenizer
        card = _card(preset, model.card_text(format=options.format), options)
        kept = _keeps_card(card, options)
        names = model.save_to_preset(options.output, card=card, **how)
        written = checkpoints.load(options.output)
        not_stored = task_loading.not_stored(model, written)
    not_stored += [
        *_not_stored_settings(encoder.config, written),
        *preset.unsupported_settings,
    ]
    for path, array in preset.weights.items():
        show(one_line(f"{preset.names[path]} {array.shape} -> {names.get(path, 'left out')}"))
    for name in not_stored:
        show(one_line(f"{name} -> left out"))
    for name in preset.unused_weights:
        show(one_line(f"{name} -> left over"))
    if kept:
        show(one_line(f"{options.output}/{cards.NAME} was edited, so it stays: check it"))
    return {
        "model": options.output,
        "from": preset.format,
        "to": options.format,
        "task": preset.config["task"],
        "family": model_family(model),
        "mapped": len(names.keys() & preset.weights.keys()),
        "left_out": [*sorted(preset.weights.keys() - names.keys()), *not_stored],
        "left_over": list(preset.unused_weights),
        "tokenizer": tokenizer and tokenizer.kind,
    }


def _refuse_replacing(preset: checkpoints.Preset, options: ConvertOptions) -> None:
    """Raises `InputError` if the output would replace the model that is converted."""
    output = pathlib.Path(options.output).resolve()
    if preset.directory.resolve().is_relative_to(output):
        raise InputError(
            f"--output={options.output} would replace the model that is converted, and other "
            "formats may not hold all of it; choose another path"
        )


def _keeps_card(card: str, options: ConvertOptions) -> bool:
    """Returns whether the output has a card that was edited, which stays in place of `card`."""
    return model_files.card_for(pathlib.Path(options.output), card, options.format) != card


def _card(preset: checkpoints.Preset, new: str, options: ConvertOptions) -> str:
    """Returns the card of the converted model, with what the other model's card says."""
    if not files.exists(preset.directory / cards.NAME):
        return new
    return cards.for_converted(cards.read(preset.directory), new, options.format)


def _length(preset: checkpoints.Preset, config: BackboneConfig) -> int | None:
    """Returns the maximum tokens per text, if it is smaller than the encoder's."""
    length = preset.config.get("sequence_length")
    return length if length and length < config.max_sequence_length else None


def _has(written: checkpoints.Preset, name: str) -> bool:
    if name == "tokenizer":
        return checkpoints.has_tokenizer(written)
    return written.config.get(name) is not None


# Settings that the tokenizer or the weights define, or that formats express in other ways.
_ELSEWHERE = ("padding_id", "pooler", "positions", "num_segments", "num_groups")


def _not_stored_settings(config: BackboneConfig, written: checkpoints.Preset) -> list[str]:
    """Returns the names of the encoder's settings that the written directory does not contain."""
    stored = BackboneConfig.from_stored(written.encoder_config, written.source)
    overrides = (field.name for field in dataclasses.fields(config))
    return [
        name
        for name in overrides
        if name not in _ELSEWHERE and getattr(config, name) != getattr(stored, name)
    ]


def _changes(preset: checkpoints.Preset, options: ConvertOptions) -> dict:
    names = ("activation", "vocabulary_size", "max_sequence_length")
    overrides = {name: getattr(options, name) for name in names}
    overrides = {name: value for name, value in overrides.items() if value is not None}
    return overrides if preset.config["task"] is None else {"backbone": overrides}


def model_family(model: Any) -> str:
    """Returns the family of a backbone or a task."""
    return getattr(model, "backbone", model).config.family
