# %% [markdown]
# # Several GPUs and machines
#
# Without dropout, training on N devices computes the same update as one device on the same batch:
# each device takes a share of the rows, and gradients are summed before the optimizer's step. You
# can see that on any computer, because TensorFlow can split a CPU into virtual devices. This guide
# trains a small classifier of film reviews (SST-2) on one device and on two, compares weights, then
# runs two processes that talk over the network, and ends with the commands for real clusters.

# %%
import json
import os
import shutil
import subprocess
import sys

import keras
import numpy as np

import kerasbert

SHORT = os.environ.get("KERASBERT_GUIDE") == "short"  # for tests: seconds, not minutes
EXAMPLES = 64 if SHORT else 2_048
os.environ["CUDA_VISIBLE_DEVICES"] = "-1"  # the devices below are parts of the CPU

# %% [markdown]
# ## Two devices
#
# `make_strategy("mirrored")` takes all GPUs of the machine; with `num_virtual_devices`, so many
# parts of its CPU. That must come before TensorFlow computes anything.

# %%
two_devices = kerasbert.training.make_strategy("mirrored", num_virtual_devices=2)
one_device = kerasbert.training.make_strategy("none")
print(two_devices.num_replicas_in_sync, "replicas")

# %% [markdown]
# The data are as in [Sentiment in five minutes](sentiment.md); the model is the smallest BERT,
# with a vocabulary of these sentences. There is no dropout: each device would draw its own masks,
# as it should, and the runs could not be compared.

# %%
URL = (
    "https://raw.githubusercontent.com/eyalbd2/Reproducing-AutoPrompt/"
    "6288fb5bec9c572f2492875ae0111df5b6daed11/glue_data/SST-2"
)
path = keras.utils.get_file("sst2-train.tsv", f"{URL}/train_full.tsv")
train = kerasbert.data.read_examples(path, glue="sst2")
texts, labels = train.texts["text"][:EXAMPLES], train.labels[:EXAMPLES]
tokenizer = kerasbert.text.WordPieceTokenizer(
    kerasbert.text.train_vocabulary(train.texts["text"], 60 if SHORT else 4_000)
)
config = kerasbert.BackboneConfig.from_preset(
    "bert_tiny",
    vocabulary_size=tokenizer.vocabulary_size,
    max_sequence_length=64,
    dropout=0.0,
    attention_dropout=0.0,
)

# %% [markdown]
# Build and compile in the strategy's scope; `fit` is Keras's. `batch_size` is the **global**
# batch: with two devices, each gets 32 rows of these 64. Nothing else changes, and the learning
# rate does not either.


# %%
def trained(strategy):
    keras.utils.set_random_seed(0)
    with strategy.scope():
        model = kerasbert.TextClassifier(
            kerasbert.Backbone(config), classes=train.classes, tokenizer=tokenizer
        )
        model.compile(kerasbert.training.adamw(1e-3))
    history = model.fit(texts, labels, batch_size=64, epochs=3, shuffle=False, verbose=0)
    return model, history.history["loss"]


model, losses = trained(one_device)
same, same_losses = trained(two_devices)
pairs = zip(model.get_weights(), same.get_weights(), strict=True)
difference = max(np.abs(a - b).max() for a, b in pairs)
print("loss of each epoch, one device: ", *(f"{loss:.6f}" for loss in losses))
print("loss of each epoch, two devices:", *(f"{loss:.6f}" for loss in same_losses))
print(f"largest difference of a weight: {difference:.0e}")

# %% [markdown]
# The difference is rounding: sums in another order. With sums of gradients that were averaged per
# device, as in many scripts, it would be as large as the weights' changes whenever the rows of a
# batch weigh differently (the last batch, masks, words without labels).
#
# ## Several processes
#
# The programs do the same with `--strategy`, and add checkpoints and resuming. `--workers 2`
# starts two processes on this machine with `--strategy multiworker`, which find each other as the
# machines of a cluster do.


# %%
def finetune(name, *options):
    """Runs `kerasbert finetune` in a process of its own, and returns the losses of its steps."""
    shutil.rmtree(f"runs/{name}", ignore_errors=True)  # a finished run is never replaced
    command = [sys.executable, "-m", "kerasbert", "finetune", "--output", f"runs/{name}"]
    command += ["--init", "runs/start", "--train", "train.tsv", "--epochs", "1", *options]
    subprocess.run(command, check=True, capture_output=True)
    with open(f"runs/{name}/losses.jsonl", encoding="utf-8") as file:
        return [json.loads(line)["loss"] for line in file]


kerasbert.Backbone(config).save_to_preset("runs/start", tokenizer=tokenizer, overwrite=True)
with open("train.tsv", "w", encoding="utf-8") as file:
    file.write("text\tlabel\n")
    file.writelines(f"{t}\t{y}\n" for t, y in zip(texts[:512], labels[:512], strict=True))

if not SHORT:  # each starts Python anew
    one = finetune("one")
    two = finetune("two", "--workers", "2")
    print("first and last loss, one process:  ", one[0], one[-1])
    print("first and last loss, two processes:", two[0], two[-1])
    pairs = zip(
        *(kerasbert.load(f"runs/{n}/model").get_weights() for n in ("one", "two")), strict=True
    )
    print(f"largest difference of a weight: {max(np.abs(a - b).max() for a, b in pairs):.0e}")

# %% [markdown]
# ## Real clusters
#
# All GPUs of a machine, in Python `make_strategy("mirrored")`, or:
#
# ```bash
# kerasbert pretrain --strategy mirrored --corpus corpora/mine --preset bert_base \
#     --batch_size 256 --output runs/base
# ```
#
# Several machines run the same command, each with its own place in `TF_CONFIG`. They must reach
# each other at these addresses, and see corpus and run directory at the same path.
#
# ```bash
# export TF_CONFIG='{"cluster": {"worker": ["10.0.0.1:2222", "10.0.0.2:2222"]},
#                    "task": {"type": "worker", "index": 0}}'
# kerasbert pretrain --strategy multiworker --corpus /data/corpus --preset bert_base \
#     --batch_size 512 --output /data/runs/base
# ```
#
# A scheduler knows the machines. Under Slurm, `scontrol show hostnames $SLURM_JOB_NODELIST` lists
# them and `SLURM_NODEID` is this one's number; a few lines turn these into `TF_CONFIG`.
# `tf_config.py` below is this function, and a line that prints its result for these hosts and this
# number. (There was no Slurm, and no machine with several GPUs, to try this on; four hosts that are
# network namespaces of one machine are in our tests.)


# %%
def tf_config(hosts, index, port=2222):
    """Returns TF_CONFIG for one of several machines."""
    workers = [f"{host}:{port}" for host in hosts]
    return json.dumps({"cluster": {"worker": workers}, "task": {"type": "worker", "index": index}})


print(tf_config(["node1", "node2"], 1))

# %% [markdown]
# ```bash
# #SBATCH --nodes=2 --ntasks-per-node=1 --gpus-per-node=8
# srun bash -c 'export TF_CONFIG=$(python tf_config.py) &&
#     kerasbert pretrain --strategy multiworker ...'
# ```
#
# What helps there:
#
# - `--dry_run` first: it prints the model, a batch, seconds a step and the hours of the whole
#   run, and writes nothing.
# - Kill it and repeat the command: it goes on from the newest checkpoint. The weights are bitwise
#   those of a run without the interruption if the strategy and the number of workers are the same.
#   With other numbers of workers they are the same up to rounding, if there is no dropout.
# - A larger model than fits: `--gradient_checkpointing`, `--accumulation_steps`, `--precision
#   bfloat16`; on JAX `--backend=jax --data_parallel=4 --model_parallel=2` shares the weights, too.
# - A TPU: `--strategy tpu`. It has not been run on one; XLA compiles the whole step for a CPU in
#   our tests.
#
# ## What to expect
#
# More devices help when a step has enough to compute. Two processes, each on one core of an AMD
# EPYC, reach 0.89 of twice the speed of one with 64 rows of 128 tokens for each, and 0.66 with 8
# rows, where sending the gradients takes as long as half of the step. On virtual devices nothing
# is faster: they are parts of one CPU. [Training](../training.md#several-machines) has the list
# of what happens when a worker fails, hangs or is cut off.
