"""Options of the programs that train."""

import dataclasses
from typing import TYPE_CHECKING, Any

from kerasbert.errors import InputError
from kerasbert.options import LARGEST_SEED, default, option, renamed
from kerasbert.recipes.options.backend import DEVICES, BackendOptions, with_xla_flags

OPTIMIZERS = ("adamw", "lamb")
SCHEDULES = ("linear", "cosine", "polynomial", "constant", "wsd", "wsd_sqrt")
#: From a precision to Keras's dtype policy.
POLICIES = {"float32": "float32", "bfloat16": "mixed_bfloat16", "float16": "mixed_float16"}
_PRECISIONS_ELSEWHERE = {"fp32": "float32", "bf16": "bfloat16", "fp16": "float16"}
STRATEGIES = ("none", "mirrored", "multiworker", "tpu")
#: Options that may change when a run is resumed.
_CHANGEABLE_ON_RESUME = (
    "output",
    "strategy",
    "num_virtual_devices",
    "workers",
    "jit_compile",
    "steps_per_execution",
    "data_parallel",
    "model_parallel",
    "checkpoint_every_steps",
    "checkpoint_every_minutes",
    "keep_checkpoints",
    "dry_run",
)
_MOST_DEVICES = 256  # per machine
_LEARNING = "optimization"
_WEIGHTS = "trainable weights"
_SAVING = "memory and speed"
_KEEPING = "checkpoints and model selection"


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainingOptions(BackendOptions):
    """Options of every program that trains."""

    if TYPE_CHECKING:  # every program has these, with its own defaults and help
        output: str
        batch_size: int
        learning_rate: float

    optimizer: str = option("adamw", help="optimizer", choices=OPTIMIZERS, group=_LEARNING)
    warmup_ratio: float = option(
        0.1,
        help="fraction of the steps in which the learning rate warms up",
        minimum=0,
        maximum=1,
        group=_LEARNING,
        formerly="warmup",
    )
    lr_schedule: str = option(
        "linear",
        help="learning rate schedule after the warm-up; polynomial has power 2 (that of "
        "google-research/bert, of power 1, is linear); wsd and wsd_sqrt stay at the peak until the "
        "last --lr_decay_ratio of the steps",
        choices=SCHEDULES,
        group=_LEARNING,
        formerly="decay",
    )
    warmup_steps: int | None = option(
        None, help="instead of --warmup_ratio: steps of the warm-up", minimum=0, group=_LEARNING
    )
    lr_decay_ratio: float = option(
        0.1,
        help="with --lr_schedule=wsd or wsd_sqrt: fraction of the steps in which the learning rate "
        "decays, to 0",
        minimum=0,
        maximum=1,
        group=_LEARNING,
    )
    beta_1: float = option(
        0.9,
        help="decay rate of the optimizer's mean of the gradients",
        minimum=0,
        exclusive_maximum=1,
        group=_LEARNING,
    )
    beta_2: float = option(
        0.999,
        help="decay rate of the optimizer's mean of squared gradients",
        minimum=0,
        exclusive_maximum=1,
        group=_LEARNING,
    )
    epsilon: float = option(
        1e-6,
        help="number that the optimizer adds to the root of the squared gradients' mean",
        exclusive_minimum=0,
        group=_LEARNING,
    )
    weight_decay: float = option(
        0.01, help="weight decay; biases and LayerNorm are excluded", minimum=0, group=_LEARNING
    )
    clip_norm: float = option(
        1.0,
        help="maximum gradient norm over the global batch; 0: none",
        minimum=0,
        group=_LEARNING,
    )
    ema_momentum: float | None = option(
        None,
        help="momentum of an exponential moving average of the weights, which is then evaluated "
        "and saved",
        exclusive_minimum=0,
        exclusive_maximum=1,
        group=_LEARNING,
        formerly="ema",
    )
    layerwise_lr_decay: float | None = option(
        None,
        help="layer-wise learning rate decay: each layer's rate relative to the layer above; "
        "default: no decay",
        exclusive_minimum=0,
        exclusive_maximum=1,
        group=_WEIGHTS,
        formerly="layer_decay",
    )
    freeze_layers: int = option(
        0, help="freeze the embeddings and the first N layers", minimum=0, group=_WEIGHTS
    )
    freeze: list[str] = option(
        [],
        help="freeze weights whose path begins with this, such as layer_0; may be repeated",
        group=_WEIGHTS,
    )
    accumulation_steps: int = option(
        1,
        help="number of microbatches that each batch is split into, to save memory",
        minimum=1,
        group=_SAVING,
    )
    gradient_checkpointing: bool = option(
        False, help="recompute activations for the gradient, to save memory", group=_SAVING
    )
    precision: str = option(
        "float32",
        help="compute dtype: float32, bfloat16, or float16 (with loss scaling); weights stay "
        "float32",
        choices=POLICIES,
        synonyms=_PRECISIONS_ELSEWHERE,
        group=_SAVING,
    )
    jit_compile: str = option(
        "auto",
        help="compile the whole step by XLA, true or false; auto: on a GPU, in runs of thousands "
        "of steps",
        choices=("auto", "true", "false"),
        group=_SAVING,
    )
    steps_per_execution: int | None = option(
        None,
        help="training steps per Python callback; default: 1 on a CPU and on JAX, else up to 10",
        minimum=1,
        group=_SAVING,
    )
    monitor: str | None = option(
        None,
        help="keep the model with the best value of this metric, such as val_accuracy, instead of "
        "the last",
        group=_KEEPING,
    )
    patience: int = option(
        0,
        help="with --monitor: stop after this many evaluations without improvement; 0: never",
        minimum=0,
        group=_KEEPING,
    )
    checkpoint_every_steps: int = option(
        0, help="steps from one checkpoint to the next; 0: off", minimum=0, group=_KEEPING
    )
    checkpoint_every_minutes: float = option(
        10.0, help="minutes from one checkpoint to the next; 0: off", minimum=0, group=_KEEPING
    )
    keep_checkpoints: int = option(
        3, help="number of recent checkpoints to keep during training", minimum=1, group=_KEEPING
    )
    strategy: str = option(
        "none",
        help="none (one device), mirrored (all GPUs), multiworker (TF_CONFIG) or tpu",
        choices=STRATEGIES,
        group=DEVICES,
    )
    num_virtual_devices: int = option(
        0,
        help="number of virtual CPU devices, for testing mirrored, or several devices of JAX",
        minimum=0,
        maximum=_MOST_DEVICES,
        group=DEVICES,
    )
    workers: int = option(
        1,
        help="number of processes to start on this machine, with --strategy=multiworker; they "
        "share its GPUs; for testing",
        minimum=1,
        maximum=_MOST_DEVICES,
        group=DEVICES,
    )
    data_parallel: int = option(
        1,
        help="on JAX: number of devices, or groups of them, that share each batch",
        minimum=1,
        maximum=_MOST_DEVICES,
        group=DEVICES,
    )
    model_parallel: int = option(
        1,
        help="on JAX: number of devices that share the weights of one model",
        minimum=1,
        maximum=_MOST_DEVICES,
        group=DEVICES,
    )
    dry_run: bool = option(
        False,
        help="print the model, the shapes of a batch and the estimated time, and write nothing",
    )
    seed: int = option(
        0,
        help="seed for initialization, shuffling and all other randomness",
        minimum=0,
        maximum=LARGEST_SEED,
    )

    @property
    def settings(self) -> dict[str, Any]:
        """Options that must not change when a run is resumed."""
        options = dataclasses.asdict(self)
        del options["backend"]  # may be None; checkpoints of TensorFlow, also old ones, have none
        if self.on_jax:
            options["backend"] = "jax"
        return {k: v for k, v in options.items() if k not in _CHANGEABLE_ON_RESUME}

    @property
    def first_step(self) -> int:
        """The steps before this run, which another run took."""
        return 0

    @property
    def environment(self) -> dict[str, str]:
        """As in `BackendOptions`."""
        variables = super().environment
        if self.on_jax and self.num_virtual_devices:
            variables["XLA_FLAGS"] = with_xla_flags(
                f"--xla_force_host_platform_device_count={self.num_virtual_devices}",
                variables.get("XLA_FLAGS"),
            )
        return variables

    def upgraded(self, stored: dict[str, Any]) -> dict[str, Any]:
        """Converts settings of an earlier version: renames options and adds new defaults."""
        names = renamed(type(self))
        added = {f.name: default(f) for f in dataclasses.fields(self) if f.name in self.settings}
        stored = {names.get(name, name): value for name, value in stored.items()}
        return {**added, **{k: v for k, v in stored.items() if k not in _CHANGEABLE_ON_RESUME}}

    def steps_before_decay(self, steps: int) -> int:
        """Returns the steps in which the rate of `wsd` does not depend on their total number."""
        return steps - round(self.lr_decay_ratio * steps)

    @property
    def dtype(self) -> str:
        """The Keras dtype policy of `precision`."""
        return POLICIES[self.precision]

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.on_jax and self.data_parallel * self.model_parallel > 1:
            raise InputError(
                "--data_parallel and --model_parallel are for --backend=jax; on TensorFlow "
                "--strategy=mirrored shares each batch among the GPUs"
            )
        several = self.strategy == "mirrored" or self.data_parallel * self.model_parallel > 1
        if self.num_virtual_devices and not several:
            needed = "--data_parallel or --model_parallel" if self.on_jax else "--strategy=mirrored"
            raise InputError(f"--num_virtual_devices needs {needed}")
        if self.lr_decay_ratio != 0.1 and not self.lr_schedule.startswith("wsd"):
            raise InputError("--lr_decay_ratio is for --lr_schedule=wsd and wsd_sqrt")
        if self.warmup_steps is not None and self.warmup_ratio != 0.1:
            raise InputError("give either --warmup_ratio or --warmup_steps")
        if self.patience and not self.monitor:
            raise InputError("--patience needs --monitor")
        if self.workers > 1 and self.strategy not in ("none", "multiworker"):
            raise InputError(
                f"--workers={self.workers} starts processes of --strategy=multiworker, found "
                f"--strategy={self.strategy}; give one of them"
            )
        if self.accumulation_steps > self.batch_size:
            raise InputError(
                f"--accumulation_steps={self.accumulation_steps}: a batch of {self.batch_size} "
                "can't be split into more microbatches than it has examples (--batch_size)"
            )

    def _check_jax(self) -> None:
        super()._check_jax()
        for name, none in (("strategy", "none"), ("workers", 1)):
            if (value := getattr(self, name)) != none:
                raise InputError(
                    f"--{name}={value} is for tf.distribute; with --backend=jax give "
                    "--data_parallel=N, or --model_parallel=N for a model that is too large for "
                    "one device"
                )

    def _monitors_what_is_there(self, validation: str | None, flag: str) -> None:
        if self.monitor and self.monitor.startswith("val_") and not validation:
            raise InputError(f"--monitor={self.monitor} needs {flag}")
