"""Characters beside whole words: the program goes on where it was interrupted."""

import dataclasses
import json
import shutil

import pytest

from benchmarks import chinese_words as module
from benchmarks.options import ChineseWordsOptions
from kerasbert.data.corpus.words import WordFinder
from kerasbert.errors import InputError
from kerasbert.families import PRESETS

SMALL = {
    "family": "bert",
    "vocabulary_size": 30522,
    "num_layers": 1,
    "hidden_dim": 16,
    "num_heads": 2,
    "intermediate_dim": 32,
    "max_sequence_length": 32,
}


@pytest.mark.weekly
@pytest.mark.full
def test_results_of_both_masks(vocabulary, corpus_files, tmp_path, monkeypatch):
    monkeypatch.setitem(PRESETS, "small", SMALL)
    (tmp_path / "vocab.txt").write_text("\n".join(vocabulary))
    (tmp_path / "a.tsv").write_text("label\ttext\ngood\tthe cat\nbad\ta dog\n" * 2)
    monkeypatch.setattr(module, "WordFinder", lambda tokenizer, _: WordFinder(tokenizer))
    options = ChineseWordsOptions(
        input=[str(path) for path in corpus_files],
        held_out=[str(corpus_files[0])],
        vocab=str(tmp_path / "vocab.txt"),
        train=str(tmp_path / "a.tsv"),
        validation=str(tmp_path / "a.tsv"),
        output=str(tmp_path / "out"),
        preset="small",
        steps=2,
        batch_size=4,
        sequence_length=16,
        held_out_batches=2,
        seeds=1,
        epochs=1,
    )
    result = module.chinese_words(options)
    assert [row["unit"] for row in result["rows"]] == ["token", "whole_word"]
    for row in result["rows"]:
        assert {"loss_whole_word", "loss_token", "accuracy_token", "accuracy"} <= row.keys()
    json.dumps(result)

    with pytest.raises(InputError, match=r"settings.json: its runs have --steps=2; choose another"):
        module.chinese_words(dataclasses.replace(options, steps=3))
    with pytest.raises(InputError, match="mask_unit must be one of token, "):
        module.chinese_words(dataclasses.replace(options, units=["words"]))

    # One run without a result, and one that must be trained again.
    (tmp_path / "out/token-0/result.json").unlink()
    shutil.rmtree(tmp_path / "out/whole_word-0")
    again = module.chinese_words(options)
    for one, other in zip(result["rows"], again["rows"], strict=True):
        assert {**one, "seconds": 0} == {**other, "seconds": 0}
