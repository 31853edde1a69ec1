"""What `pretrain.py` has beyond BERT's own recipe."""

import json
import shutil

import numpy as np
import pytest
from safetensors.numpy import load_file

from kerasbert import InputError, MaskedLM, ReplacedTokenDetector, cli, load
from kerasbert.data.corpus.reader import Corpus
from kerasbert.families import PRESETS
from kerasbert.recipes.options.pretraining import RECIPES
from kerasbert.recipes.pretrain import PretrainOptions, pretrain
from kerasbert.training.checkpoints import Checkpoints

SMALL = {
    "vocabulary_size": 30,
    "num_layers": 1,
    "hidden_dim": 8,
    "num_heads": 2,
    "intermediate_dim": 12,
    "max_sequence_length": 32,
}


@pytest.fixture(scope="module", autouse=True)
def small():
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(PRESETS, "small", SMALL)
        yield


@pytest.fixture
def options(corpus_dir, tmp_path):
    def options(name, **changes):
        facts = {
            "corpus": str(corpus_dir),
            "preset": "small",
            "steps": 6,
            "batch_size": 4,
            "sequence_length": 16,
            "validation_interval": 2,
            "output": str(tmp_path / name),
        }
        if "validation_corpus" in changes:
            facts["validation_batches"] = 2
        return PretrainOptions(**{**facts, **changes})

    return options


def weights(path):
    arrays = load_file(path / "model" / "model.safetensors")
    return {name: array.tobytes() for name, array in arrays.items()}


def metrics(path):
    lines = [json.loads(line) for line in (path / "metrics.jsonl").read_text().splitlines()]
    return [{k: v for k, v in line.items() if k != "seconds"} for line in lines]


# === Warm-up, stable, decay ===

WSD = {"lr_schedule": "wsd", "warmup_steps": 1, "lr_decay_ratio": 0.5}


def test_a_run_is_continued_from_before_its_decay(options, tmp_path):
    result = pretrain(options("short", **WSD))
    start = str(tmp_path / "short" / "checkpoints" / "step-0000000003")
    assert result["before_decay"] == start
    assert [path.name for path in (tmp_path / "short" / "checkpoints").iterdir()] == [start[-15:]]

    pretrain(options("whole", steps=9, **WSD))
    pretrain(options("more", steps=9, continue_from=start, **WSD))
    assert weights(tmp_path / "more") == weights(tmp_path / "whole")
    assert weights(tmp_path / "more") != weights(tmp_path / "short")
    assert metrics(tmp_path / "more") == metrics(tmp_path / "whole")

    cases = [
        ({"steps": 3}, "is of step 3; give more --steps than that, found 3"),
        ({"learning_rate": 0.5}, "learning rate was 0.001 at step 0, and would be 0.5 here"),
        ({"lr_decay_ratio": 1.0}, "was 0.001 at step 1, and would be 0.000888889 here"),
        ({"preset": "bert_tiny", "sequence_length": 32}, "is of another model"),
        ({"continue_from": str(tmp_path / "step-0000000002")}, "has no 'complete' marker"),
        ({"continue_from": str(tmp_path)}, "must be RUN/checkpoints/step-N"),
    ]
    for changes, message in cases:
        given = {"steps": 9, "continue_from": start, **WSD, **changes}
        with pytest.raises(InputError, match=message):
            pretrain(options("wrong", **given))


def test_a_continued_run_monitors_its_own_evaluations(options, tmp_path, corpus_dir):
    given = {"validation_corpus": str(corpus_dir), **WSD}
    pretrain(options("short", **WSD))  # its evaluation at step 2 has no `val_loss`
    start = str(tmp_path / "short" / "checkpoints" / "step-0000000003")
    result = pretrain(
        options("more", steps=9, continue_from=start, monitor="val_loss", patience=9, **given)
    )
    assert result["steps"] > 3
    with pytest.raises(InputError, match="there will be no metric 'val_none'"):
        pretrain(options("none", steps=9, continue_from=start, monitor="val_none", **given))


def test_a_continued_run_does_not_need_the_other_run_any_more(options, tmp_path, monkeypatch):
    pretrain(options("short", **WSD))
    start = tmp_path / "short" / "checkpoints" / "step-0000000003"
    given = {"steps": 6, "continue_from": str(start), **WSD, "checkpoint_every_steps": 1}
    # It begins where its own decay does, so it has that state, too.
    with monkeypatch.context() as patch:
        patch.setattr(Checkpoints, "remove", lambda self: None)
        result = pretrain(options("same", **given))
    assert result["before_decay"] == str(tmp_path / "same" / "checkpoints" / start.name)
    assert weights(tmp_path / "same") == weights(tmp_path / "short")
    shutil.rmtree(tmp_path / "same" / "model")
    shutil.rmtree(tmp_path / "same" / "checkpoints" / "step-0000000006")
    shutil.rmtree(tmp_path / "short")
    pretrain(options("same", **given))
    result = pretrain(options("late", steps=6, lr_schedule="wsd", lr_decay_ratio=1.0))
    assert "before_decay" not in result


# === Recipes ===


def test_a_recipe_changes_defaults_but_not_what_is_given():
    words = ["pretrain", "--corpus=c", "--output=o", "--recipe=fast", "--beta_2=0.999"]
    chosen = cli.parse(words, PretrainOptions)
    expected = {**RECIPES["fast"], "beta_2": 0.999}
    assert {name: getattr(chosen, name) for name in expected} == expected
    assert chosen.settings["recipe"] == "fast"
    plain = cli.parse(words[:3], PretrainOptions)
    assert (plain.batch_size, plain.beta_2, plain.dropout) == (64, 0.999, 0.1)


# === Several corpora ===


def test_paths_and_weights_of_corpora(options, tmp_path):
    (tmp_path / "a:2").mkdir()
    given = ["wiki:0.7", "gs://bucket/books:.3", str(tmp_path / "a:2"), "c:x", "d"]
    chosen = options("run", corpus=given)
    paths = ["wiki", "gs://bucket/books", str(tmp_path / "a:2"), "c:x", "d"]
    assert chosen.input_paths("corpus") == paths
    assert list(map(float, chosen.weights)) == [0.7, 0.3, 1, 1, 1]
    assert options("run", corpus="one").settings["corpus"] == "one"
    assert options("run", corpus=["one"]).settings["corpus"] == "one"
    assert options("run", corpus="http://host:8000").input_paths("corpus") == ["http://host:8000"]
    for wrong, message in [(["a:0"], "must be more than 0"), (["a:2", "a:1"], "is given twice")]:
        with pytest.raises(InputError, match=message):
            options("run", corpus=wrong)


def test_pretrain_on_two_corpora(options, tmp_path, corpus_dir, capsys):
    other = tmp_path / "other"
    shutil.copytree(corpus_dir, other)
    pretrain(options("mixed", corpus=[f"{corpus_dir}:0.75", str(other) + ":0.25"]))
    said = capsys.readouterr().err
    assert f"shares of the corpora: {corpus_dir.name} 0.75, other 0.25" in said
    windows = Corpus(other).num_tokens // 13
    assert f", {24 * 0.75 / windows:.2g} epochs of {corpus_dir.name}, " in said
    assert f", {24 * 0.25 / windows:.2g} epochs of other; " in said
    settings = json.loads((tmp_path / "mixed" / "config.json").read_text())
    assert settings["corpus"] == [f"{corpus_dir}:0.75", f"{other}:0.25"]


# === Replaced token detection ===


def test_pretrain_by_replaced_tokens(options, tmp_path, corpus_dir):
    given = {"objective": "rtd", "validation_corpus": str(corpus_dir), "generator_size": 0.5}
    result = pretrain(options("run", **given))
    assert {"mlm_loss", "mlm_accuracy", "rtd_accuracy"} <= set(result["held_out"])
    detector = load(result["model"])
    assert type(detector) is ReplacedTokenDetector
    assert type(load(f"{result['model']}/generator")) is MaskedLM
    with pytest.raises(InputError, match="begins with random weights; leave --init out"):
        options("run", objective="rtd", init=result["model"], preset=None)


# === Similar words ===


def test_pretrain_with_similar_words(options, tmp_path, monkeypatch, corpus_dir, capsys):
    monkeypatch.setattr(Checkpoints, "remove", lambda self: None)
    vectors = tmp_path / "vectors.txt"
    vectors.write_text("cat 1 0\ndog 0.9 0.1\nhorse 1 0.1\ngood 0 1\nbad 0.1 1\n")
    given = {"mask_unit": "whole_word", "similar_words": str(vectors)}
    given |= {"checkpoint_every_steps": 1, "keep_checkpoints": 9}
    pretrain(options("whole", validation_corpus=str(corpus_dir), **given))
    assert f"5 words of {vectors} have similar ones" in capsys.readouterr().err
    pretrain(options("plain", mask_unit="whole_word"))
    assert weights(tmp_path / "whole") != weights(tmp_path / "plain")

    stored = tmp_path / "whole" / "checkpoints" / "step-0000000003"
    shutil.copytree(stored, tmp_path / "again" / "checkpoints" / stored.name)
    pretrain(options("again", validation_corpus=str(corpus_dir), **given))
    assert weights(tmp_path / "again") == weights(tmp_path / "whole")
    assert metrics(tmp_path / "again") == metrics(tmp_path / "whole")

    vectors.write_text("cat 1 0\ndog 0.9 0.1\n")
    shutil.copytree(stored, tmp_path / "other" / "checkpoints" / stored.name)
    with pytest.raises(InputError, match=r"content of similar_words was '.*', now it is"):
        pretrain(options("other", validation_corpus=str(corpus_dir), **given))


# === Phases ===

PHASES = {"phase": ["2:16:8", "0.5:32:2"], "checkpoint_every_steps": 1, "keep_checkpoints": 9}


def test_phases_change_the_shape_of_batches_and_resume(options, tmp_path, monkeypatch, corpus_dir):
    monkeypatch.setattr(Checkpoints, "remove", lambda self: None)
    pretrain(options("whole", validation_corpus=str(corpus_dir), **PHASES))
    lines = metrics(tmp_path / "whole")
    assert [line["step"] for line in lines] == [2, 3, 4, 6]
    assert [line["examples"] for line in lines] == [8, 16, 18, 22]
    assert [line["positions"] for line in lines] == [8 * 16, 16 * 16, 16 * 16 + 64, 16 * 16 + 192]
    for step in (1, 2, 3):
        name = f"step-{step:010d}"
        again = tmp_path / f"from {step}"
        stored = tmp_path / "whole" / "checkpoints" / name
        shutil.copytree(stored, again / "checkpoints" / name)
        pretrain(options(again.name, validation_corpus=str(corpus_dir), **PHASES))
        assert weights(again) == weights(tmp_path / "whole")
        assert metrics(again) == lines


def test_a_dry_run_measures_every_phase(options, tmp_path):
    result = pretrain(options("dry", steps=60, phase=["57:32:2"], dry_run=True))
    assert [phase["steps"] for phase in result["phases"]] == [57, 3]
    assert [phase["batch"]["token_ids"] for phase in result["phases"]] == [[4, 16], [2, 32]]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"phase": ["0.9:512"]}, "--phase must be START:LENGTH:BATCH, such as 0.9:512:16"),
        ({"phase": ["3:x:4"]}, "--phase must be START:LENGTH:BATCH"),
        ({"phase": ["nan.:16:4"]}, "--phase must be START:LENGTH:BATCH"),
        ({"phase": ["6:16:4"]}, "--phase=6:16:4: begins at step 6 of 6"),
        ({"phase": ["0:16:4"]}, "begins at step 0 of 6"),
        ({"phase": ["3:7:4"]}, "there must be 8 tokens or more"),
        ({"phase": ["3:16:0"]}, "and 1 to 1000000 examples"),
        ({"phase": ["3:16:4", "0.5:16:8"]}, r"after the one before it, found \[0, 3, 3\]"),
        ({"phase": ["3:16:1"], "accumulation_steps": 2}, "a batch of 1 can't be split"),
        ({"phase": ["3:64:4"]}, r"sequence_length must be in \[4, 32\], found 64"),
        (
            {"phase": ["3:16:8"], "steps_per_execution": 2},
            "=2 must divide the 3 steps before a phase$",
        ),
        ({**WSD, "steps_per_execution": 2}, "=2 must divide the 3 steps before the decay$"),
        (
            {"checkpoint_every_steps": 3, "steps_per_execution": 4},
            "=4 must divide the 6 steps of the run and the 2 steps between two reports and the 3 "
            "steps between two checkpoints$",
        ),
        ({"lr_decay_ratio": 0.2}, "--lr_decay_ratio is for --lr_schedule=wsd"),
        ({"warmup_steps": 2, "warmup_ratio": 0.2}, "either --warmup_ratio or --warmup_steps"),
        ({"warmup_steps": 6}, "--warmup_steps=6 must be less than the 6 steps"),
        ({"pack_documents": True}, "--pack_documents: rows of --objective=nsp can't be packed"),
        ({"similar_words": "v"}, "--similar_words needs --mask_unit=whole_word, ngram or span"),
        (
            {"similar_words": "v", "mask_unit": "token"},
            "--similar_words needs --mask_unit=whole_word, ngram or span",
        ),
        (
            {"similar_words": "v", "mask_unit": "ngram", "objective": "rtd"},
            "--similar_words: --objective=rtd replaces tokens by those of its generator",
        ),
        ({"generator_size": 0.5}, "--generator_size is for --objective=rtd"),
        ({"detector_weight": 1.0}, "--detector_weight is for --objective=rtd"),
        ({"validation_batches": 2}, "--validation_batches needs --validation_corpus"),
        ({"num_virtual_devices": 2}, "--num_virtual_devices needs --strategy=mirrored"),
        ({"similar_words": "no.txt", "whole_word_masking": True}, r"no\.txt: no such file"),
        ({"warmup_steps": -1}, "--warmup_steps must be 0 or more"),
        ({"beta_2": 1.0}, "--beta_2 must be 0 or more and less than 1"),
        ({"epsilon": 0.0}, "--epsilon must be more than 0"),
    ],
)
def test_bad_options(options, tmp_path, changes, message):
    with pytest.raises(InputError, match=message):
        pretrain(options("run", **changes))
    assert not (tmp_path / "run" / "model").exists()


def test_numbers_of_the_optimizer_reach_it(options, tmp_path):
    results = [
        pretrain(options(str(index), **numbers))["train"]["loss"]
        for index, numbers in enumerate(
            [
                {},
                {"beta_1": 0.5},
                {"beta_2": 0.5},
                {"epsilon": 1e-3},
                {"warmup_steps": 5},
                {"z_loss": 0.1},
            ]
        )
    ]
    assert len(np.unique(results)) == 6
