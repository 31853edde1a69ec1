"""Writes models with the code of 26 November 2026, commit d0d8148; see README.md here.

git worktree add /tmp/old d0d8148
PYTHONPATH=/tmp/old python tests/goldens/make_saved.py tests/goldens/saved
"""

import json
import pathlib
import sys

import keras
import numpy as np

from kerasbert import Backbone, BackboneConfig, MaskedLM, TextClassifier
from kerasbert.text import WordPieceTokenizer

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
WORDS = ["a", "good", "bad", "dog", "cat", "the", "sat", "on", "mat", "##s"]
TEXTS = ["a good dog", "the bad cat sat", "good"]


def main(directory: pathlib.Path):
    keras.utils.set_random_seed(1)
    tokenizer = WordPieceTokenizer(
        [*SPECIAL, *["a", "good", "bad", "dog", "cat", "the", "sat", "on", "mat", "##s"]]
    )
    config = BackboneConfig(
        vocabulary_size=tokenizer.vocabulary_size,
        num_layers=1,
        hidden_dim=8,
        num_heads=2,
        intermediate_dim=16,
        max_sequence_length=16,
        initializer_range=0.5,
    )
    classifier = TextClassifier(Backbone(config), ["bad", "good"], tokenizer=tokenizer, pair=False)
    classifier.compile()
    classifier.fit(TEXTS, ["good", "bad", "good"], verbose=0)
    masked = MaskedLM(Backbone(config), tokenizer=tokenizer)
    directory.mkdir(parents=True)
    classifier.save_to_preset(directory / "classifier")
    classifier.save(directory / "classifier.keras")
    masked.save_to_preset(directory / "masked_lm")
    answers = {
        "classifier": np.asarray(classifier.predict(TEXTS, verbose=0)).tolist(),
        "masked_lm": [g.token for g in masked.fill_mask(["the [MASK] sat"], 3)[0][0]],
    }
    (directory / "answers.json").write_text(json.dumps(answers, indent=1) + "\n")


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
