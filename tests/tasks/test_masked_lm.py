import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from kerasbert import InputError, MaskedLM, Pretrainer, load
from kerasbert.text import BytePairTokenizer
from kerasbert.training.optimizers import adamw

TEXTS = ["the cat sees a dog", "a good dog"]
BLANKS = ["the [MASK] sees a [MASK] dog", "no blank", "[MASK]"]


@pytest.fixture
def task(tokenizer, tiny_backbone):
    return MaskedLM(tiny_backbone(tokenizer), tokenizer=tokenizer)


def test_shapes(task, tokenizer):
    size = tokenizer.vocabulary_size
    assert task.predict(BLANKS, verbose=0).shape == (3, math.ceil(0.15 * 24), size)
    features = {"token_ids": np.ones((2, 7), int), "mask_positions": np.zeros((2, 5), int)}
    logits = task(features)
    assert tuple(logits.shape) == (2, 5, size)
    assert logits.dtype == tf.float32


@pytest.mark.parametrize("tied", [True, False])
def test_weights(tokenizer, tiny_backbone, tied):
    task = MaskedLM(tiny_backbone(tokenizer, pooler=False), tied=tied)
    size = tokenizer.vocabulary_size
    head = (16 * 16 + 16) + 2 * 16 + size + (0 if tied else size * 16)
    assert task.count_params() == task.backbone.count_params() + head


def test_a_pooler_that_is_not_used_is_not_trained(task):
    assert any(v.path.startswith("pooler/") for v in task.weights)
    assert not any(v.path.startswith("pooler/") for v in task.trainable_weights)


def test_memorizes_a_text(task):
    task.mask_rate = 0.4
    task.compile(adamw(1e-2))
    task.fit(["the cat sees a good dog"] * 1600, batch_size=32, verbose=0)
    ((cat,), (dog,)) = task.fill_mask(
        ["the [MASK] sees a good dog", "the cat sees a good [MASK]"], top_k=1
    )
    assert (cat[0][0], dog[0][0]) == ("cat", "dog")
    assert 0.5 < cat[0][1] <= 1


def test_loss_is_the_weighted_mean(task):
    task.compile()
    features, labels, weights = task.preprocessor.training_examples(0, {"text": TEXTS}, None, None)
    logits = task(features).numpy().astype("float64")
    log_scores = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    losses = -np.take_along_axis(log_scores, labels.numpy()[..., None], -1)[..., 0]
    expected = (losses * weights.numpy()).sum() / weights.numpy().sum()
    found = task.evaluate(features, labels, sample_weight=weights, verbose=0)[0]
    assert found == pytest.approx(expected, abs=1e-4)


def test_pairs(task):
    features, _, _ = task.preprocessor.training_examples(
        0, {"text": TEXTS, "text_pair": TEXTS[::-1]}, None, None
    )
    assert features["segment_ids"].numpy().any()


def test_labels_are_refused(task):
    task.compile()
    with pytest.raises(InputError, match="masked_lm makes its labels from the text; leave y out"):
        task.fit(TEXTS, [0, 1], verbose=0)


@pytest.mark.parametrize("rate", [0.0, 1.0, -0.5])
def test_bad_mask_rate(tokenizer, tiny_backbone, rate):
    with pytest.raises(InputError, match="mask_rate must be between 0 and 1"):
        MaskedLM(tiny_backbone(tokenizer), tokenizer=tokenizer, mask_rate=rate)


def test_bad_activation(tokenizer, tiny_backbone):
    with pytest.raises(ValueError, match="activation must be one of"):
        MaskedLM(tiny_backbone(tokenizer), activation="swoosh")


def test_settings_of_the_head_are_kept(tokenizer, tiny_backbone, tmp_path):
    head = {"tied": False, "activation": "relu", "layer_norm_epsilon": 1e-3}
    task = MaskedLM(tiny_backbone(tokenizer), tokenizer=tokenizer, mask_rate=0.3, **head)
    task.save_to_preset(tmp_path / "model")
    task.save(tmp_path / "model.keras")
    expected = task(task.preprocessor.features(BLANKS)).numpy()
    for loaded in (load(tmp_path / "model"), keras.models.load_model(tmp_path / "model.keras")):
        assert loaded.head_config() == task.head_config() | head
        layer = loaded.get_layer("mlm_head")
        assert {name: getattr(layer, name) for name in head} == head
        np.testing.assert_allclose(
            loaded(loaded.preprocessor.features(BLANKS)), expected, atol=1e-6
        )


@pytest.mark.parametrize(
    "settings",
    [{"kind": "bytepair"}, {"kind": "sentencepiece", "layout": "fairseq", "packing": "roberta"}],
    ids=lambda settings: settings["kind"],
)
def test_masks_of_other_tokenizers(make_tokenizer, tiny_backbone, settings, answer):
    tokenizer = make_tokenizer(settings)
    task = MaskedLM(tiny_backbone(tokenizer), tokenizer=tokenizer)
    blanks = ["the <mask> sees <mask>", "no [MASK]"]
    guesses = task.fill_mask(blanks[:1])
    assert len(guesses[0]) == 2
    two, none = answer(task, text=blanks)
    assert (two["masks"], none["masks"]) == (2, 0)
    assert two["tokens"] == [[guess.token for guess in mask] for mask in guesses[0]]


def test_filled_sentences(task):
    ((first, second),) = task.fill_mask(["The [MASK] sees a  [MASK]!"], top_k=3)
    for guess in first:
        joined = guess.token.startswith("##")
        start = f"The{guess.token[2:]}" if joined else f"The {guess.token}"
        assert guess.sequence == f"{start} sees a  [MASK]!"
    for guess in second:
        joined = guess.token.startswith("##")
        assert guess.sequence == (
            f"The [MASK] sees a{guess.token[2:]}!"
            if joined
            else f"The [MASK] sees a  {guess.token}!"
        )


def test_filled_sentences_of_byte_pairs(make_tokenizer, tiny_backbone):
    tokenizer = make_tokenizer({"kind": "bytepair"})
    task = MaskedLM(tiny_backbone(tokenizer), tokenizer=tokenizer)
    ((_, (guess,)),) = task.fill_mask(["the <mask> sees <mask>."], targets="Ġcat")
    assert (guess.token, guess.sequence) == ("Ġcat", "the <mask> sees cat.")
    assert task.fill_mask(["the <mask>"], targets=" cat")[0][0][0].token == "Ġcat"


def test_targets(task):
    (every,) = task.fill_mask(["the [MASK] sees"], top_k=1000)[0]
    scores = {guess.token: guess.score for guess in every}
    (found,) = task.fill_mask(["the [MASK] sees"], targets=["dog", "Cat", "dog", "##s"])[0]
    assert sorted(guess.token for guess in found) == ["##s", "cat", "dog"]
    assert {g.token: g.score for g in found} == {g.token: scores[g.token] for g in found}
    assert found == sorted(found, key=lambda guess: -guess.score)
    for targets, message in (
        (["unhappiest"], "the target 'unhappiest' is no single token, but "),
        (["ж"], r"the target 'ж' is no single token, but \[UNK\]"),
        ([""], "the target '' is no single token, but nothing"),
        ([], "targets must name a token"),
    ):
        with pytest.raises(InputError, match=message):
            task.fill_mask(["the [MASK]"], targets=targets)


def test_nothing_to_guess(task):
    with pytest.raises(InputError, match=r"text 1 has no \[MASK\] to guess: 'a cat'"):
        task.fill_mask(["a [MASK]", "a cat"])
    with pytest.raises(InputError, match=r"text 0 has 1 \[MASK\]s, of which the model reads 0"):
        task.fill_mask(["a cat " * 200 + "[MASK]"])
    assert task.fill_mask([]) == []
    texts = ["a [MASK]", "a cat", "a cat " * 200 + "[MASK]"]
    found = task.fill_mask(texts, batch_size=2, strict=False)
    assert [list(map(len, masks)) for masks in found] == [[5], [], [0]]


def test_many_masks(task, answer, monkeypatch):
    texts = ["[MASK] " * 22, "no mask", "a [MASK]", "[MASK] " * 7]
    expected, served = task.fill_mask(texts, strict=False), answer(task, text=texts)
    features = task.preprocessor.packer(texts[:1], tokenize=task.tokenizer.tokenize_with_mask)
    logits = task({**features, "mask_positions": np.arange(1, 23)[np.newaxis]}).numpy()
    best = map(task.tokenizer.id_to_token, logits[0, :, :].argmax(axis=-1))
    assert [mask[0].token for mask in expected[0]] == list(best)
    for found, masks in zip(served, expected, strict=True):
        count = found["masks"]
        assert found["tokens"][:count] == [[guess.token for guess in mask] for mask in masks]
        scores = [[guess.score for guess in mask] for mask in masks]
        np.testing.assert_allclose(found["scores"][:count], scores, 1e-4)
        assert not np.any(found["scores"][count:])
    # However many masks are computed at a time.
    monkeypatch.setattr(type(task.preprocessor), "masks_at_once", 4)
    parts = task.fill_mask(texts, strict=False), answer(task, text=texts)
    assert _tokens(parts[0]) == _tokens(expected)
    for now, before in zip(parts[1], served, strict=True):
        assert (now["tokens"], now["sequence"]) == (before["tokens"], before["sequence"])


def _tokens(texts):
    return [[[guess.token for guess in mask] for mask in masks] for masks in texts]


# === Custom text ===


def test_padded_vocabulary_rows(tokenizer, tiny_backbone, answer, tmp_path):
    size = tokenizer.vocabulary_size
    task = MaskedLM(tiny_backbone(tokenizer, vocabulary_size=size + 6), tokenizer=tokenizer)
    bias = np.zeros(size + 6, "float32")
    bias[size:] = 9  # the model prefers rows without a token
    next(v for v in task.weights if v.path == "mlm_head/bias").assign(bias)
    for format in ("kerasbert", "hf"):
        task.save_to_preset(tmp_path / format, format=format)
        task = load(tmp_path / format)
        ((((best, *_),),),) = task.fill_mask(["the [MASK]"], top_k=1)
        assert best in tokenizer.vocabulary
    (row,) = answer(task, text=["the [MASK]"])
    (found,) = task.fill_mask(["the [MASK]"], top_k=len(row["tokens"][0]))[0]
    assert row["tokens"][0] == [guess.token for guess in found]
    np.testing.assert_allclose(row["scores"][0], [guess.score for guess in found], atol=1e-6)
    assert sum(row["scores"][0]) < 0.1  # these rows have the rest, as in transformers
    assert np.isfinite(task.score(TEXTS)["loss"])


def test_score_covers_all_masked_tokens(task):
    task.compile()
    texts = [*TEXTS, "the bad old river", ""]
    found = task.score(texts, batch_size=2)
    losses, right = [], []
    for features, labels, weights in task.preprocessor.batches(texts, batch_size=2):
        logits = task(features).numpy().astype("float64")
        log_scores = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
        used = weights.numpy() > 0
        losses += list(-np.take_along_axis(log_scores, labels.numpy()[..., None], -1)[..., 0][used])
        right += list((logits.argmax(-1) == labels.numpy())[used])
    assert found["loss"] == pytest.approx(np.mean(losses), abs=1e-5)
    assert found["perplexity"] == pytest.approx(math.exp(np.mean(losses)), rel=1e-5)
    assert found["accuracy"] == np.mean(right)
    assert task.score(texts, batch_size=2) == found
    assert math.isnan(task.score(["", ""])["loss"])


def test_score_falls(task):
    texts = ["the cat sees a good dog", "they like the old river"] * 4
    before = task.score(texts)
    task.compile(adamw(1e-2))
    task.fit(texts * 20, batch_size=8, verbose=0)
    assert task.score(texts)["perplexity"] < before["perplexity"]


def test_pretrainer_is_scored_too(tokenizer, tiny_backbone):
    task = Pretrainer(tiny_backbone(tokenizer), tokenizer=tokenizer)
    assert set(task.score(TEXTS)) == {"loss", "perplexity", "accuracy"}


def test_lines_of_a_file(task, tmp_path):
    path = tmp_path / "text.txt"
    lines = ["sees a dog", "the cat", ""] * 4
    lines.sort(key=len, reverse=True)  # the order of `evaluate`
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    task.compile()
    loss = task.evaluate(path.read_text().splitlines(), batch_size=4, verbose=0)[0]
    lines = (
        tf.data.TextLineDataset(str(path))
        .batch(4)
        .apply(tf.data.experimental.assert_cardinality(3))
    )
    assert task.evaluate(lines, verbose=0)[0] == pytest.approx(loss, abs=1e-5)
    task.fit(lines, verbose=0)
    assert task.optimizer.iterations == 3


def test_sequence(task, answer):
    texts = ["The  [MASK], sees a ([MASK])!", "none", "[MASK]", "", b"caf\xe9 [MASK]"]
    asked = [t if isinstance(t, bytes) else t.encode() for t in texts]
    guesses = iter(task.fill_mask([text for text in asked if b"[MASK]" in text], top_k=1))
    for found, text in zip(answer(task, text=texts), texts, strict=True):
        masked = b"[MASK]" in (text if isinstance(text, bytes) else text.encode())
        text = text.decode("utf-8", "ignore") if isinstance(text, bytes) else text
        for ((piece, _, sequence),) in next(guesses) if masked else ():
            if text.count("[MASK]") == 1 and text.find("[MASK]") == found["sequence"].find(piece):
                assert sequence == text.replace("[MASK]", piece)
            before, _, after = text.partition("[MASK]")
            joined = before.rstrip() + piece[2:] if piece.startswith("##") else before + piece
            text = joined + after
        assert found["sequence"] == text


@pytest.mark.parametrize(
    ("settings", "pieces", "expected"),
    [
        ({"kind": "wordpiece"}, ["##s", "cat"], "the dogs (cat) [MASK]"),
        ({"kind": "bytepair"}, ["s", "Ġcat"], "the dogs (cat) <mask>"),
        (
            {"kind": "sentencepiece", "layout": "fairseq", "packing": "roberta"},
            ["s", "▁cat"],
            "the dogs (cat) <mask>",
        ),
    ],
    ids=["wordpiece", "bytepair", "sentencepiece"],
)
def test_subwords_in_a_text(make_tokenizer, tiny_backbone, settings, pieces, expected):
    tokenizer = make_tokenizer(settings)
    task = MaskedLM(tiny_backbone(tokenizer), tokenizer=tokenizer)
    mask = tokenizer.special_tokens.mask
    text = tf.constant([f"the dog {mask} ({mask}) {mask}", "none"])
    ids = tf.ragged.constant([[tokenizer.token_to_id(p) for p in pieces], []], tf.int32)
    assert task.preprocessor.filled_in(text, ids).numpy().tolist() == [expected.encode(), b"none"]


@pytest.mark.parametrize("kind", [MaskedLM, Pretrainer])
def test_weights_of_texts(tokenizer, tiny_backbone, kind):
    """A text of weight 0 is not learned from; its masks, and its pair, have the weight 0."""
    task = kind(tiny_backbone(tokenizer), tokenizer=tokenizer)
    texts = ["the cat sees a dog", "a good dog sees the cat", "the bad dog"]
    (plain,) = task.preprocessor.batches(texts, batch_size=3)
    (weighted,) = task.preprocessor.batches(texts, None, [0.0, 2.0, 1.0], batch_size=3)
    order = list(range(3))
    if kind is MaskedLM:  # the longest comes first, unless texts exchange their second parts
        order.sort(key=lambda row: -len(texts[row]))
    factors = np.array([0.0, 2.0, 1.0])[order]
    for one, other in zip(*(tf.nest.flatten(each[2]) for each in (plain, weighted)), strict=True):
        by = factors[:, None] if len(one.shape) == 2 else factors
        np.testing.assert_allclose(other, one * by)
    task.compile(keras.optimizers.SGD(0.0), run_eagerly=True)
    alone = task.evaluate(texts, sample_weight=[0, 0, 0], verbose=0, return_dict=True)
    assert alone["loss"] == 0


def test_parts_of_characters(make_tokenizer, tiny_backbone):
    """Clients of exports decode UTF-8, and must find what `fill_mask` returns."""
    made = make_tokenizer({"kind": "bytepair"})
    pair = ("Ġ", "Ã")  # a space, and the first of two bytes
    pieces = [*made.model_tokens, "".join(pair)]
    ids = {piece: id for id, piece in enumerate(pieces)}
    tokenizer = BytePairTokenizer(ids, [*made.merges, pair])
    task = MaskedLM(tiny_backbone(tokenizer), tokenizer=tokenizer)
    text, tokens = "the <mask> dog", [tokenizer.token_to_id(piece) for piece in ("Ã", "ĠÃ")]
    filled = task.preprocessor.with_guesses([text], [(0, 0, [(id, 0.5) for id in tokens])])
    assert filled == ["the\ufffd dog", "the \ufffd dog"]
    ids = tf.ragged.constant([[id] for id in tokens], tf.int32)
    served = task.preprocessor.filled_in(tf.constant([text] * 2), ids).numpy()
    assert [one.decode() for one in served] == filled
