# %% [markdown]
# # Questions on your documents
#
# Two models answer questions on a collection of documents: a `TextEmbedder` finds the paragraphs
# that are about the question, and a `QuestionAnswerer` marks the answer in them. We train the
# second one for two minutes, put both together, and measure each part. The documents are
# paragraphs from Wikipedia (XQuAD's English part) that no question of the training data (SQuAD
# 2.0) is about.
#
# Both models are MiniLM. The reader sees 1,500 questions, once, so that this page takes minutes.
# That is far too few for good answers: it beats a simple baseline and no more. The published
# models at the end of this page learned from a hundred times as many, and are used by the same
# code.

# %%
import os
import re

import keras
import matplotlib.pyplot as plt
import numpy as np

import kerasbert
from kerasbert.metrics.squad import evaluate_v1

SHORT = os.environ.get("KERASBERT_GUIDE") == "short"  # for tests: seconds, not minutes
QUESTIONS = 16 if SHORT else 1_500
MODEL = "hf://sentence-transformers/all-MiniLM-L6-v2"
keras.utils.set_random_seed(0)

# %% [markdown]
# ## The data
#
# `read_squad` reads SQuAD's JSON and Hugging Face's rows. An example is a question, its context,
# and all right answers with their positions.

# %%
GITHUB = "https://raw.githubusercontent.com"
SQUAD = f"{GITHUB}/elgeish/squad/3b6aa9ca5653993f0d1a49e2660c7aa6117a3d9e/data/dev-v2.0.json"
XQUAD = f"{GITHUB}/google-deepmind/xquad/7d30520c717524000f0d9d2f9c10a069acd9d285/xquad.en.json"
squad = kerasbert.data.read_squad(keras.utils.get_file("squad2-part.json", SQUAD))
xquad = kerasbert.data.read_squad(keras.utils.get_file("xquad.en.json", XQUAD))


def columns(examples, chosen):
    """Returns the questions, contexts and answers at the given positions."""
    texts = {name: [column[i] for i in chosen] for name, column in examples.texts.items()}
    return texts, [examples.labels[i] for i in chosen]


answerable = [i for i, answers in enumerate(squad.labels) if answers["text"]]
chosen = np.random.default_rng(0).permutation(answerable)[:QUESTIONS]
train_x, train_y = columns(squad, chosen)

known = set(squad.texts["context"])
unseen = [i for i, context in enumerate(xquad.texts["context"]) if context not in known]
documents = list(dict.fromkeys(xquad.texts["context"][i] for i in unseen))
test_x, test_y = columns(xquad, unseen[::3])  # every third question, to save time
print(f"{len(chosen):,} questions to train on; {len(test_y):,} to test on,", end=" ")
print(f"about {len(documents):,} documents")
print(test_x["question"][0], "->", test_y[0]["text"][0])

# %% [markdown]
# ## A model that marks answers
#
# It scores every word of a context as the first and as the last one of the answer. Contexts have
# any length: they are read in windows of `sequence_length` tokens. bfloat16 is twice as fast on
# new processors, and slower on others: `kerasbert doctor` tells which yours is.

# %%
reader = kerasbert.QuestionAnswerer.from_preset(MODEL, sequence_length=256, dtype="mixed_bfloat16")
BATCH = 16
steps = -(-len(chosen) // BATCH)
rate = kerasbert.training.Warmup(2e-4, steps, warmup_steps=steps // 10)
reader.compile(kerasbert.training.adamw(rate))
history = reader.fit(train_x, train_y, batch_size=BATCH, verbose=2)

# %% [markdown]
# The scores are SQuAD's: `exact_match`, and `f1` of the words that the answer and a right one
# share. As a baseline we answer with the sentence that shares most words with the question.


# %%
def words(text):
    return set(re.findall(r"\w+", text.lower()))


def nearest_sentence(question, context):
    sentences = re.split(r"(?<=[.!?]) ", context)
    return max(sentences, key=lambda sentence: len(words(sentence) & words(question)))


right = [answers["text"] for answers in test_y]
pairs = list(zip(test_x["question"], test_x["context"], strict=True))
baseline = evaluate_v1(right, [nearest_sentence(*pair) for pair in pairs])
scores = reader.score(test_x, test_y)
print(f"nearest sentence: exact match {baseline['exact_match']:.1f}, F1 {baseline['f1']:.1f}")
print(f"reader:           exact match {scores['exact_match']:.1f}, F1 {scores['f1']:.1f}")

# %% [markdown]
# ## A model that finds documents
#
# MiniLM was trained for this by its authors: texts about the same thing have similar vectors. The
# documents are embedded once; a question then costs one short text and a matrix product. How
# often is the right document among the first?

# %% picture="Share of questions whose document is among the first 1 to 10 that search finds"
finder = kerasbert.TextEmbedder.from_preset(MODEL, sequence_length=256)
vectors = finder.embed(documents)
_, found = finder.search(test_x["question"], vectors, top_k=10)
place = {document: i for i, document in enumerate(documents)}
is_right = found == np.array([[place[context]] for context in test_x["context"]])
recall = np.maximum.accumulate(is_right, axis=1).mean(axis=0)
plt.figure(figsize=(7, 2.6))
plt.plot(range(1, len(recall) + 1), recall, marker="o")
plt.xlabel("documents that are looked at")
plt.ylabel("has the right one")
plt.ylim(0, 1.05)
plt.grid(alpha=0.3)
plt.tight_layout()
plt.show()

# %% [markdown]
# ## Both together
#
# For each question, the reader looks at the best three documents, and we keep the answer with the
# best product of the reader's score and the similarity. More documents are more chances to be
# wrong, too: with a weak reader, half of its right answers get lost here.


# %%
def ask(questions, top_k=3):
    similarities, rows = finder.search(questions, vectors, top_k=top_k)
    repeated = [question for question in questions for _ in range(rows.shape[1])]
    answers = reader.answer(repeated, [documents[row] for row in rows.flat])
    for i in range(len(questions)):
        own = answers[i * rows.shape[1] : (i + 1) * rows.shape[1]]
        products = [best.score * similarities[i, j] for j, (best, *_) in enumerate(own)]
        j = int(np.argmax(products))
        yield own[j][0], documents[rows[i, j]]


together = [answer.text for answer, _ in ask(test_x["question"])]
scores = evaluate_v1(right, together)
print(f"search and reader: exact match {scores['exact_match']:.1f}, F1 {scores['f1']:.1f}")

# %% [markdown]
# An `Answer` has its positions in the document, so that a page can show it in place, and a score.
# Low scores, as here, mean that the reader hesitates; show such answers as suggestions, or not at
# all.

# %%
questions = test_x["question"][:: max(1, len(test_y) // 5)][:5]
for question, (answer, document) in zip(questions, ask(questions), strict=True):
    before = document[max(0, answer.start - 30) : answer.start].replace("\n", " ")
    after = document[answer.end : answer.end + 30].replace("\n", " ")
    print(question, f"\n   ... {before}[{answer.text}]{after} ... ({answer.score:.2f})")

# %% [markdown]
# ## On your documents
#
# - Replace `documents` by your paragraphs, and keep both models as they are. Texts of many pages
#   are better split into paragraphs for the search; the reader takes any length.
# - Models that others trained for hours on 130,000 questions are loaded in one line:
#   `kerasbert.load("hf://deepset/minilm-uncased-squad2")`,
#   `kerasbert.load("hf://distilbert/distilbert-base-cased-distilled-squad")`.
# - Questions without an answer in the text: train on all of SQuAD 2.0, then
#   `reader.tune_threshold(x, y)`; see [long texts](../tasks.md#long-texts).
# - Better search on your own words: [semantic search](semantic_search.md).
