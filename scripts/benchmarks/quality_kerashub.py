"""KerasHub in the record of quality for time: its vocabulary trainer, masking and task.

It gets the settings that were best for kerasbert in runs of an hour, and the faster precision.
"""

import pathlib
import time
from typing import Any

from kerasbert.config import BackboneConfig
from kerasbert.data.corpus.documents.lines import Report
from kerasbert.data.corpus.documents.reading import read_documents

_RESERVED = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
_BATCH, _LENGTH, _RATE, _PLANNED = 32, 128, 1e-3, 0.93
_WARMED_UP = 0.05
_POLICIES = ("float32", "mixed_bfloat16")
_MEASURED = 200  # steps, because the first waits for the shuffled texts


def pretrained(flags: list[str], options, directory: pathlib.Path, clock) -> dict:
    """Pretrains KerasHub's `BertMaskedLM` of the size of bert_tiny; returns model and steps.

    Rows are filled with consecutive sentences of a document, as KerasHub has no corpus.
    """
    import keras
    import keras_hub
    import tensorflow as tf

    keras.utils.set_random_seed(options.seed)
    texts = clock.stage("reading", lambda: list(_texts(options.input)))
    vocabulary = clock.stage(
        "vocabulary",
        lambda: keras_hub.tokenizers.compute_word_piece_vocabulary(
            tf.data.Dataset.from_tensor_slices(texts).batch(256),
            vocabulary_size=options.vocab_size,
            lowercase=True,
            reserved_tokens=_RESERVED,
        ),
    )
    config = BackboneConfig.from_preset("bert_tiny", vocabulary_size=len(vocabulary))
    preprocessor = keras_hub.models.BertMaskedLMPreprocessor(
        keras_hub.models.BertTokenizer(vocabulary, lowercase=True),
        sequence_length=_LENGTH,
        mask_selection_rate=0.15,
        mask_selection_length=20,
    )

    def built(policy) -> Any:
        backbone = keras_hub.models.BertBackbone(
            vocabulary_size=len(vocabulary),
            num_layers=config.num_layers,
            num_heads=config.num_heads,
            hidden_dim=config.hidden_dim,
            intermediate_dim=config.intermediate_dim,
            dropout=0.0,
            max_sequence_length=config.max_sequence_length,
            dtype=policy,
        )
        return keras_hub.models.BertMaskedLM(backbone, preprocessor=None)

    data = tf.data.Dataset.from_tensor_slices(texts).shuffle(len(texts), seed=options.seed)
    data = data.repeat().batch(_BATCH, drop_remainder=True)
    data = data.map(preprocessor, num_parallel_calls=tf.data.AUTOTUNE).prefetch(2)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)

    def compiled(task, rate):
        optimizer = keras.optimizers.AdamW(
            rate, weight_decay=0.01, beta_2=0.98, global_clipnorm=1.0
        )
        task.compile(optimizer, loss, weighted_metrics=[])
        return task

    def measured(policy):
        task = compiled(built(policy), 0.0)
        task.fit(data, steps_per_epoch=2, verbose=0)
        start = time.monotonic()
        task.fit(data, steps_per_epoch=_MEASURED, verbose=0)
        return (time.monotonic() - start) / _MEASURED

    seconds = {
        policy: clock.stage(f"measuring a step in {policy}", measured, policy)
        for policy in _POLICIES
    }
    policy = min(_POLICIES, key=seconds.__getitem__)
    task = built(policy)
    steps = max(1, int(_PLANNED * clock.left / seconds[policy]))
    warmup = int(_WARMED_UP * steps)
    compiled(
        task,
        keras.optimizers.schedules.CosineDecay(
            0.0, max(1, steps - warmup), warmup_target=_RATE, warmup_steps=max(1, warmup)
        ),
    )

    def train():
        task.fit(data, steps_per_epoch=steps, verbose=0)
        task.preprocessor = preprocessor
        task.save_to_preset(str(directory / "model"))

    clock.stage("pretraining", train)
    tokens = steps * _BATCH * _LENGTH
    return {
        "model": str(directory / "model"),
        "steps": steps,
        "tokens": tokens,
        "settings": {"policy": policy, "seconds_a_step": seconds},
        "curve": [],
    }


def _texts(inputs: list[str]):
    """Yields rows of about 100 words: sentences of one document, joined by spaces."""
    for document in read_documents(inputs, Report()):
        row, words = [], 0
        for sentence in document:
            count = len(sentence.split())
            if row and words + count > 100:
                yield " ".join(row)
                row, words = [], 0
            row, words = [*row, sentence], words + count
        if row:
            yield " ".join(row)
