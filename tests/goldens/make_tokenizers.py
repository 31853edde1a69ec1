"""Writes the fixtures in `tests/goldens/tokenizers/`: tiny tokenizers and their ids.

Needs transformers, which is no dependency of the project: run it by hand, in its own environment,
to add a tokenizer:

    pip install transformers==5.23.0 sentencepiece==0.2.3
    python tests/goldens/make_tokenizers.py

Each directory contains the files of `save_pretrained` (`tokenizer.json` and
`tokenizer_config.json`), for SentencePiece also the converted model, and `expected.json`: texts and
pairs of texts, and the ids of each, including special tokens.
"""

import io
import json
import pathlib
import shutil
import tempfile

import sentencepiece
import transformers
from sentencepiece import sentencepiece_model_pb2
from tokenizers import ByteLevelBPETokenizer

GOLDENS = pathlib.Path(__file__).resolve().parent / "tokenizers"

TEXTS = [
    "The cat sat on the mat.",
    "A cat, a dog and 9, 19, 1990, or 2,013 mats!",
    "Café déjà-vu: naïve ÀÉ e\u0301",
    "``The mat'' is \"flat\"",
    "  two  spaces\tand a line\nend m²  ",
    "中国 cats",
    "zebra quixotic",
    "It's the dog's mat; they're flat.",
    "Covid and covid!",
    "",
]
# transformers treats an empty second text as none.
PAIRS = [["The cat sat.", "A dog, 9, sat"], ["", "mat"]]
_WORDS = "the cat sat on a mat dog and or flat is it s they re two spaces line end vu"
WORDS = _WORDS.split()


def wordpieces(special: list[str], *, cased: bool) -> list[str]:
    letters = "abcdefghijklmnopqrstuvwxyz0123456789"
    pieces = [*special, *letters, *("##" + c for c in letters), *".,!:;-\"'`", "中", "国"]
    pieces += [*WORDS, "cafe", "naive", "deja", "##s", "##at"]
    if cased:
        pieces += ["The", "A", "Caf", "##é", "dé", "##j", "##à", "It", "C", "À", "É", "à", "é"]
    return list(dict.fromkeys(pieces))


BERT = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
OTHERS = ["<pad>", "<unk>", "<s>", "</s>", "<mask>"]
ROLES = ("pad_token", "unk_token", "cls_token", "sep_token", "mask_token")


def bert(special=BERT, cased=False, **settings) -> transformers.BertTokenizer:
    ids = {piece: id for id, piece in enumerate(wordpieces(special, cased=cased))}
    names = dict(zip(ROLES, special, strict=True))
    return transformers.BertTokenizer(vocab=ids, do_lower_case=not cased, **names, **settings)


def with_added_tokens() -> transformers.BertTokenizer:
    tokenizer = bert()
    tokenizer.add_tokens(["covid"])
    tokenizer.add_special_tokens({"additional_special_tokens": ["<e1>"]})
    return tokenizer


def roberta(**settings) -> transformers.RobertaTokenizer:
    trainer = ByteLevelBPETokenizer()
    special = ["<s>", "<pad>", "</s>", "<unk>"]
    trainer.train_from_iterator(
        TEXTS * 5, 290, min_frequency=2, special_tokens=special, show_progress=False
    )
    stored = json.loads(trainer.to_str())["model"]
    # Only the bytes that the texts need, to keep the file small.
    used = {c for text in TEXTS for piece in trainer.encode(" " + text).tokens for c in piece}
    merges = [tuple(merge) for merge in stored["merges"]]
    pieces = [*special, *sorted(used), *("".join(merge) for merge in merges), "<mask>"]
    ids = {piece: id for id, piece in enumerate(dict.fromkeys(pieces))}
    mask = transformers.AddedToken("<mask>", lstrip=True, normalized=False, special=True)
    return transformers.RobertaTokenizer(vocab=ids, merges=merges, mask_token=mask, **settings)


def train(**options) -> bytes:
    writer = io.BytesIO()
    sentences = [text.lower() for text in TEXTS if text] * 5 + TEXTS[:-1]
    with tempfile.NamedTemporaryFile("w", suffix=".tsv") as rules:
        # Tab and newline to a space, 2 above the line to 2: the complete rules have 240 KB.
        rules.write("9\t20\nA\t20\nB2\t32\n")
        rules.flush()
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(sentences),
            model_writer=writer,
            vocab_size=110,
            hard_vocab_limit=False,
            normalization_rule_tsv=rules.name,
            num_threads=1,
            minloglevel=2,
            **options,
        )
    return without_paths(writer.getvalue())


def without_paths(model: bytes) -> bytes:
    proto = sentencepiece_model_pb2.ModelProto.FromString(model)
    proto.normalizer_spec.normalization_rule_tsv = ""
    return proto.SerializeToString()


def with_number_commas(model: bytes) -> bytes:
    """Adds two tokens of the kind that ALBERT has and avoids."""
    proto = sentencepiece_model_pb2.ModelProto.FromString(model)
    for piece in ("▁1990,", "9,"):
        proto.pieces.add(piece=piece, score=-3.0)
    proto.trainer_spec.vocab_size = len(proto.pieces)
    return proto.SerializeToString()


def lowered(model: bytes) -> bytes:
    """Lower-cases as transformers' converter did until version 4, and as published files do."""
    proto = sentencepiece_model_pb2.ModelProto.FromString(model)
    for piece in proto.pieces:
        if len(piece.piece) > 1 and piece.piece[-1] == "," and piece.piece[-2].isdigit():
            piece.score -= 100
    return proto.SerializeToString()


def converted(class_name: str, file_name: str, model: bytes):
    with tempfile.TemporaryDirectory() as directory:
        path = pathlib.Path(directory) / file_name
        path.write_bytes(model)
        mask = {"content": "[MASK]" if class_name == "AlbertTokenizer" else "<mask>"}
        mask |= {"lstrip": True, "rstrip": False, "normalized": False, "single_word": False}
        names = pathlib.Path(directory) / "special_tokens_map.json"
        names.write_text(json.dumps({"mask_token": mask}))
        return getattr(transformers, class_name).from_pretrained(directory)


def make(name: str, tokenizer, **files: bytes) -> None:
    path = GOLDENS / name
    shutil.rmtree(path, ignore_errors=True)
    tokenizer.save_pretrained(path)
    again = transformers.AutoTokenizer.from_pretrained(path)
    expected = {
        "texts": TEXTS,
        "ids": [again(text)["input_ids"] for text in TEXTS],
        "pairs": PAIRS,
        "pair_ids": [again(*pair)["input_ids"] for pair in PAIRS],
    }
    assert expected["ids"] == [tokenizer(text)["input_ids"] for text in TEXTS], name
    for file_name, data in files.items():
        (path / file_name).write_bytes(data)
    (path / "expected.json").write_text(json.dumps(expected, ensure_ascii=False) + "\n")
    print(name, {file.name: file.stat().st_size for file in sorted(path.iterdir())})


def main() -> None:
    make("bert_uncased", bert())
    make("bert_cased", bert(cased=True))
    make("bert_cased_strip_accents", bert(cased=True, strip_accents=True))
    make("bert_other_tokens", bert(OTHERS))
    make("bert_added_tokens", with_added_tokens())
    make("roberta", roberta())
    make("roberta_prefix_space", roberta(add_prefix_space=True))
    control = ["[CLS]", "[SEP]", "[MASK]"]
    model = train(pad_id=0, unk_id=1, bos_id=-1, eos_id=-1, control_symbols=control)
    model = with_number_commas(model)
    tokenizer = converted("AlbertTokenizer", "spiece.model", lowered(model))
    make("albert", tokenizer, **{"spiece.model": model})
    model, name = train(), "sentencepiece.bpe.model"
    make("xlm_roberta", converted("XLMRobertaTokenizer", name, model), **{name: model})


if __name__ == "__main__":
    main()
