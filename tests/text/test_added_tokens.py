"""Against Hugging Face `tokenizers`, with its pipelines as tests/goldens/tokenizers/ has them."""

import json
import pathlib
import random

import keras
import pytest
import tensorflow as tf
import tokenizers
from hypothesis import assume, given
from hypothesis import strategies as st

import kerasbert
from kerasbert.errors import InputError
from kerasbert.text import (
    AddedToken,
    BytePairTokenizer,
    SentencePieceTokenizer,
    WordPieceTokenizer,
    bytes_to_characters,
    tokenizer_from_config,
)
from kerasbert.text.special_tokens import ROBERTA_TOKENS

GOLDENS = pathlib.Path(__file__).parents[1] / "goldens" / "tokenizers"
TOKENS = [
    AddedToken("[E1]", special=True),
    AddedToken("[/E1]", special=True, lstrip=True, rstrip=True),
    AddedToken("<url>", lstrip=True),
    AddedToken("@USER", rstrip=True),
    AddedToken("Cat", single_word=True),
    AddedToken("the", special=True, single_word=True),
    AddedToken("the mat", single_word=True, lstrip=True),
    AddedToken("é"),
    AddedToken("@"),
    AddedToken("on", normalized=False),
    AddedToken("[E1][E1]", special=True),
]
CJK = [AddedToken("a中", rstrip=True), AddedToken("国", lstrip=True, single_word=True)]
FRAGMENTS = [
    *(token.content for token in TOKENS),
    *("[e1]", "<URL>", "@user", "CAT", "mats", "s", "a", "_", "x", "É", "e\u0301", "``", "''"),
    *(" ", "  ", "\t", "\n", ".", "'s", "0"),
]
# Not all pieces of the tiny models spell these; they would be unknown in different ways.
WIDE = ["中", "国", "a中", "\u00a0", "\u3000", "\u200b", "ß", "İ", "²", "<ｕrl>"]


class Pipeline:
    """One of ours and the same of `tokenizers`, with the same added tokens."""

    def __init__(self, name, tokens, fragments):
        self.name, self.tokens, self.fragments = name, tokens, fragments
        content = json.loads((GOLDENS / name / "tokenizer.json").read_text(encoding="utf-8"))
        content |= {"added_tokens": [], "post_processor": None}
        self.reference = tokenizers.Tokenizer.from_str(json.dumps(content))
        theirs = [
            tokenizers.AddedToken(
                token.content,
                special=token.special,
                lstrip=token.lstrip,
                rstrip=token.rstrip,
                single_word=token.single_word,
                normalized=token.normalized,
            )
            for token in tokens
        ]
        self.reference.add_tokens(theirs)
        self.ours = self._ours(content, tokens)

    def _ours(self, content, tokens):
        path, model = GOLDENS / self.name, content["model"]
        if self.name.startswith("bert"):
            lowercase = content["normalizer"]["lowercase"]
            return WordPieceTokenizer(list(model["vocab"]), lowercase, added_tokens=tokens)
        if self.name.startswith("roberta"):
            spaced = content["pre_tokenizer"]["add_prefix_space"]
            return BytePairTokenizer(
                model["vocab"], model["merges"], add_prefix_space=spaced, added_tokens=tokens
            )
        if self.name == "albert":
            changes = ("lowercase", "strip_accents", "replace_quotes", "avoid_number_commas")
            path, settings = path / "spiece.model", dict.fromkeys(changes, True)
        else:
            path = path / "sentencepiece.bpe.model"
            settings = {"layout": "fairseq", "special_tokens": ROBERTA_TOKENS}
        return SentencePieceTokenizer(path, added_tokens=tokens, **settings)

    def expected(self, texts):
        return [encoding.ids for encoding in self.reference.encode_batch(texts)]

    def found(self, texts):
        return self.known(self.ours.tokenize(texts).to_list())

    def known(self, rows):
        """`tokenizers` leaves out bytes that a vocabulary lacks."""
        if not self.name.startswith("roberta"):
            return rows
        return [[id for id in row if id != self.ours.unknown_id] for row in rows]


BYTES = [f for f in FRAGMENTS if not {"<", "U", "_", "/"} & set(f) and f.isascii()]
PIPELINES = {
    "bert_uncased": ([*TOKENS, *CJK], [*FRAGMENTS, *WIDE]),
    "bert_cased": ([*TOKENS, *CJK], [*FRAGMENTS, *WIDE]),
    "roberta": (TOKENS, FRAGMENTS),
    "roberta_prefix_space": (TOKENS, FRAGMENTS),
    "albert": (TOKENS, [*FRAGMENTS, "²"]),
    "xlm_roberta": (TOKENS, [*FRAGMENTS, "²"]),
}


@pytest.fixture(scope="module", params=PIPELINES)
def pipeline(request):
    return Pipeline(request.param, *PIPELINES[request.param])


TEXTS = [
    "a [E1] cat [/E1] sat on<url> the  mat @USER  x",
    "",
    " ",
    "[E1][E1][E1] [/E1]  [/E1]",
    "the Cats the Cat. the mat the mats _the",
    "  <url>  <url>@USER@@",
]


def test_ids(pipeline):
    assert pipeline.found(TEXTS) == pipeline.expected(TEXTS)
    # And no text with a token in it.
    assert pipeline.found(["a dog", ""]) == pipeline.expected(["a dog", ""])


def test_any_text(pipeline):
    draw = random.Random(0)
    texts = ["".join(draw.choices(pipeline.fragments, k=draw.randrange(9))) for _ in range(150)]
    assert pipeline.found(texts) == pipeline.expected(texts)
    ids, starts, ends = pipeline.ours.tokenize_with_offsets(texts)
    assert pipeline.known(ids.to_list()) == pipeline.expected(texts)
    spelled = {t.content: t for t in pipeline.tokens if not t.normalized or t.content == "<url>"}
    for text, row, *limits in zip(texts, *(x.to_list() for x in (ids, starts, ends)), strict=True):
        for id, start, end in zip(row, *limits, strict=True):
            piece = pipeline.ours.id_to_token(id)
            if id >= len(pipeline.ours.model_tokens) and piece in spelled:
                assert text.encode()[start:end].decode().lower() in (piece.lower(), "<ｕrl>")


@pytest.mark.full
@given(st.data())
def test_any_tokens(data):
    name = data.draw(st.sampled_from([name for name in PIPELINES if "roberta" not in name]))
    spelling = st.lists(st.sampled_from(PIPELINES[name][1]), min_size=1, max_size=3)
    spellings = spelling.map("".join).filter(lambda text: text == text.strip() != "")
    flags = st.fixed_dictionaries(
        {
            **{flag: st.booleans() for flag in ("special", "lstrip", "rstrip", "single_word")},
            "normalized": st.sampled_from([None, True, False]),
        }
    )
    drawn = data.draw(st.dictionaries(spellings, flags, min_size=1, max_size=4))
    tokens = [AddedToken(text, **facts) for text, facts in drawn.items()]
    pipeline = Pipeline(name, tokens, PIPELINES[name][1])
    fragment = st.sampled_from([*drawn, *pipeline.fragments])
    texts = ["".join(data.draw(st.lists(fragment, max_size=9))) for _ in range(4)]
    try:
        expected = pipeline.expected(texts)
    except BaseException as error:  # of some texts tokenizers cuts a character in two, and panics
        assume(type(error).__name__ != "PanicException")
        raise
    assert pipeline.found(texts) == expected


def test_offsets(pipeline):
    # Invalid bytes are dropped before anything is looked for.
    raw = [b"a [E1] dog  <u\xffrl> e\xcc\x81[E1]", "é @USER  on".encode()]
    ids, starts, ends = pipeline.ours.tokenize_with_offsets(raw)
    assert ids.to_list() == pipeline.ours.tokenize(raw).to_list()
    size = len(pipeline.ours.model_tokens)
    found = [
        [text[a:b] for id, a, b in zip(*row, strict=True) if id >= size]
        for text, *row in zip(raw, *(x.to_list() for x in (ids, starts, ends)), strict=True)
    ]
    assert [found[0][0], *found[0][1:][:1], found[0][-1]] == [b"[E1]", b"<u\xffrl>", b"[E1]"]
    assert b"@USER" in found[1]
    characters = bytes_to_characters(tf.constant(["é @USER  on"]), starts[1:])
    at = ids.to_list()[1].index(pipeline.ours.token_to_id("@USER"))
    assert characters.to_list()[0][at] == 2


def test_words(pipeline):
    """A word is a text of its own, behind a space, and so is what stands beside a token in it."""
    words = ["[E1]", "cat[E1]mat", "cat", "mat"]
    found = pipeline.ours.tokenize_words(tf.constant(words)).to_list()
    marker = pipeline.ours.token_to_id("[E1]")
    assert found == [[marker], [*found[2], marker, *found[3]], *found[2:]]


def test_with_mask(pipeline):
    mask = pipeline.ours.special_tokens.mask
    parts = pipeline.ours.tokenize(["the [E1]", "s"]).to_list()
    found = pipeline.ours.tokenize_with_mask([f"the [E1]{mask}s"]).to_list()
    assert found == [[*parts[0], pipeline.ours.mask_id, *parts[1]]]
    assert pipeline.ours.mask_id not in pipeline.ours.tokenize([mask]).to_list()[0]


@pytest.mark.full
def test_in_a_saved_model(pipeline, tmp_path):
    module = tf.Module()
    module.tokenize = tf.function(
        lambda text: pipeline.ours.tokenize_with_offsets(text)[0].to_tensor(-1),
        input_signature=[tf.TensorSpec([None], tf.string)],
    )
    module.resources = pipeline.ours.resources
    tf.saved_model.save(module, str(tmp_path / "model"))
    found = tf.saved_model.load(str(tmp_path / "model")).tokenize(tf.constant(TEXTS))
    expected = pipeline.ours.tokenize(TEXTS).to_tensor(-1)
    assert found.numpy().tolist() == expected.numpy().tolist()


def test_config(pipeline):
    ours = pipeline.ours
    again = tokenizer_from_config(json.loads(json.dumps(ours.get_config())), ours.assets())
    assert again.get_config() == ours.get_config()
    assert again.vocabulary == ours.vocabulary
    assert again.tokenize(TEXTS).to_list() == ours.tokenize(TEXTS).to_list()
    assert ours.detokenize([[ours.token_to_id("[E1]")]]).numpy() == [b"[E1]"]


# === Adding them ===


@pytest.fixture
def tokenizer(vocabulary):
    return WordPieceTokenizer(vocabulary)


def test_add_tokens(tokenizer, vocabulary):
    size = len(vocabulary)
    assert tokenizer.tokenize(["[E1] cat"]).to_list()[0] != [size, tokenizer.token_to_id("cat")]
    assert tokenizer.add_tokens(["[E1]", "[/E1]", "cat"], special=True) == 2
    assert tokenizer.add_tokens(AddedToken("<url>")) == 1
    assert tokenizer.add_tokens("<url>") == 0
    assert tokenizer.vocabulary_size == size + 3
    assert tokenizer.tokenize(["[E1] cats <URL>"]).to_list() == [
        [size, *tokenizer.tokenize(["cat s"]).to_list()[0], size + 2]
    ]
    assert tokenizer.special_token_ids == [
        0,
        1,
        2,
        3,
        4,
        tokenizer.token_to_id("cat"),
        size,
        size + 1,
    ]
    assert not tokenizer.continues_word[size:].any()
    assert len(tokenizer.continues_word) == size + 3


def test_special_tokens_can_be_added(tokenizer):
    assert tokenizer.sep_id not in tokenizer.tokenize(["a [SEP] b"]).to_list()[0]
    assert tokenizer.add_tokens("[SEP]", special=True) == 0
    assert tokenizer.sep_id in tokenizer.tokenize(["a [SEP] b"]).to_list()[0]


@pytest.mark.parametrize(
    ("tokens", "message"),
    [
        ([AddedToken("[E1]", lstrip=True), AddedToken("[E1]")], r"'\[E1\]' has been added already"),
        ([""], "must be a non-empty string, found ''"),
        ([3], "must be a non-empty string, found 3"),
    ],
)
def test_tokens_that_can_not_be_added(tokenizer, tokens, message):
    with pytest.raises(InputError, match=message):
        tokenizer.add_tokens(tokens)


# === Models ===


@pytest.fixture(scope="module")
def classifier(vocabulary, tiny_backbone):
    tokenizer = WordPieceTokenizer(vocabulary)
    backbone = tiny_backbone(tokenizer, initializer_range=1.0)
    return kerasbert.TextClassifier(backbone, classes=2, tokenizer=tokenizer)


@pytest.mark.parametrize("format", ["kerasbert", "hf"])
def test_a_model_with_tokens(classifier, format, tmp_path):
    with pytest.raises(InputError, match=r"belongs to text_classifier.*task.add_tokens"):
        classifier.tokenizer.add_tokens("[E1]")
    more = classifier.add_tokens(["[E1]", "[/E1]"], special=True)
    size = classifier.backbone.config.vocabulary_size
    assert more.backbone.config.vocabulary_size == size + 2
    assert classifier.tokenizer.vocabulary_size == size
    texts = ["the cat", "[E1] cat [/E1]"]
    before, after = (m.predict(texts, verbose=0) for m in (classifier, more))
    assert after[0] == pytest.approx(before[0], abs=1e-6)
    assert after[1] != pytest.approx(before[1], abs=1e-6)
    more.save_to_preset(tmp_path / "model", format=format)
    again = kerasbert.load(tmp_path / "model")
    assert again.tokenizer.get_config() == more.tokenizer.get_config()
    assert again.predict(texts, verbose=0) == pytest.approx(after, abs=1e-6)


def test_a_tokenizer_that_a_task_gets_later_stays_as_it_is(classifier, vocabulary, tmp_path):
    classifier.save(tmp_path / "model.keras")
    task = keras.models.load_model(tmp_path / "model.keras")
    for _ in range(2):
        with pytest.raises(InputError, match=r"belongs to text_classifier.*task.add_tokens"):
            task.tokenizer.add_tokens("[E1]")
        task.tokenizer = WordPieceTokenizer(vocabulary)
    larger = WordPieceTokenizer(vocabulary, added_tokens=["[E1]"])
    with pytest.raises(InputError, match=f"has {len(vocabulary) + 1} tokens, the backbone"):
        task.tokenizer = larger
    assert task.tokenizer.vocabulary_size == len(vocabulary)


@pytest.mark.parametrize("format", ["google", "kerashub"])
def test_no_place_for_tokens(classifier, format, tmp_path):
    more = classifier.add_tokens("[E1]").backbone, classifier.add_tokens("[E1]").tokenizer
    with pytest.raises(InputError, match=r"does not support.*added_tokens=\[\{'content': '\[E1\]'"):
        more[0].save_to_preset(tmp_path / "model", format=format, tokenizer=more[1])


def test_from_a_preset_with_tokens(classifier, tmp_path):
    classifier.save_to_preset(tmp_path / "model")
    tokenizer = kerasbert.tokenizer_from_preset(tmp_path / "model")
    tokenizer.add_tokens("[E1]", special=True)
    task = kerasbert.TextClassifier.from_preset(tmp_path / "model", tokenizer=tokenizer)
    assert task.backbone.config.vocabulary_size == classifier.backbone.config.vocabulary_size + 1
    assert not task.uninitialized_weights
    before, after = (m.predict(["the cat"], verbose=0) for m in (classifier, task))
    assert after == pytest.approx(before, abs=1e-6)
    other = WordPieceTokenizer([*tokenizer.model_tokens[:-1], "zebra"])
    with pytest.raises(InputError, match="the given tokenizer's 'zebra'; give the tokenizer of"):
        kerasbert.TextClassifier.from_preset(tmp_path / "model", tokenizer=other)


def test_tokens_that_normalization_leaves_nothing_of(tokenizer):
    texts = ["a cat", "", "a\u200bcat"]
    expected = tokenizer.tokenize(texts).to_list()
    tokenizer.add_tokens(["\u200b"])  # BERT's cleaning drops it, so it is never found
    assert tokenizer.tokenize(texts).to_list() == expected
