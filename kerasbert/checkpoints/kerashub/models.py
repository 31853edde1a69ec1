"""KerasHub models, built from our configs."""

from collections.abc import Mapping
from typing import Any

from kerasbert.checkpoints.kerashub.names import ERRORS, reason
from kerasbert.checkpoints.settings import write_settings
from kerasbert.errors import InputError
from kerasbert.families import Layout


def build(layout: Layout, config: Mapping[str, Any], source: str, preprocessor: Any = None) -> Any:
    """Builds the KerasHub model for our config, with uninitialized weights."""
    import keras_hub

    encoder_config, task, head = config["backbone"], config["task"], dict(config.get("head", {}))
    if head.get("dropout") is None:
        head["dropout"] = encoder_config["dropout"]
    settings = write_settings(layout.head_settings.get(task, ()), head)
    try:
        model = getattr(keras_hub.models, layout.models[None])(
            **write_settings(layout.settings, encoder_config), dtype="float32"
        )
        if task is not None:
            make = getattr(keras_hub.models, layout.models[task])
            model = make(backbone=model, preprocessor=preprocessor, **settings)
    except ERRORS as error:
        raise InputError(f"{source}: KerasHub rejects it: {reason(error)}") from None
    return model
