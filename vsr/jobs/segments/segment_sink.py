"""A sink that writes a stretch of a long job as closed segments, each by an encoder of its own.

At a border the encoder before is only told that no more frames come: it flushes while the next
one is fed. When it has ended, its file is on the disk and described, and handed on: only who
holds the journal gives it its name.
"""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from vsr.durable import fresh_name, sha256_of, sync
from vsr.frames import Frame
from vsr.jobs.frame_hash import FrameHash
from vsr.jobs.noting import FrameHashes
from vsr.jobs.segments.border import Border
from vsr.jobs.segments.borders import Stretch, checksum
from vsr.jobs.segments.journal_records import Segment
from vsr.media import Outputs, VideoEncoder


@dataclass
class _Open:
    """A segment under way."""

    number: int
    path: Path
    encoder: VideoEncoder
    pictures: int = 0
    next: Border | None = None
    hashes: list[FrameHash] = field(default_factory=list[FrameHash])


Keep = Callable[[Segment, Path], None]
"""Is given each finished segment and the file that holds it, which has not got its name yet."""


class SegmentSink:
    """Takes the frames of a stretch, and leaves out those before its beginning and after its end.

    Files lie in `folder` and go to `keep`; each holds a stream for each of the outputs. `before_segment` is
    called before each segment's first frame, and may wait. With `hashes`, which the stretch's frames are noted in, each
    segment is told those of its own.
    """

    def __init__(
        self,
        folder: Path,
        stretch: Stretch,
        outputs: Outputs,
        keep: Keep,
        before_segment: Callable[[], None],
        hashes: FrameHashes | None = None,
    ):
        self.stretch = stretch
        self._folder, self._outputs = folder, outputs
        self._keep, self._before_segment, self._hashes = keep, before_segment, hashes
        self._fed: _Open | None = None
        self._flushing: _Open | None = None
        self._ended = False
        self.lost_bytes = 0
        """Size of what was removed after an exception."""

    def __enter__(self) -> Self:
        return self

    def write(self, frame: Frame) -> None:
        """Hand one frame to its segment's encoder.

        Raises:
            SinkError: the encoder has ended.
            OSError: a finished segment cannot be made safe.
        """
        begin, end = self.stretch.begin, self.stretch.end
        if (begin is not None and frame.pts < begin.pts) or self._ended:
            if self._hashes is not None:
                self._hashes.passed(frame)
            return
        if self._flushing is not None and self._flushing.encoder.has_ended:
            self._settle()
        border = self.stretch.borders.get(frame.pts)
        if self._fed is not None and border is not None:
            self._end_segment(border)
        if end is not None and frame.pts >= end.pts:
            self._ended = True
            return
        if self._fed is None:
            self._before_segment()
            self._fed = self._begin_segment(border or begin)
        self._fed.encoder.write(frame)
        self._fed.pictures = checksum(frame, self._fed.pictures)
        if self._hashes is not None:
            self._fed.hashes.append(self._hashes.goes(frame))

    def _begin_segment(self, border: Border | None) -> _Open:
        number = border.number if border else 0
        # A child of a run that was killed may still write: each process has names of its own.
        path = self._folder / fresh_name(f"{number:06}", ".part")
        outputs = self._outputs
        encoder = VideoEncoder(
            path, choices=outputs.choices, format=outputs.format, time_base=outputs.time_base
        )
        return _Open(number, path, encoder)

    def _end_segment(self, following: Border | None) -> None:
        self._settle()
        assert self._fed is not None
        self._fed.next = following
        self._fed.encoder.close()
        self._flushing, self._fed = self._fed, None

    def _settle(self) -> None:
        """Wait for the encoder that flushes, see its segment onto the disk and hand it on."""
        segment = self._flushing
        if segment is None:
            return
        encoded = segment.encoder.finish()
        sync(segment.path)
        record = Segment.of(
            encoded,
            number=segment.number,
            file=f"{segment.number:06}.segment",
            sha256=sha256_of(segment.path),
            pictures=segment.pictures,
            next=segment.next,
            hashes=segment.hashes,
        )
        self._keep(record, segment.path)
        self._flushing = None

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Finish the last segment; after an exception keep what is finished and remove the rest."""
        try:
            if kind is None:
                if self._fed is not None:
                    self._end_segment(self.stretch.end)
                self._settle()
            elif kind is KeyboardInterrupt:
                with contextlib.suppress(Exception):
                    self._settle()
        finally:
            for left in (self._flushing, self._fed):
                if left is not None:
                    left.encoder.abort()
                    with contextlib.suppress(OSError):
                        self.lost_bytes += left.path.stat().st_size
                    left.path.unlink(missing_ok=True)
