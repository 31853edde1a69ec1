"""The task spec of masked language modeling: unlabeled texts, or a corpus."""

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from kerasbert import files
from kerasbert.data.corpus.documents import stores
from kerasbert.data.corpus.manifest import MANIFEST
from kerasbert.data.corpus.reader import Corpus
from kerasbert.data.examples import Examples, read_texts
from kerasbert.data.options import DataOptions, split_names
from kerasbert.data.pretraining.batches import PretrainingBatches
from kerasbert.errors import InputError
from kerasbert.features import TEXT
from kerasbert.tasks.masked_lm.model import MaskedLM
from kerasbert.tasks.spec import TaskSpec
from kerasbert.training.progress import EvaluationProgress, progress_bar


class MaskedTexts(TaskSpec):
    """Unlabeled texts."""

    name = "masked_lm"
    task = MaskedLM
    data_options = ("text_column", "column_names")
    primary_metric = "perplexity"
    reads_corpora_only = False
    student_settings = ("dropout", "tied", "activation", "layer_norm_epsilon")

    def read(self, path: str, options: DataOptions) -> Examples:
        """Reads texts with `read_texts`."""
        return read_texts(
            path,
            text_column=options.text_column,
            column_names=split_names(options.column_names),
            strict=options.strict,
        )

    def answers(
        self, model: MaskedLM, columns: Mapping[str, Sequence[Any]]
    ) -> list[dict[str, Any]]:
        """Returns the predictions for each mask token."""
        return [
            {
                "masks": [
                    [{"token": g.token, "score": round(g.score, 4)} for g in mask] for mask in masks
                ]
            }
            for masks in model.fill_mask(columns[TEXT], strict=False)
        ]

    def evaluate(
        self,
        model: MaskedLM,
        path: str,
        options: DataOptions,
        *,
        batch_size: int | None = None,
        tune: bool = False,
        batches: int = 32,
        seed: int = 1,
        source: str = "the model",
    ) -> dict[str, Any]:
        """Scores the model on texts, or on batches drawn from a corpus."""
        is_corpus = stores.is_remote(path) or files.exists(pathlib.Path(path) / MANIFEST)
        if not self.reads_corpora_only and not is_corpus:
            return super().evaluate(model, path, options, batch_size=batch_size, tune=tune)
        if tune:
            raise InputError("--tune_threshold: a pretrained model answers no questions")
        corpus, batch_size = Corpus(path), batch_size or 64
        own = model.tokenizer
        if own is None or corpus.tokenizer.get_config() != own.get_config():
            raise InputError(f"{path}: was not prepared with the tokenizer of {source}")
        drawn = PretrainingBatches(
            corpus,
            batch_size,
            model.sequence_length,
            seed=seed,
            objective=getattr(model, "objective", "mlm"),
            mask_rate=model.mask_rate,
            mask_unit=model.mask_unit,
        )
        with progress_bar("evaluate"):
            return model.evaluate(
                drawn.dataset(steps=batches),
                verbose=0,
                callbacks=[EvaluationProgress(batch_size)],
                return_dict=True,
            )


SPECS = (MaskedTexts(),)
