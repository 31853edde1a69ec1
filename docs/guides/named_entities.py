# %% [markdown]
# # Named entities from CoNLL
#
# We train a model that finds people, places, companies, products and works in short messages from
# the web, from files in CoNLL's format: a word and its tag per line, an empty line between
# sentences. The data are WNUT-17, whose test set has names that the training set does not have;
# this is what makes it hard. The model is MiniLM (`sentence-transformers/all-MiniLM-L6-v2`),
# small and without capital letters. Expect an F1 of about 42 %; a list of the names in the
# training set reaches 6 %.

# %%
import collections
import os

import keras
import matplotlib.pyplot as plt
import numpy as np

import kerasbert
from kerasbert.metrics.entities import entity_scores

SHORT = os.environ.get("KERASBERT_GUIDE") == "short"  # for tests: seconds, not minutes
EPOCHS = 1 if SHORT else 4
keras.utils.set_random_seed(0)

# %% [markdown]
# ## The data
#
# `read_columns` reads CoNLL-2003, GermEval, CoNLL-U, or JSON lines with lists of words and tags.
# Sentences whose tags make no sense are left out, and counted.

# %%
URL = (
    "https://raw.githubusercontent.com/leondz/emerging_entities_17/"
    "e52a2d2a71ac1a051ca2d532eef28653c5c02603"
)
NAMES = ("wnut17train.conll", "emerging.dev.conll", "emerging.test.annotated")
train, dev, test = (
    kerasbert.data.read_columns(keras.utils.get_file(name, f"{URL}/{name}")) for name in NAMES
)
for part in (train, dev, test):
    entities = sum(tag.startswith("B-") for tags in part.labels for tag in tags)
    print(f"{len(part):,} sentences, {entities:,} entities, {part.num_skipped} left out")
example = next(i for i, tags in enumerate(train.labels) if "B-location" in tags)
for word, tag in zip(train.texts["words"][example], train.labels[example], strict=True):
    print(f"{word:10} {tag}")

# %% [markdown]
# ## What a list of names finds
#
# Every result needs something to compare it with. The simplest tagger remembers the most frequent
# tag of every word that it has seen. `entity_scores` counts an entity as found if its words and
# its type are all right, as CoNLL's own script does.

# %%
seen = collections.defaultdict(collections.Counter)
for words, tags in zip(train.texts["words"], train.labels, strict=True):
    for word, tag in zip(words, tags, strict=True):
        seen[word][tag] += 1
remembered = {word: tags.most_common(1)[0][0] for word, tags in seen.items()}
by_list = [[remembered.get(word, "O") for word in words] for words in test.texts["words"]]
list_scores = entity_scores(test.labels, by_list)
print(f"F1 of a list of names: {list_scores['f1']:.1%}")

# %% [markdown]
# ## Training
#
# A `TokenClassifier` has one output per tag, and takes sentences as lists of words. A word has
# one tag, which its first token learns; sentences longer than `sequence_length` are read in
# overlapping windows, so nothing is cut off. bfloat16 is twice as fast on new processors, and
# slower on others: `kerasbert doctor` tells which yours is.

# %%
tagger = kerasbert.TokenClassifier.from_preset(
    "hf://sentence-transformers/all-MiniLM-L6-v2",
    classes=sorted({tag for tags in train.labels for tag in tags}),
    sequence_length=128,
    dtype="mixed_bfloat16",
)
BATCH = 32
steps = EPOCHS * -(-len(train) // BATCH)
rate = kerasbert.training.Warmup(2e-4, steps, warmup_steps=steps // 10)
tagger.compile(kerasbert.training.adamw(rate))
history = tagger.fit(
    train.texts,
    train.labels,
    batch_size=BATCH,
    epochs=EPOCHS,
    validation_data=(dev.texts, dev.labels),
    verbose=2,
)

# %% [markdown]
# The accuracy is high from the start, because 19 of 20 words are no names. Only the F1 of
# entities says something.

# %%
scores = tagger.score(test.texts, test.labels)
for name in ("accuracy", "precision", "recall", "f1"):
    print(f"{name:10} {scores[name]:.1%}")

# %% picture="F1 of each entity type, for the list of names and for the model"
types = sorted(
    (name.removeprefix("f1/") for name in scores if name.startswith("f1/")),
    key=lambda kind: -scores[f"f1/{kind}"],
)
left = np.arange(len(types))
plt.figure(figsize=(7, 2.8))
plt.bar(left - 0.2, [list_scores.get(f"f1/{kind}", 0) for kind in types], 0.4, label="list")
plt.bar(left + 0.2, [scores[f"f1/{kind}"] for kind in types], 0.4, label="model")
plt.xticks(left, types)
plt.ylabel("F1")
plt.legend()
plt.tight_layout()
plt.show()

# %% [markdown]
# People and places have names that look like names. A film or a product can be called anything,
# and has a hundred examples to learn from: more data for these would help more than a larger
# model.
#
# ## Tagging text
#
# `tag` also takes plain strings. With `aggregation`, words that belong together become entities,
# with their positions in the string, as in transformers' pipeline. The second text shows what is
# hard: "lol" is no name.

# %%
texts = [
    "Marie Dupont moved from Lyon to Buenos Aires and works for Microsoft.",
    "watching Game of Thrones in Chicago with Tom lol",
]
for text, found in zip(texts, tagger.tag(texts, aggregation="first"), strict=True):
    print(text)
    for entity in found:
        place = f"{entity.start:3}-{entity.end:<3}"
        print(f"  {place} {entity.label:14} {entity.score:.2f}  {entity.text}")

# %% [markdown]
# ## Keeping it
#
# The directory can be loaded with `kerasbert.load`, exported for TensorFlow Serving, or used by
# the commands below.

# %%
tagger.save_to_preset("runs/entities", overwrite=True)

# %% [markdown]
# ```bash
# kerasbert evaluate --model runs/entities --data emerging.test.annotated
# kerasbert predict --model runs/entities --input texts.txt --output entities.jsonl
# kerasbert export --model runs/entities --output saved_models/entities/1
# ```
#
# - Other languages: start from `hf://google-bert/bert-base-multilingual-cased`, or from a model
#   of your language. For German, English and others whose names have capitals, use a *cased*
#   model.
# - A model that is trained already: `kerasbert.load("hf://dslim/bert-base-NER")` tags without any
#   training.
# - What holds between two entities: [relations](relation_extraction.md). Who did what:
#   [semantic roles](semantic_roles.md).
