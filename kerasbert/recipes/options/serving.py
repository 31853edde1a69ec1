"""Options of the programs that serve an export."""

import dataclasses
import os
from collections.abc import Sequence

from kerasbert import files
from kerasbert.errors import InputError
from kerasbert.options import LARGEST_SEED, Options, Program, option
from kerasbert.recipes.options.shared import USE, check_directory, check_file
from kerasbert.serving import client, urls

_LIMITS = "limits"
_PORTS = 65_535
_MOST = 2**31 - 1
_FROZEN_WEIGHTS = "TF_ONEDNN_ASSUME_FROZEN_WEIGHTS"


def _frozen_weights(exports: Sequence[str]) -> dict[str, str]:
    """Lets oneDNN keep each weight in its kernels' layout where it pays, unless the user decides.

    A kernel keeps the weights of its own node of the graph, and a loaded version has its own graph,
    whose weights never change.
    """
    pays = any(map(_pays_to_freeze_weights, exports))
    return {_FROZEN_WEIGHTS: os.environ.get(_FROZEN_WEIGHTS, str(int(pays)))}


def _pays_to_freeze_weights(export: str) -> bool:
    try:
        metadata = files.read_json(client.find_version(export) / client.METADATA, dict)
    except InputError:
        return False  # the program will say why it can't load this
    return client.pays_to_freeze_weights(metadata)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ServeOptions(Options):
    """Options of `serve`."""

    program = Program(
        USE,
        "Serves exports with the REST and gRPC APIs of TensorFlow Serving, and a page to ask them.",
        ("--saved_model saved_models/mine",),
    )

    saved_model: list[str] = option(
        help="directory of numbered versions, of which the highest is served, also one that "
        "appears later; or one version. May be repeated, for several models",
        reads=check_directory,
    )
    name: str | None = option(
        None,
        help="the name of a single model in URLs; default: the name of the directory, or, of a "
        "version with a number as its name, of the one above",
    )
    host: str = option(
        "127.0.0.1",
        help="address to listen on; 0.0.0.0 is every one of this machine: there is no "
        "authentication",
    )
    port: int = option(8501, help="port of REST; 0: a free one", minimum=0, maximum=_PORTS)
    grpc_port: int = option(8500, help="port of gRPC; 0: a free one", minimum=0, maximum=_PORTS)
    grpc: bool = option(True, help="serve gRPC, too")
    num_threads: int = option(
        2,
        help="batches that are computed at the same time; with more than one, short texts do not "
        "wait for long ones",
        minimum=1,
        maximum=64,
    )
    poll_seconds: float = option(
        1.0, help="time between two looks for a new version", minimum=0.05, maximum=3600.0
    )
    stop_seconds: int = option(
        30,
        help="time for the requests that were accepted, after SIGTERM",
        minimum=1,
        maximum=3600,
    )
    max_batch_tokens: int = option(
        4096,
        help="tokens of a batch, where each byte of a text counts as one, up to the model's "
        "maximum; a longer row is a batch of its own",
        group=_LIMITS,
        minimum=1,
        maximum=_MOST,
    )
    max_queue_tokens: int = option(
        262_144,
        help="tokens that may wait; further requests get status 429",
        group=_LIMITS,
        minimum=1,
        maximum=_MOST,
    )
    max_request_bytes: int = option(
        8_388_608, help="size of a request", group=_LIMITS, minimum=1024, maximum=_MOST
    )
    max_text_bytes: int = option(
        262_144, help="size of one text", group=_LIMITS, minimum=1, maximum=_MOST
    )
    max_rows: int = option(
        1024,
        help="rows of a request; of MultipleChoice, the choices of all rows",
        group=_LIMITS,
        minimum=1,
        maximum=1_000_000,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.name is not None:
            urls.check_name(self.name)
            if len(self.saved_model) > 1:
                raise InputError(
                    "--name is for a single --saved_model; several have their directories' names"
                )

    @property
    def environment(self) -> dict[str, str]:
        """Variables that have to be set before TensorFlow is imported."""
        return _frozen_weights(self.saved_model)


@dataclasses.dataclass(frozen=True, kw_only=True)
class LoadTestOptions(Options):
    """Options of `load_test`."""

    program = Program(
        USE,
        "Measures a server under load: latencies, rows per second, errors.",
        ("--url http://localhost:8501/v1/models/mine --texts texts.txt",),
    )

    url: str | None = option(
        None,
        help="a model behind TensorFlow Serving or kerasbert serve, "
        "http://HOST:PORT/v1/models/NAME or grpc://HOST:PORT/NAME",
    )
    saved_model: str | None = option(
        None,
        help="instead of --url: an export that threads of this process ask, to compare with",
        reads=check_directory,
    )
    texts: str = option(help="texts of the lengths that users send, one per line", reads=check_file)
    num_clients: int = option(16, help="requests at the same time", minimum=1, maximum=1024)
    seconds: float = option(10.0, help="duration", exclusive_minimum=0, maximum=86_400)
    warm_up_seconds: float = option(
        0.0,
        help="time before that, whose requests are not counted, nor ever the first of each client",
        minimum=0,
        maximum=3600,
    )
    rows: int = option(1, help="rows of a request", minimum=1, maximum=1_000_000)
    seed: int = option(0, help="seed for the choice of texts", minimum=0, maximum=LARGEST_SEED)

    def __post_init__(self) -> None:
        super().__post_init__()
        if (self.url is None) == (self.saved_model is None):
            raise InputError("give --url, or --saved_model to compare with")
        if self.url is not None:
            urls.check(self.url)

    @property
    def environment(self) -> dict[str, str]:
        """Variables that have to be set before TensorFlow is imported: those of `serve`."""
        return {} if self.saved_model is None else _frozen_weights([self.saved_model])

    @property
    def needs_tensorflow(self) -> bool:
        """Whether the model is asked here, or over gRPC, whose values are tensors."""
        return self.url is None or urls.is_grpc(self.url)


@dataclasses.dataclass(frozen=True, kw_only=True)
class QueryOptions(Options):
    """Options of `query`."""

    program = Program(
        USE,
        "Asks an exported SavedModel, in this process without model code, or a server.",
        (
            "--saved_model saved_models/mine --text 'a fine day' --text 'a bad idea'",
            "--url http://localhost:8501/v1/models/mine --text 'a fine day'",
        ),
    )

    saved_model: str | None = option(
        None, help="export: its version directory, or the one above", reads=check_directory
    )
    url: str | None = option(
        None,
        help="instead of --saved_model: a model behind TensorFlow Serving or kerasbert serve, "
        "http://HOST:PORT/v1/models/NAME or grpc://HOST:PORT/NAME",
    )
    text: list[str] = option(help="text, or question; may be repeated")
    text_pair: list[str] = option(
        [],
        help="second text, or the question's context, as often as --text; or a choice for the only "
        "--text, may be repeated",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if (self.saved_model is None) == (self.url is None):
            raise InputError("give --saved_model, or --url")
        if self.url is not None:
            urls.check(self.url)

    @property
    def needs_tensorflow(self) -> bool:
        """Whether the model runs here, or is asked over gRPC, whose values are tensors."""
        return self.url is None or urls.is_grpc(self.url)
