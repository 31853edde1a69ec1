"""Writes `tests/goldens/entities.json`: entities of transformers' pipeline with a random tagger.

Needs torch and transformers, which are no dependencies of the project: run it by hand, in its own
environment.

    pip install torch==2.15.0 transformers==5.24.0
    python tests/goldens/make_entities.py

The model is `huggingface/bert_token_classification`. The file contains the vocabulary, the texts
and, for each `aggregation_strategy`, the entities of each text: type, start, end, score.
"""

import json
import pathlib

from transformers import AutoModelForTokenClassification, BertTokenizer, pipeline

GOLDENS = pathlib.Path(__file__).resolve().parent
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
TEXTS = [
    "ada abba met ede in bade",
    "Cede, bad! dab  cab",
    "a b c d e",
    "deed 7 feed",
    "abcdea edcba abab",
    "fade added",
    "É abé cab",
]


def main() -> None:
    model = AutoModelForTokenClassification.from_pretrained(
        GOLDENS / "huggingface" / "bert_token_classification"
    )
    pieces = [*SPECIAL, *"abcdef", *("##" + c for c in "abcdef"), ",", "!", "met", "in", "##ed"]
    pieces += [f"[unused{number}]" for number in range(model.config.vocab_size - len(pieces))]
    tokenizer = BertTokenizer(vocab={piece: id for id, piece in enumerate(pieces)})
    found = {"vocabulary": pieces, "texts": TEXTS}
    for strategy in ("first", "average", "max", "simple"):
        tag = pipeline(
            "token-classification",
            model=model.float().eval(),
            tokenizer=tokenizer,
            aggregation_strategy=strategy,
        )
        found[strategy] = [
            [
                [e["entity_group"], e["start"], e["end"], round(float(e["score"]), 6)]
                for e in tag(text)
            ]
            for text in TEXTS
        ]
    content = json.dumps(found, ensure_ascii=False)
    (GOLDENS / "entities.json").write_text(content + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
