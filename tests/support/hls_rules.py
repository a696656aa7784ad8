"""A reader of HLS playlists with parts that holds them against the rules of RFC 8216 and its second edition."""

import re
from dataclasses import dataclass, field
from datetime import datetime

SLACK_S = 1e-4
"""Durations are written with five digits."""


@dataclass
class ReadSegment:
    number: int
    breaks: bool
    head: str
    began: datetime
    parts: list[tuple[str, float, bool]] = field(default_factory=list)
    """Name, duration, whether a keyframe begins it."""
    name: str = ""
    duration_s: float = 0.0


@dataclass
class ReadPlaylist:
    sequence: int
    num_breaks: int
    hint: str = ""
    breaks_next: bool = False
    """What comes next is known not to continue this."""
    segments: list[ReadSegment] = field(default_factory=list)

    @property
    def whole(self) -> list[ReadSegment]:
        return [each for each in self.segments if each.name]

    @property
    def pieces(self) -> list[str]:
        """What a player would fetch that plays all, by parts where there are any."""
        return [name for each in self.segments for name in ([part[0] for part in each.parts] or [each.name])]


def attributes(value: str) -> dict[str, str]:
    return {key: text.strip('"') for key, text in re.findall(r'([A-Z-]+)=("[^"]*"|[^,]*)', value)}


def read_playlist(text: str, *, least: float = 0.85) -> ReadPlaylist:
    """Read a media playlist; whatever it breaks fails here. Parts are `least` of their target long, at
    the least: where times shake they may be shorter than is asked for."""
    lines = text.splitlines()
    assert lines[0] == "#EXTM3U"
    assert lines[-1].startswith("#"), "whether what comes next breaks is said in time, or hls.js gives up"
    once: dict[str, str] = {}
    for line in lines:
        tag, _, value = line.partition(":")
        if tag in (
            "#EXT-X-VERSION", "#EXT-X-TARGETDURATION", "#EXT-X-MEDIA-SEQUENCE", "#EXT-X-PART-INF",
            "#EXT-X-DISCONTINUITY-SEQUENCE", "#EXT-X-SERVER-CONTROL", "#EXT-X-PRELOAD-HINT",
        ):  # fmt: skip
            assert tag not in once, f"{tag} twice"
            once[tag] = value
    assert int(once["#EXT-X-VERSION"]) >= 6  # EXT-X-MAP without EXT-X-I-FRAMES-ONLY
    target_s = int(once["#EXT-X-TARGETDURATION"])
    part_s = float(attributes(once["#EXT-X-PART-INF"])["PART-TARGET"])
    control = attributes(once["#EXT-X-SERVER-CONTROL"])
    assert control["CAN-BLOCK-RELOAD"] == "YES"
    assert float(control["PART-HOLD-BACK"]) >= 3 * part_s - SLACK_S
    assert float(control["HOLD-BACK"]) >= 3 * target_s
    made = ReadPlaylist(
        int(once["#EXT-X-MEDIA-SEQUENCE"]), int(once["#EXT-X-DISCONTINUITY-SEQUENCE"]),
        attributes(once.get("#EXT-X-PRELOAD-HINT", "")).get("URI", ""),
    )  # fmt: skip
    _read_segments(made, lines)
    _check_parts(made, part_s, target_s, least)
    assert all(round(each.duration_s) <= target_s for each in made.whole)
    return made


def _read_segments(made: ReadPlaylist, lines: list[str]) -> None:
    breaks, head, began, segment = False, "", None, None
    hinted = False
    for line in lines:
        tag, _, value = line.partition(":")
        assert not hinted, "a hint is the last line"
        if tag == "#EXT-X-DISCONTINUITY":
            breaks = True
        elif tag == "#EXT-X-MAP":
            head = attributes(value)["URI"]
        elif tag == "#EXT-X-PROGRAM-DATE-TIME":
            began = datetime.fromisoformat(value)
        elif tag in ("#EXT-X-PART", "#EXTINF"):
            if segment is None:
                assert head, "no EXT-X-MAP before media"
                assert began is not None
                segment = ReadSegment(made.sequence + len(made.segments), breaks, head, began)
                made.segments.append(segment)
                breaks = False
            if tag == "#EXT-X-PART":
                assert not segment.duration_s
                given = attributes(value)
                segment.parts.append(
                    (given["URI"], float(given["DURATION"]), given.get("INDEPENDENT") == "YES")
                )
            else:
                segment.duration_s = float(value.split(",")[0])
        elif line and not line.startswith("#"):
            assert segment is not None
            assert segment.duration_s, "a segment without EXTINF"
            segment.name, segment = line, None
        hinted = tag == "#EXT-X-PRELOAD-HINT"
    made.breaks_next = breaks


def _check_parts(made: ReadPlaylist, part_s: float, target_s: int, least: float) -> None:
    from_end_s = 0.0
    for segment in reversed(made.segments):
        length_s = sum(part[1] for part in segment.parts)
        if segment.name:
            assert not segment.parts or abs(length_s - segment.duration_s) < 10 * SLACK_S
            assert not segment.parts or from_end_s <= 3 * target_s, "parts of old segments are to be removed"
            from_end_s += segment.duration_s
        for number, (_, duration_s, begins) in enumerate(segment.parts):
            assert duration_s <= part_s + SLACK_S
            last = number + 1 == len(segment.parts)
            assert last or begins or duration_s >= least * part_s - SLACK_S, segment
    assert all(each.name for each in made.segments[:-1])


def check_reload(before: ReadPlaylist, after: ReadPlaylist) -> None:
    """Hold two answers of one server, of a run or of two, against each other."""
    assert after.sequence >= before.sequence
    assert after.num_breaks >= before.num_breaks
    known = {each.number: each for each in before.whole}
    for each in after.whole:
        if (old := known.get(each.number)) is not None:
            assert (each.name, each.duration_s, each.head, each.breaks) == (
                old.name, old.duration_s, old.head, old.breaks,
            )  # fmt: skip
    breaks = sum(each.breaks for each in before.segments if each.number < after.sequence)
    if after.sequence <= before.sequence + len(before.segments):
        assert after.num_breaks == before.num_breaks + breaks
