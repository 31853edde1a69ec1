# %% [markdown]
# # Serving
#
# From a trained model to answers over the network: an export that takes raw strings, a server,
# clients, a new version without a pause, a load test, and a folder for TensorFlow Serving and
# Kubernetes. The model is a classifier of film reviews (MiniLM, SST-2); every task is served in
# the same way, only inputs and outputs differ ([tasks](../tasks.md#exports)). Needs
# `pip install 'kerasbert[serve]'`.

# %%
import atexit
import json
import os
import signal
import subprocess
import sys
import time

import keras

import kerasbert
from kerasbert.serving import GrpcClient, RestClient, SavedModelClient, kit

SHORT = os.environ.get("KERASBERT_GUIDE") == "short"  # for tests: seconds, not minutes
EXAMPLES = 64 if SHORT else 1_000
keras.utils.set_random_seed(0)

# %%
URL = (
    "https://raw.githubusercontent.com/eyalbd2/Reproducing-AutoPrompt/"
    "6288fb5bec9c572f2492875ae0111df5b6daed11/glue_data/SST-2"
)
path = keras.utils.get_file("sst2-train.tsv", f"{URL}/train_full.tsv")
train = kerasbert.data.read_examples(path, glue="sst2")
texts, labels = train.texts["text"][:EXAMPLES], train.labels[:EXAMPLES]
classifier = kerasbert.TextClassifier.from_preset(
    "hf://sentence-transformers/all-MiniLM-L6-v2", classes=train.classes, sequence_length=64
)
classifier.compile(kerasbert.training.adamw(1e-4))
history = classifier.fit(texts, labels, batch_size=32, verbose=2)

# %% [markdown]
# ## The export
#
# `export` writes a SavedModel with the tokenizer inside: no Python code of the model, no
# vocabulary file and no padding on the client's side. Before the directory appears, its graph is
# compared with the model, in this process and in a fresh one. The number is the version.

# %%
classifier.export("saved_models/reviews/1", check=not SHORT, overwrite=True)
client = SavedModelClient("saved_models/reviews")  # in this process
for row in client(text=["a warm and funny film", "two hours that I will never get back"]):
    print(row)

# %% [markdown]
# ## A server
#
# `kerasbert serve` has the REST and gRPC interfaces of TensorFlow Serving. It prints its
# addresses when the model is loaded and warmed up. Port 0 is any free one; by default they are
# 8501 and 8500.

# %%
command = [sys.executable, "-m", "kerasbert", "serve", "--saved_model", "saved_models/reviews"]
server = subprocess.Popen(
    [*command, "--port", "0", "--grpc_port", "0"], stderr=subprocess.PIPE, text=True
)
atexit.register(server.kill)  # if something below fails
greeting = next(line for line in server.stderr if line.startswith("serving version"))
rest_url, grpc_url = (word.strip(",") for word in greeting.split() if "://" in word)
print(greeting.split(",")[0])

# %% [markdown]
# A client has one method: a list for each input, a dict for each row. The one for REST needs
# neither TensorFlow nor kerasbert's models, and any other program can send JSON.

# %%
rest = RestClient(rest_url)
print(rest(text=["a warm and funny film"]))

import urllib3

body = {"inputs": {"text": ["a dull story"]}}
print(urllib3.request("POST", f"{rest_url}:predict", json=body).json())

grpc = GrpcClient(grpc_url)
print(grpc(text=["a dull story"])[0]["label"])

# %% [markdown]
# Mistakes get one line and a status of 400 to 499, here as an exception:

# %%
try:
    rest(words=["a dull story"])
except kerasbert.InputError as error:
    print(error)

# %% [markdown]
# ## A new version
#
# Train on, and export as version 2. The server finds it within a second, loads it, warms it up,
# and only then replaces version 1, whose requests are answered first. A version that can't be
# loaded is reported, and the old one stays.

# %%
classifier.fit(texts, labels, batch_size=32, verbose=2)
classifier.export("saved_models/reviews/2", check=not SHORT, overwrite=True)
for _ in range(120):
    status = urllib3.request("GET", rest_url).json()["model_version_status"]
    if any(one["version"] == "2" and one["state"] == "AVAILABLE" for one in status):
        break
    time.sleep(0.5)
print({one["version"]: one["state"] for one in status})

# %% [markdown]
# ## Load
#
# How many users can it take? `kerasbert load_test` asks from many clients at once with your
# texts, and prints percentiles of the time that an answer takes. Run it on another machine, or it
# takes cores from the server, as here.


# %%
with open("texts.txt", "w", encoding="utf-8") as file:
    file.writelines(f"{text}\n" for text in texts[:200])
test = [sys.executable, "-m", "kerasbert", "load_test", "--url", rest_url, "--texts", "texts.txt"]
seconds = "1" if SHORT else "5"
for clients in ("8",) if SHORT else ("1", "8"):
    done = subprocess.run(
        [*test, "--num_clients", clients, "--seconds", seconds],
        check=True,
        capture_output=True,
        text=True,
    )
    result = json.loads(done.stdout.splitlines()[-1])
    print(f"{clients} clients: {result['rows_per_second']} rows per second, ", end="")
    print(f"{result['milliseconds']} ms, errors {result['errors']}")

# %% [markdown]
# With more clients than cores, the server answers more rows per second, because it computes them
# in batches, and each takes longer. If more wait than it may keep, it refuses with status 429,
# and the clients try again.
#
# On SIGTERM it answers what it has accepted, and ends; its last line counts the requests:

# %%
server.send_signal(signal.SIGTERM)
print("exit status", server.wait(timeout=60))

# %% [markdown]
# ## TensorFlow Serving
#
# For many users: a kit has the export, warm-up requests, batching with the reason for each
# number, metrics, Docker and Kubernetes, and a README with the real requests and answers of this
# model.

# %%
kit.write(
    "kits/reviews",
    lambda path: classifier.export(path, check=not SHORT),
    name="reviews",
    overwrite=True,
)
for folder, _, names in sorted(os.walk("kits/reviews")):
    for name in sorted(names):
        print(os.path.join(folder, name))

# %% [markdown]
# ```bash
# cd kits/reviews && docker compose up
# curl -d '{"inputs": {"text": ["a fine day"]}}' http://localhost:8501/v1/models/reviews:predict
# ```
#
# The clients above work with it unchanged. Neither server asks who you are: put them behind
# something that does.
#
# ## Faster
#
# - `kerasbert export --precision bfloat16` has half the size, and is faster on processors with
#   products of bfloat16; `kerasbert doctor` says whether yours has them.
# - A smaller model: [a tenth of the size](distillation.md).
# - int8 weights, and servers without TensorFlow: [other runtimes](../runtimes.md).
# - [Serving](../serving.md) has all settings, limits and metrics.
