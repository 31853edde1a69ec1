"""TensorBoard's event files, which need neither TensorFlow nor TensorBoard to be written.

A file is a sequence of records: a length of 64 bits, a checksum of it, that many bytes, a checksum
of them. A record is an `Event`, a protocol buffer: time, step, and a summary of named values.
"""

import os
import pathlib
import socket
import struct
import time
from collections.abc import Mapping

_DOUBLE, _BYTES, _FLOAT, _INTEGER = 1, 2, 5, 0  # how protocol buffers store fields
_POLYNOMIAL = 0x82F63B78  # CRC-32C, the lowest bit first
_MASK = 0xA282EAD8


class EventWriter:
    """Appends scalars to an event file of its own.

    Args:
        directory: where it is; made if it is not there.
    """

    def __init__(self, directory: pathlib.Path):
        directory.mkdir(parents=True, exist_ok=True)
        name = f"events.out.tfevents.{int(time.time()):010d}.{socket.gethostname()}.{os.getpid()}"
        number = sum(path.name.startswith(name) for path in directory.iterdir())
        self.path = directory / f"{name}.{number}"
        self._append(_bytes(3, b"brain.Event:2"))

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Appends a record with one value for each name."""
        scalars = [
            _bytes(1, _bytes(1, name.encode()) + _field(2, _FLOAT, struct.pack("<f", value)))
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
    """CRC-32C, turned and moved, since the data may hold checksums too."""
    found = 0xFFFFFFFF
    for byte in data:
        found = _TABLE[(found ^ byte) & 255] ^ found >> 8
    found ^= 0xFFFFFFFF
    masked = (found >> 15 | found << 17) + _MASK
    return struct.pack("<I", masked & 0xFFFFFFFF)
