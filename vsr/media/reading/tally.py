"""How much of a video came, held against what its file promises: where it was cut off that is a note, where nothing
explains it a doubt."""

import contextlib
from pathlib import Path

import av
from av.video.stream import VideoStream

from vsr.errors import ConfigError
from vsr.frames import StreamInfo
from vsr.media.reading.cut_off import is_cut_off
from vsr.media.reading.decode import ReadCounts, VideoPacket
from vsr.media.standard_streams import is_standard, standard_input
from vsr.options import parse_time

_ENOUGH = 0.9
"""Share of what a file promises from which it counts as there; headers are rounded, and players do not mind."""
_LEAST_SHARE = 3
"""Packets for one picture that are nothing strange: fields come by themselves, and some codecs hide pictures."""


class Tally:
    """What has come of one stream, packet by packet. Says what is missing in the notes and the doubt of `counts`."""

    def __init__(self, path: str | Path, info: StreamInfo, stream: VideoStream, counts: ReadCounts):
        self._path, self._info, self._stream, self._counts = path, info, stream, counts
        # An edit list hides pictures, or drops their packets from the index; which may grow while it is read.
        self._expected = min(stream.frames, len(stream.index_entries) or stream.frames)
        self.num_pictures = 0
        self.last: int | None = None
        """Largest time of a picture, in ticks of the stream."""
        self._first: int | None = None
        """Time of decoding of the first packet."""
        self._num_packets = self._num_hidden = self._num_repeats = self._end = 0

    def add_packet(self, packet: VideoPacket) -> None:
        """Count what was read."""
        self._first = packet.dts if self._first is None else self._first
        self._num_packets += packet.size > 0
        self._num_repeats += packet.size == 0 and packet.dts is not None
        self._num_hidden += packet.is_discard
        if packet.size:
            self._end = (packet.pos or 0) + packet.size

    def add_picture(self, picture: av.VideoFrame) -> None:
        """Count what was decoded of it."""
        self.num_pictures += 1
        pts = picture.pts
        self.last = pts if self.last is None or pts is None else max(self.last, pts)

    @property
    def lacks_pictures(self) -> bool:
        """Whether fewer pictures came than packets that are to be seen."""
        return self.num_pictures < self._num_packets - self._num_hidden

    def check_number(self, *, whole: bool, on_one_clock: bool) -> None:
        """Hold the numbers of packets and pictures against what the file says.

        Args:
            whole: it was read from its start; else what its index says of the rest counts, where it has all frames.
            on_one_clock: packets have the times of the index.
        """
        came, expected, here = self._num_packets, self._expected, ""
        if not whole:
            knows = expected and on_one_clock and "mp4" in self._info.container
            expected, here = self._num_left() if knows else 0, " from here on"
        if came < expected:
            self._counts.notes.append(
                f"the file is cut off: it says {expected} frames{here}, {came} are there"
            )
            self._doubt(came, expected, "frames")
        elif whole and self._info.container == "avi":
            self._doubt(came + self._num_repeats, self._stream.frames, "frames")
        if is_standard(self._path) and self._info.container == "yuv4mpegpipe":
            self._counts.notes += standard_input().beyond(self._end)
        if self.num_pictures < (came - self._num_hidden) // _LEAST_SHARE:
            self._doubt(self.num_pictures, came, "pictures")

    def _num_left(self) -> int:
        """How many frames the index has from the first packet on; 0 where it has no such entry."""
        index = self._stream.index_entries
        place = -1 if self._first is None else index.search_timestamp(self._first, any_frame=True)
        return len(index) - place if place >= 0 else 0

    def check_length(self, end: int | None) -> None:
        """Note where a container that promises a duration, but no number of frames, ends too soon.

        Args:
            end: of the last picture, in ticks of the stream.
        """
        promised = self._promised_s()
        if end is None or not promised:
            return
        seconds = float(end * self._info.time_base)
        if seconds < promised - max(0.1, 0.01 * promised):
            self._counts.notes.append(
                f"the file is cut off: it says {promised:.2f} s and ends at {seconds:.2f} s"
            )
            self._doubt(seconds, promised, "seconds")

    def _doubt(self, there: float, promised: float, of: str) -> None:
        """Keep that so much is not there, where it is much, and neither damage nor a cut explains it."""
        counts = self._counts
        explained = (
            counts.corrupt_packets or counts.concealed or counts.dropped or counts.retimed or counts.jumped
        )
        if there < promised * _ENOUGH and not explained and not is_cut_off(self._path, self._info.container):
            counts.doubt = (
                f"only {there:.6g} of the {promised:.6g} {of} that it promises came, and nothing says why"
            )

    def _promised_s(self) -> float | None:
        """Return when the pictures should end: Matroska's own tag, else the file's end where it holds nothing else."""
        if "matroska" in self._info.container:
            with contextlib.suppress(ConfigError):
                return float(parse_time(self._stream.metadata.get("DURATION", "")))
        has_others = any(other.kind != "attachment" for other in self._info.others)
        return None if has_others else self._info.duration_s
