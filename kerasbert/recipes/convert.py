"""A model in one format -> the same in another."""

import dataclasses

from kerasbert import checkpoints, zoo
from kerasbert.backbone import Backbone
from kerasbert.options import option


@dataclasses.dataclass(frozen=True, kw_only=True)
class ConvertOptions:
    """Options of `convert`."""

    input: str = option(
        help="a model directory of Google, Hugging Face, KerasHub or kerasbert; "
        "hf://organization/name; or the name of a KerasHub preset"
    )
    output: str = option(help="the directory to write; must not exist")
    format: str = option("kerasbert", help="kerasbert, hf, google or kerashub")
    activation: str | None = option(
        None,
        help="write it with another activation: gelu_tanh where a format knows no other GELU "
        "(google; kerashub's BERT), which changes the outputs a little",
    )
    vocabulary_size: int | None = option(
        None, help="resize the token embeddings: old rows stay, new ones start at random"
    )
    max_sequence_length: int | None = option(
        None, help="resize the positions: more of them repeat the old ones from the first on"
    )


def convert(options: ConvertOptions) -> dict:
    """Converts a model, its head and its tokenizer; prints each weight's name before and after."""
    preset = checkpoints.load(options.input)
    model = zoo.load(preset, **_changes(preset, options))
    if isinstance(model, Backbone):
        tokenizer = None
        if checkpoints.has_tokenizer(preset.directory):
            tokenizer = checkpoints.load_tokenizer(preset.directory)
        names = model.save_to_preset(options.output, format=options.format, tokenizer=tokenizer)
    else:
        tokenizer = model.tokenizer
        names = model.save_to_preset(options.output, format=options.format)
    for path, array in preset.weights.items():
        print(f"{preset.names[path]} {array.shape} -> {names.get(path, 'left out')}")
    for name in preset.left_over:
        print(f"{name} -> left over")
    return {
        "model": options.output,
        "from": preset.format,
        "to": options.format,
        "task": preset.config["task"],
        "family": model_family(model),
        "mapped": len(names.keys() & preset.weights.keys()),
        "left_out": sorted(preset.weights.keys() - names.keys()),
        "new": [] if isinstance(model, Backbone) else model.new_weights,
        "left_over": list(preset.left_over),
        "tokenizer": tokenizer and tokenizer.kind,
    }


def _changes(preset: checkpoints.Preset, options: ConvertOptions) -> dict:
    names = ("activation", "vocabulary_size", "max_sequence_length")
    facts = {name: getattr(options, name) for name in names}
    facts = {name: value for name, value in facts.items() if value is not None}
    return facts if preset.config["task"] is None else {"backbone": facts}


def model_family(model) -> str:
    """The name of a backbone's or a task's family."""
    return getattr(model, "backbone", model).config.family
