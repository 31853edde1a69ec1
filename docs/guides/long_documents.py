# %% [markdown]
# # Long documents
#
# A BERT reads 512 tokens at most, and its time grows faster than the text. Cutting texts off
# there is the default everywhere, and it is fine as long as the beginning says it all. This guide
# shows what happens when it does not, and what to do: `TextClassifier` and `TextEmbedder` read a
# long text in chunks (`long_text=`), and pool what they found.
#
# The documents are made for this guide: manuals of some 300 words, the language reference of
# Python, with an opinion of three sentences from film reviews (SST-2) hidden in them. The
# question is whether the opinion is praise. The model is MiniLM. One that reads the first 64
# tokens is right for 55 % of the documents; one that reads chunks, and saw 256 documents in
# training, for 77 %, not far from its 81 % for single sentences.

# %%
import os
import random
import re
from pydoc_data.topics import topics

import keras
import matplotlib.pyplot as plt
import numpy as np

import kerasbert

SHORT = os.environ.get("KERASBERT_GUIDE") == "short"  # for tests: seconds, not minutes
SENTENCES, DOCUMENTS, TESTS = (64, 16, 16) if SHORT else (3_000, 256, 240)
DTYPE = "mixed_bfloat16"  # fast on new processors; `kerasbert doctor` tells
keras.utils.set_random_seed(0)

# %% [markdown]
# ## The data

# %%
URL = (
    "https://raw.githubusercontent.com/eyalbd2/Reproducing-AutoPrompt/"
    "6288fb5bec9c572f2492875ae0111df5b6daed11/glue_data/SST-2"
)
train = kerasbert.data.read_examples(
    keras.utils.get_file("sst2-train.tsv", f"{URL}/train_full.tsv"), glue="sst2"
)
dev = kerasbert.data.read_examples(
    keras.utils.get_file("sst2-dev.tsv", f"{URL}/dev.tsv"), glue="sst2"
)
manual = [" ".join(p.split()) for topic in topics.values() for p in re.split(r"\n\s*\n", topic)]
manual = [p for p in manual if len(p.split()) > 15 and sum(w.isalpha() for w in p.split()) > 12]


def make_documents(examples, count, seed):
    """Returns documents with a hidden opinion, their labels, and where it is, from 0 to 1."""
    choose = random.Random(seed)
    pool = {name: [] for name in examples.classes}
    for text, label in zip(examples.texts["text"], examples.labels, strict=True):
        pool[label].append(text.strip())
    texts, labels, places = [], [], []
    for _ in range(count):
        label, place = choose.choice(examples.classes), choose.random()
        parts = []
        while sum(len(part.split()) for part in parts) < 280:
            parts.append(choose.choice(manual))
        position = round(place * len(parts))
        opinion = " ".join(choose.sample(pool[label], 3))
        texts.append(" ".join([*parts[:position], opinion, *parts[position:]]))
        labels.append(label)
        places.append(position / len(parts))
    return texts, labels, np.array(places)


train_x, train_y, _ = make_documents(train, DOCUMENTS, seed=1)
test_x, test_y, places = make_documents(dev, TESTS, seed=2)
print(f"{len(train_x)} and {len(test_x)} documents; the first one, cut at 400 characters:")
print(test_x[0][:400])

# %% [markdown]
# ## A classifier of sentences
#
# First we train on single sentences, as in [sentiment](sentiment.md): there are many of them,
# they are short, and labels of sentences are easier to come by than labels of documents. On
# documents this model reads the first 64 tokens.

# %%
sentences = kerasbert.TextClassifier.from_preset(
    "hf://sentence-transformers/all-MiniLM-L6-v2",
    classes=train.classes,
    sequence_length=64,
    dtype=DTYPE,
)
steps = SENTENCES // 32
rate = kerasbert.training.Warmup(2e-4, steps, warmup_steps=steps // 10)
sentences.compile(kerasbert.training.adamw(rate))
sentences.fit(train.texts["text"][:SENTENCES], train.labels[:SENTENCES], batch_size=32, verbose=2)
sentences.save_to_preset("runs/sentences", overwrite=True)
is_right = {}  # by model, whether it is right about each document


def test(name, model):
    answers = [answer["label"] for answer in model.classify(test_x)]
    is_right[name] = np.array(answers) == np.array(test_y)
    print(f"{name}: right for {is_right[name].mean():.1%} of the documents")


print(f"{sentences.score(dev.texts['text'], dev.labels)['accuracy']:.1%} of the sentences")
test("first 64 tokens", sentences)

# %% [markdown]
# ## Reading everything
#
# The same weights with `long_text`: a document becomes up to `max_chunks` chunks of
# `sequence_length` tokens, which overlap a little so that no sentence is torn apart in both. The
# encoder reads each chunk, and the chunks' vectors are pooled: `"mean"`, `"max"`, or
# `"attention"`, a weighted mean whose weights are learned. All of it is inside the model, in
# training as in an export, and the time grows with the length, not with its square. A text of one
# chunk gives what it gave before.

# %%
SETTINGS = {"dtype": DTYPE, "sequence_length": 64, "max_chunks": 9, "chunk_overlap": 8}
mean = kerasbert.TextClassifier.from_preset("runs/sentences", long_text="mean", **SETTINGS)
test("mean of chunks", mean)

# %% [markdown]
# Most chunks are manual, of which the model of sentences has never seen any; a few hundred
# labeled documents teach it to ignore them. With learned weights it can. (Two passes over 256
# documents are few; the model has not finished learning.)

# %%
attention = kerasbert.TextClassifier.from_preset(
    "runs/sentences", long_text="attention", **SETTINGS
)
BATCH, EPOCHS = 16, 1 if SHORT else 2
steps = EPOCHS * len(train_x) // BATCH
attention.compile(
    kerasbert.training.adamw(kerasbert.training.Warmup(1e-4, steps, warmup_steps=steps // 10))
)
attention.fit(train_x, train_y, batch_size=BATCH, epochs=EPOCHS, verbose=2)
test("attention, trained on documents", attention)

# %% [markdown]
# Where is the opinion, and which model finds it there?

# %% picture="Accuracy by the place of the opinion in the document, for the three models"
part_of = np.minimum((places * 5).astype(int), 4)
plt.figure(figsize=(7, 3))
for name, right in is_right.items():
    plt.plot([right[part_of == part].mean() for part in range(5)], marker="o", label=name)
plt.axhline(0.5, color="gray", linewidth=0.8)
plt.xticks(range(5), ["start", "", "middle", "", "end"])
plt.xlabel("place of the opinion in the document")
plt.ylabel("accuracy")
plt.ylim(0.3, 1)
plt.legend()
plt.tight_layout()
plt.show()

# %% [markdown]
# ## What to choose
#
# - The beginning says it all (news, abstracts): truncation, the default.
# - The topic is everywhere (articles, books): `long_text="mean"`.
# - What counts is in one place (contracts, e-mails): `"attention"` or `"max"`, trained on
#   documents.
# - Vectors of long texts for [search](semantic_search.md): `TextEmbedder(..., long_text="mean")`,
#   or a vector for each paragraph.
# - [Names](named_entities.md) and [answers](questions.md) in long texts: nothing to do,
#   `TokenClassifier` and `QuestionAnswerer` read any text in windows.
#
# Longer chunks keep more context together, and cost more. `max_chunks` bounds time and memory;
# what lies beyond is ignored.
