"""Exports run without Python, and use only ops that releases of TensorFlow Serving have.

`tests/serving/check_releases.py` runs this file with the TensorFlow and tensorflow-text that these
releases are made of, which are installed elsewhere.
"""

import os

import c_api
import numpy as np
import pytest
from op_tables import RELEASES, table, unknown, used
from served_tasks import COLUMNS, MORE_TASKS, TASKS, TEXTS

from kerasbert.serving import SavedModelClient
from kerasbert.serving.columns import rows_of

#: Directory with `tensorflow` and `tensorflow_text` of another release.
PACKAGES = os.environ.get("KERASBERT_SERVING_PACKAGES")
#: Attributes that servers do not know: they log that, and ignore them.
IGNORED = {"VarHandleOp.debug_name"}
BERT = {"kind": "wordpiece"}
TOKENIZERS = {
    "bytepair": {"kind": "bytepair"},
    "sentencepiece": {"kind": "sentencepiece"},
    "cased": {"kind": "wordpiece", "lowercase": False},
    "added": {"kind": "wordpiece", "added_tokens": ("new token", "[X]")},
}
QUICK = ("classifier", "choices")


@pytest.fixture(scope="module")
def exported(make_tokenizer, tiny_backbone, tmp_path_factory):
    """Returns a function from a task and a tokenizer's settings to the task's export."""
    made = {}

    def export(name, settings):
        key = name, frozenset(settings.items())
        if key not in made:
            tokenizer = make_tokenizer(settings)
            backbone = tiny_backbone(tokenizer, initializer_range=0.5)
            task = (TASKS | MORE_TASKS)[name](backbone, tokenizer=tokenizer)
            made[key] = tmp_path_factory.mktemp("exports") / name / "1"
            task.export(made[key], check=False)
        return made[key]

    return export


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    directory = tmp_path_factory.mktemp("c")
    return c_api.Program(directory, PACKAGES) if PACKAGES else c_api.Program(directory)


each_export = pytest.mark.parametrize(
    ("name", "settings"),
    [
        pytest.param(
            name, settings, id=f"{name}-{kind}", marks=() if name in QUICK else pytest.mark.full
        )
        for kind, settings, names in (
            ("bert", BERT, [*TASKS, *MORE_TASKS]),
            *((kind, settings, ["tags"]) for kind, settings in TOKENIZERS.items()),
        )
        for name in names
    ],
)


@each_export
def test_answers_without_python(exported, program, name, settings):
    directory = exported(name, settings)
    client = SavedModelClient(directory)
    columns = {name: COLUMNS[name] for name in client.metadata["inputs"]}
    right = client(**columns)
    found = program.answers(directory, columns)
    rows = rows_of({name: value.tolist() for name, value in found.items()})
    assert len(rows) == len(right) == len(TEXTS)
    for mine, theirs in zip(rows, right, strict=True):
        assert mine.keys() == theirs.keys()
        for output, value in theirs.items():
            if np.asarray(value).dtype.kind == "f":
                np.testing.assert_allclose(mine[output], value, atol=1e-5, err_msg=output)
            else:
                assert mine[output] == value, output


# === Ops ===


@each_export
@pytest.mark.parametrize("release", RELEASES)
def test_ops_are_known_to_servers(exported, release, name, settings):
    found = used(exported(name, settings))
    assert {"MatMul", "VarHandleOp"} <= found.keys()
    assert unknown(found, table(release)) <= IGNORED


def test_unknown_ops_are_noticed():
    old, new = map(table, RELEASES)
    trimmer = "TFText>RoundRobinTrim"  # what KerasHub's packer emits
    assert unknown({trimmer: set(), "MatMul": {"T", "no_such"}}, old) == {
        trimmer,
        "MatMul.no_such",
    }
    assert unknown({trimmer: set()}, new) == set()
    assert len(old) > 1_000
