"""Pretrains small models with one option after the other; see `test_pretraining_on_jax.py`.

`python pretraining_program.py GIVEN OUTPUT CASE...`: GIVEN has the corpora `one` and `two` and
`vectors.txt`, and OUTPUT gets a run for each case. KERAS_BACKEND chooses the backend.
"""

import dataclasses
import pathlib
import sys

import numpy as np

from kerasbert.families import PRESETS
from kerasbert.recipes import pretrain as recipe
from kerasbert.recipes.options import PretrainOptions

SMALL = {
    "num_layers": 1,
    "hidden_dim": 16,
    "num_heads": 2,
    "intermediate_dim": 32,
    "max_sequence_length": 32,
}
WSD = {"lr_schedule": "wsd", "warmup_steps": 1, "lr_decay_ratio": 0.5}
MIXTURE = {"corpus": ["{given}/one:0.75", "{given}/two:0.25"]}
OPTIMIZER = {"beta_1": 0.8, "beta_2": 0.98, "epsilon": 1e-5}
PHASES = {"phase": ["1:8:8", "0.75:24:2"]}
CASES = {
    "nsp": {},
    "sop": {"objective": "mlm_sop"},
    "mlm": {"objective": "mlm", "mask_rate": 0.3},
    "rtd": {"objective": "rtd", "generator_size": 0.5, "z_loss": 1e-3},
    "packed": {"objective": "mlm", "pack_documents": True},
    "whole_word": {"mask_unit": "whole_word"},
    "ngram": {"mask_unit": "ngram"},
    "span": {"mask_unit": "span", "objective": "mlm"},
    "similar_words": {"mask_unit": "ngram", "similar_words": "{given}/vectors.txt"},
    "phases": PHASES,
    "wsd": {**WSD, "objective": "mlm"},
    "continued": {
        **WSD,
        "objective": "mlm",
        "steps": 6,
        "continue_from": "{output}/wsd/checkpoints/step-0000000002",
    },
    "wsd_sqrt": {**WSD, "lr_schedule": "wsd_sqrt"},
    "z_loss": {"z_loss": 0.1},
    "optimizer": OPTIMIZER,
    "lamb": {"optimizer": "lamb", **OPTIMIZER},
    "mixture": MIXTURE,
    "recipe": {"recipe": "fast"},
    "ema": {"ema_momentum": 0.5},
    # Nearly all at once.
    "everything": {
        **WSD,
        **MIXTURE,
        **OPTIMIZER,
        **PHASES,
        "recipe": "fast",
        "objective": "mlm",
        "pack_documents": True,
        "mask_unit": "span",
        "z_loss": 0.1,
        "ema_momentum": 0.5,
    },
}


def options(case: str, given: str, output: str) -> PretrainOptions:
    """The options of a case, and those that all have."""
    common = {
        "corpus": "{given}/one",
        "validation_corpus": "{given}/two",
        "preset": "small",
        "steps": 4,
        "batch_size": 4,
        "sequence_length": 16,
        "validation_interval": 2,
        "validation_batches": 2,
        "dropout": 0.0,
    }
    flags = {**common, **CASES[case], "output": f"{output}/{case}"}

    def filled(value):
        if isinstance(value, list):
            return [filled(one) for one in value]
        return value.format(given=given, output=output) if isinstance(value, str) else value

    flags = {name: filled(value) for name, value in flags.items()}
    names = {field.name for field in dataclasses.fields(PretrainOptions)}
    return PretrainOptions(**flags).with_recipe(names - flags.keys())


def with_fixed_weights(build):
    """Builds models whose first weights are the same on each backend."""

    def built(*arguments):
        model = build(*arguments)
        for number, variable in enumerate(model.trainable_variables):
            noise = np.random.default_rng(number).normal(0, 0.2, variable.shape)
            variable.assign(noise + ("gamma" in variable.path))
        return model

    return built


if __name__ == "__main__":
    PRESETS["small"] = SMALL
    recipe.build = with_fixed_weights(recipe.build)
    for name in sys.argv[3:]:
        recipe.pretrain(options(name, *sys.argv[1:3]))
        assert pathlib.Path(sys.argv[2], name, "model").exists()
