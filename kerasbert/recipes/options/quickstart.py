"""Options of the quickstart."""

import dataclasses

from kerasbert.options import LARGEST_SEED, Options, Program, option
from kerasbert.recipes.options.shared import (
    MAX_EXAMPLES,
    MAX_STEPS,
    MAX_VOCABULARY,
    MIN_VOCABULARY,
    START,
    check_preset,
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class QuickstartOptions(Options):
    """Options of `quickstart`."""

    program = Program(
        START,
        "Runs the whole workflow on text from this machine: vocabulary to predictions in minutes.",
        ("--output runs/quickstart",),
    )

    output: str = option(
        "runs/quickstart",
        help="directory for all files; those of an earlier quickstart are replaced, and others are "
        "refused",
    )
    saved_model: str = option(
        "saved_models/quickstart/1", help="directory for the export; an earlier export is replaced"
    )
    vocab_size: int = option(
        6_000, help="vocabulary size", minimum=MIN_VOCABULARY, maximum=MAX_VOCABULARY
    )
    preset: str = option("bert_tiny", help="architecture")
    steps: int = option(2_200, help="pretraining steps", minimum=1, maximum=MAX_STEPS)
    batch_size: int = option(
        32, help="examples per pretraining step", minimum=1, maximum=MAX_EXAMPLES
    )
    sequence_length: int = option(64, help="tokens per example", minimum=8)
    epochs: int = option(2, help="epochs of fine-tuning", minimum=1, maximum=MAX_STEPS)
    seed: int = option(0, help="seed for all randomness", minimum=0, maximum=LARGEST_SEED)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_preset(self.preset)
