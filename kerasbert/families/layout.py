"""The tables that describe a family: the names of settings, models and weights in each format.

"Ours" are kerasbert's names, "theirs" those of a format. The same table is used for reading and
writing. A row of weights is `(kind, ours, theirs)`, where `ours` is the path of a Keras layer or
variable and `theirs` the name in the checkpoint. `{i}` is the index of a layer, from 0; `{g}` and
`{k}` are the indices of its group and within the group; `{after_embeddings}` is 4 plus the index,
and `{after_layers}` the number that follows the last of those. If several rows have the same
`ours`, the first one in a checkpoint is read, and all are written.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

from kerasbert.families.codecs import Codec

#: The kinds of rows. A format defines the variables of each kind, such as kernel and bias of a
#: dense layer.
EMBEDDING, DENSE, NORM = "embedding", "dense", "norm"
#: Dense layers whose columns (queries, keys, values) or rows (output) a format can split by head.
TO_HEADS, FROM_HEADS = "to_heads", "from_heads"
#: A single variable, unchanged or transposed.
TENSOR, TRANSPOSED = "tensor", "transposed"

WeightTable = tuple[tuple[str, str, str], ...]
#: `(ours, theirs)` or `(ours, theirs, codec)`.
Settings = tuple[tuple[str, str] | tuple[str, str, Codec], ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Layout:
    """The names of the parts of a family in one format.

    Args:
        model_type: string, the name of the family in the format's config.
        settings: arguments of `BackboneConfig` and their keys in the format's config.
        constants: arguments of `BackboneConfig` with a fixed value, as the format's config has no
            key for them.
        defaults: values of missing keys.
        only: keys with their only supported values, whatever the task.
        config_file: string, the name of the format's config file if it identifies the family.
        config_hint: string, added to the error message if the config file is missing.
        ignored: pattern of tensors in checkpoints that are not part of the model.
        assumed_unless: if set, a config that names no family, and contains none of these keys, is
            assumed to be of this family if there is a vocabulary file.
        tokenizer_class: string, the format's class of the family's tokenizer, if files name it.
        models: dict from tasks (None: the encoder alone) to the format's classes.
        prefix: string before the names of encoder weights in a model with a head.
        encoder: rows of the encoder.
        heads: dict of the rows of each task's head.
        head_settings: dict of the settings of each task's head.
        head_only: dict of each task's keys with their only supported values.
        head_constants: dict of the task arguments that no config of this layout contains.
        without_pooler: tasks whose class in this format has no pooler; its weights are not written.

    Examples:
        >>> from kerasbert import families
        >>> layout = families.layout_of("bert", "hf")
        >>> layout.models["TextClassifier"]
        'BertForSequenceClassification'
        >>> dict((ours, theirs) for ours, theirs, *_ in layout.settings)["hidden_dim"]
        'hidden_size'
    """

    model_type: str
    settings: Settings
    constants: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    defaults: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    only: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    config_file: str | None = None
    config_hint: str = ""
    ignored: str = ""
    assumed_unless: tuple[str, ...] | None = None
    tokenizer_class: str | None = None
    models: Mapping[str | None, str] = dataclasses.field(default_factory=dict)
    prefix: str = ""
    encoder: WeightTable
    heads: Mapping[str, WeightTable] = dataclasses.field(default_factory=dict)
    head_settings: Mapping[str, Settings] = dataclasses.field(default_factory=dict)
    head_only: Mapping[str, Mapping[str, Any]] = dataclasses.field(default_factory=dict)
    head_constants: Mapping[str, Mapping[str, Any]] = dataclasses.field(default_factory=dict)
    without_pooler: tuple[str | None, ...] = ("MaskedLM", "TokenClassifier", "QuestionAnswerer")


@dataclasses.dataclass(frozen=True)
class Checkpoint:
    """A public checkpoint on Hugging Face.

    Args:
        name: string, "organization/name". Most were loaded by the name alone until 2024, and are
            still known by it.
        preset: string, the name of its architecture.
        languages: string.
        license: string, its SPDX identifier; "" if it is not known here.
        task: string, the class of its head; None for an encoder alone.
        changes: dict of arguments of `BackboneConfig` that differ from the preset's.
        pair: whether it classifies pairs of texts.

    Examples:
        >>> from kerasbert import families
        >>> checkpoint = families.FAMILIES["bert"].checkpoints[0]
        >>> checkpoint.preset in families.PRESETS
        True
    """

    name: str
    preset: str
    languages: str
    license: str = ""
    task: str | None = "MaskedLM"
    changes: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    pair: bool = False


@dataclasses.dataclass(frozen=True, kw_only=True)
class Family:
    """A family of models.

    Args:
        presets: dict of architectures, each a dict of arguments of `BackboneConfig`.
        tokenizer: dict of the tokenizer settings that checkpoints do not store.
        layouts: dict of `Layout`s by format.
        checkpoints: tuple of the best-known `Checkpoint`s.

    Examples:
        >>> from kerasbert import families
        >>> family = families.FAMILIES["albert"]
        >>> family.tokenizer["kind"], "albert_base" in family.presets
        ('sentencepiece', True)
    """

    presets: Mapping[str, Mapping[str, Any]]
    tokenizer: Mapping[str, Any]
    layouts: Mapping[str, Layout]
    checkpoints: tuple[Checkpoint, ...] = ()
