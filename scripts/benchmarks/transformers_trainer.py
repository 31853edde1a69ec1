"""Trains a transformers model on stored batches, as a process; see `transformers_peer`.

Nothing here imports TensorFlow: each has its own LLVM, and one process cannot load both.
"""

import json
import pathlib
import pickle
import sys
import time
from collections.abc import Iterator
from typing import Any

import numpy as np

from kerasbert.features import END_LOGITS, PADDING_MASK, SEGMENT_IDS, START_LOGITS, TOKEN_IDS


def main(path: pathlib.Path) -> None:
    """Trains according to a settings file, and writes the seconds next to it."""
    import torch
    import transformers

    settings = json.loads(path.read_text(encoding="utf-8"))
    torch.manual_seed(settings["seed"])
    model = getattr(transformers, settings["model"]).from_pretrained(settings["start"]).train()
    begun = time.monotonic()
    _fit(torch, model, settings)
    seconds = round(time.monotonic() - begun)
    model.save_pretrained(settings["trained"])
    path.with_name("seconds.json").write_text(json.dumps({"seconds": seconds}), encoding="utf-8")


def _fit(torch, model, settings: dict) -> None:
    names = dict(model.named_parameters())
    plain = {name for name in names if name.endswith("bias") or "LayerNorm" in name}
    optimizer = torch.optim.AdamW(
        [
            {
                "params": [p for name, p in names.items() if name not in plain],
                "weight_decay": settings["weight_decay"],
            },
            {"params": [names[name] for name in plain], "weight_decay": 0.0},
        ],
        eps=1e-6,
    )
    rates = settings["rates"]
    for step, (rate, batch) in enumerate(zip(rates, _stored(settings["batches"]), strict=True)):
        for group in optimizer.param_groups:
            group["lr"] = rate
        with torch.autocast("cpu", torch.bfloat16, enabled=settings["precision"] == "bfloat16"):
            loss = _loss(torch, model, *batch)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(names.values(), settings["clip_norm"])
        optimizer.step()
        if step % 100 == 0:
            print(f"transformers: step {step} of {len(rates)}, loss {loss.item():.3f}", flush=True)


def _stored(path: str) -> Iterator[tuple]:
    with open(path, "rb") as file:
        while file.peek(1):
            yield pickle.load(file)


def _loss(torch, model, features, labels, weights=None) -> Any:
    """Computes the loss of kerasbert's task from transformers' logits."""

    def tensor(array):
        return torch.tensor(np.asarray(array).astype("int64"))

    outputs = model(
        input_ids=tensor(features[TOKEN_IDS]),
        attention_mask=tensor(features[PADDING_MASK]),
        token_type_ids=tensor(features[SEGMENT_IDS]),
    )
    functional = torch.nn.functional
    if isinstance(labels, dict):
        pairs = ((START_LOGITS, outputs.start_logits), (END_LOGITS, outputs.end_logits))
        return sum(functional.cross_entropy(x, tensor(labels[name])) for name, x in pairs)
    if np.asarray(labels).dtype.kind == "f":
        return functional.mse_loss(
            outputs.logits, torch.tensor(labels).reshape(outputs.logits.shape)
        )
    logits = outputs.logits.reshape(-1, outputs.logits.shape[-1])
    losses = functional.cross_entropy(logits, tensor(labels).reshape(-1), reduction="none")
    if weights is None:
        return losses.mean()
    weights = torch.tensor(np.asarray(weights, "float32")).reshape(-1)
    return (losses * weights).sum() / weights.sum()


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
