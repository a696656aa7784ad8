"""TensorBoard's event files, written as they are: records of a few protobuf fields with checksums.

The layout has been the same since 2015 and three message types serve us. PyTorch's own writer wants the whole
viewer with gRPC (50 MB) beside it, lighter ones protobuf, a thread and a queue; so a run can be watched
wherever vsr runs. Fields are numbered in TensorFlow's event.proto and summary.proto, records described in its
record_writer.h.
"""

import os
import socket
import struct
import time
from pathlib import Path

_VARINT, _DOUBLE, _BYTES, _FLOAT = 0, 1, 2, 5
"""Protobuf's wire types."""


class EventFile:
    """One event file; TensorBoard reads all those of a folder together."""

    def __init__(self, folder: Path, *, first: int):
        """Begin a file of a run that goes on with step `first`; what earlier files say of later steps is
        forgotten."""
        name = f"events.out.tfevents.{time.time_ns()}.{socket.gethostname()}.{os.getpid()}"
        self._file = (folder / name).open("wb")
        self._write(0, _field(3, _BYTES, b"brain.Event:2"))
        start = _field(1, _VARINT, 1)
        self._write(first + 1, _field(7, _BYTES, start))

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def numbers(self, step: int, values: dict[str, float]) -> None:
        """Write numbers by name."""
        parts = (
            _field(1, _BYTES, name.encode()) + _field(2, _FLOAT, value) for name, value in values.items()
        )
        self._write(step, _field(5, _BYTES, b"".join(_field(1, _BYTES, part) for part in parts)))

    def picture(self, step: int, name: str, png: bytes, size: tuple[int, int]) -> None:
        """Write a PNG file's content of height and width `size`."""
        sizes = _field(1, _VARINT, size[0]) + _field(2, _VARINT, size[1]) + _field(3, _VARINT, 3)
        image = sizes + _field(4, _BYTES, png)
        value = _field(1, _BYTES, name.encode()) + _field(4, _BYTES, image)
        self._write(step, _field(5, _BYTES, _field(1, _BYTES, value)))

    def _write(self, step: int, content: bytes) -> None:
        event = _field(1, _DOUBLE, time.time()) + _field(2, _VARINT, step) + content
        length = struct.pack("<Q", len(event))
        self._file.write(length + _masked(length) + event + _masked(event))
        self._file.flush()


def _field(number: int, wire: int, value: float | bytes) -> bytes:
    key = _varint(number << 3 | wire)
    if isinstance(value, bytes):
        return key + _varint(len(value)) + value
    if wire == _VARINT:
        return key + _varint(int(value))
    return key + struct.pack("<d" if wire == _DOUBLE else "<f", value)


def _varint(value: int) -> bytes:
    """Seven bits a byte, the lowest first; the top bit says that more follow."""
    parts: list[int] = []
    while value >= 128:
        parts.append(value & 127 | 128)
        value >>= 7
    return bytes([*parts, value])


def _crc_table() -> list[int]:
    table: list[int] = []
    for crc in range(256):
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)  # Castagnoli's polynomial, reflected
        table.append(crc)
    return table


_TABLE = _crc_table()


def _masked(data: bytes) -> bytes:
    """CRC-32C, turned and shifted, since a checksum of data with its checksum in it would say little."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ _TABLE[(crc ^ byte) & 255]
    crc ^= 0xFFFFFFFF
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)
