import pytest

from kerasbert import Pretrainer


@pytest.fixture(scope="module")
def init(tokenizer, tiny_backbone, tmp_path_factory):
    """A model so small that steps take no time."""
    path = tmp_path_factory.mktemp("init") / "model"
    backbone = tiny_backbone(tokenizer, pooler=True)
    Pretrainer(backbone, tokenizer=tokenizer, sequence_length=24).save_to_preset(path)
    return path
