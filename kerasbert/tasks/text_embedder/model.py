"""Text embeddings: vectors that are close to each other for related texts."""

import functools
from collections.abc import Sequence
from typing import Any, Self

import keras
import numpy as np
from keras import ops

from kerasbert import checkpoints, renamed
from kerasbert.backbone import Backbone, feature_inputs
from kerasbert.data.inputs import (
    checked_count,
    checked_size,
    length,
    numbers,
    plain,
    raw_columns,
)
from kerasbert.errors import InputError
from kerasbert.features import (
    HIDDEN_STATES,
    PADDING_MASK,
    SEQUENCE_OUTPUT,
    TEXT,
    TEXT_PAIR,
    TOKEN_IDS,
)
from kerasbert.layers import PoolChunks, PoolTokens
from kerasbert.layers.pooling import TOKEN_POOLINGS
from kerasbert.metrics import classification
from kerasbert.tasks.chunks import check_chunks, chunk_inputs, fold_chunks
from kerasbert.tasks.task import Task
from kerasbert.tasks.text_embedder.search import checked_corpus, nearest, unit
from kerasbert.text.tokenizer import Tokenizer
from kerasbert.training.optimizers import adamw
from kerasbert.training.similarity import TIE, CosineError, InBatchNegatives, found_partner

OBJECTIVES = ("contrastive", "similarity")
_COMBINE = {
    "sum": keras.layers.Add,
    "mean": keras.layers.Average,
    "concat": keras.layers.Concatenate,
}


@keras.saving.register_keras_serializable("kerasbert")
class TextEmbedder(Task):
    """Pools the token vectors of a text (Sentence-BERT, Reimers and Gurevych 2019, §3).

    Call: features (batch, sequence) -> embeddings, float32 (batch, dim); features of several texts
    per example (batch, texts, sequence) -> (batch, texts, dim).

    Training data of `fit`, `evaluate` and `score`, by `objective`:

    - "contrastive": pairs of related texts without labels. The second texts of the other pairs are
      negatives, and so is each example's `text_negative`, if given (see
      `kerasbert.training.similarity.InBatchNegatives`). Pairs of a text with itself give
      unsupervised SimCSE (Gao et al. 2021, §3), where only dropout makes the two differ.
    - "similarity": pairs with gold scores in [-1, 1], the targets of their cosine similarity.

    Examples:
        The weights are random here; `TextEmbedder.from_preset(
        "hf://sentence-transformers/all-MiniLM-L6-v2")` loads trained ones.

        >>> import kerasbert
        >>> words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "dull", "fine", "day"]
        >>> tokenizer = kerasbert.text.WordPieceTokenizer(words)
        >>> config = kerasbert.BackboneConfig.from_preset("bert_tiny", vocabulary_size=len(words))
        >>> model = kerasbert.TextEmbedder(kerasbert.Backbone(config), tokenizer=tokenizer)
        >>> texts = ["a fine day", "a dull day"]
        >>> vectors = model.embed(texts)
        >>> vectors.shape
        (2, 128)
        >>> scores, rows = model.search(["a fine day"], vectors, top_k=1)
        >>> texts[rows[0, 0]]
        'a fine day'

        Pairs of related texts train it:

        >>> model.compile()
        >>> history = model.fit({"text": ["day"], "text_pair": ["a day"]}, verbose=0)

    Args:
        backbone: the encoder.
        pooling: "mean", "max", or "cls" for the first token's vector; see
            `kerasbert.layers.PoolTokens`.
        normalize: whether to scale embeddings to length 1.
        prompt: prefix of every text, such as "query: "; also in training and exports, but not in
            `word_vectors`.
        layers: indices of the hidden states to use: 0 are the embeddings, 1 is the output of the
            first layer, -1 of the last. Other layers than the last need a backbone with
            `return_hidden_states`, which `from_preset` sets.
        combine: how several layers are combined, "sum", "mean" or "concat"; BERT (§5.3)
            concatenates (-4, -3, -2, -1).
        objective: see above.
        temperature: temperature of the contrastive loss.
        tokenizer: as in `Task`.
        sequence_length: as in `Task`; with `long_text`, tokens per chunk.
        long_text: pooling of chunks, "mean" or "max"; None: texts are truncated to
            `sequence_length`.
        max_chunks: chunks per text.
        chunk_overlap: tokens that two neighboring chunks share.
        name: model name.

    Raises:
        InputError: an argument is out of range or does not suit the backbone.
    """

    outputs_are = "vector"
    pipeline_tag = "sentence-similarity"
    example_call = 'model.embed(["A text.", "Another one."])'

    def __init__(
        self,
        backbone: Backbone,
        *,
        pooling: str = "mean",
        normalize: bool = True,
        prompt: str = "",
        layers: int | Sequence[int] = (-1,),
        combine: str = "sum",
        objective: str = "contrastive",
        temperature: float = 0.05,
        tokenizer: Tokenizer | None = None,
        sequence_length: int | None = None,
        long_text: str | None = None,
        max_chunks: int = 8,
        chunk_overlap: int = 0,
        name: str = "text_embedder",
    ):
        layers = (layers,) if isinstance(layers, int) else tuple(layers)
        _check(backbone.config, layers, combine, objective, temperature, long_text)

        # === Layers ===
        together = len(layers) > 1 and _COMBINE[combine](dtype="float32", name="combine_layers")
        pool = PoolTokens(pooling, dtype="float32", name="pool_tokens")
        pool_chunks = long_text and PoolChunks(long_text, dtype="float32", name="pool_chunks")
        unit = normalize and keras.layers.UnitNormalization(dtype="float32", name="normalize")

        # === Functional model ===
        inputs = chunk_inputs() if long_text else feature_inputs()
        rows = fold_chunks(inputs) if long_text else inputs
        encoded = backbone(rows)
        if layers == (-1,):
            states = [encoded[SEQUENCE_OUTPUT]]
        else:
            states = [encoded[HIDDEN_STATES][layer] for layer in layers]
        vectors = together(states) if together else states[0]
        x = pool(vectors, rows[PADDING_MASK])
        if pool_chunks:
            x = pool_chunks(x, inputs[PADDING_MASK])
        if unit:
            x = unit(x)
        super().__init__(
            backbone,
            inputs,
            x,
            tokenizer=tokenizer,
            sequence_length=sequence_length,
            name=name,
        )

        # === Config ===
        self.pooling = pooling
        self.normalize = normalize
        self.prompt = prompt
        self.embedding_dim = x.shape[-1]
        self.hidden_layers = layers
        self.combine = combine
        self.objective = objective
        self.temperature = temperature
        self.long_text = long_text
        self.max_chunks = max_chunks
        self.chunk_overlap = chunk_overlap
        self._token_vectors = vectors
        if long_text:
            check_chunks(self.sequence_length, max_chunks, chunk_overlap)

    output_name = "embedding"

    @classmethod
    @renamed.argument("directory", "preset")
    def from_preset(
        cls, preset: Any, *, layers: Any = None, backbone: Any = None, **rest: Any
    ) -> Self:
        """Loads as `Task` does, with a backbone that returns the layers in use.

        A sentence-transformers directory also determines pooling, normalization, sequence length
        and the default prompt.

        Args:
            preset: as in `Task.from_preset`.
            layers: as in the constructor; None: as stored.
            backbone: as in `Task.from_preset`.
            **rest: other arguments of `Task.from_preset`, such as `prompt`.

        Returns:
            The embedder with its weights.

        Raises:
            InputError: there is no such model, or it pools in a way that is not supported.

        Examples:
            >>> paths = model.save_to_preset("embedder")
            >>> queries = kerasbert.TextEmbedder.from_preset("embedder", prompt="query: ")
            >>> queries.prompt, queries.embedding_dim
            ('query: ', 128)
        """
        preset = checkpoints.load(preset)
        stored = cls.stored_head(preset)
        if "pooling" not in rest and stored.get("pooling", "mean") not in TOKEN_POOLINGS:
            raise InputError(
                f"{preset.directory}: pools by {stored['pooling']}, which kerasbert does not "
                f"support; choose another pooling= for its encoder ({', '.join(TOKEN_POOLINGS)})"
            )
        layers = stored.get("layers", (-1,)) if layers is None else layers
        last = layers == -1 or tuple(np.atleast_1d(layers)) == (-1,)
        backbone_overrides = {} if last else {"return_hidden_states": True}
        return super().from_preset(
            preset, layers=layers, backbone={**backbone_overrides, **(backbone or {})}, **rest
        )

    def head_config(self) -> dict[str, Any]:
        """Returns the settings of pooling, objective and long texts."""
        return {
            "pooling": self.pooling,
            "normalize": self.normalize,
            "prompt": self.prompt,
            "layers": list(self.hidden_layers),
            "combine": self.combine,
            "objective": self.objective,
            "temperature": self.temperature,
            "long_text": self.long_text,
            "max_chunks": self.max_chunks,
            "chunk_overlap": self.chunk_overlap,
        }

    def _in_use(self, variables: list) -> list:
        order = self.backbone.config.layer_order
        highest = max(layer % (len(order) + 1) for layer in self.hidden_layers)
        unused = tuple(f"layer_{i}/" for i in {*order} - {*order[:highest]})
        used = super()._in_use(variables)
        return [variable for variable in used if not variable.path.startswith(unused)]

    @property
    def _ranks(self) -> tuple[int, ...]:
        (rank,) = super()._ranks
        return rank, rank + 1  # features of several texts per example

    def __call__(self, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        """Calls the model on features of one text per example, or of several."""
        features = self._features_of(inputs)
        if len(features[TOKEN_IDS].shape) == len(self.inputs[0].shape):
            return super().__call__(features, *args, **kwargs)
        batch, texts = ops.shape(features[TOKEN_IDS])[:2]
        rows = {
            name: ops.reshape(value, (-1, *ops.shape(value)[2:]))
            for name, value in features.items()
        }
        embeddings = super().__call__(rows, *args, **kwargs)
        return ops.reshape(embeddings, (batch, texts, self.embedding_dim))

    # === Training ===

    def compile(
        self, optimizer: Any = None, loss: Any = None, metrics: Any = None, **kwargs: Any
    ) -> None:
        """Compiles the model; by default with AdamW and the objective's loss.

        The contrastive objective also has accuracy, the share of texts whose partner is the nearest
        in the batch.

        Args:
            optimizer: as in Keras; None: `kerasbert.training.adamw(2e-5)`.
            loss: as in Keras; None: `InBatchNegatives`, or the squared error of cosines.
            metrics: as in Keras; None: as above.
            **kwargs: as in `Task.compile`.

        Raises:
            InputError: `accumulation_steps` with the contrastive objective, whose negatives come
                from the whole batch.

        Examples:
            >>> model.compile(kerasbert.training.adamw(5e-5))
        """
        contrastive = self.objective == "contrastive"
        if contrastive and kwargs.get("accumulation_steps", 1) > 1:
            raise InputError("accumulation_steps: texts are compared with all of their batch")
        super().compile(
            optimizer=optimizer or adamw(2e-5),
            loss=loss or (InBatchNegatives(self.temperature) if contrastive else CosineError()),
            metrics=metrics,
            **kwargs,
        )

    def _default_metrics(self) -> Any:
        return ["accuracy"] if self.objective == "contrastive" else None

    @property
    def _features_need_labels(self) -> bool:
        return self.objective != "contrastive"

    def step_data(self, data: Any) -> Any:
        """Adds ones as labels, which the contrastive loss ignores, if there are none.

        Args:
            data: a batch, as `fit` takes it.

        Raises:
            InputError: the examples have no labels, and one text each.
        """
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        if y is None and self.objective == "contrastive":
            token_ids = x[TOKEN_IDS] if isinstance(x, dict) else x
            if len(token_ids.shape) == len(self.inputs[0].shape):
                raise InputError(
                    f"{self.name} learns from several texts per example: {TOKEN_IDS} needs one "
                    f"more axis, as (batch, texts, sequence), found {tuple(token_ids.shape)}"
                )
            y = ops.ones(ops.shape(token_ids)[:1])
        return x, y, sample_weight

    def accuracy_metric(self, name: str) -> Any:
        """Returns the metric for the share of nearest partners, if contrastive, else None.

        Args:
            name: name of the metric.
        """
        if self.objective != "contrastive":
            return None
        return keras.metrics.MeanMetricWrapper(found_partner, name=name)

    def score(self, x: Any, y: Any = None, *, batch_size: int = 32) -> dict[str, float]:
        """Measures how well cosine similarities match pairs.

        Args:
            x: pairs of texts.
            y: gold scores on any scale, or None.
            batch_size: texts per batch.

        Returns:
            With gold scores, `pearson` and `spearman`, the correlations of cosine similarities and
            scores, as for STS. Without, `accuracy`, the share of texts whose partner is the
            nearest of all second texts, or equal to it.

        Raises:
            InputError: there are no pairs, or not as many scores.

        Examples:
            >>> model.score({"text": texts, "text_pair": texts})
            {'accuracy': 1.0}
            >>> pairs = {"text": ["a", "a", "day"], "text_pair": ["a", "a day", "fine"]}
            >>> sorted(model.score(pairs, [5, 3, 0]))
            ['pearson', 'spearman']
        """
        columns = self._text.columns(x)
        if TEXT_PAIR not in columns or not length(columns[TEXT]):
            raise InputError(f"{self.name} is scored on pairs of texts")
        embeddings = self.embed(columns, batch_size=batch_size)
        first, second = embeddings[:, 0], embeddings[:, 1]
        cosines = np.sum(unit(first) * unit(second), axis=1)
        if y is None:
            highest, _ = nearest(first, second, 1)
            return {"accuracy": float(np.mean(cosines >= highest[:, 0] - TIE))}
        gold = numbers("y", y).reshape(-1)
        if len(gold) != len(cosines):
            raise InputError(f"there are {len(cosines)} pairs, but y has {len(gold)}")
        scores = classification.regression(gold[:, np.newaxis], cosines[:, np.newaxis])
        return {name: scores[name] for name in ("pearson", "spearman")}

    # === Text ===

    def make_preprocessor(self) -> Any:
        """Creates the preprocessor with this model's prompt, objective and chunks."""
        from kerasbert.tasks.text_embedder.preprocessor import TextEmbedderPreprocessor

        return TextEmbedderPreprocessor(
            **self._text_settings(),
            prompt=self.prompt,
            objective=self.objective,
            long_text=self.long_text,
            max_chunks=self.max_chunks,
            chunk_overlap=self.chunk_overlap,
        )

    def embed(self, x: Any, *, batch_size: int = 32) -> np.ndarray:
        """Returns embeddings of texts.

        Args:
            x: texts, or pairs of texts, in any form but a dataset.
            batch_size: texts per batch.

        Returns:
            float32, (texts, dim); for pairs (pairs, 2, dim).

        Examples:
            >>> model.embed(["a fine day"]).shape
            (1, 128)
            >>> model.embed({"text": ["a fine day"], "text_pair": ["a dull day"]}).shape
            (1, 2, 128)
        """
        columns = list(self._text.columns(x).values())
        if len(columns) == 1:
            return self._outputs_of({TEXT: columns[0]}, batch_size)
        texts = [text for column in columns for text in plain(column)]
        outputs = self._outputs_of({TEXT: texts}, batch_size)
        return outputs.reshape(len(columns), -1, self.embedding_dim).swapaxes(0, 1)

    @renamed.argument("pieces", "subwords")
    def word_vectors(
        self, texts: Sequence[str], *, subwords: str = "mean", batch_size: int = 32
    ) -> list[tuple[list[str], np.ndarray]]:
        """Returns vectors of words in context, from the embedder's layers, not normalized.

        Args:
            texts: strings; truncated to `sequence_length`.
            subwords: vector of a word with several subwords: the "mean" of their vectors, or the
                vector of the "first".
            batch_size: texts per batch.

        Returns:
            For each text, its words as spelled there, and their vectors, float32 (words, dim).

        Raises:
            InputError: `subwords` is unknown.

        Examples:
            >>> words, vectors = model.word_vectors(["A fine day"])[0]
            >>> words, vectors.shape
            (['A', 'fine', 'day'], (3, 128))
        """
        if subwords not in ("mean", "first"):
            raise InputError(f"subwords must be mean or first, found {subwords!r}")
        texts = raw_columns(texts, ((TEXT,),), "word_vectors")[TEXT]
        found, batch_size = [], checked_size(batch_size)
        for start in range(0, len(texts), batch_size):
            vectors = self._graph(type(self._text).traced_token_vectors, self._text)
            text, *rows = vectors(texts[start : start + batch_size])
            found += map(functools.partial(_words, subwords=subwords), text, *rows)
        return found

    def search(
        self, queries: Sequence[str], corpus: np.ndarray, top_k: int = 10, *, batch_size: int = 32
    ) -> tuple[np.ndarray, np.ndarray]:
        """Finds the nearest embeddings of a corpus.

        Args:
            queries: strings.
            corpus: embeddings, float (texts, dim), as `embed` returns them.
            top_k: results per query; all of a corpus that has fewer.
            batch_size: queries per batch.

        Returns:
            Cosine similarities, float32, and row numbers of `corpus`, int, both (queries, top_k),
            the nearest first.

        Raises:
            InputError: the corpus is no matrix of such embeddings, or `top_k` is less than 1.

        Examples:
            >>> scores, rows = model.search(["a dull day"], model.embed(texts), top_k=2)
            >>> rows.tolist()
            [[1, 0]]
            >>> f"{scores[0, 0]:.3f}"
            '1.000'
        """
        top_k = checked_count("top_k", top_k)
        corpus = checked_corpus(corpus, self.embedding_dim)
        texts = raw_columns(queries, ((TEXT,),), "search")
        return nearest(self.embed(texts, batch_size=batch_size), corpus, top_k)


def _words(text: bytes, vectors, begins: list, ends: list, *, subwords: str):
    """Returns one text's words and vectors, given those of its tokens."""
    from_bytes, to_bytes = (np.array(limit[: len(vectors)], int) for limit in (begins, ends))
    first = np.flatnonzero(np.diff(from_bytes, prepend=-1))
    counts = np.diff(first, append=len(from_bytes))
    limits = zip(from_bytes[first], to_bytes[first + counts - 1], strict=True)
    words = [text[begin:end].decode("utf-8", "replace") for begin, end in limits]
    if subwords == "first" or not words:
        return words, vectors[first]
    return words, np.add.reduceat(vectors[: len(from_bytes)], first) / counts[:, np.newaxis]


def _check(config, layers, combine, objective, temperature, long_text) -> None:
    """Raises `InputError` for invalid or incompatible arguments."""
    states = len(config.layer_order) + 1
    if not layers or not all(-states <= layer < states for layer in layers):
        raise InputError(f"layers must be in [{-states}, {states - 1}], found {list(layers)}")
    if layers != (-1,) and not config.return_hidden_states:
        raise InputError(f"layers={list(layers)} need a backbone with return_hidden_states=True")
    for name, value, known in (
        ("combine", combine, tuple(_COMBINE)),
        ("objective", objective, OBJECTIVES),
        ("long_text", long_text, (None, "mean", "max")),
    ):
        if value not in known:
            raise InputError(f"{name} must be one of {', '.join(map(str, known))}, found {value!r}")
    if not temperature > 0:
        raise InputError(f"temperature must be over 0, found {temperature}")
