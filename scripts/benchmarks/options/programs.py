"""The options of programs that measure and check kerasbert alone."""

import dataclasses
import re

from benchmarks.options.comparisons import STAGE, sizes
from kerasbert.errors import InputError
from kerasbert.options import LARGEST_SEED, Options, Program, option
from kerasbert.recipes.options import EXPORT_PRECISIONS, check_preset


@dataclasses.dataclass(frozen=True, kw_only=True)
class TaskResultsOptions(Options):
    """Options of `task_results`."""

    program = Program(
        STAGE,
        "Fine-tunes all tasks of the README's table from one encoder, and prints the table.",
        (
            "--data data --init runs/mine/pretrain/model\n"
            "--output runs/results --precision bfloat16",
        ),
    )

    data: str = option(help="directory with the tasks' files, see docs/tasks.md")
    init: str = option(help="encoder to start from")
    output: str = option(help="directory of the runs; existing rows are skipped")
    rows: list[str] = option([], help="only these rows; may be repeated")
    precision: str = option("float32", help="training precision", choices=EXPORT_PRECISIONS)
    peers: bool = option(False, help="also train with transformers (extra dev)")


@dataclasses.dataclass(frozen=True, kw_only=True)
class QualityForTimeOptions(Options):
    """Options of `quality_for_time`."""

    program = Program(
        STAGE,
        "Pretrains from raw text for some minutes, fine-tunes, and prints scores by contender.",
        (
            "--input 'enwiki-2015/wiki_[0-2]*' --input 'enwiki-2015/wiki_3[0-7]'\n"
            "--held_out 'enwiki-2015/wiki_3[89]' --data data/tasks --minutes 60\n"
            "--contender default --contender fast=--recipe=fast --contender kerashub\n"
            "--output runs/quality",
        ),
    )

    input: list[str] = option(help="text, as in kerasbert build_vocab; may be repeated")
    held_out: list[str] = option(help="other text, for the loss during pretraining")
    data: str = option(help="directory with the tasks' files, see docs/tasks.md")
    output: str = option(help="directory of the runs; what is complete is not done again")
    contender: list[str] = option(
        ["default", "fast=--recipe=fast", "kerashub"],
        help="default, kerashub, or NAME=FLAGS with flags of kerasbert pretrain; may be repeated",
    )
    minutes: float = option(
        60.0, help="time for vocabulary, corpus and pretraining", exclusive_minimum=0
    )
    vocab_size: int = option(8_000, help="vocabulary size of all contenders", minimum=100)
    rows: list[str] = option([], help="only these tasks; may be repeated")
    seed: int = option(0, help="seed of all randomness", minimum=0, maximum=LARGEST_SEED)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ChineseWordsOptions(Options):
    """Options of `chinese_words`."""

    program = Program(
        STAGE,
        "Compares masks of Chinese characters with masks of whole words, for the same steps.",
        (
            "--input 'zhwiki/wiki_0[0-8]' --held_out zhwiki/wiki_09\n"
            "--vocab bert-base-chinese/vocab.txt --train chnsenticorp/train.tsv\n"
            "--validation chnsenticorp/dev.tsv --output runs/chinese_words",
        ),
    )

    input: list[str] = option(help="text, as in kerasbert build_vocab; may be repeated")
    held_out: list[str] = option(help="text to score on; may be repeated")
    vocab: str = option(help="WordPiece vocabulary of Chinese")
    train: str = option(help="labeled texts to fine-tune on")
    validation: str = option(help="labeled texts to score on")
    output: str = option(help="directory of the runs; what is complete is not done again")
    word_segmenter: str = option("jieba", help="as in kerasbert prepare_corpus")
    units: list[str] = option(
        ["token", "whole_word"],
        help="what is masked as a whole, as in kerasbert pretrain; may be repeated",
    )
    seeds: int = option(2, help="number of models for each of --units", minimum=1)
    preset: str = option("bert_tiny", help="architecture")
    steps: int = option(2_500, help="pretraining steps", minimum=1)
    batch_size: int = option(64, help="rows per pretraining step", minimum=1)
    sequence_length: int = option(128, help="tokens per row", minimum=8)
    held_out_batches: int = option(50, help="batches of --held_out to score on", minimum=1)
    epochs: int = option(3, help="epochs of fine-tuning", minimum=1)

    def __post_init__(self):
        super().__post_init__()
        check_preset(self.preset)


@dataclasses.dataclass(frozen=True, kw_only=True)
class BenchmarkScalingOptions(Options):
    """Options of `benchmark_scaling`."""

    program = Program(
        STAGE,
        "Measures how training scales from one process to several, each on its own core.",
        ("--preset bert_small --workers 2",),
    )

    preset: str = option("bert_small", help="architecture")
    batch_size: int = option(
        8, help="examples per step of each worker", minimum=1, maximum=1_000_000
    )
    sequence_length: int = option(128, help="tokens per example", minimum=8)
    vocabulary_size: int = option(8_000, help="vocabulary size", minimum=6)
    steps: int = option(4, help="number of timed steps in each turn", minimum=1)
    repeats: int = option(
        9, help="number of rounds, in which each way to train takes its turn", minimum=1
    )
    workers: int = option(2, help="number of workers; needs as many cores", minimum=2)

    def __post_init__(self):
        super().__post_init__()
        check_preset(self.preset)


@dataclasses.dataclass(frozen=True, kw_only=True)
class BenchmarkServerOptions(Options):
    """Options of `benchmark_server`."""

    program = Program(
        STAGE,
        "Compares `kerasbert serve` under load with the bare SavedModel, called by threads.",
        ("--output runs/server --models 2x128 --models 12x768",),
    )

    output: str = option("runs/server", help="directory of the models, the table and the JSON")
    models: list[str] = option(["2x128", "12x768"], help="LAYERSxHIDDEN; may be repeated")
    precision: str = option("float32", help="precision of the models", choices=EXPORT_PRECISIONS)
    clients: list[str] = option(["16", "1"], help="requests at the same time; may be repeated")
    batch_tokens: list[str] = option(
        ["4096", "1024"], help="values of --max_batch_tokens of serve; may be repeated"
    )
    seconds: float = option(5.0, help="time of each measurement", exclusive_minimum=0)
    rounds: int = option(3, help="number of times that each side takes its turn", minimum=1)

    def __post_init__(self):
        super().__post_init__()
        sizes(self.models)
        for name in ("clients", "batch_tokens"):
            for value in getattr(self, name):
                if not re.fullmatch(r"[1-9]\d*", value):
                    raise InputError(f"--{name} must be a number, found {value!r}")

    @property
    def sizes(self) -> list[tuple[int, int]]:
        """Layers and hidden size of each model."""
        return sizes(self.models)


@dataclasses.dataclass(frozen=True, kw_only=True)
class KillHarnessOptions(Options):
    """Options of `kill_harness`."""

    program = Program(
        STAGE,
        "Kills a program repeatedly, and compares its output with that of an uninterrupted run.",
        (
            "--output runs/killed --kills 20 --command\n'scripts/pretrain.py "
            "--corpus runs/mine/corpus --steps 200 --checkpoint_every_steps 5'",
            "--output runs/killed_answers --name answers.jsonl --command\n"
            "'scripts/predict.py --model runs/mine/finetune/model --input dev.tsv'",
        ),
    )

    command: str = option(
        help="program and its flags except --output, such as 'scripts/pretrain.py "
        "--corpus C --steps 200 --checkpoint_every_steps 5'"
    )
    output: str = option(help="directory for both outputs; must not exist")
    name: str = option(
        "output", help="file name of both outputs, where it matters: 1 for an export, a.jsonl"
    )
    kills: int = option(20, help="number of times that the program is killed", minimum=1)
    seed: int = option(0, help="seed for the times of the kills", minimum=0, maximum=LARGEST_SEED)
