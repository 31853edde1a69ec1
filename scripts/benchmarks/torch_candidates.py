"""The candidates that run in PyTorch.

Nothing here imports TensorFlow: each has its own LLVM, and one process cannot load both.
"""

import pathlib
from collections.abc import Sequence

import numpy as np

from benchmarks import runtime_candidates
from kerasbert.features import (
    MASK_POSITIONS,
    MLM_LOGITS,
    NSP_LOGITS,
    PADDING_MASK,
    SEGMENT_IDS,
    TOKEN_IDS,
)

BATCH = "batch.npz"


def pretrain(directory: str, dropout: float, steps: int, precision: str, compiled: bool):
    """Trains `BertForPreTraining` with autocast for bfloat16, fused attention and fused AdamW.

    Only masked tokens go through the head, as in kerasbert; the model's own loss would take all.
    """
    import torch
    from transformers import BertForPreTraining

    device = _device()
    stored = stored_batch(directory)
    batch = {name: torch.from_numpy(column).to(device) for name, column in stored.items()}
    batch = {name: column.long() for name, column in batch.items()}
    model = BertForPreTraining.from_pretrained(
        pathlib.Path(directory) / "transformers",
        hidden_dropout_prob=dropout,
        attention_probs_dropout_prob=dropout,
        attn_implementation="sdpa",
    ).to(device)
    optimizer = torch.optim.AdamW(model.parameters(), 1e-4, eps=1e-6, weight_decay=0.01, fused=True)
    entropy = torch.nn.functional.cross_entropy

    def loss():
        with torch.autocast(device, torch.bfloat16, enabled=precision == "bfloat16"):
            encoded = model.bert(
                input_ids=batch[TOKEN_IDS],
                attention_mask=batch[PADDING_MASK],
                token_type_ids=batch[SEGMENT_IDS],
            )
            hidden = encoded.last_hidden_state
            positions = batch[MASK_POSITIONS].unsqueeze(-1).expand(-1, -1, hidden.shape[-1])
            tokens, pairs = model.cls(hidden.gather(1, positions), encoded.pooler_output)
        masked = entropy(tokens.float().flatten(0, 1), batch[MLM_LOGITS].flatten())
        return masked + entropy(pairs.float(), batch[NSP_LOGITS])

    training_loss = torch.compile(loss) if compiled else loss

    def run():
        for _ in range(steps):
            optimizer.zero_grad(set_to_none=True)
            training_loss().backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
        if device == "cuda":
            torch.cuda.synchronize()

    model.eval()
    with torch.no_grad():
        answer = float(loss())
    model.train()
    return run, answer


def stored_batch(directory: str) -> dict[str, np.ndarray]:
    """Returns the features and labels of a step."""
    with np.load(pathlib.Path(directory) / BATCH) as batch:
        return dict(batch)


def finetune(
    directory: str,
    texts: list[str],
    labels: list[int],
    batch_size: int,
    length: int,
    steps: int,
    precision: str,
):
    """Trains `BertForSequenceClassification`, padded to the longest text of the batch."""
    import torch

    device = _device()
    tokenizer, model = _classifier(directory, device)
    optimizer = torch.optim.AdamW(model.parameters(), 5e-5, weight_decay=0.01, fused=True)
    random = np.random.default_rng(0)

    def run():
        for _ in range(steps):
            chosen = random.choice(len(texts), batch_size, replace=False)
            features = _features(tokenizer, [texts[i] for i in chosen], length).to(device)
            right = torch.tensor([labels[i] for i in chosen], device=device)
            optimizer.zero_grad(set_to_none=True)
            with torch.autocast(device, torch.bfloat16, enabled=precision == "bfloat16"):
                loss = model(**features, labels=right).loss
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
        return float(loss)

    model.train()
    return run, None


def serve(
    directory: str, batches: Sequence[list[str]], length: int, precision: str, compiled: bool
):
    """Runs `BertForSequenceClassification` with its fast tokenizer."""
    import torch

    device = _device()
    tokenizer, model = _classifier(directory, device)
    model.eval().to(getattr(torch, precision))
    forward = torch.compile(model, dynamic=True) if compiled else model

    @torch.inference_mode()
    def scores(texts):
        logits = forward(**_features(tokenizer, texts, length).to(device)).logits
        return torch.softmax(logits.float(), -1).cpu().numpy()

    return runtime_candidates.by_batch(scores, batches)


def _device() -> str:
    """Returns PyTorch's device, with float32 products as TensorFlow computes them there."""
    import torch

    if not torch.cuda.is_available():
        return "cpu"
    torch.set_float32_matmul_precision("high")
    return "cuda"


def _classifier(directory: str, device: str):
    from transformers import AutoTokenizer, BertForSequenceClassification

    path = pathlib.Path(directory) / "transformers"
    model = BertForSequenceClassification.from_pretrained(path).to(device)
    return AutoTokenizer.from_pretrained(path), model


def _features(tokenizer, texts: list[str], length: int):
    return tokenizer(texts, padding=True, truncation=True, max_length=length, return_tensors="pt")
