import keras
import numpy as np
import pytest

from kerasbert import InputError, TokenClassifier, load
from kerasbert.serving.client import SavedModelClient
from kerasbert.training.optimizers import adamw

CLASSES = ["other", "animal"]
ANIMALS = ("cat", "dog", "horse")
# Words by their offsets: several scripts, pieces, punctuation, an accent of two characters.
HARD = [
    "The cat, unlikely dogs!",
    "中国 bird",
    "e\u0301 Cafe\u0301 cat\tdog  bird",
    "",
    "  ",
    "x",
]
LONG = "the cat sees the dog " * 20


def examples(task, texts, words=ANIMALS):
    """Features, and a class for every token of a text, by its identity."""
    features = {name: value.numpy() for name, value in task.text_features(texts).items()}
    ids = [task.tokenizer.token_to_id(word) for word in words]
    weights = features["padding_mask"].astype("float32")
    return features, np.isin(features["token_ids"], ids).astype("int32"), weights


@pytest.fixture(scope="module")
def task(tokenizer, tiny_backbone, texts):
    """A classifier that has learned which words are animals."""
    task = TokenClassifier(tiny_backbone(tokenizer), CLASSES, tokenizer=tokenizer)
    task.compile(adamw(1e-2))
    features, labels, weights = examples(task, texts)
    options = {"batch_size": 10, "epochs": 20, "shuffle": False, "verbose": 0}
    task.fit(features, labels, sample_weight=weights, **options)
    return task


@pytest.fixture(scope="module")
def client(task, tmp_path_factory):
    directory = tmp_path_factory.mktemp("export") / "1"
    task.export(directory, check=False)
    return SavedModelClient(directory)


def test_shapes(task):
    assert task.predict(["a cat", "x"], verbose=0).shape == (2, 4, 2)


def test_learns_words(client):
    (row,) = client(text=["A dog and a cat, the horse is red."])
    found = [
        word for word, label in zip(row["words"], row["labels"], strict=True) if label != "other"
    ]
    assert found == ["dog", "cat", "horse"]
    assert row["words"][-1] == "."
    assert all(0.5 <= score <= 1 for score in row["scores"])


def words_of(text, row):
    """The words by their offsets, once the row has been checked to be filled up."""
    length = row["lengths"]
    for name, nothing in (
        ("words", ""),
        ("labels", ""),
        ("scores", 0.0),
        ("starts", 0),
        ("ends", 0),
    ):
        assert set(row[name][length:]) <= {nothing}
    spans = zip(row["starts"][:length], row["ends"][:length], strict=True)
    return [text[start:end] for start, end in spans]


def test_offsets_are_characters(client):
    rows = client(text=HARD)
    for text, row in zip(HARD, rows, strict=True):
        found = words_of(text, row)
        assert found == row["words"][: row["lengths"]]
        assert "".join(found) == "".join(text.split())
    assert rows[0]["words"][:6] == ["The", "cat", ",", "unlikely", "dogs", "!"]
    assert rows[1]["words"][:3] == ["中", "国", "bird"]


def test_empty_text(client):
    (row,) = client(text=[""])
    assert row["lengths"] == 0
    assert client(text=[]) == []


def test_what_is_too_long_is_not_labelled(client):
    long, short = client(text=[LONG, "a dog"])
    assert long["lengths"] == 22  # 24 less [CLS] and [SEP]
    assert words_of(LONG, long) == LONG.split()[:22]
    assert short["lengths"] == 2
    (alone,) = client(text=["a dog"])
    assert short["labels"][:2] == alone["labels"]
    np.testing.assert_allclose(short["scores"][:2], alone["scores"], atol=1e-5)


def test_a_words_first_piece_decides(task, client, tokenizer):
    text = "zebra dogs"
    ids = tokenizer([text]).to_list()[0]
    first = [place for place, id in enumerate(ids) if not tokenizer.continues_word[id]]
    assert len(first) == 2 < len(ids)
    logits = task.predict([text], verbose=0)[0, 1:-1]
    (row,) = client(text=[text])
    assert row["labels"] == [CLASSES[i] for i in logits[first].argmax(-1)]
    scores = np.exp(logits[first]) / np.exp(logits[first]).sum(-1, keepdims=True)
    np.testing.assert_allclose(row["scores"], scores.max(-1), atol=1e-5)


@pytest.mark.parametrize(
    "settings",
    [
        {"kind": "bytepair"},
        {"kind": "sentencepiece", "lowercase": True, "strip_accents": True},
        {"kind": "sentencepiece", "layout": "fairseq", "packing": "roberta"},
    ],
    ids=["bytepair", "albert", "fairseq"],
)
def test_offsets_of_other_tokenizers(make_tokenizer, tiny_backbone, settings, answer):
    tokenizer = make_tokenizer(settings)
    task = TokenClassifier(tiny_backbone(tokenizer), 3, tokenizer=tokenizer)
    texts = [*HARD, LONG]
    for text, row in zip(texts, answer(task, text=texts), strict=True):
        found = words_of(text, row)
        assert found == row["words"][: row["lengths"]]
        assert row["starts"][: row["lengths"]] == sorted(set(row["starts"][: row["lengths"]]))


def test_weights_leave_tokens_out(task):
    features, labels, weights = examples(task, ["a cat", "the good old dog"])
    logits = task.predict(features, verbose=0).astype("float64")
    scores = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    losses = -np.log(np.take_along_axis(scores, labels[..., None], -1)[..., 0])
    found = task.evaluate(features, labels, sample_weight=weights, verbose=0, return_dict=True)
    assert found["loss"] == pytest.approx((losses * weights).sum() / weights.sum(), abs=1e-5)
    right = logits.argmax(-1) == labels
    assert found["accuracy"] == pytest.approx((right * weights).sum() / weights.sum())


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


def test_round_trips(task, tmp_path):
    text = ["the cat and the house"]
    expected = task(task.text_features(text)).numpy()
    task.save_to_preset(tmp_path / "model")
    task.save(tmp_path / "model.keras")
    for loaded in (load(tmp_path / "model"), keras.models.load_model(tmp_path / "model.keras")):
        assert loaded.classes == CLASSES
        np.testing.assert_allclose(loaded(loaded.text_features(text)), expected, atol=1e-6)
    fresh = TokenClassifier.from_preset(tmp_path / "model", classes=["a", "b", "c"])
    assert fresh.new_weights == ["token_classifier/kernel", "token_classifier/bias"]
