"""Finding the clock of a file: the times of all its packets are looked at once, in formats whose clock may jump.

Decodes nothing.
"""

from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import replace
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any

from av.container import InputContainer
from av.error import FFmpegError
from av.format import Flags
from av.stream import Disposition

from vsr.errors import SourceError
from vsr.media.clock_pieces import PacedStream, Pieces, Place
from vsr.media.file_clock import FileClock, MendedReader, Moves, Section, twins
from vsr.media.network import is_address
from vsr.media.probe_video import codec_of, open_container, packets_of
from vsr.media.standard_streams import is_standard

_MAY_JUMP = frozenset({"flv", "live_flv"})
"""Formats whose clock may jump, beside those of which FFmpeg says so: broadcasts, Ogg."""
_COVER = Disposition.attached_pic | Disposition.timed_thumbnails
_MAX_ERRORS = 100
"""Errors of the container in a row after which the file counts as ended."""
_MOST_SECTIONS = 64
_LOOKED_AT = 50
"""Packets of a section, of which one is its first."""
_CHAINS = {"ogg": b"OggS\0\2", "matroska,webm": b"\x1a\x45\xdf\xa3"}
"""What begins a recording behind another in formats whose demuxers do not read on: the first page of a stream
(RFC 3533, 6), the header of a file (RFC 8794, 11.2.1)."""
_PACKET = 188
"""Bytes of a broadcast's packet."""
_BEGINNING = 4096
"""Bytes in which a Matroska file's first segment begins, and fewer than hold another one."""
_LEAST_REST = 20 * _PACKET
"""Bytes of a broadcast behind its last picture that may hold others."""


def clock_of(path: str | Path, main: int) -> FileClock:
    """Return the clock of a file, which is looked for once as long as the file does not change.

    Args:
        path: of the file.
        main: index of the stream that is enhanced.

    Raises:
        SourceError: the file cannot be opened.
    """
    if is_standard(path) or is_address(path):
        return FileClock(main)  # what is read once, or from afar, is taken as it comes
    try:
        stat = Path(path).stat()
    except OSError as error:
        raise SourceError(f"cannot open {str(path)!r}: {error.strerror}") from error
    return _clock_of(str(path), main, stat.st_size, stat.st_mtime_ns)


@lru_cache(maxsize=16)
def _clock_of(path: str, main: int, size: int, _changed: int) -> FileClock:
    with closing(open_container(path)) as container:
        name, flags = container.format.name, container.format.flags
    joined = "matroska" in name and not _is_one_segment(path, size)
    if not (joined or name in _MAY_JUMP or flags & Flags.ts_discont.value):
        return FileClock(main)
    sections: tuple[Section, ...] = (Section(),)
    while True:
        look = _Look(path, FileClock(main, sections=sections))
        following, left = look.following(size)
        if following is None or len(sections) == _MOST_SECTIONS:
            return look.clock(left)
        sections = (*sections, following)


class _Look:
    """One look at the times of all packets of a file, whose sections are known as far as `given` says."""

    def __init__(self, path: str, given: FileClock):
        self._path, self._given = path, given
        self._pieces = Pieces(given.main)
        self._keys: list[tuple[Place, int]] = []
        """Places and times of the pictures that need no other."""
        self._num_pictures = self._last_pos = 0
        self._renewed: set[int] = set()
        self._begins: dict[int, int] = {}
        """Position of each stream's first packet."""
        with (
            closing(open_container(path)) as container,
            closing(MendedReader(container, given, path)) as reader,
        ):
            streams = [s for s in container.streams if s.type in ("audio", "video") and codec_of(s)]
            streams = [s for s in streams if not s.disposition & _COVER]
            self._told = {s.index: bytes(s.codec_context.extradata or b"") for s in streams}
            self._codecs = {s.index: codec_of(s) for s in streams}
            for place, packet in _patiently(reader, streams):
                self._take(packet, place)
            homes = twins(container, reader.opened)
            self._format = container.format.name
            self._ids = {home.index: reader.opened.streams[index].id for index, home in homes.items()}
        self._pieces.finish()

    def _take(self, packet: Any, place: Place) -> None:
        index = packet.stream_index
        self._begins.setdefault(index, place[0])
        if self._codecs[index] == "theora" and memoryview(packet)[0] & 0x80:
            return  # headers, which in Ogg come as pictures where a recording follows another
        if packet.has_sidedata("new_extradata"):
            new = bytes(packet.get_sidedata("new_extradata"))
            self._told[index] = self._told[index] or new
            if not is_same_coding(new, self._told[index]):
                self._renewed.add(index)
        if index == self._given.main:
            self._num_pictures, self._last_pos = self._num_pictures + 1, place[0]
            time = packet.pts if packet.pts is not None else packet.dts
            if packet.is_keyframe and time is not None:
                self._keys.append((place, time))
        self._pieces.add(packet, place)

    def following(self, size: int) -> tuple[Section | None, str]:
        """Where the pictures go on in another stream; or what is there that cannot be read on, as a line."""
        begin = self._last_pos + _PACKET
        if self._format in _CHAINS:
            begin = _find(_CHAINS[self._format], self._path, self._last_pos)
        elif self._format != "mpegts" or size - begin < _LEAST_REST:
            return None, ""
        if begin is None:
            return None, ""
        try:
            with closing(open_container(self._path, begin=begin)) as opened:
                return self._section(opened, begin, size)
        except (SourceError, FFmpegError):
            return None, ""  # nothing that could be read

    def _section(self, opened: InputContainer, begin: int, size: int) -> tuple[Section | None, str]:
        videos = [stream for stream in opened.streams.video if codec_of(stream)]
        if not videos:
            return None, ""
        codec, share = codec_of(videos[0]), round(100 * (size - begin) / size)
        left = f"the file goes on as another video ({codec}); the {share} % from there on are not read"
        is_same = codec == self._codecs[self._given.main]
        if self._format in _CHAINS:
            return (Section(begin, begin), "") if is_same else (None, left)
        old = {number for index, number in self._ids.items() if self._begins.get(index, begin) < begin}
        if videos[0].id in old:
            return None, ""
        # What ends here of the streams before may still be found by its numbers.
        new = [stream for stream in opened.streams if stream.id not in old]
        places = (packet.pos for packet in packets_of(opened, *new) if packet.size and packet.pos is not None)
        first = min(islice(places, _LOOKED_AT), default=None)
        if first is None:
            return None, ""
        return (Section(begin, begin + first), "") if is_same else (None, left)

    def clock(self, left: str) -> FileClock:
        """What came of it; `left` is a line on what is not read."""
        given, pieces, notes = self._given, self._pieces, [left] if left else []
        steady = FileClock(given.main, renewed=frozenset(self._renewed), notes=tuple(notes))
        main = pieces.streams.get(given.main)
        if main is None or (len(given.sections) == 1 and not pieces.have_moved):
            return steady
        moves = {index: _moves(stream) for index, stream in pieces.streams.items()}
        jumps, start, end = pieces.borders(given.main)
        if len(given.sections) > 1 and self._format not in _CHAINS:
            often = _times(len(given.sections) - 1)
            notes.append(f"the streams go on under other numbers {often} and are read on there")
        if jumps:
            often, first = _times(len(jumps)), f"first after {float(jumps[0] - start):.3f} s"
            notes.append(
                f"the file's clock begins anew or leaps {often}, {first}; what follows is moved up to it"
            )
        return replace(
            steady,
            moves=moves,
            jumps=jumps,
            keys=tuple(
                sorted(
                    (time * main.time_base + moves[given.main].at(place), place[0])
                    for place, time in self._keys
                )
            ),
            sections=given.sections,
            continuing=frozenset(self._told) - set(self._begins) - {given.main}
            if len(given.sections) > 1
            else frozenset(),
            duration_s=float(end - start),
            num_pictures=self._num_pictures,
            notes=tuple(notes),
        )


def _is_one_segment(path: str, size: int) -> bool:
    """Whether a Matroska file holds one recording and no other behind it: its first segment's size says so
    (RFC 8794, 6; ones alone say nothing)."""
    with open(path, "rb") as file:
        data = file.read(_BEGINNING)
    at = data.find(b"\x18\x53\x80\x67") + 4
    length = 9 - data[at].bit_length() if 4 <= at < len(data) else 9
    if length > 8:
        return False
    value = int.from_bytes(data[at : at + length], "big") & ((1 << 7 * length) - 1)
    return value != (1 << 7 * length) - 1 and size - (at + length + value) < _BEGINNING


def _find(mark: bytes, path: str, begin: int) -> int | None:
    """Position of some bytes in a file behind another position; None where they are not."""
    kept = b""
    with open(path, "rb") as file:
        file.seek(begin)
        while data := file.read(1 << 20):
            at = (kept + data).find(mark)
            if at >= 0:
                return begin - len(kept) + at
            begin, kept = begin + len(data), data[-len(mark) :]
    return None


def is_same_coding(headers: bytes, others: bytes) -> bool:
    """Whether two sets of headers for a decoder say the same. Those of Vorbis are packed in more than one way, and
    hold comments."""
    return headers == others or _vorbis(headers) == _vorbis(others) != (b"", b"")


def _vorbis(headers: bytes) -> tuple[bytes, bytes]:
    """Identification, of 30 bytes, and setup."""
    first, last = headers.find(b"\x01vorbis"), headers.find(b"\x05vorbis")
    return (headers[first : first + 30], headers[last:]) if first >= 0 and last >= 0 else (b"", b"")


def _moves(stream: PacedStream) -> Moves:
    places = tuple(place for place, _, _ in stream.changes)
    return Moves(places, tuple(piece.move + wrong * stream.time_base for _, piece, wrong in stream.changes))


def _times(number: int) -> str:
    return "once" if number == 1 else f"{number} times"


def _patiently(reader: MendedReader, streams: Sequence[Any]) -> Generator[tuple[Place, Any], None, None]:
    """Yield the packets of a file and their places, past errors."""
    errors = 0
    while errors <= _MAX_ERRORS:
        try:
            for place, packet in reader.placed(*streams):
                errors = 0
                if packet.size:
                    yield place, packet
            return
        except FFmpegError:
            errors += 1
