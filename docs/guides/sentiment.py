# %% [markdown]
# # Sentiment in five minutes
#
# We teach a small model to tell praise from blame in sentences of film reviews (SST-2, the
# Stanford Sentiment Treebank), measure it, look at which words decide, and write a model to disk
# that takes plain strings. The model is MiniLM (`sentence-transformers/all-MiniLM-L6-v2`): 6
# layers, 22 million parameters, English. With a quarter of the training data it is right for
# about 87 of 100 sentences.

# %%
import os

import keras
import matplotlib.pyplot as plt
import numpy as np

import kerasbert

SHORT = os.environ.get("KERASBERT_GUIDE") == "short"  # for tests: seconds, not minutes
EXAMPLES = 64 if SHORT else 16_000
keras.utils.set_random_seed(0)

# %% [markdown]
# ## The data
#
# SST-2 is a table with the columns `sentence` and `label`, where 1 is praise. `read_examples`
# reads TSV, CSV and JSON lines, and finds columns with the usual names; `text_column` and
# `label_column` name others. The same data are `read_examples("tfds:glue/sst2:train")` for those
# who use TensorFlow Datasets.

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
chosen = np.random.default_rng(0).permutation(len(train))[:EXAMPLES]
texts = [train.texts["text"][i] for i in chosen]
labels = [train.labels[i] for i in chosen]
print(
    f"{len(train):,} sentences to train on, of which we use {len(texts):,}; {len(dev)} to test on"
)
for text, label in zip(texts[:3], labels[:3], strict=True):
    print(f"{label}: {text}")

# %% [markdown]
# ## The model
#
# `from_preset` downloads the encoder and its vocabulary, and puts a new classifier on top, one
# output per class. Any BERT, RoBERTa, ALBERT, DistilBERT or ELECTRA on Hugging Face loads in the
# same way, and so does a directory on your disk. `sequence_length` cuts long texts; film reviews'
# sentences are short.

# %%
classifier = kerasbert.TextClassifier.from_preset(
    "hf://sentence-transformers/all-MiniLM-L6-v2",
    classes=train.classes,
    sequence_length=64,
)
print("new weights:", ", ".join(classifier.uninitialized_weights))

# %% [markdown]
# ## Training
#
# The model takes strings and class names as they are. `compile` without arguments means AdamW at
# 5e-5; a small model likes a higher rate, which here rises for the first tenth of the steps and
# then falls to 0. One pass over the data is enough.

# %%
BATCH = 32
steps = len(texts) // BATCH
rate = kerasbert.training.Warmup(2e-4, steps, warmup_steps=steps // 10)
classifier.compile(kerasbert.training.adamw(rate))
history = classifier.fit(
    texts,
    labels,
    batch_size=BATCH,
    validation_data=(dev.texts["text"], dev.labels),
    verbose=2,
)

# %% [markdown]
# `score` computes the metrics that papers report. Always look at the trivial answer beside them:
# on these sentences, "always the same class" is right for about half. The published accuracy of
# BERT-base on all 67,000 sentences is about 93 %.

# %%
scores = classifier.score(dev.texts["text"], dev.labels)
most = max(dev.labels.count(name) for name in dev.classes) / len(dev)
print(f"accuracy {scores['accuracy']:.1%}, always the same class {most:.1%}")

# %% [markdown]
# ## Asking it
#
# `classify` gives names and probabilities. The last sentence praises three things and is a
# complaint, for which a small model falls.

# %%
sentences = [
    "A warm and funny film that I did not want to end.",
    "Two hours of my life that I will never get back.",
    "It had a great cast, a great budget and nothing to say.",
]
for sentence, answer in zip(sentences, classifier.classify(sentences), strict=True):
    print(f"{answer['label']:8} {answer['scores']['positive']:.2f}  {sentence}")

# %% [markdown]
# Which words decide? Leave each one out, and see how far the probability of praise moves.

# %% picture="Bars for every word of a sentence: how much it adds to the probability of praise"
sentence = "a slow start , but the acting is wonderful and the end left me speechless"
words = sentence.split()
without = [" ".join(words[:i] + words[i + 1 :]) for i in range(len(words))]
whole, *parts = (
    answer["scores"]["positive"] for answer in classifier.classify([sentence, *without])
)
effect = whole - np.array(parts)
plt.figure(figsize=(7, 2.8))
plt.bar(range(len(words)), effect, color=np.where(effect > 0, "seagreen", "indianred"))
plt.xticks(range(len(words)), words, rotation=60)
plt.ylabel("effect on P(praise)")
plt.title(f"P(praise) = {whole:.2f}")
plt.tight_layout()
plt.show()

# %% [markdown]
# One word outweighs everything else here: the model takes *speechless* for blame. Such pictures
# show what a model learned, and which examples it lacks. [Reading a model](reading_a_model.md) has
# more of them.
#
# ## Keeping it
#
# `save_to_preset` writes a directory for `kerasbert.load`, or with `format="hf"` one for
# transformers. `export` writes a SavedModel with the tokenizer inside: a server sends strings and
# gets names. It is checked in a fresh process before it appears.

# %%
classifier.save_to_preset("runs/sentiment", overwrite=True)
classifier.export("saved_models/sentiment/1", overwrite=True)

# The shell: kerasbert query --saved_model saved_models/sentiment --text "a fine film"
again = kerasbert.load("runs/sentiment")
print(again.classify(["a fine film"])[0]["label"])

# %% [markdown]
# ## What to do next
#
# - All of it without Python: `kerasbert finetune --init hf://... --glue sst2 --train train.tsv
#   --validation dev.tsv --output runs/sentiment`.
# - Your own labels: any number of classes, several per text
#   (`problem_type="multi_label_classification"`), or numbers (`"regression"`); see
#   [tasks](../tasks.md).
# - More accuracy: all of the data, then a larger model; [performance](../performance.md) says
#   what it costs.
# - Texts of more than 512 tokens: [long documents](long_documents.md). Answers over the network:
#   [serving](serving.md).
