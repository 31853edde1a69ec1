"""SentencePiece's op in TensorFlow Text, with its model in a resource that lasts."""

from __future__ import annotations

import functools
import hashlib

import numpy as np

from kerasbert import _compat
from kerasbert.errors import InputError
from kerasbert.lazy import tensorflow as tf
from kerasbert.lazy import tensorflow_text as tf_text
from kerasbert.text.charsmap import check_rules
from kerasbert.text.sentencepiece_model import no_model, parse, pieces_of


def load_model(data: bytes, source: str) -> tuple[tf_text.SentencepieceTokenizer, list[str]]:
    """The op of a model's bytes, and the model's pieces.

    Raises:
        InputError: it is no such model, or one that the library would crash with.
    """
    model = parse(data, source)
    pieces = pieces_of(model, source)
    if not np.isfinite([piece.score for piece in model.pieces]).all():
        raise InputError(f"{source}: has a score that is no finite number")
    for spec in (model.normalizer_spec, model.denormalizer_spec):
        check_rules(spec.precompiled_charsmap, source)
    # Two models in one SavedModel would be taken for each other if their ops had the same name.
    name = f"sentencepiece_{hashlib.sha256(data).hexdigest()[:32]}"
    # Outside of any graph, so that the op's model outlives the function that is being traced.
    with tf.init_scope():
        try:
            op = tf_text.SentencepieceTokenizer(data, out_type=tf.int32, name=name)
            _compat.set_sentencepiece_resource(op, _shared_model_class()(data, name))
            count = int(op.vocab_size())
        except tf.errors.OpError:
            raise no_model(source) from None
    if count != len(pieces):  # the library and Python read different ones
        raise no_model(source)
    return op, pieces


@functools.cache
def _shared_model_class() -> type:
    class SharedModel(tf.saved_model.experimental.TrackableResource):
        """A model in the op's keeping, by a name.

        TensorFlow Text's own belongs to the op's kernel, and `tf.random.set_seed` throws kernels
        away.
        """

        def __init__(self, data: bytes, name: str):
            super().__init__()
            self._data, self._name = data, name
            _ = self.resource_handle  # made now, outside of any graph

        def _create_resource(self):
            with tf.name_scope(self._name):
                return _compat.sentencepiece_resource(self._data, self._name)

    return SharedModel
