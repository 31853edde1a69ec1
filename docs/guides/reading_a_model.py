# %% [markdown]
# # Reading a model
#
# Why did it say so? Three ways to look into a classifier of film reviews (SST-2, MiniLM): which
# words its answer depends on, by leaving them out and by SHAP; where its attention goes; and what
# its layers make of a word. Each is a few lines, because `predict` takes strings, and a backbone
# returns its attention and its hidden states when asked to.

# %%
import os

import keras
import matplotlib.pyplot as plt
import numpy as np

import kerasbert

SHORT = os.environ.get("KERASBERT_GUIDE") == "short"  # for tests: seconds, not minutes
EXAMPLES = 64 if SHORT else 3_000
keras.utils.set_random_seed(0)

# %% [markdown]
# ## A model to read
#
# As in [Sentiment in five minutes](sentiment.md), with fewer examples.

# %%
URL = (
    "https://raw.githubusercontent.com/eyalbd2/Reproducing-AutoPrompt/"
    "6288fb5bec9c572f2492875ae0111df5b6daed11/glue_data/SST-2"
)
path = keras.utils.get_file("sst2-train.tsv", f"{URL}/train_full.tsv")
train = kerasbert.data.read_examples(path, glue="sst2")
path = keras.utils.get_file("sst2-dev.tsv", f"{URL}/dev.tsv")
dev = kerasbert.data.read_examples(path, glue="sst2")

classifier = kerasbert.TextClassifier.from_preset(
    "hf://sentence-transformers/all-MiniLM-L6-v2", classes=train.classes, sequence_length=64
)
steps = EXAMPLES // 32
rate = kerasbert.training.Warmup(2e-4, steps, warmup_steps=steps // 10)
classifier.compile(kerasbert.training.adamw(rate))
chosen = np.random.default_rng(0).permutation(len(train))[:EXAMPLES]
texts = [train.texts["text"][i] for i in chosen]
classifier.fit(texts, [train.labels[i] for i in chosen], batch_size=32, verbose=2)
classifier.save_to_preset("runs/reviews", overwrite=True)
print("accuracy:", round(classifier.score(dev.texts["text"], dev.labels)["accuracy"], 3))

# %% [markdown]
# ## Which words decide
#
# `predict` is a function from strings to an array, so the simplest question is one call: what
# changes if a word is left out? The numbers are differences of logits, "positive" minus
# "negative"; above 0 a word speaks for praise.


# %%
def praise(texts):
    logits = classifier.predict(list(texts), verbose=0)
    return logits[:, 1] - logits[:, 0]


def without_each(sentence):
    words = sentence.split()
    shorter = [" ".join(words[:i] + words[i + 1 :]) for i in range(len(words))]
    whole, *rest = praise([sentence, *shorter])
    return words, whole - np.array(rest)


# %% picture="Bars for the words of two sentences: in one, 'not' decides, in the other none"
sentences = ["the plot is not bad at all", "the plot is not good at all"]
figure, axes = plt.subplots(1, 2, figsize=(7, 2.4), sharey=True)
for axis, sentence in zip(axes, sentences, strict=True):
    words, effect = without_each(sentence)
    axis.bar(range(len(words)), effect, color=np.where(effect > 0, "seagreen", "indianred"))
    axis.set_xticks(range(len(words)), words, rotation=60)
    axis.set_title(f"praise {praise([sentence])[0]:+.1f}")
axes[0].set_ylabel("effect on the logit")
plt.tight_layout()
plt.show()

# %% [markdown]
# In the second sentence, *not* decides. About the first the model is wrong, and no word alone is
# to blame: for this small model *not* and *bad* each are enough for a bad review, so that leaving
# out one of them changes little. SHAP (`pip install shap`) sees that: it leaves out many
# combinations of words, and shares the difference among them. It needs a function from strings
# to numbers, and a way to cut a text into words:
#
# ```py
# import shap
#
# explainer = shap.Explainer(praise, shap.maskers.Text(r"\W+"), seed=0)
# values = explainer(sentences)
# print(*zip(values.data[0], values.values[0].round(2)))
# shap.plots.text(values)  # in a notebook
# ```
#
# ## Where attention goes
#
# A backbone with `return_hidden_states=True` also returns what is inside: `attention_weights`, an
# array (batch, heads, tokens, tokens) for each layer, and `hidden_states`, (batch, tokens,
# width), for the embeddings and each layer. The setting is for reading only: exports and
# predictions are slower with it.

# %%
reader = kerasbert.TextClassifier.from_preset(
    "runs/reviews", backbone={"return_hidden_states": True}
)
features = reader.preprocessor([sentences[0]])
outputs = reader.backbone(features)
tokens = [reader.tokenizer.id_to_token(int(i)) for i in features["token_ids"][0]]
attention = np.array([weights[0] for weights in outputs["attention_weights"]])
print(*tokens)
print("layers, heads, from, to:", attention.shape)

# %% [markdown]
# A row of a picture says where one token looks. Heads have habits: some look at the next or the
# previous token, many at `[CLS]` or `[SEP]`, where they do little (Clark et al., 2019,
# 1906.04341). Here are three heads of different layers.

# %% picture="Attention of three heads as grids of tokens; dark cells are where a token looks"
layers = attention.shape[0]
figure, axes = plt.subplots(1, 3, figsize=(7.5, 3), sharey=True)
for axis, (layer, head) in zip(axes, [(0, 0), (layers // 2, 1), (layers - 1, 0)], strict=True):
    axis.imshow(attention[layer, head], cmap="Blues", vmin=0, vmax=1)
    axis.set_xticks(range(len(tokens)), tokens, rotation=90, fontsize=8)
    axis.set_yticks(range(len(tokens)), tokens, fontsize=8)
    axis.set_title(f"layer {layer + 1}, head {head + 1}", fontsize=9)
plt.tight_layout()
plt.show()

# %% [markdown]
# The answer is read from `[CLS]`. Attention rollout (Abnar and Zuidema, 2020, 2005.00928)
# follows its attention down through all layers, half of it and half of the residual connection
# in each:

# %%
rollout = np.eye(len(tokens))
for layer in attention.mean(axis=1):  # over heads
    rollout = (0.5 * layer + 0.5 * np.eye(len(tokens))) @ rollout
for token, share in zip(tokens, rollout[0], strict=True):
    print(f"{token:<8} {share:.2f} {'#' * round(100 * share)}")

# %% [markdown]
# BertViz draws the same arrays in a notebook, with lines from token to token. It takes a list of
# PyTorch tensors, (1, heads, tokens, tokens) for each layer (`pip install bertviz torch`):
#
# ```py
# import torch
# from bertviz import head_view
#
# head_view([torch.tensor(np.array(layer)) for layer in outputs["attention_weights"]], tokens)
# ```
#
# ## What the layers make of a word
#
# Hidden states are vectors of tokens in context. The two *not* below begin alike, part ways in
# the middle, where one has read *bad* and the other *good*, and are alike again at the end: this
# model takes both for blame. A model that understands *not bad* would keep them apart.

# %% picture="Similarity of the word not in two sentences, lowest in layer 3"
states = []
for sentence in sentences:
    features = reader.preprocessor([sentence])
    hidden = reader.backbone(features)["hidden_states"]
    states.append(np.array([layer[0, 4] for layer in hidden]))  # [CLS] the plot is not
unit = [own / np.linalg.norm(own, axis=-1, keepdims=True) for own in states]
plt.figure(figsize=(5, 2.4))
plt.plot(np.sum(unit[0] * unit[1], axis=-1), marker="o")
plt.xlabel("layer (0: embeddings)")
plt.ylabel("cosine similarity")
plt.ylim(0, 1.05)
plt.tight_layout()
plt.show()

# %% [markdown]
# ## How far to trust it
#
# - What a word does when it is left out is a fact about the model. Why is another question.
# - Attention shows where information may flow, not what is used: models with other attention can
#   give the same answers (Jain and Wallace, 2019, 1902.10186). Believe it where leaving out
#   agrees.
# - All of this works for any family, and for any task that reads whole texts (`TokenClassifier`
#   and `QuestionAnswerer` read windows): `return_hidden_states` is a setting of the backbone, also
#   of `kerasbert.Backbone.from_preset(..., return_hidden_states=True)`. Vectors of words, without
#   positions to count, are `TextEmbedder.word_vectors` with `layers=`.
