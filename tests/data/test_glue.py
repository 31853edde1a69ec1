"""GLUE's files as the benchmark hands them out, and as TensorFlow Datasets has them."""

import pytest
import tensorflow as tf
import tensorflow_datasets as tfds

from kerasbert.data import glue
from kerasbert.data.examples import read_examples
from kerasbert.errors import InputError

#: By task: a training file in its official form (header, then a row), texts, label.
FILES = {
    "cola": (None, "gj04\t1\t\tOur friends \"won't.", ["Our friends \"won't."], "acceptable"),
    "sst2": ("sentence\tlabel", 'a "gem \t0', ['a "gem '], "negative"),
    "mrpc": (
        "Quality\t#1 ID\t#2 ID\t#1 String\t#2 String",
        '1\t702876\t702977\t"Amrozi said\tHe did .',
        ['"Amrozi said', "He did ."],
        "equivalent",
    ),
    "qqp": (
        "id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate",
        "133273\t213221\t213222\tHow?\tWhy?\t0",
        ["How?", "Why?"],
        "not_duplicate",
    ),
    "stsb": (
        "index\tgenre\tfilename\tyear\told_index\tsource1\tsource2\tsentence1\tsentence2\tscore",
        "0\tmain-captions\tMSRvid\t2012test\t0001\tnone\tnone\tA plane.\tAn air plane.\t3.800",
        ["A plane.", "An air plane."],
        3.8,
    ),
    "mnli": (
        "index\tpromptID\tpairID\tgenre\tsentence1_binary_parse\tsentence2_binary_parse\t"
        "sentence1_parse\tsentence2_parse\tsentence1\tsentence2\tlabel1\tgold_label",
        "0\t31193\t31193n\tgovernment\t( a )\t( b )\t(ROOT a)\t(ROOT b)\ta.\tb.\tneutral\tneutral",
        ["a.", "b."],
        "neutral",
    ),
    "qnli": (
        "index\tquestion\tsentence\tlabel",
        "0\tWhen?\tIn 1973.\tentailment",
        ["When?", "In 1973."],
        "entailment",
    ),
    "rte": (
        "index\tsentence1\tsentence2\tlabel",
        "0\tNo.\tYes.\tnot_entailment",
        ["No.", "Yes."],
        "not_entailment",
    ),
    "wnli": (
        "index\tsentence1\tsentence2\tlabel",
        "0\tI stuck a pin.\tThe pin.\t1",
        ["I stuck a pin.", "The pin."],
        "entailment",
    ),
}


def test_every_task_is_here():
    assert FILES.keys() == glue.TASKS.keys()


@pytest.mark.parametrize("name", FILES)
def test_files(name, tmp_path):
    header, row, texts, label = FILES[name]
    path = tmp_path / "train.tsv"
    path.write_text("\n".join(filter(None, [header, row])) + "\n", encoding="utf-8-sig")
    examples = read_examples(path, glue=name, strict=True)
    assert [column for (column,) in examples.texts.values()] == texts
    assert list(examples.texts) == ["text", "text_pair"][: len(texts)]
    assert examples.labels == [label]
    assert examples.lines == [1 if header is None else 2]


def test_mrpc_as_microsoft_hands_it_out(tmp_path):
    header, row, texts, label = FILES["mrpc"]
    path = tmp_path / "msr_paraphrase_train.txt"
    path.write_text(f"{header}\r\n{row}\r\n", encoding="utf-8-sig")
    examples = read_examples(path, glue="mrpc", strict=True)
    assert examples.texts == {"text": texts[:1], "text_pair": texts[1:]}
    assert examples.labels == [label]


@pytest.mark.parametrize("name", FILES)
def test_classes_are_those_of_tfds(name):
    builder_class = tfds.builder_cls("glue")
    config = builder_class.builder_configs[name]
    classes = glue.TASKS[name].classes
    assert (classes and list(classes.values())) == config.label_classes
    text, pair, _ = glue.TASKS[name].tfds_columns
    assert [column for column in (text, pair) if column] == list(config.text_features)
    columns = list(config.text_features.values())
    if name != "mrpc":  # TensorFlow Datasets makes it from other files
        text, pair, label = glue.TASKS[name].columns
        assert [column for column in (text, pair) if column] == columns
        if name != "cola":  # it has no header, so the names are anybody's
            assert label == config.label_column


@pytest.mark.parametrize("name", FILES)
def test_tfds(name):
    task = glue.TASKS[name]
    text, pair, label = task.tfds_columns
    labels = [0.5, 5.0, -1.0] if task.classes is None else [1, 0, -1]
    rows = {text: ["a b", "", "é"], label: labels, "idx": [0, 1, 2]}
    rows |= {pair: ["c", "d", "e"]} if pair else {}

    def rows_of(self, *args, **kwargs):
        return tf.data.Dataset.from_tensor_slices(rows)

    with tfds.testing.mock_data(as_dataset_fn=rows_of):
        examples = read_examples(f"tfds:glue/{name}:train")
    if task.classes is None:
        assert examples.labels == [0.5, -1.0]
        assert examples.lines == [1, 3]
    else:
        assert examples.labels == [list(task.classes.values())[1]]
        assert examples.classes == list(task.classes.values())
        assert examples.problems.lines == {"empty text": [2], "label is not a text or number": [3]}
    assert examples.texts["text"][0] == "a b"
    assert ("text_pair" in examples.texts) == bool(pair)


def test_tfds_that_is_not_glue():
    def rows_of(self, *args, **kwargs):
        return tf.data.Dataset.from_tensor_slices({"text": ["good", "bad"], "label": [1, 0]})

    with tfds.testing.mock_data(as_dataset_fn=rows_of):
        examples = read_examples("tfds:imdb_reviews:train")
    assert examples.texts == {"text": ["good", "bad"]}
    assert examples.labels == ["pos", "neg"]


def test_unknown_names():
    with pytest.raises(InputError, match="GLUE has no task 'sst3'; its tasks are cola, sst2"):
        read_examples("a.tsv", glue="sst3")
    with pytest.raises(InputError, match=r"^tfds:no_such_set:train: "):
        read_examples("tfds:no_such_set:train")


def test_what_is_scored():
    assert {name: task.metrics for name, task in glue.TASKS.items()} == {
        "cola": ("matthews",),
        "sst2": ("accuracy",),
        "mrpc": ("f1", "accuracy"),
        "qqp": ("f1", "accuracy"),
        "stsb": ("pearson", "spearman"),
        **dict.fromkeys(["mnli", "qnli", "rte", "wnli"], ("accuracy",)),
    }


@pytest.mark.parametrize(
    ("folder", "name", "files"),
    [
        ("glue-sst2", "sst2", {"train": 67_349, "dev": 872}),
        ("glue-rte", "rte", {"train": 2_490, "dev": 277}),
    ],
)
def test_real_files(shared, folder, name, files):
    for file, count in files.items():
        examples = read_examples(shared("tasks", folder, f"{file}.tsv"), glue=name)
        assert len(examples) == count
        assert set(examples.labels) == set(glue.TASKS[name].classes.values())
