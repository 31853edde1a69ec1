import itertools
import json
import pathlib
import random

import entity_cases
import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st
from tensorflow.core.protobuf import saved_model_pb2

from kerasbert import InputError, TokenClassifier, load
from kerasbert.data.columns import read_columns
from kerasbert.serving.client import SavedModelClient
from kerasbert.tasks.token_classifier.entities import TaggedWord, join
from kerasbert.tasks.token_classifier.preprocessor import deciding_windows
from kerasbert.text import WordPieceTokenizer
from kerasbert.training.optimizers import adamw

CLASSES = ["O", "B-animal", "I-animal"]
ANIMALS = ("cat", "dog", "horse")
OTHERS = ("the", "a", "house", "sees", "and", "good", "unlikely", "zebras", "is", ",", ".")
# Several scripts, subwords, punctuation, a combining accent, an empty string.
HARD = [
    "The cat, unlikely dogs!",
    "中国 bird",
    "e\u0301 Cafe\u0301 cat\tdog  bird",
    "",
    "  ",
    "x",
    "a \u200b b\x00c \ufeff",
]
ODD_WORDS = ["", " ", "\u200b", "New York", "don't", "\x00", "é", "zebras", b"\xff", "x" * 150]


def sentence(chooser, length):
    """Sentences with animals of one or two words, and their tags."""
    words, tags = [], []
    while len(words) < length:
        words.append(chooser.choice(OTHERS))
        tags.append("O")
        if chooser.random() < 0.3:
            count = chooser.randint(1, 2)
            words += chooser.choices(ANIMALS, k=count)
            tags += CLASSES[1 : 1 + count]
    return words[:length], tags[:length]


def sentences(count, *, longest=9, seed=0):
    chooser = random.Random(seed)
    lengths = [chooser.randint(1, longest) for _ in range(count)]
    found = [sentence(chooser, length) for length in lengths]
    return [words for words, _ in found], [tags for _, tags in found]


def new_task(tokenizer, tiny_backbone, **options):
    return TokenClassifier(tiny_backbone(tokenizer), CLASSES, tokenizer=tokenizer, **options)


@pytest.fixture(scope="module")
def task(tokenizer, tiny_backbone):
    """A model that has learned which words are animals."""
    task = new_task(tokenizer, tiny_backbone)
    task.compile(adamw(1e-2))
    keras.utils.set_random_seed(0)
    task.fit(*sentences(60), batch_size=10, epochs=40, verbose=0)
    return task


@pytest.fixture(scope="module")
def client(task, tmp_path_factory):
    directory = tmp_path_factory.mktemp("export") / "1"
    task.export(directory, check=False)
    return SavedModelClient(directory)


def softmax(logits):
    return np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)


# === Words in, labels out ===


def test_memorizes(task):
    words, tags = sentences(60)
    assert task.score(words, tags) == {
        "precision": 1.0,
        "recall": 1.0,
        "f1": 1.0,
        "accuracy": 1.0,
        "f1/animal": 1.0,
    }
    assert [[word.label for word in one] for one in task.tag(words)] == tags


def test_every_form_of_words_and_labels(task):
    words, tags = sentences(12, longest=40, seed=1)
    positions = [[CLASSES.index(tag) for tag in one] for one in tags]
    expected = task.evaluate(words, tags, verbose=0)
    forms = [
        (words, positions),
        ({"words": words}, [np.array(one) for one in positions]),
        ({"words": tf.ragged.constant(words)}, tf.ragged.constant(tags)),
        ([[word.encode() for word in one] for one in words], tf.ragged.constant(positions)),
    ]
    for x, y in forms:
        assert task.evaluate(x, y, verbose=0) == pytest.approx(expected, abs=1e-5)
        assert task.score(x, y) == task.score(words, tags)


def test_shapes_and_probabilities(task):
    words = [["a", "cat"], [], ["New York"] * 50]
    logits = task.predict(words, batch_size=2, verbose=0)
    assert (logits.shape, logits.dtype) == ((3, 50, 3), "float32")
    np.testing.assert_array_equal(task.predict_on_batch(words), logits)
    for one, own, tags in zip(logits, words, task.tag(words), strict=True):
        assert not one[len(own) :].any()
        one = one[: len(own)]
        assert [word.label for word in tags] == [CLASSES[i] for i in one.argmax(-1)]
        assert [word.score for word in tags] == pytest.approx(list(softmax(one).max(-1)), abs=1e-5)
    texts = task.predict(["a cat", "a"], verbose=0)
    np.testing.assert_allclose(texts[0], logits[0, :2], atol=1e-5)
    assert not texts[1, 1].any()


@pytest.mark.parametrize("x", [[[]], {"words": [[]]}, {"words": []}, [], [""]], ids=str)
def test_nothing(task, x):
    count = len(x["words"]) if "words" in x else len(x)
    assert [len(one) for one in task.tag(x)] == [0] * count
    assert task.predict(x, verbose=0).shape == (count, 0, 3)


def test_sentences_do_not_see_each_other(task):
    words, _ = sentences(40, longest=30, seed=2)
    together = task.predict(words, verbose=0)
    for one, logits in zip(words, together, strict=True):
        alone = task.predict([one], verbose=0)[0]
        np.testing.assert_allclose(alone, logits[: len(one)], atol=1e-5)


def test_the_first_subword_decides(task, tokenizer):
    words = ["zebras", "cat", "unlikely"]
    ids = tokenizer([" ".join(words)])
    features = {name: value.numpy() for name, value in task.preprocessor.packer.pack(ids).items()}
    pieces = [tokenizer.continues_word[id] for id in ids.to_list()[0]]
    first = [position for position, continues in enumerate(pieces, start=1) if not continues]
    assert len(first) == 3 < len(pieces)
    expected = task.predict(features, verbose=0)[0, first]
    np.testing.assert_allclose(task.predict([words], verbose=0)[0], expected, atol=1e-5)


def test_no_word_is_dropped(task, tokenizer):
    assert (
        tokenizer.tokenize_words(["\u200b", "", "cat"]).to_list()[:2]
        == [[tokenizer.unknown_id]] * 2
    )
    assert len(task.tag([ODD_WORDS * 5])[0]) == len(ODD_WORDS) * 5


# === Words of other tokenizers ===

SETTINGS = {
    "wordpiece": {"kind": "wordpiece"},
    "bytepair": {"kind": "bytepair"},
    "prefix": {"kind": "bytepair", "add_prefix_space": True},
    "albert": {"kind": "sentencepiece", "lowercase": True, "strip_accents": True},
    "fairseq": {"kind": "sentencepiece", "layout": "fairseq", "packing": "roberta"},
}


@pytest.fixture(params=SETTINGS)
def any_tokenizer(request, make_tokenizer):
    return make_tokenizer(SETTINGS[request.param])


def test_words_are_tokenized_as_after_a_space(any_tokenizer):
    words = ["the", "cat", "unlikely", "x"]
    pieces = any_tokenizer.tokenize_words(words).to_list()
    in_text = any_tokenizer.tokenize([" " + " ".join(words)]).to_list()[0]
    assert list(itertools.chain(*pieces)) == in_text
    assert all(any_tokenizer.tokenize_words(ODD_WORDS).row_lengths().numpy() > 0)


def test_windows_of_any_tokenizer(any_tokenizer, tiny_backbone, answer):
    task = new_task(any_tokenizer, tiny_backbone)
    texts = [*HARD, "the cat sees the dog " * 20]
    words = task.split(texts)
    live = task.tag(words)
    for text, row, some, tags in zip(texts, answer(task, text=texts), words, live, strict=True):
        check_row(text, row, some, tags)


def test_byte_pair_matches_roberta(shared):
    """First tokens of words, from transformers' is_split_into_words with add_prefix_space."""
    from kerasbert.text import BytePairTokenizer

    directory = shared("vocab", "roberta-base")
    tokenizer = BytePairTokenizer(directory / "vocab.json", directory / "merges.txt")
    found = tokenizer.tokenize_words(["U.S.", "don't", " x", "New York", "", "\u200b"]).to_list()
    pieces = [[tokenizer.id_to_token(id) for id in word] for word in found]
    assert pieces == [
        ["ĠU", ".", "S", "."],
        ["Ġdon", "'t"],
        ["Ġx"],
        ["ĠNew", "ĠYork"],
        ["<unk>"],
        ["ĠâĢĭ"],
    ]


# === Windows ===


def context(position, begin, end):
    """Returns the number of tokens on the shorter side."""
    return min(position - begin, end - 1 - position)


@given(st.lists(st.integers(0, 40), max_size=4), st.integers(1, 9), st.data())
def test_tokens_count_where_they_have_most_context(lengths, size, data):
    stride = data.draw(st.integers(1, size))
    found = deciding_windows(tf.constant(lengths, tf.int64), size, stride)
    offsets = [0, *itertools.accumulate(lengths)]
    windows = [w for w in zip(*(x.to_list() for x in found), strict=True) if w[0]]
    decided = {}
    for positions, decides in windows:
        assert positions == list(range(positions[0], positions[-1] + 1))
        for position, decided_here in zip(positions, decides, strict=True):
            if decided_here:
                assert position not in decided
                decided[position] = context(position, positions[0], positions[-1] + 1)
    assert list(decided) == list(range(offsets[-1]))
    for begin, end in itertools.pairwise(offsets):
        of_row = [positions for positions, _ in windows if begin <= positions[0] < end]
        assert all(len(positions) == min(size, end - begin) for positions in of_row)
        assert all(positions[-1] < end for positions in of_row)
        for position in range(begin, end):
            contexts = [context(position, p[0], p[-1] + 1) for p in of_row if position in p]
            assert decided[position] == max(contexts)


@pytest.mark.parametrize("stride", [None, 1, 5, 22])
def test_windows_by_hand(tokenizer, tiny_backbone, stride):
    """Compares with the logits of windows that Python cuts, with one token per word."""
    task = new_task(tokenizer, tiny_backbone, stride=stride)
    words = (WORDS * 5)[:70]
    room, step = 22, stride or 11
    starts = [*range(0, 70 - room, step), 70 - room]
    windows = [words[start : start + room] for start in starts]
    logits = task.predict(windows, verbose=0)
    (found,) = task.predict([words], verbose=0)
    for position in range(70):
        contexts = [
            context(position, s, s + room) if s <= position < s + room else -1 for s in starts
        ]
        best = int(np.argmax(contexts))
        np.testing.assert_allclose(
            found[position], logits[best][position - starts[best]], atol=1e-5
        )


WORDS = [*ANIMALS, "the", "a", "house", "sees", "and", "good", "old", "red", "is", "in", "x", "."]


@pytest.mark.parametrize("stride", [0, 23])
def test_bad_stride(tokenizer, tiny_backbone, stride):
    with pytest.raises(InputError, match=rf"stride must be in \[1, 22\], found {stride}"):
        new_task(tokenizer, tiny_backbone, stride=stride)


def logits_of_all_words(task, sentences):
    padded = task.predict(sentences, verbose=0)
    return np.concatenate([row[: len(own)] for row, own in zip(padded, sentences, strict=True)])


def test_a_word_counts_once_in_the_loss(task):
    words, tags = sentences(5, longest=90, seed=3)
    weights = [[1.0 + (i % 3) for i in range(len(one))] for one in words]
    logits = logits_of_all_words(task, words).astype("float64")
    positions = [CLASSES.index(tag) for tag in itertools.chain(*tags)]
    losses = -np.log(softmax(logits)[np.arange(len(positions)), positions])
    right = logits.argmax(-1) == positions
    for given_weights, flat in (
        (None, np.ones(len(positions))),
        (weights, np.concatenate(weights)),
        ([1, 0, 2, 0, 1], np.repeat([1, 0, 2, 0, 1], [len(one) for one in words])),
    ):
        found = task.evaluate(
            words, tags, sample_weight=given_weights, batch_size=99, verbose=0, return_dict=True
        )
        assert found["loss"] == pytest.approx(np.average(losses, weights=flat), abs=1e-5)
        assert found["accuracy"] == pytest.approx(np.average(right, weights=flat))
    rows = task.preprocessor.rows(words, tags)
    assert float(tf.reduce_sum(rows.sample_weight)) == len(positions) < len(rows.y.flat_values)


# === Training ===


def test_training_batches_from_any_step(task):
    words, tags = sentences(20, longest=60, seed=4)
    batches = task.preprocessor.training_batches(words, tags, batch_size=4, seed=1)
    later = task.preprocessor.training_batches(words, tags, batch_size=4, seed=1, start=7)
    for one, other in zip(batches.skip(7).take(5), later.take(5), strict=True):
        tf.nest.map_structure(np.testing.assert_array_equal, one, other)


def test_validation_split(tokenizer, tiny_backbone):
    task = new_task(tokenizer, tiny_backbone)
    task.compile(keras.optimizers.SGD(0.0))
    words, tags = sentences(8, longest=40)
    history = task.fit(words, tags, validation_split=0.25, verbose=0).history
    expected = task.evaluate(words[6:], tags[6:], verbose=0)
    assert [history["val_loss"][0], history["val_accuracy"][0]] == pytest.approx(expected, 1e-4)


def test_from_a_file(task, tmp_path):
    path = tmp_path / "data.conll"
    path.write_text("the O\ncat B-animal\n\na O\ndog B-animal\nhorse I-animal\n")
    examples = read_columns(path)
    assert task.evaluate(examples.texts, examples.labels, verbose=0, return_dict=True)[
        "accuracy"
    ] == pytest.approx(task.score(examples.texts, examples.labels)["accuracy"])


@pytest.mark.parametrize(
    ("x", "y", "weight", "message"),
    [
        ([["a"], ["b"]], [["O"]], None, "there are 2 sentences, but y has 1"),
        ([["a"], ["b", "c"]], [["O"], ["O"]], None, "sentence 1 has 2 words, but 1 in y"),
        ([["a"]], [["X"]], None, r"^y\[0\]\[0\] is 'X', which is none of the classes O, B-animal"),
        (
            [["a"]],
            [[3]],
            None,
            r"y\[0\]\[0\] is 3, but indices of the 3 classes O, .* from 0 to 2",
        ),
        ([["a"]], [[-1]], None, r"y\[0\]\[0\] is -1, but indices of"),
        ([["a"]], [["O"]], [[1.0, 2.0]], "sentence 0 has 1 words, but 2 in sample_weight"),
        ([["a"]], None, None, "the examples have no labels"),
        (["a"], [["O"]], None, "learns from lists of words and of labels"),
        ((["a"], ["b"]), [["O"]], None, "there are 2 sentences, but y has 1"),
        ([["a", 3]], [["O", "O"]], None, r"words\[0\]\[1\] must be a string, found 3"),
        ([["a"], "b"], [["O"], ["O"]], None, r"words\[1\] must be a list of strings, found 'b'"),
    ],
)
@pytest.mark.parametrize("method", ["fit", "evaluate"])
def test_bad_examples(task, method, x, y, weight, message):
    with pytest.raises(InputError, match=message):
        getattr(task, method)(x, y, sample_weight=weight, verbose=0)


def test_bad_predict_inputs(task):
    with pytest.raises(InputError, match="predict takes no steps or callbacks"):
        task.predict(["a"], callbacks=[keras.callbacks.Callback()])
    with pytest.raises(InputError, match="must hold features"):
        task.predict(tf.data.Dataset.from_tensor_slices(["a"]).batch(1))
    with pytest.raises(InputError, match=r"takes words or text; found text and text_pair"):
        task.predict({"text": ["a"], "text_pair": ["b"]})
    with pytest.raises(InputError, match="scored on lists of words"):
        task.score(["a"], [["O"]])


def test_datasets_of_text_are_refused(task):
    dataset = tf.data.Dataset.from_tensor_slices((["a"], [0])).batch(1)
    with pytest.raises(InputError, match="must hold features"):
        task.fit(dataset, verbose=0)


def test_score_of_classes_other_than_tags(tokenizer, tiny_backbone):
    task = TokenClassifier(tiny_backbone(tokenizer), ["noun", "verb"], tokenizer=tokenizer)
    words = [["a", "cat"], ["x"]]
    found = [[word.label for word in one] for one in task.tag(words)]
    assert task.score(words, found) == {"accuracy": 1.0}


# === Words and entities ===


def test_offsets_of_words(task):
    (words,) = task.tag(["Ein  Café, 中国!"])
    assert [word[:1] + word[3:] for word in words] == [
        ("Ein", 0, 3),
        ("Café", 5, 9),
        (",", 9, 10),
        ("中", 11, 12),
        ("国", 12, 13),
        ("!", 13, 14),
    ]
    (words,) = task.tag([["New York", "é", ""]])
    assert [word[:1] + word[3:] for word in words] == [
        ("New York", 0, 8),
        ("é", 9, 10),
        ("", 11, 11),
    ]


def test_entities_are_joined():
    labels = ["B-a", "I-a", "O", "B-a", "B-a", "I-b", "I-b", "O", "O", "c", "I-c"]
    words = [TaggedWord("w", label, 0.1 * n, n, n + 1) for n, label in enumerate(labels)]
    found = [(e.label, e.start, e.end, round(e.score, 6)) for e in join("wwwwwwwwwww", words)]
    assert found == [
        ("a", 0, 2, 0.05),
        ("a", 3, 4, 0.3),
        ("a", 4, 5, 0.4),
        ("b", 5, 7, 0.55),
        ("c", 9, 11, 0.95),
    ]


@pytest.mark.parametrize(("labels", "expected"), entity_cases.CASES)
def test_entities_are_joined_as_on_the_page(labels, expected):
    words = [TaggedWord("w", label, 1.0, n, n + 1) for n, label in enumerate(labels)]
    assert [(e.label, e.start, e.end) for e in join("w" * len(words), words)] == expected


GOLDENS = pathlib.Path(__file__).parents[1] / "goldens"


@pytest.mark.parametrize("aggregation", ["first", "average", "max", "simple"])
def test_entities_as_transformers(aggregation):
    golden = json.loads((GOLDENS / "entities.json").read_text(encoding="utf-8"))
    model, texts = GOLDENS / "huggingface" / "bert_token_classification", golden["texts"]
    tokenizer = WordPieceTokenizer(golden["vocabulary"])
    found = TokenClassifier.from_preset(model, tokenizer=tokenizer).tag(
        texts, aggregation=aggregation
    )
    for text, ours, theirs in zip(texts, found, golden[aggregation], strict=True):
        assert [[e.label, e.start, e.end] for e in ours] == [e[:3] for e in theirs]
        assert [e.score for e in ours] == pytest.approx([e[3] for e in theirs], abs=1e-5)
        assert [e.text for e in ours] == [text[e.start : e.end] for e in ours]


def test_unknown_aggregation(task):
    with pytest.raises(
        InputError, match="one of first, max, average, simple or None, found 'last'"
    ):
        task.tag(["a"], aggregation="last")


def test_an_added_token_is_a_word(task):
    marked = task.add_tokens(["[E1]", "[/E1]"], special=True)
    assert marked.split(["a [E1]cat[/E1], é"]) == [["a", "[E1]", "cat", "[/E1]", ",", "é"]]
    words = marked.tag(["é [E1]cat[/E1]"])[0]
    assert [(word.word, word.start) for word in words] == [
        ("é", 0),
        ("[E1]", 2),
        ("cat", 6),
        ("[/E1]", 9),
    ]


# === Export ===


def check_row(text, row, words, tags):
    """Checks a row of an export: offsets, the live model's labels, and padding."""
    count = row["lengths"]
    for name, nothing in {"words": "", "labels": "", "scores": 0, "starts": 0, "ends": 0}.items():
        assert set(row[name][count:]) <= {nothing}
    spans = list(zip(row["starts"][:count], row["ends"][:count], strict=True))
    assert [text[start:end].replace("\0", "\1") for start, end in spans] == row["words"][:count]
    assert all(end <= start for (_, end), (start, _) in itertools.pairwise(spans))
    assert row["words"][:count] == words
    assert row["labels"][:count] == [word.label for word in tags]
    assert row["scores"][:count] == pytest.approx([word.score for word in tags], abs=1e-5)
    left = list(text)
    for start, end in spans:
        left[start:end] = " " * (end - start)
    assert not "".join(left).strip()


def test_export_agrees_with_the_live_model(task, client):
    texts = [*HARD, "the cat sees the dog " * 40]
    words = task.split(texts)
    rows = client(text=texts)
    for text, row, some, tags in zip(texts, rows, words, task.tag(words), strict=True):
        check_row(text, row, some, tags)
    assert rows[0]["words"][:6] == ["The", "cat", ",", "unlikely", "dogs", "!"]
    assert rows[1]["words"][:3] == ["中", "国", "bird"]
    assert rows[-1]["lengths"] == 200
    for text, row, tags in zip(texts, rows, task.tag(texts), strict=True):
        spans = zip(row["starts"], row["ends"], strict=True)
        assert [tuple(span) for span in spans][: len(tags)] == [tag[3:] for tag in tags]
        assert [tag.word for tag in tags] == [text[tag.start : tag.end] for tag in tags]
        assert [tag.label for tag in tags] == row["labels"][: len(tags)]


def test_export_finds_animals(client):
    (row,) = client(text=["A dog and a cat, the house is red."])
    found = [word for word, label in zip(row["words"], row["labels"], strict=True) if label != "O"]
    assert found == ["dog", "cat"]


def test_export_of_no_rows_and_nothing(client):
    assert client(text=[]) == []
    (row,) = client(text=[""])
    assert row["lengths"] == 0


def test_export_of_bytes(client):
    (row,) = client(text=[b"cat \xff\xfe dog\xc3"])
    assert row["words"] == ["cat", "\ufffd\ufffd", "dog\ufffd"]
    assert (row["starts"], row["ends"]) == ([0, 4, 7], [3, 6, 11])


@pytest.mark.parametrize("text", ["the cat, " * 110_000, "x" * 1_000_000], ids=["words", "word"])
def test_a_megabyte(client, text):
    (row,) = client(text=[text])
    assert row["lengths"] == (330_000 if " " in text else 1)
    assert (row["starts"][-1], row["ends"][-1]) == (len(text.rstrip()) - 1, len(text.rstrip())) or (
        row["starts"] == [0] and row["ends"] == [1_000_000]
    )


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)


@given(st.lists(TEXTS, min_size=1, max_size=4))
def test_any_text(task, client, texts):
    words = task.split(texts)
    rows = client(text=texts)
    for row, some, tags in zip(rows, words, task.tag(words), strict=True):
        count = row["lengths"]
        assert row["words"][:count] == some
        assert row["labels"][:count] == [word.label for word in tags]
        assert row["scores"][:count] == pytest.approx([word.score for word in tags], abs=1e-5)


@given(st.lists(st.lists(TEXTS | st.binary(max_size=5), max_size=40), min_size=1, max_size=4))
def test_any_words(task, sentences):
    words = {"words": sentences}
    logits = task.predict(words, verbose=0)
    assert logits.shape == (len(sentences), max(map(len, sentences)), 3)
    assert np.isfinite(logits).all()
    assert all(
        row[: len(own)].any(axis=-1).all() and not row[len(own) :].any()
        for row, own in zip(logits, sentences, strict=True)
    )
    labels = [["O"] * len(one) for one in sentences]
    rows = task.preprocessor.rows(words, labels)
    assert float(tf.reduce_sum(rows.sample_weight)) == sum(map(len, sentences))


def test_ops_are_known_to_servers(client):
    data = (client.directory / "saved_model.pb").read_bytes()
    graph = saved_model_pb2.SavedModel.FromString(data).meta_graphs[0].graph_def
    functions = graph.library.function
    nodes = itertools.chain(graph.node, *(function.node_def for function in functions))
    names = {function.signature.name for function in functions}
    foreign = {node.op for node in nodes if not hasattr(tf.raw_ops, node.op)} - names
    assert foreign == {
        "FastWordpieceTokenizeWithOffsets",
        "NormalizeUTF8",
        "RegexSplitWithOffsets",
    }


# === The model ===


@pytest.mark.parametrize("classes", [None, [], ["one"], 1, ["a", "a"]])
def test_bad_classes(tokenizer, tiny_backbone, classes):
    with pytest.raises(InputError, match="classes"):
        TokenClassifier(tiny_backbone(tokenizer), classes)


def test_classes_by_number(tokenizer, tiny_backbone):
    assert TokenClassifier(tiny_backbone(tokenizer), 3).classes == ["0", "1", "2"]


@pytest.mark.parametrize("length", [3, 25])
def test_bad_sequence_length(tokenizer, tiny_backbone, length):
    with pytest.raises(InputError, match=rf"sequence_length must be in \[4, 24\], found {length}"):
        TokenClassifier(tiny_backbone(tokenizer), 2, sequence_length=length)


def test_features_need_no_tokenizer(tiny_backbone, tokenizer):
    task = TokenClassifier(tiny_backbone(tokenizer), 2)
    assert task.predict({"token_ids": np.ones((2, 4), int)}, verbose=0).shape == (2, 4, 2)
    with pytest.raises(InputError, match="has no tokenizer"):
        task.predict([["a"]])


def test_round_trips(task, tmp_path):
    words, _ = sentences(4, longest=40)
    expected = task.predict(words, verbose=0)
    task.save_to_preset(tmp_path / "model")
    task.save(tmp_path / "model.keras")
    for loaded in (load(tmp_path / "model"), keras.models.load_model(tmp_path / "model.keras")):
        assert loaded.head_config() == task.head_config()
        for found, logits in zip(loaded.predict(words, verbose=0), expected, strict=True):
            np.testing.assert_allclose(found, logits, atol=1e-6)
    fresh = TokenClassifier.from_preset(tmp_path / "model", classes=["a", "b", "c"], stride=3)
    assert fresh.uninitialized_weights == ["token_classifier/kernel", "token_classifier/bias"]
    assert fresh.stride == 3
