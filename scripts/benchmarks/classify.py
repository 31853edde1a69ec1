"""The classifier of the suites finetune and serve."""

import dataclasses
import pathlib

from kerasbert import Backbone, TextClassifier
from kerasbert.errors import InputError
from kerasbert.text import WordPieceTokenizer


def store_classifier(
    options, classes: list[str], directory: pathlib.Path, **changes
) -> TextClassifier:
    """Creates a classifier with random weights, and writes it in the formats of all peers.

    Args:
        options: options with the encoder's size.
        classes: names of the classes.
        directory: directory to write to.
        **changes: other values of the encoder's `BackboneConfig`.
    """
    if not options.vocab:
        raise InputError(f"--suite={options.suite} needs --vocab, a WordPiece vocabulary")
    tokenizer = WordPieceTokenizer(options.vocab, lowercase=options.lowercase)
    config = dataclasses.replace(options.encoder(tokenizer.vocabulary_size), **changes)
    model = TextClassifier(
        Backbone(config),
        classes=classes,
        tokenizer=tokenizer,
        sequence_length=options.length,
    )
    model.save_to_preset(directory / "kerasbert")
    if {"transformers", "onnxruntime", "openvino"} & set(options.others):
        model.save_to_preset(directory / "transformers", format="hf")
    if "kerashub" in options.others:
        model.save_to_preset(directory / "kerashub", format="kerashub")
    return model
