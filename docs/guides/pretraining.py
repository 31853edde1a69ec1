# %% [markdown]
# # Pretraining your own language
#
# From raw text to a model of your own: a vocabulary, a corpus, BERT's pretraining (masked tokens
# and next sentences), and fine-tuning. The text is 4 MB of English Wikipedia, the model is the
# smallest BERT, and pretraining takes a minute on two cores, so that you can see every step;
# nothing in the code changes for a language without any public model, for gigabytes of text, and
# for a model a hundred times as large. A minute is too short for a useful model: the last section
# says what hours give.

# %%
import os
import shutil

import keras
import matplotlib.pyplot as plt
import numpy as np

import kerasbert

SHORT = os.environ.get("KERASBERT_GUIDE") == "short"  # for tests: seconds, not minutes
FILES, VOCABULARY = (1, 100) if SHORT else (4, 8_000)
STEPS = 10 if SHORT else 600
keras.utils.set_random_seed(0)

# %% [markdown]
# ## The text
#
# Plain text with an empty line between documents, JSON lines, Parquet, or WikiExtractor's
# output, as here; see [corpora](../corpora.md). The last file is held out: its articles are not
# seen in training.

# %%
URL = (
    "https://raw.githubusercontent.com/jason-feng/wikiVisual/"
    "1c0fac92f29f17c1603bfffbe864e0dfdff66897/text/AA"
)
*paths, held_out_path = (
    keras.utils.get_file(f"enwiki_{n:02}", f"{URL}/wiki_{n:02}") for n in range(FILES + 1)
)


def lines(paths):
    for path in paths:
        with open(path, encoding="utf-8") as file:
            yield from (line for line in file if not line.startswith(("<doc", "</doc")))


print(f"{sum(map(len, lines(paths))) / 1e6:.1f} million characters")

# %% [markdown]
# ## A vocabulary
#
# WordPiece learns which subwords your language is made of. 8,000 tokens suit a small corpus; BERT
# has 30,000. `lowercase=False` is for languages where case or accents distinguish words.

# %%
vocabulary = kerasbert.text.train_vocabulary(lines(paths), VOCABULARY)
tokenizer = kerasbert.text.WordPieceTokenizer(vocabulary)
ids = tokenizer(["The unforgettable photosynthesis of Reykjavik."])
print(*(tokenizer.id_to_token(int(i)) for i in ids[0]))

# %% [markdown]
# ## A corpus
#
# Text is tokenized once, into files that training reads at random. Masks and pairs are drawn
# later, anew for every batch.

# %%
corpora = {}
for name, files in (("train", paths), ("held_out", [held_out_path])):
    shutil.rmtree(f"corpora/{name}", ignore_errors=True)  # of an earlier run
    kerasbert.data.prepare_corpus(files, tokenizer, f"corpora/{name}")
    corpora[name] = kerasbert.data.Corpus(f"corpora/{name}")
    print(f"{name}: {corpora[name].num_documents} documents, {corpora[name].num_tokens:,} tokens")

# %% [markdown]
# ## Pretraining
#
# A batch is a function of (seed, step): 64 rows of two texts, 15 % of whose tokens are to be
# predicted, and half of the second texts are from elsewhere. Short runs do better without
# dropout, and with a high learning rate that warms up.

# %%
BATCH, LENGTH = 64, 64
batches = {
    name: kerasbert.data.PretrainingBatches(corpus, BATCH, LENGTH, seed=0)
    for name, corpus in corpora.items()
}
config = kerasbert.BackboneConfig.from_preset(
    "bert_tiny",
    vocabulary_size=tokenizer.vocabulary_size,
    max_sequence_length=128,
    dropout=0.0,
    attention_dropout=0.0,
)
model = kerasbert.Pretrainer(kerasbert.Backbone(config), tokenizer=tokenizer)
print(f"{model.count_params():,} parameters")

rate = kerasbert.training.Warmup(2e-3, STEPS, warmup_steps=STEPS // 10)
model.compile(kerasbert.training.adamw(rate))
history = model.fit(
    batches["train"].dataset(),
    steps_per_epoch=STEPS // 10,
    epochs=10,
    validation_data=batches["held_out"].dataset(steps=1 if SHORT else 16),
    verbose=2,
)

# %% [markdown]
# Is it learning? The baseline always gives the most frequent token. A model first learns which
# words are frequent, and stays there for a while; then which words go together. Where the curve
# of held-out articles falls behind the other, there is too little text for so many steps.

# %% picture="Accuracy on masked tokens, in training and held out, rising over the steps"
counts = corpora["held_out"].token_counts()
baseline = counts.max() / counts.sum()
steps = np.arange(1, 11) * (STEPS // 10)
plt.figure(figsize=(6, 3))
plt.plot(steps, history.history["mlm_logits_accuracy"], marker="o", label="training")
plt.plot(steps, history.history["val_mlm_logits_accuracy"], marker="o", label="held out")
plt.axhline(baseline, color="gray", linestyle=":", label="the most frequent token")
plt.xlabel("step")
plt.ylabel("accuracy on masked tokens")
plt.ylim(0)
plt.legend()
plt.tight_layout()
plt.show()

# %% [markdown]
# The guesses of a model that is at this point are words that are right most often, whatever the
# sentence:

# %%
model.save_to_preset("runs/language", overwrite=True)
masked_lm = kerasbert.MaskedLM.from_preset("runs/language")
texts = [
    "He was born in [MASK] 1879 .",
    "The city is the capital [MASK] the country .",
    "She is an American [MASK] .",
]
if not SHORT:  # the words of a vocabulary for tests are too few
    for text, (guesses,) in zip(texts, masked_lm.fill_mask(texts, top_k=4), strict=True):
        print(text, [guess.token for guess in guesses])

# %% [markdown]
# ## Fine-tuning
#
# Every task loads the directory, as it loads a public model. The same classifier of film reviews
# (SST-2, 4,000 sentences), from the pretrained weights and from random ones:

# %%
URL = (
    "https://raw.githubusercontent.com/eyalbd2/Reproducing-AutoPrompt/"
    "6288fb5bec9c572f2492875ae0111df5b6daed11/glue_data/SST-2"
)
path = keras.utils.get_file("sst2-train.tsv", f"{URL}/train_full.tsv")
train = kerasbert.data.read_examples(path, glue="sst2")
path = keras.utils.get_file("sst2-dev.tsv", f"{URL}/dev.tsv")
dev = kerasbert.data.read_examples(path, glue="sst2")
chosen = np.random.default_rng(0).permutation(len(train))[: 64 if SHORT else 4_000]
texts, labels = [train.texts["text"][i] for i in chosen], [train.labels[i] for i in chosen]

pretrained = kerasbert.TextClassifier.from_preset("runs/language", classes=train.classes)
random = kerasbert.TextClassifier(
    kerasbert.Backbone(config), classes=train.classes, tokenizer=tokenizer
)
for name, classifier in (("pretrained", pretrained), ("random", random)):
    classifier.compile(kerasbert.training.adamw(5e-4))
    classifier.fit(texts, labels, batch_size=32, epochs=2, verbose=0)
    accuracy = classifier.score(dev.texts["text"], dev.labels)["accuracy"]
    print(f"{name} weights: accuracy {accuracy:.3f}")

# %% [markdown]
# ## The same with commands
#
# For long runs use the programs: they write checkpoints, resume after a crash with bitwise the
# same weights, draw these curves, and run on several GPUs.
#
# ```bash
# kerasbert build_vocab --input 'text/*' --vocab_size 30000 --output vocab.txt
# kerasbert prepare_corpus --input 'text/*' --vocab vocab.txt --output corpora/mine
# kerasbert pretrain --corpus corpora/mine --preset bert_small --steps 100000 --output runs/mine
# kerasbert finetune --init runs/mine/model --train train.tsv --validation dev.tsv \
#     --output runs/tuned
# ```
#
# ## What to expect
#
# - After a minute, pretrained weights are no better than random ones, here even a little worse:
#   frequencies of words are no help for a task. Pretraining pays when it has left this plateau.
# - The same model, 24 minutes on 39 MB ([results](../results.md)): 18.4 % of the masked tokens of
#   held-out articles are right, and 62.5 % of the next sentences: see its
#   [curves](../enwiki-bert_tiny.png).
# - `make quickstart` pretrains for some minutes on Python's documentation, whose language is
#   simpler, and fine-tunes, with the guesses and the accuracy of both on screen.
# - A model to rely on needs a GPU for hours or days, hundreds of megabytes of text, and
#   `--recipe fast` or the settings of [training](../training.md#pretraining-options), on
#   [several GPUs](several_devices.md). If there is a public model of your language, start from it
#   (`--init`) and go on with your text, as in [adapting to your domain](fill_mask.md).
