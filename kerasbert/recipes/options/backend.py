"""The backend that Keras computes with, and what that has to be told before it is imported."""

import dataclasses
import importlib.util
import os

from kerasbert import registration
from kerasbert.errors import InputError
from kerasbert.options import Options, option

DEVICES = "distribution"  # the heading of `--help`
_DETERMINISTIC = "--xla_gpu_deterministic_ops=true"


def with_xla_flags(flags: str, before: str | None = None) -> str:
    """The value of `XLA_FLAGS` with more of them; `before` is the environment's if it is None."""
    before = os.environ.get("XLA_FLAGS", "") if before is None else before
    return f"{before} {flags}".strip()


@dataclasses.dataclass(frozen=True, kw_only=True)
class BackendOptions(Options):
    """Options of programs that train on several backends."""

    backend: str | None = option(
        None,
        help="Keras backend, tensorflow or jax; default: KERAS_BACKEND, else tensorflow",
        choices=registration.BACKENDS,
        group=DEVICES,
    )
    deterministic: bool = option(
        False,
        help="bitwise reproducible on GPUs too, but slower; CPUs always are",
        group="memory and speed",
    )

    @property
    def on_jax(self) -> bool:
        """Whether Keras's backend is JAX."""
        return (self.backend or registration.chosen_backend()) == "jax"

    @property
    def environment(self) -> dict[str, str]:
        """Variables that have to be set before Keras is imported."""
        variables = {"KERAS_BACKEND": self.backend} if self.backend else {}
        if self.on_jax and self.deterministic:
            variables["XLA_FLAGS"] = with_xla_flags(_DETERMINISTIC)
        return variables

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.on_jax:
            self._check_jax()

    def _check_jax(self) -> None:
        """Raises `InputError` for what can't be on JAX."""
        if importlib.util.find_spec("jax") is None:
            raise InputError(
                "--backend=jax needs JAX: pip install jax, with a GPU 'jax[cuda12]', on a TPU "
                "'jax[tpu]'"
            )
