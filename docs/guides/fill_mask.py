# %% [markdown]
# # Fill-mask, and adapting to your domain
#
# A BERT learns a language by guessing words that are hidden. The same training on the texts of
# *your* domain, which need no labels, teaches an existing model its words and phrases, before you
# train it for a task (Gururangan et al., 2020, 2004.10964). We adapt MiniLM to the documentation
# of Python, which is on every machine with Python: its language reference, and the docstrings of
# its library. A copy of the model gets as many paragraphs of Wikipedia instead, so that you see
# what the domain brings, and what any text would have brought: after two minutes on each, the
# one hesitates between 114 tokens where Python's documentation is masked, the other between 368.

# %%
import ast
import itertools
import os
import pathlib
import re
import sysconfig
from pydoc_data.topics import topics

import keras
import matplotlib.pyplot as plt
import numpy as np

import kerasbert

SHORT = os.environ.get("KERASBERT_GUIDE") == "short"  # for tests: seconds, not minutes
SOURCES, FILES, MOST = (60, 1, 40) if SHORT else (None, 4, 6_000)
keras.utils.set_random_seed(0)

# %% [markdown]
# ## The texts
#
# Paragraphs of at least 12 words, most of which are words and not code. Your own texts may be one
# a line in a file (`kerasbert.data.read_texts`), or any list of strings.

# %%
LIBRARY = pathlib.Path(sysconfig.get_path("stdlib"))
SKIPPED = {"site-packages", "test", "tests", "idlelib", "lib2to3", "ensurepip"}
URL = (
    "https://raw.githubusercontent.com/jason-feng/wikiVisual/"
    "1c0fac92f29f17c1603bfffbe864e0dfdff66897/text/AA"
)


def documentation():
    """Yields the language reference, and the docstrings of the standard library."""
    yield from topics.values()
    for path in sorted(LIBRARY.rglob("*.py")):
        if not SKIPPED & set(path.relative_to(LIBRARY).parts):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Module):
                    yield ast.get_docstring(node) or ""


def articles():
    """Yields the files of Wikipedia, with an empty line after each paragraph."""
    for number in range(FILES):
        path = keras.utils.get_file(f"enwiki_{number:02}", f"{URL}/wiki_{number:02}")
        yield pathlib.Path(path).read_text(encoding="utf-8").replace("\n", "\n\n")


def paragraphs(texts):
    for paragraph in itertools.chain.from_iterable(re.split(r"\n\s*\n", text) for text in texts):
        words = paragraph.split()
        if len(words) >= 12 and sum(word.isalpha() for word in words) > 0.7 * len(words):
            yield " ".join(words)


def split(texts, count):
    """Returns `count` texts in random order, those to train on and those to test on."""
    order = np.random.default_rng(0).permutation(len(texts))[:count]
    return [texts[i] for i in order[count // 10 :]], [texts[i] for i in order[: count // 10]]


python = list(dict.fromkeys(paragraphs(itertools.islice(documentation(), SOURCES))))
wikipedia = list(paragraphs(articles()))
count = min(len(python), len(wikipedia), MOST)
python_train, python_test = split(python, count)
wikipedia_train, wikipedia_test = split(wikipedia, count)
print(f"of each: {len(python_train):,} paragraphs to train on, {len(python_test):,} to test on")
for text in (*python_test[:2], *wikipedia_test[:1]):
    print(f"- {text[:84]}")

# %% [markdown]
# ## The model
#
# `MaskedLM` is an encoder with the head that guesses. Models such as
# `hf://google-bert/bert-base-uncased` bring this head, and fill masks at once:
#
# ```py
# model = kerasbert.MaskedLM.from_preset("hf://google-bert/bert-base-uncased")
# model.fill_mask(["The function returns a [MASK]."])
# ```
#
# MiniLM's authors kept the encoder only, so here the head is new. Its large matrix is the
# encoder's table of embeddings; what is new is small, and learned in minutes.

# %%
MODEL = "hf://sentence-transformers/all-MiniLM-L6-v2"
SETTINGS = {"sequence_length": 64, "dtype": "mixed_bfloat16"}  # `kerasbert doctor` tells
untrained = kerasbert.MaskedLM.from_preset(MODEL, **SETTINGS)
print("new weights:", ", ".join(untrained.uninitialized_weights))

# %% [markdown]
# ## Training
#
# The texts are their own labels: in each batch 15 % of the tokens are hidden, others in each
# epoch, so that several epochs over a small collection are not wasted. A model whose head is
# trained already needs a rate of 5e-5; a new head wants more.

# %%
BATCH = 32


def adapted_to(texts):
    model = kerasbert.MaskedLM.from_preset(MODEL, **SETTINGS)
    steps = -(-len(texts) // BATCH)
    rate = kerasbert.training.Warmup(5e-4, steps, warmup_steps=steps // 10)
    model.compile(kerasbert.training.adamw(rate))
    model.fit(texts, batch_size=BATCH, verbose=2)
    return model


models = {"Wikipedia": adapted_to(wikipedia_train), "Python": adapted_to(python_train)}

# %% [markdown]
# `score` hides the same tokens of the test's texts in every call. Perplexity is the number of
# tokens between which a model hesitates: the exponential of the loss, the lower the better. A
# guess at random hesitates between all of the vocabulary. The baseline knows how frequent each
# token is in Python's documentation, and does not look at the sentence.

# %%
tokenizer = untrained.tokenizer
ids, hidden = (tokenizer.tokenize(part).flat_values.numpy() for part in (python_train, python_test))
frequency = 1.0 + np.bincount(ids, minlength=tokenizer.vocabulary_size)
baseline = np.exp(-np.log(frequency[hidden] / frequency.sum()).mean())
print(f"at random: {tokenizer.vocabulary_size:,}; by frequency on Python: {baseline:,.0f}")
for name, model in models.items():
    on_python, on_wikipedia = model.score(python_test), model.score(wikipedia_test)
    print(
        f"trained on {name:<9}: perplexity {on_python['perplexity']:5,.0f} on Python "
        f"({on_python['accuracy']:.0%} right), {on_wikipedia['perplexity']:5,.0f} on Wikipedia"
    )

# %% [markdown]
# Any English text is of some use, and that of the domain is of much more. On Wikipedia it is the
# other way around: if you need both, mix both.
#
# ## Filling masks
#
# `fill_mask` gives the best tokens for each mask, with their probabilities and the filled text.
# `targets=["good", "bad"]` restricts the choice. What the two models put in the same places:

# %% picture="For three sentences with a mask, the best tokens of both models, as bars"
sentences = [
    "Return the [MASK] of items in the list.",
    "The default [MASK] is utf-8.",
    "Import the [MASK] before you call its functions.",
]
figure, axes = plt.subplots(len(sentences), 2, figsize=(7, 5), sharex=True)
for column, (name, model) in zip(axes.T, models.items(), strict=True):
    filled = model.fill_mask(sentences, top_k=4)
    for axis, sentence, (guesses,) in zip(column, sentences, filled, strict=True):
        axis.barh([g.token for g in guesses][::-1], [g.score for g in guesses][::-1])
        axis.set_title(f"{name}: {sentence}", fontsize=7)
plt.xlabel("probability")
plt.tight_layout()
plt.show()

# %% [markdown]
# After one pass, the words are those of the domain, and not yet always the right ones: the
# default that is *utf-8* is an encoding. More epochs and more text go on from here.
#
# ## Using it
#
# The adapted model is a directory like any other, from which a task starts. Whether adapting
# helps, only the task can tell: train from both models, and compare. It pays where the domain
# differs most from what the model has read, where there is much unlabeled text (megabytes, more
# than in this guide) and few labels.

# %%
models["Python"].save_to_preset("runs/python_bert", overwrite=True)
classifier = kerasbert.TextClassifier.from_preset("runs/python_bert", classes=["bug", "question"])
print("to be trained:", ", ".join(classifier.uninitialized_weights))

# %% [markdown]
# - The same without Python: `kerasbert finetune --task masked_lm --init MODEL --train texts.txt
#   --output runs/domain`; for gigabytes of text, [prepare a corpus and pretrain on
#   it](../training.md#pretraining-options), from this model.
# - Words of your domain that the vocabulary lacks: `model.add_tokens([...])` before training.
# - Hiding whole words instead of tokens: `MaskedLM.from_preset(..., mask_unit="whole_word")`.
# - The task that follows: [sentiment](sentiment.md), [named entities](named_entities.md). For
#   search, train on pairs instead: [semantic search](semantic_search.md). A language without a
#   model: [pretraining](pretraining.md).
