"""The contract: the key, shape and dtype of everything that flows between the rooms.

Features (int32, all of them: a bool input breaks `fit` under tf.distribute)

=================  ==========================  ====================================================
`token_ids`        (batch, sequence)           vocabulary ids, `[CLS] a [SEP]` or `[CLS] a [SEP] b
                                               [SEP]`, then padding
`padding_mask`     (batch, sequence)           1 on real tokens, 0 on padding; absent means ones
`segment_ids`      (batch, sequence)           0 for the first text, 1 for the second; absent
                                               means zeros
`mask_positions`   (batch, masked)             where to predict tokens; unused places point at 0
=================  ==========================  ====================================================

An export's signature `tokens` takes `lengths`, int32 (batch,), the real tokens of each row, in
place of `padding_mask`.

Raw text (string)

=================  ==========================  ====================================================
`text`             (batch,)                    the only text, or the first of a pair
`text_pair`        (batch,)                    the second of a pair
`text_negative`    (batch,)                    what resembles `text` but does not go with it
`words`            (batch, words)              a sentence that is cut into words already
`question`         (batch,)                    what is asked of `context`
`context`          (batch,)                    a document of any length
`choices`          (batch, choices)            what may go with `text`; one of them does
=================  ==========================  ====================================================

Outputs (float32)

===================  ==============================  ==============================================
`sequence_output`    (batch, sequence, hidden)       the last layer
`pooled_output`      (batch, hidden)                 tanh-projected `[CLS]`
`mlm_logits`         (batch, masked, vocabulary)     one row for each of `mask_positions`
`nsp_logits`         (batch, 2)                      0: the second text follows the first; 1: not
`start_logits`       (batch, sequence)               where an answer starts
`end_logits`         (batch, sequence)               where it ends
===================  ==============================  ==============================================
"""

from typing import Any

TOKEN_IDS = "token_ids"
PADDING_MASK = "padding_mask"
SEGMENT_IDS = "segment_ids"
MASK_POSITIONS = "mask_positions"
LENGTHS = "lengths"

TEXT = "text"
TEXT_PAIR = "text_pair"
TEXT_NEGATIVE = "text_negative"
WORDS = "words"
QUESTION = "question"
CONTEXT = "context"
CHOICES = "choices"
_RAW = (TEXT, WORDS, QUESTION)
#: Those of shape (batch, n): n strings for each example.
LISTS = (WORDS, CHOICES)

SEQUENCE_OUTPUT = "sequence_output"
POOLED_OUTPUT = "pooled_output"
HIDDEN_STATES = "hidden_states"
ATTENTION_WEIGHTS = "attention_weights"
MLM_LOGITS = "mlm_logits"
NSP_LOGITS = "nsp_logits"
START_LOGITS = "start_logits"
END_LOGITS = "end_logits"


def with_defaults(features: Any) -> dict:
    """Fills in the features that may be left out.

    Args:
        features: a dict with at least `token_ids`, or `token_ids` itself; arrays, tensors or
            symbolic Keras tensors of shape (batch, sequence).

    Returns:
        A dict in which an absent (or None) `padding_mask` is ones and `segment_ids` zeros.
    """
    import keras
    from keras import ops

    features = dict(features) if isinstance(features, dict) else {TOKEN_IDS: features}
    if TOKEN_IDS not in features:
        raise ValueError(f"features need {TOKEN_IDS!r}; found {sorted(features)}")
    for key, value in features.items():
        if value is not None and not isinstance(value, keras.KerasTensor):
            features[key] = ops.convert_to_tensor(value, "int32")
    for key, fill in ((PADDING_MASK, ops.ones_like), (SEGMENT_IDS, ops.zeros_like)):
        if features.get(key) is None:
            features[key] = fill(features[TOKEN_IDS])
    return features


def is_text(x: Any) -> bool:
    """Whether `x` is raw text rather than features.

    Text is a string sequence, array or tensor, a tuple of two of them, a list of lists of words, a
    dict of the raw keys above, or a `tf.data.Dataset` whose elements are one of these, alone or
    first in a tuple.
    """
    if hasattr(x, "element_spec"):
        spec = x.element_spec
        return is_text(spec) or (isinstance(spec, tuple) and bool(spec) and is_text(spec[0]))
    if isinstance(x, dict):
        return any(key in x for key in _RAW)
    if is_pair(x):
        return _is_strings(x[0]) and _is_strings(x[1])
    return _is_strings(x) or is_words(x)


def is_pair(x: Any) -> bool:
    """Whether `x` has the form of two columns of text."""
    return isinstance(x, tuple) and len(x) == 2 and not isinstance(x[0], str | bytes)


def is_words(x: Any) -> bool:
    """Whether `x` is a list of sentences that are lists of words."""
    return (
        isinstance(x, list)
        and bool(x)
        and all(isinstance(one, list) and (not one or _is_strings(one)) for one in x)
    )


def _is_strings(x: Any) -> bool:
    if isinstance(x, list | tuple):
        return bool(x) and isinstance(x[0], str | bytes)
    dtype = getattr(x, "dtype", None)
    if getattr(dtype, "kind", None) in ("U", "S", "O", "T"):  # NumPy
        return True
    return getattr(dtype, "name", None) == "string"  # TensorFlow
