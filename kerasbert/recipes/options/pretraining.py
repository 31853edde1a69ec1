"""Options of pretraining."""

import dataclasses

from kerasbert.errors import InputError
from kerasbert.options import Program, option
from kerasbert.recipes.options.shared import MAX_EXAMPLES, MAX_STEPS, TRAIN, check_preset
from kerasbert.recipes.options.training import TrainingOptions

_SHORT = {"mlm_nsp": "nsp", "mlm_sop": "sop"}


@dataclasses.dataclass(frozen=True, kw_only=True)
class PretrainOptions(TrainingOptions):
    """Options of `pretrain`."""

    program = Program(
        TRAIN,
        "Pretrains a model from scratch with MLM + NSP.",
        (
            "--corpus runs/mine/corpus --preset bert_tiny --steps 10000\n"
            "--learning_rate 1e-3 --output runs/mine/pretrain",
        ),
    )

    corpus: str = option(help="corpus directory written by kerasbert prepare_corpus")
    validation_corpus: str | None = option(
        None, help="another corpus with the same vocabulary, for evaluation only"
    )
    preset: str | None = option(None, help="architecture, such as bert_base; default: bert_tiny")
    init: str | None = option(
        None,
        help="instead of --preset: model to start from, as in kerasbert convert, with the corpus's "
        "tokenizer",
    )
    steps: int = option(10_000, help="training steps", minimum=1, maximum=MAX_STEPS)
    batch_size: int = option(
        64, help="examples per step, over all devices", minimum=1, maximum=MAX_EXAMPLES
    )
    sequence_length: int = option(128, help="tokens per example", minimum=8)
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
        "mlm_sop (sentence order prediction), or nothing, mlm, as in RoBERTa",
        choices=("nsp", "sop", "mlm"),
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

    def __post_init__(self):
        # Runs and models store the short names.
        object.__setattr__(self, "objective", _SHORT.get(self.objective, self.objective))
        super().__post_init__()
        if self.init and self.preset:
            raise InputError(
                f"--init={self.init} has an architecture already; leave --preset={self.preset} out"
            )
        check_preset(self.preset)
        if self.whole_word_masking and self.mask_unit == "token":
            raise InputError("--whole_word_masking and --mask_unit=token contradict each other")
        self._monitors_what_is_there(self.validation_corpus, "--validation_corpus")

    @property
    def start(self) -> str:
        """The model or architecture that training starts from."""
        return self.init or self.preset or "bert_tiny"
