"""What an ONNX file keeps as numbers, looked through before onnxruntime gets
it (onnx.proto, read by field number).

A graph may name other files for its weights, by any path; only plain files in its own folder are let through.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vsr.errors import ModelError
from vsr.models.files.protobuf import fields_at, message_fields, varint

_FLOATS = {1: "<f4", 10: "<f2", 11: "<f8"}
"""TensorProto.DataType of numbers that may be none."""


@dataclass(frozen=True, slots=True)
class _Tensor:
    """A TensorProto, as far as it matters."""

    name: str
    sides: list[int]
    kind: int
    raw: bytes
    content: bytes
    """Floats in a field of their own."""
    elsewhere: list[str]
    """Other files' paths; empty where the numbers are in this one."""


def check_onnx(path: Path) -> float:
    """Look through all numbers of a file.

    Returns:
        How many numbers its four-dimensional weights have.

    Raises:
        ModelError: it is none, or its weights lie outside its folder or are no numbers.
    """
    count = 0
    try:
        tensors = [_tensor(each) for each in _tensors(path.read_bytes())]
    except (LookupError, ValueError, RecursionError):
        raise ModelError(f"{path.name} cannot be read as ONNX: it is damaged, or none at all") from None
    for tensor in tensors:
        for place in tensor.elsewhere:
            _check_place(tensor.name, place, path)
        if not _are_numbers(tensor):
            raise ModelError(f"{path.name} is damaged: {tensor.name} holds values that are no numbers")
        count += math.prod(tensor.sides) if len(tensor.sides) == 4 else 0
    return count


def bytes_beside(path: Path) -> int:
    """Size of the files that an ONNX file keeps weights in; 0 where it is none."""
    try:
        places = {place for each in _tensors(path.read_bytes()) for place in _tensor(each).elsewhere}
    except (LookupError, ValueError, RecursionError):
        return 0
    files = [path.parent / place for place in places if Path(place).name == place]
    return sum(file.stat().st_size for file in files if file.is_file())


def _are_numbers(tensor: _Tensor) -> bool:
    """Infinity may be meant: masks of attention hold it."""
    values, kind = tensor.raw or tensor.content, _FLOATS.get(tensor.kind, "")
    if not kind or len(values) % np.dtype(kind).itemsize:
        return True  # of another kind, or for onnxruntime to refuse
    return not np.isnan(np.frombuffer(values, kind)).any()


def _check_place(name: str, place: str, path: Path) -> None:
    beside = path.parent / place
    if Path(place).name != place or "\\" in place or beside.is_symlink():
        raise ModelError(f"{path.name} keeps {name} in {place!r}; a file beside it is accepted")
    if not beside.is_file():
        raise ModelError(f"{path.name} keeps {name} in {place!r}, which is not beside it")


def _tensors(model: bytes) -> Iterator[bytes]:
    """Every TensorProto: initializers, constants in attributes, and those of graphs and functions within."""
    for graph in fields_at(model, 7):
        yield from _of_graph(graph)
    for node in fields_at(model, 25, 7):
        yield from _of_node(node)


def _of_graph(graph: bytes) -> Iterator[bytes]:
    for number, content in message_fields(graph):
        if number == 1:
            yield from _of_node(content)
        elif number == 5:
            yield content
        elif number == 15:  # sparse: values and indices
            yield from fields_at(content, 1)
            yield from fields_at(content, 2)


def _of_node(node: bytes) -> Iterator[bytes]:
    for attribute in fields_at(node, 5):
        for number, content in message_fields(attribute):
            if number in (5, 10):
                yield content
            elif number in (6, 11):
                yield from _of_graph(content)
            elif number in (22, 23):
                yield from fields_at(content, 1)
                yield from fields_at(content, 2)


def _tensor(message: bytes) -> _Tensor:
    by_number: dict[int, list[bytes]] = {}
    for number, content in message_fields(message):
        by_number.setdefault(number, []).append(content)
    # Of what is said twice, readers take the one or the other.
    entries = [(list(fields_at(each, 1)), list(fields_at(each, 2))) for each in by_number.get(13, [])]
    places = [place for keys, values in entries if b"location" in keys for place in values]
    kind = varint(by_number[2][-1])[0] if 2 in by_number else 0
    return _Tensor(
        name=by_number.get(8, [b"a tensor"])[0].decode("utf-8", "replace")[:100],
        sides=[side for dims in by_number.get(1, []) for side in _varints(dims)],
        kind=kind,
        raw=b"".join(by_number.get(9, [])),
        content=b"".join(by_number.get({1: 4, 11: 10}.get(kind, 0), [])),
        elsewhere=[place.decode("utf-8", "replace")[:200] for place in places],
    )


def _varints(packed: bytes) -> list[int]:
    values, at = [], 0
    while at < len(packed):
        value, at = varint(packed, at)
        values.append(value)
    return values
