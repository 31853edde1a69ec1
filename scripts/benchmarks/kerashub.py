"""Helpers for KerasHub's candidates."""

import pathlib


def classifier(directory: str, **kwargs):
    """Loads KerasHub's classifier, with its preprocessor, that `store_classifier` wrote."""
    import keras_hub

    return keras_hub.models.BertTextClassifier.from_preset(
        str(pathlib.Path(directory) / "kerashub"), **kwargs
    )


def adamw(rate: float):
    """Returns Keras's AdamW with the settings of `kerasbert.training.optimizers.adamw`."""
    import keras

    from kerasbert.training.optimizers import NOT_DECAYED

    optimizer = keras.optimizers.AdamW(rate, weight_decay=0.01, epsilon=1e-6, global_clipnorm=1.0)
    optimizer.exclude_from_weight_decay(var_names=list(NOT_DECAYED))
    return optimizer
