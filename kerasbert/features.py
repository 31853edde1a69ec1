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
of each row, instead of `padding_mask`.

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


def is_text(x: Any) -> bool:
    """Returns whether `x` is raw text, as opposed to features.

    Features are a dict with `token_ids`, tensors or arrays of numbers with at least two dimensions,
    lists of lists of numbers, or a `tf.data.Dataset` of these, alone or first in a tuple.
    Everything else is text or invalid (see `kerasbert.data.inputs`).
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
    # Numbers alone are neither; what reads text refuses them in one line.
    return hasattr(x, "to_pylist") or isinstance(x, numbers.Number)  # PyArrow's arrays


def validation_parts(data: Any) -> tuple[Any, ...]:
    """Returns the existing parts of Keras's `validation_data`: inputs, labels and weights."""
    is_several = isinstance(data, tuple | list) and data and not isinstance(data[0], str | bytes)
    return tuple(data) if is_several else (data,)


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
