"""The configuration files of a kit, with the reason for each setting."""

import re
import textwrap

#: The image that runs the kit: the first with the text ops of tensorflow-text 2.20.
IMAGE = "tensorflow/serving:2.20.0"
PROMETHEUS_IMAGE = "prom/prometheus:v3.5.0"
PROMETHEUS_PATH = "/monitoring/prometheus/metrics"
_MOST_ROWS = 1024
_MOST_QUEUED = 64
_LONGEST_LABEL = 63

MONITORING = f"""\
# Metrics for Prometheus, on the REST port: requests, latencies, batch sizes, loading of versions.
prometheus_config {{
  enable: true
  path: "{PROMETHEUS_PATH}"
}}
"""


def models(name: str) -> str:
    """Returns the server's list of models, a `ModelServerConfig`."""
    return f"""\
# One entry for each model; add others below. The server looks into base_path every second, loads
# the highest version, and unloads the older one once the new one is ready: requests are not lost.
model_config_list {{
  config {{
    name: "{name}"
    base_path: "/models/{name}"
    model_platform: "tensorflow"
    # Two versions need twice the memory. To serve several, or an older one, replace `latest`, as by
    # specific {{ versions: 1 }}.
    model_version_policy {{ latest {{ num_versions: 1 }} }}
  }}
}}
"""


_PADDED = """\
# Requests of the signature `tokens` with rows of different lengths are padded, with the first
# element of each tensor. That would be wrong for a mask, but this model takes `lengths` instead.
pad_variable_length_inputs: true
"""
_NOT_PADDED = """\
# Requests of the signature `tokens` are not padded: the server does that with the first element of
# each tensor, but `lengths` has a number for each chunk of a text, and must be 0 for further ones.
# Requests of different shapes that meet in a batch are refused; send texts instead.
pad_variable_length_inputs: false
"""


def batching(rows: int, sequence_length: int, padded: bool) -> str:
    """Returns the `BatchingParameters` of a model whose rows are whole strings.

    Args:
        rows: rows of a batch.
        sequence_length: tokens of a row.
        padded: whether ready features of different shapes may be padded.
    """
    return f"""\
# Read because of --enable_batching and --enable_per_model_batching_parameters; each version has its
# own file.

# Rows of one batch: {rows} rows of {sequence_length} tokens are {rows * sequence_length:,}. More
# make a batch slower, and hardly more efficient; on a GPU, try four times as many.
max_execution_batch_size {{ value: {rows} }}
# Rows of one request. It is split into batches; without splitting, more rows than a batch's are an
# error.
max_batch_size {{ value: {_MOST_ROWS} }}
enable_large_batch_splitting {{ value: true }}
# A batch starts as soon as a thread is free: under load, requests gather while others are computed,
# and without load nothing waits. Try 1000 to 5000 on a GPU.
batch_timeout_micros {{ value: 0 }}
# Batches that may wait; further requests get 503 (UNAVAILABLE), and should be sent again later. The
# last one in the queue waits for all others, so their time is the longest latency.
max_enqueued_batches {{ value: {_MOST_QUEUED} }}
{_PADDED if padded else _NOT_PADDED}\
# No allowed_batch_sizes: they would add rows that are computed in vain, because the model takes any
# number of rows, and computes nothing for padding.
# No num_batch_threads: the server has one pool for all models, with a thread for each core.
"""


def flags(batched: bool) -> list[str]:
    """Returns the server's flags."""
    per_model = ["--enable_batching=true", "--enable_per_model_batching_parameters=true"]
    return [
        "--model_config_file=/config/models.config",
        "--monitoring_config_file=/config/monitoring.config",
        *(per_model if batched else []),
    ]


def compose(name: str, batched: bool, frozen: bool) -> str:
    """Returns Docker's `compose.yaml`: the server, and Prometheus.

    Args:
        name: the model's name.
        batched: whether requests are batched.
        frozen: see `kerasbert.serving.client.pays_to_freeze_weights`.
    """
    return f"""\
# docker compose up: the model at http://localhost:8501/v1/models/{name} (REST) and localhost:8500
# (gRPC), its metrics at http://localhost:9090.
services:
  serving:
    image: {IMAGE}
    command:
{_listed(flags(batched), 6)}
    environment:
      # Whether oneDNN keeps weights in the layout of its kernels: half the time in bfloat16.
      TF_ONEDNN_ASSUME_FROZEN_WEIGHTS: "{int(frozen)}"
    ports:
      # For this machine only: the server has no authentication.
      - "127.0.0.1:8500:8500"
      - "127.0.0.1:8501:8501"
    volumes:
      - ./models:/models:ro
      - ./config:/config:ro
    # Requests that were accepted are answered before the server stops.
    stop_grace_period: 30s
    restart: unless-stopped
  prometheus:
    image: {PROMETHEUS_IMAGE}
    ports:
      - "127.0.0.1:9090:9090"
    volumes:
      - ./config/prometheus.yaml:/etc/prometheus/prometheus.yml:ro
    restart: unless-stopped
"""


def prometheus() -> str:
    """Returns what Prometheus reads, and how often."""
    return f"""\
scrape_configs:
  - job_name: serving
    scrape_interval: 15s
    metrics_path: {PROMETHEUS_PATH}
    static_configs:
      - targets: ["serving:8501"]
"""


def kubernetes(name: str, batched: bool, size: int, frozen: bool) -> str:
    """Returns a Deployment and a Service for Kubernetes, with the configuration files.

    Args:
        name: the model's name.
        batched: whether requests are batched.
        size: bytes of the SavedModel.
        frozen: as in `compose`.
    """
    label = kubernetes_name(name)
    gib = 1 + round(2 * size / 2**30)
    return f"""\
# kubectl apply -f kubernetes.yaml, after copying models/ to the volume of the claim {label}-models.
apiVersion: v1
kind: ConfigMap
metadata:
  name: "{label}-config"
data:
  models.config: |
{textwrap.indent(models(name), "    ")}\
  monitoring.config: |
{textwrap.indent(MONITORING, "    ")}\
---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: "{label}"
spec:
  replicas: 1
  selector:
    matchLabels: {{app: "{label}"}}
  template:
    metadata:
      labels: {{app: "{label}"}}
      annotations:
        prometheus.io/scrape: "true"
        prometheus.io/port: "8501"
        prometheus.io/path: {PROMETHEUS_PATH}
    spec:
      # Time for the sleep below, and for the requests that were accepted.
      terminationGracePeriodSeconds: 60
      containers:
        - name: serving
          image: {IMAGE}
          args:
{_listed(flags(batched), 12)}
          env:
            - {{name: TF_ONEDNN_ASSUME_FROZEN_WEIGHTS, value: "{int(frozen)}"}}
          ports:
            - {{name: grpc, containerPort: 8500}}
            - {{name: rest, containerPort: 8501}}
          # The REST port opens once the model is loaded and warmed up; no request comes before.
          readinessProbe:
            httpGet: {{path: "/v1/models/{name}", port: rest}}
            periodSeconds: 5
          startupProbe:
            httpGet: {{path: "/v1/models/{name}", port: rest}}
            periodSeconds: 5
            failureThreshold: 60
          livenessProbe:
            tcpSocket: {{port: grpc}}
            periodSeconds: 10
          lifecycle:
            # Requests still come while the Service learns that this pod ends.
            preStop: {{exec: {{command: [sleep, "10"]}}}}
          resources:
            # Two versions while a new one is loaded, and a batch.
            requests: {{cpu: "2", memory: {gib}Gi}}
            limits: {{memory: {2 * gib}Gi}}
          volumeMounts:
            - {{name: models, mountPath: /models, readOnly: true}}
            - {{name: config, mountPath: /config, readOnly: true}}
      volumes:
        - name: models
          persistentVolumeClaim: {{claimName: "{label}-models", readOnly: true}}
        - name: config
          configMap: {{name: "{label}-config"}}
---
# Reachable inside the cluster only: the server has no authentication.
apiVersion: v1
kind: Service
metadata:
  name: "{label}"
spec:
  selector: {{app: "{label}"}}
  ports:
    - {{name: grpc, port: 8500, targetPort: grpc}}
    - {{name: rest, port: 8501, targetPort: rest}}
"""


def kubernetes_name(name: str) -> str:
    """Returns a name that Kubernetes accepts for a Service.

    It has lower-case letters, digits and dashes, begins with a letter, and is not long.
    """
    label = re.sub("[^a-z0-9]+", "-", name.lower()).strip("-")
    label = label if label[:1].isalpha() else f"model-{label}"
    return label[:_LONGEST_LABEL].rstrip("-")


def _listed(values: list[str], indent: int) -> str:
    return "\n".join(f"{' ' * indent}- {value}" for value in values)
