"""Reading protobuf messages by field number: as much as TensorFlow's graphs need."""

from collections.abc import Iterator


def fields_at(message: bytes, *numbers: int) -> Iterator[bytes]:
    """Yield what lies at a path of field numbers.

    Raises:
        IndexError, KeyError, ValueError: it is no protobuf message.
    """
    if not numbers:
        yield message
        return
    for number, content in message_fields(message):
        if number == numbers[0]:
            yield from fields_at(content, *numbers[1:])


def message_fields(message: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the fields of a protobuf message: number and content.

    protobuf.dev/programming-guides/encoding: a key of number and wire type, then a varint, 8 bytes, a length
    with as many bytes, or 4 bytes.
    """
    at = 0
    while at < len(message):
        key, at = varint(message, at)
        kind = key & 7
        if kind == 0:
            _, end = varint(message, at)
        elif kind == 2:
            length, at = varint(message, at)
            end = at + length
        else:
            end = at + {1: 8, 5: 4}[kind]
        if end > len(message):
            raise IndexError("a field ends after its message")
        yield key >> 3, message[at:end]
        at = end


def varint(message: bytes, at: int = 0) -> tuple[int, int]:
    """The number that begins at a place, and where it ends."""
    value = shift = 0
    while shift < 70:
        byte = message[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at
    raise ValueError("a number of more than ten bytes")
