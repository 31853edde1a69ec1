# %% [markdown]
# # Semantic roles
#
# Who did what to whom, when and where? Semantic role labeling answers for one verb at a time.
# In *Bush nominated two individuals on Tuesday*, the one who nominates is `ARG0`, the nominated
# are `ARG1`, and Tuesday is `ARGM-TMP`, the time. It is a classification of words, as in
# [named entities](named_entities.md), with one addition: the model must know which verb is meant.
# We put **markers** around it, as around the entities of a [relation](relation_extraction.md) (Shi
# and Lin, 2019, 1904.05255, repeat it at the end, to the same effect). Data are sentences of
# English web text, and the model is MiniLM.

# %%
import itertools
import os

import keras

import kerasbert

SHORT = os.environ.get("KERASBERT_GUIDE") == "short"  # for tests: seconds, not minutes
EXAMPLES = 48 if SHORT else 2_400
EPOCHS = 1 if SHORT else 3
keras.utils.set_random_seed(0)

# %% [markdown]
# ## The data
#
# Universal PropBank (CDLA-Sharing 1.0) has the roles of PropBank for the English Web Treebank, in
# CoNLL-U: one word a line, the sense of a verb in column 11, and from column 12 on one column for
# each verb of the sentence. The role stands at the head of its phrase, *individuals* for *two
# individuals to replace retiring jurists*, as in CoNLL-2009. The small training set that we use
# is the corpus's dev part; its train part is six times as large.
#
# A sentence with three verbs becomes three examples: the same words with different roles.

# %%
URL = (
    "https://raw.githubusercontent.com/UniversalPropositions/UP-1.0/"
    "b955f2aa8295834fcd0256c131de641116a8443a/UP_English-EWT"
)
ROLES = ["ARG0", "ARG1", "ARG2", "ARG3", "ARG4", "ARGM-TMP", "ARGM-LOC", "ARGM-ADV", "ARGM-MNR"]
ROLES += ["ARGM-MOD", "ARGM-NEG"]


def read(name, url):
    """Returns words, the position of a verb, and its roles, for each verb."""
    with open(keras.utils.get_file(name, url), encoding="utf-8") as file:
        blocks = file.read().strip().split("\n\n")
    examples = []
    for block in blocks:
        rows = [line.split("\t") for line in block.split("\n") if not line.startswith("#")]
        rows = [row for row in rows if row[0].isdigit()]  # no contractions of several words
        words = [row[1] for row in rows]
        for roles in zip(*(row[11:] for row in rows), strict=True):
            if "V" in roles:
                tags = [f"B-{role}" if role in ROLES else "O" for role in roles]
                examples.append((words, roles.index("V"), tags))
    return examples


def marked(examples):
    """Returns words and tags with markers around the verb; a marker has no role."""
    x = [[*w[:v], "[V]", w[v], "[/V]", *w[v + 1 :]] for w, v, _ in examples]
    y = [[*t[:v], "O", t[v], "O", *t[v + 1 :]] for _, v, t in examples]
    return x, y


train = read("ewt-propbank-dev.conllu", f"{URL}/en_ewt-up-dev.conllu")[:EXAMPLES]
test = read("ewt-propbank-test.conllu", f"{URL}/en_ewt-up-test.conllu")[: EXAMPLES // 2]
print(len(train), "verbs to train on,", len(test), "to test on")
for words, tags in zip(*marked(train[1:3]), strict=True):
    print(*(w if t == "O" else f"{w}/{t[2:]}" for w, t in zip(words, tags, strict=True)))

# %% [markdown]
# ## The model
#
# The markers are added tokens. In a list of words they are words, with the tag `O`. Tags begin
# with `B-`, which makes each role an entity of one word for the metric; if your data have whole
# phrases, as CoNLL-2005 and CoNLL-2012, write `B-` and `I-`, and nothing else changes.

# %%
model = kerasbert.TokenClassifier.from_preset(
    "hf://sentence-transformers/all-MiniLM-L6-v2",
    classes=["O", *(f"B-{role}" for role in ROLES)],
    sequence_length=128,
)
model = model.add_tokens(["[V]", "[/V]"], special=True)
x_train, y_train = marked(train)
steps = EPOCHS * -(-len(x_train) // 32)
rate = kerasbert.training.Warmup(3e-4, steps, warmup_steps=steps // 10)
model.compile(kerasbert.training.adamw(rate))
history = model.fit(x_train, y_train, batch_size=32, epochs=EPOCHS, verbose=2)

# %% [markdown]
# ## The metric
#
# Most words have no role, so a model that finds none has a high accuracy and an F1 of 0. `score`
# gives the F1 of all roles, and of each.

# %%
x_test, y_test = marked(test)
scores = model.score(x_test, y_test)
tags = [tag for own in y_test for tag in own]
print(f"no roles at all: accuracy {tags.count('O') / len(tags):.3f}, F1 0")
print(f"the model:       accuracy {scores['accuracy']:.3f}, F1 {scores['f1']:.3f}")
for role in ROLES:
    if f"f1/{role}" in scores:
        print(f"  {role:<9} {scores[f'f1/{role}']:.3f}")

# %% [markdown]
# What does the marker do? In sentences with several verbs, put it around another verb than the
# one whose roles are the right answer:

# %%
pairs = [(a, b) for a, b in itertools.pairwise(test) if a[0] == b[0]]
right = [a for a, _ in pairs]
wrong = [(words, verb, tags) for (words, _, tags), (_, verb, _) in pairs]
for name, examples in (("the verb itself", right), ("another verb", wrong)):
    print(f"F1 with the marker at {name}: {model.score(*marked(examples))['f1']:.3f}")

# %% [markdown]
# ## Asking it
#
# Mark one verb after the other. Any tagger of parts of speech finds the verbs, and so does
# another `TokenClassifier`.

# %%
sentence = "Yesterday the museum bought a painting that thieves had stolen in 1990 ."
words = sentence.split()
for verb in ("bought", "stolen"):
    x, _ = marked([(words, words.index(verb), words)])
    (entities,) = model.tag(x, aggregation="first")
    print(f"{verb}:", {entity.label: entity.text for entity in entities})

# %% [markdown]
# ## What to expect
#
# - 2,400 verbs and a small encoder are a beginning: accuracy on training words was still rising.
#   Published systems for roles at heads of phrases reach an F1 of about 0.9 on the newspaper text
#   of CoNLL-2009 (Shi and Lin: 0.903), with BERT-base, ten times as many sentences, and an LSTM
#   over the encoder, and lose about ten points on other kinds of text.
# - Who (`ARG0`), what (`ARG1`) and closed sets of words (`ARGM-NEG`: *not*) come first. What is
#   rare (`ARG3`), or depends on the sense of the verb (`ARG2`), comes last; data help most.
# - Each word is decided by itself, so two words may both be `ARG0`. If your application can't
#   have that, keep the one with the highest score: `tag` returns it.
# - Without Python: write words and tags with `kerasbert.data.columns.write_columns`, add the
#   markers to the model (`add_tokens`, `save_to_preset`), then `kerasbert finetune --task
#   token_classification --init runs/with_markers --train roles.conll --output runs/roles`.
