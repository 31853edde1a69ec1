"""The encoder that all families share."""

import dataclasses
import functools
import os
from typing import Any, Self

import keras
from keras import ops

from kerasbert import checkpoints, renamed
from kerasbert.checkpoints import cards
from kerasbert.config import BackboneConfig, check_sequence_length, check_tokenizer
from kerasbert.errors import InputError, shown
from kerasbert.features import (
    PADDING_MASK,
    SEGMENT_IDS,
    SEQUENCE_OUTPUT,
    TOKEN_IDS,
    checked,
    checked_positions,
    static_shape,
    with_defaults,
)
from kerasbert.layers import Embeddings, Pooler, TransformerBlock
from kerasbert.layers.dtypes import check_dtype
from kerasbert.layers.encoder import encode
from kerasbert.layers.inference import is_inference_mode
from kerasbert.layers.sharding import layout_map
from kerasbert.layers.state import TrainableStateMixin, restore_state, state_of
from kerasbert.layers.tokens import UnpaddedTokens
from kerasbert.text.tokenizer import Tokenizer


@keras.saving.register_keras_serializable("kerasbert")
class Backbone(TrainableStateMixin):
    """An encoder of the BERT family as a functional Keras model.

    Call: a dict of `token_ids`, `padding_mask`, `segment_ids`, int32 (batch, sequence) -> a dict of
    `sequence_output`, float (batch, sequence, hidden), and `pooled_output`, float (batch, hidden),
    if there is a pooler. By default, `segment_ids` are 0 and `padding_mask` is 1. With
    `config.return_hidden_states`, the dict also has `hidden_states`, a list of the embeddings and
    of each layer's output (batch, sequence, hidden), and `attention_weights`, a list of each
    layer's probabilities (batch, heads, sequence, sequence).

    `backbone(features, output_positions=...)` computes the last layer for some tokens only:
    `sequence_output` is (batch, positions, hidden) then. `output_positions` is int32 (batch,
    positions), and the first of each row must be 0, because the pooler reads that token.

    `backbone(features, document_ids=...)` computes rows of several documents: their tokens attend
    to tokens of the same document only, and their positions begin anew with each. `document_ids` is
    int32 (batch, sequence), ascending in each row.

    Examples:
        An encoder with random weights; `Backbone.from_preset("hf://google-bert/bert-base-uncased")`
        loads trained ones.

        >>> import numpy as np
        >>> import kerasbert
        >>> config = kerasbert.BackboneConfig.from_preset("bert_tiny", vocabulary_size=1000)
        >>> backbone = kerasbert.Backbone(config)
        >>> outputs = backbone({"token_ids": [[2, 7, 9, 3], [2, 5, 3, 0]]})
        >>> outputs["sequence_output"].shape, outputs["pooled_output"].shape
        (TensorShape([2, 4, 128]), TensorShape([2, 128]))

        Only the first token of each row, in the last layer:

        >>> outputs = backbone({"token_ids": [[2, 7, 9, 3]]}, output_positions=np.array([[0]]))
        >>> outputs["sequence_output"].shape
        TensorShape([1, 1, 128])

        Every layer's output, and its attention:

        >>> config = kerasbert.BackboneConfig.from_preset(
        ...     "bert_tiny", vocabulary_size=1000, return_hidden_states=True
        ... )
        >>> outputs = kerasbert.Backbone(config)({"token_ids": [[2, 7, 9, 3]]})
        >>> len(outputs["hidden_states"]), outputs["attention_weights"][0].shape
        (3, TensorShape([1, 2, 4, 4]))

    Args:
        config: the architecture.
        dtype: a Keras dtype policy, such as "mixed_bfloat16"; None: the global one.
        name: model name.
        embeddings_of: another backbone, whose tables and LayerNorm of embeddings this one shares;
            None: it has its own.

    Raises:
        ValueError: the config is inconsistent, `dtype` is no float type or policy, or a call lacks
            `token_ids`.
    """

    def __init__(
        self,
        config: BackboneConfig,
        *,
        dtype: Any = None,
        name: Any = "backbone",
        embeddings_of: "Backbone | None" = None,
    ):
        if not isinstance(config, BackboneConfig):
            raise InputError(
                f"config must be a BackboneConfig, found {shown(config)}; "
                "BackboneConfig.from_preset(name) has architectures, and "
                "Backbone.from_preset(directory) loads a model"
            )
        check_dtype(dtype)

        # === Layers ===
        embeddings = Embeddings(
            vocabulary_size=config.vocabulary_size,
            hidden_dim=config.hidden_dim,
            max_sequence_length=config.max_sequence_length,
            num_segments=config.num_segments,
            num_task_types=config.num_task_types,
            task_type=config.task_type,
            positions=config.positions,
            padding_id=config.padding_id,
            embedding_dim=config.embedding_dim,
            dropout=config.dropout,
            layer_norm_epsilon=config.layer_norm_epsilon,
            initializer_range=config.initializer_range,
            dtype=dtype,
            name="embeddings",
        )
        if embeddings_of is not None:
            embeddings.share(embeddings_of.embeddings)
        blocks = [
            TransformerBlock(
                num_heads=config.num_heads,
                intermediate_dim=config.intermediate_dim,
                activation=config.activation,
                dropout=config.dropout,
                attention_dropout=config.attention_dropout,
                layer_norm_epsilon=config.layer_norm_epsilon,
                initializer_range=config.initializer_range,
                dtype=dtype,
                name=f"layer_{index}",
            )
            for index in range(config.num_own_layers)
        ]
        pooler = config.pooler and Pooler(config.initializer_range, dtype=dtype, name="pooler")

        # === Functional model ===
        inputs = feature_inputs()
        run = functools.partial(encode, config, embeddings, blocks, pooler)
        super().__init__(inputs=inputs, outputs=run(inputs), name=name)

        # === Config ===
        self.config = config
        self.embeddings = embeddings
        self.blocks = blocks
        self._encode = run

    @renamed.argument("places", "output_positions")
    def __call__(self, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        """Runs the encoder; missing features get their defaults.

        Args:
            inputs: dict of features; see the class.
            *args: as in Keras.
            **kwargs: `training`, `output_positions` or `document_ids`; see the class.

        Returns:
            A dict of outputs; see the class.
        """
        inputs = with_defaults(checked(inputs, self.config))
        if kwargs.get("output_positions") is not None:
            kwargs["output_positions"] = checked_positions(
                kwargs["output_positions"], static_shape(inputs[TOKEN_IDS])
            )
        return super().__call__(inputs, *args, **kwargs)

    def call(
        self,
        inputs: Any,
        training: bool | None = None,
        mask: Any = None,
        output_positions: Any = None,
        document_ids: Any = None,
    ) -> Any:
        """Runs the encoder; arguments and outputs as in the class, whose calls use it.

        Args:
            inputs: dict of features.
            training: as in Keras.
            mask: as in Keras.
            output_positions: see the class.
            document_ids: see the class.
        """
        if document_ids is not None:
            return self._encode(
                inputs, output_positions, document_ids=document_ids, training=training
            )
        if is_inference_mode() and not training and not self.config.return_hidden_states:
            unpadded = UnpaddedTokens(inputs[PADDING_MASK])
            return self._encode(inputs, output_positions, unpadded)
        if output_positions is None:
            return super().call(inputs, training=training, mask=mask)
        return self._encode(inputs, output_positions, training=training)

    def compute_output_spec(
        self,
        inputs: Any,
        training: bool | None = None,
        mask: Any = None,
        output_positions: Any = None,
        document_ids: Any = None,
    ) -> Any:
        """Returns shapes and dtypes of the outputs of `call`.

        Args:
            inputs: symbolic features.
            training: as in Keras.
            mask: as in Keras.
            output_positions: see the class.
            document_ids: see the class.
        """
        specs = super().compute_output_spec(inputs, training=training, mask=mask)
        if output_positions is not None:
            shape = (*output_positions.shape, self.config.hidden_dim)
            dtype = specs[SEQUENCE_OUTPUT].dtype
            specs[SEQUENCE_OUTPUT] = keras.KerasTensor(shape, dtype)
        return specs

    @property
    def described(self) -> str:
        """Family and size, for messages."""
        layers = self.config.num_layers
        return (
            f"{self.config.family}, {layers} layer{'s' * (layers > 1)} of {self.config.hidden_dim}"
        )

    def __repr__(self) -> str:
        if not hasattr(self, "config"):  # Keras may show a model while it is created
            return super().__repr__()
        size = shown_count(self.count_params())
        return f"<Backbone {shown(self.name)}: {self.described}, {size} parameters>"

    @property
    def token_embedding(self) -> keras.layers.Embedding:
        """The layer that embeds tokens.

        Examples:
            >>> backbone.token_embedding.input_dim, backbone.token_embedding.output_dim
            (1000, 128)
        """
        return self.embeddings.token_embedding

    @property
    def gradient_checkpointing(self) -> bool:
        """Whether training recomputes the activations inside each layer for the gradient.

        Set it before `compile`. It takes about a third more time, and saves most of the memory that
        grows with the batch. It is not saved, and copies don't have it.

        Examples:
            >>> backbone.gradient_checkpointing = True
        """
        return self.blocks[0].gradient_checkpointing

    @gradient_checkpointing.setter
    def gradient_checkpointing(self, on: bool) -> None:
        for block in self.blocks:
            block.gradient_checkpointing = on

    @staticmethod
    def get_layout_map(
        device_mesh: Any, model_parallel_dim_name: str = "model"
    ) -> keras.distribution.LayoutMap:
        """Returns a layout map for `keras.distribution.ModelParallel` on JAX, as in KerasHub.

        Attention heads, feed-forward layers and the width of the token embeddings are sharded, so
        the size of the mesh's axis must divide `num_heads`, `intermediate_dim` and, if it is set,
        `embedding_dim`. Other weights are replicated.

        Args:
            device_mesh: a `keras.distribution.DeviceMesh`, whose first axis shards batches.
            model_parallel_dim_name: name of the axis that shards weights.

        Returns:
            A `keras.distribution.LayoutMap`.

        Raises:
            InputError: the mesh has no such axis.

        Examples:
            >>> import keras
            >>> mesh = keras.distribution.DeviceMesh((1, 1), ("batch", "model"), ["cpu:0"])
            >>> layouts = kerasbert.Backbone.get_layout_map(mesh)
            >>> isinstance(layouts, keras.distribution.LayoutMap)
            True
        """
        return layout_map(device_mesh, model_parallel_dim_name)

    def get_config(self) -> dict[str, Any]:
        """Returns config, dtype policy, and which layers are frozen or quantized, in JSON types."""
        return {
            "config": dataclasses.asdict(self.config),
            "dtype": keras.saving.serialize_keras_object(self.embeddings.dtype_policy),
            "name": self.name,
            "state": state_of(self),
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Self:
        """Creates the backbone from the result of `get_config`.

        Args:
            config: dict, the result of `get_config`.
            custom_objects: as in Keras.

        Examples:
            >>> same = kerasbert.Backbone.from_config(backbone.get_config())
            >>> same.config == backbone.config
            True
        """
        backbone = cls(
            BackboneConfig(**config["config"]),
            dtype=keras.saving.deserialize_keras_object(config["dtype"]),
            name=config["name"],
        )
        restore_state(backbone, config["state"])
        return backbone

    @classmethod
    @renamed.argument("directory", "preset")
    def from_preset(
        cls,
        preset: str | os.PathLike[str] | checkpoints.Preset,
        *,
        dtype: Any = None,
        load_weights: bool = True,
        **overrides: Any,
    ) -> Self:
        """Loads an encoder from a model of kerasbert or another library.

        Args:
            preset: a directory with an encoder or a task, in any format that
                `kerasbert.checkpoints` reads; "hf://organization/name"; or the name of a KerasHub
                preset.
            dtype: a Keras dtype policy; "mixed_bfloat16" computes in bfloat16 with float32 weights,
                "bfloat16" has bfloat16 weights too.
            load_weights: whether to load the weights; otherwise all are initialized at random.
            **overrides: fields of `BackboneConfig` to change, such as `dropout=0.0`. Another
                `vocabulary_size` or `max_sequence_length` resizes the tables: old rows are kept,
                new tokens are initialized at random, and new positions repeat the old ones.

        Returns:
            The encoder with its weights.

        Raises:
            InputError: there is no such model, or it cannot be read; the message says why.

        Examples:
            >>> names = backbone.save_to_preset("encoder")
            >>> same = kerasbert.Backbone.from_preset("encoder")
            >>> larger = kerasbert.Backbone.from_preset("encoder", vocabulary_size=1024)
            >>> larger.config.vocabulary_size
            1024
        """
        stored = checkpoints.load(preset)
        config = stored.backbone_config(**overrides)
        backbone = cls(config, dtype=dtype)
        if load_weights:
            stored.assign(backbone.weights, resize=overrides)
        return backbone

    def save_to_preset(
        self,
        directory: str | os.PathLike[str],
        *,
        format: str = "kerasbert",
        tokenizer: Tokenizer | None = None,
        sequence_length: int | None = None,
        card: checkpoints.ModelCard | str | None = None,
        overwrite: bool = False,
    ) -> checkpoints.SavedWeights:
        """Writes config, weights and, if given, the tokenizer to a directory, atomically.

        Args:
            directory: directory to write.
            format: "kerasbert", "hf" (Hugging Face transformers), "google" (TF1, as in
                google-research/bert) or "kerashub".
            tokenizer: tokenizer to write next to the weights.
            sequence_length: default `sequence_length` of tasks that are loaded from the directory;
                None: the encoder's maximum.
            card: what the model card, README.md, says besides what the model says itself; or its
                whole text.
            overwrite: whether to replace an existing model directory. It must be one that kerasbert
                wrote, with nothing else in it; a card that was edited stays.

        Returns:
            A dict from the path of each weight to its name in the file, which shows as one line.

        Raises:
            InputError: `directory` exists and must not be replaced, the tokenizer or the length
                does not suit the encoder, or the format cannot store this model.

        Examples:
            >>> names = backbone.save_to_preset("for_transformers", format="hf")
            >>> names["embeddings/token_embedding/embeddings"]
            'embeddings.word_embeddings.weight'
        """
        config = {"task": None, "backbone": dataclasses.asdict(self.config)}
        if tokenizer is not None:
            check_tokenizer(tokenizer, self.config)
        if sequence_length is not None:
            check_sequence_length(sequence_length, self.config)
            config["sequence_length"] = sequence_length
        if isinstance(card, str):
            text = card
        else:
            text = self.card_text(card, tokenizer=tokenizer, format=format)
        return checkpoints.save(
            directory,
            config,
            self.plain_weights(),
            tokenizer,
            format=format,
            card=text,
            overwrite=overwrite,
        )

    def card_text(
        self,
        card: checkpoints.ModelCard | None = None,
        *,
        tokenizer: Any = None,
        format: str = "kerasbert",
    ) -> str:
        """Returns the model card that `save_to_preset` writes.

        Args:
            card: what is known besides what the model says itself; as in `save_to_preset`.
            tokenizer: as in `save_to_preset`.
            format: as in `save_to_preset`.

        Returns:
            The text of the card, Markdown with a header that Hugging Face's hub reads.

        Examples:
            >>> card = kerasbert.checkpoints.ModelCard(license="mit", language=["en"])
            >>> "license: mit" in backbone.card_text(card)
            True
        """
        model = cards.Described(
            kind=type(self).__name__,
            name=self.name,
            family=self.config.family,
            facts=self.facts(tokenizer),
            pipeline_tag="feature-extraction",
            call='outputs = model({"token_ids": [[1, 2, 3]]})',
        )
        return cards.text(model, card or cards.ModelCard(), format)

    def facts(self, tokenizer: Any = None) -> dict[str, str]:
        """Returns what a model card lists, by name.

        Args:
            tokenizer: the model's tokenizer, or None.

        Examples:
            >>> backbone.facts()["layers"]
            '2, 128 wide'
        """
        facts = {
            "layers": f"{self.config.num_layers}, {self.config.hidden_dim} wide",
            "maximum length": f"{self.config.max_sequence_length:,} tokens",
            "parameters": shown_count(self.count_params()),
        }
        if tokenizer is not None:
            size = f"{tokenizer.vocabulary_size:,} tokens"
            facts["tokenizer"] = f"{type(tokenizer).__name__}, {size}"
        return facts


def shown_count(count: int) -> str:
    """Returns a number of parameters, in millions if it is large."""
    return f"{count:,}" if count < 1e6 else f"{count / 1e6:,.1f} M"


def cls_position(features: dict[str, Any]) -> Any:
    """Returns the position of the first token of each row, int32 (batch, 1)."""
    return ops.zeros_like(features[TOKEN_IDS][:, :1])


def feature_inputs() -> dict[str, keras.KerasTensor]:
    """Returns the symbolic inputs of an encoder, int32 (batch, sequence) each."""
    names = (TOKEN_IDS, PADDING_MASK, SEGMENT_IDS)
    inputs: dict[str, Any] = {n: keras.Input((None,), dtype="int32", name=n) for n in names}
    return inputs
