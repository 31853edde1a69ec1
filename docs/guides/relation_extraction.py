# %% [markdown]
# # Relations between marked entities
#
# Which relation holds between two things in a sentence? In *the burst was caused by pressure*,
# the answer depends on which two words are meant, and in which order. We put them between
# **markers**, tokens that are added to the vocabulary, and classify the marked sentence: the
# recipe of Baldini Soares et al. (2019, 1906.03158) and Wu and He (2019, 1905.08284) on a plain
# `TextClassifier`. Data are SemEval-2010 Task 8, 8,000 sentences of which we train on half, and
# the model is MiniLM (22 million parameters). At the end you have a model that takes marked
# sentences, its official score, and the score without markers.

# %%
import os

import keras
import numpy as np

import kerasbert

SHORT = os.environ.get("KERASBERT_GUIDE") == "short"  # for tests: seconds, not minutes
EXAMPLES = 64 if SHORT else 4_000
EPOCHS = 1 if SHORT else 2
keras.utils.set_random_seed(0)

# %% [markdown]
# ## The data
#
# The original files mark the two entities as `<e1>` and `<e2>`; this copy of the data has
# `[E11] ... [E12]` around the first, and `[E21] ... [E22]` around the second. There are nine
# relations, each in both directions, and `Other`: *Cause-Effect(e2,e1)* says that the second
# entity is the cause. Columns are a number, the sentence, and the index of the relation.

# %%
URL = (
    "https://raw.githubusercontent.com/hint-lab/bert-relation-classification/"
    "c26aecc4bd75d7251a268039d769ef55bc1e07d3/data"
)
NAMES = [
    "Message-Topic",
    "Product-Producer",
    "Instrument-Agency",
    "Entity-Destination",
    "Cause-Effect",
    "Component-Whole",
    "Entity-Origin",
    "Member-Collection",
    "Content-Container",
]
RELATIONS = ["Other"] + [f"{name}({way})" for name in NAMES for way in ("e1,e2", "e2,e1")]


def read(name, url):
    with open(keras.utils.get_file(name, url), encoding="utf-8") as file:
        rows = [line.rstrip("\n").split("\t") for line in file]
    return [row[1] for row in rows], [RELATIONS[int(row[2])] for row in rows]


x_train, y_train = read("semeval10-train.tsv", f"{URL}/train.tsv")
x_test, y_test = read("semeval10-test.tsv", f"{URL}/test.tsv")
x_train, y_train = x_train[:EXAMPLES], y_train[:EXAMPLES]
print(len(x_train), "sentences to train on,", len(x_test), "to test on")
for text, relation in zip(x_train[:3], y_train[:3], strict=True):
    print(f"{relation}: {text}")

# %% [markdown]
# ## The model
#
# `add_tokens` returns a copy of the model whose vocabulary and token embeddings have new rows.
# `special=True` says that the markers are not text: they are matched as written, before a text
# is lower-cased. (Without added tokens each marker would be cut into several: that works, but
# takes positions and training for what one token can say.)

# %%
MARKERS = ["[E11]", "[E12]", "[E21]", "[E22]"]


def fine_tuned(texts):
    model = kerasbert.TextClassifier.from_preset(
        "hf://sentence-transformers/all-MiniLM-L6-v2", classes=RELATIONS, sequence_length=96
    )
    model = model.add_tokens(MARKERS, special=True)
    steps = EPOCHS * -(-len(texts) // 32)
    rate = kerasbert.training.Warmup(2e-4, steps, warmup_steps=steps // 10)
    model.compile(kerasbert.training.adamw(rate))
    model.fit(texts, y_train, batch_size=32, epochs=EPOCHS, verbose=2)
    return model


model = fine_tuned(x_train)

# %% [markdown]
# ## The metric
#
# The task's official score is the mean F1 of the nine relations. `Other` has no F1 of its own,
# and a relation in the wrong direction is wrong. A model that always gives the most frequent
# answer, `Other`, scores 0.


# %%
def official_f1(true, predicted):
    true, predicted = np.array(true), np.array(predicted)
    scores = []
    for name in NAMES:
        of_true, of_predicted = (np.char.startswith(x, name) for x in (true, predicted))
        right = np.sum(of_true & (true == predicted))
        scores.append(2 * right / max(1, np.sum(of_true) + np.sum(of_predicted)))
    return float(np.mean(scores))


def evaluate(model, texts):
    predicted = [answer["label"] for answer in model.classify(texts)]
    accuracy = np.mean(np.array(y_test) == predicted)
    return f"F1 {official_f1(y_test, predicted):.3f}, accuracy {accuracy:.3f}"


print(f"always Other: F1 0, accuracy {y_test.count('Other') / len(y_test):.3f}")
print("with markers:", evaluate(model, x_test))

# %% [markdown]
# What are the markers worth? Here is the same training on the sentences without them. The model
# must guess which two nouns are meant, and in which order.


# %%
def unmarked(texts):
    return [" ".join(word for word in text.split() if word not in MARKERS) for text in texts]


print("without markers:", evaluate(fine_tuned(unmarked(x_train)), unmarked(x_test)))

# %% [markdown]
# ## Asking it
#
# Ask about two pairs of the same sentence. In an application a `TokenClassifier`
# [finds the entities](named_entities.md), and every pair of them becomes a question.


# %%
def marked(sentence, first, second):
    sentence = sentence.replace(first, f"[E11] {first} [E12]")
    return sentence.replace(second, f"[E21] {second} [E22]")


sentence = "the engine of the car was damaged by the fire"
pairs = [("engine", "car"), ("engine", "fire")]
for pair, answer in zip(pairs, model.classify([marked(sentence, *p) for p in pairs]), strict=True):
    print(*pair, answer["label"], round(answer["scores"][answer["label"]], 2))

# %% [markdown]
# The markers belong to the tokenizer, so they are stored with the model, in directories as in
# exports: a server gets the marked sentence as one string.

# %%
model.save_to_preset("runs/relations", overwrite=True)
print(kerasbert.load("runs/relations").tokenizer.added_tokens[0].content)

# %% [markdown]
# ## What to expect
#
# - Two passes over half of the data and a small encoder are a beginning, and the loss was still
#   falling. With all 8,000 sentences and BERT-base or BERT-large, papers report an F1 of 0.88 to
#   0.89: more training, data and encoder do more than any change to the head.
# - Where most pairs have no relation, as in news, scores are lower: Shi and Lin (2019,
#   1904.05255) report 0.678 with BERT-base on TACRED. Train with as many pairs without a relation
#   as you will meet.
# - Your own entities need only the four markers. Where both entities can have either role ("x is
#   the parent of y"), mark them in the order of the text and have a class for each direction, as
#   here, or mark roles and have one class.
# - Without Python: `kerasbert finetune --init runs/with_markers --train marked.tsv --output
#   runs/relations`, where `runs/with_markers` is a model to which the tokens were added
#   (`save_to_preset`).
