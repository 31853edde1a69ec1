"""Training steps of masked language modeling on documents that are batched on the fly."""

import pathlib

import numpy as np

from benchmarks import kerashub as their
from benchmarks.timing import Candidate
from benchmarks.workload import Workload
from kerasbert import Backbone
from kerasbert.data.corpus.documents.reading import read_documents
from kerasbert.data.corpus.prepare import prepare_corpus
from kerasbert.data.corpus.reader import Corpus
from kerasbert.data.pretraining.batches import PretrainingBatches
from kerasbert.errors import InputError
from kerasbert.features import PADDING_MASK
from kerasbert.recipes.options import POLICIES
from kerasbert.tasks import Pretrainer
from kerasbert.text import WordPieceTokenizer

_CORPUS = "corpus"
_COUNTED = 50  # batches whose unpadded tokens are counted


def suite(options, directory: pathlib.Path) -> list[Workload]:
    """Returns a workload of documents, which each library cuts into rows in its own way."""
    if not options.vocab:
        raise InputError("--suite=pretrain with --input needs --vocab, a WordPiece vocabulary")
    if set(options.others) - {"kerashub"}:
        raise InputError("--suite=pretrain with --input only supports --peers=kerashub or none")
    tokenizer = WordPieceTokenizer(options.vocab, lowercase=options.lowercase)
    prepare_corpus(options.input, tokenizer, directory / _CORPUS)
    model = Pretrainer(Backbone(options.encoder(tokenizer.vocabulary_size)), tokenizer=tokenizer)
    model.save_to_preset(directory / "kerasbert")
    arguments = (str(directory), options.batch_size, options.length)
    precisions = options.precisions
    candidates = [Candidate("kerasbert", p, kerasbert, (*arguments, p)) for p in precisions]
    if "kerashub" in options.others:
        model.backbone.save_to_preset(directory / "kerashub", format="kerashub")
        text = (options.vocab, options.lowercase, options.input)
        candidates += [
            Candidate("kerashub", p, kerashub, (*arguments, *text, p)) for p in precisions
        ]
    return [
        Workload(
            title=f"one step of {options.layers} x {options.hidden} on documents, "
            f"{options.batch_size} x {options.length}, dropout {options.dropout}",
            candidates=candidates,
            compare=_real,
            tokens=lambda answer: answer * options.batch_size * options.length,
        )
    ]


def _real(ours: float, theirs: float) -> str:
    return f"{theirs:.1%} of positions are not padding (kerasbert {ours:.1%})"


# === Candidates ===


def kerasbert(directory: str, batch_size: int, length: int, precision: str):
    """Trains `Pretrainer`, MLM + NSP, on its own batches."""
    path = pathlib.Path(directory)
    model = Pretrainer.from_preset(path / "kerasbert", dtype=POLICIES[precision])
    model.compile()
    batches = PretrainingBatches(Corpus(path / _CORPUS), batch_size, length)
    return _steps(model, batches.dataset())


def kerashub(
    directory: str,
    batch_size: int,
    length: int,
    vocab: str,
    lowercase: bool,
    inputs: list[str],
    precision: str,
):
    """Trains `BertMaskedLM`, only MLM; its preprocessor truncates documents to `length`."""
    import keras
    import keras_hub
    import tensorflow as tf

    backbone = keras_hub.models.BertBackbone.from_preset(
        str(pathlib.Path(directory) / "kerashub"),
        dtype=keras.dtype_policies.get(POLICIES[precision]),
    )
    preprocessor = keras_hub.models.BertMaskedLMPreprocessor(
        keras_hub.tokenizers.BertTokenizer(vocab, lowercase=lowercase),
        sequence_length=length,
        mask_selection_length=round(0.15 * length),
    )
    model = keras_hub.models.BertMaskedLM(backbone, preprocessor)
    model.compile(their.adamw(1e-4), jit_compile=False)
    documents = ["\n".join(sentences) for sentences in read_documents(inputs)]
    rows = tf.data.Dataset.from_tensor_slices(documents).shuffle(len(documents)).repeat()
    batches = rows.batch(batch_size).map(preprocessor, num_parallel_calls=tf.data.AUTOTUNE)
    return _steps(model, batches.prefetch(4))


def _steps(model, batches):
    """Returns a training step, and the share of positions that are not padding."""
    masks = (features[PADDING_MASK] for features, *_ in batches.take(_COUNTED))
    real = float(np.mean([np.mean(mask) for mask in masks]))
    model.make_train_function()
    iterator = iter(batches)
    return lambda: float(model.train_function(iterator)["loss"]), real
