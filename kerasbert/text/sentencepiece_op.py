"""The SentencePiece op of TensorFlow Text, with the model in a persistent resource."""

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


def load_pieces(data: bytes, source: str) -> list[str]:
    """Returns the pieces of a model; needs no TensorFlow.

    Args:
        data: bytes, the content of a model file.
        source: string, the name of the file in messages.

    Raises:
        InputError: the data is not a SentencePiece model, or would crash the library.
    """
    model = parse(data, source)
    pieces = pieces_of(model, source)
    if not np.isfinite([piece.score for piece in model.pieces]).all():
        raise InputError(f"{source}: contains a score that is not a finite number")
    for spec in (model.normalizer_spec, model.denormalizer_spec):
        check_rules(spec.precompiled_charsmap, source)
    return pieces


def load_op(data: bytes, source: str, num_pieces: int) -> tf_text.SentencepieceTokenizer:
    """Returns the op for a model.

    Args:
        data: bytes, a model that `load_pieces` accepts.
        source: string, the name of the file in messages.
        num_pieces: integer, the number of its pieces.

    Raises:
        InputError: the library does not load the model.
    """
    # Ops of the same name in one SavedModel would share one model.
    name = f"sentencepiece_{hashlib.sha256(data).hexdigest()[:32]}"
    # Outside any graph, so that the model outlives the function that is being traced.
    with tf.init_scope():
        try:
            op = tf_text.SentencepieceTokenizer(data, out_type=tf.int32, name=name)
            _compat.set_sentencepiece_resource(op, _shared_model_class()(data, name))
            count = int(op.vocab_size())
        except tf.errors.OpError:
            raise no_model(source) from None
    if count != num_pieces:  # the library and Python parse it differently
        raise no_model(source)
    return op


@functools.cache
def _shared_model_class() -> type:
    class SharedModel(tf.saved_model.experimental.TrackableResource):
        """A SentencePiece model in a resource with a name.

        The resource of TensorFlow Text belongs to the op's kernel, which `tf.random.set_seed`
        deletes.
        """

        def __init__(self, data: bytes, name: str):
            super().__init__()
            self._data, self._name = data, name
            _ = self.resource_handle  # created here, outside any graph

        def _create_resource(self):
            with tf.name_scope(self._name):
                return _compat.sentencepiece_resource(self._data, self._name)

    return SharedModel
