"""Model + data -> metrics."""

import collections
import dataclasses

from kerasbert import zoo
from kerasbert.data.corpus import Corpus
from kerasbert.data.examples import read_examples
from kerasbert.data.pretraining import PretrainingBatches
from kerasbert.errors import InputError
from kerasbert.options import option
from kerasbert.tasks import Pretrainer, TextClassifier


@dataclasses.dataclass(frozen=True, kw_only=True)
class EvaluateOptions:
    """Options of `evaluate`."""

    model: str = option(help="the model directory, such as RUN/model")
    data: str = option(
        help="labelled texts (.tsv, .csv, .jsonl) for a classifier, a corpus directory for a "
        "pretrained model"
    )
    text_column: str | None = option(None, help="as in finetune.py")
    text_pair_column: str | None = option(None, help="as in finetune.py")
    label_column: str = option("label", help="as in finetune.py")
    batch_size: int = option(64, help="examples at a time")
    batches: int = option(32, help="batches of a corpus that are looked at")
    seed: int = option(1, help="decides the masks and pairs that are drawn from a corpus")


def evaluate(options: EvaluateOptions) -> dict:
    """Measures a model on data that suits its task."""
    model = zoo.load_task(options.model, *_EVALUATORS)
    model.compile()
    return {
        "model": options.model,
        "data": options.data,
        **_EVALUATORS[type(model)](model, options),
    }


def _classifier(model: TextClassifier, options: EvaluateOptions) -> dict:
    examples = read_examples(
        options.data,
        text_column=options.text_column,
        text_pair_column=options.text_pair_column,
        label_column=options.label_column,
    )
    examples.check_classes(model.classes)
    metrics = model.evaluate(
        examples.texts,
        examples.labels,
        batch_size=options.batch_size,
        verbose=0,
        return_dict=True,
    )
    ((_, majority),) = collections.Counter(examples.labels).most_common(1)
    baseline = {"majority_baseline": majority / len(examples)}
    return {"examples": len(examples), **metrics, **baseline}


def _pretrainer(model: Pretrainer, options: EvaluateOptions) -> dict:
    corpus = Corpus(options.data)
    if corpus.tokenizer.get_config() != model.tokenizer.get_config():
        raise InputError(f"{options.data}: was not prepared with the tokenizer of {options.model}")
    batches = PretrainingBatches(
        corpus,
        options.batch_size,
        model.sequence_length,
        seed=options.seed,
        objective=model.objective,
        mask_rate=model.mask_rate,
        whole_word=model.whole_word,
    )
    return model.evaluate(batches.dataset(steps=options.batches), verbose=0, return_dict=True)


_EVALUATORS = {TextClassifier: _classifier, Pretrainer: _pretrainer}
