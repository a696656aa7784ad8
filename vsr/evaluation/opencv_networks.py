"""The networks of OpenCV's super-resolution module, to compare with: TensorFlow graphs that see luma alone.

OpenCV 5 has no `dnn_superres` any more, and its reader stops at these graphs' rearrangement of channels (it
asks a DepthToSpace for `blocksize`, TensorFlow writes `block_size`). So a graph is cut there, and the little
that follows, the rearrangement and a tanh or a bias, is done here.
"""

import math
import struct
from collections.abc import Generator, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from vsr.errors import ModelError
from vsr.frames import Frame
from vsr.models import fields_at, message_fields, varint

Array = npt.NDArray[Any]

_NODE, _NAME, _OPERATION, _INPUT = 1, 1, 2, 3
_TENSOR = (5, 2, 8)
_SIDES, _FLOATS = (2, 2, 1), 5
"""Fields of a TensorFlow graph: its nodes; a node's name, operation and inputs; a constant's tensor (attr →
value → tensor); of that, its sizes (shape → dim → size) and its numbers where there are few. From
tensorflow/core/framework: graph.proto, node_def.proto, attr_value.proto, tensor.proto, tensor_shape.proto.
"""


class OpenCvNetwork:
    """A `.pb` file of OpenCV's dnn_superres, such as FSRCNN or ESPCN, run as that module does.

    Luma goes through the network, chroma through OpenCV's bicubic.

    Args:
        path: the graph.
        scale: what it enlarges by; the file does not say.
        threads: of OpenCV, for as long as a stream runs.

    Raises:
        ModelError: the file is no such graph, or enlarges by something else.
    """

    def __init__(self, path: Path, scale: int, *, threads: int):
        self._scale, self._threads = scale, threads
        try:
            graph, self._bias, self._ends_in_tanh = _cut(path.read_bytes())
            self.kflop_per_pixel = _multiplications(graph) * 2 / 1000
            """Thousand operations per input pixel: every kernel is applied at every pixel."""
            self._net: Any = cv2.dnn.readNetFromTensorflow(np.frombuffer(graph, np.uint8))
            channels = self._forward(np.zeros((8, 8), np.uint8)).shape[1]
        except (OSError, IndexError, KeyError, ValueError, struct.error, cv2.error) as error:
            raise ModelError(
                f"{path} cannot be read as a network of OpenCV's dnn_superres: {error}"
            ) from error
        if channels != scale**2:
            raise ModelError(
                f"{path} gives {channels} samples for each pixel; at scale {scale} {scale**2} are expected"
            )

    def run(self, frames: Iterable[Frame]) -> Generator[Frame, None, None]:
        """Enlarge 8-bit frames, RGB or Y'CbCr, one after the other."""
        threads_before = cv2.getNumThreads()
        cv2.setNumThreads(self._threads)
        try:
            for frame in frames:
                yield self._enlarged(frame)
        finally:
            cv2.setNumThreads(threads_before)

    def _enlarged(self, frame: Frame) -> Frame:
        rgb = frame.format.layout == "rgb"
        planes = frame.planes
        if rgb:
            planes = cv2.split(cv2.cvtColor(cv2.merge(planes), cv2.COLOR_RGB2YCrCb))
        large = [self._luma(np.ascontiguousarray(planes[0])), *(self._chroma(plane) for plane in planes[1:])]
        if rgb:
            large = cv2.split(cv2.cvtColor(cv2.merge(large), cv2.COLOR_YCrCb2RGB))
        height, width = large[0].shape
        return replace(frame, planes=tuple(large), format=replace(frame.format, height=height, width=width))

    def _forward(self, luma: Array) -> Array:
        self._net.setInput(cv2.dnn.blobFromImage(luma, 1 / 255))
        return self._net.forward()

    def _luma(self, luma: Array) -> Array:
        phases, scale = self._forward(luma)[0], self._scale
        _, height, width = phases.shape
        phases = np.tanh(phases) if self._ends_in_tanh else phases + self._bias
        large = (
            phases.reshape(scale, scale, height, width)
            .transpose(2, 0, 3, 1)
            .reshape(height * scale, width * scale)
        )
        return cv2.convertScaleAbs(np.maximum(large, 0), alpha=255)

    def _chroma(self, plane: Array) -> Array:
        size = (plane.shape[1] * self._scale, plane.shape[0] * self._scale)
        return cv2.resize(np.ascontiguousarray(plane), size, interpolation=cv2.INTER_CUBIC)


def _cut(graph: bytes) -> tuple[bytes, float, bool]:
    """Cut a graph before its DepthToSpace; returns that, and the bias or tanh that follows."""
    kept, constants = b"", dict[bytes, bytes]()
    bias, ends_in_tanh, passed = 0.0, False, False
    for number, content, whole in message_fields(graph):
        operation = next(fields_at(content, _OPERATION), b"") if number == _NODE else b""
        passed |= operation == b"DepthToSpace"
        if operation == b"Const":
            constants[next(fields_at(content, _NAME))] = next(fields_at(content, *_TENSOR, _FLOATS), b"")
        elif operation == b"BiasAdd" and passed:
            (bias,) = struct.unpack("<f", constants[list(fields_at(content, _INPUT))[1]])
        ends_in_tanh |= operation == b"Tanh" and passed
        kept += b"" if passed else whole
    return kept, bias, ends_in_tanh


def _multiplications(graph: bytes) -> int:
    """Samples of all four-dimensional constants, which are the convolutions' kernels."""
    total = 0
    for node in fields_at(graph, _NODE):
        sides = [varint(side, 0)[0] for side in fields_at(node, *_TENSOR, *_SIDES)]
        total += math.prod(sides) if len(sides) == 4 else 0
    return total
