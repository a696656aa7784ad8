"""Writing protobuf messages, as small as the reader: graphs for tests, without TensorFlow or ONNX."""


def number(value: int) -> bytes:
    out = b""
    while value > 127:
        out, value = out + bytes([value & 127 | 128]), value >> 7
    return out + bytes([value])


def field(key: int, content: bytes | int | str) -> bytes:
    if isinstance(content, int):
        return number(key << 3) + number(content)
    content = content.encode() if isinstance(content, str) else content
    return number(key << 3 | 2) + number(len(content)) + content
