"""Attacks kerasbert with damaged and hostile files, and prints the failures: the long version.

Makes about 10,000 attacks, which takes more than an hour of one core: 8,000 took about an hour. The
same command makes the same attacks.

Example:
  python tests/hostile/run.py --scale 1 --log /tmp/hostile.jsonl
  PYTHONPATH=/path/to/another/checkout python tests/hostile/run.py --sample 50   # other code
"""

import argparse
import hashlib
import heapq
import json
import operator
import os
import pathlib
import random
import sys
import tempfile
import time

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"  # before TensorFlow is imported

sys.path.insert(1, str(pathlib.Path(__file__).resolve().parents[1]))

import jobs
import pickles
import settings
import weight_files
from harness import Harness, table

#: By class: the function that makes its attacks, and the number of random ones.
KINDS = {
    "pickles": (pickles.attacks, 700),
    "safetensors": (weight_files.safetensors, 600),
    "HDF5": (weight_files.hdf5, 700),
    "TF1 checkpoints": (weight_files.tensorflow1, 450),
    "JSON settings": (settings.settings, 1200),
    "tokenizer files": (settings.tokenizers, 1100),
    "corpora": (jobs.corpora, 350),
    "text rows": (jobs.rows, 500),
    "options": (jobs.options, 500),
    "exports": (jobs.exports, 250),
    "run directories": (jobs.runs, 120),
}


def main() -> int:
    """Runs this program."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--kinds", help="some classes only, between commas")
    parser.add_argument("--scale", type=float, default=1.0, help="so many times as many are drawn")
    parser.add_argument("--seed", type=int, default=0, help="decides what is drawn")
    parser.add_argument("--sample", type=int, help="only so many of each class")
    parser.add_argument("--only", default="", help="only attacks whose name holds this")
    parser.add_argument("--log", help="a file for what came of each attack, as JSON lines")
    parser.add_argument("--seconds", type=float, default=60, help="wall time of an attack")
    given = parser.parse_args()
    kinds = given.kinds.split(",") if given.kinds else list(KINDS)
    found, started = [], time.monotonic()
    with (
        tempfile.TemporaryDirectory() as directory,
        Harness(pathlib.Path(directory) / "h", given.seconds) as harness,
    ):
        for kind in kinds:
            make, count = KINDS[kind]
            rng = random.Random(f"{given.seed} {kind}")
            attacks = make(harness.bases, rng, round(count * given.scale))
            attacks = (attack for attack in attacks if given.only in attack.name)
            if given.sample is not None:
                attacks = _sample(attacks, given.sample)
            for attack in attacks:
                found.append(one := harness.run(attack))
                _tell(one, given.log)
            print(f"{kind}: {time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)
    print(table(found))
    return any(one.fault for one in found)


def _sample(attacks, count: int) -> list:
    """Selects attacks, half of them random ones, and the same ones for any code under attack."""
    listed, drawn = [], []
    for attack in attacks:
        number, _, rest = attack.name.partition(": ")
        is_drawn = number.isdigit() and rest  # the rest depends on the bytes of the intact files
        name = number if is_drawn else attack.name
        key = hashlib.sha256(name.encode("utf-8", "surrogateescape")).digest()
        (drawn if is_drawn else listed).append((key, attack))
    few = min(len(drawn), count // 2)
    chosen = heapq.nsmallest(count - few, listed, key=operator.itemgetter(0)) + heapq.nsmallest(
        few, drawn, key=operator.itemgetter(0)
    )
    return [attack for _, attack in chosen]


def _tell(one, log: str | None) -> None:
    if one.fault:
        print(
            f"{one.attack.kind}: {one.attack.name[:150]!a}: {one.fault[:300]!a}",
            file=sys.stderr,
            flush=True,
        )
    if log:
        facts = {"kind": one.attack.kind, "attack": one.attack.name, "fault": one.fault}
        facts |= {"status": one.outcome.status, "error": one.outcome.err[-3000:]}
        facts |= {"seconds": one.outcome.seconds, "memory": one.outcome.memory}
        with open(log, "a", encoding="utf-8") as file:
            file.write(json.dumps(facts) + "\n")


if __name__ == "__main__":
    sys.exit(main())
