"""Descriptions of tasks, for people: the lines before Keras's summary, `repr`, and model cards."""

from typing import Any

from kerasbert.backbone import shown_count
from kerasbert.checkpoints import cards
from kerasbert.errors import shown

_SHOWN_CLASSES = 4


def preprocessor_lines(task: Any) -> list[str]:
    """Returns the lines of `Task.summary` about a task's tokenizer and length."""
    if task.tokenizer is None:
        return [f'Preprocessor: none, "{task.name}" takes ready features']
    rows = {
        "Tokenizer": type(task.tokenizer).__name__,
        "Vocabulary size": f"{task.tokenizer.vocabulary_size:,}",
        "Sequence length": f"{task.sequence_length:,}",
    }
    width = max(map(len, rows)) + 2
    lines = [f" {name}:".ljust(width + 1) + value for name, value in rows.items()]
    return [f'Preprocessor: "{task.name}"', *lines]


def described(task: Any) -> str:
    """Returns a task's `repr`, one line."""
    facts = [
        task.backbone.described,
        f"{shown_count(task.count_params())} parameters",
        f"{task.sequence_length:,} tokens",
    ]
    if classes := getattr(task, "classes", None):
        more = ", ..." if len(classes) > _SHOWN_CLASSES else ""
        names = ", ".join(shown(name) for name in classes[:_SHOWN_CLASSES])
        facts.append(f"{len(classes)} classes ({names}{more})")
    return f"<{type(task).__name__} {shown(task.name)}: {', '.join(facts)}>"


def card_text(task: Any, card: cards.ModelCard | None, format: str) -> str:
    """Implements `Task.card_text`."""
    facts = task.backbone.facts(task.tokenizer)
    facts |= {
        "maximum length": f"{task.sequence_length:,} tokens",
        "parameters": shown_count(task.count_params()),
    }
    if kind := getattr(task, "problem_type", None):
        facts["problem type"] = kind
    if random := task.uninitialized_weights:
        facts["random weights, not trained"] = ", ".join(random)
    model = cards.Described(
        kind=type(task).__name__,
        name=task.name,
        family=task.backbone.config.family,
        facts=facts,
        classes=getattr(task, "classes", ()),
        pipeline_tag=task.pipeline_tag,
        call="model.predict(features)" if task.tokenizer is None else task.example_call,
    )
    return cards.text(model, card or cards.ModelCard(), format)
