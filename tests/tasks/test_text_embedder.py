import itertools
import json
import pathlib
import tracemalloc

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st
from tensorflow.core.protobuf import saved_model_pb2

import kerasbert
from kerasbert import Backbone, InputError, TextEmbedder, load
from kerasbert.data.pairs import read_pairs
from kerasbert.serving.client import SavedModelClient
from kerasbert.tasks.text_embedder.search import nearest
from kerasbert.training.optimizers import adamw

GOLDENS = pathlib.Path(__file__).parents[1] / "goldens" / "huggingface"
TEXTS = ["the cat sees a dog", "a good dog", "they like the river", "one red house", ""]
OTHERS = ["cats", "dogs are good", "rivers", "houses", "nothing"]


@pytest.fixture(scope="module")
def backbone(tokenizer, tiny_backbone):
    return tiny_backbone(tokenizer, num_layers=3, return_hidden_states=True)


@pytest.fixture(scope="module")
def embedder(tokenizer, backbone):
    return TextEmbedder(backbone, tokenizer=tokenizer)


def states_of(task, text):
    """Returns all hidden states of one text's tokens, alone and without padding."""
    return [
        state[0].numpy()
        for state in task.backbone(task.preprocessor.packer([text]))["hidden_states"]
    ]


POOLED = {
    "mean": lambda states: states.mean(0),
    "cls": lambda states: states[0],
    "max": lambda states: states.max(0),
}


@pytest.mark.parametrize("pooling", POOLED)
def test_pooling(tokenizer, backbone, pooling):
    task = TextEmbedder(backbone, tokenizer=tokenizer, pooling=pooling, normalize=False)
    expected = [POOLED[pooling](states_of(task, text)[-1]) for text in TEXTS]
    np.testing.assert_allclose(task.embed(TEXTS), expected, atol=1e-5)
    np.testing.assert_allclose(task.predict(TEXTS, verbose=0), expected, atol=1e-5)


LAYERS = {
    "one": ({"layers": -2}, lambda states: states[-2]),
    "embeddings": ({"layers": [0]}, lambda states: states[0]),
    "sum": ({"layers": [-1, -2, 1]}, lambda states: states[-1] + states[-2] + states[1]),
    "mean": (
        {"layers": [-1, 0], "combine": "mean"},
        lambda states: (states[-1] + states[0]) / 2,
    ),
    "concat": (
        {"layers": [-4, -3, -2, -1], "combine": "concat"},
        lambda states: np.concatenate(states, -1),
    ),
}


@pytest.mark.parametrize("name", LAYERS)
def test_layers(tokenizer, backbone, name, tmp_path):
    arguments, combined = LAYERS[name]
    task = TextEmbedder(backbone, tokenizer=tokenizer, normalize=False, **arguments)
    expected = [combined(states_of(task, text)).mean(0) for text in TEXTS]
    np.testing.assert_allclose(task.embed(TEXTS), expected, atol=1e-5)
    assert task.embedding_dim == expected[0].shape[0]
    task.save_to_preset(tmp_path / "model")
    np.testing.assert_allclose(load(tmp_path / "model").embed(TEXTS), expected, atol=1e-5)


def test_layers_of_a_model_saved_without_hidden_states(tokenizer, tiny_backbone, tmp_path):
    plain = tiny_backbone(tokenizer)
    plain.save_to_preset(tmp_path / "model", tokenizer=tokenizer)
    task = TextEmbedder.from_preset(tmp_path / "model", layers=0)
    assert task.hidden_layers == (0,)
    # Layers above those in use are not trained.
    assert {v.path.split("/")[0] for v in task.trainable_weights} == {"embeddings"}
    with pytest.raises(InputError, match=r"layers=\[0\] need a backbone with return_hidden_states"):
        TextEmbedder(plain, layers=0)


def test_embeddings_of_transformers():
    """Compares the last layer and others with transformers' golden hidden states."""
    values = dict(np.load(GOLDENS / "roberta" / "inputs_outputs.npz"))
    mask = values["attention_mask"][..., None]
    features = {"token_ids": values["input_ids"], "padding_mask": values["attention_mask"]}
    for layer in (0, 1, 2):
        task = TextEmbedder.from_preset(GOLDENS / "roberta", layers=layer)
        mean = (values[f"hidden_state_{layer}"] * mask).sum(1) / mask.sum(1)
        expected = mean / np.linalg.norm(mean, axis=1, keepdims=True)
        np.testing.assert_allclose(task(features), expected, atol=1e-5)


def test_one_text_or_several_an_example(embedder):
    pairs = embedder.embed((TEXTS, OTHERS))
    assert pairs.shape == (5, 2, 16)
    np.testing.assert_allclose(pairs[:, 0], embedder.embed(TEXTS), atol=1e-6)
    features, _, _ = embedder.preprocessor.training_examples(
        0, {"text": tf.constant(TEXTS), "text_pair": tf.constant(OTHERS)}, None, None
    )
    assert features["token_ids"].shape[:2] == (5, 2)
    np.testing.assert_allclose(embedder(features), pairs, atol=1e-5)


# === Words ===


def test_word_vectors(embedder):
    text = "the Cats  sees quixotic!"
    ((words, vectors),) = embedder.word_vectors([text])
    assert words == ["the", "Cats", "sees", "quixotic", "!"]
    states = states_of(embedder, text)[-1][1:-1]
    _, starts, _ = embedder.tokenizer.tokenize_with_offsets([text])
    groups = [list(g) for _, g in itertools.groupby(range(len(starts[0])), lambda i: starts[0][i])]
    assert max(map(len, groups)) > 2
    expected = [states[group].mean(0) for group in groups]
    np.testing.assert_allclose(vectors, expected, atol=1e-5)
    ((_, first),) = embedder.word_vectors([text], subwords="first")
    np.testing.assert_allclose(first, [states[group[0]] for group in groups], atol=1e-5)


def test_word_vectors_of_long_and_empty_texts(embedder):
    (long, vectors), (none, nothing) = embedder.word_vectors(["dog " * 99, ""], batch_size=1)
    assert (long, vectors.shape) == (["dog"] * 22, (22, 16))
    assert (none, nothing.shape) == ([], (0, 16))
    with pytest.raises(InputError, match="subwords must be mean or first, found 'last'"):
        embedder.word_vectors(["a"], subwords="last")


# === Search ===


def test_nearest(monkeypatch):
    numbers = np.random.default_rng(0)
    queries, corpus = numbers.normal(size=(4, 6)), numbers.normal(size=(23, 6))
    norms = np.linalg.norm(queries, axis=1)[:, None] * np.linalg.norm(corpus, axis=1)
    cosines = queries @ corpus.T / norms
    monkeypatch.setattr("kerasbert.tasks.text_embedder.search._BLOCK", 5)
    monkeypatch.setattr("kerasbert.tasks.text_embedder.search._QUERIES", 3)
    scores, rows = nearest(queries, corpus, 7)
    np.testing.assert_array_equal(rows, np.argsort(-cosines, axis=1)[:, :7])
    np.testing.assert_allclose(scores, -np.sort(-cosines, axis=1)[:, :7], atol=1e-6)
    assert nearest(queries, corpus, 99)[0].shape == (4, 23)
    assert nearest(queries, corpus[:0], 3)[0].shape == (4, 0)
    assert nearest(queries[:0], corpus, 3)[1].shape == (0, 3)
    # Equal ones are in the order of the corpus.
    queries, corpus = np.eye(5)[:, :3], np.eye(3)[numbers.integers(0, 3, 23)]
    order = np.argsort(-queries @ corpus.T, axis=1, kind="stable")
    for top_k in (1, 7, 23):
        np.testing.assert_array_equal(nearest(queries, corpus, top_k)[1], order[:, :top_k])


def test_memory_of_many_queries():
    queries, corpus = np.ones((4096, 2), "float32"), np.ones((512, 2), "float32")
    tracemalloc.start()
    try:
        scores, _ = nearest(queries, corpus, 1)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 4 * len(queries) * len(corpus)
    np.testing.assert_allclose(scores, 1, atol=1e-6)


def test_search_finds_itself(embedder):
    scores, rows = embedder.search(TEXTS, embedder.embed(TEXTS), 2)
    np.testing.assert_array_equal(rows[:, 0], range(5))
    np.testing.assert_allclose(scores[:, 0], 1, atol=1e-5)


# === Training ===


def fresh(tokenizer, tiny_backbone, **arguments):
    keras.utils.set_random_seed(0)
    return TextEmbedder(tiny_backbone(tokenizer), tokenizer=tokenizer, **arguments)


NUMBERS = ["one cat", "two dogs", "three fish", "four birds", "red tree", "blue song"]
PARTNERS = ["good", "bad", "great", "poor", "nice", "dull"]


def test_learns_partners(tokenizer, tiny_backbone):
    task = fresh(tokenizer, tiny_backbone)
    before = task.score((NUMBERS, PARTNERS))
    assert before["accuracy"] < 1
    task.compile(adamw(1e-2))
    history = task.fit((NUMBERS * 8, PARTNERS * 8), batch_size=6, epochs=6, verbose=0).history
    assert task.score((NUMBERS, PARTNERS)) == {"accuracy": 1.0}
    assert history["loss"][-1] < history["loss"][0]


def test_features_need_no_labels(tokenizer, tiny_backbone):
    task = fresh(tokenizer, tiny_backbone)
    task.compile(keras.optimizers.SGD(0.0), run_eagerly=True)
    expected = task.evaluate((TEXTS, OTHERS), verbose=0)
    columns = {"text": tf.constant(TEXTS), "text_pair": tf.constant(OTHERS)}
    features, _, _ = task.preprocessor.training_examples(0, columns, None, None)
    features = {name: value.numpy() for name, value in features.items()}
    dataset = tf.data.Dataset.from_tensors(features)
    for x, steps in ((features, None), (dataset, None), (iter([features]), 1)):
        found = task.evaluate(x, steps=steps, verbose=0)
        assert found == pytest.approx(expected, rel=1e-4)
    loss = task.fit(features, verbose=0).history["loss"][0]
    assert loss == pytest.approx(expected[0], rel=1e-4)
    with pytest.raises(InputError, match=r"\(batch, texts, sequence\), found \(5, "):
        task.fit({name: value[:, 0] for name, value in features.items()}, verbose=0)
    task = fresh(tokenizer, tiny_backbone, objective="similarity")
    with pytest.raises(InputError, match="the examples have no labels"):
        task.fit(features, verbose=0)


def test_negatives_are_those_of_the_given_batch(tokenizer, tiny_backbone):
    """Texts of like length are no batch: they would be harder to tell apart, or easier."""
    task = fresh(tokenizer, tiny_backbone)
    task.compile(run_eagerly=True)
    dataset = tf.data.Dataset.from_tensor_slices({"text": TEXTS, "text_pair": OTHERS}).batch(2)
    found = task.evaluate((TEXTS, OTHERS), batch_size=2, verbose=0)
    assert found == pytest.approx(task.evaluate(dataset, verbose=0), rel=1e-4)


def test_negatives_are_pushed_away(tokenizer, tiny_backbone):
    task = fresh(tokenizer, tiny_backbone)
    task.compile(adamw(1e-2))
    x = {"text": NUMBERS, "text_pair": PARTNERS, "text_negative": PARTNERS[::-1]}
    loss, accuracy = task.evaluate(x, batch_size=6, verbose=0)
    often = {name: column * 10 for name, column in x.items()}
    task.fit(often, batch_size=6, epochs=3, shuffle=False, verbose=0)
    after, found = task.evaluate(x, batch_size=6, verbose=0)
    assert after < loss
    assert found >= accuracy


def test_learns_scores(tokenizer, tiny_backbone, tmp_path):
    path = tmp_path / "pairs.csv"
    path.write_text("a cat,a cat,5.0\na cat,bad river,0.0\ngood dog,dogs,4.0\n", encoding="utf-8")
    names = ("text", "text_pair", "score")
    examples = read_pairs(path, column_names=names, highest_score=5)
    task = fresh(tokenizer, tiny_backbone, objective="similarity")
    task.compile(adamw(1e-2))
    often = {name: column * 20 for name, column in examples.texts.items()}
    task.fit(often, examples.labels * 20, batch_size=3, epochs=4, verbose=0)
    assert task.evaluate(examples.texts, examples.labels, verbose=0) < 0.02
    assert task.score(examples.texts, examples.labels)["pearson"] > 0.95


def test_bad_training_data(tokenizer, tiny_backbone):
    task = fresh(tokenizer, tiny_backbone)
    with pytest.raises(InputError, match="accumulation_steps: texts are compared with all"):
        task.compile(accumulation_steps=2)
    task.compile()
    with pytest.raises(InputError, match="learns from pairs of texts, found text"):
        task.fit(TEXTS, verbose=0)
    with pytest.raises(InputError, match="contrastive objective, which needs no labels"):
        task.fit((TEXTS, OTHERS), [1.0] * 5, verbose=0)
    with pytest.raises(InputError, match="predicts single texts"):
        task.predict((TEXTS, OTHERS), verbose=0)
    task = fresh(tokenizer, tiny_backbone, objective="similarity")
    task.compile()
    with pytest.raises(InputError, match="needs pairs with scores"):
        task.fit((TEXTS, OTHERS), verbose=0)
    with pytest.raises(InputError, match=r"y\[2\] is 5, but scores must be in \[-1, 1\]"):
        task.fit((TEXTS, OTHERS), [0.0, 1.0, 5.0, 0.2, 0.1], verbose=0)
    pairs = {"text": TEXTS, "text_pair": OTHERS}
    for y, message in (
        ([0.0, 1.0, 5.0, 0.2, 0.1], r"scores must be in \[-1, 1\]"),
        (["0"] * 5, "y must be numbers, found strings"),
        ([[0.0, 1.0]] * 5, r"one label for each example, found the shape \(5, 2\)"),
    ):
        with pytest.raises(InputError, match=message):
            task.fit(tf.data.Dataset.from_tensors((pairs, y)), verbose=0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"pooling": "median"}, "pooling must be one of mean, cls, max, found 'median'"),
        ({"layers": [5]}, r"layers must be in \[-4, 3\], found \[5\]"),
        ({"layers": []}, r"layers must be in"),
        ({"combine": "product"}, "combine must be one of sum, mean, concat"),
        ({"objective": "triplet"}, "objective must be one of contrastive, similarity"),
        ({"temperature": 0}, "temperature must be over 0"),
        ({"long_text": "attention"}, "long_text must be one of None, mean, max"),
        ({"long_text": "mean", "chunk_overlap": 22}, "chunk_overlap must be 0 or more and under"),
    ],
)
def test_bad_arguments(backbone, arguments, message):
    with pytest.raises(InputError, match=message):
        TextEmbedder(backbone, **arguments)


# === Long texts ===


@pytest.mark.parametrize("long_text", [pytest.param("mean", marks=pytest.mark.full), "max"])
def test_long_texts(tokenizer, backbone, long_text):
    short = TextEmbedder(backbone, tokenizer=tokenizer, normalize=False)
    task = TextEmbedder(
        backbone, tokenizer=tokenizer, normalize=False, long_text=long_text, max_chunks=3
    )
    np.testing.assert_allclose(task.embed(TEXTS), short.embed(TEXTS), atol=1e-5)
    chunks = ["dog " * 22, "cat " * 22, "bird " * 22]
    expected = getattr(np, long_text)(short.embed(chunks), axis=0)
    np.testing.assert_allclose(task.embed(["".join(chunks) + "fish"])[0], expected, atol=1e-5)
    task.compile()
    task.fit((TEXTS, OTHERS), verbose=0)
    assert task.word_vectors(["a dog"])[0][0] == ["a", "dog"]


# === Directories and exports ===


def test_sentence_transformers_directory(embedder, tmp_path):
    task = TextEmbedder(
        embedder.backbone, tokenizer=embedder.tokenizer, pooling="max", sequence_length=12
    )
    task.save_to_preset(tmp_path / "model", format="hf")
    modules = json.loads((tmp_path / "model" / "modules.json").read_text())
    kinds = [module["type"].rsplit(".", 1)[-1] for module in modules]
    assert kinds == ["Transformer", "Pooling", "Normalize"]
    loaded = load(tmp_path / "model")
    assert loaded.head_config() == task.head_config()
    assert loaded.sequence_length == 12
    np.testing.assert_allclose(loaded.embed(TEXTS), task.embed(TEXTS), atol=1e-5)
    other = TextEmbedder.from_preset(tmp_path / "model", pooling="cls", normalize=False)
    assert (other.pooling, other.normalize) == ("cls", False)


def test_unsupported_sentence_transformers(embedder, tmp_path):
    embedder.save_to_preset(tmp_path / "model", format="hf")
    path = tmp_path / "model" / "modules.json"
    modules = [*json.loads(path.read_text()), {"type": "sentence_transformers.models.Dense"}]
    path.write_text(json.dumps(modules))
    with pytest.raises(InputError, match="model: pools by mean, Dense, which kerasbert does not"):
        load(tmp_path / "model")
    assert TextEmbedder.from_preset(tmp_path / "model", pooling="mean").pooling == "mean"
    assert Backbone.from_preset(tmp_path / "model").config.num_layers == 3
    path.write_text("{}")
    with pytest.raises(InputError, match=r"modules\.json: the content must be a list, found {"):
        load(tmp_path / "model")


def test_settings_that_sentence_transformers_cannot_store(embedder, backbone, tmp_path):
    task = TextEmbedder(backbone, tokenizer=embedder.tokenizer, layers=(-2,))
    with pytest.raises(InputError, match="supports the last layer only"):
        task.save_to_preset(tmp_path / "model", format="hf")


def test_keras_file_keeps_the_compilation(tokenizer, tiny_backbone, tmp_path):
    task = fresh(tokenizer, tiny_backbone, temperature=0.2)
    task.compile()
    task.fit((TEXTS, OTHERS), verbose=0)
    task.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(loaded.embed(TEXTS), task.embed(TEXTS), atol=1e-6)
    loaded.fit((TEXTS, OTHERS), verbose=0)


@pytest.fixture(scope="module")
def client(embedder, tmp_path_factory):
    directory = tmp_path_factory.mktemp("export") / "1"
    embedder.export(directory, check=False)
    return SavedModelClient(directory)


def test_export(embedder, client):
    found = [answer["embedding"] for answer in client(text=TEXTS)]
    np.testing.assert_allclose(found, embedder.embed(TEXTS), atol=1e-5)
    assert client(text=[]) == []
    model = saved_model_pb2.SavedModel.FromString(
        (client.directory / "saved_model.pb").read_bytes()
    )
    output = model.meta_graphs[0].signature_def["serving_default"].outputs["embedding"]
    assert output.dtype == tf.float32.as_datatype_enum
    assert [dim.size for dim in output.tensor_shape.dim] == [-1, 16]


@given(st.lists(st.one_of(st.text(), st.binary()), min_size=1, max_size=4))
def test_any_strings(embedder, client, texts):
    found = np.array([answer["embedding"] for answer in client(text=texts)])
    live = embedder.embed(tf.constant(texts, tf.string))
    np.testing.assert_allclose(found, live, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)


def test_public():
    assert kerasbert.TextEmbedder is TextEmbedder
