"""What became of a result."""

from dataclasses import dataclass
from pathlib import Path

from vsr.media.writing.verify import Verification


@dataclass(frozen=True)
class WriteReport:
    """What a `FileSink` made."""

    path: Path
    container: str
    """`mp4`, `mkv`, `mov` or `webm`."""
    encoder: str
    """FFmpeg's name."""
    why: str
    """Why this encoder, one line."""
    num_frames: int
    num_bytes: int
    copied: tuple[str, ...]
    """Streams that went along as they were."""
    converted: tuple[str, ...]
    """Streams that the container could not hold as they were, `NAME: FROM to TO`."""
    left_out: tuple[str, ...]
    """Streams and metadata that could not go along, `NAME: REASON`."""
    notes: tuple[str, ...]
    """Lines that the user should read once."""
    verification: Verification
