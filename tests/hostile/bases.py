"""Creates the intact files that attacks damage, with the code under attack."""

import io
import pathlib
import sys

import weight_files

_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_WORDS = ["the", "cat", "dog", "is", "good", "bad", "day", "fine", "what", "and"]
_SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
VOCABULARY = [*_SPECIAL, *_LETTERS, *("##" + c for c in _LETTERS), *".,!?'", *_WORDS]
ROWS = [("a fine day", "good"), ("a bad day", "bad"), ("the cat is good", "good")] * 4
TEXT = "a fine day.\nthe cat is good.\n\nthe dog is bad.\nwhat a day.\n\n" * 12
DUPLICATES, PHRASES = "duplicates", "phrases.txt"
_FACTS = {
    "num_layers": 1,
    "hidden_dim": 8,
    "num_heads": 2,
    "intermediate_dim": 16,
    "max_sequence_length": 24,
}


def make(root: pathlib.Path) -> None:
    """Creates models in all formats, tokenizers of all kinds, a corpus, data and an export."""
    import keras

    from kerasbert import tasks
    from kerasbert.data.corpus.cleaning.finding import find_duplicates
    from kerasbert.data.corpus.prepare import prepare_corpus
    from kerasbert.data.corpus.words import WordFinder
    from kerasbert.text import WordPieceTokenizer

    keras.utils.set_random_seed(1)
    tokenizer = WordPieceTokenizer(VOCABULARY)
    made = {
        "classifier": tasks.TextClassifier(
            _backbone(tokenizer), tokenizer=tokenizer, classes=["bad", "good"]
        ),
        "tagger": tasks.TokenClassifier(
            _backbone(tokenizer), tokenizer=tokenizer, classes=["O", "B-X", "I-X"]
        ),
        "answerer": tasks.QuestionAnswerer(_backbone(tokenizer), tokenizer=tokenizer),
        "filler": tasks.MaskedLM(_backbone(tokenizer), tokenizer=tokenizer),
        "chooser": tasks.MultipleChoice(_backbone(tokenizer), tokenizer=tokenizer),
        "embedder": tasks.TextEmbedder(_backbone(tokenizer), tokenizer=tokenizer),
        "sentencepiece": _masked_lm(_sentencepiece(), "xlm_roberta_base"),
        "bytepair": _masked_lm(_bytepair(root), "roberta_base"),
    }
    for name, task in made.items():
        task.save_to_preset(root / name)
    for format in ("hf", "kerashub", "google"):
        made["classifier"].save_to_preset(root / format, format=format)
    made["filler"].save_to_preset(root / "google_filler", format="google")
    made["sentencepiece"].save_to_preset(root / "kerashub_sentencepiece", format="kerashub")
    (root / "text.txt").write_text(TEXT)
    find_duplicates([str(root / "text.txt")], ["document", "near"]).save(root / DUPLICATES)
    (root / PHRASES).write_text("fine day\nthe cat\n")
    words = WordFinder(tokenizer, phrases=root / PHRASES)
    text = [str(root / "text.txt")]
    prepare_corpus(text, tokenizer, root / "corpus", tokens_per_shard=100, words=words)
    rows = "".join(f"{text}\t{label}\n" for text, label in ROWS)
    (root / "train.tsv").write_text("text\tlabel\n" + rows)
    made["classifier"].export(str(root / "export" / "1"), check=False)
    weight_files.make_tf1(root)
    sys.stdout.flush()


def _backbone(tokenizer):
    from kerasbert import Backbone, BackboneConfig

    return Backbone(BackboneConfig(vocabulary_size=tokenizer.vocabulary_size, **_FACTS))


def _masked_lm(tokenizer, preset):
    from kerasbert import Backbone, BackboneConfig, tasks

    facts = {**_FACTS, "vocabulary_size": tokenizer.vocabulary_size, "num_segments": 0}
    config = BackboneConfig.from_preset(preset, **facts, pooler=False)
    return tasks.MaskedLM(Backbone(config), tokenizer=tokenizer)


def _sentencepiece():
    import sentencepiece

    from kerasbert.text import SentencePieceTokenizer
    from kerasbert.text.special_tokens import ROBERTA_TOKENS

    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([*TEXT.split("\n"), "été 中国"] * 3),
        model_writer=model,
        vocab_size=120,
        hard_vocab_limit=False,
        character_coverage=1.0,
        num_threads=1,
        minloglevel=2,
    )
    return SentencePieceTokenizer(
        model.getvalue(), layout="fairseq", special_tokens=ROBERTA_TOKENS, packing="roberta"
    )


def _bytepair(root):
    from tokenizers import ByteLevelBPETokenizer

    from kerasbert.text import BytePairTokenizer

    trainer = ByteLevelBPETokenizer()
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    trainer.train_from_iterator(TEXT.split("\n"), 320, special_tokens=special, show_progress=False)
    directory = root / "merges"
    directory.mkdir()
    trainer.save_model(str(directory))
    return BytePairTokenizer(directory / "vocab.json", directory / "merges.txt")
