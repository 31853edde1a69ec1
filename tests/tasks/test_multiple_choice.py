import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from kerasbert import InputError, MultipleChoice, load
from kerasbert.data.choices import read_choices
from kerasbert.serving.client import SavedModelClient
from kerasbert.training.optimizers import adamw

TEXTS = ["the cat sees", "a good dog", "they like", "one red"]
CHOICES = [["a dog", "a river"], ["runs", "sees", "bad"], ["it"], ["house", "cat", "bird", "x"]]
RIGHT = [1, 2, 0, 3]
X = {"text": TEXTS, "choices": CHOICES}
FILLED_UP = [[*own, *[""] * (4 - len(own))] for own in CHOICES]


@pytest.fixture
def task(tokenizer, tiny_backbone):
    return MultipleChoice(tiny_backbone(tokenizer), tokenizer=tokenizer)


def softmax(logits):
    return np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)


def alone(task, text, choices):
    """Computes the scores of one text's choices with the layers."""
    rows = task.preprocessor.packer([text] * len(choices), choices)
    return task.get_layer("choice_head")(task.backbone(rows)["pooled_output"]).numpy()[:, 0]


FORMS = {
    "lists": lambda: X,
    "ragged": lambda: {"text": tf.constant(TEXTS), "choices": tf.ragged.constant(CHOICES)},
    "array": lambda: {"text": np.array(TEXTS), "choices": np.array(FILLED_UP)},
    "dataset": lambda: tf.data.Dataset.from_tensor_slices(
        {"text": TEXTS, "choices": FILLED_UP}
    ).batch(3),
    "batches of other lengths": lambda: tf.data.Dataset.from_tensor_slices(
        {"text": TEXTS, "choices": tf.ragged.constant(CHOICES)}
    ).batch(2),
}


@pytest.mark.parametrize("batch_size", [2, 4])
@pytest.mark.parametrize("make", FORMS.values(), ids=FORMS)
def test_logits(task, make, batch_size):
    logits = task.predict(make(), batch_size=batch_size, verbose=0)
    assert (type(logits), logits.dtype, logits.shape) == (np.ndarray, np.float32, (4, 4))
    for text, choices, found in zip(TEXTS, CHOICES, logits, strict=True):
        np.testing.assert_allclose(found[: len(choices)], alone(task, text, choices), atol=1e-5)
        assert (found[len(choices) :] < -1e8).all()


def test_empty_choices_do_not_count(task):
    full = task.predict({"text": ["a"], "choices": [["dog", "cat"]]}, verbose=0)
    gap = task.predict({"text": ["a"], "choices": [["dog", "", "cat"]]}, verbose=0)
    np.testing.assert_allclose(gap[0, [0, 2]], full[0], atol=1e-5)
    assert gap[0, 1] < -1e8


def test_loss_covers_existing_choices(task):
    task.compile()
    loss, accuracy = task.evaluate(X, RIGHT, verbose=0)
    scores = [softmax(alone(task, *example)) for example in zip(TEXTS, CHOICES, strict=True)]
    expected = np.mean([-np.log(s[right]) for s, right in zip(scores, RIGHT, strict=True)])
    assert loss == pytest.approx(expected, abs=1e-5)
    right = np.mean([s.argmax() == right for s, right in zip(scores, RIGHT, strict=True)])
    assert accuracy == pytest.approx(right)
    names = [own[right] for own, right in zip(CHOICES, RIGHT, strict=True)]
    assert task.evaluate(X, names, verbose=0)[0] == pytest.approx(expected, abs=1e-5)
    assert task.score(X, names, batch_size=3) == {"accuracy": pytest.approx(right)}


def test_memorizes(task):
    task.compile(adamw(1e-2))
    often = {name: list(column) * 20 for name, column in X.items()}
    task.fit(often, RIGHT * 20, batch_size=4, epochs=3, verbose=0)
    assert task.score(X, RIGHT) == {"accuracy": 1.0}
    chosen = task.choose(TEXTS, CHOICES)
    assert [choice for choice, _ in chosen] == ["a river", "bad", "it", "x"]
    assert all(score > 0.5 for _, score in chosen)
    assert task.choose(["a", "b"], [[], ["x", "y"]])[0] == ("", 0.0)


@pytest.mark.parametrize("y", [[1, 2, 1, 3], [0, 0, 0, -1], ["a dog", "runs", "it", "river"]])
def test_unknown_choice_is_refused(task, y):
    task.compile()
    with pytest.raises(InputError, match=r"y\[[23]\] is .*, which is none of its choices: "):
        task.fit(X, y, verbose=0)
    dataset = tf.data.Dataset.from_tensors((X | {"choices": tf.ragged.constant(CHOICES)}, y))
    with pytest.raises(InputError, match=r"^a label is none of the choices of its text$"):
        task.fit(dataset, verbose=0)


def test_a_bool_is_not_an_index(task):
    for y in ([True] * 4, np.array([True] * 4)):
        with pytest.raises(InputError, match=r"y\[0\] is .*True.*, which is none of its choices"):
            task.score(X, y)


def dataset_of(y):
    return tf.data.Dataset.from_tensors((X | {"choices": tf.ragged.constant(CHOICES)}, y))


@pytest.mark.parametrize("y", [[[1], [2], [0], [3]], [1.0, 2.0, 0.0, 3.0]])
def test_labels_of_a_dataset(task, y):
    task.compile(run_eagerly=True)
    expected = task.evaluate(X, RIGHT, verbose=0)
    assert task.evaluate(dataset_of(y), verbose=0) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize(
    ("y", "message"),
    [
        ([1.9, 2.0, 0.0, 3.0], "a label is none of the choices of its text"),
        ([True] * 4, "y must be choices or their indices, found bools"),
        ([[1, 0, 0, 0]] * 4, r"one label for each example, found the shape \(4, 4\)"),
    ],
)
def test_no_labels_of_a_dataset(task, y, message):
    task.compile(run_eagerly=True)
    with pytest.raises(InputError, match=message):
        task.evaluate(dataset_of(y), verbose=0)


def test_needs_a_pooler(tokenizer, tiny_backbone):
    with pytest.raises(InputError, match="needs a backbone with a pooler"):
        MultipleChoice(tiny_backbone(tokenizer, pooler=False))


def test_from_a_file_to_a_directory(task, tmp_path):
    path = tmp_path / "swag.csv"
    path.write_text(
        "video-id,startphrase,sent1,sent2,gold-source,ending0,ending1,label\n"
        "1,The cat sees. It,The cat sees.,It,gold,runs,likes,1\n",
        encoding="utf-8",
    )
    examples = read_choices(path)
    task.compile()
    task.fit(examples.texts, examples.labels, verbose=0)
    for format in ("kerasbert", "hf"):
        task.save_to_preset(tmp_path / format, format=format)
        loaded = load(tmp_path / format)
        expected = task.predict(X, verbose=0)
        np.testing.assert_allclose(loaded.predict(X, verbose=0), expected, atol=1e-5)
        assert loaded.uninitialized_weights == []


# === Exports ===


@pytest.fixture(scope="module")
def exported(tokenizer, tiny_backbone, tmp_path_factory):
    task = MultipleChoice(tiny_backbone(tokenizer), tokenizer=tokenizer)
    directory = tmp_path_factory.mktemp("export") / "1"
    task.export(directory)
    return task, SavedModelClient(directory)


def test_export(exported):
    task, client = exported
    answers = client(text=TEXTS, choices=CHOICES)
    for found, text, choices in zip(answers, TEXTS, CHOICES, strict=True):
        scores = softmax(alone(task, text, choices))
        np.testing.assert_allclose(found["scores"], [*scores, *[0] * (4 - len(choices))], atol=1e-5)
        assert found["choice"] == scores.argmax()
        assert found["answer"] == choices[found["choice"]]


def test_export_without_choices(exported):
    _, client = exported
    none = {"choice": -1, "answer": ""}
    assert client(text=["a", "b"], choices=[[], []]) == [{**none, "scores": []}] * 2
    assert client(text=["a"], choices=[["", ""]]) == [{**none, "scores": [0.0, 0.0]}]
    assert client(text=[], choices=[]) == []
    assert client(text=[b"\xff"], choices=[[b"\xff"]])[0]["answer"] == ""


strings = st.one_of(st.text(), st.binary())


@given(st.lists(st.tuples(strings, st.lists(strings, max_size=3)), min_size=1, max_size=3))
def test_any_strings(exported, rows):
    _, client = exported
    texts, choices = zip(*rows, strict=True)
    for found, own in zip(client(text=texts, choices=choices), choices, strict=True):
        real = [bool(choice) for choice in own]
        assert sum(found["scores"]) == pytest.approx(float(any(real)), abs=1e-5)
        assert (found["choice"] == -1) == (not any(real))
        assert found["choice"] == -1 or real[found["choice"]]
