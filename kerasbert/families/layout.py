"""How a family's facts are written down: what each format calls its settings, models and weights.

One table serves reading and writing. A row of weights is `(kind, ours, theirs)`, where `ours` is
the path of a Keras layer (or variable) and `theirs` the name in the checkpoint. `{i}` counts layers
from 0; `{g}` and `{k}` are the same layer as a group and a place in it; `{after_embeddings}` counts
from 4 on, `{after_layers}` is what follows the last of those. Where several rows have the same
`ours`, the first that a checkpoint has is read, and all are written.
"""

import dataclasses
from collections.abc import Mapping

from kerasbert.families.codecs import Codec

#: Kinds of rows. What each consists of, a format says (kernel and bias, say, of a dense layer).
EMBEDDING, DENSE, NORM = "embedding", "dense", "norm"
#: Dense layers whose columns a format may split by attention head: queries, keys, values; and rows.
TO_HEADS, FROM_HEADS = "to_heads", "from_heads"
#: A single variable, as it is or transposed.
TENSOR, TRANSPOSED = "tensor", "transposed"

WeightTable = tuple[tuple[str, str, str], ...]
#: `(ours, theirs)` or `(ours, theirs, codec)`.
Settings = tuple[tuple[str, str] | tuple[str, str, Codec], ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Layout:
    """What one format calls the parts of a family.

    Attributes:
        model_type: how the format's config names the family.
        settings: facts of `BackboneConfig` and their keys in the format's config.
        constants: facts that every checkpoint of this layout has and no config says.
        defaults: what a key means that the config leaves out.
        only: keys whose value, if there is one, must be this.
        config_file: the name of the format's config, where that tells the family.
        config_hint: what a message says of a config that is not there.
        ignored: a pattern of tensors beside the model that the format's checkpoints may have.
        assumed_unless: where given, a config that names no family is this one's if it has none of
            these keys, and a vocabulary lies beside it.
        tokenizer_class: what the format calls the family's tokenizer, where files name it.
        models: the class that stands for a task (None: the encoder alone).
        prefix: before the names of the encoder in a model with a head.
        encoder: rows of the encoder.
        heads: rows of each task's head.
        head_settings: settings of each task's head.
        head_constants: arguments of a task that every checkpoint of this layout has.
        without_pooler: tasks whose class has no pooler.
    """

    model_type: str
    settings: Settings
    constants: Mapping[str, object] = dataclasses.field(default_factory=dict)
    defaults: Mapping[str, object] = dataclasses.field(default_factory=dict)
    only: Mapping[str, object] = dataclasses.field(default_factory=dict)
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
    head_constants: Mapping[str, Mapping[str, object]] = dataclasses.field(default_factory=dict)
    without_pooler: tuple[str, ...] = ("MaskedLM", "TokenClassifier", "QuestionAnswerer")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Family:
    """A family of models.

    Attributes:
        presets: architectures by name, each the arguments of `BackboneConfig`.
        tokenizer: settings of the tokenizer that its checkpoints have, where they don't say.
        layouts: by the name of the format.
        well_known: names of Hugging Face's best-known models of the family, by organization: most
            went by their bare names until 2024, and many texts still call them so.
    """

    presets: Mapping[str, Mapping[str, object]]
    tokenizer: Mapping[str, object]
    layouts: Mapping[str, Layout]
    well_known: Mapping[str, str] = dataclasses.field(default_factory=dict)
