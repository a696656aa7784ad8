"""The RTSP server (RFC 2326): players pull what the hub has, by TCP or UDP. An event loop in a thread of its own.

A protocol as small as this is written here: GStreamer's server would come as Debian's packages, not for the Python
that runs us, and aiortc packetises for WebRTC alone. A player costs a task and a bounded queue.
"""

import asyncio
import contextlib
import logging
import secrets
import socket
import threading
import time
from concurrent.futures import Future

from vsr.errors import ConfigError
from vsr.live.newest_wins import in_background
from vsr.live.serve_options import ServingOptions
from vsr.live.serving.hub import Hub
from vsr.live.serving.logins import PlayerLogin
from vsr.live.serving.rtp import payload_format
from vsr.live.serving.rtsp_messages import (
    MOST_HEADER,
    BadRequestError,
    RtspAnswer,
    RtspRequest,
    read_request,
)
from vsr.live.serving.rtsp_session import Carrier, RtspSession, Waker
from vsr.live.serving.rtsp_transports import (
    Datagrams,
    Interleaved,
    UdpPorts,
    bound_buffers,
    open_ports,
    read_transport,
)
from vsr.live.serving.session_description import describe

log = logging.getLogger("vsr.live")

_METHODS = "OPTIONS, DESCRIBE, SETUP, PLAY, PAUSE, TEARDOWN, GET_PARAMETER, SET_PARAMETER"
_MOST_PLAYERS = 256
_TIMEOUT_S = 60
"""A player that is sent UDP and says nothing for so long has gone."""
_IDLE_S = 15.0
"""The same of one that has set up nothing yet; what the others have beyond their time."""
_LOOK_S = 1.0
_LET_GO_S = 2.0
_WRONG_S = 1.0
"""How long an answer to a wrong password takes, and how many of them a connection may have."""
_MOST_WRONG = 3


class RtspServer:
    """Serves a hub until it is closed.

    Args:
        hub: what there is to watch.
        options: where, and for whom.

    Raises:
        ConfigError: the port is taken, or the users cannot be read.
    """

    def __init__(self, hub: Hub, options: ServingOptions):
        self._hub, self._options = hub, options
        _ = options.users
        family = socket.AF_INET6 if ":" in options.host else socket.AF_INET
        try:
            self._listening = socket.create_server((options.host, options.port), family=family, backlog=64)
        except OSError as error:
            where = f"{options.host} port {options.port}"
            raise ConfigError(
                f"{where} cannot be opened for players: {error.strerror}; give another"
            ) from None
        self.port: int = self._listening.getsockname()[1]
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._ports: UdpPorts | None = None
        self._waker: Waker | None = None
        self._connections: set[_Connection] = set()
        self._listens = threading.Event()
        self._done: Future[None] = in_background(self._run, name="vsr-rtsp")
        while not self._listens.wait(0.05):
            if self._done.done():
                self._done.result()

    def close(self) -> None:
        """Let all players go and free the port. Harmless twice."""
        with contextlib.suppress(RuntimeError):  # it has ended
            self._loop.call_soon_threadsafe(self._stop.set)
        self._done.result()

    # What follows runs in the server's own thread.

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner, self._listening:
            runner.run(self._serve())

    async def _serve(self) -> None:
        self._waker = Waker()
        self._ports = await open_ports(self._options.host, self._heard)
        server = await asyncio.start_server(self._accept, sock=self._listening, limit=MOST_HEADER)
        self._listens.set()
        try:
            while not self._stop.is_set():
                for one in [*self._connections]:
                    one.look(time.monotonic())
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._stop.wait(), _LOOK_S)
        finally:
            server.close()
            self._ports.close()
            await self._let_go()

    async def _let_go(self) -> None:
        for one in [*self._connections]:
            one.drop()
        until = time.monotonic() + _LET_GO_S
        while self._connections and time.monotonic() < until:
            await asyncio.sleep(0.01)

    def _heard(self, address: tuple[str, int]) -> None:
        for one in self._connections:
            one.heard(address)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert self._ports is not None
        assert self._waker is not None
        if len(self._connections) >= _MOST_PLAYERS:
            writer.close()
            return
        connection = _Connection(self._hub, self._options, self._ports, self._waker, writer)
        self._connections.add(connection)
        try:
            await connection.serve(reader)
        except (OSError, EOFError, asyncio.CancelledError):  # it has gone, or we have
            connection.drop()
        except Exception:
            log.exception("a player's connection failed", extra={"event": "error"})
        finally:
            self._connections.discard(connection)
            connection.close()


class _Connection:
    """One player's connection, and with it its one session."""

    def __init__(
        self, hub: Hub, options: ServingOptions, ports: UdpPorts, waker: Waker, writer: asyncio.StreamWriter
    ):
        self._hub, self._options, self._ports, self._waker, self._writer = hub, options, ports, waker, writer
        self._host: str = writer.get_extra_info("peername")[0]
        self._id = secrets.token_hex(8)
        self._login = PlayerLogin({})
        self._wrong = 0
        self._session: RtspSession | None = None
        self._reports_from: set[tuple[str, int]] = set()
        self._heard_s = time.monotonic()
        bound_buffers(writer)

    def heard(self, address: tuple[str, int]) -> None:
        """Take note of a report that has come by UDP."""
        if address in self._reports_from:
            self._heard_s = time.monotonic()

    def look(self, now: float) -> None:
        """Let go a player that has gone without a word. One that is sent TCP shows that it lives by taking it."""
        session = self._session
        if session is not None and session.playing and not self._reports_from:
            return
        set_up = session is not None and session.tracks
        if now - self._heard_s > (_TIMEOUT_S + _IDLE_S if set_up else _IDLE_S):
            self.drop()

    def drop(self) -> None:
        """End it at once: a player that does not read would never let what is left be sent."""
        self.close()
        self._writer.transport.abort()

    def close(self) -> None:
        """End session and connection, when what is left has been sent. Harmless twice."""
        if self._session is not None:
            self._session.close()
            self._session = None
        self._writer.close()

    async def serve(self, reader: asyncio.StreamReader) -> None:
        """Answer requests until the player goes."""
        while self._wrong < _MOST_WRONG:
            try:
                request = await read_request(reader)
            except BadRequestError:
                self._writer.write(RtspAnswer(400).pack("0"))
                return
            self._heard_s = time.monotonic()
            if request is None:
                continue
            self._heard_s = float("inf")  # it is the player who waits
            answer = await self._answer(request)
            self._heard_s = time.monotonic()
            self._writer.write(answer.pack(request.headers.get("cseq", "0")[:16]))
            await asyncio.wait_for(self._writer.drain(), _IDLE_S)
            if request.method == "PLAY" and answer.status == 200 and self._session is not None:
                self._session.play()  # after the answer, which players expect first
            elif request.method == "TEARDOWN" and answer.status == 200:
                return

    async def _answer(self, request: RtspRequest) -> RtspAnswer:
        if "require" in request.headers:
            return RtspAnswer(551, (("Unsupported", request.headers["require"][:200]),))
        if request.method == "OPTIONS":
            return RtspAnswer(200, (("Public", _METHODS),))
        refused = await self._refuse(request)
        if refused is not None:
            return refused
        if request.method == "DESCRIBE":
            return await self._describe(request)
        if request.method == "SETUP":
            return await self._set_up(request)
        if request.method not in _METHODS.split(", "):
            return RtspAnswer(405, (("Allow", _METHODS),))
        return self._control(request)

    async def _refuse(self, request: RtspRequest) -> RtspAnswer | None:
        """Return what somebody gets who may not watch."""
        try:
            users = self._options.users
        except ConfigError as error:
            log.warning("nobody may watch: %s", error, extra={"event": "note"})
            return RtspAnswer(503)
        told = request.headers.get("authorization", "")
        self._login.users = users
        if not self._options.users_file or self._login.allows(request.method, told):
            return None
        if told:
            self._wrong += 1
            await asyncio.sleep(_WRONG_S)
        return RtspAnswer(401, self._login.challenges)

    async def _describe(self, request: RtspRequest) -> RtspAnswer:
        session, refused = await self._watch(request.path)
        if session is None:
            return refused
        headers = (("Content-Type", "application/sdp"), ("Content-Base", request.url.rstrip("/") + "/"))
        return RtspAnswer(200, headers, describe(session.name, session.described))

    async def _watch(self, name: str) -> tuple[RtspSession | None, RtspAnswer]:
        """Begin to watch, or go on with the same; without a session where nothing is to be seen."""
        if self._session is None or self._session.name != name:
            if self._session is not None:
                self._session.close()
            try:
                self._session = RtspSession(self._hub, name, self._waker, self.drop)
            except LookupError:
                self._session = None
                return None, RtspAnswer(404)
        session = self._session
        known = await session.describe()
        if known.video is None:
            return None, RtspAnswer(503, (("Retry-After", "5"),))
        if known.audio is not None and payload_format(known.audio) is None:
            text = f"{name} is served without sound: RTP carries no {known.audio.codec}"
            log.info("%s", text, extra={"event": "note"})
        return session, RtspAnswer()

    async def _set_up(self, request: RtspRequest) -> RtspAnswer:
        name, _, kind = request.path.rpartition("/")
        if self._session is not None and self._session.playing:
            return RtspAnswer(455)
        session, refused = await self._watch(name)
        if session is None:
            return refused
        wish = read_transport(request.headers.get("transport", ""))
        if wish is None:
            return RtspAnswer(461)
        carrier: Carrier
        if wish.client_ports is None:
            first = 2 * len(session.tracks)
            channels = (first, first + 1) if wish.interleaved in (None, (-1, -1)) else wish.interleaved
            carrier = Interleaved(self._writer, channels)
            told = f"RTP/AVP/TCP;unicast;interleaved={channels[0]}-{channels[1]}"
        else:
            ports, ours = wish.client_ports, self._ports.numbers
            carrier = Datagrams(self._ports, self._host, ports)
            told = f"RTP/AVP;unicast;client_port={ports[0]}-{ports[1]};server_port={ours[0]}-{ours[1]}"
        if session.set_up(kind, carrier) is None:
            return RtspAnswer(404)
        if wish.client_ports is not None:
            self._reports_from.add((self._host, wish.client_ports[1]))
        return RtspAnswer(200, (("Transport", told), ("Session", f"{self._id};timeout={_TIMEOUT_S}")))

    def _control(self, request: RtspRequest) -> RtspAnswer:
        """Answer what concerns the session as a whole."""
        session, asked = self._session, request.headers.get("session", "").partition(";")[0]
        if request.method in ("GET_PARAMETER", "SET_PARAMETER") and not asked:
            return RtspAnswer()
        if session is None or not session.tracks or asked != self._id:
            return RtspAnswer(454)
        headers = [("Session", self._id)]
        if request.method == "PLAY":
            base = request.url.rstrip("/")
            info = (
                f"url={base}/{kind};seq={track.stream.sequence}" for kind, track in session.tracks.items()
            )
            headers += [("Range", "npt=now-"), ("RTP-Info", ",".join(info))]
        elif request.method in ("PAUSE", "TEARDOWN"):
            session.pause()
        return RtspAnswer(200, tuple(headers))
