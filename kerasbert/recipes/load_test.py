"""Measuring a server under load."""

from kerasbert import files
from kerasbert.recipes.options import LoadTestOptions
from kerasbert.serving import load
from kerasbert.serving.connect import connect


def load_test(options: LoadTestOptions) -> dict:
    """Asks a server from many clients; returns latencies, rows per second and errors."""
    with files.open_text(options.texts) as file:
        texts = [line.strip() for line in file if line.strip()]
    client = connect(options.url, retries=0)
    return load.measure(
        client,
        client.inputs,
        texts,
        num_clients=options.num_clients,
        seconds=options.seconds,
        rows=options.rows,
        seed=options.seed,
    )
