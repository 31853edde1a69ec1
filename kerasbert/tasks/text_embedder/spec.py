"""The task spec of text embeddings: pairs of texts, with or without similarity scores."""

from collections.abc import Mapping, Sequence
from typing import Any

from kerasbert.data.examples import Examples
from kerasbert.data.options import DataOptions, split_names
from kerasbert.data.pairs import KNOWN, SCORE, read_pairs
from kerasbert.features import TEXT, TEXT_PAIR
from kerasbert.tasks.spec import TaskSpec
from kerasbert.tasks.text_embedder.model import TextEmbedder
from kerasbert.training.progress import log


class Embedding(TaskSpec):
    """Pairs of texts."""

    name = "embedding"
    task = TextEmbedder
    data_options = (
        "text_column",
        "text_pair_column",
        "label_column",
        "column_names",
        "max_score",
    )
    primary_metric = "spearman"
    student_settings = ("dropout", "layers", "combine")
    usual_columns: Mapping[str, Sequence[str]] = {
        TEXT: KNOWN[TEXT],
        TEXT_PAIR: KNOWN[TEXT_PAIR],
        "label": KNOWN[SCORE],
    }

    def read(self, path: str, options: DataOptions) -> Examples:
        """Reads pairs with `read_pairs`."""
        columns = {
            TEXT: options.text_column,
            TEXT_PAIR: options.text_pair_column,
            SCORE: options.label_column,
        }
        return read_pairs(
            path,
            columns={name: column for name, column in columns.items() if column},
            column_names=split_names(options.column_names),
            highest_score=options.max_score,
            strict=options.strict,
        )

    def model_kwargs(self, train: Examples) -> dict[str, Any]:
        """Returns the objective: similarity if the pairs have scores, else contrastive."""
        if train.labels:
            log(f"{train.source}: pairs with scores; training with objective similarity")
            return {"objective": "similarity"}
        log(f"{train.source}: pairs without scores; training with objective contrastive")
        return {"objective": "contrastive"}

    def results(self, model: TextEmbedder) -> dict[str, Any]:
        """Returns the objective."""
        return {"objective": model.objective}

    def has_loss(self, model: TextEmbedder, examples: Examples) -> bool:
        """Whether the objective suits the pairs: similarity needs scores, contrastive none."""
        return (model.objective == "similarity") == bool(examples.labels)

    def answers(
        self, model: TextEmbedder, columns: Mapping[str, Sequence[Any]]
    ) -> list[dict[str, Any]]:
        """Returns the embeddings."""
        vectors = model.embed(columns[TEXT])
        return [{"embedding": [round(float(x), 6) for x in vector]} for vector in vectors]


SPECS = (Embedding(),)
