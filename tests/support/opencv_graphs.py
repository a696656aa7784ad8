"""TensorFlow graphs as OpenCV's super-resolution has them, written by hand."""

import numpy as np
from support.protobuf_writer import field


def node(name: str, operation: str, *inputs: str, **attributes: bytes) -> bytes:
    body = (
        field(1, name.encode())
        + field(2, operation.encode())
        + b"".join(field(3, key.encode()) for key in inputs)
    )
    body += b"".join(field(5, field(1, key.encode()) + field(2, value)) for key, value in attributes.items())
    return field(1, body)


def constant(name: str, values: np.ndarray) -> bytes:
    shape = b"".join(field(2, field(1, side)) for side in values.shape)
    tensor = field(1, 1) + field(2, shape) + field(4, values.astype("<f4").tobytes())
    return node(name, "Const", dtype=field(6, 1), value=field(8, tensor))


ONES = field(1, field(3, bytes([1, 1, 1, 1])))


def convolution(name: str, given: str, kernel: str, strides: bytes = ONES) -> bytes:
    return node(name, "Conv2D", given, kernel, strides=strides, padding=field(2, b"SAME"))


def graph(colors: int, side: int = 3, scale: int = 2) -> tuple[bytes, dict[str, np.ndarray]]:
    """Convolution, bias, ReLU, a second convolution and the rearrangement, as EDSR's tail is."""
    rng = np.random.default_rng(0)
    weights = {
        "f1": rng.normal(0, 0.3, (side, side, colors, 5)).astype(np.float32),
        "b1": rng.normal(0, 0.3, 5).astype(np.float32),
        "f2": rng.normal(0, 0.3, (3, 3, 5, colors * scale**2)).astype(np.float32),
    }
    content = b"".join(constant(key, value) for key, value in weights.items())
    content += node("input", "Placeholder") + convolution("conv1", "input", "f1")
    content += (
        node("add", "BiasAdd", "conv1", "b1")
        + node("relu", "Relu", "add")
        + convolution("conv2", "relu", "f2")
    )
    content += node("large", "DepthToSpace", "conv2", block_size=field(3, scale))
    return content + node("NCHW_output", "Transpose", "large", "order") + node(
        "order", "Const", dtype=field(6, 3), value=b""
    ), weights  # fmt: skip
