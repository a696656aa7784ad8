"""SHA-256 of each frame in two places: as it was decoded, and as it is given to the encoder.

A frame is noted by the thread that decodes it and by the one that hands it to the encoder; its time tells that it is
the same. What workers note travels with their segments, so the order of hashes is that of the frames however the work
was shared out.
"""

import hashlib
from collections.abc import Container, Generator

import numpy as np

from vsr.frames import Frame
from vsr.jobs.frame_hash import FrameHash
from vsr.media import NumberedSource, Sink, Source, VideoSource
from vsr.prefetch import closed_after


def hash_of(frame: Frame) -> str:
    """Hash a frame's samples: all rows of all planes, without padding, 16 bits as little-endian.

    The same as FFmpeg's `framehash` muxer makes of raw pictures of that pixel format, whose planes of R'G'B' come in
    the order G, B, R.
    """
    digest = hashlib.sha256()
    planes = frame.planes
    if frame.format.layout == "rgb":
        planes = (planes[1], planes[2], planes[0], *planes[3:])
    for plane in planes:
        little = plane.dtype.newbyteorder("<")
        digest.update(np.ascontiguousarray(plane, dtype=little).data)
    return digest.hexdigest()


class FrameHashes:
    """What has been noted of a stream. One thread reads, another one writes."""

    def __init__(self, keep: Container[int] = ()) -> None:
        """`keep`: numbers of decoded frames, from 0, that are kept."""
        self.given: list[FrameHash] = []
        """Frames that the encoder has got, in order."""
        self.kept: dict[str, Frame] = {}
        """As they were decoded, by their hashes."""
        self._keep, self._num_decoded = keep, 0
        self._decoded: dict[int, tuple[str, bool]] = {}

    def decoded(self, frame: Frame, *, damaged: bool) -> None:
        """Note a frame that comes."""
        decoded = hash_of(frame)
        self._decoded[frame.pts] = decoded, damaged
        if self._num_decoded in self._keep:
            self.kept[decoded] = frame
        self._num_decoded += 1

    def goes(self, frame: Frame) -> FrameHash:
        """Note a frame that goes to the encoder."""
        decoded, damaged = self._decoded.pop(frame.pts)
        noted = FrameHash(frame.pts, decoded, hash_of(frame), damaged)
        self.given.append(noted)
        return noted

    def passed(self, frame: Frame) -> None:
        """Forget a frame that networks were only warmed up with."""
        self._decoded.pop(frame.pts, None)


class NotingSource:
    """A source whose frames are noted as they come."""

    def __init__(self, source: Source, hashes: FrameHashes):
        self.info = source.info
        self._source, self._hashes = source, hashes

    def frames(self) -> Generator[Frame, None, None]:
        """Yield the source's frames."""
        frames = self._source.frames()
        read = self._source if isinstance(self._source, VideoSource | NumberedSource) else None
        with closed_after(frames):
            for frame in frames:
                patched = read is not None and frame.pts * frame.time_base in read.counts.concealed_at
                self._hashes.decoded(frame, damaged=patched)
                yield frame
                del frame


class NotingSink:
    """A sink whose frames are noted as they are given to it."""

    def __init__(self, sink: Sink, hashes: FrameHashes):
        self._sink, self._hashes = sink, hashes

    def __enter__(self) -> "NotingSink":
        self._sink.__enter__()
        return self

    def write(self, frame: Frame) -> None:
        """Pass a frame on."""
        self._hashes.goes(frame)
        self._sink.write(frame)

    def __exit__(self, *error: object) -> None:
        self._sink.__exit__(*error)  # pyright: ignore[reportArgumentType]
