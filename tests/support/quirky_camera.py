"""An RTSP camera (RFC 2326) whose oddities a test chooses: what its tracks send and when is a generator of the test's.

It speaks TCP and UDP, begins its clip anew for each session, and runs in a thread of the test's process.
"""

import base64
import contextlib
import heapq
import itertools
import re
import select
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

NTP = 2_208_988_800
"""Seconds from 1900, where NTP begins, to 1970."""


@dataclass(frozen=True, order=True)
class Sent:
    """What a track sends at one moment."""

    due_s: float
    """Seconds after PLAY."""
    timestamp: int
    """Of RTP (RFC 3550, 5.1)."""
    payloads: tuple[bytes, ...] = ()
    """RTP packets, of which the last is marked."""
    report_s: float | None = None
    """A sender report (RFC 3550, 6.4.1) instead: what the camera's clock says, in seconds since 1970."""


@dataclass(frozen=True)
class Track:
    """One medium of the camera's."""

    sdp: str
    """Lines of the session description (RFC 8866), `a=control` left out."""
    play: Callable[[], Iterator[Sent]]
    """Begins anew for each session; `due_s` goes up."""


def nal_units(path: Path) -> list[list[bytes]]:
    """The access units of a raw H.264 file that begins each with a delimiter, as lists of NAL units."""
    nals = [nal.rstrip(b"\0") for nal in re.split(rb"\x00\x00\x01", path.read_bytes())[1:]]
    units: list[list[bytes]] = []
    for nal in nals:
        if nal[0] & 31 == 9:
            units.append([])
        else:
            units[-1].append(nal)
    return units


def pictures(
    clip: Path,
    *,
    rate: int = 25,
    described: bool = True,
    due_s: Callable[[int], float | None] = lambda number: number / 25,
    time_s: Callable[[int], float] = lambda number: number / 25,
    reports_s: Callable[[float], float] | None = None,
) -> Track:
    """A track of H.264 (RFC 6184), one NAL unit a packet.

    Args:
        clip: raw H.264 without B-frames.
        rate: frames a second.
        described: the parameter sets are in the description, besides in the stream.
        due_s: when frame `number` is sent, in seconds after PLAY; None for not at all.
        time_s: what its time says.
        reports_s: the camera's clock at a moment after PLAY, told once a second; None tells nothing.
    """
    units = nal_units(clip)
    sets = b",".join(base64.b64encode(nal) for nal in units[0] if nal[0] & 31 in (7, 8)).decode()
    sdp = "m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=fmtp:96 packetization-mode=1"
    sdp += f";sprop-parameter-sets={sets}" if described else ""

    def play() -> Iterator[Sent]:
        for number in itertools.count():
            due = due_s(number)
            if due is None:
                continue
            stamp = round(time_s(number) * 90_000) % (1 << 32)
            if reports_s is not None and number % rate == 0:
                yield Sent(due, stamp, report_s=reports_s(number / rate))
            yield Sent(due, stamp, tuple(units[number % len(units)]))

    return Track(sdp, play)


def sound(
    *,
    from_s: float = 0.0,
    late_s: float = 0.0,
    time_s: Callable[[float], float] = lambda moment: moment,
    reports_s: Callable[[float], float] | None = None,
) -> Track:
    """A track of A-law (RFC 3551, 4.5.14), 20 ms a packet; each holds one level that says which it is: `number % 256`.

    Args:
        from_s: the microphone is switched on at this moment after PLAY.
        late_s: how long after its moment sound is sent.
        time_s: what the time of a moment says.
        reports_s: as of `pictures`.
    """

    def play() -> Iterator[Sent]:
        for number in itertools.count(round(from_s * 50)):
            moment, due = number / 50, number / 50 + late_s
            stamp = round((time_s(moment) + 77) * 8000) % (1 << 32)
            if reports_s is not None and number % 50 == 20:
                yield Sent(due, stamp, report_s=reports_s(moment))
            yield Sent(due, stamp, (bytes([number % 256]) * 160,))

    return Track("m=audio 0 RTP/AVP 8\r\na=rtpmap:8 PCMA/8000", play)


def metadata() -> Track:
    """A track as of ONVIF, which nobody here reads: ten packets a second."""

    def play() -> Iterator[Sent]:
        for number in itertools.count():
            yield Sent(number / 10, number * 9000, (b"<MetadataStream/>",))

    return Track("m=application 0 RTP/AVP 107\r\na=rtpmap:107 vnd.onvif.metadata/90000", play)


class QuirkyCamera:
    """The camera's server, on a port of its own. A context: leaving it ends all connections.

    Args:
        tracks: what it sends, in the description's order.
        tcp: what it answers where packets are wanted by TCP; empty to send them, "silent" to take the wish and send
            nothing.
        challenge: with what it wants a password; it takes none.
        session_s: it hangs up after playing for so long.
        torn_s: for how long, by TCP, each 50th packet stays half sent.
    """

    def __init__(
        self,
        *tracks: Track,
        tcp: str = "",
        challenge: str = "",
        session_s: float = float("inf"),
        torn_s: float = 0.0,
    ) -> None:
        self._tracks, self._tcp, self._challenge, self._session_s = tracks, tcp, challenge, session_s
        self._torn_s = torn_s
        self._stop = threading.Event()
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._listening.settimeout(0.1)
        self.sessions = 0
        """Times that it was told to play."""
        self.asked: list[str] = []
        """How packets were wanted, one a session: "tcp" or "udp"."""
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    @property
    def url(self) -> str:
        return f"rtsp://127.0.0.1:{self._listening.getsockname()[1]}/stream"

    @property
    def connections(self) -> int:
        return sum(thread.is_alive() for thread in self._threads[1:])

    def __enter__(self) -> "QuirkyCamera":
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()
        self._listening.close()

    def _accept(self) -> None:
        while not self._stop.is_set():
            with contextlib.suppress(TimeoutError):
                caller, _ = self._listening.accept()
                self._threads.append(threading.Thread(target=self._serve, args=(caller,)))
                self._threads[-1].start()

    def _serve(self, caller: socket.socket) -> None:
        connection = _Connection(caller, self)
        with caller, contextlib.suppress(OSError):
            connection.serve()
        for end in connection.opened:
            end.close()

    def sdp(self) -> bytes:
        head = ["v=0", "o=- 1 1 IN IP4 127.0.0.1", "s=camera", "c=IN IP4 0.0.0.0", "t=0 0"]
        parts = [f"{track.sdp}\r\na=control:track{number}" for number, track in enumerate(self._tracks)]
        return "\r\n".join([*head, *parts, ""]).encode()


class _Connection:
    """One caller. Answers and sends in one thread."""

    def __init__(self, caller: socket.socket, camera: QuirkyCamera):
        self._caller, self._camera = caller, camera
        self._heard = b""
        self._ways: dict[int, Callable[[int, bytes], object]] = {}
        self._coming: Iterator[tuple[Sent, int]] = iter(())
        self._began_s = float("inf")
        self._sequence: dict[int, int] = {}
        self._interleaved = 0
        self.opened: list[socket.socket] = []

    def serve(self) -> None:
        upcoming = None
        while not self._camera._stop.is_set():
            upcoming = upcoming or next(self._coming, None)
            wait_s = min(0.1, self._began_s + upcoming[0].due_s - time.monotonic()) if upcoming else 0.1
            if select.select([self._caller], [], [], max(0.0, wait_s))[0] and not self._listen():
                return
            if upcoming is not None and time.monotonic() >= self._began_s + upcoming[0].due_s:
                self._send(*upcoming)
                upcoming = None
            if time.monotonic() > self._began_s + self._camera._session_s:
                return

    def _listen(self) -> bool:
        """Answer what has been asked; False where the caller has gone."""
        data = self._caller.recv(65536)
        self._heard += data
        while self._heard:
            if self._heard[:1] == b"$":  # a receiver's report
                size = 4 + int.from_bytes(self._heard[2:4], "big")
            elif (size := self._heard.find(b"\r\n\r\n") + 4) < 4:
                break
            else:
                self._answer(self._heard[:size].decode())
            if len(self._heard) < size:
                break
            self._heard = self._heard[size:]
        return bool(data)

    def _answer(self, request: str) -> None:
        method, url = request.split()[:2]
        number = re.search(r"(?i)cseq: *(\d+)", request)
        assert number is not None
        status, more, body = "200 OK", ["Session: 1;timeout=60"], b""
        if method == "OPTIONS":
            more = ["Public: OPTIONS, DESCRIBE, SETUP, TEARDOWN, PLAY"]
        elif self._camera._challenge:
            status, more = "401 Unauthorized", [f"WWW-Authenticate: {self._camera._challenge}"]
        elif method == "DESCRIBE":
            body = self._camera.sdp()
            more = [f"Content-Base: {url}/", "Content-Type: application/sdp", f"Content-Length: {len(body)}"]
        elif method == "SETUP":
            status, way = self._set_up(int(url[-1]), request)
            more.append(f"Transport: {way}")
        elif method == "PLAY":
            self._camera.sessions += 1
            self._began_s = time.monotonic()
            tracks = [(self._camera._tracks[index], index) for index in self._ways]
            self._coming = heapq.merge(*(_with_index(track, index) for track, index in tracks))
        head = "\r\n".join([f"RTSP/1.0 {status}", f"CSeq: {number[1]}", *more])
        self._caller.sendall(head.encode() + b"\r\n\r\n" + body)

    def _set_up(self, index: int, request: str) -> tuple[str, str]:
        found = re.search(r"interleaved=(\d+)", request)
        self._camera.asked += ["tcp" if found else "udp"] if not self._ways else []
        if found:
            if self._camera._tcp == "silent":
                self._ways[index] = lambda kind, packet: None
                return "200 OK", f"RTP/AVP/TCP;unicast;interleaved={found[1]}"
            if self._camera._tcp:
                return self._camera._tcp, ""
            channel = int(found[1])
            self._ways[index] = lambda kind, packet: self._interleave(channel + kind, packet)
            return "200 OK", f"RTP/AVP/TCP;unicast;interleaved={channel}-{channel + 1}"
        found = re.search(r"client_port=(\d+)", request)
        assert found is not None
        port, ends = int(found[1]), [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2)]
        self.opened += ends
        for end in ends:
            end.bind(("127.0.0.1", 0))
        self._ways[index] = lambda kind, packet: ends[kind].sendto(packet, ("127.0.0.1", port + kind))
        ours = "-".join(str(end.getsockname()[1]) for end in ends)
        return "200 OK", f"RTP/AVP;unicast;client_port={port}-{port + 1};server_port={ours}"

    def _interleave(self, channel: int, packet: bytes) -> None:
        """Send a packet by TCP (RFC 2326, 10.12)."""
        data = struct.pack("!BBH", 0x24, channel, len(packet)) + packet
        self._interleaved += 1
        if self._camera._torn_s and self._interleaved % 50 == 0:
            self._caller.sendall(data[: len(data) // 2])
            self._camera._stop.wait(self._camera._torn_s)
            data = data[len(data) // 2 :]
        self._caller.sendall(data)

    def _send(self, sent: Sent, index: int) -> None:
        source = 1000 + index
        if sent.report_s is not None:
            seconds, rest = divmod(sent.report_s + NTP, 1)
            report = (int(seconds) % (1 << 32), int(rest * (1 << 32)), sent.timestamp, 1, 1)
            self._ways[index](1, struct.pack("!BBHIIIIII", 0x80, 200, 6, source, *report))
        kind = int(re.findall(r"RTP/AVP (\d+)", self._camera._tracks[index].sdp)[0])
        for number, payload in enumerate(sent.payloads, 1):
            marked = (number == len(sent.payloads)) << 7
            head = struct.pack("!BBHII", 0x80, marked | kind, self._count(index), sent.timestamp, source)
            self._ways[index](0, head + payload)

    def _count(self, index: int) -> int:
        self._sequence[index] = (self._sequence.get(index, 100) + 1) % (1 << 16)
        return self._sequence[index]


def _with_index(track: Track, index: int) -> Iterator[tuple[Sent, int]]:
    return ((sent, index) for sent in track.play())
