"""ERNIE 1.0 (Sun et al. 2019), 2.0 and 3.0 (Sun et al. 2020, 2021): BERT, with task types."""

from kerasbert.families import bert, public
from kerasbert.families.codecs import Codec
from kerasbert.families.layout import EMBEDDING, Family, Layout


def _size(num_layers: int, hidden_dim: int, vocabulary_size: int, **more) -> dict:
    return {
        "family": "ernie",
        "vocabulary_size": vocabulary_size,
        "num_layers": num_layers,
        "hidden_dim": hidden_dim,
        "num_heads": 12 if hidden_dim < 1024 else 16,
        "intermediate_dim": 4 * hidden_dim,
        "activation": "gelu",
        **more,
    }


PRESETS = {
    "ernie_1_base_chinese": _size(
        12, 768, 18_000, activation="relu", max_sequence_length=513, layer_norm_epsilon=1e-5
    ),
    "ernie_2_base": _size(12, 768, 30_522, num_segments=4),
    "ernie_2_large": _size(24, 1024, 30_522, num_segments=4),
    "ernie_3_base_chinese": _size(
        12, 768, 40_000, max_sequence_length=2048, num_segments=4, num_task_types=3
    ),
}


def _read_task_types(value, config) -> int:
    return config["task_type_vocab_size"] if config["use_task_id"] else 0


# Two keys hold one number; without task types, transformers' default is written for the second.
_USED = Codec(_read_task_types, lambda rows, encoder_config: rows > 0)
_ROWS = Codec(_read_task_types, lambda rows, encoder_config: rows or 3)
_TASK_TYPES = (
    ("num_task_types", "use_task_id", _USED),
    ("num_task_types", "task_type_vocab_size", _ROWS),
)

FAMILY = Family(
    presets=PRESETS,
    tokenizer={"kind": "wordpiece"},
    checkpoints=public.ERNIE,
    layouts={
        "hf": Layout(
            model_type="ernie",
            settings=(*bert.HF_SETTINGS, *_TASK_TYPES),
            defaults={**bert.HF_DEFAULTS, "task_type_vocab_size": 3, "use_task_id": False},
            only=bert.HF_ONLY,
            models={task: f"Ernie{name}" for task, name in bert.HF_MODELS.items()},
            tokenizer_class="ErnieTokenizer",
            prefix="ernie.",
            encoder=(
                *bert.HF_ENCODER,
                (EMBEDDING, "embeddings/task_type_embedding", "embeddings.task_type_embeddings"),
            ),
            heads=bert.HF_HEADS,
            head_settings=bert.HF_HEAD_SETTINGS,
            head_constants=bert.HF_HEAD_CONSTANTS,
        ),
    },
)
