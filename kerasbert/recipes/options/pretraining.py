"""Options of pretraining."""

import dataclasses
import itertools
import os
import re
from collections.abc import Set
from fractions import Fraction
from typing import Any, Self

from kerasbert import lazy
from kerasbert.errors import InputError
from kerasbert.options import Program, option
from kerasbert.recipes.options.shared import (
    MAX_EXAMPLES,
    MAX_STEPS,
    TRAIN,
    check_directory,
    check_file,
    check_model,
    check_preset,
)
from kerasbert.recipes.options.training import TrainingOptions

#: Values of options by recipe. "fast" follows papers on short runs (Geiping and Goldstein,
#: 2212.14034; ModernBERT, 2412.13663), with smaller batches, and with next-sentence prediction,
#: which tasks on pairs need from a small model: docs/training.md has its record.
RECIPES = {
    "fast": {
        "batch_size": 32,
        "dropout": 0.0,
        "beta_2": 0.98,
        "warmup_ratio": 0.05,
    },
}
_SHORT = {"mlm_nsp": "nsp", "mlm_sop": "sop"}


def _weighted(text: str) -> tuple[str, Fraction]:
    """Returns the path and the weight that PATH or PATH:WEIGHT means.

    Raises:
        InputError: the weight is 0.
    """
    path, colon, weight = text.rpartition(":")
    is_port = re.fullmatch(r"\w+://[^/]*", text)
    if not colon or is_port or not re.fullmatch(r"[0-9]*\.?[0-9]+", weight) or os.path.exists(text):
        return text, Fraction(1)
    if not Fraction(weight):
        raise InputError(f"--corpus={text}: the weight must be more than 0")
    return path, Fraction(weight)


@dataclasses.dataclass(frozen=True)
class Phase:
    """A part of a run in which all batches have the same shape."""

    first_step: int
    sequence_length: int
    batch_size: int

    @classmethod
    def parse(cls, text: str, steps: int) -> "Phase":
        """Returns the phase that START:LENGTH:BATCH means in a run of so many steps.

        Raises:
            InputError: the text or a number is wrong.
        """
        try:
            start, length, batch = text.split(":")
            first = round(float(start) * steps) if "." in start else int(start)
            phase = cls(first, int(length), int(batch))
        except (ValueError, OverflowError):
            raise InputError(
                f"--phase must be START:LENGTH:BATCH, such as 0.9:512:16 or 9000:512:16, found "
                f"{text!r}"
            ) from None
        if not 0 < phase.first_step < steps:
            raise InputError(f"--phase={text}: begins at step {first} of {steps}")
        if phase.sequence_length < 8 or not 1 <= phase.batch_size <= MAX_EXAMPLES:
            raise InputError(
                f"--phase={text}: there must be 8 tokens or more, and 1 to {MAX_EXAMPLES} examples"
            )
        return phase


@dataclasses.dataclass(frozen=True, kw_only=True)
class PretrainOptions(TrainingOptions):
    """Options of `pretrain`."""

    program = Program(
        TRAIN,
        "Pretrains a model, from scratch or from another one.",
        (
            "--corpus runs/mine/corpus --preset bert_tiny --steps 10000\n"
            "--learning_rate 1e-3 --output runs/mine/pretrain",
        ),
    )

    corpus: list[str] = option(
        help="corpus directory written by kerasbert prepare_corpus; may be repeated, with weights: "
        "--corpus wiki:0.7 --corpus books:0.3",
        reads=check_directory,
    )
    validation_corpus: str | None = option(
        None,
        help="another corpus with the same vocabulary, for evaluation only",
        reads=check_directory,
    )
    recipe: str | None = option(
        None,
        help="fast: other defaults, for runs of about an hour on a CPU: "
        + " ".join(f"--{name}={value}" for name, value in RECIPES["fast"].items()),
        choices=RECIPES,
    )
    preset: str | None = option(None, help="architecture, such as bert_base; default: bert_tiny")
    init: str | None = option(
        None,
        help="instead of --preset: model to start from, as in kerasbert convert, with the corpus's "
        "tokenizer",
        reads=check_model,
        elsewhere=("model", "init_checkpoint"),
    )
    steps: int = option(
        10_000,
        help="training steps",
        minimum=1,
        maximum=MAX_STEPS,
        elsewhere=("max_steps", "num_train_steps"),
    )
    batch_size: int = option(
        64, help="examples per step, over all devices", minimum=1, maximum=MAX_EXAMPLES
    )
    sequence_length: int = option(128, help="tokens per example", minimum=8)
    phase: list[str] = option(
        [],
        help="START:LENGTH:BATCH: from step START (or, such as 0.9, from that fraction of the "
        "steps) on, tokens per example and examples per step; may be repeated",
    )
    continue_from: str | None = option(
        None,
        help="checkpoint of another run, RUN/checkpoints/step-N, to begin with: weights, optimizer "
        "and step; its learning rate must have been the same so far",
        reads=check_directory,
    )
    learning_rate: float = option(
        1e-3, help="peak learning rate, after the warm-up", exclusive_minimum=0
    )
    dropout: float = option(
        0.1,
        help="dropout rate of hidden states and attention; use 0 for short runs",
        minimum=0,
        exclusive_maximum=1,
    )
    objective: str = option(
        "nsp",
        help="beside masked language modeling: nsp or mlm_nsp (next sentence prediction), sop or "
        "mlm_sop (sentence order prediction), or nothing, mlm, as in RoBERTa; or rtd, replaced "
        "token detection, as in ELECTRA",
        choices=("nsp", "sop", "mlm", "rtd"),
    )
    generator_size: float = option(
        0.25,
        help="with --objective=rtd: width of the generator relative to the model's",
        exclusive_minimum=0,
        maximum=1,
    )
    detector_weight: float = option(
        50.0,
        help="with --objective=rtd: weight of the model's loss; the generator's has 1",
        exclusive_minimum=0,
    )
    mask_rate: float = option(
        0.15,
        help="fraction of the tokens that are predicted",
        exclusive_minimum=0,
        exclusive_maximum=1,
    )
    mask_unit: str | None = option(
        None,
        help="what is masked as a whole: token (default), whole_word, ngram (1 to 4 words) or span "
        "(1 to 10 words)",
        choices=("token", "whole_word", "ngram", "span"),
    )
    whole_word_masking: bool = option(
        False,
        help="whole word masking; the same as --mask_unit=whole_word",
        formerly="whole_word",
    )
    similar_words: str | None = option(
        None,
        help="with --mask_unit=whole_word, ngram or span: file of word vectors in the text format "
        "of word2vec; words are replaced by similar ones of as many tokens instead of [MASK]",
        reads=check_file,
    )
    z_loss: float = option(
        0.0,
        help="weight of the squared log of the softmax's denominator in the loss of masked tokens",
        minimum=0,
    )
    pack_documents: bool = option(
        False,
        help="with --objective=mlm: fill rows with several documents instead of padding; tokens "
        "attend within their document",
    )
    output: str = option(help="run directory; the model is output/model")
    validation_interval: int = option(
        500,
        help="evaluation interval in steps; each evaluation is a line of metrics.jsonl",
        minimum=1,
        formerly="validation_every",
    )
    validation_batches: int = option(
        32, help="batches of the validation corpus per evaluation", minimum=1
    )

    def __post_init__(self) -> None:
        # Runs and models store the short names.
        object.__setattr__(self, "objective", _SHORT.get(self.objective, self.objective))
        if isinstance(self.corpus, str):
            object.__setattr__(self, "corpus", [self.corpus])
        super().__post_init__()
        if self.init and self.preset:
            raise InputError(
                f"--init={self.init} has an architecture already; leave --preset={self.preset} out"
            )
        check_preset(self.preset)
        if self.pack_documents and self.objective != "mlm":
            raise InputError(
                f"--pack_documents: rows of --objective={self.objective} can't be packed; those of "
                "--objective=mlm can"
            )
        if self.continue_from and not self.first_step:
            raise InputError(
                f"--continue_from must be RUN/checkpoints/step-N, found {self.continue_from!r}"
            )
        masks_words = self.whole_word_masking or self.mask_unit not in (None, "token")
        if self.similar_words and not masks_words:
            raise InputError("--similar_words needs --mask_unit=whole_word, ngram or span")
        if self.similar_words and self.objective == "rtd":
            raise InputError(
                "--similar_words: --objective=rtd replaces tokens by those of its generator"
            )
        for name, usual in (("generator_size", 0.25), ("detector_weight", 50.0)):
            if getattr(self, name) != usual and self.objective != "rtd":
                raise InputError(f"--{name} is for --objective=rtd")
        if self.validation_batches != 32 and not self.validation_corpus:
            raise InputError("--validation_batches needs --validation_corpus")
        if self.init and self.objective == "rtd":
            raise InputError("--objective=rtd begins with random weights; leave --init out")
        paths = self.input_paths("corpus")
        if repeated := next((path for path in paths if paths.count(path) > 1), None):
            raise InputError(f"--corpus={repeated} is given twice; give it a higher weight")
        if self.whole_word_masking and self.mask_unit == "token":
            raise InputError("--whole_word_masking and --mask_unit=token contradict each other")
        starts = [phase.first_step for phase in self.phases]
        if any(a >= b for a, b in itertools.pairwise(starts)):
            raise InputError(f"--phase: each must begin after the one before it, found {starts}")
        if self.accumulation_steps > (least := min(phase.batch_size for phase in self.phases)):
            raise InputError(
                f"--accumulation_steps={self.accumulation_steps}: a batch of {least} can't be "
                "split into more microbatches than it has examples (--phase)"
            )
        self._monitors_what_is_there(self.validation_corpus, "--validation_corpus")

    def _check_jax(self) -> None:
        super()._check_jax()
        if self.similar_words and not lazy.has_tensorflow():
            raise InputError(
                "--similar_words tokenizes words with TensorFlow, which is missing: pip install "
                "tensorflow tensorflow-text"
            )

    def with_recipe(self, unset: Set[str]) -> Self:
        """As in `Options`."""
        values = dict(RECIPES[self.recipe]) if self.recipe else {}
        if self.warmup_steps is not None:
            values.pop("warmup_ratio", None)
        return dataclasses.replace(self, **{k: v for k, v in values.items() if k in unset})

    @property
    def settings(self) -> dict[str, Any]:
        """As in `TrainingOptions`; a single corpus is stored as by earlier versions."""
        settings = super().settings
        return settings | ({"corpus": self.corpus[0]} if len(self.corpus) == 1 else {})

    def input_paths(self, name: str) -> list[str]:
        """As in `Options`, without the weights of corpora."""
        paths = super().input_paths(name)
        return [_weighted(path)[0] for path in paths] if name == "corpus" else paths

    @property
    def first_step(self) -> int:
        """The step of `continue_from`, by its name; 0 without one."""
        name = re.search(r"(?:^|/)step-(\d{10})/*$", self.continue_from or "")
        return int(name[1]) if name else 0

    @property
    def weights(self) -> list[Fraction]:
        """The weight of each corpus; 1 if it is not given."""
        return [_weighted(text)[1] for text in self.corpus]

    @property
    def phases(self) -> list[Phase]:
        """All phases of the run, in order; one without --phase."""
        first = Phase(0, self.sequence_length, self.batch_size)
        return [first, *(Phase.parse(text, self.steps) for text in self.phase)]

    @property
    def longest(self) -> int:
        """The number of tokens of the longest examples."""
        return max(phase.sequence_length for phase in self.phases)

    @property
    def start(self) -> str:
        """The model or architecture that training starts from."""
        return self.init or self.preset or "bert_tiny"
