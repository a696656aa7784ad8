"""How much memory frames under way take: computed before any is made, and refused with its figure.

A header may claim any size in a few bytes. What a picture file may hold is bounded by its pixels
(`media/images/metadata.py`), what a checkpoint takes by a trial (`models/files/trial.py`).
"""

from vsr.errors import SourceError
from vsr.frames import PictureFormat

READ_AHEAD, WRITE_AHEAD = 8, 4
"""Frames that may wait between the threads of a pipeline."""

BUDGET_BYTES = 1 << 30
"""Bytes that may wait in each of its two queues; one frame always may."""

_DECODER, _ENCODER = 6, 2
"""Frames that a decoder keeps, and copies of one on its way into an encoder."""

_TENSOR_BYTES = 4
"""Of a sample in fp32."""


def frame_bytes(format: PictureFormat) -> int:
    """Size of a frame's planes."""
    sizes = (format.plane_size(plane) for plane in range(format.num_planes))
    return sum(height * width for height, width in sizes) * (1 if format.bit_depth == 8 else 2)


def stream_bytes(source: PictureFormat, result: PictureFormat) -> int:
    """Memory of a stream while it is enhanced: frames waiting, decoded and written, and tensors at both ends.

    What networks take themselves is cut into tiles that fit (`engine/memory.py`).
    """
    read, written = frame_bytes(source), frame_bytes(result)
    frames = read * (_waiting(read, READ_AHEAD) + _DECODER) + written * (
        _waiting(written, WRITE_AHEAD) + _ENCODER
    )
    pixels = source.height * source.width + 2 * result.height * result.width
    return frames + pixels * max(3, result.num_planes) * _TENSOR_BYTES


def _waiting(num_bytes: int, depth: int) -> int:
    return max(1, min(depth, BUDGET_BYTES // max(1, num_bytes)))


def check_stream(path: str, source: PictureFormat, result: PictureFormat, most_gb: float) -> None:
    """Raise SourceError where a stream takes more than so many gigabytes."""
    need = stream_bytes(source, result) / 1e9
    if need > most_gb:
        sizes = " to ".join(dict.fromkeys(f"{each.width}x{each.height}" for each in (source, result)))
        raise SourceError(
            f"{path}: frames of {sizes} take {need:.1f} GB of memory under way, and {most_gb:g} GB are allowed;"
            f" --max-memory {int(need) + 1} allows it, a smaller size needs less"
        )
