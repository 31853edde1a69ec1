import pathlib
import random

import keras
import numpy as np
import programs
import pytest
from scipy import special

from kerasbert import (
    Backbone,
    BackboneConfig,
    InputError,
    MaskedLM,
    MultipleChoice,
    QuestionAnswerer,
    ReplacedTokenDetector,
    TextClassifier,
    TextEmbedder,
    TokenClassifier,
    load,
)
from kerasbert import distillation as d
from kerasbert.distillation import losses
from kerasbert.text import WordPieceTokenizer
from kerasbert.training import Distiller, ExactModel, distill, student_from

PROGRAM = pathlib.Path(__file__).with_name("distillation_program.py")
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
WORDS = ["the", "a", "cat", "dog", "horse", "runs", "sees", "good", "bad", "red", "blue"]
EAGER = {"run_eagerly": True}  # for a batch or two, tracing would take longer


def words(*more):
    return WordPieceTokenizer([*SPECIAL, *more, *WORDS])


TOKENIZER = words()


def backbone(tokenizer=TOKENIZER, **change):
    facts = {
        "num_layers": 1,
        "hidden_dim": 8,
        "num_heads": 2,
        "intermediate_dim": 16,
        "max_sequence_length": 16,
        "dropout": 0.0,
        "attention_dropout": 0.0,
        "initializer_range": 0.3,
        **change,
    }
    return Backbone(BackboneConfig(vocabulary_size=tokenizer.vocabulary_size, **facts))


def big(tokenizer=TOKENIZER, **change):
    return backbone(tokenizer, **{"num_layers": 2, "hidden_dim": 12, "num_heads": 4, **change})


def classifiers(classes=3, **settings):
    return (
        TextClassifier(big(), classes, tokenizer=TOKENIZER, **settings),
        TextClassifier(backbone(), classes, tokenizer=TOKENIZER, **settings),
    )


@pytest.fixture(autouse=True)
def _seed():
    keras.utils.set_random_seed(0)


@pytest.fixture(scope="module")
def sentences():
    chooser = random.Random(0)
    return [" ".join(chooser.choices(WORDS, k=chooser.randint(2, 7))) for _ in range(24)]


def values(model):
    return [variable.numpy() for variable in model.variables]


# === Losses ===


@pytest.fixture
def logits():
    return np.random.default_rng(0).normal(size=(2, 4, 3)).astype("float32") * 3


def test_soft_cross_entropy(logits):
    teacher, student = logits.astype("float64") / 2
    expected = -4 * np.sum(special.softmax(teacher, -1) * special.log_softmax(student, -1), -1)
    np.testing.assert_allclose(losses.soft_cross_entropy(*logits, 2.0), expected, rtol=1e-5)


def test_soft_binary_cross_entropy(logits):
    teacher, student = logits.astype("float64") / 3
    soft = special.expit(teacher)
    right = soft * special.log_expit(student) + (1 - soft) * special.log_expit(-student)
    np.testing.assert_allclose(
        losses.soft_binary_cross_entropy(*logits, 3.0), -9 * right.mean(-1), rtol=1e-5
    )


def test_distances_of_vectors(logits):
    one, other = logits.astype("float64")
    cosines = (
        np.sum(one * other, -1) / np.linalg.norm(one, axis=-1) / np.linalg.norm(other, axis=-1)
    )
    np.testing.assert_allclose(losses.cosine_distance(*logits), 1 - cosines, atol=1e-6)
    np.testing.assert_allclose(
        losses.squared_distance(*logits), np.sum((one - other) ** 2, -1), rtol=1e-5
    )


def test_distances_of_attention():
    scores = np.random.default_rng(0).normal(size=(2, 5, 4, 3, 3))
    one, other = special.softmax(scores, -1)
    arguments = one.astype("float32"), other.astype("float32")
    np.testing.assert_allclose(
        losses.attention_distance(*arguments), np.sum((one - other) ** 2, -1).mean(-2), rtol=1e-5
    )
    np.testing.assert_allclose(
        losses.attention_divergence(*arguments),
        special.rel_entr(one, other).sum(-1).mean(-2),
        rtol=1e-4,
    )


@pytest.fixture
def examples():
    numbers = np.random.default_rng(0)
    mask = np.array([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0], [1, 1, 0, 0, 0]], "int32")
    ids = numbers.integers(5, 16, (3, 5)).astype("int32") * mask
    return {"token_ids": ids, "padding_mask": mask}, np.array([0, 2, 1]), np.array([1.0, 0.5, 2.0])


def test_the_whole_loss(examples):
    x, y, weights = examples
    teacher = TextClassifier(big(num_layers=4), 3)
    student = TextClassifier(backbone(num_layers=2), 3)
    model = Distiller(
        teacher,
        student,
        temperature=3.0,
        alpha=0.7,
        hidden="mse",
        attention="kl",
        layer_map={0: 0, 2: 3},
        hidden_weight=0.3,
        attention_weight=0.2,
    )
    model.compile(**EAGER)
    found = model.evaluate(x, y, sample_weight=weights, verbose=0, return_dict=True)

    def seen(task):
        return keras.tree.map_structure(np.array, d.with_states(task)(x_of(task, x)))

    theirs, own = seen(teacher), seen(student)
    log = special.log_softmax(own["outputs"].astype("float64"), -1)
    hard = np.mean(-log[np.arange(3), y] * weights)
    soft = np.mean(
        weights * losses.soft_cross_entropy(theirs["outputs"], own["outputs"], 3.0).numpy()
    )
    of_tokens = weights[:, np.newaxis] * x["padding_mask"]
    kernel, bias = (variable.numpy() for variable in model.projection.variables)
    expected = {"logits_loss": hard, "soft_logits_loss": soft}
    for layer, taught_by in ((0, 0), (2, 3)):
        projected = own["hidden_states"][layer] @ kernel + bias
        error = np.mean((projected - theirs["hidden_states"][taught_by]) ** 2, -1)
        expected[f"hidden_{layer}_loss"] = np.sum(error * of_tokens) / of_tokens.sum()
    # 4 heads and 2: their means are compared.
    one, other = theirs["attention_weights"][2].mean(1), own["attention_weights"][1].mean(1)
    terms = np.where(one > 0, one * np.log(np.maximum(one, 1e-30) / np.maximum(other, 1e-30)), 0)
    expected["attention_2_loss"] = np.sum(terms.sum(-1) * of_tokens) / of_tokens.sum()
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, rel=1e-4), name
    layers = 0.3 * (expected["hidden_0_loss"] + expected["hidden_2_loss"])
    total = 0.3 * hard + 0.7 * soft + layers + 0.2 * expected["attention_2_loss"]
    assert found["loss"] == pytest.approx(total, rel=1e-4)
    assert set(found) == {*expected, "loss", "logits_accuracy", "soft_logits_agreement"}


def x_of(task, x):
    return {**x, "segment_ids": np.zeros_like(x["token_ids"])}


def answers_of(head):
    """A teacher and a student of a task with an output per token, and features."""
    pair = {
        "tokens": lambda body: TokenClassifier(body, 3),
        "spans": QuestionAnswerer,
        "masks": MaskedLM,
    }[head]
    return pair(big()), pair(backbone())


@pytest.mark.parametrize("head", ["tokens", "spans", "masks"])
def test_padding_does_not_count(examples, head):
    x, _, _ = examples
    if head == "masks":
        x["mask_positions"] = np.array([[1, 3], [2, 0], [1, 0]], "int32")
    more = {name: np.pad(value, [(0, 0), (0, 2)]) for name, value in x.items()}
    more["token_ids"][:, -2:] = 7
    model = Distiller(*answers_of(head), alpha=1.0, hidden="cosine", attention="mse")
    model.compile(**EAGER)
    losses = [model.evaluate(rows, verbose=0, return_dict=True) for rows in (x, more)]
    assert losses[0]["loss"] > 0.01
    for name, value in losses[0].items():
        assert losses[1][name] == pytest.approx(value, rel=1e-5), name


# === Hidden states of a task that does not return them ===


@pytest.mark.parametrize("facts", [{}, {"num_groups": 1, "embedding_dim": 6}])
def test_with_states_is_the_same_model(examples, facts):
    task = TextClassifier(backbone(**facts), 3)
    twin = TextClassifier(backbone(**facts, return_hidden_states=True), 3)
    for variable, value in zip(twin.variables, values(task), strict=True):
        variable.assign(value)
    x = x_of(task, examples[0])
    found = d.with_states(task)(x)
    np.testing.assert_allclose(found["outputs"], task(x), rtol=1e-5, atol=1e-6)
    expected = twin.backbone(x)
    for name in ("hidden_states", "attention_weights"):
        assert len(found[name]) == len(expected[name])
        for one, other in zip(found[name], expected[name], strict=True):
            np.testing.assert_array_equal(one, other)
    assert {id(v) for v in d.with_states(task).weights} == {id(v) for v in task.weights}


# === Training ===


def agreement(teacher, student, x):
    found = [task.predict(x, verbose=0).argmax(-1) for task in (teacher, student)]
    return np.mean(found[0] == found[1])


def test_learns_from_texts_alone(sentences, tmp_path):
    teacher, student = classifiers()
    labels = [WORDS.index(text.split()[0]) % 3 for text in sentences]
    teacher.compile(keras.optimizers.Adam(1e-2))
    teacher.fit(sentences, labels, epochs=12, verbose=0)
    before = values(teacher)
    assert agreement(teacher, student, sentences) < 0.8
    history = distill(
        teacher,
        student,
        sentences,
        hidden="mse",
        attention="mse",
        hidden_weight=0.1,
        optimizer=keras.optimizers.Adam(2e-2),
        epochs=30,
        batch_size=8,
        verbose=0,
    ).history
    assert agreement(teacher, student, sentences) == 1.0
    assert history["soft_logits_agreement"][-1] > 0.9  # in training, before the last steps
    for name in ("hidden_0_loss", "hidden_1_loss"):
        assert history[name][-1] < 0.8 * history[name][0]
    assert history["attention_1_loss"][-1] < history["attention_1_loss"][0]
    for value, old in zip(values(teacher), before, strict=True):
        np.testing.assert_array_equal(value, old)
    # Only the student is saved, and it can be trained further.
    student.save_to_preset(tmp_path / "student")
    stored = load(tmp_path / "student")
    assert [v.path for v in stored.variables] == [v.path for v in classifiers()[1].variables]
    np.testing.assert_array_equal(
        stored.predict(sentences, verbose=0), student.predict(sentences, verbose=0)
    )
    student.fit(sentences[:2], labels[:2], verbose=0)


def test_the_teacher_is_not_saved(sentences):
    teacher, student = classifiers()
    teacher.trainable = True
    model = Distiller(teacher, student, hidden="mse")
    own = {id(variable) for variable in (*student.variables, *model.projection.variables)}
    assert {id(variable) for variable in model.variables} == own
    assert not own & {id(variable) for variable in teacher.variables}


def test_another_vocabulary(sentences):
    keras.utils.set_random_seed(2)  # with 0, the student begins where it learns slowly
    tokenizer = words("zebra", "ox")
    teacher = TextClassifier(big(), 3, tokenizer=TOKENIZER)
    student = TextClassifier(
        backbone(
            tokenizer,
            family="distilbert",
            num_segments=0,
            pooler=False,
            classifier_activation="relu",
        ),
        3,
        tokenizer=tokenizer,
    )
    distill(
        teacher,
        student,
        sentences,
        optimizer=keras.optimizers.Adam(2e-2),
        epochs=12,
        batch_size=8,
        verbose=0,
    )
    logits = [task.predict(sentences, verbose=0) for task in (teacher, student)]
    assert np.corrcoef(*map(np.ravel, logits))[0, 1] > 0.9
    model = Distiller(teacher, student, alpha=1.0)
    model.compile(**EAGER)
    with pytest.raises(InputError, match="they need text"):
        model.evaluate({"token_ids": np.ones((2, 4), "int32")}, verbose=0)


def test_batches_are_a_function_of_seed_and_step(sentences):
    tokenizer = words("ox")
    student = TextClassifier(backbone(tokenizer), 3, tokenizer=tokenizer)
    model = Distiller(TextClassifier(big(), 3, tokenizer=TOKENIZER), student, alpha=1.0)
    one = list(model.preprocessor.training_batches(sentences, batch_size=10, seed=3).take(4))
    ((again,),) = model.preprocessor.training_batches(
        sentences, batch_size=10, seed=3, start=3
    ).take(1)
    for name, value in one[3][0].items():
        np.testing.assert_array_equal(again[name], value)
    own, theirs = (
        [tuple(tok.id_to_token(i) for i in row if i) for row in one[0][0][name].numpy()]
        for tok, name in ((tokenizer, "token_ids"), (TOKENIZER, "teacher_token_ids"))
    )
    assert own == theirs


# Every task: its arguments, and its training data.
TASKS = {
    "several labels": (
        lambda body: TextClassifier(
            body, 3, problem_type="multi_label_classification", tokenizer=TOKENIZER
        ),
        lambda texts: (texts, [[1, 0, 1]] * len(texts)),
    ),
    "numbers": (
        lambda body: TextClassifier(body, problem_type="regression", tokenizer=TOKENIZER),
        lambda texts: (texts, [0.5] * len(texts)),
    ),
    "long texts": (
        lambda body: TextClassifier(
            body, 3, tokenizer=TOKENIZER, long_text="mean", sequence_length=5
        ),
        lambda texts: (texts, [1] * len(texts)),
    ),
    "words": (
        lambda body: TokenClassifier(body, 3, tokenizer=TOKENIZER),
        lambda texts: ([t.split() for t in texts], [[0] * len(t.split()) for t in texts]),
    ),
    "answers": (
        lambda body: QuestionAnswerer(body, tokenizer=TOKENIZER, sequence_length=10, stride=3),
        lambda texts: (
            {"question": ["the cat"] * len(texts), "context": texts},
            [{"text": [], "answer_start": []}] * len(texts),
        ),
    ),
    "masks": (lambda body: MaskedLM(body, tokenizer=TOKENIZER), lambda texts: (texts, None)),
    "choices": (
        lambda body: MultipleChoice(body, tokenizer=TOKENIZER),
        lambda texts: (
            {"text": texts, "choices": [texts[: 1 + i % 3] for i in range(len(texts))]},
            [0] * len(texts),
        ),
    ),
}


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(n, marks=pytest.mark.full if n in ("several labels", "numbers") else [])
        for n in TASKS
    ],
)
def test_every_task(sentences, name):
    make, examples = TASKS[name]
    model = Distiller(make(big()), make(backbone()), hidden="mse", attention="kl")
    model.compile(keras.optimizers.Adam(1e-2), **EAGER)
    x, y = examples(sentences[:8])
    history = model.fit(x, y, epochs=3, verbose=0, validation_data=(x, y)).history
    assert history["loss"][-1] < history["loss"][0]
    for loss in ("hidden_0_loss", "hidden_1_loss", "val_attention_1_loss"):
        assert np.isfinite(history[loss]).all()


def test_embeddings(sentences):
    teacher = TextEmbedder(backbone(num_layers=2), tokenizer=TOKENIZER)
    student = student_from(teacher, 1)
    pairs = (sentences, sentences[::-1])
    model = Distiller(teacher, student, alpha=1.0, hidden="mse", attention="kl")
    model.compile(keras.optimizers.Adam(1e-2), **EAGER)
    before = np.sum(teacher.embed(sentences) * student.embed(sentences), -1).mean()
    model.fit(pairs, epochs=8, verbose=0)
    assert np.sum(teacher.embed(sentences) * student.embed(sentences), -1).mean() > before


# === Students with the teacher's layers ===


@pytest.mark.parametrize(
    ("layers", "kept", "expected"),
    [(12, 6, [0, 2, 4, 7, 9, 11]), (4, 2, [0, 3]), (4, 4, [0, 1, 2, 3]), (3, 1, [0])],
)
def test_student_from_layers(layers, kept, expected):
    teacher = backbone(num_layers=layers, hidden_dim=4)
    student = student_from(teacher, kept, dropout=0.25)
    assert (student.config.num_layers, student.config.dropout) == (kept, 0.25)
    for own, position in zip(student.blocks, expected, strict=True):
        for one, other in zip(own.weights, teacher.blocks[position].weights, strict=True):
            np.testing.assert_array_equal(one, other)
    for part in ("embeddings", "pooler"):
        pairs = zip(student.get_layer(part).weights, teacher.get_layer(part).weights, strict=True)
        for one, other in pairs:
            np.testing.assert_array_equal(one, other)


def test_student_from_a_task(sentences):
    teacher, _ = classifiers()
    same = student_from(teacher, 2)
    np.testing.assert_array_equal(
        same.predict(sentences, verbose=0), teacher.predict(sentences, verbose=0)
    )
    smaller = student_from(teacher, 1, sequence_length=9, head={"dropout": 0.3})
    assert (smaller.sequence_length, smaller.dropout_rate) == (9, 0.3)
    shared = backbone(num_layers=4, num_groups=2)
    for one, other in zip(student_from(shared, 2).weights, shared.weights, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(("facts", "layers"), [({}, 0), ({}, 3), ({"num_groups": 2}, 1)])
def test_bad_student_from(facts, layers):
    with pytest.raises(InputError, match=r"num_layers must be in \[\d, 2\], found"):
        student_from(backbone(num_layers=2, **facts), layers)


# === Errors ===


def tagger(tokenizer=TOKENIZER, **facts):
    body = backbone(tokenizer, **facts)
    return TokenClassifier(body, 3, tokenizer=tokenizer)


def text_classifier(tokenizer=TOKENIZER, classes=3, **facts):
    return TextClassifier(backbone(tokenizer, **facts), classes, tokenizer=tokenizer)


@pytest.mark.parametrize(
    ("teacher", "student", "options", "message"),
    [
        (tagger, text_classifier, {}, "a TokenClassifier can't teach a TextClassifier"),
        (text_classifier, lambda: text_classifier(classes=4), {}, r"classes is 0, 1, 2 \(3\)"),
        (
            lambda: ReplacedTokenDetector(backbone()),
            lambda: ReplacedTokenDetector(backbone()),
            {},
            "a ReplacedTokenDetector can't be distilled",
        ),
        (tagger, lambda: tagger(words("ox")), {}, "TokenClassifier has an output for each token"),
        (
            text_classifier,
            lambda: text_classifier(words("ox")),
            {"hidden": "mse"},
            "compared token by token, so teacher and student need the same tokenizer",
        ),
        (
            lambda: tagger(max_sequence_length=8),
            tagger,
            {},
            "the teacher reads 8 of them; give the student a sequence_length of 8 or less",
        ),
        (
            text_classifier,
            lambda: text_classifier(attention_dropout=0.1),
            {"attention": "kl"},
            "attention_dropout=0.0",
        ),
        (
            lambda: TextEmbedder(big()),
            lambda: TextEmbedder(backbone()),
            {},
            "embedding_dim is 12, the student's 8",
        ),
        (text_classifier, text_classifier, {"temperature": 0}, "temperature must be over 0"),
        (text_classifier, text_classifier, {"alpha": 1.5}, "alpha must be in"),
        (text_classifier, text_classifier, {"hidden": "l1"}, "hidden must be one of mse, cosine"),
        (text_classifier, text_classifier, {"hidden_weight": -1.0}, "hidden_weight must be 0"),
        (
            text_classifier,
            text_classifier,
            {"hidden": "mse", "layer_map": {3: 0}},
            "layers 0 to 1, the teacher 0 to 1, found 3: 0",
        ),
    ],
)
def test_refused(teacher, student, options, message):
    with pytest.raises(InputError, match=message) as error:
        Distiller(teacher(), student(), **options)
    assert "\n" not in str(error.value)


def test_no_labels(sentences):
    model = Distiller(*classifiers())
    model.compile(**EAGER)
    with pytest.raises(InputError, match="alpha must be 1"):
        model.fit(sentences, verbose=0)


def test_a_batch_size_of_zero(sentences):
    model = Distiller(*classifiers(), alpha=1.0)
    model.compile(**EAGER)
    with pytest.raises(InputError, match="batch_size must be 1 or more, found 0"):
        model.fit(sentences, batch_size=0, verbose=0)


def test_the_order_is_the_same_on_every_worker(sentences, monkeypatch):
    """Each has its own state of Keras's generator."""
    tokenizer = words("zebra")
    teacher = TextClassifier(big(), 3, tokenizer=TOKENIZER)
    model = Distiller(teacher, TextClassifier(backbone(tokenizer), 3, tokenizer=tokenizer), alpha=1)
    model.compile(**EAGER)
    orders = []
    monkeypatch.setattr(ExactModel, "fit", lambda self, x, *args, **kwargs: orders.append(x))
    for _ in range(2):
        keras.random.uniform(())
        model.fit(sentences, batch_size=8)
    first, second = ([batch["token_ids"].numpy() for (batch,) in order.take(3)] for order in orders)
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one, other)
    batches = [batch for _ in range(2) for (batch,) in orders[0].take(3)]
    for batch in batches:  # the teacher, whose ids are lower by one, has the same order
        ids, theirs = batch["token_ids"].numpy(), batch["teacher_token_ids"].numpy()
        np.testing.assert_array_equal(np.where(ids > 4, ids - 1, ids), theirs)
    passes = [np.concatenate([b["token_ids"][:, 1] for b in batches[at : at + 3]]) for at in (0, 3)]
    assert sorted(passes[0]) == sorted(passes[1])
    assert passes[0].tolist() != passes[1].tolist()


class Batches(keras.utils.PyDataset):
    """Two batches of an example each."""

    def __init__(self, batches):
        super().__init__(workers=1)
        self._batches = batches

    @property
    def num_batches(self):
        return len(self._batches)

    def __getitem__(self, index):
        return self._batches[index]


@pytest.mark.parametrize("form", [iter, Batches])
@pytest.mark.parametrize("labels", [True, False])
@pytest.mark.parametrize("text", [True, False])
def test_streams(sentences, form, labels, text):
    """Labels in a generator or `PyDataset` count, as those of a dataset do."""
    teacher, student = classifiers()

    def batch(row):
        x = sentences[row : row + 1]
        x = x if text else {k: v.numpy() for k, v in student.preprocessor(x).items()}
        return (x, np.array([row % 3])) if labels else (x,)

    stream = form([batch(0), batch(1)])
    options = {"steps_per_epoch": 2} if form is iter else {}
    history = distill(teacher, student, stream, verbose=0, **options).history
    assert ("logits_accuracy" in history) == labels


def test_streams_of_text_for_two_vocabularies(sentences):
    tokenizer = words("zebra", "ox")
    teacher = TextClassifier(big(), 3, tokenizer=TOKENIZER)
    student = TextClassifier(backbone(tokenizer), 3, tokenizer=tokenizer)
    with pytest.raises(InputError, match="it must be lists or arrays, not a generator or PyData"):
        distill(teacher, student, iter([(sentences[:1],)]), verbose=0)


# === Several devices ===


# The step is that of any model; test_global_batch.py distributes it over devices.
SHARED_OUT = [(1, 2), *(pytest.param(2, n, marks=pytest.mark.full) for n in (1, 2))]


@pytest.fixture(scope="module")
def runs(tmp_path_factory, request):
    """Returns the results of `distillation_program.py` with 1 and 2 replicas."""
    threads = {"TF_NUM_INTEROP_THREADS": "2"}
    devices = (1, 2) if request.config.getoption("--full") else (1,)
    runs = {number: (number, threads) for number in devices}
    return programs.arrays(PROGRAM, tmp_path_factory.mktemp("runs"), runs)


@pytest.mark.parametrize(("devices", "pieces"), SHARED_OUT)
def test_replicas_and_microbatches_match_one_device(runs, devices, pieces):
    run, one = (
        {k.removeprefix(prefix): v for k, v in runs[number].items() if k.startswith(prefix)}
        for number, prefix in ((devices, f"{pieces}_"), (1, "1_"))
    )
    assert runs[devices]["replicas"] == devices
    np.testing.assert_array_equal(run["before"], one["before"])
    assert np.abs(one["after"] - one["before"]).max() > 0.05
    np.testing.assert_allclose(run["after"], one["after"], rtol=0, atol=1e-5)
    assert {"hidden_1_loss", "attention_1_loss", "soft_logits_loss"} <= one.keys()
    for name in one.keys() - {"before", "after"}:
        np.testing.assert_allclose(run[name], one[name], rtol=1e-4, atol=1e-6, err_msg=name)
