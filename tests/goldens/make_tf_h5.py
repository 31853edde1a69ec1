"""Writes the fixtures in `tests/goldens/tf_h5/`: tiny models of transformers in TensorFlow.

transformers supported TensorFlow until version 4. Run it by hand, in its own environment:

    pip install tensorflow==2.21.0 tf-keras==2.21.0 transformers==4.46.3
    TF_USE_LEGACY_KERAS=1 python tests/goldens/make_tf_h5.py

Each directory contains `config.json` and `tf_model.h5` of `save_pretrained`, and `expected.npz`:
`token_ids` and the outputs in float32.
"""

import pathlib
import shutil

import numpy as np
import tensorflow as tf
import transformers

GOLDENS = pathlib.Path(__file__).resolve().parent / "tf_h5"
SIZES = {
    "vocab_size": 20,
    "hidden_size": 8,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 12,
    "max_position_embeddings": 16,
}
MODELS = {
    "bert_pretraining": ("Bert", "ForPreTraining", SIZES),
    "roberta_classification": (
        "Roberta",
        "ForSequenceClassification",
        {**SIZES, "type_vocab_size": 1, "max_position_embeddings": 18},
    ),
    "distilbert_classification": (
        "DistilBert",
        "ForSequenceClassification",
        {
            "vocab_size": 20,
            "dim": 8,
            "n_layers": 1,
            "n_heads": 2,
            "hidden_dim": 12,
            "max_position_embeddings": 16,
        },
    ),
    "albert_masked_lm": ("Albert", "ForMaskedLM", {**SIZES, "embedding_size": 6}),
    "electra": ("Electra", "Model", {**SIZES, "embedding_size": 6}),
}


def main() -> None:
    shutil.rmtree(GOLDENS, ignore_errors=True)
    random = np.random.default_rng(0)
    ids = random.integers(2, 20, (2, 7))
    for name, (family, kind, settings) in MODELS.items():
        config = getattr(transformers, f"{family}Config")(**settings)
        model = getattr(transformers, f"TF{family}{kind}")(config)
        model(ids)
        for weight in model.weights:
            weight.assign(random.normal(scale=0.5, size=weight.shape))
        outputs = model(ids)
        model.save_pretrained(GOLDENS / name)
        (GOLDENS / name / "generation_config.json").unlink(missing_ok=True)
        found = {key: value.numpy() for key, value in outputs.items() if tf.is_tensor(value)}
        np.savez(GOLDENS / name / "expected.npz", token_ids=ids, **found)


if __name__ == "__main__":
    main()
