"""ONNX files written by hand."""

from pathlib import Path

import numpy as np
import pytest
from support.protobuf_writer import field

Sides = list[int | str]


def has_runtime() -> None:
    pytest.importorskip("onnxruntime", reason="no onnxruntime (extra onnx)", exc_type=ImportError)


def value(name: str, shape: Sides) -> bytes:
    """ValueInfoProto of floats."""
    dims = b"".join(field(1, field(1 if isinstance(side, int) else 2, side)) for side in shape)
    return field(1, name) + field(2, field(1, field(1, 1) + field(2, dims)))


def weights(name: str, values: np.ndarray) -> bytes:
    dims = b"".join(field(1, side) for side in values.shape)
    return field(5, dims + field(2, 1) + field(8, name) + field(9, values.astype("<f4").tobytes()))


def node(operation: str, given: list[str], made: str, **attributes: int | str | list[int]) -> bytes:
    body = b"".join(field(1, key) for key in given) + field(2, made) + field(4, operation)
    for key, content in attributes.items():
        entry = field(1, key)
        if isinstance(content, int):
            entry += field(3, content) + field(20, 2)
        elif isinstance(content, str):
            entry += field(4, content) + field(20, 3)
        else:
            entry += b"".join(field(8, item) for item in content) + field(20, 7)
        body += field(5, entry)
    return field(1, body)


def write(path: Path, nodes: bytes, given: Sides, made: Sides) -> Path:
    graph = nodes + field(2, "net") + field(11, value("in", given)) + field(12, value("out", made))
    path.write_bytes(field(1, 8) + field(8, field(2, 13)) + field(7, graph))
    return path
