"""What KerasHub's sides have in common."""

import pathlib


def classifier(directory: str, **kwargs):
    """KerasHub's classifier with its preprocessor, of what `store_classifier` wrote."""
    import keras_hub

    return keras_hub.models.BertTextClassifier.from_preset(
        str(pathlib.Path(directory) / "kerashub"), **kwargs
    )


def adamw(rate: float):
    """Keras's AdamW, set as `kerasbert.training.optimizers.adamw`."""
    import keras

    from kerasbert.training.optimizers import NOT_DECAYED

    optimizer = keras.optimizers.AdamW(rate, weight_decay=0.01, epsilon=1e-6, global_clipnorm=1.0)
    optimizer.exclude_from_weight_decay(var_names=list(NOT_DECAYED))
    return optimizer
