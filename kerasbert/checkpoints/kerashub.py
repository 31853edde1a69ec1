"""KerasHub's preset directories, read and written by KerasHub itself.

Only classes that a family's table names are built, from the settings that it names: nothing in the
directory's JSON decides what is imported.
"""

import dataclasses
import math
import pathlib
import re
import warnings
from collections.abc import Mapping
from typing import TypedDict

import numpy as np

from kerasbert import files, schema
from kerasbert.checkpoints import layouts, sizes
from kerasbert.checkpoints.h5_file import h5_shapes
from kerasbert.checkpoints.preset import Preset
from kerasbert.config import BackboneConfig
from kerasbert.errors import InputError
from kerasbert.families import FAMILIES, Layout

FORMAT = "kerashub"
CONFIG, WEIGHTS, SHARDS = "config.json", "model.weights.h5", "model.weights.json"
TASK, TASK_WEIGHTS = "task.json", "task.weights.h5"
PREPROCESSOR = "preprocessor.json"
TOKENIZER, ASSETS = "tokenizer.json", pathlib.Path("assets") / "tokenizer"
_NAMING = layouts.Naming(
    layouts.parts("/", "kernel", "gamma", "beta", "embeddings"), split_heads=True
)
# Before 2024 (keras_nlp) a BertTextClassifier was called BertClassifier.
_OLD_CLASSIFIER = re.compile("(?<!Text)Classifier$")


# What the files say of what is looked at, beside what the tables of families name.
class _Object(TypedDict):
    class_name: str
    config: dict


class _Task(TypedDict, total=False):
    activation: str | dict | None
    hidden_dim: int | None


class _Preprocessor(TypedDict, total=False):
    sequence_length: int | None
    mask_selection_rate: float | None


class _Tokenizer(TypedDict, total=False):
    lowercase: bool
    strip_accents: bool
    oov_token: str
    add_prefix_space: bool


# What KerasHub and the HDF5 library raise for files and settings that are not right.
_ERRORS = (ValueError, TypeError, KeyError, OSError, RuntimeError)
_MOST_AROUND_TENSOR = 16 << 10  # bytes that HDF5 needs beside one tensor's own


def detect(directory: pathlib.Path) -> bool:
    """Whether the directory has this format."""
    path = directory / CONFIG
    return path.exists() and {"class_name", "config"} <= files.read_json(path).keys()


def load_config(directory: pathlib.Path) -> dict:
    """Reads everything but the weights.

    Raises:
        InputError: a class or a setting that kerasbert has nothing for, or a setting that is not
            there.
    """
    return _read_config(directory)[0]


def _read_config(directory: pathlib.Path) -> tuple[dict, Layout]:
    path = directory / CONFIG
    name, said = _read_object(path)
    known = {
        family.layouts[FORMAT].model_type: family_name
        for family_name, family in FAMILIES.items()
        if FORMAT in family.layouts
    }
    if name not in known:
        raise InputError(f"{path}: {name!r} is none of {', '.join(known)}")
    family = known[name]
    layout = FAMILIES[family].layouts[FORMAT]
    facts = {"family": family, **_read_settings(layout.settings, said, layout.defaults, path)}
    facts |= layout.constants
    try:
        BackboneConfig(**facts)
    except (InputError, TypeError) as error:
        raise InputError(f"{path}: {error}") from None
    task, head = _read_task(directory, layout, facts)
    length, masking = _read_preprocessor(directory, facts)
    config = {
        "task": task,
        "backbone": facts,
        "head": {**head, **masking} if task == "MaskedLM" else head,
        "sequence_length": length,
        "tokenizer": FAMILIES[family].tokenizer,
    }
    return config, layout


def _read_object(path: pathlib.Path, kind: type = dict) -> tuple[str, dict]:
    """The name of the class of a serialized Keras object, and its config."""
    stored = files.read_json(path, _Object)
    return stored["class_name"], schema.check(stored["config"], kind, path, "config")


def _read_settings(settings, said: Mapping, defaults: Mapping, path: pathlib.Path) -> dict:
    """As `layouts.read_settings`, but every setting must be there: KerasHub says all of them."""
    for _, theirs, *_ in settings:
        if said.get(theirs, defaults.get(theirs)) is None:
            raise InputError(f"{path}: lacks {theirs!r}")
    return layouts.read_settings(settings, said, defaults, str(path))


def _read_task(directory: pathlib.Path, layout: Layout, facts: Mapping) -> tuple[str | None, dict]:
    path = directory / TASK
    if not path.exists():
        return None, {}
    name, said = _read_object(path, _Task)
    tasks = {theirs: ours for ours, theirs in layout.models.items() if ours}
    task = tasks.get(_OLD_CLASSIFIER.sub("TextClassifier", name))
    if task is None:  # such as a BertTextEmbedder; the encoder can be used all the same
        return None, {}
    if said.get("activation") not in (None, "linear"):
        raise InputError(
            f"{path}: a head with activation={said['activation']!r}; only logits are supported"
        )
    if said.get("hidden_dim") not in (None, facts["hidden_dim"]):
        raise InputError(
            f"{path}: a head with hidden_dim={said['hidden_dim']!r}; only the encoder's "
            f"{facts['hidden_dim']} is supported"
        )
    head = _read_settings(layout.head_settings.get(task, ()), said, {}, path)
    return task, {**head, **layout.head_constants.get(task, {})}


def _read_preprocessor(directory: pathlib.Path, facts: Mapping) -> tuple[int | None, dict]:
    """The length of a row, if it is said, and how text is masked."""
    path = directory / PREPROCESSOR
    if not path.exists():
        return None, {}
    _, said = _read_object(path, _Preprocessor)
    length, rate = said.get("sequence_length"), said.get("mask_selection_rate")
    # KerasHub's default is 512, whatever the encoder can take.
    length = length and min(length, facts["max_sequence_length"])
    return length, {} if rate is None else {"mask_rate": rate}


def load(directory: pathlib.Path) -> Preset:
    """Reads a model.

    Raises:
        InputError: a class that kerasbert has nothing for, weights that are damaged or missing.
    """
    config, layout = _read_config(directory)
    path = _weights(directory)
    shapes = _shapes(path)
    _check_sizes(directory, path, shapes, config)
    model = _build(layout, config, str(directory / CONFIG))
    _load_weights(directory, path, model, config["task"])
    _check_nothing_left(path, len(shapes), model if config["task"] is None else model.backbone)
    source = str(path)
    tensors = {variable.path: variable.numpy() for variable in model.weights}
    rows = (*layout.encoder, *layout.heads.get(config["task"], ()))
    links = layouts.links(rows, _NAMING, config["backbone"])
    weights, names, used = layouts.read_weights(links, tensors, _NAMING)
    if extra := sorted(tensors.keys() - used):
        raise InputError(f"{source}: {len(extra)} weights that kerasbert has no place for: {extra}")
    config["backbone"]["pooler"] = any(path.startswith("pooler/") for path in weights)
    return Preset(directory, source, FORMAT, config, weights, names)


def _build(layout: Layout, config: Mapping, source: str, preprocessor=None):
    """KerasHub's model of a config of ours, with new weights."""
    import keras_hub

    facts, task, head = config["backbone"], config["task"], dict(config.get("head", {}))
    if head.get("dropout") is None:
        head["dropout"] = facts["dropout"]
    settings = layouts.write_settings(layout.head_settings.get(task, ()), head)
    try:
        model = getattr(keras_hub.models, layout.models[None])(
            **layouts.write_settings(layout.settings, facts), dtype="float32"
        )
        if task is not None:
            make = getattr(keras_hub.models, layout.models[task])
            model = make(backbone=model, preprocessor=preprocessor, **settings)
    except _ERRORS as error:
        raise InputError(f"{source}: KerasHub refuses it: {_one_line(error)}") from None
    return model


def _weights(directory: pathlib.Path) -> pathlib.Path:
    """The file of the encoder's weights, or the one that lists where they are."""
    sharded = not (directory / WEIGHTS).exists() and (directory / SHARDS).exists()
    return directory / (SHARDS if sharded else WEIGHTS)


def _check_sizes(directory: pathlib.Path, path: pathlib.Path, shapes: list, config) -> None:
    """Raises `InputError` for files that have less than the config asks for, before it is built."""
    facts = BackboneConfig(**{**config["backbone"], "pooler": False})  # some have none
    sizes.check_layers(config["backbone"], len(shapes), str(path))
    _check_count(path, shapes, sum(math.prod(s) for _, s in sizes.encoder_shapes(facts)))
    if config["task"] is not None:
        classes = len(config["head"].get("classes", ()))
        task = directory / TASK_WEIGHTS
        _check_count(task, _shapes(task), classes * facts.hidden_dim)


def _check_count(path: pathlib.Path, shapes: list[tuple[int, ...]], least: int) -> None:
    if (count := sum(map(math.prod, shapes))) < least:
        raise InputError(f"{path}: has {count:,} numbers, the JSON beside it asks for {least:,}")


def _shapes(path: pathlib.Path) -> list[tuple[int, ...]]:
    """The shapes of all weights in a file, or in the shards that it lists."""
    if not path.exists():
        raise InputError(f"{path}: no such file; the preset is incomplete")
    shards = [path]
    if path.name == SHARDS:
        shards = sorted(path.parent.glob("model_*.weights.h5"))
        _check_named(path, {shard.name for shard in shards})
    return [
        shape
        for shard in shards
        for name, shape in h5_shapes(shard).items()
        if not name.startswith("optimizer/")
    ]


def _check_named(path: pathlib.Path, shards: set[str]) -> None:
    """Raises `InputError` where Keras would open something else than the shards."""
    where = files.read_json(path).get("weight_map")
    for named in where.values() if isinstance(where, dict) else [where]:
        for name in named if isinstance(named, list) else [named]:
            if not isinstance(name, str) or name not in shards:
                raise InputError(f"{path}: names {name!r}, which is no shard that is there")


def _load_weights(directory: pathlib.Path, path: pathlib.Path, model, task: str | None) -> None:
    """Reads KerasHub's files into its model."""
    backbone = model if task is None else model.backbone
    _read_h5(path, backbone.weights, backbone.load_weights)
    if task is not None:
        encoder = {id(variable) for variable in backbone.weights}
        head = [variable for variable in model.weights if id(variable) not in encoder]
        _read_h5(directory / TASK_WEIGHTS, head, model.load_task_weights)


def _check_nothing_left(path: pathlib.Path, found: int, backbone) -> None:
    """Raises `InputError` for weights that the config does not ask for; Keras would drop them."""
    if found != len(backbone.weights):
        raise InputError(
            f"{path}: has {found} weights, but {CONFIG} asks for {len(backbone.weights)}"
        )


def _read_h5(path: pathlib.Path, variables: list, read) -> None:
    for variable in variables:
        variable.assign(np.full(variable.shape, np.nan, np.float32))
    try:
        with warnings.catch_warnings():
            # Where Keras finds no list of layers in a file, it warns, leaves the layers as they
            # are, and often finds them elsewhere. Those it does not find are still NaN.
            warnings.filterwarnings("ignore", message="Skipping nested container")
            read(str(path))
    except Exception as error:  # a damaged file fails in too many ways to list
        raise InputError(
            f"{path}: damaged, or not the weights that the JSON beside it asks for: "
            f"{_one_line(error)}"
        ) from None
    unread = [variable.path for variable in variables if np.isnan(variable.numpy()).all()]
    if unread:
        raise InputError(f"{path}: lacks {', '.join(unread)}")


def _one_line(error: Exception) -> str:
    words = " ".join(str(error).split()).partition(" List of objects that")[0]
    return words[:300] or type(error).__name__


# === Tokenizers ===


def has_tokenizer(directory: pathlib.Path) -> bool:
    """Whether there is one."""
    return (directory / ASSETS).is_dir()


def load_tokenizer(directory: pathlib.Path):
    """The tokenizer of the directory's files.

    It gives KerasHub's ids, but for what KerasHub does differently from the models' own tokenizers:

    - WordPiece: characters outside of a vocabulary's languages (see
      `kerasbert.text.normalization`). Accents stay where KerasHub's file says so, even though
      BERT's own tokenizer takes them off whenever it lower-cases.
    - Byte pairs: RoBERTa's special tokens in a text are ordinary text here.
    - ALBERT: KerasHub gives the text to the SentencePiece model as it is, capitals and all, though
      the model knows none. Here it is prepared as ALBERT's authors did: lower-cased, accents taken
      off, quotation marks unified, commas kept apart from numbers.

    Raises:
        InputError: there is none, a file of it can't be read, or it asks for something else than
            kerasbert's tokenizers.
    """
    if not has_tokenizer(directory):
        raise InputError(f"{directory}: has no tokenizer ({ASSETS})")
    settings = dict(load_config(directory)["tokenizer"])
    _, said = _read_object(directory / TOKENIZER, _Tokenizer)
    return _READERS[settings.pop("kind")](directory, said, settings)


def _read_wordpiece(directory: pathlib.Path, said: Mapping, settings: Mapping):
    from kerasbert import text

    for key, value in {"suffix_indicator": "##", "split": True}.items():
        if said.get(key, value) != value:
            raise InputError(f"{directory / TOKENIZER}: {key}={said[key]!r} is not supported")
    return text.WordPieceTokenizer(
        directory / ASSETS / "vocabulary.txt",
        said.get("lowercase", False),
        said.get("strip_accents", False),
        text.SpecialTokens(unknown=said.get("oov_token", "[UNK]")),
    )


def _read_bytepair(directory: pathlib.Path, said: Mapping, settings: Mapping):
    from kerasbert import text

    assets = directory / ASSETS
    return text.BytePairTokenizer(
        assets / "vocabulary.json", assets / "merges.txt", said.get("add_prefix_space", False)
    )


def _read_sentencepiece(directory: pathlib.Path, said: Mapping, settings: Mapping):
    from kerasbert import text
    from kerasbert.text.tokenizer import ALBERT_TOKENS, ROBERTA_TOKENS

    tokens = ROBERTA_TOKENS if settings.get("packing") == "roberta" else ALBERT_TOKENS
    model = directory / ASSETS / "vocabulary.spm"
    return text.SentencePieceTokenizer(model, special_tokens=tokens, **settings)


_READERS = {
    "wordpiece": _read_wordpiece,
    "bytepair": _read_bytepair,
    "sentencepiece": _read_sentencepiece,
}


# === Writing ===


def save(directory: pathlib.Path, config: dict, weights: Mapping, tokenizer) -> dict[str, str]:
    """Writes what KerasHub's `from_preset` reads.

    Of a classifier's classes KerasHub stores the number; their names stay behind.

    Returns:
        The name of every variable in KerasHub's model.

    Raises:
        InputError: the format has no place for something that the model has.
    """
    facts, task = BackboneConfig(**config["backbone"]), config["task"]
    layout = layouts.layout_of(facts.family, FORMAT)
    _check_config(layout, facts, task, config.get("head", {}))
    if task in layout.without_pooler:
        weights = {path: a for path, a in weights.items() if not path.startswith("pooler/")}
    rows = (*layout.encoder, *layout.heads.get(task, ()))
    links = layouts.links(rows, _NAMING, config["backbone"])
    _check_weights(layout.models[task], weights, {link.ours for link in links})

    preprocessor = None
    if tokenizer is not None:
        theirs = _their_tokenizer(layout, tokenizer)
        preprocessor = _preprocessor(layout, config, theirs)
    model = _build(layout, config, layout.models[task], preprocessor)
    tensors = layouts.write_weights(links, weights, _NAMING, facts.num_heads)
    for variable in model.weights:
        variable.assign(tensors[variable.path])
    # A disk that gets full may crash the process inside of HDF5.
    size = sum(tensor.nbytes + _MOST_AROUND_TENSOR for tensor in tensors.values())
    files.reserve(directory, size)
    model.save_to_preset(str(directory))
    if tokenizer is not None:
        if preprocessor is None:
            theirs.save_to_preset(str(directory))
        _check_tokenizer(tokenizer, load_tokenizer(directory))
    return {link.ours: link.theirs for link in links if link.ours in weights}


def _check_config(layout: Layout, facts: BackboneConfig, task: str | None, head: Mapping) -> None:
    if task not in layout.models:
        raise InputError(
            f"KerasHub has no {task} in the family {facts.family!r}; save as 'kerasbert'"
        )
    theirs = layouts.write_settings(layout.settings, dataclasses.asdict(facts))
    for name, value in theirs.items():
        if value is None:  # an ALBERT that does not project its embeddings
            raise InputError(
                f"KerasHub's {layout.models[None]} needs {name}; this model has none; save as "
                "'kerasbert'"
            )
    layouts.check_expressible(layout, facts, theirs, FORMAT)
    layouts.check_head(layout, facts, task, head)


def _check_weights(name: str, weights: Mapping, wanted: set[str]) -> None:
    if left := sorted(weights.keys() - wanted):
        hint = "load the model with pooler=False to leave it, or save as 'kerasbert'"
        if not left[0].startswith("pooler/"):
            hint = "save as 'kerasbert'"
        raise InputError(f"KerasHub's {name} has no place for {', '.join(left)}; {hint}")
    if missing := sorted(wanted - weights.keys()):
        hint = "a task's from_preset(..., backbone={'pooler': True}) makes a new one"
        if not missing[0].startswith("pooler/"):
            hint = "save as 'kerasbert'"
        raise InputError(
            f"KerasHub's {name} needs {', '.join(missing)}; this model has none; {hint}"
        )


def _preprocessor(layout: Layout, config: Mapping, tokenizer):
    """From text to what KerasHub's task takes; an encoder alone has none."""
    import keras_hub

    task = config["task"]
    if task is None:
        return None
    length = config.get("sequence_length") or config["backbone"]["max_sequence_length"]
    settings = {"sequence_length": length}
    if task == "MaskedLM":
        rate = config.get("head", {}).get("mask_rate", 0.15)
        most = max(1, math.ceil(rate * length))
        settings |= {"mask_selection_rate": rate, "mask_selection_length": most}
    make = getattr(keras_hub.models, f"{layout.models[task]}Preprocessor")
    return make(tokenizer, **settings)


def _their_tokenizer(layout: Layout, tokenizer):
    import keras_hub

    name = layout.models[None].replace("Backbone", "Tokenizer")
    make = getattr(keras_hub.models, name)
    kinds = {
        family.layouts[FORMAT].model_type: family.tokenizer["kind"]
        for family in FAMILIES.values()
        if FORMAT in family.layouts
    }
    if tokenizer.kind != kinds[layout.model_type]:
        raise InputError(
            f"KerasHub's {name} is of the kind {kinds[layout.model_type]!r}, this tokenizer "
            f"{tokenizer.kind!r}; save as 'kerasbert'"
        )
    try:
        return make(**_WRITERS[tokenizer.kind](tokenizer))
    except _ERRORS as error:
        raise InputError(f"KerasHub's {name} refuses the tokenizer: {_one_line(error)}") from None


def _written_wordpiece(tokenizer) -> dict:
    settings = _told(tokenizer)
    return {
        "vocabulary": list(tokenizer.vocabulary),
        "lowercase": settings["lowercase"],
        "strip_accents": settings["strip_accents"],
        "oov_token": tokenizer.special_tokens.unknown,
    }


def _written_bytepair(tokenizer) -> dict:
    return {
        "vocabulary": {piece: id for id, piece in enumerate(tokenizer.vocabulary)},
        "merges": [" ".join(pair) for pair in tokenizer.merges],
        "add_prefix_space": tokenizer.add_prefix_space,
    }


def _written_sentencepiece(tokenizer) -> dict:
    (model,) = tokenizer.assets().values()
    return {"proto": model}


_WRITERS = {
    "wordpiece": _written_wordpiece,
    "bytepair": _written_bytepair,
    "sentencepiece": _written_sentencepiece,
}


def _told(tokenizer) -> dict:
    """A tokenizer's config, with the meaning of None where that has one."""
    config = tokenizer.get_config()
    if config.get("strip_accents", False) is None:
        config["strip_accents"] = config["lowercase"]
    return config


def _check_tokenizer(tokenizer, written) -> None:
    """Raises `InputError` if the tokenizer that was written is not the one that was meant."""
    ours, theirs = _told(tokenizer), _told(written)
    for name, value in ours.items():
        if theirs.get(name) != value:
            raise InputError(
                f"format {FORMAT!r} has no place for the tokenizer's {name}={value!r} (there it is "
                f"{theirs.get(name)!r}); save as 'kerasbert'"
            )
