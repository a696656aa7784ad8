"""How much memory frames under way take: computed before any is made, and refused with its figure.

A header may claim any size in a few bytes. How many pixels a picture may have at all is bounded besides
(`media/images/metadata.py`); what a checkpoint takes, by a trial (`models/files/trial.py`).
"""

from vsr.errors import SourceError
from vsr.frames import PictureFormat

USUAL_GB = 8.0
"""What is allowed where nobody says otherwise."""

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


def picture_bytes(source: PictureFormat, result: PictureFormat, waiting: int = 1) -> int:
    """Memory of a picture, or one that moves, while it is enhanced: decoded and as planes, as tensors, as planes and
    on its way into an encoder, for which so many frames wait at once."""
    pixels = source.height * source.width + 2 * result.height * result.width
    tensors = pixels * max(3, result.num_planes) * _TENSOR_BYTES
    return 2 * frame_bytes(source) + (1 + waiting) * frame_bytes(result) + tensors


def check_stream(path: str, source: PictureFormat, result: PictureFormat, most_gb: float) -> None:
    """Raise SourceError where a stream takes more than so many gigabytes."""
    check_memory(f"{path}: frames of {_sizes(source, result)}", stream_bytes(source, result), most_gb)


def check_picture(
    path: str, source: PictureFormat, result: PictureFormat, most_gb: float, *, waiting: int = 1
) -> None:
    """Raise SourceError where a picture takes more than so many gigabytes."""
    need = picture_bytes(source, result, waiting)
    count = f"{waiting} frames of " if waiting > 1 else ""
    check_memory(f"{path}: {count}{_sizes(source, result)}", need, most_gb)


def _sizes(source: PictureFormat, result: PictureFormat) -> str:
    return " to ".join(dict.fromkeys(f"{each.width}x{each.height}" for each in (source, result)))


def check_memory(what: str, need: int, most_gb: float, less: str = "a smaller size") -> None:
    """Raise SourceError where so many bytes are more than so many gigabytes.

    Args:
        what: takes them.
        need: bytes.
        most_gb: allowed.
        less: what else helps.
    """
    if need / 1e9 > most_gb:
        raise SourceError(
            f"{what} take {need / 1e9:.1f} GB of memory under way, and {most_gb:g} GB are allowed;"
            f" --max-memory {int(need / 1e9) + 1} allows it, {less} needs less"
        )
