# Written by tests/stubs.py.

from kerasbert.metrics import classification as classification
from kerasbert.metrics import entities as entities
from kerasbert.metrics import squad as squad

__all__ = [
]
