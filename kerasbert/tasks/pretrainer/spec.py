"""The task spec of pretrained models: scored on a corpus, otherwise like `MaskedLM`."""

from kerasbert.data.corpus.reader import Corpus
from kerasbert.data.options import DataOptions
from kerasbert.data.pretraining.batches import PretrainingBatches
from kerasbert.errors import InputError
from kerasbert.tasks.masked_lm.spec import MaskedTexts
from kerasbert.tasks.pretrainer.model import Pretrainer
from kerasbert.training.progress import EvaluationProgress, progress_bar


class Pretraining(MaskedTexts):
    """Unlabelled texts; for scores, a corpus."""

    task = Pretrainer

    def evaluate(
        self,
        model: Pretrainer,
        path: str,
        options: DataOptions,
        *,
        batch_size: int | None = None,
        tune: bool = False,
        batches: int = 32,
        seed: int = 1,
        source: str = "the model",
    ) -> dict:
        """Scores the model on batches drawn from a corpus."""
        if tune:
            raise InputError("--tune_threshold: a pretrained model answers no questions")
        corpus, batch_size = Corpus(path), batch_size or 64
        if corpus.tokenizer.get_config() != model.tokenizer.get_config():
            raise InputError(f"{path}: was not prepared with the tokenizer of {source}")
        drawn = PretrainingBatches(
            corpus,
            batch_size,
            model.sequence_length,
            seed=seed,
            objective=model.objective,
            mask_rate=model.mask_rate,
            whole_word=model.whole_word,
        )
        with progress_bar("evaluate"):
            return model.evaluate(
                drawn.dataset(steps=batches),
                verbose=0,
                callbacks=[EvaluationProgress(batch_size)],
                return_dict=True,
            )


SPECS = (Pretraining(),)
