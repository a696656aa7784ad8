"""Files read once more, to be hashed: a source as it was read the first time, a result as anybody would read it."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from vsr.durable import sha256_of
from vsr.errors import ConfigError, SourceError
from vsr.frames import Frame
from vsr.jobs import Job
from vsr.media import (
    PICTURES,
    ImageSource,
    NumberedSource,
    Source,
    VideoSource,
    is_address,
    is_numbered,
    is_standard,
    numbered_files,
    probe_numbered,
)
from vsr.options import ReadOptions
from vsr.prefetch import closed_after
from vsr.pulse import beat


def files_of(job: Job) -> list[Path]:
    """The files that a job reads.

    Raises:
        ConfigError: they cannot be read a second time.
    """
    if is_standard(job.path) or is_address(job.path):
        raise ConfigError(f"evidence {job.named}: what is recorded is read again; name a file")
    if is_standard(job.target):
        raise ConfigError("evidence of a pipe: what is recorded is read again; name a file with -o")
    if is_numbered(job.path):
        return list(numbered_files(job.path).values())
    return list(job.sources)


def result_files(target: Path) -> list[Path]:
    """The files that a result consists of."""
    return list(numbered_files(target).values()) if is_numbered(target) else [target]


def file_facts(files: Sequence[Path]) -> dict[str, Any]:
    """What is known of files without looking into them, and the hash of their bytes, one after the other.

    Raises:
        SourceError: one cannot be read.
    """
    try:
        stats = [file.stat() for file in files]
        facts = {
            "bytes": sum(stat.st_size for stat in stats),
            "modified": datetime.fromtimestamp(max(stat.st_mtime for stat in stats), UTC).isoformat(),
            "device": stats[0].st_dev,
            "inode": stats[0].st_ino,
            "sha256": sha256_of(*files),
        }
    except OSError as error:
        raise SourceError(f"{error.filename} cannot be read: {error.strerror}") from error
    return facts | ({"files": len(files)} if len(files) > 1 else {})


def source_again(job: Job, read: ReadOptions, *, opaque: bool) -> Source:
    """Open a source as it was opened the first time.

    Args:
        job: what is read.
        read: which frames, and how.
        opaque: what is transparent in a picture is laid over white.
    """
    if job.is_image:
        return ImageSource(job.path, opaque=opaque)
    if job.pictures or is_numbered(job.path):
        return NumberedSource(probe_numbered(str(job.path), job.pictures, read.rate), read)
    return VideoSource(job.path, read)


def result_again(target: Path) -> Source:
    """Open a result, whose pictures are taken as they are."""
    if is_numbered(target):
        return NumberedSource(probe_numbered(str(target), (), None))
    if target.suffix.lower() in PICTURES:
        return ImageSource(target)
    return VideoSource(target, ReadOptions(deinterlace="off", decoder="software"))


def each_frame(source: Source) -> Iterator[Frame]:
    """Yield a source's frames, with a sign of life for each."""
    frames = source.frames()
    with closed_after(frames):
        for frame in frames:
            beat()
            yield frame
            del frame
