"""The keys, shapes and dtypes of features, raw text and outputs, which all packages share.

Features (all int32, because bool inputs break `fit` under tf.distribute)

=================  ==========================  ====================================================
`token_ids`        (batch, sequence)           vocabulary ids, `[CLS] a [SEP]` or `[CLS] a [SEP] b
                                               [SEP]`, then padding
`padding_mask`     (batch, sequence)           1 for tokens, 0 for padding; defaults to ones
`segment_ids`      (batch, sequence)           0 for the first text, 1 for the second; defaults
                                               to zeros
`mask_positions`   (batch, masked)             the positions of tokens to predict; unused entries
                                               are 0
`original_ids`     (batch, masked)             the tokens at these positions before they were
                                               masked, and
`sampling_draws`   (batch, masked)             random integers to sample others by: in pretraining
                                               by replaced tokens only
`document_ids`     (batch, sequence)           ascending numbers of the documents in a row, in
                                               pretraining on packed documents only
`mlm_labels`       (batch, masked)             their tokens, in steps that compute losses instead of
                                               logits (`StepsWithoutLogits`)
=================  ==========================  ====================================================

The signature `tokens` of an export takes `lengths`, int32 (batch,), the number of unpadded tokens
of each row, instead of `padding_mask`; (batch, choices) or (batch, chunks) where a row has several
sequences. `MaskedLM` and `Pretrainer` also need `mask_positions`.

Raw text (string)

=================  ==========================  ====================================================
`text`             (batch,)                    the only text, or the first of a pair
`text_pair`        (batch,)                    the second of a pair
`text_negative`    (batch,)                    a text similar to `text` that is no match for it
`words`            (batch, words)              a sentence that is already split into words
`question`         (batch,)                    a question about `context`
`context`          (batch,)                    a document of any length
`choices`          (batch, choices)            candidates for `text`, one of which is right
=================  ==========================  ====================================================

Outputs (float32)

===================  ==============================  ==============================================
`sequence_output`    (batch, sequence, hidden)       the last layer
`pooled_output`      (batch, hidden)                 tanh-projected `[CLS]`
`mlm_logits`         (batch, masked, vocabulary)     one row for each of `mask_positions`
`rtd_logits`         (batch, sequence, 2)            whether a token is replaced, and the truth
`nsp_logits`         (batch, 2)                      0: the second text follows the first; 1: not
`start_logits`       (batch, sequence)               the first token of an answer
`end_logits`         (batch, sequence)               the last token of an answer
===================  ==============================  ==============================================
"""

import math
import numbers
from collections.abc import Mapping, Sequence, Set
from typing import Any

from kerasbert.errors import InputError

TOKEN_IDS = "token_ids"
PADDING_MASK = "padding_mask"
SEGMENT_IDS = "segment_ids"
MASK_POSITIONS = "mask_positions"
ORIGINAL_IDS = "original_ids"
SAMPLING_DRAWS = "sampling_draws"
DOCUMENT_IDS = "document_ids"
MLM_LABELS = "mlm_labels"
LENGTHS = "lengths"

TEXT = "text"
TEXT_PAIR = "text_pair"
TEXT_NEGATIVE = "text_negative"
WORDS = "words"
QUESTION = "question"
CONTEXT = "context"
CHOICES = "choices"
#: All columns of raw text.
TEXT_COLUMNS = (TEXT, TEXT_PAIR, TEXT_NEGATIVE, WORDS, QUESTION, CONTEXT, CHOICES)
#: The columns of shape (batch, n), with n strings for each example.
LIST_COLUMNS = (WORDS, CHOICES)

SEQUENCE_OUTPUT = "sequence_output"
POOLED_OUTPUT = "pooled_output"
HIDDEN_STATES = "hidden_states"
ATTENTION_WEIGHTS = "attention_weights"
MLM_LOGITS = "mlm_logits"
RTD_LOGITS = "rtd_logits"
NSP_LOGITS = "nsp_logits"
START_LOGITS = "start_logits"
END_LOGITS = "end_logits"

#: What other libraries call a feature; without its name here it would be ignored.
_NAMES_ELSEWHERE = {
    "attention_mask": PADDING_MASK,
    "input_mask": PADDING_MASK,
    "token_type_ids": SEGMENT_IDS,
    "input_type_ids": SEGMENT_IDS,
    "masked_lm_positions": MASK_POSITIONS,
}


def with_defaults(features: Any) -> dict[str, Any]:
    """Adds the features that are optional.

    Args:
        features: dict with at least `token_ids`, or `token_ids` alone; arrays, tensors or symbolic
            Keras tensors of shape (batch, sequence).

    Returns:
        Dict in which a missing (or None) `padding_mask` is ones, and `segment_ids` zeros.

    Raises:
        ValueError: `token_ids` is missing.
    """
    import keras
    from keras import ops

    features = dict(features) if isinstance(features, dict) else {TOKEN_IDS: features}
    if TOKEN_IDS not in features:
        raise ValueError(f"features must contain {TOKEN_IDS!r}, found {sorted(features)}")
    for key, value in features.items():
        if value is not None and not isinstance(value, keras.KerasTensor):
            features[key] = ops.convert_to_tensor(value, "int32")
    for key, fill in ((PADDING_MASK, ops.ones_like), (SEGMENT_IDS, ops.zeros_like)):
        if features.get(key) is None:
            features[key] = fill(features[TOKEN_IDS])
    return features


def checked(x: Any, config: Any, ranks: Sequence[int] = (2,)) -> Any:
    """Checks features that a user gives: names, shapes, and the values of lists and arrays.

    On GPUs, an id that a table lacks would read as zeros without any error.

    Args:
        x: features, or a dataset of them. Values of tensors and datasets are not checked, because
            they may be symbolic.
        config: `BackboneConfig` of the model that reads them.
        ranks: possible ranks of `token_ids`.

    Returns:
        The same, in which lists are arrays.

    Raises:
        InputError: a feature has the name that another library gives it, has another shape than
            `token_ids`, is ragged or no whole number, or has no row in the model's tables.
    """
    if hasattr(x, "element_spec"):
        spec = x.element_spec
        _check_names(spec[0] if isinstance(spec, tuple) and spec else spec)
        return x
    if not isinstance(x, Mapping):
        return checked({TOKEN_IDS: x}, config, ranks)[TOKEN_IDS]
    _check_names(x)
    limits = {
        TOKEN_IDS: config.vocabulary_size,
        PADDING_MASK: 2,
        SEGMENT_IDS: max(2, config.num_segments),  # models with fewer ignore them
    }
    given = {name: _numbers(name, value, limits.get(name)) for name, value in x.items()}
    shape = static_shape(given.get(TOKEN_IDS))
    if shape is None:
        return given
    if len(shape) not in ranks:
        expected = ("batch", "choices", "sequence") if min(ranks) > 2 else ("batch", "sequence")
        raise InputError(
            f"{TOKEN_IDS} must have the shape ({', '.join(expected)}), found {_shown(shape)}"
        )
    if shape[-1] == 0:
        raise InputError(f"{TOKEN_IDS} has rows without tokens, found the shape {_shown(shape)}")
    if shape[-1] is not None and shape[-1] > config.max_sequence_length:
        raise InputError(
            f"{TOKEN_IDS} has {shape[-1]} tokens per row, but max_sequence_length is "
            f"{config.max_sequence_length}"
        )
    if MASK_POSITIONS in given:
        _numbers(MASK_POSITIONS, given[MASK_POSITIONS], shape[-1])
    for name in (PADDING_MASK, SEGMENT_IDS, DOCUMENT_IDS):
        other = static_shape(given.get(name))
        if other is not None and not _agree(shape, other):
            raise InputError(
                f"{name} must have the shape of {TOKEN_IDS}, {_shown(shape)}, found {_shown(other)}"
            )
    return given


def checked_positions(positions: Any, shape: tuple[int | None, ...] | None) -> Any:
    """Checks the positions of the tokens that a user wants the outputs of.

    Args:
        positions: `output_positions` of a `Backbone`. Values of tensors are not checked.
        shape: the shape of the features, as far as it is known.

    Returns:
        The same; a list is an array.

    Raises:
        InputError: a position is not in the row, or the first of a row is not 0.
    """
    import numpy as np  # not in a program that only reads its flags

    given = _numbers("output_positions", positions, shape[-1] if shape else None)
    size = static_shape(given)
    if size is not None and len(size) != 2:
        raise InputError(
            f"output_positions must have the shape (batch, positions), found {_shown(size)}"
        )
    if not isinstance(given, np.ndarray):
        return given
    if given.size and given[:, 0].any():  # the pooler reads the first token
        raise InputError("the first of output_positions must be 0 in each row")
    return given.astype("int32")


def _check_names(features: Any) -> None:
    for name in features if isinstance(features, Mapping) else ():
        if ours := _NAMES_ELSEWHERE.get(name):
            raise InputError(f"features have {name!r}; it is {ours!r} here")


def _numbers(name: str, value: Any, limit: int | None) -> Any:
    """Returns a feature, as an array if it is a list; checks the values of lists and arrays."""
    import numpy as np  # not in a program that only reads its flags

    if hasattr(value, "row_lengths"):
        raise InputError(f"{name} is ragged; pad it, as its to_tensor() does")
    if not isinstance(value, list | tuple | np.ndarray):
        return value
    try:
        array = np.asarray(value)
    except ValueError:
        raise InputError(f"{name} has rows of different lengths; pad them to the longest") from None
    if array.dtype.kind == "f" and (array == np.floor(array)).all():  # [] is float, too
        array = array.astype("int32")
    if array.dtype.kind not in "iub":
        raise InputError(f"{name} must be whole numbers, found {array.dtype}")
    if limit is not None and array.size and not 0 <= array.min() <= array.max() < limit:
        wrong = array[(array < 0) | (array >= limit)][0]
        raise InputError(f"{name} must be in [0, {limit}), found {wrong}")
    return array


def static_shape(value: Any) -> tuple[int | None, ...] | None:
    """Returns the shape of an array or a tensor, with None for unknown axes.

    Args:
        value: anything.

    Returns:
        A tuple; None if there is no shape, or its rank is unknown.
    """
    shape = getattr(value, "shape", None)
    if shape is None or getattr(shape, "rank", 0) is None:
        return None
    return tuple(shape)


def _agree(one: tuple, other: tuple) -> bool:
    """Returns whether two shapes are equal, as far as they are known."""
    return len(one) == len(other) and all(
        None in pair or pair[0] == pair[1] for pair in zip(one, other, strict=True)
    )


def _shown(shape: tuple) -> str:
    return f"({', '.join('?' if size is None else str(size) for size in shape)})"


def is_text(x: Any) -> bool:
    """Returns whether `x` is raw text, as opposed to features.

    Features are a dict with `token_ids`, tensors or arrays of numbers with at least two dimensions,
    lists of lists of numbers, or a `tf.data.Dataset` of these, alone or first in a tuple.
    Everything else is text or invalid (see `kerasbert.data.inputs`), and the door for text says so.
    """
    if x is None:
        return False
    if hasattr(x, "element_spec"):
        spec = x.element_spec
        return _is_text_spec(spec[0] if isinstance(spec, tuple) and spec else spec)
    if isinstance(x, Mapping):
        return TOKEN_IDS not in x
    if isinstance(x, str | bytes | Set) or _has_columns(x):
        return True
    dtype = getattr(x, "dtype", None)
    if dtype is not None:
        if _is_string_dtype(dtype):
            return True
        shape = getattr(x, "shape", None)
        return isinstance(shape, tuple) and len(shape) < 2 and not isinstance(dtype, str)
    if isinstance(x, Sequence) and not isinstance(x, range):
        return _is_text_list(x)
    return True  # PyArrow's arrays, and numbers and other objects that are neither


def unpacked(batch: Any, what: str = "a batch") -> tuple[Any, Any, Any]:
    """Returns the inputs, labels and weights of a batch, or of Keras's `validation_data`.

    A tuple is `(x,)`, `(x, y)` or `(x, y, sample_weight)`, and so is a list that begins with the
    inputs of several examples. Any other list is the inputs, such as a list of texts; Keras takes
    every list for a tuple.

    Args:
        batch: what a generator yields, a `PyDataset` has, or `validation_data` is.
        what: what it is, for the message.

    Returns:
        Inputs, labels and weights; None for what is missing.

    Raises:
        InputError: a tuple has more than three parts, or none.
    """
    if not isinstance(batch, tuple) and not (isinstance(batch, list) and _begins_with_x(batch)):
        return batch, None, None
    if not 1 <= len(batch) <= 3:
        raise InputError(
            f"{what} must be (x, y) or (x, y, sample_weight), found {len(batch)} values"
        )
    x, y, sample_weight = (*batch, None, None)[:3]
    return x, y, sample_weight


def packed(x: Any, y: Any = None, sample_weight: Any = None) -> tuple[Any, ...]:
    """Returns (x,), (x, y) or (x, y, sample_weight), without None at the end, as Keras expects."""
    parts = x, y, sample_weight
    while parts[-1] is None:
        parts = parts[:-1]
    return parts


def _begins_with_x(values: list) -> bool:
    """Whether the first value is inputs of several examples; otherwise it is that of one."""
    first = values[0] if values else None
    if first is None or isinstance(first, str | bytes | numbers.Number):
        return False
    if isinstance(first, Mapping):
        return not any(isinstance(value, str | bytes) for value in first.values())
    if isinstance(first, list | tuple):
        # A tuple of strings is a row of columns, a list of numbers a row of token ids.
        of_one = numbers.Number if isinstance(first, list) else numbers.Number | str | bytes
        return not first or not isinstance(first[0], of_one)
    shape = static_shape(first)
    if shape is None:
        return hasattr(first, "__getitem__")  # PyArrow's arrays
    return len(shape) > (0 if _is_string_dtype(getattr(first, "dtype", None)) else 1)


def _is_text_list(x: Sequence) -> bool:
    depth, first = 0, x
    while isinstance(first, Sequence) and not isinstance(first, str | bytes):
        if not len(first):
            return True
        depth, first = depth + 1, first[0]
    if isinstance(first, numbers.Real):
        return depth < 2 or math.isnan(first)
    return is_text(first) or first is None


def _is_text_spec(spec: Any) -> bool:
    """Returns whether the elements of a dataset, or any of their columns, are text."""
    if isinstance(spec, Mapping):
        return TOKEN_IDS not in spec and any(map(_is_text_spec, spec.values()))
    if isinstance(spec, tuple):
        return any(map(_is_text_spec, spec))
    return _is_string_dtype(getattr(spec, "dtype", None))


def _is_string_dtype(dtype: Any) -> bool:
    if getattr(dtype, "kind", None) in ("U", "S", "O", "T"):  # NumPy, pandas
        return True
    return str(getattr(dtype, "name", dtype)).lower() in ("string", "str", "list")


def _has_columns(x: Any) -> bool:
    named = (getattr(x, name, None) for name in ("columns", "column_names"))
    return hasattr(x, "__getitem__") and any(n is not None and not callable(n) for n in named)
