"""Writes TensorBoard's event files, without TensorFlow or TensorBoard.

A file is a sequence of records: a 64-bit length, its checksum, that many bytes, their checksum. The
bytes are an `Event`, a protocol buffer with a time, a step, and a summary of named values.
"""

import math
import os
import pathlib
import socket
import struct
import time
from collections.abc import Mapping

_DOUBLE, _BYTES, _FLOAT, _INTEGER = 1, 2, 5, 0  # wire types of protocol buffers
_POLYNOMIAL = 0x82F63B78  # of CRC-32C, lowest bit first
_MASK = 0xA282EAD8


class EventWriter:
    """Creates an event file and appends scalars to it.

    Args:
        directory: directory of the file; created if it does not exist.
    """

    def __init__(self, directory: pathlib.Path):
        directory.mkdir(parents=True, exist_ok=True)
        name = f"events.out.tfevents.{int(time.time()):010d}.{socket.gethostname()}.{os.getpid()}"
        number = sum(path.name.startswith(name) for path in directory.iterdir())
        self.path = directory / f"{name}.{number}"
        self._append(_bytes(3, b"brain.Event:2"))

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Appends a record with the values of a step, by name."""
        scalars = [
            _bytes(1, _bytes(1, name.encode()) + _field(2, _FLOAT, _float(value)))
            for name, value in values.items()
        ]
        self._append(_field(2, _INTEGER, _varint(step)) + _bytes(5, b"".join(scalars)))

    def _append(self, event: bytes) -> None:
        record = _field(1, _DOUBLE, struct.pack("<d", time.time())) + event
        length = struct.pack("<Q", len(record))
        with open(self.path, "ab") as file:
            file.write(length + _checksum(length) + record + _checksum(record))


def _field(number: int, kind: int, content: bytes) -> bytes:
    return bytes([number << 3 | kind]) + content


def _bytes(number: int, content: bytes) -> bytes:
    return _field(number, _BYTES, _varint(len(content)) + content)


def _float(value: float) -> bytes:
    try:
        return struct.pack("<f", value)
    except OverflowError:  # such as a perplexity: the largest float32 is 3.4e38
        return struct.pack("<f", math.copysign(math.inf, value))


def _varint(number: int) -> bytes:
    parts = []
    while number > 127:
        parts.append(number & 127 | 128)
        number >>= 7
    return bytes([*parts, number])


def _table() -> list[int]:
    table = list(range(256))
    for _ in range(8):
        table = [value >> 1 ^ _POLYNOMIAL * (value & 1) for value in table]
    return table


_TABLE = _table()


def _checksum(data: bytes) -> bytes:
    """Returns the masked CRC-32C: rotated and offset, since the data may contain checksums."""
    found = 0xFFFFFFFF
    for byte in data:
        found = _TABLE[(found ^ byte) & 255] ^ found >> 8
    found ^= 0xFFFFFFFF
    masked = (found >> 15 | found << 17) + _MASK
    return struct.pack("<I", masked & 0xFFFFFFFF)
