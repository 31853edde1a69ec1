"""A small task of each kind that is exported, and a request for each."""

from kerasbert import (
    MaskedLM,
    MultipleChoice,
    Pretrainer,
    QuestionAnswerer,
    ReplacedTokenDetector,
    TextClassifier,
    TextEmbedder,
    TokenClassifier,
)

_CLASSES = ["bad", "good"]
TASKS = {
    "classifier": lambda backbone, **text: TextClassifier(backbone, _CLASSES, **text),
    "pair": lambda backbone, **text: TextClassifier(backbone, _CLASSES, pair=True, **text),
    "tags": lambda backbone, **text: TokenClassifier(backbone, ["O", "B-X"], **text),
    "answers": QuestionAnswerer,
    "choices": MultipleChoice,
    "embedder": TextEmbedder,
    "masks": MaskedLM,
}
#: Others, whose exports have ops of their own.
MORE_TASKS = {
    "long": lambda backbone, **text: TextClassifier(backbone, _CLASSES, long_text="mean", **text),
    "labels": lambda backbone, **text: TextClassifier(
        backbone, _CLASSES, problem_type="multi_label_classification", **text
    ),
    "replaced": ReplacedTokenDetector,
    "pretrainer": Pretrainer,
}

#: Rows of every input.
TEXTS = ["", "a good dog, 中国 é", "caf\u00e9 \U0001f600 Größe ½", "word " * 400, "the [MASK] cat"]
COLUMNS = {
    "text": TEXTS,
    "text_pair": TEXTS[::-1],
    "question": ["who?", "what is it", "", "where", "the"],
    "context": TEXTS,
    "choices": [["a", "a dog", ""], ["x", "", ""], ["", "", ""], ["the", "cat", "y"], ["a"] * 3],
}
