"""Writes `tests/goldens/sentence_transformers/`: tiny random models and their outputs.

Needs sentence-transformers, which is no dependency of the project: run it by hand, in its own
environment:

    pip install sentence-transformers==6.2.0 transformers==5.24.0 torch==2.13.0
    python tests/goldens/make_sentence_transformers.py

Each directory contains the files of `save_pretrained`, of a random BERT with the cased tokenizer of
`tests/goldens/tokenizers/`, and `expected.npz`: the `embeddings` of `TEXTS`; for the cross-encoder,
the `logits` of `TEXTS` paired with `TEXTS` in reverse order; for the language model in SPLADE, the
`token_ids` of the first text and their `token_logits`.
"""

import json
import pathlib
import shutil
import tempfile

import numpy as np
import torch
import transformers
from sentence_transformers import CrossEncoder, SentenceTransformer, SparseEncoder
from sentence_transformers.models import Normalize, Pooling, Transformer
from sentence_transformers.sparse_encoder.models import MLMTransformer, SpladePooling

HERE = pathlib.Path(__file__).resolve().parent
GOLDENS = HERE / "sentence_transformers"
TOKENIZER = HERE / "tokenizers" / "bert_cased"
TEXTS = [
    "The cat sat on the mat.",
    "It's A dog",
    "",
    "A cat, a dog and a mat, and a cat, a dog and a mat: two spaces and a line end.",
]
# The tokenizer's maximum: less than the model's positions, and than the last text's tokens.
LENGTH, POSITIONS = 12, 32


def random_model(kind, directory: pathlib.Path, **settings) -> None:
    tokenizer = transformers.AutoTokenizer.from_pretrained(TOKENIZER, model_max_length=LENGTH)
    config = transformers.BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=8,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=POSITIONS,
        attn_implementation="eager",
        **settings,
    )
    torch.manual_seed(0)
    model = kind(config)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    model.save_pretrained(directory)
    tokenizer.save_pretrained(directory)


def sentences(source, name: str, pooling: str = "mean", prompts=None, default=None) -> None:
    words = Transformer(str(source))
    modules = [words, Pooling(words.get_embedding_dimension(), pooling), Normalize()]
    model = SentenceTransformer(modules=modules, prompts=prompts, default_prompt_name=default)
    model.save_pretrained(str(GOLDENS / name), create_model_card=False)
    keep_embeddings(name)


def keep_embeddings(name: str) -> None:
    embeddings = SentenceTransformer(str(GOLDENS / name)).encode(TEXTS)
    np.savez(GOLDENS / name / "expected.npz", embeddings=embeddings)


def old_layout() -> None:
    """Moves the transformers model to its own folder, as until 2021, and enables lower-casing.

    sentence-transformers 6 can lower-case too, but cannot read the setting that it saves.
    """
    directory, folder = GOLDENS / "old_layout", "0_Transformer"
    shutil.copytree(GOLDENS / "mean", directory)
    (directory / folder).mkdir()
    for path in list(directory.iterdir()):
        if path.is_file() and path.name not in (
            "modules.json",
            "config_sentence_transformers.json",
        ):
            path.rename(directory / folder / path.name)
    modules = json.loads((directory / "modules.json").read_text())
    modules[0]["path"] = folder
    for module in modules:
        module["type"] = f"sentence_transformers.models.{module['type'].rsplit('.', 1)[-1]}"
    (directory / "modules.json").write_text(json.dumps(modules, indent=2))
    pooling = {
        "word_embedding_dimension": 8,
        "pooling_mode_cls_token": False,
        "pooling_mode_mean_tokens": True,
        "pooling_mode_max_tokens": False,
        "pooling_mode_mean_sqrt_len_tokens": False,
    }
    (directory / "1_Pooling" / "config.json").write_text(json.dumps(pooling, indent=2))
    told = {"max_seq_length": 9, "do_lower_case": True}
    (directory / folder / "sentence_bert_config.json").write_text(json.dumps(told, indent=2))
    (directory / folder / "expected.npz").unlink()
    keep_embeddings(directory.name)


def splade(source) -> None:
    modules = [MLMTransformer(str(source)), SpladePooling(pooling_strategy="max")]
    model = SparseEncoder(modules=modules)
    model.save_pretrained(str(GOLDENS / "splade"), create_model_card=False)
    keep_token_logits("splade")


def beside_mlm(source) -> None:
    """Writes an embedder whose model still has the head of its pretraining."""
    sentences(source, "beside_mlm", "cls")
    # sentence-transformers only keeps the encoder; users who save by hand keep everything.
    for name in ("config.json", "model.safetensors"):
        shutil.copy(source / name, GOLDENS / "beside_mlm")
    keep_embeddings("beside_mlm")


def keep_token_logits(name: str) -> None:
    tokenizer = transformers.AutoTokenizer.from_pretrained(GOLDENS / name)
    model = transformers.AutoModelForMaskedLM.from_pretrained(GOLDENS / name)
    inputs = tokenizer(TEXTS[:1], return_tensors="pt")
    with torch.no_grad():
        logits = model(**inputs).logits.numpy()
    np.savez(GOLDENS / name / "expected.npz", token_logits=logits, token_ids=inputs["input_ids"])


def cross_encoder(source) -> None:
    model = CrossEncoder(str(source))
    model.save_pretrained(str(GOLDENS / "cross_encoder"), create_model_card=False)
    pairs = list(zip(TEXTS, TEXTS[::-1], strict=True))
    logits = CrossEncoder(str(GOLDENS / "cross_encoder")).predict(
        pairs, activation_fn=torch.nn.Identity()
    )
    np.savez(GOLDENS / "cross_encoder" / "expected.npz", logits=logits)


def main() -> None:
    shutil.rmtree(GOLDENS, ignore_errors=True)
    with tempfile.TemporaryDirectory() as temporary:
        plain, masked, pairs = (pathlib.Path(temporary) / name for name in ("a", "b", "c"))
        random_model(transformers.BertModel, plain)
        random_model(transformers.BertForMaskedLM, masked)
        random_model(transformers.BertForSequenceClassification, pairs, num_labels=1)
        sentences(plain, "mean")
        sentences(plain, "max", "max")
        prompts = {"query": "The cat: ", "passage": "a line: "}
        sentences(plain, "prompt", "mean", prompts, "query")
        old_layout()
        splade(masked)
        beside_mlm(masked)
        cross_encoder(pairs)


if __name__ == "__main__":
    main()
