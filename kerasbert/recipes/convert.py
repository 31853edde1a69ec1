"""A model in one format -> the same in another."""

from kerasbert import checkpoints, zoo
from kerasbert.backbone import Backbone
from kerasbert.recipes.options import ConvertOptions


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
