"""Long texts in chunks, compared with short texts that are pooled by hand."""

import dataclasses
import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy import special
from tensorflow.core.protobuf import saved_model_pb2

from kerasbert import Backbone, BackboneConfig, InputError, TextClassifier, families, load
from kerasbert.layers.chunks import POOLINGS, PoolChunks
from kerasbert.serving.client import SavedModelClient
from kerasbert.text import TextPacker
from kerasbert.text.chunks import chunk_features, cut
from kerasbert.training.optimizers import adamw

SHORT = ["a good cat", "the bad dog", "", "x"]
WORDS = ["one", "two", "three", "four", "cat", "dog", "bird", "fish", "good", "bad"]
LONG = " ".join(WORDS * 3)  # 30 tokens
LENGTH = 10  # tokens per chunk: 8 of the text
CLASSES = ["bad", "good"]


@pytest.fixture
def make(tiny_backbone, tokenizer):
    def make(long_text="mean", tokenizer=tokenizer, **options):
        keras.utils.set_random_seed(0)
        task = TextClassifier(
            tiny_backbone(tokenizer),
            CLASSES,
            tokenizer=tokenizer,
            long_text=long_text,
            **{"sequence_length": LENGTH, **options},
        )
        task.get_layer("classifier").bias.assign([0.1, -0.2])
        return task

    return make


def same_weights(task, other):
    values = {variable.path: variable.value for variable in other.weights}
    for variable in task.weights:
        if variable.path in values:
            variable.assign(values[variable.path])
    return task


# === Cutting ===


@pytest.mark.parametrize("overlap", [0, 1, 3])
@pytest.mark.parametrize("max_chunks", [1, 2, 50])
def test_chunks_match_a_python_loop(overlap, max_chunks):
    size = 4
    rows = [list(range(100 * n, 101 * n)) for n in [0, 1, 3, 4, 5, 7, 8, 9, 17]]
    expected, counts = [], []
    for row in rows:
        chunks = [row[:size]]
        at = size - overlap
        while at + overlap < len(row) and len(chunks) < max_chunks:
            chunks.append(row[at : at + size])
            at += size - overlap
        expected += chunks
        counts.append(len(chunks))
    ragged = tf.ragged.constant(rows, tf.int32)
    found, number = cut(ragged, size, max_chunks=max_chunks, overlap=overlap)
    assert found.to_list() == expected
    assert number.numpy().tolist() == counts


@pytest.mark.parametrize("kind", ["wordpiece", "bytepair", "sentencepiece"])
def test_a_short_text_is_packed_as_one_row(kind, make_tokenizer):
    family = next(f for f in families.FAMILIES.values() if f.tokenizer["kind"] == kind)
    tokenizer = make_tokenizer(family.tokenizer)
    packer = TextPacker(tokenizer, 24)
    chunked = chunk_features(packer, tf.constant(SHORT), max_chunks=4)
    for name, value in packer(tf.constant(SHORT)).items():
        assert chunked[name].shape == (4, 1, value.shape[1])
        np.testing.assert_array_equal(chunked[name][:, 0], value)
    # Missing chunks of a text are padding, with the tokenizer's id.
    among = chunk_features(packer, tf.constant(["a", "cat dog " * 40]), max_chunks=3)
    assert among["token_ids"].shape[:2] == (2, 3)
    assert (among["token_ids"][0, 1:].numpy() == tokenizer.pad_id).all()
    assert (among["padding_mask"][0, 1:].numpy() == 0).all()
    assert (among["padding_mask"][1].numpy() == 1).all()


def most_are_full(names, *others):
    """Marks all chunks but the given ones as full."""
    return [pytest.param(n, marks=[] if n in others else pytest.mark.full) for n in names]


# === Pooling ===


@pytest.mark.parametrize("how", POOLINGS)
def test_pooling_matches_its_definition(how):
    chance = np.random.default_rng(0)
    vectors = chance.normal(size=(3, 4, 5)).astype("float32")
    counts = [1, 4, 2]
    mask = np.zeros((3, 4, 6), "int32")
    for row, count in enumerate(counts):
        mask[row, :count, :3] = 1
    layer = PoolChunks(how, initializer_range=1.0)
    found = layer(vectors.reshape(12, 5), mask).numpy()
    for row, count in enumerate(counts):
        real = vectors[row, :count]
        if how == "attention":
            expected = special.softmax(real @ layer.query.numpy()) @ real
        else:
            expected = getattr(real, how)(axis=0)
        np.testing.assert_allclose(found[row], expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(found[0], vectors[0, 0])  # bitwise


@pytest.mark.parametrize("how", POOLINGS)
def test_short_texts_match_the_plain_model(make, how):
    task = make(how)
    plain = same_weights(make(None), task)
    expected = plain.predict(SHORT, verbose=0)
    np.testing.assert_array_equal(task.predict(SHORT, verbose=0), expected)
    among = task.predict([*SHORT, LONG], verbose=0)
    np.testing.assert_allclose(among[:4], expected, atol=1e-5)


@pytest.mark.parametrize("overlap", [0, 3])
def test_long_texts_are_the_mean_of_their_chunks(make, overlap):
    task = make("mean", chunk_overlap=overlap)
    plain = same_weights(make(None), task)
    words, step = LONG.split(), 8 - overlap
    starts = range(0, len(words) - overlap, step)
    chunks = [" ".join(words[start : start + 8]) for start in starts]
    # The mean of vectors and, because the last layer is linear, of logits.
    expected = plain.predict(chunks, verbose=0).mean(axis=0)
    np.testing.assert_allclose(task.predict([LONG], verbose=0)[0], expected, atol=1e-5)


def test_text_beyond_the_chunks_is_ignored(make):
    task = make("mean", max_chunks=2)
    read = " ".join(WORDS * 3) + " "
    longer = task.predict([read, read + "bad " * 200_000], verbose=0)  # 0.8 MB
    np.testing.assert_allclose(longer[0], longer[1], atol=1e-6)
    assert task.preprocessor.features([read * 100])["token_ids"].shape == (1, 2, LENGTH)
    cut_off = task.predict([" ".join(read.split()[:16])], verbose=0)
    np.testing.assert_allclose(longer[0], cut_off[0], atol=1e-6)


def test_no_texts_at_all(make, answer):
    for how in POOLINGS:
        task = make(how)
        assert task(task.preprocessor.features(tf.zeros([0], tf.string))).shape == (0, 2)
    _, function = task.serving_signature()
    assert function(tf.zeros([0], tf.string))["scores"].shape == (0, 2)


# === Learning, saving, exporting ===


def foreign_ops(directory):
    """Returns the ops of an export that are not TensorFlow's own."""
    data = (directory / "saved_model.pb").read_bytes()
    graph = saved_model_pb2.SavedModel.FromString(data).meta_graphs[0].graph_def
    functions = graph.library.function
    nodes = itertools.chain(graph.node, *(function.node_def for function in functions))
    names = {function.signature.name for function in functions}
    return {node.op for node in nodes if not hasattr(tf.raw_ops, node.op)} - names


@pytest.mark.parametrize("how", most_are_full(POOLINGS, "mean"))
def test_learns_from_later_chunks(make, how):
    filler = "the river and the road " * 4
    texts = [filler + word for word in ("cat good", "good dog", "cat bad", "bad dog")] * 8
    names = ["good", "good", "bad", "bad"] * 8
    task, plain = make(how), make(None)
    for one in (task, plain):
        one.compile(adamw(1e-2))
        one.fit(texts, names, batch_size=8, epochs=6, verbose=0)
    assert task.score(texts, names)["accuracy"] == 1.0
    assert plain.score(texts, names)["accuracy"] == 0.5  # truncated before the word


@pytest.mark.parametrize("how", most_are_full(POOLINGS, "attention"))
def test_every_way_to_save(make, how, tmp_path):
    task = make(how, max_chunks=3, chunk_overlap=2)
    texts = [*SHORT, LONG]
    expected = task.predict(texts, verbose=0)
    task.save_to_preset(tmp_path / "preset")
    task.save(tmp_path / "model.keras")
    for loaded in (load(tmp_path / "preset"), keras.models.load_model(tmp_path / "model.keras")):
        assert loaded.head_config() == task.head_config()
        np.testing.assert_allclose(loaded.predict(texts, verbose=0), expected, atol=1e-6)
    task.export(tmp_path / "export" / "1", check=False)
    client = SavedModelClient(tmp_path / "export")
    assert foreign_ops(tmp_path / "export" / "1") <= {
        "CaseFoldUTF8",
        "FastWordpieceTokenizeWithOffsets",
        "NormalizeUTF8",
        "RegexSplitWithOffsets",
    }
    for batch in ([LONG], texts, ["cat " * 3000]):
        scores = special.softmax(task.predict(batch, verbose=0), axis=-1)
        found = [row["scores"] for row in client(text=batch)]
        np.testing.assert_allclose(found, scores, atol=1e-5)


def test_a_plain_classifier_becomes_one_of_long_texts(make, tmp_path):
    make(None).save_to_preset(tmp_path / "model")
    task = TextClassifier.from_preset(tmp_path / "model", long_text="attention")
    assert task.uninitialized_weights == ["pool_chunks/query"]
    with pytest.raises(InputError, match="does not support long_text='attention'"):
        task.save_to_preset(tmp_path / "hf", format="hf")


@pytest.mark.parametrize("family", most_are_full(families.FAMILIES, "roberta", "albert"))
def test_families(family, make_tokenizer, tmp_path):
    presets = families.FAMILIES[family].presets.values()
    facts = min(presets, key=lambda facts: facts["hidden_dim"] * facts["num_layers"])
    tokenizer = make_tokenizer(families.FAMILIES[family].tokenizer)
    size = {"num_layers": 1, "hidden_dim": 16, "num_heads": 2, "intermediate_dim": 24}
    narrow = {"embedding_dim": 8} if facts.get("embedding_dim") else {}
    size |= {"max_sequence_length": 24, "initializer_range": 0.2}
    size |= {"vocabulary_size": tokenizer.vocabulary_size}
    config = BackboneConfig(**{**facts, **size, **narrow})
    config = dataclasses.replace(config, pooler=TextClassifier.needs_pooler(config))
    task = TextClassifier(
        Backbone(config), 3, tokenizer=tokenizer, sequence_length=10, long_text="attention"
    )
    before = {variable.path: variable.numpy() for variable in task.trainable_variables}
    task.compile(run_eagerly=True)
    task.fit([*SHORT, LONG], [0, 1, 2, 0, 1], verbose=0)
    still = [
        variable.path
        for variable in task.trainable_variables
        if np.abs(variable.numpy() - before[variable.path]).max() < 1e-6
        and not variable.path.endswith("attention/key/bias")  # softmax is invariant to it
    ]
    assert still == []
    task.save_to_preset(tmp_path / "model")
    np.testing.assert_allclose(
        load(tmp_path / "model").predict([*SHORT, LONG], verbose=0),
        task.predict([*SHORT, LONG], verbose=0),
        atol=1e-5,
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"long_text": "median"}, "pooled by mean, max, attention, found 'median'"),
        ({"max_chunks": 0}, "max_chunks must be 1 or more"),
        ({"chunk_overlap": 8}, "chunk_overlap must be 0 or more and under 8"),
        ({"chunk_overlap": -1}, "chunk_overlap must be 0 or more"),
        ({"pair": True}, "long_text is for single texts"),
    ],
)
def test_bad_options(make, options, message):
    with pytest.raises(InputError, match=message):
        make(**options)


def test_pairs_are_refused(make):
    with pytest.raises(InputError, match="made with pair=True"):
        make().predict((SHORT, SHORT), verbose=0)
