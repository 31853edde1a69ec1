"""Measuring a server under load."""

import contextlib
from collections.abc import Sequence
from typing import Any

from kerasbert import files
from kerasbert.recipes.options import LoadTestOptions
from kerasbert.serving import load
from kerasbert.serving.client import SavedModelClient
from kerasbert.serving.connect import connect


def load_test(options: LoadTestOptions) -> dict[str, Any]:
    """Asks a server or an export from many clients; returns latencies, rows per second, errors."""
    with files.open_text(options.texts, is_text=True) as file:
        texts = [line.strip() for line in file if line.strip()]
    with contextlib.ExitStack() as closing:
        client, inputs = _client(options, closing)
        return load.measure(
            client,
            inputs,
            texts,
            num_clients=options.num_clients,
            seconds=options.seconds,
            warm_up_seconds=options.warm_up_seconds,
            rows=options.rows,
            seed=options.seed,
        )


def _client(options: LoadTestOptions, closing: contextlib.ExitStack) -> tuple[Any, Sequence]:
    """Returns the client, which `closing` closes, and the names of the model's inputs."""
    if options.saved_model:
        client = SavedModelClient(options.saved_model)
        return client, client.metadata["inputs"]
    client = closing.enter_context(connect(str(options.url), retries=0))
    return client, client.inputs
