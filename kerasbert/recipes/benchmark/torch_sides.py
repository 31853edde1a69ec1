"""The sides that run in torch.

Nothing here imports TensorFlow: both bring an LLVM of their own, and a process can't hold two.
"""

import pathlib

import numpy as np

from kerasbert import features as keys

BATCH = "batch.npz"


def pretrain(directory: str, dropout: float, precision: str):
    """`BertForPreTraining` in torch, with autocast for bfloat16 and the fused AdamW."""
    import torch
    from transformers import BertForPreTraining

    batch = {name: torch.from_numpy(column) for name, column in stored_batch(directory).items()}
    labels = torch.full_like(batch[keys.TOKEN_IDS], -100)
    labels.scatter_(1, batch[keys.MASK_POSITIONS].long(), batch[keys.MLM_LOGITS])
    model = BertForPreTraining.from_pretrained(
        pathlib.Path(directory) / "transformers",
        hidden_dropout_prob=dropout,
        attention_probs_dropout_prob=dropout,
    )
    optimizer = torch.optim.AdamW(model.parameters(), 1e-4, eps=1e-6, weight_decay=0.01, fused=True)

    def loss():
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16"):
            return model(
                input_ids=batch[keys.TOKEN_IDS].long(),
                attention_mask=batch[keys.PADDING_MASK],
                token_type_ids=batch[keys.SEGMENT_IDS].long(),
                labels=labels.long(),
                next_sentence_label=batch[keys.NSP_LOGITS].long(),
            ).loss

    def run():
        optimizer.zero_grad(set_to_none=True)
        loss().backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()

    model.eval()
    with torch.no_grad():
        answer = float(loss())
    model.train()
    return run, answer


def stored_batch(directory: str) -> dict[str, np.ndarray]:
    """The features and labels of a step."""
    with np.load(pathlib.Path(directory) / BATCH) as batch:
        return dict(batch)
