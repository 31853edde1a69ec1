"""The same fine-tuning with transformers and PyTorch, batch by batch, to compare with.

The batches, schedule and optimizer are kerasbert's; model, gradients and updates are PyTorch's. The
trained model is saved by transformers, read by kerasbert, and scored by the same metrics.
"""

import math
import pathlib
import time

import numpy as np

from kerasbert import features as keys
from kerasbert.errors import InputError
from kerasbert.recipes.finetune import FinetuneOptions, build
from kerasbert.recipes.jobs import job
from kerasbert.training.optimizers import NOT_DECAYED, Warmup
from kerasbert.training.progress import Bar


def train(options: FinetuneOptions, output: pathlib.Path) -> dict[str, float]:
    """Trains with transformers; returns the scores, and the seconds of training.

    Args:
        options: of the run to repeat.
        output: where transformers' model goes.

    Raises:
        InputError: torch or transformers is not installed.
    """
    try:
        import torch
        import transformers
    except ImportError as error:
        raise InputError(f"--peers needs the extra dev ({error})") from None
    work = job(options.task)
    examples, validation = (
        work.examples(path, options) for path in (options.train, options.validation)
    )
    ours = build(work, examples, options)
    start = output.with_name(f"{output.name}_start")
    if not start.exists():
        ours.save_to_preset(start, format="hf")
    kinds = {
        "text_classification": transformers.BertForSequenceClassification,
        "regression": transformers.BertForSequenceClassification,
        "token_classification": transformers.BertForTokenClassification,
        "question_answering": transformers.BertForQuestionAnswering,
    }
    torch.manual_seed(options.seed)
    model = kinds[options.task].from_pretrained(start).train()
    rows = ours.rows(examples.texts, examples.labels)
    steps = options.epochs * math.ceil(len(rows) / options.batch_size)
    batches = ours.training_batches(rows, batch_size=options.batch_size, seed=options.seed)
    begun = time.monotonic()
    _fit(torch, model, batches.take(steps), steps, options)
    seconds = round(time.monotonic() - begun)
    model.save_pretrained(output)
    for file in ("vocab.txt", "tokenizer_config.json"):
        (output / file).write_bytes((start / file).read_bytes())
    facts = {name: value for name, value in ours.head_config().items() if work.takes(name)}
    trained = type(ours).from_preset(output, sequence_length=ours.sequence_length, **facts)
    trained.compile()
    return {**work.scores(trained, validation), "seconds": seconds}


def _fit(torch, model, batches, steps: int, options: FinetuneOptions) -> None:
    names = dict(model.named_parameters())
    plain = [p for name, p in names.items() if name.endswith("bias") or "LayerNorm" in name]
    decayed = [p for p in names.values() if not any(p is other for other in plain)]
    assert "bias" in NOT_DECAYED
    optimizer = torch.optim.AdamW(
        [
            {"params": decayed, "weight_decay": options.weight_decay},
            {"params": plain, "weight_decay": 0.0},
        ],
        eps=1e-6,
    )
    rate = Warmup(options.learning_rate, steps, round(options.warmup * steps), options.decay)
    bar = Bar("transformers", steps, "step")
    for step, batch in enumerate(batches.as_numpy_iterator()):
        for group in optimizer.param_groups:
            group["lr"] = float(rate(step))
        loss = _loss(torch, model, *batch)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(names.values(), options.clip_norm)
        optimizer.step()
        bar.set_postfix_str(f"loss {loss.item():.3f}", refresh=False)
        bar.update()
    bar.close()


def _loss(torch, model, features, labels, weights=None):
    """The loss that kerasbert's task has, of transformers' logits."""

    def tensor(array):
        return torch.tensor(np.asarray(array).astype("int64"))

    found = model(
        input_ids=tensor(features[keys.TOKEN_IDS]),
        attention_mask=tensor(features[keys.PADDING_MASK]),
        token_type_ids=tensor(features[keys.SEGMENT_IDS]),
    )
    functional = torch.nn.functional
    if isinstance(labels, dict):
        pairs = ((keys.START_LOGITS, found.start_logits), (keys.END_LOGITS, found.end_logits))
        return sum(functional.cross_entropy(x, tensor(labels[name])) for name, x in pairs)
    if np.asarray(labels).dtype.kind == "f":
        return functional.mse_loss(found.logits, torch.tensor(labels).reshape(found.logits.shape))
    logits = found.logits.reshape(-1, found.logits.shape[-1])
    losses = functional.cross_entropy(logits, tensor(labels).reshape(-1), reduction="none")
    if weights is None:
        return losses.mean()
    weights = torch.tensor(np.asarray(weights, "float32")).reshape(-1)
    return (losses * weights).sum() / weights.sum()
