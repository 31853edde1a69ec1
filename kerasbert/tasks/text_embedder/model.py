"""A text -> a vector; what belongs together is near."""

import functools
from collections.abc import Sequence

import keras
import numpy as np
from keras import ops

from kerasbert import checkpoints, renamed
from kerasbert.backbone import Backbone, feature_inputs
from kerasbert.data.inputs import checked_size, length, numbers, plain, raw_columns
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
from kerasbert.tasks.text_embedder.search import nearest, unit
from kerasbert.training.optimizers import adamw
from kerasbert.training.similarity import CosineError, InBatchNegatives, found_partner

OBJECTIVES = ("contrastive", "similarity")
_COMBINE = {
    "sum": keras.layers.Add,
    "mean": keras.layers.Average,
    "concat": keras.layers.Concatenate,
}


@keras.saving.register_keras_serializable("kerasbert")
class TextEmbedder(Task):
    """The vectors of a text's tokens, pooled (Sentence-BERT, Reimers and Gurevych 2019, §3).

    Call: features (batch, sequence) -> embeddings, float32 (batch, dim); features of several texts
    an example (batch, texts, sequence) -> (batch, texts, dim).

    What `fit`, `evaluate` and `score` take, by `objective`:

    - "contrastive": pairs that belong together, without labels; everybody else's second text is a
      negative, and so is the `text_negative` of every example, if there is one (see
      `kerasbert.training.similarity.InBatchNegatives`). A text paired with itself is unsupervised
      SimCSE (Gao et al. 2021, §3): dropout makes the two differ.
    - "similarity": pairs with gold scores in [-1, 1] that their cosines shall have.

    Args:
        backbone: the encoder.
        pooling: "mean" of the tokens' vectors, "cls", the first one, or "max"; see
            `kerasbert.layers.PoolTokens`.
        normalize: whether embeddings have length 1.
        prompt: what is put before every text, such as "query: "; in training and exports, too, but
            not for `word_vectors`.
        layers: which hidden states: 0 the embeddings, 1 the first layer's output, and so on; -1 the
            last. Others than the last need a backbone with `return_hidden_states`, which
            `from_preset` sees to.
        combine: what is made of several layers, token by token: "sum", "mean" or "concat", which
            BERT (§5.3) did with (-4, -3, -2, -1).
        objective: see above.
        temperature: of the contrastive loss.
        tokenizer: see `Task`.
        sequence_length: see `Task`; with `long_text` a chunk's.
        long_text: how the vectors of a long text's chunks are pooled, "mean" or "max"; None: what
            is beyond `sequence_length` is cut off.
        max_chunks: chunks a text may have.
        chunk_overlap: tokens that a chunk repeats of the one before it.
        name: the model's name.
    """

    outputs_are = "vector"

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
        tokenizer=None,
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
    def from_preset(cls, preset, *, layers=None, backbone=None, **rest):
        """As in `Task`, with a backbone that gives the layers that are asked for.

        Of a sentence-transformers directory, pooling, normalization, length and the prompt that is
        the default are taken from it.
        """
        preset = checkpoints.load(preset)
        stored = cls.stored_head(preset)
        if "pooling" not in rest and stored.get("pooling", "mean") not in TOKEN_POOLINGS:
            raise InputError(
                f"{preset.directory}: pools by {stored['pooling']}, which kerasbert does not do; "
                f"pooling= takes its encoder with another ({', '.join(TOKEN_POOLINGS)})"
            )
        layers = stored.get("layers", (-1,)) if layers is None else layers
        last = layers == -1 or tuple(np.atleast_1d(layers)) == (-1,)
        backbone_overrides = {} if last else {"return_hidden_states": True}
        return super().from_preset(
            preset, layers=layers, backbone={**backbone_overrides, **(backbone or {})}, **rest
        )

    def head_config(self) -> dict:
        """How vectors are pooled, what is learned from, how long texts are read."""
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

    def __call__(self, inputs, *args, **kwargs):
        """Runs the model on features of one text an example, or of several."""
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

    def compile(self, optimizer=None, loss=None, metrics=None, **kwargs):
        """Keras's `compile`; AdamW and the objective's loss unless given.

        If it is contrastive, also accuracy, the share of texts whose partner is the nearest of the
        batch.

        Raises:
            InputError: `accumulation_steps` with the contrastive objective: a piece of a batch has
                not all of its negatives.
        """
        contrastive = self.objective == "contrastive"
        if contrastive and kwargs.get("accumulation_steps", 1) > 1:
            raise InputError("accumulation_steps: texts are compared with all of their batch")
        if metrics is None and contrastive:
            metrics = ["accuracy"]
        super().compile(
            optimizer=optimizer or adamw(2e-5),
            loss=loss or (InBatchNegatives(self.temperature) if contrastive else CosineError()),
            metrics=metrics,
            **kwargs,
        )

    def accuracy_metric(self, name: str):
        """The share of texts whose partner is the nearest, if the objective is contrastive."""
        if self.objective != "contrastive":
            return None
        return keras.metrics.MeanMetricWrapper(found_partner, name=name)

    def score(self, x, y=None, *, batch_size: int = 32) -> dict[str, float]:
        """How well cosines find what belongs together.

        Args:
            x: pairs of texts.
            y: gold scores on any scale, or None.
            batch_size: pairs at a time.

        Returns:
            With gold scores `pearson` and `spearman`, the correlations of the cosines with them, as
            STS is scored; without, `accuracy`, the share of texts whose partner is the nearest of
            all second texts.
        """
        columns = self._text.columns(x)
        if TEXT_PAIR not in columns or not length(columns[TEXT]):
            raise InputError(f"{self.name} is scored on pairs of texts")
        embeddings = self.embed(columns, batch_size=batch_size)
        first, second = embeddings[:, 0], embeddings[:, 1]
        if y is None:
            _, outputs = nearest(first, second, 1)
            return {"accuracy": float(np.mean(outputs[:, 0] == np.arange(len(outputs))))}
        cosines = np.sum(unit(first) * unit(second), axis=1)
        gold = numbers("y", y).reshape(-1)
        if len(gold) != len(cosines):
            raise InputError(f"there are {len(cosines)} pairs, but y has {len(gold)}")
        outputs = classification.regression(gold[:, np.newaxis], cosines[:, np.newaxis])
        return {name: outputs[name] for name in ("pearson", "spearman")}

    # === Text ===

    def make_preprocessor(self):
        """With the prompt, and with labels by the objective."""
        from kerasbert.tasks.text_embedder.preprocessor import TextEmbedderPreprocessor

        return TextEmbedderPreprocessor(
            **self._text_settings(),
            prompt=self.prompt,
            objective=self.objective,
            long_text=self.long_text,
            max_chunks=self.max_chunks,
            chunk_overlap=self.chunk_overlap,
        )

    def embed(self, x, *, batch_size: int = 32) -> np.ndarray:
        """Embeddings of texts.

        Args:
            x: text in any form but batches; also pairs.
            batch_size: texts at a time.

        Returns:
            float32, (texts, dim); of pairs (pairs, 2, dim).
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
        """Vectors of words in their context, of the layers that the embedder uses; not normalized.

        Args:
            texts: strings; what is beyond `sequence_length` is cut off.
            subwords: the vector of a word of several subwords: the "mean" of their vectors, or
                the vector of the "first".
            batch_size: texts at a time.

        Returns:
            For each text its words, as they are spelled there, and their vectors, float32 (words,
            dim).
        """
        if subwords not in ("mean", "first"):
            raise InputError(f"subwords must be mean or first, found {subwords!r}")
        texts = raw_columns(texts, ((TEXT,),), "word_vectors")[TEXT]
        outputs, batch_size = [], checked_size(batch_size)
        for start in range(0, length(texts), batch_size):
            vectors = self._graph(type(self._text).traced_token_vectors, self._text)
            text, *rows = vectors(texts[start : start + batch_size])
            outputs += map(functools.partial(_words, subwords=subwords), text, *rows)
        return outputs

    def search(
        self, queries: Sequence[str], corpus: np.ndarray, top_k: int = 10, *, batch_size: int = 32
    ) -> tuple[np.ndarray, np.ndarray]:
        """The nearest embeddings of a corpus.

        Args:
            queries: strings.
            corpus: embeddings, float (texts, dim), as `embed` gives them.
            top_k: how many for each query; fewer where the corpus has not as many.
            batch_size: queries at a time.

        Returns:
            Cosines, float32, and row numbers of `corpus`, int, both (queries, top_k), the nearest
            first.
        """
        return nearest(self.embed(queries, batch_size=batch_size), corpus, top_k)


def _words(text: bytes, vectors, begins: list, ends: list, *, subwords: str):
    """The words of one text, of as many tokens as there are vectors."""
    begins, ends = np.array(begins[: len(vectors)], int), np.array(ends[: len(vectors)], int)
    first = np.flatnonzero(np.diff(begins, prepend=-1))
    counts = np.diff(first, append=len(begins))
    limits = zip(begins[first], ends[first + counts - 1], strict=True)
    words = [text[begin:end].decode("utf-8", "replace") for begin, end in limits]
    if subwords == "first" or not words:
        return words, vectors[first]
    return words, np.add.reduceat(vectors[: len(begins)], first) / counts[:, np.newaxis]


def _check(config, layers, combine, objective, temperature, long_text) -> None:
    """Raises `InputError` for arguments that don't go together."""
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
