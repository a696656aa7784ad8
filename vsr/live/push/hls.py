"""HLS for any web server: a playlist and short segments in a folder. Runs in an output's process."""

import re
import time
from collections import deque
from collections.abc import Callable, Sequence
from fractions import Fraction
from math import ceil
from pathlib import Path

from vsr.durable import write_whole
from vsr.live.packets import VIDEO, Message
from vsr.live.push.muxer import Muxer
from vsr.live.push.order import PushOrder
from vsr.live.push.playlist import MediaSegment, Playlist

_LISTED_S, _KEPT_S = 6.0, 2.0
"""How much is listed, twice of what a player holds back by the standard; how long it stays after that."""
_STALE_S = 30.0
"""What an earlier run has left behind is listed no longer; nobody plays it any more."""
_OURS = re.compile(r"live-(init-)?\d+\.(m4s|mp4)|live-init\.mp4")
_FRAGMENTS = "+frag_keyframe+delay_moov+default_base_moof+skip_trailer+frag_discont"


class Hls:
    """A playlist and short fMP4 segments in a folder. Both appear by renaming, old segments are deleted.

    What is there already goes on: numbers go up over restarts, and where times, size or codec are others, a
    discontinuity and another head say so, over which players go on. A reader finds a frame half a segment to two
    segments after it was encoded (measured: 0.6 s, p95 0.9, with segments of 0.5 s; 0.3 and 0.5 with 0.25 s). A player
    that goes by the standard stays three times EXT-X-TARGETDURATION behind that, whose least is 1 s, unless it is told
    otherwise.

    Args:
        order: its folder is made where it is missing.
        streams: descriptions, video first.
        say: is told where nothing can be written, and when it can again.

    Raises:
        OSError: the folder cannot be made.
    """

    def __init__(self, order: PushOrder, streams: Sequence[Message], *, say: Callable[[str], None]):
        self._folder, self._say = order.folder, say
        self._folder.mkdir(parents=True, exist_ok=True)
        self._path = self._folder / "live.m3u8"
        before = self._path.read_text("utf-8", "replace") if self._path.is_file() else ""
        found = Playlist.from_text(before)
        self._playlist, self._breaks = found or Playlist(int(time.time())), found is not None
        self._take_up()
        segment_s = order.output.segment_length_s
        # Keyframes come at most a second apart and a frame late now and then: where each is to begin a
        # segment, a little less than their distance is asked for, or two would make one of twice the length.
        self._least_s = 0.8 * segment_s if segment_s <= 1 else segment_s - 0.1
        self._num_listed = max(6, ceil(_LISTED_S / segment_s))
        self._num_kept = max(4, ceil(_KEPT_S / segment_s))
        self._head, self._head_data = "", b""
        self._keyframes: deque[tuple[float, float]] = deque()
        self._fragments: list[bytes] = []
        self._gone: deque[MediaSegment] = deque()
        self._last_s, self._paused = 0.0, False
        boxes = _Boxes(self._take_head, self._take_fragment)
        self._muxer = Muxer(
            boxes,
            format="mp4",
            streams=streams,
            options={
                "movflags": _FRAGMENTS,
                "use_editlist": "0",
                "avoid_negative_ts": "disabled",  # or the first becomes 0
                "flush_packets": "1",
                "max_interleave_delta": "500000",
            },
            audio=order.audio,
            begins=Fraction(0),  # times go on over our restarts: not all players follow them back to 0
        )
        self.notes = self._muxer.notes

    def _take_up(self) -> None:
        """Go on with the playlist that is there, and delete what it does not list."""
        playlist, now = self._playlist, time.time()
        while (listed := playlist.segments) and (
            now - listed[0].began_s > _STALE_S or not (self._folder / listed[0].name).is_file()
        ):
            playlist.drop_first()
        kept = {name for segment in playlist.segments for name in (segment.name, segment.head)}
        for path in self._folder.iterdir():
            if _OURS.fullmatch(path.name) and path.name not in kept:
                path.unlink(missing_ok=True)

    def mux(self, message: Message) -> None:
        """Take one packet; a keyframe ends a fragment, and where it is long enough a segment."""
        if message.stream == VIDEO:
            time_s = float(message.pts * message.time_base)
            if message.keyframe:
                self._keyframes.append((time_s, time.time()))
            self._last_s = time_s + float(message.duration * message.time_base)
        self._muxer.mux(message)

    def _take_head(self, data: bytes) -> None:
        self._head, self._head_data = f"live-init-{self._playlist.next}.mp4", data

    def _take_fragment(self, data: bytes) -> None:
        """Keep what belongs to one keyframe, up to the next, and write a segment where it is time."""
        self._fragments.append(data)
        began_s = self._keyframes[0][0]
        num_fragments = len(self._fragments)
        end_s = self._keyframes[num_fragments][0] if len(self._keyframes) > num_fragments else self._last_s
        if end_s - began_s >= self._least_s:
            self._end_segment(end_s)

    def _end_segment(self, end_s: float) -> None:
        data, began = b"".join(self._fragments), self._keyframes[0]
        for _ in self._fragments:
            self._keyframes.popleft()
        self._fragments.clear()
        name = f"live-{self._playlist.next}.m4s"
        segment = MediaSegment(name, self._head, max(end_s - began[0], 0.001), began[1], self._breaks)
        if self._head_data and self._write(self._folder / self._head, self._head_data):
            self._head_data = b""
        if self._head_data or not self._write(self._folder / name, data):
            self._breaks = True
            return
        self._playlist.segments.append(segment)
        self._breaks = False
        while len(self._playlist.segments) > self._num_listed:
            self._gone.append(self._playlist.drop_first())
        self._write(self._path, self._playlist.text().encode())
        self._delete_old()

    def _delete_old(self) -> None:
        while len(self._gone) > self._num_kept:
            old = self._gone.popleft()
            (self._folder / old.name).unlink(missing_ok=True)
            if all(other.head != old.head for other in (*self._gone, *self._playlist.segments)):
                (self._folder / old.head).unlink(missing_ok=True)

    def _write(self, path: Path, data: bytes) -> bool:
        """Write a file; False, and said once, where that cannot be done."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            write_whole(path, data, synced=False)
        except OSError as error:
            if not self._paused:
                self._say(
                    f"paused: {self._folder} cannot be written to: {(error.strerror or 'it failed').lower()}"
                )
            self._paused = True
            return False
        if self._paused and path != self._path:
            self._paused = False
            self._say(f"{self._folder} can be written to again")
        return True

    def close(self) -> None:
        """Write what belongs to the end. Whoever comes next goes on."""
        self._muxer.close()
        if self._fragments:
            self._end_segment(self._last_s)

    def finish(self) -> None:
        """Tell players that nothing follows."""
        self.close()
        self._write(self._path, self._playlist.text(ended=True).encode())


class _Boxes:
    """A file for FFmpeg to write to: gives head and fragments of an MP4 (ISO/IEC 14496-12, 4.2 and 8.8) as each is
    complete."""

    def __init__(self, head: Callable[[bytes], None], fragment: Callable[[bytes], None]):
        self._head, self._fragment = head, fragment
        self._written, self._whole = bytearray(), bytearray()

    def write(self, data: bytes) -> int:
        self._written += data
        while len(self._written) >= 8:
            size, kind = int.from_bytes(self._written[:4], "big"), bytes(self._written[4:8])
            if size < 8 or len(self._written) < size:
                break
            self._whole += self._written[:size]
            del self._written[:size]
            tell = {b"moov": self._head, b"mdat": self._fragment}.get(kind)
            if tell is not None:
                whole, self._whole = bytes(self._whole), bytearray()
                tell(whole)
        return len(data)
