import itertools
import math
import random

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st
from tensorflow.core.protobuf import saved_model_pb2

from kerasbert import InputError, QuestionAnswerer, load
from kerasbert.serving.client import SavedModelClient
from kerasbert.tasks.question_answerer import Answer
from kerasbert.training.optimizers import adamw

QUESTION = "who sees it?"
ANIMALS = ["cat", "dog", "bird"]
OTHERS = ["the", "a", "house", "sees", "and", "good", "red", "river", "is", ",", "."]
HARD = [
    "中国 cat 中, dog",
    "e\u0301 Cafe\u0301 the cat\tdog  bird",
    "unlikely zebras: quixotic dogs!",
    "🐶🐶 the cat 👩‍👧 sees the dog " * 8,
    "",
    " ",
    "\x00",
    "\ufffd\u200b",
]


def examples(count, seed):
    """Questions whose answer is the only animal; a quarter has none; many need several windows."""
    chooser = random.Random(seed)
    contexts, labels = [], []
    for i in range(count):
        words = chooser.choices(OTHERS, k=chooser.randint(1, 40))
        label = {"text": [], "answer_start": []}
        if i % 4:
            at, animal = chooser.randint(0, len(words)), chooser.choice(ANIMALS)
            start = len(" ".join([*words[:at], ""]))
            words.insert(at, animal)
            label = {"text": [animal], "answer_start": [start]}
        contexts.append(" ".join(words))
        labels.append(label)
    return {"question": [QUESTION] * count, "context": contexts}, labels


@pytest.fixture(scope="module")
def trained(tokenizer, tiny_backbone):
    """A model that has learned that the answer is the animal, and its losses."""
    task = QuestionAnswerer(tiny_backbone(tokenizer), tokenizer=tokenizer, stride=6)
    task.compile(adamw(1e-2))
    history = task.fit(*examples(64, seed=0), epochs=25, verbose=0)
    return task, history.history["loss"]


@pytest.fixture(scope="module")
def task(trained):
    return trained[0]


@pytest.fixture(scope="module")
def careful(task, tmp_path_factory):
    """The same model, with a no-answer threshold."""
    directory = tmp_path_factory.mktemp("careful") / "model"
    task.save_to_preset(directory)
    careful = QuestionAnswerer.from_preset(directory)
    careful.tune_threshold(*examples(64, seed=0))
    return careful


@pytest.fixture(scope="module")
def client(task, tmp_path_factory):
    directory = tmp_path_factory.mktemp("export") / "1"
    task.export(directory, check=False)
    return SavedModelClient(directory)


@pytest.fixture(scope="module")
def careful_client(careful, tmp_path_factory):
    directory = tmp_path_factory.mktemp("export") / "1"
    careful.export(directory, check=False)
    return SavedModelClient(directory)


# === Learning ===


def windows_of(task, question, context):
    """Cuts windows as run_squad.py does: features, and the words of the context's tokens."""
    tokenizer = task.tokenizer
    room = task.sequence_length - 3
    asked = tokenizer([question]).to_list()[0][: min(task.max_question_length, room // 2)]
    ids, starts, ends = (x.to_list()[0] for x in tokenizer.tokenize_with_offsets([context]))
    size, start = room - len(asked), 0
    while True:
        part = slice(start, min(start + size, len(ids)))
        first = [tokenizer.cls_id, *asked, tokenizer.sep_id]
        second = [*ids[part], tokenizer.sep_id]
        features = {
            "token_ids": np.array([first + second]),
            "segment_ids": np.array([[0] * len(first) + [1] * len(second)]),
        }
        yield features, len(first), starts[part], ends[part]
        if part.stop == len(ids):
            return
        start += min(task.stride, size)


def test_rows_are_windows(task):
    x, y = examples(20, seed=1)
    x["context"][3] = ""
    y[3] = {"text": [], "answer_start": []}
    rows = task.preprocessor.rows(x, y)
    features, positions, _ = task.preprocessor.training_examples(0, rows.x, rows.y, None)
    expected = [
        (number, *window)
        for number, context in enumerate(x["context"])
        for window in windows_of(task, QUESTION, context)
    ]
    assert len(rows) == len(expected) > 40
    unanswered = 0
    for i, (number, window, begin, starts, ends) in enumerate(expected):
        length = len(window["token_ids"][0])
        for name, value in window.items():
            np.testing.assert_array_equal(features[name][i, :length], value[0])
        assert int(tf.reduce_sum(features["padding_mask"][i])) == length
        position = int(positions["start_logits"][i]), int(positions["end_logits"][i])
        answer, at = y[number]["text"], y[number]["answer_start"]
        if answer and at[0] in starts:  # ASCII, whole words with one token each
            assert starts[position[0] - begin] == at[0]
            assert ends[position[1] - begin] == at[0] + len(answer[0])
        else:
            assert position == (0, 0)
            unanswered += 1
    assert 20 < unanswered < len(rows) - 15


def test_answer_in_the_overlap_is_in_every_window(task):
    # 15 words next to the question's 6 tokens, and a window every 6 tokens.
    context = " ".join(["the"] * 14 + ["cat"] + ["red"] * 14)
    label = {"text": ["cat"], "answer_start": [14 * 4]}
    rows = task.preprocessor.rows({"question": [QUESTION], "context": [context]}, [label])
    assert rows.x["question"].row_lengths().numpy().tolist() == [6] * 4
    assert rows.x["context"].row_lengths().numpy().tolist() == [15, 15, 15, 11]
    assert rows.y["start_logits"].numpy().tolist() == [8 + 14, 8 + 8, 8 + 2, 0]


def test_truncated_answer_is_no_answer(task):
    context = " ".join(["the"] * 14 + ["cat", "dog"])
    label = {"text": ["cat dog"], "answer_start": [14 * 4]}
    rows = task.preprocessor.rows({"question": [QUESTION], "context": [context]}, [label])
    assert rows.y["start_logits"].numpy().tolist() == [0, 8 + 8]
    assert rows.y["end_logits"].numpy().tolist() == [0, 8 + 9]


def test_windows_of_an_example_have_its_weight(task):
    x, _ = examples(3, seed=2)
    x["context"][1] = "the " * 30
    rows = task.preprocessor.rows(x, [{"text": [], "answer_start": []}] * 3, [1.0, 2.0, 3.0])
    assert sorted(set(rows.sample_weight.tolist())) == [1, 2, 3]
    assert (rows.sample_weight == 2).sum() == 4


def test_learns(trained, careful):
    task, losses = trained
    assert losses[-1] < losses[0] / 4
    x, y = examples(64, seed=0)
    assert careful.score(x, y)["exact_match"] == 100
    answerable = [i for i, label in enumerate(y) if label["text"]]
    known = {name: [column[i] for i in answerable] for name, column in x.items()}
    assert task.score(known, [y[i] for i in answerable]) == {"exact_match": 100, "f1": 100}


def test_evaluate(task):
    x, y = examples(64, seed=0)
    plain = task.evaluate(x, y, verbose=0, return_dict=True)
    assert plain["start_logits_accuracy"] > 0.9
    one = {name: column[:1] for name, column in x.items()}
    weights = [1.0] + [0.0] * 63
    weighted = task.evaluate(x, y, sample_weight=weights, verbose=0, return_dict=True)
    alone = task.evaluate(one, y[:1], verbose=0, return_dict=True)
    assert weighted["loss"] * len(task.preprocessor.rows(x)) == pytest.approx(
        alone["loss"] * len(task.preprocessor.rows(one)), rel=1e-3
    )


def test_training_batches_depend_on_the_step_alone(task):
    x, y = examples(12, seed=3)
    whole = list(task.preprocessor.training_batches(x, y, batch_size=8, seed=1).take(5))
    later = list(task.preprocessor.training_batches(x, y, batch_size=8, seed=1, start=3).take(2))
    for one, other in zip(whole[3:], later, strict=True):
        tf.nest.map_structure(np.testing.assert_array_equal, one, other)


def test_validation(task, tokenizer, tiny_backbone):
    new = QuestionAnswerer(tiny_backbone(tokenizer), tokenizer=tokenizer)
    new.compile(run_eagerly=True)
    x, y = examples(8, seed=4)
    history = new.fit(x, y, validation_split=0.25, verbose=0).history
    again = new.evaluate({k: v[6:] for k, v in x.items()}, y[6:], verbose=0, return_dict=True)
    assert history["val_loss"][0] == pytest.approx(again["loss"], rel=1e-4)


# === Answers ===


def reference(task, question, context, n):
    """Finds all answers from the logits of each window, in plain Python."""
    spans, nulls, start_logits, end_logits = {}, [], [], []
    for features, begin, starts, ends in windows_of(task, question, context):
        (outputs,) = task.forward([features])
        start, end = (outputs[name][0].tolist() for name in ("start_logits", "end_logits"))
        nulls.append(start[0] + end[0])
        start, end = (x[begin : begin + len(starts)] for x in (start, end))
        start_logits += start
        end_logits += end
        for i in range(len(starts)):
            for j in range(i, min(i + task.max_answer_length, len(starts))):
                span = (starts[i], ends[j])
                spans[span] = max(spans.get(span, -math.inf), start[i] + end[j])
    total = sum(map(math.exp, start_logits)) * sum(map(math.exp, end_logits))
    ranked = sorted(spans, key=spans.get, reverse=True)
    logits = [spans[span] for span in ranked]
    if task.no_answer_threshold is not None:
        null = min(nulls)
        total += math.exp(null)
        best = logits[0] if logits else -math.inf
        wins = 1 / (1 + math.exp(best - null)) > task.no_answer_threshold if logits else True
        position = 0 if wins else max(1, sum(logit >= null for logit in logits))
        ranked.insert(position, (0, 0))
        logits.insert(position, null)
    text = context.encode()
    found = [
        Answer(
            text[start:end].decode(),
            math.exp(logit) / total,
            len(text[:start].decode()),
            len(text[:end].decode()),
        )
        for (start, end), logit in zip(ranked, logits, strict=True)
    ]
    return found[:n] or [Answer("", 0.0, 0, 0)]


def assert_same(ours, expected):
    """Compares answers and scores; answers of equal score may be in any order."""
    np.testing.assert_allclose([a.score for a in ours], [a.score for a in expected], atol=1e-5)
    score = {(a.text, a.start, a.end): a.score for a in expected}
    for answer in ours:
        key = (answer.text, answer.start, answer.end)
        assert key in score or answer.score == pytest.approx(expected[-1].score, abs=1e-5)
        assert score.get(key, answer.score) == pytest.approx(answer.score, abs=1e-5)


@pytest.mark.parametrize("which", ["task", "careful"])
def test_answers_come_from_all_windows(which, request):
    task = request.getfixturevalue(which)
    contexts = [*examples(6, seed=5)[0]["context"], *HARD, "the big cat, the dogs and a bird"]
    questions = [QUESTION, "", "why " * 200] * 5
    answers = task.answer(questions, contexts, n_best=4, batch_size=3)
    for question, context, found in zip(questions, contexts, answers, strict=True):
        assert_same(found, reference(task, question, context, 4))


@pytest.mark.parametrize("which", ["task", "careful"])
def test_export_matches_the_model(which, request):
    task = request.getfixturevalue(which)
    client = request.getfixturevalue("client" if which == "task" else "careful_client")
    contexts = [*examples(6, seed=5)[0]["context"], *HARD]
    questions = [QUESTION] * len(contexts)
    answers = task.answer(questions, contexts, n_best=5)
    for found, row in zip(answers, client(question=questions, context=contexts), strict=True):
        columns = ("answers", "scores", "starts", "ends")
        served = list(zip(*(row[f"n_best_{name}"] for name in columns), strict=True))
        assert_same(found, [Answer(*one) for one in served[: len(found)]])
        assert all(one == ("", 0.0, 0, 0) for one in served[len(found) :])
        assert (row["answer"], row["score"], row["start"], row["end"]) == served[0]


def check(context, answers):
    assert [a.score for a in answers] == sorted((a.score for a in answers), reverse=True)
    assert len({(a.start, a.end) for a in answers}) == len(answers)
    for answer in answers:
        assert answer.text == context[answer.start : answer.end]
        assert 0 <= answer.start <= answer.end <= len(context)
        assert 0 <= answer.score <= 1 + 1e-5


@given(st.text(max_size=60), st.text(max_size=150))
def test_any_strings(task, client, question, context):
    (answers,) = task.answer([question], [context], n_best=5)
    check(context, answers)
    (row,) = client(question=[question], context=[context])
    assert row["answer"] == context[row["start"] : row["end"]]
    assert row["score"] == pytest.approx(answers[0].score, abs=1e-5)


@given(st.binary(max_size=60))
def test_any_bytes(client, context):
    (row,) = client(question=[QUESTION], context=[context])
    assert len(row["answer"]) == row["end"] - row["start"]


def test_no_context_has_no_answer(task, careful, client):
    assert task.answer([QUESTION], [" "], n_best=3) == [[Answer("", 0.0, 0, 0)]]
    assert careful.answer([QUESTION], [" "], n_best=3) == [[Answer("", 1.0, 0, 0)]]
    assert task.answer([], []) == []
    assert client(question=[], context=[]) == []


def test_best_spans_do_not_depend_on_the_threshold(task, careful):
    x, _ = examples(16, seed=6)
    (spans, no_answer), (same, as_likely) = (
        model.best_spans(x["question"], x["context"]) for model in (task, careful)
    )
    assert spans == same
    assert all(spans)
    np.testing.assert_allclose(no_answer, as_likely, atol=1e-5)
    threshold = careful.no_answer_threshold
    said = [bool(best.text) for (best, *_) in careful.answer(x["question"], x["context"])]
    assert said == [p <= threshold for p in as_likely]


def test_long_document(task, careful_client):
    """A long document is read to its end, with the memory of a few windows."""
    context = "the house is red . " * 50_000 + "a bird"
    ((best,),) = task.answer([QUESTION], [context], batch_size=256)
    assert best.text == "bird"
    (row,) = careful_client(question=[QUESTION], context=[context[-200_000:]])
    assert row["answer"] in ("bird", "")


def test_ops_are_known_to_servers(careful_client):
    path = careful_client.directory / "saved_model.pb"
    graph = saved_model_pb2.SavedModel.FromString(path.read_bytes()).meta_graphs[0].graph_def
    functions = graph.library.function
    nodes = itertools.chain(graph.node, *(function.node_def for function in functions))
    used = {node.op for node in nodes} - {function.signature.name for function in functions}
    foreign = {op for op in used if not hasattr(tf.raw_ops, op)}
    text_ops = {
        "FastWordpieceTokenizeWithOffsets",
        "NormalizeUTF8",
        "RegexSplitWithOffsets",
        "CaseFoldUTF8",
    }
    assert foreign <= text_ops
    assert not {op for op in used if op.startswith(("Xla", "PyFunc", "EagerPyFunc"))}


@pytest.mark.parametrize(
    "settings",
    [
        {"kind": "bytepair"},
        {"kind": "sentencepiece", "lowercase": True, "strip_accents": True},
        {"kind": "sentencepiece", "layout": "fairseq", "packing": "roberta"},
    ],
    ids=["bytepair", "albert", "fairseq"],
)
def test_other_tokenizers(make_tokenizer, tiny_backbone, settings):
    tokenizer = make_tokenizer(settings)
    task = QuestionAnswerer(tiny_backbone(tokenizer), tokenizer=tokenizer, stride=3)
    questions = [QUESTION, "", "why " * 200, "国"] * 2
    for context, answers in zip(HARD, task.answer(questions, HARD, n_best=3), strict=True):
        check(context, answers)
    rows = task.preprocessor.rows(*examples(8, seed=7))
    assert len(rows) > 8
    assert tf.reduce_sum(tf.cast(rows.y["start_logits"] > 0, tf.int32)) >= 6


# === The rest ===


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"sequence_length": 3}, r"sequence_length must be in \[4, 24\], found 3"),
        ({"sequence_length": 25}, r"sequence_length must be in \[4, 24\], found 25"),
        ({"stride": 0}, "stride must be 1 or more, found 0"),
        ({"no_answer_threshold": 2.0}, r"no_answer_threshold must be in \[0, 1\], found 2.0"),
    ],
)
def test_bad_arguments(tokenizer, tiny_backbone, arguments, message):
    with pytest.raises(InputError, match=message):
        QuestionAnswerer(tiny_backbone(tokenizer), tokenizer=tokenizer, **arguments)


def test_bad_input(task, client):
    with pytest.raises(InputError, match="takes question and context, found text"):
        client(text=["a"])
    with pytest.raises(InputError, match="question has 1 rows, but context has 2"):
        task.answer(["a"], ["b", "c"])
    with pytest.raises(InputError, match="n_best must be 1 or more, found 0"):
        task.answer(["a"], ["b"], n_best=0)
    with pytest.raises(InputError, match=r"takes question and context; found question$"):
        task.fit({"question": ["a"]}, [{"text": [], "answer_start": []}])
    with pytest.raises(InputError, match="metric must be f1 or exact"):
        task.tune_threshold(*examples(2, seed=0), metric="em")


def test_datasets_of_text_are_refused(task):
    x, _ = examples(4, seed=0)
    dataset = tf.data.Dataset.from_tensor_slices(x).batch(2)
    with pytest.raises(InputError, match=r"a tf.data.Dataset must hold features"):
        task.evaluate(dataset, verbose=0)
    with pytest.raises(InputError, match=r"a tf.data.Dataset must hold features"):
        task.predict(dataset)


def test_shapes(task):
    features = task.preprocessor.features(["the dog"], ["a cat sees"])
    outputs = task.predict({name: x.numpy() for name, x in features.items()}, verbose=0)
    shapes = {name: value.shape for name, value in outputs.items()}
    assert shapes == {"start_logits": (1, 8), "end_logits": (1, 8)}


def test_predict_returns_the_logits_of_windows(task):
    contexts = [*HARD, *examples(4, seed=9)[0]["context"]]
    questions = [QUESTION, "", "why " * 200] * 4
    contexts = contexts[: len(questions)]
    found = task.predict({"question": questions, "context": contexts}, batch_size=3, verbose=0)
    windows = [list(windows_of(task, *pair)) for pair in zip(questions, contexts, strict=True)]
    shape = (len(contexts), max(map(len, windows)), task.sequence_length)
    assert shape[1] > 1
    for name in ("start_logits", "end_logits"):
        assert (found[name].shape, found[name].dtype) == (shape, "float32")
        expected = np.full(shape, -1e9, "float32")
        for i, own in enumerate(windows):
            for j, (features, *_) in enumerate(own):
                length = features["token_ids"].shape[1]
                expected[i, j, :length] = task(features)[name][0]
        np.testing.assert_allclose(found[name], expected, atol=1e-5)
        again = task.predict_on_batch((questions, contexts))[name]
        np.testing.assert_allclose(again, found[name], atol=1e-5)
        assert task.predict(([], []), verbose=0)[name].shape == (0, 1, task.sequence_length)
    with pytest.raises(InputError, match="predict takes no steps or callbacks"):
        task.predict((questions, contexts), steps=1)


def test_round_trip(careful, tmp_path):
    careful.save_to_preset(tmp_path / "model")
    loaded = load(tmp_path / "model")
    assert loaded.head_config() == careful.head_config()
    assert loaded.no_answer_threshold is not None
    x, _ = examples(4, seed=8)
    answers = [one.answer(x["question"], x["context"], n_best=3) for one in (loaded, careful)]
    for ours, expected in zip(*answers, strict=True):
        assert_same(ours, expected)
