# %% [markdown]
# # Semantic search
#
# We search Python's own documentation by meaning: a question finds the function that does it,
# although they share no word. The texts are the docstrings of the standard library, which are on
# every machine with Python; the model is MiniLM (`sentence-transformers/all-MiniLM-L6-v2`), which
# its authors trained on a billion pairs of texts. Then we train it on our own texts, without any
# label, measure what that brings, and look at the vectors in a map and in TensorBoard's
# projector.

# %%
import ast
import collections
import os
import pathlib
import sysconfig

import keras
import matplotlib.pyplot as plt
import numpy as np
from sklearn.manifold import TSNE

import kerasbert

SHORT = os.environ.get("KERASBERT_GUIDE") == "short"  # for tests: seconds, not minutes
TEXTS = 80 if SHORT else None  # all
keras.utils.set_random_seed(0)

# %% [markdown]
# ## The data
#
# A docstring has a summary, its first paragraph, and mostly details. We read the files of the
# library, without importing them; another version of Python has some other texts.

# %%
LIBRARY = pathlib.Path(sysconfig.get_path("stdlib"))
SKIPPED = {"site-packages", "test", "tests", "idlelib", "lib2to3", "ensurepip"}


def functions():
    """Yields package, name, summary and details of the functions of the standard library."""
    for path in sorted(LIBRARY.rglob("*.py")):
        parts = path.relative_to(LIBRARY).with_suffix("").parts
        if parts[0].startswith("_") or SKIPPED & set(parts):
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
                summary, _, details = (ast.get_docstring(node) or "").partition("\n\n")
                yield parts[0], node.name, " ".join(summary.split()), " ".join(details.split())


found = {}  # by summary: a text that occurs twice would be found twice
for package, name, summary, details in functions():
    if len(summary.split()) >= 4:
        found.setdefault(summary, (package, name, details))
    if len(found) == TEXTS:
        break
summaries = list(found)
packages = [package for package, _, _ in found.values()]
names = [f"{package}: {name}" for package, name, _ in found.values()]
print(f"{len(summaries):,} functions of {len(set(packages))} packages")
for i in range(0, len(names), len(names) // 3):
    print(f"  {names[i]}: {summaries[i][:70]}")

# %% [markdown]
# ## Search
#
# `embed` gives each text a vector; `search` embeds the questions and finds the nearest vectors.
# It compares with all of them, which is exact and, up to a million texts, quick enough.

# %%
embedder = kerasbert.TextEmbedder.from_preset(
    "hf://sentence-transformers/all-MiniLM-L6-v2", sequence_length=64
)
vectors = embedder.embed(summaries)
questions = [
    "how do I delete a folder with everything in it",
    "pick some elements at random",
    "what is the middle value of my numbers",
    "open a page in Firefox",
]
scores, rows = embedder.search(questions, vectors, top_k=2)
for question, own_scores, own_rows in zip(questions, scores, rows, strict=True):
    print(question)
    for score, row in zip(own_scores, own_rows, strict=True):
        print(f"  {score:.2f}  {names[row]}: {summaries[row][:60]}")

# %% [markdown]
# ## Training on your own texts
#
# Texts have structure that costs nothing: here the details of a docstring belong to its summary.
# `fit` on such pairs moves them together, and the other details in the batch away (the
# contrastive objective). A larger batch has more to tell apart, and is harder.
#
# We hold out every fifth package, and count how often the right details are the nearest of all.
# That is hard: many functions of a package are alike. One pass over some thousand pairs brings
# five more of a hundred; texts that differ more from those of the web would gain more.

# %%
with_details = {s: found[s] for s in summaries if len(found[s][2].split()) >= 8}
held_out = set(sorted({package for package, _, _ in with_details.values()})[::5])
train, test = [], []
for summary, (package, _, details) in with_details.items():
    (test if package in held_out else train).append((summary, details))
before = embedder.score(test)["accuracy"]

BATCH = 32
rate = kerasbert.training.Warmup(5e-5, -(-len(train) // BATCH), warmup_steps=2)
embedder.compile(kerasbert.training.adamw(rate))
embedder.fit(train, batch_size=BATCH, verbose=2)
after = embedder.score(test)["accuracy"]
print(f"{len(train):,} pairs to train on; {len(test)} to test on")
print(f"nearest details are the right ones: {before:.1%} before, {after:.1%} after")
print(f"by chance: {1 / len(test):.1%}")

# %% [markdown]
# ## A map
#
# A vector has 384 numbers. t-SNE lays the vectors out in a plane and keeps neighbors together;
# the colors are the packages, which the model does not know.

# %% picture="Map of the functions of eight packages: those of one package lie together"
vectors = embedder.embed(summaries)
shown = [package for package, _ in collections.Counter(packages).most_common(8)]
chosen = [i for i, package in enumerate(packages) if package in shown]
places = TSNE(metric="cosine", random_state=0, perplexity=min(30, len(chosen) // 4)).fit_transform(
    vectors[chosen]
)
plt.figure(figsize=(7, 4))
for package in shown:
    own = [k for k, i in enumerate(chosen) if packages[i] == package]
    plt.scatter(*places[own].T, s=12, label=package)
plt.axis("off")
plt.legend(fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))
plt.tight_layout()
plt.show()

# %% [markdown]
# The projector of TensorBoard shows the same in the browser, in three dimensions, with search and
# names. It reads two tables.

# %%
logs = pathlib.Path("runs/projector")
logs.mkdir(parents=True, exist_ok=True)
np.savetxt(logs / "vectors.tsv", vectors, delimiter="\t", fmt="%.4f")
lines = [f"{name}\t{summary}" for name, summary in zip(names, summaries, strict=True)]
(logs / "names.tsv").write_text("\n".join(["name\tsummary", *lines]) + "\n", encoding="utf-8")
(logs / "projector_config.pbtxt").write_text(
    'embeddings { tensor_path: "vectors.tsv" metadata_path: "names.tsv" }\n'
)
print(sorted(path.name for path in logs.iterdir()))

# %% [markdown]
# ```text
# pip install tensorboard
# tensorboard --logdir runs/projector
# ```
#
# ## Keeping it
#
# The vectors belong to the model: after training, embed all texts again. The export takes strings
# and gives vectors, and the directory is one that sentence-transformers reads.

# %%
embedder.save_to_preset("runs/search", format="hf", overwrite=True)
np.save("runs/vectors.npy", vectors)
print(sorted(path.name for path in pathlib.Path("runs/search").iterdir()))

# %% [markdown]
# - Pairs of your own: questions and the answers that were clicked, titles and articles. With
#   scores for pairs, `objective="similarity"`; see [embeddings](../tasks.md#embeddings).
# - Long texts: `long_text="mean"` pools chunks; see [long documents](long_documents.md).
# - The answer in the text that was found: [questions on your documents](questions.md).
