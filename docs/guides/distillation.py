# %% [markdown]
# # A tenth of the size
#
# Distillation trains a small model, the student, to imitate a large one, the teacher. It needs no
# labels: any text of the right kind will do, because the teacher answers. Here the teacher is
# MiniLM, fine-tuned on 2,000 labeled sentences of film reviews (SST-2), and the student has a
# tenth of its parameters, most of which go to its own, smaller vocabulary. We compare the student
# with what it would have learned from the labels alone.

# %%
import os
import time

import keras
import matplotlib.pyplot as plt
import numpy as np

import kerasbert

SHORT = os.environ.get("KERASBERT_GUIDE") == "short"  # for tests: seconds, not minutes
LABELED, UNLABELED, VOCABULARY = (32, 32, 60) if SHORT else (2_000, 10_000, 6_000)
keras.utils.set_random_seed(0)

# %% [markdown]
# ## The data
#
# From the training sentences we take 2,000 with their labels, and 10,000 others without.

# %%
URL = (
    "https://raw.githubusercontent.com/eyalbd2/Reproducing-AutoPrompt/"
    "6288fb5bec9c572f2492875ae0111df5b6daed11/glue_data/SST-2"
)
path = keras.utils.get_file("sst2-train.tsv", f"{URL}/train_full.tsv")
train = kerasbert.data.read_examples(path, glue="sst2")
path = keras.utils.get_file("sst2-dev.tsv", f"{URL}/dev.tsv")
dev = kerasbert.data.read_examples(path, glue="sst2")
chosen = np.random.default_rng(0).permutation(len(train))
texts = [train.texts["text"][i] for i in chosen]
labels = [train.labels[i] for i in chosen[:LABELED]]
labeled, unlabeled = texts[:LABELED], texts[LABELED : LABELED + UNLABELED]


def optimizer(peak, examples, epochs, batch_size):
    steps = epochs * -(-examples // batch_size)
    return kerasbert.training.adamw(
        kerasbert.training.Warmup(peak, steps, warmup_steps=steps // 10)
    )


def accuracy(model):
    return model.score(dev.texts["text"], dev.labels)["accuracy"]


# %% [markdown]
# ## The teacher
#
# The better the teacher, the better the student: in earnest, take the largest model that you can
# fine-tune.

# %%
teacher = kerasbert.TextClassifier.from_preset(
    "hf://sentence-transformers/all-MiniLM-L6-v2", classes=train.classes, sequence_length=64
)
teacher.compile(optimizer(2e-4, LABELED, 2, 32))
teacher.fit(labeled, labels, batch_size=32, epochs=2, verbose=2)
results = {"teacher": (teacher.count_params(), accuracy(teacher))}

# %% [markdown]
# ## The student
#
# Half of MiniLM's parameters are the embeddings of 30,522 tokens. A vocabulary of film reviews
# needs fewer, and a student may have its own tokenizer: each model then reads the text in its own
# way. What remains goes to two layers of width 192.


# %%
tokenizer = kerasbert.text.WordPieceTokenizer(kerasbert.text.train_vocabulary(texts, VOCABULARY))
config = kerasbert.BackboneConfig(
    vocabulary_size=tokenizer.vocabulary_size,
    num_layers=2,
    hidden_dim=192,
    num_heads=3,
    intermediate_dim=768,
    max_sequence_length=64,
)


def new_student():
    return kerasbert.TextClassifier(
        kerasbert.Backbone(config), classes=train.classes, tokenizer=tokenizer
    )


print(f"student / teacher: {new_student().count_params() / teacher.count_params():.2f}")

# %% [markdown]
# First, what does it learn from the labels? Little: it starts with random weights, and 2,000
# sentences have few words of the language.

# %%
alone = new_student()
alone.compile(optimizer(1e-3, LABELED, 4, 32))
alone.fit(labeled, labels, batch_size=32, epochs=4, verbose=2)
results["labels alone"] = (alone.count_params(), accuracy(alone))

# %% [markdown]
# ## Distillation
#
# `distill` gives the student the teacher's logits to match, softened by a temperature, so that it
# also learns how sure the teacher is. Without labels their weight is 1 (`alpha`).

# %%
student = new_student()
kerasbert.distillation.distill(
    teacher,
    student,
    labeled + unlabeled,
    temperature=2.0,
    optimizer=optimizer(1e-3, len(labeled + unlabeled), 2, 64),
    batch_size=64,
    epochs=2,
    verbose=2,
)
results["distilled"] = (student.count_params(), accuracy(student))

# %% [markdown]
# ## The result
#
# Predictions per second are relative to the teacher's, on the dev sentences, the best of three
# turns.


# %%
def seconds(model):
    taken = []
    for _ in range(4):  # the first compiles
        start = time.perf_counter()
        model.predict(dev.texts["text"], batch_size=64, verbose=0)
        taken.append(time.perf_counter() - start)
    return min(taken[1:])


most = max(map(dev.labels.count, dev.classes)) / len(dev)
print(f"{'always the same':<16} {'':>10} accuracy {most:.3f}")
for name, (size, score) in results.items():
    print(f"{name:<16} {size / 1e6:>5.1f} M    accuracy {score:.3f}")
print(f"speed: {seconds(teacher) / seconds(student):.1f} times the teacher's")

# %% picture="Accuracy against size: the distilled student is far above the one trained on labels"
plt.figure(figsize=(5, 2.6))
for name, (size, score) in results.items():
    plt.scatter(size / 1e6, score)
    plt.annotate(name, (size / 1e6, score), (6, -3), textcoords="offset points")
plt.axhline(most, color="gray", linestyle=":")
plt.xlim(0, 1.4 * teacher.count_params() / 1e6)
plt.xlabel("million parameters")
plt.ylabel("accuracy")
plt.tight_layout()
plt.show()

# %% [markdown]
# ## Other ways
#
# - **Fewer layers of the teacher.** `student_from` copies some of its layers with the embeddings;
#   it starts far better than random, and stays larger. It also can be trained layer by layer
#   (`hidden="mse"`, `attention="mse"`).
# - **Labels and teacher.** Give `distill` labels as well; `alpha=0.5` weighs both alike.
# - **Pretrain the student first**, on any text of the language
#   ([pretraining](pretraining.md)): what it lacks most is knowledge of words.
# - **Smaller numbers.** `quantize("int8")` before `export`, or `export --precision bfloat16`,
#   quarters or halves the bytes of either model; see [tasks](../tasks.md#keras-features). Then
#   [serve](serving.md) it.
#
# ```bash
# kerasbert distill --teacher runs/big/model --student_layers 3 \
#     --train train.tsv --validation dev.tsv --output runs/small
# ```

# %%
small = kerasbert.distillation.student_from(teacher, num_layers=1)
print(f"one layer of the teacher: {small.count_params() / teacher.count_params():.2f}")

# %% [markdown]
# ## What to expect
#
# - The student comes within four points of its teacher, and the same model trained on the labels
#   within ten. More text narrows what is left: SST-2 has 55,000 more sentences, and any film
#   reviews would do.
# - It can't be better than what it imitates. This teacher saw 2,000 labels; a better one (more
#   labels, a larger model) is worth more than any setting of the student.
# - Speed follows layers and width, not parameters: the embeddings of a large vocabulary cost memory
#   and no time. DistilBERT (Sanh et al., 2019, 1910.01108) halves the layers of BERT and keeps 97 %
#   of its scores.
