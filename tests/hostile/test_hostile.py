"""Some attacks of each class; `run.py` makes all of them."""

import itertools
import random

import pytest
import run
from harness import Harness, table

#: By class: the number of random attacks, and the stride through all attacks.
SHORT = {
    "pickles": (20, 4),
    "safetensors": (20, 3),
    "HDF5": (20, 5),
    "TF1 checkpoints": (20, 3),
    "JSON settings": (40, 12),
    "tokenizer files": (40, 11),
    "corpora": (12, 8),
    "text rows": (16, 36),
    "options": (40, 5),
    "exports": (8, 20),
    "run directories": (2, 45),
}


@pytest.fixture(scope="module")
def harness(tmp_path_factory):
    with Harness(tmp_path_factory.mktemp("hostile") / "h", seconds=40) as harness:
        yield harness


@pytest.mark.parametrize("kind", SHORT)
def test_attacks(harness, kind):
    make, _ = run.KINDS[kind]
    drawn, every = SHORT[kind]
    attacks = make(harness.bases, random.Random(f"short {kind}"), drawn)
    found = [harness.run(attack) for attack in itertools.islice(attacks, 0, None, every)]
    print(table(found))
    assert [(one.attack.name, one.fault) for one in found if one.fault] == []
