"""predict.py: a prediction for every row of the described run, or an error that says why not."""

import concurrent.futures
import csv
import errno
import functools
import gzip
import itertools
import json
import os

import pandas
import pytest

from kerasbert import (
    InputError,
    MaskedLM,
    MultipleChoice,
    QuestionAnswerer,
    TextClassifier,
    TextEmbedder,
    TokenClassifier,
    files,
    loading,
)
from kerasbert.errors import Interrupted
from kerasbert.recipes import predict as module
from kerasbert.recipes.options import ExportOptions, PredictOptions
from kerasbert.recipes.predict import predict
from kerasbert.tasks.text_classifier.spec import TextClassification


@pytest.fixture(scope="module")
def models(tokenizer, tiny_backbone, tmp_path_factory):
    """Directories of models with random weights, by name."""
    root = tmp_path_factory.mktemp("models")
    makers = {
        "classifier": lambda body: TextClassifier(body, ["n", "y"], tokenizer=tokenizer),
        "pairs": lambda body: TextClassifier(body, ["n", "y"], tokenizer=tokenizer, pair=True),
        "regression": lambda body: TextClassifier(
            body, problem_type="regression", tokenizer=tokenizer, pair=False
        ),
        "tagger": lambda body: TokenClassifier(body, ["O", "B-pet"], tokenizer=tokenizer),
        "answerer": lambda body: QuestionAnswerer(body, tokenizer=tokenizer),
        "chooser": lambda body: MultipleChoice(body, tokenizer=tokenizer),
        "embedder": lambda body: TextEmbedder(body, tokenizer=tokenizer),
        "masked": lambda body: MaskedLM(body, tokenizer=tokenizer),
    }

    def path(name):
        if not (root / name).exists():
            task = makers[name](tiny_backbone(tokenizer, pooler=True))
            task.save_to_preset(root / name)
        return str(root / name)

    return path


@pytest.fixture
def answers(models, tmp_path):
    """Returns a function that predicts a file with given content, and reads the predictions."""

    def answers(model, name, content, *, output="out.jsonl", **flags):
        path, output = tmp_path / name, tmp_path / output
        content = content.encode("utf-8")
        path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
        options = {"model": models(model), "input": str(path), "output": str(output), **flags}
        said = predict(PredictOptions(**options))
        text = output.read_text(encoding="utf-8")
        assert not list(tmp_path.glob("*.part")) + list(tmp_path.glob(".*"))
        output.unlink()
        if output.suffix == ".csv":
            return list(csv.DictReader(text.splitlines()))
        found = [json.loads(line) for line in text.splitlines()]
        assert [one["row"] for one in found] == list(range(1, said["examples"] + 1))
        return found

    return answers


def lines(*rows):
    return "\n".join("\t".join(row) for row in rows) + "\n"


def objects(*values):
    return "".join(json.dumps(value) + "\n" for value in values)


def test_pairs_in_formats_without_that_setting(models, tmp_path):
    model = loading.load(models("pairs"))
    model.save_to_preset(tmp_path / "hf", format="hf")
    (tmp_path / "in.tsv").write_text(lines(("text", "text_pair"), ("a cat", "the dog")))
    facts = {"model": str(tmp_path / "hf"), "input": str(tmp_path / "in.tsv")}
    with pytest.raises(InputError, match="the model takes one text; use --pair if"):
        predict(PredictOptions(**facts, output=str(tmp_path / "no.jsonl")))
    predict(PredictOptions(**facts, output=str(tmp_path / "out.jsonl"), pair=True))
    found = json.loads((tmp_path / "out.jsonl").read_text())
    ((label, scores),) = (one.values() for one in model.classify([("a cat", "the dog")]))
    assert found["label"] == label
    assert found["scores"] == pytest.approx(scores, abs=1e-4)
    options = ExportOptions(model=facts["model"], output=str(tmp_path / "1"), pair=True)
    export_options = options.overrides
    assert loading.load(facts["model"], **export_options).serving_signature()[0] == (
        "text",
        "text_pair",
    )
    with pytest.raises(InputError, match="no argument pair"):
        loading.load(models("tagger"), **export_options)


# === A prediction for every row ===


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("in.tsv", "text\na cat\n\nthe dog\n\n"),
        ("in.tsv.gz", "text\na cat\n\nthe dog\n\n"),
        ("in.csv", 'text\na cat\n""\nthe dog\n\n'),
        ("in.txt", "a cat\n\nthe dog\n\n"),
        ("in.jsonl", objects(*({"text": text} for text in ("a cat", "", "the dog", "")))),
        ("in.tsv", lines(("x", "text"), ("", "a cat"), ("", ""), ("", "the dog"), ("1", ""))),
    ],
)
def test_empty_rows_have_answers(answers, name, content):
    found = answers("classifier", name, content, include_text=True)
    assert [one["text"] for one in found] == ["a cat", "", "the dog", ""]
    assert found[1]["scores"] == pytest.approx(found[3]["scores"])
    assert [list(one) for one in found] == [["row", "text", "label", "scores"]] * 4


def test_blank_lines_are_no_rows_of_several_columns(answers):
    content = "\n" + lines(("id", "text"), ("a", "cat")) + "\n" + lines(("b", "dog")) + "\n"
    assert [one["id"] for one in answers("classifier", "in.tsv", content)] == ["a", "b"]


@pytest.mark.parametrize("batch_size", [64, 1])
def test_every_task_answers_what_is_empty(answers, batch_size):
    answers = functools.partial(answers, batch_size=batch_size)
    texts = objects({"text": "the [MASK]"}, {"text": ""}, {"text": "no mask"}, {"text": "[MASK]"})
    assert [len(one["masks"]) for one in answers("masked", "in.jsonl", texts)] == [1, 0, 0, 1]
    words = objects({"words": ["a", "cat"]}, {"words": []}, {"words": ["it"]})
    assert [one["words"] for one in answers("tagger", "in.jsonl", words)] == [
        ["a", "cat"],
        [],
        ["it"],
    ]
    assert [len(one["labels"]) for one in answers("tagger", "in.txt", "\na\n")] == [0, 1]
    asked = [{"question": "who", "context": "a cat"}, {"question": "", "context": ""}]
    assert answers("answerer", "in.jsonl", objects(*asked))[1]["answer"] == ""
    choices = [{"text": "", "choices": ["a", ""]}, {"text": "a", "choices": ["b", "c", "d"]}]
    assert len(answers("chooser", "in.jsonl", objects(*choices))) == 2
    texts = objects({"text": ""}, {"text": "a"})
    assert [len(one["embedding"]) for one in answers("embedder", "in.jsonl", texts)] == [16, 16]


def test_no_question_is_left_out(answers, tmp_path, models):
    qas = [{"id": id, "question": q} for id, q in (("1", "who"), ("2", " "), ("1", "what"))]
    paragraphs = [{"context": "a cat", "qas": qas}, {"context": "", "qas": [{**qas[0], "id": "3"}]}]
    content = json.dumps({"data": [{"paragraphs": paragraphs}]})
    found = answers("answerer", "in.json", content)
    assert [one["id"] for one in found] == ["1", "2", "1", "3"]
    with pytest.raises(InputError, match=r"row 3 has the id of another, so \.json can't hold it"):
        answers("answerer", "in.json", content, output="out.json")


def test_texts_beside_answers(answers):
    content = objects({"id": 7, "text": "a \ud800", "text_pair": "b", "label": "y"})
    (found,) = answers("pairs", "in.jsonl", content, include_text=True)
    assert list(found.items())[:4] == [
        ("row", 1),
        ("id", 7),
        ("text", "a \ufffd"),
        ("text_pair", "b"),
    ]


def test_csv(answers):
    content = lines(("id", "text"), ("7", 'a "cat", or\ttwo'.replace("\t", " ")), ("8", ""))
    expected = answers("classifier", "in.tsv", content, include_text=True)
    for row, one in zip(
        answers("classifier", "in.tsv", content, output="out.csv", include_text=True),
        expected,
        strict=True,
    ):
        scores = {f"scores.{name}": str(score) for name, score in one.pop("scores").items()}
        assert row == {name: str(value) for name, value in one.items()} | scores
    (row,) = answers("tagger", "in.txt", "a cat\n", output="out.csv")
    assert json.loads(row["words"]) == ["a", "cat"]


def test_line_ends_in_cells(models, tmp_path):
    texts = ["a\rb", "a\nb", "a\r\nb", "\r", "b\r", 'a "b"', "a, b", "a b", " a ", "a\tb"]
    (tmp_path / "in.jsonl").write_text(objects(*({"text": text} for text in texts)))
    path = tmp_path / "out.csv"
    facts = {"model": models("classifier"), "input": str(tmp_path / "in.jsonl")}
    predict(PredictOptions(**facts, output=str(path), include_text=True))
    with open(path, encoding="utf-8", newline="") as file:
        head, *rows = csv.reader(file)
    assert head[:3] == ["row", "text", "label"]
    assert [row[1] for row in rows] == texts
    assert {len(row) for row in rows} == {len(head)}
    assert pandas.read_csv(path)["text"].tolist() == texts
    lines_written = path.read_bytes().decode().split("\n")
    assert lines_written[0] == ",".join(head)
    assert lines_written[-1] == ""
    assert any(line.startswith("8,a b,") for line in lines_written)  # with quotes only if needed
    assert path.read_bytes().startswith(b'row,text,label,scores.n,scores.y\n1,"a\rb",')


@pytest.mark.parametrize("output", ["~/out.csv", "s3://bucket/out.csv"])
def test_outputs_that_are_elsewhere(tmp_path, monkeypatch, output):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in.txt").write_text("a\n")
    options = PredictOptions(model="not there", input=str(tmp_path / "in.txt"), output=output)
    with pytest.raises(InputError, match=f"^{output}: (begins with a ~|is a URL)"):
        predict(options)
    assert [path.name for path in tmp_path.iterdir()] == ["in.txt"]


# === Inputs ===


def test_numbers_are_texts(answers):
    found = answers(
        "classifier", "in.jsonl", objects({"text": 123}, {"text": "123"}, {"text": 1.5})
    )
    assert found[0]["scores"] == pytest.approx(found[1]["scores"])
    (found,) = answers("tagger", "in.jsonl", objects({"tokens": ["a", 5]}))
    assert found["words"] == ["a", "5"]


@pytest.mark.parametrize(
    ("model", "value", "message"),
    [
        ("classifier", {"text": None}, "text must be a text, found None"),
        ("classifier", {"text": ["a"]}, r"text must be a text, found \['a'\]"),
        ("classifier", {"text": True}, "text must be a text, found True"),
        ("classifier", {"text": float("nan")}, "text must be a text, found nan"),
        ("classifier", 3, r"in\.jsonl:2: the content must be an object, found 3"),
        (
            "classifier",
            {"words": ["a"]},
            "has no text column with a usual name; the columns are words",
        ),
        ("tagger", {"words": "a cat"}, "words must be a list of texts, found 'a cat'"),
        ("tagger", {"words": ["a", None]}, r"words must be a list of texts, found \['a', None\]"),
        ("tagger", {"text": "a"}, "has text, but earlier rows have words"),
        ("chooser", {"text": "a", "choices": "bc"}, "choices must be a list of texts, found 'bc'"),
        ("answerer", {"question": "a"}, "has no context column .*; the columns are question$"),
    ],
)
def test_bad_inputs_are_refused_before_predicting(
    answers, tmp_path, monkeypatch, model, value, message
):
    good = {"text": "a", "words": ["a"], "choices": ["b", "c"], "question": "a", "context": "b"}
    monkeypatch.setattr(module, "_answers", lambda *_: pytest.fail("work has begun"))
    with pytest.raises(InputError, match=message):
        answers(model, "in.jsonl", objects(good, value))
    assert [path.name for path in tmp_path.iterdir()] == ["in.jsonl"]


@pytest.mark.parametrize(
    ("model", "name", "content", "output", "message"),
    [
        (
            "classifier",
            "in.txt",
            "a\n",
            "out.json",
            r"\.json is for a QuestionAnswerer; use \.jsonl",
        ),
        ("classifier", "in.txt", "a\n", "out.conll", r"\.conll is for a TokenClassifier"),
        (
            "classifier",
            "in.json.gz",
            "{}",
            "out.jsonl",
            r"\.json files are for a QuestionAnswerer, not",
        ),
        ("answerer", "in.conll", "a\n", "out.jsonl", r"\.conll files are for a TokenClassifier"),
        ("tagger", "in.txt", "a\n\n", "out.conll", r"row 2 has no words, which \.conll can't hold"),
        ("tagger", "in.conll", "a b\nc\n", "out.jsonl", "in.conll:2: different number of columns"),
        ("classifier", "in.txt", "", "out.jsonl", "in.txt: has no examples"),
        (
            "classifier",
            "in.tsv",
            "text\tx\na\n",
            "out.jsonl",
            "in.tsv:2: has 1 columns, the header has 2",
        ),
        (
            "classifier",
            "in.txt",
            "a\n",
            "out.tsv",
            r"--output must end in \.jsonl, \.csv, \.json or",
        ),
    ],
)
def test_unsupported_formats(answers, tmp_path, model, name, content, output, message):
    with pytest.raises(InputError, match=message):
        answers(model, name, content, output=output)
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize(
    ("glue", "names", "row"),
    [
        ("mrpc", ("index", "#1 ID", "#2 ID", "#1 String", "#2 String"), ("0", "1", "2", "A", "B")),
        ("qnli", ("index", "question", "sentence"), ("0", "A", "B")),
        ("qqp", ("id", "question1", "question2"), ("0", "A", "B")),
        ("rte", ("index", "sentence1", "sentence2"), ("0", "A", "B")),
        ("stsb", ("index", "genre", "sentence1", "sentence2"), ("0", "x", "A", "B")),
    ],
)
def test_glue_test_files(answers, glue, names, row):
    (found,) = answers("pairs", "test.tsv", lines(names, row), glue=glue, include_text=True)
    assert (found["text"], found["text_pair"]) == ("A", "B")


def test_glue_text_file(answers):
    # MRPC's own files are TSV under the name .txt.
    content = lines(
        ("Quality", "#1 ID", "#2 ID", "#1 String", "#2 String"), ("1", "2", "3", "A", "B")
    )
    (found,) = answers("pairs", "msr.txt", content, glue="mrpc", include_text=True)
    assert (found["text"], found["text_pair"]) == ("A", "B")


@pytest.mark.parametrize(
    ("model", "name", "content", "flag", "message"),
    [
        (
            "tagger",
            "in.conll",
            "a\n",
            {"text_column": "x"},
            "such a file supports --word_column and",
        ),
        (
            "classifier",
            "in.txt",
            "a\n",
            {"word_column": 1},
            "--word_column is not supported for .*in.txt; such a file supports",
        ),
        ("answerer", "in.json", "{}", {"glue": "qnli"}, "--glue is not supported for .*in.json$"),
    ],
)
def test_options_of_other_files(answers, model, name, content, flag, message):
    with pytest.raises(InputError, match=message):
        answers(model, name, content, **flag)


def test_columns_with_other_names(answers):
    flags = {"text_column": "q", "text_pair_column": "s", "include_text": True}
    (found,) = answers("pairs", "in.tsv", lines(("q", "s"), ("A", "B")), **flags)
    assert (found["text"], found["text_pair"]) == ("A", "B")
    flags = {"column_names": "x, text", "include_text": True}
    (found,) = answers("classifier", "in.tsv", lines(("1", "A")), **flags)
    assert found["text"] == "A"
    # CoLA's files only have a header if they are to be predicted.
    of_cola = {"glue": "cola", "include_text": True}
    for content in (lines(("index", "sentence"), ("0", "A")), lines(("gj04", "1", "", "A"))):
        (found,) = answers("classifier", "in.tsv", content, **of_cola)
        assert found["text"] == "A"
    qnli = lines(("question", "sentence"), ("A", "B"))
    with pytest.raises(InputError, match="text and text_pair are both in column 'sentence'"):
        answers("pairs", "in.tsv", qnli, text_pair_column="sentence")


# === Resuming ===


@pytest.fixture
def cut_off(models, tmp_path, monkeypatch):
    """Returns options of a run with three examples, and a function that ends it early."""
    (tmp_path / "in.txt").write_text("a cat\nthe dog\nit\n")
    options = {
        "model": models("classifier"),
        "input": str(tmp_path / "in.txt"),
        "output": str(tmp_path / "out.jsonl"),
        "batch_size": 2,
    }
    predict(PredictOptions(**{**options, "output": str(tmp_path / "whole.jsonl")}))

    def end(error, batches=1):
        def answer(spec, model, columns):
            if next(calls) == batches:
                raise error
            return model.classify(dict(columns))

        calls = itertools.count()
        with monkeypatch.context() as patch:
            patch.setattr(TextClassification, "answers", answer)
            predict(PredictOptions(**options))

    return options, end


def test_resumes(cut_off, tmp_path):
    options, end = cut_off
    with pytest.raises(
        Interrupted, match=r"kept in .*out\.jsonl\.part, and the same command resumes"
    ):
        end(KeyboardInterrupt())
    part = tmp_path / "out.jsonl.part"
    part.write_text(part.read_text() + '{"row": 3, "la')
    assert predict(PredictOptions(**{**options, "batch_size": 1}))["found_done"] == 2
    assert (tmp_path / "out.jsonl").read_text() == (tmp_path / "whole.jsonl").read_text()
    assert not part.exists()
    with pytest.raises(InputError, match=r"out\.jsonl exists already"):
        predict(PredictOptions(**options))


def test_does_not_resume_another_run(cut_off, tmp_path, models):
    options, end = cut_off
    with pytest.raises(MemoryError):
        end(MemoryError())
    part = tmp_path / "out.jsonl.part"
    kept = part.read_text()
    (tmp_path / "other.tsv").write_text("text\na cat\nthe dog\nit\n")
    (tmp_path / "same.txt").write_text("a cat\nthe dog\nit\n")
    for changes, message in (
        ({"input": str(tmp_path / "other.tsv")}, r"holds 2 answers of another run \(--input was "),
        ({"model": models("tagger")}, r"another run \(--model was "),
        ({"include_text": True}, r"another run \(--include_text was False, now it is True\)"),
    ):
        with pytest.raises(InputError, match=message):
            predict(PredictOptions(**{**options, **changes}))
        assert part.read_text() == kept
    (tmp_path / "in.txt").write_text("a bird\n")
    with pytest.raises(InputError, match=r"in\.txt has changed"):
        predict(PredictOptions(**options))
    found = predict(PredictOptions(**{**options, "input": str(tmp_path / "same.txt")}))
    assert found["found_done"] == 2
    (tmp_path / "out.jsonl").unlink()
    for foreign in ('{"label": "y"}\n', "mine", "\udcff\n[]\n"):
        part.write_bytes(foreign.encode("utf-8", "surrogateescape"))
        with pytest.raises(InputError, match="the line that describes its run is damaged"):
            predict(PredictOptions(**options))


def _with_line(change):
    def damage(kept):
        return [*kept[:2], *change(kept[2]), *kept[3:]]

    return damage


@pytest.mark.parametrize(
    ("damage", "whole"),
    [
        (_with_line(lambda line: [b"garbage\n"]), 1),
        (_with_line(lambda line: [b"\xff\x00" * 9 + b"\n"]), 1),
        (_with_line(lambda line: [line.replace(b"0.", b"1.")]), 1),
        (_with_line(lambda line: []), 1),
        (_with_line(lambda line: [line, line]), 2),
        (lambda kept: [kept[0], kept[2], kept[1]], 0),
        (lambda kept: [*kept, b"\x00" * 50], 2),
        (lambda kept: [kept[0][:20]], 0),
        (lambda kept: [b""], 0),
    ],
    ids=["garbage", "bytes", "digit", "lost", "doubled", "swapped", "nulls", "first", "nothing"],
)
def test_damaged_answers_are_recomputed(cut_off, tmp_path, damage, whole):
    options, end = cut_off
    with pytest.raises(MemoryError):
        end(MemoryError())
    part = tmp_path / "out.jsonl.part"
    part.write_bytes(b"".join(damage(part.read_bytes().splitlines(keepends=True))))
    # Only whole batches are kept: in other batches the last digits of scores may differ.
    assert predict(PredictOptions(**options))["found_done"] == whole - whole % 2
    assert (tmp_path / "out.jsonl").read_text() == (tmp_path / "whole.jsonl").read_text()
    assert not part.exists()


def test_one_at_a_time(cut_off, tmp_path):
    options, _ = cut_off
    with concurrent.futures.ThreadPoolExecutor(1) as other, files.locked(options["output"]):
        run = other.submit(predict, PredictOptions(**options))
        with pytest.raises(InputError, match=r"out\.jsonl: is being written by process \d+"):
            run.result()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.txt", "whole.jsonl"]


@pytest.fixture
def unreadable(monkeypatch):
    """Lets the input fail after two examples when it is read again, as a network's disk may."""
    read, times = module.raw_examples, itertools.count()

    def fail(path, *arguments):
        yield from itertools.islice(read(path, *arguments), 2)
        raise InputError(f"{path}: can't be read: {os.strerror(errno.ESTALE)}")

    def examples(*arguments):
        return (fail if next(times) == 1 else read)(*arguments)

    monkeypatch.setattr(module, "raw_examples", examples)


def test_an_input_that_cannot_be_read_for_a_while(cut_off, unreadable, tmp_path):
    options, _ = cut_off
    with pytest.raises(
        InputError,
        match=r"in\.txt: can't be read: Stale file handle; the answers so far are kept in .*"
        r"out\.jsonl\.part, and the same command resumes there$",
    ):
        predict(PredictOptions(**options))
    assert predict(PredictOptions(**options))["found_done"] == 2
    assert (tmp_path / "out.jsonl").read_text() == (tmp_path / "whole.jsonl").read_text()


def test_an_input_that_cannot_be_read_at_the_end(cut_off, tmp_path, monkeypatch):
    options, _ = cut_off
    digest, times = files.sha256, itertools.count()

    def fail_at_the_end(path):
        if path == options["input"] and next(times) == 1:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return digest(path)

    monkeypatch.setattr(module.files, "sha256", fail_at_the_end)
    with pytest.raises(InputError, match=r"in\.txt: can't be read: Input/output error; the answ"):
        predict(PredictOptions(**options))
    assert predict(PredictOptions(**options))["found_done"] == 2
    assert (tmp_path / "out.jsonl").read_text() == (tmp_path / "whole.jsonl").read_text()


def test_an_input_that_changes_and_cannot_be_read(cut_off, unreadable, tmp_path, monkeypatch):
    options, _ = cut_off

    def answer(spec, model, columns):
        (tmp_path / "in.txt").write_text("a bird\n")
        return model.classify(dict(columns))

    monkeypatch.setattr(TextClassification, "answers", answer)
    with pytest.raises(InputError, match=r"in\.txt: changed during the run; start again$"):
        predict(PredictOptions(**options))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.txt", "whole.jsonl"]


@pytest.mark.parametrize("content", ["a bird\n", "a cat\nthe dog\nit\nis\n"])
def test_input_that_changes_meanwhile(cut_off, tmp_path, monkeypatch, content):
    options, _ = cut_off

    def answer(spec, model, columns):
        (tmp_path / "in.txt").write_text(content)
        return model.classify(dict(columns))

    monkeypatch.setattr(TextClassification, "answers", answer)
    with pytest.raises(InputError, match=r"in\.txt: changed during the run"):
        predict(PredictOptions(**options))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.txt", "whole.jsonl"]


def test_a_disk_that_is_full_at_the_end_keeps_the_answers(cut_off, tmp_path, monkeypatch):
    options, _ = cut_off

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(module, "_write_json_lines", full)
        with pytest.raises(InputError, match=r"out\.jsonl can't be written: No space left"):
            predict(PredictOptions(**options))
    assert predict(PredictOptions(**options))["found_done"] == 2
    assert (tmp_path / "out.jsonl").read_text() == (tmp_path / "whole.jsonl").read_text()


def test_pipes_are_refused(models, tmp_path):
    os.mkfifo(tmp_path / "in.txt")
    options = {"model": models("classifier"), "input": str(tmp_path / "in.txt")}
    with pytest.raises(InputError, match=r"in\.txt: is a pipe or a device"):
        predict(PredictOptions(**options, output=str(tmp_path / "out.jsonl")))


@pytest.mark.parametrize(("error", "batches"), [(InputError("bad"), 1), (MemoryError(), 0)])
def test_nothing_is_left_that_cannot_be_resumed(cut_off, tmp_path, error, batches):
    with pytest.raises(type(error)):
        cut_off[1](error, batches)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.txt", "whole.jsonl"]


def test_errors_of_a_model_name_the_row(cut_off, tmp_path, monkeypatch):
    options, _ = cut_off

    def answer(spec, model, columns):
        if "the dog" in columns["text"]:
            raise InputError("no dogs")
        return model.classify(dict(columns))

    monkeypatch.setattr(TextClassification, "answers", answer)
    with pytest.raises(InputError, match=r"in\.txt: row 2: no dogs$"):
        predict(PredictOptions(**options))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.txt", "whole.jsonl"]


def test_truncated_masks_have_no_guesses(answers, models):
    texts = [" ".join(["[MASK]"] * count) for count in (1, 22, 30)]
    found = answers("masked", "in.jsonl", objects(*({"text": text} for text in texts)))
    assert [len(one["masks"]) for one in found] == [1, 22, 30]
    assert [len(mask) for mask in found[2]["masks"]] == [5] * 22 + [0] * 8
    (expected,) = loading.load(models("masked")).fill_mask(texts[1:2])
    assert [[guess["token"] for guess in mask] for mask in found[1]["masks"]] == [
        [guess.token for guess in mask] for mask in expected
    ]


@pytest.mark.parametrize(
    ("name", "content"),
    [("in.txt", "it is a cat,  a dog\n"), ("in.jsonl", objects({"words": ["it", "is", "a cat"]}))],
)
def test_entities(answers, models, name, content):
    (found,) = answers("tagger", name, content)
    text = content[:-1] if name == "in.txt" else "it is a cat"
    asked = [text] if name == "in.txt" else [["it", "is", "a cat"]]
    (expected,) = loading.load(models("tagger")).tag(asked, aggregation="first")
    assert expected
    assert found["entities"] == [
        {**entity._asdict(), "score": pytest.approx(entity.score, abs=1e-4)} for entity in expected
    ]
    assert all(text[one["start"] : one["end"]] == one["text"] for one in found["entities"])


def test_numbers_as_ids_of_questions(models, tmp_path):
    rows = [{"question": "who", "context": "a cat", "id": id} for id in (7, "x", True, "7")]
    facts = {"model": models("answerer"), "input": str(tmp_path / "in.jsonl")}

    def found(rows):
        (tmp_path / "in.jsonl").write_text(objects(*rows))
        predict(PredictOptions(**facts, output=str(tmp_path / "out.json")))
        return json.loads((tmp_path / "out.json").read_text())

    with pytest.raises(InputError, match="row 3 has no id"):
        found(rows)
    with pytest.raises(InputError, match="row 3 has the id of another"):
        found([rows[0], rows[1], rows[3]])
    assert list(found(rows[:2])) == ["7", "x"]
