"""What became of a result."""

from dataclasses import dataclass
from pathlib import Path

from vsr.frames import OtherStream, StreamInfo
from vsr.media.writing.verify import Verification


def names_of(source: StreamInfo, why: str) -> tuple[str, ...]:
    """What of a source beside its pictures is left out, one line each, and why."""
    left = [f"{stream.kind} {stream.index} ({_facts(stream)}): {why}" for stream in source.others]
    return (*left, *([f"{source.num_chapters} chapters: {why}"] if source.num_chapters else []))


def _facts(stream: OtherStream) -> str:
    return ", ".join(fact for fact in (stream.codec, stream.language, stream.title) if fact)


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
