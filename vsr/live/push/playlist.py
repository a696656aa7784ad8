"""The playlist of a live HLS stream (RFC 8216), read and written. Pure."""

import math
import re
from collections import deque
from dataclasses import dataclass, field
from datetime import UTC, datetime


@dataclass(frozen=True)
class MediaSegment:
    """A piece of the stream, in a file beside the playlist."""

    name: str
    """Of its file."""
    head: str
    """Of the file that a player needs before it."""
    duration_s: float
    began_s: float
    """When its first picture came, by `time.time()`."""
    breaks: bool = False
    """It does not continue the one before: times, size or codec are others."""


@dataclass
class Playlist:
    """What players see. Its numbers only go up, whoever begins anew meanwhile."""

    sequence: int
    """Number of the first segment listed."""
    num_breaks: int = 0
    """Segments with `breaks` that have left the list."""
    segments: deque[MediaSegment] = field(default_factory=deque[MediaSegment])

    @property
    def next(self) -> int:
        """Number of the segment that comes next."""
        return self.sequence + len(self.segments)

    def drop_first(self) -> MediaSegment:
        """Take the oldest segment out."""
        first = self.segments.popleft()
        self.sequence += 1
        self.num_breaks += first.breaks
        return first

    def text(self, *, ended: bool = False) -> str:
        """Write it down; players of one that has `ended` wait for nothing more."""
        longest = max((segment.duration_s for segment in self.segments), default=1.0)
        lines = [
            "#EXTM3U",
            "#EXT-X-VERSION:7",
            f"#EXT-X-TARGETDURATION:{max(1, math.floor(longest + 0.5))}",
            f"#EXT-X-MEDIA-SEQUENCE:{self.sequence}",
            f"#EXT-X-DISCONTINUITY-SEQUENCE:{self.num_breaks}",
            "#EXT-X-INDEPENDENT-SEGMENTS",
        ]
        head = ""
        for segment in self.segments:
            lines += ["#EXT-X-DISCONTINUITY"] if segment.breaks else []
            lines += [f'#EXT-X-MAP:URI="{segment.head}"'] if segment.head != head else []
            head = segment.head
            began = datetime.fromtimestamp(segment.began_s, UTC).isoformat(timespec="milliseconds")
            lines += [f"#EXT-X-PROGRAM-DATE-TIME:{began}", f"#EXTINF:{segment.duration_s:.6f},", segment.name]
        return "\n".join([*lines, *(["#EXT-X-ENDLIST"] if ended else []), ""])

    @classmethod
    def from_text(cls, text: str) -> "Playlist | None":
        """Read what `text` wrote; None where it is something else."""
        found = re.search(r"^#EXT-X-MEDIA-SEQUENCE:(\d+)$", text, re.MULTILINE)
        if not text.startswith("#EXTM3U") or found is None:
            return None
        gone = re.search(r"^#EXT-X-DISCONTINUITY-SEQUENCE:(\d+)$", text, re.MULTILINE)
        made = cls(int(found[1]), int(gone[1]) if gone else 0)
        head, breaks, began_s, duration_s = "", False, 0.0, 0.0
        for line in text.splitlines():
            tag, _, value = line.partition(":")
            if tag == "#EXT-X-DISCONTINUITY":
                breaks = True
            elif tag == "#EXT-X-MAP" and (uri := re.search(r'URI="([^"/]+)"', value)):
                head = uri[1]
            elif tag == "#EXT-X-PROGRAM-DATE-TIME":
                began_s = _seconds(value)
            elif tag == "#EXTINF":
                duration_s = float(value.split(",")[0])
            elif line and not line.startswith("#"):
                made.segments.append(MediaSegment(line, head, duration_s, began_s, breaks))
                breaks = False
        return made


def _seconds(date: str) -> float:
    try:
        return datetime.fromisoformat(date).timestamp()
    except ValueError:
        return 0.0
