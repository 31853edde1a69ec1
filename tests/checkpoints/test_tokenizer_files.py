"""Against transformers: directories and ids made by tests/goldens/make_tokenizers.py."""

import base64
import json
import pathlib
import re
import shutil
import warnings

import pytest
import tokenizers

import kerasbert
from kerasbert.checkpoints import tokenizer_files
from kerasbert.errors import InputError
from kerasbert.families import FAMILIES
from kerasbert.text import (
    AddedToken,
    BytePairTokenizer,
    SentencePieceTokenizer,
    SpecialTokens,
    TextPacker,
    WordPieceTokenizer,
)
from kerasbert.text.sentencepiece_model import lower_number_commas, model_parts, parse
from kerasbert.text.special_tokens import ALBERT_TOKENS, BERT_TOKENS, ROBERTA_TOKENS

GOLDENS = pathlib.Path(__file__).parents[1] / "goldens" / "tokenizers"
NAMES = sorted(path.name for path in GOLDENS.iterdir())
BERTS = [name for name in NAMES if name.startswith("bert")]
FAST, SETTINGS, SPECIAL, ADDED, VOCABULARY = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.txt",
)
MODELS = {"albert": "spiece.model", "xlm_roberta": "sentencepiece.bpe.model"}


QUOTES = [
    {"type": "Replace", "pattern": {"String": quotes}, "content": '"'} for quotes in ("``", "''")
]
SPACES = {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": "▁"}


def family_of(name):
    return next(f for f in ("bert", "albert", "xlm_roberta", "roberta") if name.startswith(f))


def load(directory, family="bert"):
    return tokenizer_files.load(directory, FAMILIES[family].tokenizer)


def read(path):
    return json.loads(path.read_text(encoding="utf-8"))


def write(path, value):
    text = value if isinstance(value, str) else json.dumps(value)
    path.write_text(text, encoding="utf-8")


def edit(path, **changes):
    """Changes keys of a JSON file; a dot leads into an object, None removes."""
    content = read(path)
    for key, value in changes.items():
        *way, last = key.split("__")
        position = content
        for step in way:
            position = position[step]
        if value is None:
            del position[last]
        else:
            position[last] = value
    write(path, content)


def packed(tokenizer, *texts):
    features = TextPacker(tokenizer, 128)(*texts)
    rows = zip(features["token_ids"].numpy(), features["padding_mask"].numpy(), strict=True)
    return [ids[mask == 1].tolist() for ids, mask in rows]


def check(tokenizer, name):
    expected = read(GOLDENS / name / "expected.json")
    assert packed(tokenizer, expected["texts"]) == expected["ids"]
    assert packed(tokenizer, *zip(*expected["pairs"], strict=True)) == expected["pair_ids"]


def copied(name, tmp_path, *file_names):
    directory = tmp_path / "copy"
    directory.mkdir()
    for file_name in file_names or (FAST, SETTINGS):
        shutil.copy(GOLDENS / name / file_name, directory)
    return directory


# === Reading ===


@pytest.mark.parametrize("name", NAMES)
def test_all_in_tokenizer_json(name, tmp_path):
    check(load(copied(name, tmp_path), family_of(name)), name)


@pytest.mark.parametrize("name", [n for n in NAMES if n not in MODELS])
def test_vocabulary_files(name, tmp_path):
    directory = copied(name, tmp_path, SETTINGS)
    model = read(GOLDENS / name / FAST)["model"]
    if family_of(name) == "bert":
        write(directory / VOCABULARY, "".join(f"{piece}\n" for piece in model["vocab"]))
        added = read(GOLDENS / name / FAST)["added_tokens"]
        write(directory / ADDED, {token["content"]: token["id"] for token in added})
    else:
        write(directory / "vocab.json", model["vocab"])
        merges = "".join(f"{left} {right}\n" for left, right in model["merges"])
        write(directory / "merges.txt", f"#version: 0.2\n{merges}")
    check(load(directory, family_of(name)), name)


@pytest.mark.parametrize(("name", "model"), MODELS.items())
def test_sentencepiece_models(name, model, tmp_path):
    for settings in ((), (SETTINGS,), (SETTINGS, FAST)):
        directory = copied(name, tmp_path, model, *settings)
        tokenizer = load(directory, name)
        check(tokenizer, name)
        assert tokenizer.assets()["sentencepiece.model"] == (directory / model).read_bytes()
        shutil.rmtree(directory)


def test_the_class_counts_more_than_the_family(tmp_path):
    # As multilingual MiniLM, a BERT with XLM-R's tokenizer.
    check(load(copied("xlm_roberta", tmp_path, SETTINGS, MODELS["xlm_roberta"])), "xlm_roberta")
    shutil.rmtree(tmp_path / "copy")
    check(load(copied("xlm_roberta", tmp_path)), "xlm_roberta")
    shutil.rmtree(tmp_path / "copy")
    with pytest.raises(
        InputError, match=r"is SentencePiece, but the family's tokenizers are wordpiece"
    ):
        load(copied("xlm_roberta", tmp_path, MODELS["xlm_roberta"]))


def test_through_a_model_directory(tmp_path):
    directory = copied("bert_uncased", tmp_path)
    write(directory / "config.json", {"model_type": "bert", **SIZES["hf"]})
    check(kerasbert.tokenizer_from_preset(directory), "bert_uncased")


SIZES = {
    "hf": {
        "vocab_size": 130,
        "hidden_size": 4,
        "num_hidden_layers": 1,
        "num_attention_heads": 1,
        "intermediate_size": 4,
    }
}


# === Case and accents ===


@pytest.mark.parametrize("name", ["bert_uncased", "bert_cased"])
def test_only_the_normalizer_says_the_case(name, tmp_path):
    directory = copied(name, tmp_path)
    edit(directory / SETTINGS, do_lower_case=None, strip_accents=None)
    check(load(directory), name)
    (directory / SETTINGS).unlink()
    check(load(directory), name)


@pytest.mark.parametrize("name", ["bert_uncased", "bert_cased"])
def test_nobody_says_the_case(name, tmp_path):
    directory = copied(name, tmp_path, SETTINGS)
    (directory / SETTINGS).unlink()
    # Capitals that belong to no word, such as those of the Chinese vocabulary, don't count.
    pieces = [*read(GOLDENS / name / FAST)["model"]["vocab"], "<S>", "[unused1]"]
    write(directory / VOCABULARY, "\n".join(pieces))
    check(load(directory), name)


def test_settings_count_more_than_the_normalizer(tmp_path):
    directory = copied("bert_cased", tmp_path)
    edit(directory / SETTINGS, do_lower_case=True)
    assert load(directory).lowercase
    # But of a generic class transformers takes tokenizer.json alone.
    edit(directory / SETTINGS, tokenizer_class="PreTrainedTokenizerFast")
    assert not load(directory).lowercase


def template(*pair, single=("<s>", "A", "</s>")):
    """Returns a post-processor; "B:1" is the second text in the segment 1."""

    def item(spelled):
        name, _, segment = spelled.partition(":")
        kind = "Sequence" if name in ("A", "B") else "SpecialToken"
        return {kind: {"id": name, "type_id": int(segment or 0)}}

    special = {t: {"id": t, "ids": [id], "tokens": [t]} for t, id in (("<s>", 0), ("</s>", 2))}
    return {
        "type": "TemplateProcessing",
        "single": [*map(item, single)],
        "pair": [*map(item, pair)],
        "special_tokens": special,
    }


BERT_PAIR = ("<s>", "A", "</s>", "B:1", "</s>:1")
ROBERTA_PAIR = ("<s>", "A", "</s>", "</s>", "B", "</s>")
BYTES = {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True}
ENDS = {"cls": ["<s>", 0], "sep": ["</s>", 2]}
ROBERTA = {"type": "RobertaProcessing", **ENDS, "trim_offsets": True, "add_prefix_space": False}


@pytest.mark.parametrize(
    ("processor", "packing"),
    [
        (template(*BERT_PAIR), "bert"),
        (template(*ROBERTA_PAIR), "roberta"),
        ({"type": "Sequence", "processors": [BYTES, template(*BERT_PAIR)]}, "bert"),
        ({"type": "BertProcessing", **ENDS}, "bert"),
        (ROBERTA, "roberta"),
        ({"type": "BertProcessing", **ENDS, "cls": ["<pad>", 1]}, None),
        (template(*BERT_PAIR, single=("A", "</s>")), None),
        (template("<s>", "A", "</s>", "B:1"), None),
        (BYTES, None),
        (None, None),
    ],
)
def test_post_processor_of_a_generic_class(processor, packing, tmp_path):
    directory = copied("roberta", tmp_path)
    edit(directory / SETTINGS, tokenizer_class="PreTrainedTokenizerFast")
    edit(directory / FAST, post_processor=processor)
    if packing is None:
        with pytest.raises(InputError, match="its post_processor is not supported; only one that"):
            load(directory, "roberta")
        return
    tokenizer = load(directory, "roberta")
    assert tokenizer.packing == packing
    theirs = tokenizers.Tokenizer.from_file(str(directory / FAST)).encode("the cat", "a dog")
    features = TextPacker(tokenizer, 32)(["the cat"], ["a dog"])
    length = len(theirs.ids)
    assert features["token_ids"].numpy()[0, :length].tolist() == theirs.ids
    assert features["segment_ids"].numpy()[0, :length].tolist() == theirs.type_ids
    assert features["padding_mask"].numpy().sum() == length


@pytest.mark.parametrize("name", ["bert_uncased", "albert"])
def test_a_generic_class_without_a_post_processor(name, tmp_path):
    directory = copied(name, tmp_path)
    edit(directory / SETTINGS, tokenizer_class="PreTrainedTokenizerFast")
    check(load(directory, family_of(name)), name)
    edit(directory / FAST, post_processor=None)
    with pytest.raises(InputError, match=r"tokenizer\.json: its post_processor is not supported"):
        load(directory, family_of(name))


def test_a_class_of_null_is_that_of_the_config(tmp_path):
    directory = copied("bert_uncased", tmp_path)
    write(directory / SETTINGS, read(directory / SETTINGS) | {"tokenizer_class": None})
    write(directory / "config.json", {"tokenizer_class": "BertJapaneseTokenizer"})
    with pytest.raises(InputError, match=r"config\.json: tokenizer_class='BertJapaneseTokenizer'"):
        load(directory)


@pytest.mark.parametrize("prefix", [True, False])
def test_prefix_space_in_tokenizer_json(prefix, tmp_path):
    name = "roberta_prefix_space" if prefix else "roberta"
    directory = copied(name, tmp_path, FAST)
    check(load(directory, "roberta"), name)


def test_steps_of_albert_in_tokenizer_json(tmp_path):
    directory = copied("albert", tmp_path)
    edit(directory / SETTINGS, do_lower_case=None, keep_accents=None)
    check(load(directory, "albert"), "albert")
    content = read(directory / FAST)
    kept = [s for s in content["normalizer"]["normalizers"] if s["type"] != "Lowercase"]
    edit(directory / FAST, normalizer__normalizers=kept)
    assert not load(directory, "albert").lowercase
    edit(directory / SETTINGS, do_lower_case=True, keep_accents=True)
    tokenizer = load(directory, "albert")
    assert (tokenizer.lowercase, tokenizer.strip_accents) == (True, False)


@pytest.mark.parametrize("content", [" ", "▁"])  # of older and of newer files
def test_spaces_that_are_replaced_in_tokenizer_json(content, tmp_path):
    directory = copied("albert", tmp_path)
    steps = [*QUOTES, {**SPACES, "content": content}]
    edit(directory / FAST, normalizer={"type": "Sequence", "normalizers": steps})
    theirs = tokenizers.Tokenizer.from_file(str(directory / FAST))
    text = "the  cat   sees it"
    assert packed(load(directory, "albert"), [text]) == [theirs.encode(text).ids]


# === ALBERT's numbers with commas ===


def test_number_commas_are_avoided(tmp_path):
    data = (GOLDENS / "albert" / "spiece.model").read_bytes()
    parts = model_parts(data, "spiece.model")
    number = next(p for p in parts["pieces"] if re.fullmatch("▁[0-9]+,", p))
    text = [f"a {number[1:]} cat"]
    ours = load(copied("albert", tmp_path, "spiece.model"), "albert")
    plain = SentencePieceTokenizer(data, lowercase=True)
    assert plain.token_to_id(number) in plain.tokenize(text).to_list()[0]
    assert plain.token_to_id(number) not in ours.tokenize(text).to_list()[0]
    # Where tokenizer.json has the scores as they are, they stay.
    shutil.copy(GOLDENS / "albert" / FAST, tmp_path / "copy")
    vocabulary = [list(pair) for pair in zip(parts["pieces"], parts["scores"], strict=True)]
    edit(tmp_path / "copy" / FAST, model__vocab=vocabulary)
    again = load(tmp_path / "copy", "albert")
    assert not again.avoid_number_commas
    assert again.tokenize(text).to_list() == plain.tokenize(text).to_list()


def test_lower_number_commas():
    scores = {"9,": -1.0, "▁1,2": -2.0, ",": -3.0, "a,": -4.0, "²,": -5.0, "▁10,": -6.0}
    changed = {**scores, "9,": -101.0, "²,": -105.0, "▁10,": -106.0}
    assert lower_number_commas(scores) == changed


# === Special and added tokens ===


def test_spelled_in_the_special_tokens_map(tmp_path):
    directory = copied("bert_other_tokens", tmp_path)
    names = read(directory / SETTINGS)
    roles = ("pad_token", "unk_token", "cls_token", "sep_token", "mask_token")
    edit(directory / SETTINGS, **dict.fromkeys(roles))
    with pytest.raises(InputError, match=r"tokenizer.json: lacks the special token \[PAD\]"):
        load(directory)
    described = {"content": names["cls_token"], "lstrip": False, "special": True}
    special = {role: names[role] for role in roles} | {"cls_token": described}
    write(directory / SPECIAL, {**special, "additional_special_tokens": ["<e1>"]})
    tokenizer = load(directory)
    check(tokenizer, "bert_other_tokens")
    assert tokenizer.special_tokens == ROBERTA_TOKENS


def test_the_config_counts_more_than_the_map(tmp_path):
    directory = copied("bert_uncased", tmp_path)
    write(directory / SPECIAL, {"pad_token": "the", "mask_token": None})
    assert load(directory).special_tokens == BERT_TOKENS
    edit(directory / SETTINGS, pad_token=None)
    assert load(directory).special_tokens.pad == "the"


@pytest.mark.parametrize("file", [SETTINGS, SPECIAL])
def test_named_but_not_there(file, tmp_path):
    directory = copied("bert_uncased", tmp_path)
    edit(directory / SETTINGS, pad_token=None)
    content = read(directory / file) if (directory / file).exists() else {}
    write(directory / file, {**content, "pad_token": {"content": "[pad]"}})
    with pytest.raises(InputError, match=rf"{file}: pad_token='\[pad\]' is not in .*{FAST}$"):
        load(directory)


def test_a_special_token_that_was_added(tmp_path):
    directory = tmp_path
    write(directory / VOCABULARY, "[PAD]\n[UNK]\n[CLS]\n[SEP]\nthe\n")
    with pytest.raises(InputError, match=r"vocab.txt: lacks the special token \[MASK\]"):
        load(directory)
    write(directory / ADDED, {"[MASK]": 5})
    assert load(directory).mask_id == 5


ADDED_PROBLEMS = [
    ({"new": 2}, r"the added token 'new' has the id 2, which is '\[CLS\]' in .*vocab.txt"),
    ({"new": 7}, r"vocab.txt: no token has the id 6, but 'new' has the id 7"),
    ({"the": 6}, r"the added token 'the' has the id 6, but the id 5 in .*vocab.txt"),
    ({"new": "x"}, r"added_tokens.json: new must be a whole number, found 'x'"),
]


@pytest.mark.parametrize(("added", "message"), ADDED_PROBLEMS)
def test_added_tokens_that_do_not_fit(added, message, tmp_path):
    write(tmp_path / VOCABULARY, "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nthe\n")
    write(tmp_path / ADDED, added)
    with pytest.raises(InputError, match=message):
        load(tmp_path)


def test_added_to_sentencepiece(tmp_path):
    directory = copied("albert", tmp_path, "spiece.model")
    count = len(model_parts((directory / "spiece.model").read_bytes(), "")["pieces"])
    write(directory / ADDED, {"new": count})
    tokenizer = load(directory, "albert")
    assert tokenizer.added_tokens == (AddedToken("new"),)
    assert tokenizer.tokenize(["NEW"]).to_list() == [[count]]


def test_a_piece_that_was_trimmed_away(tmp_path):
    # Line 344 of the Chinese BERT's vocab.txt is U+2028; Hugging Face makes "" of it.
    directory = copied("bert_uncased", tmp_path)
    vocabulary = read(directory / FAST)["model"]["vocab"]
    edit(directory / FAST, model__vocab={**vocabulary, "": len(vocabulary)})
    assert load(directory).vocabulary[-1] == "\u2028"
    write(directory / VOCABULARY, "".join(f"{piece}\n" for piece in [*vocabulary, "\u2028"]))
    check(load(directory), "bert_uncased")


def vocabulary_of(name):
    return list(read(GOLDENS / name / FAST)["model"]["vocab"])


def test_line_ends_and_a_byte_order_mark(tmp_path):
    directory = copied("bert_uncased", tmp_path, SETTINGS)
    pieces = vocabulary_of("bert_uncased")
    for data in (
        "\r\n".join(pieces) + "\r\n",
        "\ufeff" + "\n".join(pieces),
        "\n".join(pieces) + "\n\n\n",
        "\ufeff" + "\r\n".join(pieces),
    ):
        (directory / VOCABULARY).write_bytes(data.encode())
        check(load(directory), "bert_uncased")


def test_lines_that_repeat_a_piece_or_have_none(tmp_path):
    # As in transformers 5.24: of equal lines the last counts, and every line has an id.
    directory = tmp_path
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    lines = [*special, "", "a", "fine", "a", "", "day"]
    write(directory / VOCABULARY, "\n".join(lines) + "\n")
    with pytest.warns(UserWarning, match=r"vocab.txt: 3 lines are ignored, .* line 6 is empty; of"):
        tokenizer = load(directory)
    assert packed(tokenizer, ["a fine day"]) == [[2, 8, 7, 10, 3]]
    assert tokenizer.vocabulary_size == 11
    assert tokenizer.vocabulary[9] == "\u2028"
    assert packed(tokenizer, ["[no piece 6]", "\u2028"])[0].count(1) > 3
    # The same from tokenizer.json, and from what is written of either.
    ids = {piece: id for id, piece in enumerate(lines)}
    fast = {**read(GOLDENS / "bert_uncased" / FAST), "added_tokens": []}
    for name, keep in (("both", True), ("fast", False)):
        write(directory / FAST, fast | {"model": fast["model"] | {"vocab": ids}})
        if not keep:
            (directory / VOCABULARY).unlink()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore" if keep else "error")
            again = load(directory)
        assert again.vocabulary == tokenizer.vocabulary, name
        (directory / name).mkdir()
        tokenizer_files.save(directory / name, again, None)
        assert load(directory / name).get_config() == tokenizer.get_config()


def test_never_split_is_not_followed(tmp_path):
    # transformers' fast tokenizers don't, either.
    directory = copied("bert_uncased", tmp_path)
    edit(directory / SETTINGS, never_split=["The"])
    with pytest.warns(UserWarning, match="tokenizer_config.json: never_split is ignored"):
        check(load(directory), "bert_uncased")


# === Refused ===


REFUSED = [
    ("bert_uncased", SETTINGS, {"tokenizer_class": "BertJapaneseTokenizer"}, "tokenizer_class="),
    ("bert_uncased", SETTINGS, {"tokenize_chinese_chars": False}, "tokenize_chinese_chars=False"),
    (
        "bert_uncased",
        SETTINGS,
        {"do_lower_case": "false"},
        "must be true or false or null, found 'false'",
    ),
    ("bert_uncased", SETTINGS, {"do_basic_tokenize": False}, "do_basic_tokenize=False"),
    ("bert_uncased", SETTINGS, {"truncation_side": "left"}, "truncation_side='left'"),
    (
        "bert_uncased",
        SETTINGS,
        {"pad_token": 3},
        "pad_token must be a string or an object or null, found 3",
    ),
    ("bert_uncased", FAST, {"model__type": "WordLevel"}, "model.type='WordLevel'"),
    ("bert_uncased", FAST, {"model__continuing_subword_prefix": "@"}, "subword_prefix='@'"),
    ("bert_uncased", FAST, {"model__max_input_chars_per_word": 9}, "max_input_chars_per_word=9"),
    ("bert_uncased", FAST, {"normalizer__handle_chinese_chars": False}, "chinese_chars=False"),
    ("bert_uncased", FAST, {"normalizer__type": "NFC"}, r"normalizer=\['NFC'\]"),
    ("bert_uncased", FAST, {"pre_tokenizer__type": "Whitespace"}, r"pre_tokenizer=\['White"),
    ("bert_uncased", FAST, {"model": None}, "model is missing"),
    ("bert_uncased", FAST, {"model__vocab": 3}, "model.vocab must be an object, found 3"),
    ("roberta", FAST, {"pre_tokenizer__type": "Whitespace"}, r"pre_tokenizer=\['Whitespace'\]"),
    ("roberta", FAST, {"pre_tokenizer__use_regex": False}, "pre_tokenizer.use_regex=False"),
    ("roberta", FAST, {"normalizer": {"type": "NFC"}}, r"normalizer=\['NFC'\]"),
    ("roberta", FAST, {"model__end_of_word_suffix": "</w>"}, "end_of_word_suffix='</w>'"),
    ("roberta", FAST, {"model__byte_fallback": True}, "byte_fallback=True"),
    ("albert", FAST, {"model__byte_fallback": True}, "byte_fallback=True"),
    *(
        ("albert", FAST, {"model__vocab": vocabulary}, message)
        for vocabulary, message in (
            ([], "the unknown id 1 is not one of the ids of 0 pieces"),
            ([["a"]], r"model.vocab\[0\] must be a list of 2"),
            ([["a", -1.0], ["b", -1.0, 1]], r"model.vocab\[1\] must be a list of 2"),
            ([["a", -1.0], [3, -1.0]], r"model.vocab\[1\]\[0\] must be a string"),
            ([["a", "-1"]], r"model.vocab\[0\]\[1\] must be a finite number"),
            ([["a", float("nan")]], r"model.vocab\[0\]\[1\] must be a finite number"),
            ([["a", 10**400]], r"model.vocab\[0\]\[1\] must be a finite number"),
            ([["a", -1.0], ["\ud800", -1.0]], "UnicodeEncodeError"),
            ({"a": -1.0}, "model.vocab must be a list"),
        )
    ),
    ("albert", FAST, {"model__unk_id": None}, "model.unk_id is missing"),
    ("albert", FAST, {"model__unk_id": 0.5}, "model.unk_id must be a whole number, found 0.5"),
    ("roberta", FAST, {"model__vocab": {"a": "0"}}, "model.vocab.a must be a whole number"),
    (
        "roberta",
        FAST,
        {"model__merges": [["a"]]},
        r"model.merges\[0\] must be a string or a list of 2",
    ),
    ("roberta", FAST, {"model__merges": ["a"]}, "two tokens separated by a space, found 'a'"),
    ("roberta", FAST, {"added_tokens": [{"content": "a"}]}, r"added_tokens\[0\].id is missing"),
    ("roberta", FAST, {"added_tokens": [{"id": 0.5, "content": "a"}]}, "must be a whole number"),
    *(
        ("bert_uncased", FAST, {"added_tokens": [{"id": 0, "content": "[PAD]", **flag}]}, message)
        for flag, message in (
            ({"lstrip": "false"}, "lstrip of the added token .* must be true or false, found 'fal"),
            ({"rstrip": []}, "rstrip of the added token"),
            ({"special": None}, "special of the added token"),
            ({"content": ""}, "an added token must be a non-empty string"),
            ({"content": "\ud800"}, "an unpaired surrogate"),
        )
    ),
    *(
        ("bert_uncased", SETTINGS, {key: value}, f"{key}.* must be ")
        for key, value in (
            ("tokenizer_class", 3),
            ("tokenizer_class", ["BertTokenizer"]),
            ("additional_special_tokens", 10**30),
            ("additional_special_tokens", [3]),
            ("extra_special_tokens", "x"),
            ("mask_token", []),
            ("added_tokens_decoder", []),
            ("added_tokens_decoder", {"5": "x"}),
        )
    ),
    ("bert_uncased", SETTINGS, {"added_tokens_decoder": {"x": {"content": "a"}}}, "'x'"),
    ("albert", FAST, {"normalizer": {"type": "NFC"}}, "normalizer='NFC'"),
    *(
        ("albert", FAST, {"normalizer": {"type": "Sequence", "normalizers": steps}}, message)
        for steps, message in (
            ([{**QUOTES[0], "content": "'"}], 'normalizer.Replace.content="\'"'),
            ([{**SPACES, "content": ""}], "normalizer.Replace.content=''"),
            (QUOTES[1:], r"normalizer.Replace=\[\{'String': \"''\"\}\] is not supported"),
        )
    ),
    ("albert", FAST, {"pre_tokenizer": {"type": "Whitespace"}}, "pre_tokenizer='Whitespace'"),
]


@pytest.mark.parametrize(("name", "file", "changes", "message"), REFUSED)
def test_refused(name, file, changes, message, tmp_path):
    directory = copied(name, tmp_path)
    edit(directory / file, **changes)
    with pytest.raises(InputError, match=f"{file}: .*{message}") as caught:
        load(directory, family_of(name))
    assert "\n" not in str(caught.value)


def test_class_in_the_models_config(tmp_path):
    write(tmp_path / VOCABULARY, "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nthe\n")
    write(tmp_path / "config.json", {"tokenizer_class": "BertJapaneseTokenizer"})
    with pytest.raises(InputError, match=r"config.json: tokenizer_class='BertJapaneseTokenizer'"):
        load(tmp_path)


@pytest.mark.parametrize("file", [FAST, SETTINGS, SPECIAL, ADDED])
def test_bad_json(file, tmp_path):
    directory = copied("bert_uncased", tmp_path)
    write(directory / file, "{")
    with pytest.raises(InputError, match=f"{file}: not valid JSON"):
        load(directory)


def test_no_tokenizer(tmp_path):
    assert not tokenizer_files.exist(tmp_path)
    with pytest.raises(InputError, match=r"has no tokenizer \(vocab.txt; vocab.json"):
        load(tmp_path)


def test_two_vocabularies(tmp_path):
    directory = copied("bert_uncased", tmp_path)
    pieces = list(read(directory / FAST)["model"]["vocab"])
    write(directory / VOCABULARY, "\n".join([*pieces[:-1], "other"]))
    with pytest.raises(InputError, match=f"{FAST}: has '##at' .* has 'other'; remove"):
        load(directory)


def test_a_vocabulary_with_more_pieces(tmp_path):
    directory = copied("bert_added_tokens", tmp_path)
    content = read(directory / FAST)
    pieces = list(content["model"]["vocab"])
    added = [token["content"] for token in content["added_tokens"] if token["id"] >= len(pieces)]
    unused = f"[no piece {len(pieces) + len(added)}]"
    write(directory / VOCABULARY, "\n".join([*pieces, *added, unused]))
    assert load(directory).vocabulary[len(pieces) :] == (*added, unused)
    write(directory / VOCABULARY, "\n".join([*pieces, *added, "other"]))
    with pytest.raises(InputError, match=f"{FAST}: lacks 'other', which has the id"):
        load(directory)


def test_damaged_files(tmp_path):
    write(tmp_path / "spiece.model", "no model")
    with pytest.raises(InputError, match=r"spiece.model: is not a SentencePiece model"):
        load(tmp_path, "albert")
    (tmp_path / "spiece.model").unlink()
    write(tmp_path / "vocab.json", {"a": 0, "b": 0})
    write(tmp_path / "merges.txt", "")
    with pytest.raises(InputError, match=r"vocab.json: two tokens have the same id"):
        load(tmp_path, "roberta")
    write(tmp_path / "vocab.json", {"a": 0, "b": 2})
    with pytest.raises(InputError, match=r"vocab.json: no token has the id 1"):
        load(tmp_path, "roberta")


def test_damaged_rules_of_normalization(tmp_path):
    directory = copied("albert", tmp_path)
    steps = read(directory / FAST)["normalizer"]["normalizers"]
    for rules, message in (
        (b"\0\4\0\0" + b"\xff" * 1024 + b"a\0", "damaged normalization rules"),
        (b"\0\4\0\0", "damaged normalization rules"),
    ):
        steps[-1]["precompiled_charsmap"] = base64.b64encode(rules).decode()
        edit(directory / FAST, normalizer__normalizers=steps)
        with pytest.raises(InputError, match=rf"{FAST}: .*{message}"):
            load(directory, "albert")
    steps[-1]["precompiled_charsmap"] = "%%%%"  # base64 would leave it out
    edit(directory / FAST, normalizer__normalizers=steps)
    with pytest.raises(InputError, match=rf"{FAST}: not the format of .*base64"):
        load(directory, "albert")


@pytest.mark.parametrize("name", [VOCABULARY, "spiece.model", FAST, SETTINGS, ADDED])
def test_directories_for_files(name, tmp_path):
    directory = copied("bert_uncased", tmp_path)
    (directory / name).unlink(missing_ok=True)
    (directory / name).mkdir()
    with pytest.raises(InputError, match=f"{name}: is a directory"):
        load(directory, "albert" if name == "spiece.model" else "bert")


USUAL = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n"


@pytest.mark.parametrize(
    ("pieces", "message"),
    [
        ("the\na\0\n", ":7: contains NUL"),
        ("ก" * 90, ": the vocabulary can't be used: .* exceeds the max supported"),
        ("", ": the vocabulary can't be used: No valid vocab tokens"),
        ("".join(f"{chr(code)}\n" for code in range(0xE000, 0xF900)), ": .*private-use"),
    ],
)
def test_vocabularies_that_the_op_refuses(pieces, message, tmp_path):
    write(tmp_path / VOCABULARY, USUAL + pieces)
    with pytest.raises(InputError, match=VOCABULARY + message):
        load(tmp_path)


def test_pieces_longer_than_any_word(tmp_path):
    """As in transformers: they have their ids, and no text has them."""
    write(tmp_path / VOCABULARY, f"{USUAL}{'a' * 1000}\n##{'b' * 300}\nthe\n")
    tokenizer = load(tmp_path)
    texts = ["a" * 1000, "the" + "b" * 300, "the"]
    assert tokenizer.tokenize(texts).to_list() == [[1], [1], [7]]
    assert tokenizer.vocabulary[5:] == ("a" * 1000, "##" + "b" * 300, "the")


def test_pieces_that_are_no_lines(tmp_path):
    directory = copied("bert_uncased", tmp_path)
    vocabulary = read(directory / FAST)["model"]["vocab"]
    edit(directory / FAST, model__vocab={**vocabulary, "a\nb": len(vocabulary)})
    tokenizer = load(directory)
    assert tokenizer.vocabulary[-1] == "a\nb"
    with pytest.raises(
        InputError, match=r"'a\\nb', the token with .* can't be a line of vocab.txt"
    ):
        tokenizer.assets()


def test_added_tokens_that_no_pattern_holds(tmp_path):
    write(tmp_path / VOCABULARY, f"{USUAL}the\n")
    write(tmp_path / ADDED, {"z" * 1_000_000: 6})
    tokenizer = load(tmp_path)
    with pytest.raises(InputError, match="1 added tokens are too many or too long to be matched"):
        tokenizer.tokenize(["the"])


# === Writing ===


@pytest.mark.parametrize("name", NAMES)
def test_back_again(name, tmp_path):
    family = family_of(name)
    tokenizer = load(GOLDENS / name, family)
    tokenizer_files.save(tmp_path, tokenizer, 77)
    assert read(tmp_path / SETTINGS)["model_max_length"] == 77
    again = load(tmp_path, family)
    assert again.get_config() == tokenizer.get_config()
    check(again, name)
    if name in MODELS:  # either file says it all
        (tmp_path / MODELS[name]).unlink()
        check(load(tmp_path, family), name)


@pytest.mark.parametrize(("name", "model"), MODELS.items())
def test_tokenizer_json_as_transformers_has_it(name, model, tmp_path):
    tokenizer_files.save(tmp_path, load(GOLDENS / name, name), None)
    ours, theirs = read(tmp_path / FAST), read(GOLDENS / name / FAST)
    for section in ("added_tokens", "normalizer", "post_processor"):
        assert ours[section] == theirs[section], section
    assert ours["model"]["vocab"] == theirs["model"]["vocab"]
    assert ours["model"]["unk_id"] == theirs["model"]["unk_id"]


UNUSUAL = [
    {"lowercase": True, "strip_accents": True},
    {"lowercase": True, "replace_quotes": True, "packing": "roberta"},
    {"replace_quotes": True, "avoid_number_commas": True},
]


@pytest.mark.parametrize("settings", UNUSUAL)
def test_what_no_class_does_is_written_to_tokenizer_json(settings, tmp_path):
    tokenizer = SentencePieceTokenizer(GOLDENS / "albert" / "spiece.model", **settings)
    tokenizer_files.save(tmp_path, tokenizer, None)
    family = "xlm_roberta" if "packing" in settings else "albert"
    assert load(tmp_path, family).get_config() == tokenizer.get_config()


def albert_model(change):
    """Returns the bytes of ALBERT's model after `change`."""
    model = parse((GOLDENS / "albert" / "spiece.model").read_bytes(), "")
    change(model)
    return model.SerializeToString()


def with_piece(piece, kind):
    return lambda model: model.pieces.add(piece=piece, score=-2.0, type=kind)


def with_bytes(model):
    model.trainer_spec.byte_fallback = True
    for byte in range(256):
        model.pieces.add(piece=f"<0x{byte:02X}>", type=6)


UNLIKE_UNIGRAM = {
    "that is no unigram model": lambda model: setattr(model.trainer_spec, "model_type", 2),
    "with bytes for unknown characters": with_bytes,
    "that treats spaces in an unusual way": lambda model: setattr(
        model.normalizer_spec, "add_dummy_prefix", False
    ),
    "with the unused piece 'zqz'": with_piece("zqz", 5),
    "with the piece '▁a▁b', which contains a space": with_piece("▁a▁b", 1),
    # A rule of the model makes a "2" of it.
    "with the user's piece '²', which would be normalized to '2'": with_piece("²", 4),
}


@pytest.mark.parametrize("message", UNLIKE_UNIGRAM)
def test_sentencepiece_models_that_transformers_reads_otherwise(message, tmp_path):
    tokenizer = SentencePieceTokenizer(albert_model(UNLIKE_UNIGRAM[message]))
    with pytest.raises(InputError, match=f"no equivalent of a SentencePiece model {message}; save"):
        tokenizer_files.save(tmp_path, tokenizer, None)
    assert list(tmp_path.iterdir()) == []


def test_the_users_own_pieces(tmp_path):
    tokenizer = SentencePieceTokenizer(albert_model(with_piece("(", 4)), replace_quotes=True)
    tokenizer_files.save(tmp_path, tokenizer, None)
    theirs = tokenizers.Tokenizer.from_file(str(tmp_path / FAST))
    text = "the (cat) ( the"
    assert tokenizer.token_to_id("(") in theirs.encode(text).ids
    assert packed(tokenizer, [text]) == [theirs.encode(text).ids]


@pytest.mark.parametrize("takes_space", [True, False])
def test_whether_the_mask_takes_the_space_before_it(takes_space, tmp_path):
    model = read(GOLDENS / "roberta" / FAST)["model"]
    tokenizer = BytePairTokenizer(model["vocab"], model["merges"], mask_takes_space=takes_space)
    tokenizer_files.save(tmp_path, tokenizer, None)
    assert load(tmp_path, "roberta").mask_takes_space == takes_space
    # Other files say it, too; the last of them counts.
    write(tmp_path / FAST, read(GOLDENS / "roberta" / FAST))
    assert load(tmp_path, "roberta").mask_takes_space
    mask = {"content": "<mask>", "lstrip": takes_space, "special": True}
    edit(tmp_path / SETTINGS, added_tokens_decoder={str(tokenizer.mask_id): mask})
    assert load(tmp_path, "roberta").mask_takes_space == takes_space


def test_nothing_that_transformers_has(tmp_path):
    model = read(GOLDENS / "roberta" / FAST)["model"]
    tokenizer = BytePairTokenizer(model["vocab"], model["merges"], packing="bert")
    with pytest.raises(InputError, match="no bytepair tokenizer with the packing 'bert'"):
        tokenizer_files.save(tmp_path, tokenizer, None)


def test_through_save_to_preset(vocabulary, tiny_backbone, tmp_path):
    tokens = SpecialTokens(pad="[PAD]", unknown="[UNK]", cls="[CLS]", sep="[SEP]", mask="the")
    tokenizer = WordPieceTokenizer(vocabulary, strip_accents=False, special_tokens=tokens)
    backbone = tiny_backbone(tokenizer, max_sequence_length=16)
    backbone.save_to_preset(tmp_path / "hf", format="hf", tokenizer=tokenizer)
    again = kerasbert.tokenizer_from_preset(tmp_path / "hf")
    assert again.get_config() == tokenizer.get_config()
    assert read(tmp_path / "hf" / SETTINGS)["model_max_length"] == 16


def test_usual_tokens_of_the_families():
    usual = {"bert": BERT_TOKENS, "albert": ALBERT_TOKENS, "xlm_roberta": ROBERTA_TOKENS}
    for name, tokens in usual.items():
        directory = GOLDENS / {"bert": "bert_uncased"}.get(name, name)
        assert load(directory, name).special_tokens == tokens
