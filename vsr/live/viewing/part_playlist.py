"""The playlist of HLS with parts (draft-pantos-hls-rfc8216bis). Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

PART_S = 0.22
"""Longest part: five pictures at 25 a second, six at 30, one of those that stand in while a camera is away."""
_NUM_HELD = 4
"""Parts that players stay behind, three at least by the standard: where no picture comes for half a second, as before
the first that stands in, Chromium had shown all and then stumbled from picture to picture."""
TARGET_S = 2
"""Longest segment, when rounded."""


@dataclass(frozen=True)
class MediaPart:
    """The smallest piece that a player asks for."""

    name: str
    duration_s: float
    independent: bool
    """It begins with a keyframe."""
    data: bytes = field(repr=False)


@dataclass
class PartedSegment:
    """A piece of the stream, part by part."""

    number: int
    head: str
    """Name of what a player needs before it."""
    began_s: float
    """When its first picture came, by `time.time()`."""
    breaks: bool = False
    """It does not continue the one before: times, size or codec are others."""
    parts: list[MediaPart] = field(default_factory=list[MediaPart])
    whole: bool = False
    """No part follows."""

    @property
    def name(self) -> str:
        return f"{self.number}.m4s"

    @property
    def next_part(self) -> str:
        """Name of the part that comes next."""
        return f"{self.number}.{len(self.parts)}.m4s"

    @property
    def is_parted(self) -> bool:
        """Its parts are short enough to be listed."""
        return all(part.duration_s <= PART_S for part in self.parts)

    @property
    def duration_s(self) -> float:
        return sum(part.duration_s for part in self.parts)


def parted_playlist(segments: Sequence[PartedSegment], num_breaks: int) -> str:
    """Write a playlist down.

    Args:
        segments: in order; of all but the last no part follows. If none of the last either, what comes next breaks.
        num_breaks: segments with `breaks` before the first.
    """
    held_s, part_held_s = 3 * TARGET_S, _NUM_HELD * PART_S
    lines = [
        "#EXTM3U",
        "#EXT-X-VERSION:6",
        f"#EXT-X-TARGETDURATION:{TARGET_S}",
        f"#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,HOLD-BACK={held_s:.1f},PART-HOLD-BACK={part_held_s:.2f}",
        f"#EXT-X-PART-INF:PART-TARGET={PART_S}",
        f"#EXT-X-MEDIA-SEQUENCE:{segments[0].number}",
        f"#EXT-X-DISCONTINUITY-SEQUENCE:{num_breaks}",
    ]
    from_end_s = sum(segment.duration_s for segment in segments)
    head = ""
    for segment in segments:
        from_end_s -= segment.duration_s
        lines += ["#EXT-X-DISCONTINUITY"] if segment.breaks else []
        lines += [f'#EXT-X-MAP:URI="{segment.head}"'] if segment.head != head else []
        head = segment.head
        if not segment.parts:  # the last one, of which no more can be said yet
            break
        began = datetime.fromtimestamp(segment.began_s, UTC).isoformat(timespec="milliseconds")
        lines.append(f"#EXT-X-PROGRAM-DATE-TIME:{began.replace('+00:00', 'Z')}")
        if segment.is_parted and from_end_s < held_s:  # parts of older segments are of use to nobody
            lines += map(_part, segment.parts)
        if segment.whole:
            lines += [f"#EXTINF:{segment.duration_s:.5f},", segment.name]
    last = segments[-1]
    # A break is said before there is anything behind it: where nothing at all stands behind a segment, hls.js 1.7 takes
    # this one for the next, and gives up when that has another place in the discontinuity sequence.
    lines.append(
        "#EXT-X-DISCONTINUITY" if last.whole else f'#EXT-X-PRELOAD-HINT:TYPE=PART,URI="{last.next_part}"'
    )
    return "\n".join([*lines, ""])


def _part(part: MediaPart) -> str:
    begins = ",INDEPENDENT=YES" if part.independent else ""
    return f'#EXT-X-PART:DURATION={part.duration_s:.5f},URI="{part.name}"{begins}'
