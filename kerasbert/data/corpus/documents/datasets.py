"""Documents of data sets that have a name."""

from __future__ import annotations

from collections.abc import Iterator

from kerasbert.errors import InputError

TFDS = "tfds:"


def read_tfds(source: str, text_column: str) -> Iterator[tuple[int, str]]:
    """Reads `tfds:NAME` or `tfds:NAME:SPLIT`; yields the number and the text of each example.

    Raises:
        InputError: TFDS does not have it, or it has no such feature.
    """
    import tensorflow_datasets as tfds  # slow, and seldom needed

    _, name, *split = source.split(":", 2)
    try:
        builder = tfds.builder(name)
        if text_column not in builder.info.features:
            paths = ", ".join(builder.info.features)
            raise InputError(f"{source}: has no feature {text_column!r}; its features are {paths}")
        builder.download_and_prepare()
        examples = builder.as_dataset(split=split[0] if split else "train")
    except tfds.core.DatasetNotFoundError:
        raise InputError(f"{source}: TFDS has no dataset of this name") from None
    except (AssertionError, KeyError, TypeError, ValueError) as error:
        raise InputError(f"{source}: TFDS can't read it ({str(error).splitlines()[0]})") from None
    for number, example in enumerate(tfds.as_numpy(examples)):
        yield number, example[text_column].decode("utf-8", "replace")
