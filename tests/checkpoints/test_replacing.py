"""`overwrite=True` replaces the directories that kerasbert wrote, and nothing else."""

import numpy as np
import pytest

from kerasbert import (
    Backbone,
    InputError,
    TextClassifier,
    checkpoints,
    files,
    load,
    text,
)
from kerasbert.checkpoints import cards
from kerasbert.recipes.convert import convert
from kerasbert.recipes.options import ConvertOptions
from kerasbert.tasks.replaced_token_detector import ReplacedTokenPretrainer


@pytest.fixture
def save(tiny_backbone, tokenizer, tmp_path):
    """Returns a function that saves an encoder with this bias, with its tokenizer."""
    backbone = tiny_backbone(tokenizer, pooler=True)

    def save(bias=0.0, **options):
        backbone.get_layer("pooler").weights[1].assign(np.full(16, bias, "float32"))
        backbone.save_to_preset(tmp_path / "model", tokenizer=tokenizer, **options)
        return tmp_path / "model"

    return save


def bias_of(path):
    return Backbone.from_preset(path).get_layer("pooler").weights[1].numpy()[0]


def kept(path, call, *parts):
    """Calls what must be refused; the message has these parts, and nothing has changed."""
    before = files.sha256_of_all(path)
    with pytest.raises(InputError) as caught:
        call()
    for part in (str(path), *parts):
        assert part in str(caught.value)
    assert files.sha256_of_all(path) == before


@pytest.mark.parametrize("format", checkpoints.FORMATS)
def test_own_directories_are_replaced(save, format, tmp_path):
    path = save(1.0, format=format)
    kept(path, lambda: save(2.0, format=format), " exists already; overwrite=True replaces it, or")
    save(2.0, format=format, overwrite=True)
    assert bias_of(path) == 2.0
    (path / "notes.txt").write_text("mine")
    message = "is not replaced, because kerasbert did not write notes.txt in it; move that away"
    kept(path, lambda: save(3.0, format=format, overwrite=True), message)
    kept(path, lambda: save(3.0, format=format), "exists already; choose another path or remove it")
    (path / "notes.txt").unlink()
    save(3.0, overwrite=True)  # in another format
    assert bias_of(path) == 3.0
    assert checkpoints.load(path).format == "kerasbert"
    assert [child.name for child in tmp_path.iterdir()] == ["model"]


def test_a_failed_write_leaves_what_was_there(save, tmp_path, monkeypatch):
    path = save(1.0)

    def fail(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("kerasbert.files.write_json", fail)
        with pytest.raises(KeyboardInterrupt):
            save(2.0, overwrite=True)
    assert bias_of(path) == 1.0
    assert [child.name for child in tmp_path.iterdir()] == ["model"]


@pytest.mark.parametrize("what", ["folder", "link", "license", "hidden"])
def test_other_things_inside_are_kept(save, what):
    path = save()
    if what == "link":
        (path / "data").symlink_to("nowhere")
    elif what == "folder":
        (path / "data").mkdir()
        (path / "data" / "x").touch()
    else:
        (path / {"license": "LICENSE", "hidden": ".my.model"}[what]).write_text("mine")
    kept(path, lambda: save(overwrite=True), "because kerasbert did not write")


def test_other_directories_are_kept(save, tmp_path):
    path = save(format="hf")
    (path / "README.md").write_text("# Somebody's model\n")  # as one that was downloaded
    message = "is not replaced, because it is not a model that kerasbert wrote"
    kept(path, lambda: save(format="hf", overwrite=True), message)
    for child in path.iterdir():
        child.unlink()
    (path / "config.json").write_text("{")
    kept(path, lambda: save(overwrite=True), message)
    (path / "config.json").unlink()
    (path / "train.tsv").write_text("text\tlabel\n")
    kept(path, lambda: save(overwrite=True), message)
    (path / "train.tsv").unlink()
    assert load(save(overwrite=True))  # it was empty
    (tmp_path / "file").write_text("mine")
    with pytest.raises(InputError, match="file: is a file, which is not replaced"):
        Backbone.from_preset(path).save_to_preset(tmp_path / "file", overwrite=True)
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize("format", ["kerasbert", "hf"])
def test_an_edited_card_stays(save, format):
    path = save(format=format)
    card = path / "README.md"
    edited = card.read_text().replace("license: unknown", "license: mit")
    card.write_text(edited)
    save(5.0, format=format, overwrite=True)
    assert (card.read_text(), bias_of(path)) == (edited, 5.0)
    for _ in range(2):
        save(format=format, overwrite=True, card="# Mine\n")
        text, _, mark = card.read_text().partition("\n")
        assert text == "# Mine"
        assert cards.is_edited(card.read_text())
    # Nothing else shows whose directory it is.
    assert cards.is_marked(mark) == (format == "hf")


def test_a_card_that_was_continued(save):
    path = save(format="hf")
    with open(path / "README.md", "a") as card:
        card.write("\nMine.\n")
    edited = (path / "README.md").read_text()
    save(5.0, format="hf", overwrite=True)
    assert ((path / "README.md").read_text(), bias_of(path)) == (edited, 5.0)


def test_an_edited_card_stays_without_a_new_one(save):
    path = save(format="hf")
    card = path / "README.md"
    card.write_text(card.read_text().replace("license: unknown", "license: mit"))
    preset = checkpoints.load(path)
    checkpoints.save(path, preset.config, preset.weights, overwrite=True)
    assert "license: mit" in card.read_text()
    assert "library_name: kerasbert\n" in card.read_text()


@pytest.mark.parametrize(
    ("format", "theirs"),
    [
        ("kerasbert", "mine.model"),
        ("kerasbert", "tokenizer.json"),
        ("kerasbert", "tokenizer_config.json"),
        ("hf", "tokenizer.json"),
        ("hf", "added_tokens.json"),
        ("hf", "spm.model"),
        ("google", "tokenizer_config.json"),
        ("google", "vocab.json"),
        ("google", "sentencepiece.model"),
        ("google", "best.ckpt.index"),
        ("google", "best.ckpt.data-00000-of-00001"),
    ],
)
def test_files_that_the_format_may_have_but_kerasbert_does_not_write(save, format, theirs):
    path = save(format=format)
    (path / theirs).write_text("mine")
    message = f"because kerasbert did not write {theirs} in it"
    kept(path, lambda: save(format=format, overwrite=True), message)


def test_tasks_and_generators(tiny_backbone, tokenizer, tmp_path):
    path = tmp_path / "model"
    task = TextClassifier(tiny_backbone(tokenizer, pooler=True), 2, tokenizer=tokenizer)
    model = ReplacedTokenPretrainer(tiny_backbone(tokenizer, pooler=False), tokenizer=tokenizer)
    for one in (task, model, model, task):
        one.save_to_preset(path, overwrite=True)
    assert isinstance(load(path), TextClassifier)
    assert not (path / "generator").exists()
    model.save_to_preset(path, overwrite=True)
    (path / "generator" / "x").touch()
    kept(path, lambda: model.save_to_preset(path, overwrite=True), "did not write generator/x in")
    assert cards.is_marked((path / "README.md").read_text())


def test_the_card_of_a_generator_stays(tiny_backbone, tokenizer, tmp_path):
    path = tmp_path / "model"
    model = ReplacedTokenPretrainer(tiny_backbone(tokenizer, pooler=False), tokenizer=tokenizer)
    model.save_to_preset(path)
    card = path / "generator" / "README.md"
    card.write_text(card.read_text().replace("license: unknown", "license: mit"))
    model.save_to_preset(path, overwrite=True)
    assert "license: mit" in card.read_text()


def test_convert(save, tmp_path):
    options = {"input": str(save()), "output": str(tmp_path / "other"), "format": "hf"}
    convert(ConvertOptions(**options))
    again = ConvertOptions(**options)
    kept(tmp_path / "other", lambda: convert(again), "exists already; --overwrite replaces it")
    assert convert(ConvertOptions(**options, overwrite=True))["to"] == "hf"


def test_convert_to_where_the_model_is(save, tmp_path):
    path = save()
    message = "would replace the model that is converted"
    (tmp_path / "link").symlink_to(path)
    for input, output in ((path, path), (tmp_path / "link", path), (path, f"{path}/../model")):
        options = {"input": str(input), "output": str(output), "overwrite": True}
        kept(path, lambda options=options: convert(ConvertOptions(**options)), message, "--output=")


def test_convert_over_an_edited_card(save, tmp_path, capsys):
    options = {"input": str(save()), "output": str(tmp_path / "other"), "overwrite": True}
    convert(ConvertOptions(**options, format="hf"))
    card = tmp_path / "other" / "README.md"
    card.write_text(card.read_text().replace("license: unknown", "license: mit"))
    assert "was edited" not in capsys.readouterr().out
    convert(ConvertOptions(**options))
    assert "other/README.md was edited, so it stays: check it" in capsys.readouterr().out
    assert "license: mit" in card.read_text()
    assert "library_name: kerasbert\n" in card.read_text()


def test_convert_a_model_with_a_card_of_a_person(save, tmp_path):
    path = save(card="# Mine\n")
    for overwrite in (False, True):
        convert(
            ConvertOptions(
                input=str(path), output=str(tmp_path / "out"), format="hf", overwrite=overwrite
            )
        )
    assert (tmp_path / "out" / "README.md").read_text().startswith("# Mine\n")


def test_files_of_tokenizers(tokenizer, tmp_path):
    text.save_assets(tokenizer, tmp_path)
    (tmp_path / "vocab.txt").write_text("other")
    with pytest.raises(InputError, match=r"vocab.txt exists already; overwrite=True replaces it"):
        text.save_assets(tokenizer, tmp_path)
    assert (tmp_path / "vocab.txt").read_text() == "other"
    text.save_assets(tokenizer, tmp_path, overwrite=True)
    assert text.load_tokenizer(tmp_path, tokenizer.get_config()).vocabulary == tokenizer.vocabulary
    assert [path.name for path in tmp_path.iterdir()] == ["vocab.txt"]
