"""Rows of several documents, and the model on them."""

import collections

import keras
import numpy as np
import pytest
from test_pretraining import CLS, FIRST_WORD, LENGTH, SEP, Book, arrays, part_items

from kerasbert import InputError, MaskedLM, load
from kerasbert.data.corpus.reader import Corpus
from kerasbert.data.pretraining.batches import PretrainingBatches
from kerasbert.data.pretraining.mixture import Mixture

DOCUMENTS = [[5], [1, 2], [30, 4], [3], [9, 9], [2], [40]]


@pytest.fixture(scope="module")
def book(tmp_path_factory):
    return Book(tmp_path_factory.mktemp("book"), DOCUMENTS)


def packed(corpus, size=4, length=LENGTH, **options):
    options = {"seed": 5, "objective": "mlm", "pack_documents": True, **options}
    return PretrainingBatches(corpus, size, length, **options)


def unmasked(batch):
    """Token ids without masks, and numbers of documents, of each row."""
    features, labels, weights = ({**batch[0]}, *batch[1:])
    ids, used = np.array(features["token_ids"]), np.array(weights) == 1
    for row, positions in enumerate(np.array(features["mask_positions"])):
        ids[row, positions[used[row]]] = np.array(labels)[row, used[row]]
    return zip(ids, np.array(features["document_ids"]), strict=True)


def fragments(ids, numbers):
    """The places of the tokens of each document in a row, which is checked."""
    assert ids[0] == CLS
    assert ids[-1] == SEP
    assert sorted(numbers) == numbers.tolist()
    for number in np.unique(numbers):
        part = ids[numbers == number]
        if len(part) == 1:  # a row may be cut beside a special token
            assert part[0] in (CLS, SEP)
            continue
        assert (part[0], part[-1]) == (CLS, SEP)
        yield part[1:-1] - FIRST_WORD


def test_rows_are_full_and_documents_whole_between_cuts(book):
    batches = packed(book.corpus)
    total = book.total + 2 * len(DOCUMENTS)
    assert batches.windows == total // LENGTH
    counts = [0, 0]
    for step in range(20):
        features, _, weights = batch = batches.batch(step)
        assert np.all(features["padding_mask"] == 1)
        assert not np.any(features["segment_ids"])
        assert np.all(np.sum(weights, axis=1) >= 1)
        for ids, numbers in unmasked(batch):
            found = list(fragments(ids, numbers))
            for places in found:
                assert np.all(np.diff(places) == 1)
            whole = [len(f) for f in found[1:-1]]
            assert set(whole) <= {sum(lengths) for lengths in DOCUMENTS} | {0}
            counts[len(found) > 1] += 1
    assert min(counts) > 5  # rows of one document and rows of several


def test_an_epoch_has_every_token_about_once(book):
    batches, seen = packed(book.corpus, size=1), collections.Counter()
    for step in range(batches.windows):
        for ids, numbers in unmasked(batches.batch(step)):
            for places in fragments(ids, numbers):
                seen.update(places.tolist())
    assert max(seen.values()) == 1
    # Rows lose a token at either end, and the corpus a rest that is no whole row.
    assert len(seen) >= book.total - 2 * batches.windows - LENGTH


@pytest.mark.parametrize("several", [False, True])
def test_numpy_draws_what_the_graph_draws(book, tmp_path, several):
    corpus = book.corpus
    if several:
        other = Book(tmp_path, DOCUMENTS, tokens_per_shard=30).corpus
        corpus = Mixture([corpus, other], [2, 1])
    graph, numpy = (packed(corpus, with_numpy=chosen, mask_rate=0.3) for chosen in (False, True))
    for step in (0, 1, 50, 10**6):
        expected = arrays(graph.batch(step))
        for part in numpy.batch(step):
            for name, value in part_items(part):
                np.testing.assert_array_equal(value, expected[name], err_msg=name)


def test_the_index_is_no_part_of_the_graph(tmp_path):
    book = Book(tmp_path, [[1]] * 400)
    graph = packed(book.corpus)._draw_and_mask.get_concrete_function().graph.as_graph_def()
    sizes = [node.attr["value"].tensor.ByteSize() for node in graph.node if node.op == "Const"]
    sizes += [
        node.attr["value"].tensor.ByteSize()
        for function in graph.library.function
        for node in function.node_def
        if node.op == "Const"
    ]
    assert max(sizes) < 400 * 8  # an integer for each document


def test_only_rows_of_one_part_are_packed(book):
    with pytest.raises(InputError, match="rows of the objective nsp can't be packed"):
        packed(book.corpus, objective="nsp")


# === The model ===


@pytest.mark.parametrize("positions", ["learned", "learned_offset"])
def test_outputs_are_those_of_the_documents_alone(tiny_backbone, tokenizer, positions):
    keras.utils.set_random_seed(0)
    backbone = tiny_backbone(tokenizer, num_layers=2, positions=positions)
    lengths = [5, 2, 8, 5]
    numbers = np.repeat([0, 2, 3, 7], lengths)[np.newaxis]
    ids = np.random.default_rng(0).integers(5, 30, (1, sum(lengths)))
    outputs = backbone({"token_ids": ids}, document_ids=numbers)["sequence_output"][0]
    chosen = np.array([[0, 3, 7, 19]], "int32")
    some = backbone({"token_ids": ids}, document_ids=numbers, output_positions=chosen)
    np.testing.assert_allclose(some["sequence_output"][0], outputs.numpy()[chosen[0]], atol=1e-5)
    for start, length in zip(np.cumsum([0, *lengths]), lengths, strict=False):
        alone = backbone({"token_ids": ids[:, start : start + length]})["sequence_output"][0]
        np.testing.assert_allclose(outputs[start : start + length], alone, atol=1e-5)
    mixed = backbone({"token_ids": ids})["sequence_output"][0]
    assert np.abs(mixed - outputs).max() > 1e-2


def test_sinusoidal_positions_are_refused(tiny_backbone, tokenizer):
    backbone = tiny_backbone(tokenizer, positions="sinusoidal")
    with pytest.raises(InputError, match="need learned positions"):
        backbone({"token_ids": [[2, 7, 3]]}, document_ids=[[0, 0, 0]])


def test_a_model_is_trained_on_packed_rows(tiny_backbone, tokenizer, corpus_dir, tmp_path):
    model = MaskedLM(tiny_backbone(tokenizer), tokenizer=tokenizer, packed=True)
    model.backbone.gradient_checkpointing = True
    model.compile()
    history = model.fit(packed(Corpus(corpus_dir)).dataset(0, 4), verbose=0).history
    assert np.isfinite(history["loss"]).all()
    model.save_to_preset(tmp_path / "model")
    loaded = load(tmp_path / "model")
    assert "document_ids" not in loaded.input
    row = {"token_ids": [[2, 7, 8, 4, 3]], "mask_positions": [[3]], "document_ids": [[0] * 5]}
    row = {name: np.array(value, "int32") for name, value in row.items()}
    row |= {"padding_mask": np.ones((1, 5), "int32"), "segment_ids": np.zeros((1, 5), "int32")}
    ours = model(row).numpy()
    del row["document_ids"]
    np.testing.assert_allclose(loaded(row).numpy(), ours, atol=1e-5)
