"""The text of a model card, in Markdown."""

import re
from collections.abc import Iterable, Iterator

from kerasbert.checkpoints.cards.facts import Described, ModelCard, on_the_hub
from kerasbert.errors import escaped
from kerasbert.families import FAMILIES

# The tasks that pipelines of transformers know.
_PIPELINES = (
    "text-classification",
    "token-classification",
    "question-answering",
    "fill-mask",
    "feature-extraction",
)
_MOST_LABELS = 50
_INITIAL = "initialized from"


def body(model: Described, card: ModelCard, format: str) -> Iterator[str]:
    """Yields the lines below the header."""
    yield f"# {model.kind}"
    yield from _about(model, card)
    yield from _usage(model, format)
    yield from _data(card)
    yield from _scores(card)
    yield from _settings(card)
    yield from _license(card)


def carried(old: str, new: str) -> str:
    """Returns the body of a card: of `new` what the model says itself, the rest of `old`."""
    about, _ = _own_and_rest(new)
    about_old, rest = _own_and_rest(old)
    if initial := re.search(rf"^\| {_INITIAL} \|.*\n", about_old, re.MULTILINE):
        about = about.replace("\n\n## Use\n", f"\n{initial[0]}\n## Use\n", 1)
    return about + rest


def _own_and_rest(content: str) -> tuple[str, str]:
    """Splits a body after the section on the model's use, which is followed by another one."""
    end = content.index("\n## ", content.index("\n## Use\n") + 1)
    return content[:end], content[end:]


def _about(model: Described, card: ModelCard) -> Iterator[str]:
    rows = {"family": model.family, **model.facts}
    if model.classes:
        more = len(model.classes) - _MOST_LABELS
        rows["labels"] = ", ".join(model.classes[:_MOST_LABELS])
        rows["labels"] += f", and {more:,} more" if more > 0 else ""
    if card.initial:
        rows[_INITIAL] = card.initial
    yield ""
    yield from _table(("model", model.kind), rows.items())


def _usage(model: Described, format: str) -> Iterator[str]:
    yield from ("", "## Use", "", "PATH is this directory, or `hf://user/name` on Hugging Face:")
    yield from ("", "```python", "import kerasbert", "", 'model = kerasbert.load("PATH")')
    yield from (model.call, "```")
    if format == "hf" and model.pipeline_tag in _PIPELINES:
        yield from ("", "Or with transformers:", "", "```python", "import transformers", "")
        yield f'pipe = transformers.pipeline("{model.pipeline_tag}", model="PATH")'
        yield "```"


def _data(card: ModelCard) -> Iterator[str]:
    sources = [("training", *one) for one in card.train.items()]
    sources += [("validation", *one) for one in card.validation.items()]
    if sources:
        yield from ("", "## Data", "")
        rows = ((name, purpose, f"{count:,}") for purpose, name, count in sources)
        yield from _table(("data", "used for", card.unit), rows)


def _scores(card: ModelCard) -> Iterator[str]:
    if card.metrics:
        on = f" on {', '.join(map(_cell, card.validation))}" if card.validation else ""
        yield from ("", f"## Scores{on}", "")
        scores = {name: f"{value:.4g}" for name, value in card.metrics.items()}
        yield from _table(("metric", "value"), scores.items())


def _settings(card: ModelCard) -> Iterator[str]:
    if card.settings:
        yield from ("", "## Training", "")
        yield from _table(("setting", "value"), card.settings.items())


def _license(card: ModelCard) -> Iterator[str]:
    base = on_the_hub(card.initial)
    yield from ("", "## License", "")
    if card.license:
        yield _cell(card.license)
    else:
        yield "To fill in, here and in the header: under which license others may use this model."
    theirs = {c.name: c.license for family in FAMILIES.values() for c in family.checkpoints}
    if base and theirs.get(base):
        yield f"Its weights began as those of {base}, which are published under {theirs[base]}."


def _table(heads: tuple[str, ...], rows: Iterable[tuple]) -> Iterator[str]:
    yield f"| {' | '.join(heads)} |"
    yield f"|{'---|' * len(heads)}"
    yield from (f"| {' | '.join(map(_cell, row))} |" for row in rows)


def _cell(value) -> str:
    """Returns a value as text of a cell, in which nothing is a mark of Markdown."""
    return re.sub(r"([|`*\[\]<>\\])", r"\\\1", escaped(str(value)))
