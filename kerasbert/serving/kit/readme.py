"""The README of a kit: how to run and to ask exactly this model."""

import json
import shlex
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from kerasbert.serving import exports, signatures
from kerasbert.serving.kit import configs

_LONGEST_LIST = 4  # numbers of an example; embeddings have hundreds


def text(
    name: str,
    metadata: Mapping[str, Any],
    found: Mapping[str, Any],
    columns: Mapping[str, Sequence[Any]],
    answers: list[dict[str, Any]],
    batched: bool,
) -> str:
    """Returns the README.

    Args:
        name: the model's name.
        metadata: the export's metadata.
        found: the export's signatures by name.
        columns: a request of two rows.
        answers: the model's answers to it.
        batched: whether requests are batched.
    """
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    url = f"http://localhost:8501/v1/models/{name}"
    one_input, one_output = len(columns) == 1, len(answers[0]) == 1
    instances = [next(iter(row.values())) for row in rows] if one_input else rows
    by_name = {key: [answer[key] for answer in answers] for key in answers[0]}
    outputs = next(iter(by_name.values())) if one_output else by_name
    predictions = outputs if one_output else answers
    curl = shlex.quote(_json({"inputs": dict(columns)}))
    return f"""\
# {name}

A {metadata["task"]} of kerasbert, ready for TensorFlow Serving: raw strings in, answers out.

    docker compose up                    # REST on port 8501, gRPC on 8500, Prometheus on 9090
    kubectl apply -f kubernetes.yaml     # after copying models/ to a volume; see the file

The ports are open to this machine only. TensorFlow Serving has no authentication, and a SavedModel
is a program: serve it to clients that you trust, and put a proxy with authentication before it for
others.

## Request and response

    curl -d {curl} {url}:predict

The inputs, and the outputs for each row:

{_signature_table(found[signatures.DEFAULT])}
Column form, which is shorter:

```json
{_json({"inputs": dict(columns)})}
```
```json
{_json({"outputs": _short(outputs)})}
```

Row form:

```json
{_json({"instances": instances})}
```
```json
{_json({"predictions": _short(predictions)})}
```

A mistake in a request is answered with status 400 and `{{"error": "..."}}`. Status 503 means that
the queue is full: send the request again later. Texts of more than {metadata["sequence_length"]}
tokens are {_what_is_long(metadata)}.

## In Python, without packages

```python
{_python(url, columns)}```

kerasbert's own client has time-outs and retries, and returns a dict for each row:
`kerasbert.serving.RestClient("{url}")`.

## gRPC

For many rows it is faster than JSON. `pip install tensorflow-serving-api`:

```python
{_grpc(name, columns)}```

The signature `tokens` takes token ids instead of text, and `tokenize` returns the tokens of a text;
`{url}/metadata` describes all of them.

## Files

{_file_table(name, batched)}
To replace the model without losing a request, copy a new version to `models/{name}/.new`, then
rename it to `models/{name}/2`.
"""


def _file_table(name: str, batched: bool) -> str:
    version = f"models/{name}/1"
    rows = {
        f"`{version}/`": "the SavedModel",
        f"`{version}/{exports.WARM_UP.as_posix()}`": "requests that the server runs before it is "
        "ready",
        f"`{version}/{exports.BATCHING}`": "batching, with a reason for each value"
        if batched
        else "left out: the server could only batch requests of this model by padding their lists "
        "with their first element, which changes answers; send many rows in one request instead",
        "`config/models.config`": "the models that are served",
        "`config/monitoring.config`": f"metrics at `{configs.PROMETHEUS_PATH}` of the REST port",
        "`config/prometheus.yaml`": "what Prometheus reads",
        "`compose.yaml`, `kubernetes.yaml`": "how to run it",
    }
    return _table(("file", "content"), rows.items())


def _what_is_long(metadata: Mapping) -> str:
    if not exports.reads_windows(metadata):
        return "cut"
    return "read in chunks" if metadata.get("long_text") else "read in windows"


def _signature_table(signature) -> str:
    from tensorflow import as_dtype

    rows = []
    for kind, infos in (("input", signature.inputs), ("output", signature.outputs)):
        for name, info in sorted(infos.items()):
            sizes = ["rows", *("any" if n is None else str(n) for n in signatures.shape(info)[1:])]
            rows.append((f"{kind} `{name}`", as_dtype(info.dtype).name, f"({', '.join(sizes)})"))
    return _table(("name", "type", "shape"), rows)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines).replace("| --- ", "|---")


def _json(value) -> str:
    return json.dumps(value, ensure_ascii=False)


def _short(value):
    """Rounds numbers, and cuts long lists of them."""
    if isinstance(value, dict):
        return {key: _short(one) for key, one in value.items()}
    if isinstance(value, list):
        numeric = len(value) > _LONGEST_LIST and all(isinstance(one, float) for one in value)
        return [*map(_short, value[:_LONGEST_LIST]), "..."] if numeric else list(map(_short, value))
    return round(value, 4) if isinstance(value, float) else value


def _python(url: str, columns: Mapping) -> str:
    return f"""\
import json
import urllib.request


def ask(**inputs):
    request = urllib.request.Request(
        "{url}:predict",
        json.dumps({{"inputs": inputs}}).encode(),
        {{"Content-Type": "application/json"}},
    )
    with urllib.request.urlopen(request, timeout=30) as response:
        return json.load(response)["outputs"]


print(ask({", ".join(f"{name}={_json(column)}" for name, column in columns.items())}))
"""


def _grpc(name: str, columns: Mapping) -> str:
    inputs = "".join(
        f'request.inputs["{key}"].CopyFrom(tf.make_tensor_proto({_json(column)}))\n'
        for key, column in columns.items()
    )
    return f"""\
import grpc
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

request = predict_pb2.PredictRequest()
request.model_spec.name = "{name}"
{inputs}with grpc.insecure_channel("localhost:8500") as channel:
    stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
    response = stub.Predict(request, timeout=30)
print({{key: tf.make_ndarray(value).tolist() for key, value in response.outputs.items()}})
"""
